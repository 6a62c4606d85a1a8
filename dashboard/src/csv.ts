const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^-?\d+(\.\d+)?$/

/** Write rows as CSV (RFC 4180). What a spreadsheet would take for a formula is told to be text; numbers are let be. */
export function csvOf(headings: readonly string[], rows: Iterable<readonly string[]>): string {
  const lines = [headings.map(cell).join(',')]
  for (const row of rows) lines.push(row.map(cell).join(','))
  return `${lines.join('\r\n')}\r\n`
}

function cell(text: string): string {
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
