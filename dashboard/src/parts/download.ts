import { csvLine, save } from '../csv'

/** Hand a CSV file to the person. */
export function downloadCsv(fileName: string, headings: readonly string[], rows: Iterable<readonly string[]>): void {
  save(fileName, [csvLine(headings), ...Array.from(rows, csvLine)], 'text/csv;charset=utf-8')
}
