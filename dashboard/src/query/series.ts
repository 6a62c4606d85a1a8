import { textOf } from '../csv'
import type { Row } from './rows'

export interface Bar {
  label: string
  /** As it came. */
  text: string
  value: number
}

const NUMBER = /^[+-]?\d+(\.\d+)?$/

/** Name the columns that hold figures, and nothing else. */
export function figureColumns(columns: readonly string[], rows: readonly Row[]): string[] {
  return columns.filter((column) => {
    const texts = rows.map((row) => textOf(row[column])).filter((text) => text !== '')
    return texts.length > 0 && texts.every((text) => NUMBER.test(text))
  })
}

/** Take the first rows as bars: what stands below each, and how high it is; rows without a figure are left out. */
export function barsOf(rows: readonly Row[], below: string, figure: string, most: number): Bar[] {
  return rows
    .filter((row) => textOf(row[figure]) !== '')
    .slice(0, most)
    .map((row) => ({ label: textOf(row[below]), text: textOf(row[figure]), value: Number(textOf(row[figure])) }))
}
