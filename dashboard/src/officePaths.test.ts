import { describe, expect, it } from 'vitest'
import { readDepositsSearch, readKycSearch, readTradesSearch, readUsersSearch } from './officePaths'

const ID = '3d07d2ce-1a22-4534-8531-aac452d9011d'

describe('addresses of the office', () => {
  it('filter users, and name what makes no sense', () => {
    expect(readUsersSearch({ q: ' ann ', role: 'trader', active: 'false', kyc: 'PENDING', user: ID })).toEqual({
      filter: { search: 'ann', role: 'TRADER', kycStatus: 'PENDING', isActive: false },
      user: ID, creating: false, ignored: [],
    })
    expect(readUsersSearch({ role: 'KING', user: '7' })).toEqual({
      filter: {}, user: undefined, creating: false, ignored: ['role=KING', 'user=7'],
    })
  })

  it('show what waits when they do not say', () => {
    expect(readKycSearch({}).filter).toEqual({ kycStatus: 'PENDING', role: 'TRADER' })
    expect(readDepositsSearch({}).filter).toEqual({ statuses: ['PENDING'] })
    expect(readTradesSearch({}).filter).toEqual({ status: 'EXECUTED' })
    expect(readTradesSearch({ status: 'all' }).filter).toEqual({})
  })

  it('name whole days, the last one included', () => {
    expect(readTradesSearch({ status: 'ALL', from: '2026-01-19', to: '2026-01-31' }).filter).toEqual({
      dateFrom: '2026-01-19T00:00:00.000Z', dateTo: '2026-02-01T00:00:00.000Z',
    })
    expect(readTradesSearch({ from: '2026-02-30', mm: 'x' }).ignored).toEqual(['mm=x', 'from=2026-02-30'])
  })
})
