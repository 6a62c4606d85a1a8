const RUNS_IN_SPREADSHEETS = /^[=+\-@\t\r\0]/
const NUMBER = /^[+-]?\d+(\.\d+)?$/

/** Write a line of CSV (RFC 4180, CR LF). A cell that a spreadsheet would run starts with an apostrophe, as in the server's files. */
export function csvLine(cells: readonly unknown[]): string {
  return `${cells.map(cell).join(',')}\r\n`
}

/** Write rows with a heading line. */
export function csvOf(columns: readonly string[], rows: readonly Readonly<Record<string, unknown>>[]): string {
  return csvLine(columns) + rows.map((row) => csvLine(columns.map((column) => row[column]))).join('')
}

/** Write rows as lines of JSON. */
export function ndjsonOf(rows: readonly unknown[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

/** Write rows as a spreadsheet takes them from the clipboard. */
export function tsvOf(columns: readonly string[], rows: readonly Readonly<Record<string, unknown>>[]): string {
  const line = (cells: readonly unknown[]) => cells.map((value) => defused(textOf(value)).replaceAll(/[\t\r\n]+/g, ' ')).join('\t')
  return [line(columns), ...rows.map((row) => line(columns.map((column) => row[column])))].join('\n')
}

/** Write a value as the text of a cell. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return value
  return JSON.stringify(value)
}

function cell(value: unknown): string {
  const text = defused(textOf(value))
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function defused(text: string): string {
  return RUNS_IN_SPREADSHEETS.test(text) && !NUMBER.test(text) ? `'${text}` : text
}

/** Count the records of a file while its bytes arrive: ends of lines outside of quotes. */
export class RecordCounter {
  records = 0
  #quoted = false

  constructor(readonly kind: 'csv' | 'ndjson') {}

  add(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === 0x22 && this.kind === 'csv') this.#quoted = !this.#quoted
      else if (byte === 0x0a && !this.#quoted) this.records += 1
    }
  }

  /** Rows so far, without the heading line. */
  get rows(): number {
    return this.kind === 'csv' ? Math.max(0, this.records - 1) : this.records
  }
}

/** Let the browser keep a file. */
export function save(fileName: string, parts: BlobPart[], type: string): void {
  const address = URL.createObjectURL(new Blob(parts, { type }))
  Object.assign(document.createElement('a'), { href: address, download: fileName }).click()
  setTimeout(() => URL.revokeObjectURL(address), 10_000)
}
