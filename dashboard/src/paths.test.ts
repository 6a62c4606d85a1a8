import { describe, expect, it } from 'vitest'
import {
  only,
  parseSearch,
  readTicketsSearch,
  returnPath,
  stringifySearch,
  writeTicketsFilter,
} from './paths'

describe('addresses', () => {
  it('stay readable and come back as they went', () => {
    const search = { action: 'MM_CREATED,MM_DELETED', from: '2026-01-19T10:00:00Z', q: 'a b&c' }
    expect(stringifySearch(search)).toBe('?action=MM_CREATED,MM_DELETED&from=2026-01-19T10:00:00Z&q=a+b%26c')
    expect(parseSearch(stringifySearch(search))).toEqual(search)
    expect(stringifySearch({ status: undefined, action: '' })).toBe('')
  })

  it('of the tickets carry the filter, and name what they do not know', () => {
    expect(readTicketsSearch({ status: 'FAILED', action: 'MM_CREATED,NOPE', ticket: 'tkt-2026-001234' })).toEqual({
      status: 'FAILED',
      actions: ['MM_CREATED'],
      ticket: 'TKT-2026-001234',
      ignored: ['action=NOPE'],
    })
    expect(readTicketsSearch({ status: 'FOO', ticket: '7' })).toMatchObject({
      status: undefined,
      ticket: undefined,
      ignored: ['ticket=7', 'status=FOO'],
    })
  })

  it('write only what filters', () => {
    expect(writeTicketsFilter({ status: undefined, actions: [] })).toEqual({})
    expect(writeTicketsFilter({ status: 'SUCCESS', actions: ['USER_LOGIN', 'USER_LOGOUT'] })).toEqual({
      status: 'SUCCESS',
      action: 'USER_LOGIN,USER_LOGOUT',
    })
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
