import { describe, expect, it } from 'vitest'
import { readAccountSearch, readBookSearch, readMakerSearch, readMakersSearch, startOf, writeStatuses } from './marketPaths'

describe('addresses of the market', () => {
  it('of the book say which, how it is looked at, and what is listed below', () => {
    expect(readBookSearch({})).toEqual({
      certificateType: 'CEA', rows: undefined, group: undefined, makerId: undefined, statuses: ['OPEN', 'PARTIALLY_FILLED'], isWatching: false, ignored: [],
    })
    expect(readBookSearch({ cert: 'eua', rows: '10', group: '0.05', mm: 'x', status: 'filled,CANCELLED', view: 'watch' })).toEqual({
      certificateType: 'EUA', rows: 10, group: '0.05', makerId: 'x', statuses: ['FILLED', 'CANCELLED'], isWatching: true, ignored: [],
    })
  })

  it('name what makes no sense and do not obey it', () => {
    expect(readBookSearch({ cert: 'XXX', rows: '7', group: '-1', status: 'FOO', view: 'all' })).toMatchObject({
      certificateType: 'CEA', rows: undefined, group: undefined, statuses: ['OPEN', 'PARTIALLY_FILLED'],
    })
    expect(readBookSearch({ cert: 'XXX', group: '-1', status: 'FOO' }).ignored.toSorted()).toEqual(['cert=XXX', 'group=-1', 'status=FOO'])
    expect(readMakerSearch({ tab: 'x' })).toMatchObject({ tab: 'balances', ignored: ['tab=x'] })
    expect(readAccountSearch({ last: '9y' })).toMatchObject({ tab: 'orders', range: undefined, ignored: ['last=9y'] })
  })

  it('write statuses back as they are read', () => {
    for (const status of [undefined, 'ALL', 'OPEN', 'FILLED,CANCELLED']) {
      expect(writeStatuses(readBookSearch({ ...(status && { status }) }).statuses)).toBe(status)
    }
  })

  it('of the market makers carry the search and whether they are active', () => {
    expect(readMakersSearch({})).toEqual({ search: '', isActive: undefined, ignored: [] })
    expect(readMakersSearch({ q: 'alpha', active: 'false' })).toEqual({ search: 'alpha', isActive: false, ignored: [] })
  })

  it('keep a range relative, and begin it at a full minute', () => {
    expect(startOf('24h', Date.parse('2026-01-19T10:00:59.999Z'))).toBe('2026-01-18T10:00:00.000Z')
    expect(startOf(undefined, 0)).toBeUndefined()
  })
})
