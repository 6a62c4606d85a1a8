import { expect, it } from 'vitest'
import { barsOf, figureColumns } from './series'

const ROWS = [
  { day: '2026-01-01', count: 3, price: '25.50', note: '7' },
  { day: '2026-01-02', count: 0, price: '-1', note: 'seven' },
  { day: '2026-01-03', count: 5, price: null, note: null },
]

it('draws what is a figure in every row that has it', () => {
  expect(figureColumns(['day', 'count', 'price', 'note', 'none'], ROWS)).toEqual(['count', 'price'])
  expect(barsOf(ROWS, 'day', 'price', 10)).toEqual([
    { label: '2026-01-01', text: '25.50', value: 25.5 },
    { label: '2026-01-02', text: '-1', value: -1 },
  ])
  expect(barsOf(ROWS, 'day', 'count', 2)).toHaveLength(2)
})
