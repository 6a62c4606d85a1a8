import { expect, test } from 'vitest'
import type { Column } from './DataTable'
import { fitting, narrowestOf } from './fitting'

const cell = () => null
const COLUMNS: readonly Column<unknown>[] = [
  { id: 'name', header: 'Name', cell },
  { id: 'total', header: 'Total', width: 100, from: 'widest', cell },
  { id: 'by', header: 'By', width: 100, from: 'wide', cell },
  { id: 'note', header: 'Note', width: 100, from: 'widest', cell },
  { id: 'ticket', header: 'Ticket', width: 80, cell },
]
const shown = (room: number) => fitting(COLUMNS, room).map(({ id }) => id)

test('columns leave by mark and from the right until the others fit', () => {
  expect(narrowestOf(COLUMNS)).toBe(500)
  expect(shown(500)).toEqual(['name', 'total', 'by', 'note', 'ticket'])
  expect(shown(499)).toEqual(['name', 'total', 'by', 'ticket'])
  expect(shown(399)).toEqual(['name', 'by', 'ticket'])
  expect(shown(299)).toEqual(['name', 'ticket'])
})

test('columns without a mark stay however little room there is', () => {
  expect(shown(50)).toEqual(['name', 'ticket'])
})
