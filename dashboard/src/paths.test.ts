import { describe, expect, it } from 'vitest'
import {
  only,
  parseSearch,
  returnPath,
  stringifySearch,
} from './paths'

describe('addresses', () => {
  it('stay readable and come back as they went', () => {
    const search = { action: 'MM_CREATED,MM_DELETED', from: '2026-01-19T10:00:00Z', q: 'a b&c' }
    expect(stringifySearch(search)).toBe('?action=MM_CREATED,MM_DELETED&from=2026-01-19T10:00:00Z&q=a+b%26c')
    expect(parseSearch(stringifySearch(search))).toEqual(search)
    expect(stringifySearch({ status: undefined, action: '' })).toBe('')
  })

  it('keep only text under known names', () => {
    expect(only({ a: '1', b: 2, c: '3' }, 'a', 'b')).toEqual({ a: '1' })
  })

  it('to return to are ours alone', () => {
    expect(returnPath('/logging/tickets?status=FAILED')).toBe('/logging/tickets?status=FAILED')
    for (const foreign of [undefined, '', '//evil.example', '/\\evil.example', 'https://evil.example', '/login?to=/'])
      expect(returnPath(foreign)).toBe('/')
  })
})
