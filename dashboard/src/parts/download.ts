import { csvOf } from '../csv'

/** Hand a CSV file to the person. */
export function downloadCsv(fileName: string, headings: readonly string[], rows: Iterable<readonly string[]>): void {
  const address = URL.createObjectURL(new Blob([csvOf(headings, rows)], { type: 'text/csv;charset=utf-8' }))
  const anchor = Object.assign(document.createElement('a'), { href: address, download: fileName })
  anchor.click()
  URL.revokeObjectURL(address)
}
