import { describe, expect, it } from 'vitest'
import { leavesWith } from './jsonPaths'

const VALUE = { ticketId: 'TKT-2026-000001', request: { input: { price: '25.50', 'a b': null, items: [{ id: 7 }, 'Price'] } }, tags: [] }
const paths = (text: string, most = 50) => leavesWith(VALUE, text, most).leaves.map(({ path }) => path)

describe('a search in JSON', () => {
  it('finds paths and values, whatever their case, and gives paths that jq takes', () => {
    expect(paths('PRICE')).toEqual(['.request.input.price', '.request.input.items[1]'])
    expect(paths('25.5')).toEqual(['.request.input.price'])
    expect(paths('items[0]')).toEqual(['.request.input.items[0].id'])
    expect(paths('a b')).toEqual(['.request.input."a b"'])
    expect(paths('[]')).toEqual(['.tags'])
    expect(leavesWith('alone', 'lon', 1)).toEqual({ leaves: [{ path: '.', value: 'alone' }], total: 1 })
  })

  it('counts all, gives some, and nothing for nothing', () => {
    expect(leavesWith(VALUE, 'request', 2)).toMatchObject({ total: 4, leaves: [{}, {}] })
    expect(paths(' ')).toEqual([])
    expect(paths('nowhere')).toEqual([])
  })
})
