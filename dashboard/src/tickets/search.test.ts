import { describe, expect, it } from 'vitest'
import { parseSearch, stringifySearch } from '../paths'
import { before, endsOf, frozen, instantOf, rangeWords } from './range'
import { filterOf, isNarrowed, readTickets, toggled, writeTickets } from './search'
import { parseText, writeText, type Names } from './text'

const NOW = Date.parse('2026-01-19T14:00:00Z')
const ALPHA = '19c2aaaa-0000-4000-8000-000000000001'
const ADA = '7f3abbbb-0000-4000-8000-000000000002'
const NAMES: Names = { mm: [{ id: ALPHA, name: 'MM-Alpha' }], user: [{ id: ADA, name: 'Ada Admin' }] }

const read = (address: string, locked = {}) => readTickets(parseSearch(address), locked)
const written = (address: string) => stringifySearch(writeTickets(read(address)))

describe('an address of the log', () => {
  it('comes back as it went', () => {
    for (const address of [
      '',
      '?last=24h&action=MM_*,-MM_DELETED&status=FAILED',
      `?mm=*&user=-${ADA}&entity=ORDER&tag=bulk,cli&tagMode=all&q=sell+100&sort=oldest`,
      '?from=2026-01-19T10:00:00.000Z&to=2026-01-19T12:00:00.000Z&ticket=TKT-2026-001234',
      '?error=BUSY&ip=::1&related=TKT-2026-000001',
    ])
      expect(written(address)).toBe(address)
  })

  it('may be sloppy, and is put in order', () => {
    expect(written('?status=failed&action=mm_created,MM_CREATED&ticket=tkt-2026-001234&from=2026-01-19T11:00%2B01:00')).toBe(
      '?from=2026-01-19T10:00:00.000Z&action=MM_CREATED&status=FAILED&ticket=TKT-2026-001234',
    )
  })

  it('names what it asks in vain, and leaves it out', () => {
    const state = read('?status=FOO&action=MM_CREATED,NOPE&last=5x&from=yesterday&ticket=7&sort=up&user=bob')
    expect(state.ignored).toEqual(['action=NOPE', 'status=FOO', 'user=bob', 'ticket=7', 'last=5x', 'from=yesterday', 'sort=up'])
    expect(stringifySearch(writeTickets(state))).toBe('?action=MM_CREATED')
  })

  it('cannot take away what a screen locks, and does not repeat it', () => {
    const locked = { status: [{ text: 'FAILED', excluded: false }] }
    const state = read('?status=SUCCESS&action=USER_LOGIN', locked)
    expect(filterOf(state, NOW)).toEqual({ status: 'FAILED', actionTypes: ['USER_LOGIN'] })
    expect(stringifySearch(writeTickets(state, locked))).toBe('?action=USER_LOGIN')
    expect(isNarrowed(read('', locked), locked)).toBe(false)
  })
})

describe('a filter', () => {
  it('holds each key, one of its values, and none of the excluded', () => {
    expect(filterOf(read(`?action=MM_ORDER_*,-MM_ORDER_CANCELLED&mm=${ALPHA},none&status=SUCCESS,FAILED&q=a+b`), NOW)).toEqual({
      actionTypes: ['MM_ORDER_PLACED', 'MM_ORDER_CANCELLED'],
      search: 'a b',
      and: [
        { not: { actionTypes: ['MM_ORDER_CANCELLED'] } },
        { or: [{ marketMakerId: ALPHA }, { hasMarketMaker: false }] },
      ],
    })
  })

  it('takes a relative range as it is at that moment, open towards now', () => {
    expect(filterOf(read('?last=24h'), NOW)).toEqual({ dateFrom: '2026-01-18T14:00:00.000Z' })
    expect(filterOf(read('?tag=a,b&tagMode=all'), NOW)).toEqual({ tags: ['a', 'b'], tagMode: 'ALL' })
  })
})

describe('a range', () => {
  it('is read with its offset, and without one not at all', () => {
    expect(instantOf('2026-01-19T10Z')).toBe('2026-01-19T10:00:00.000Z')
    expect(instantOf('2026-01-19T10:00')).toBeUndefined()
    expect(instantOf('2026-13-19T10:00Z')).toBeUndefined()
  })

  it('has a window of its length before it, and can be made to stand still', () => {
    expect(before({ last: '1h' }, NOW)).toEqual({ from: '2026-01-19T12:00:00.000Z', to: '2026-01-19T13:00:00.000Z' })
    expect(before({}, NOW)).toBeUndefined()
    expect(frozen({ last: '1h' }, NOW)).toEqual({ from: '2026-01-19T13:00:00.000Z', to: '2026-01-19T14:00:00.000Z' })
    expect(endsOf(frozen({ last: '1h' }, NOW), NOW + 5)).toEqual({ from: '2026-01-19T13:00:00.000Z', to: '2026-01-19T14:00:00.000Z' })
  })

  it('has words', () => {
    const write = (iso: string) => iso.slice(0, 10)
    expect(rangeWords({ last: '24h' }, write)).toBe('Last 24 hours')
    expect(rangeWords({ last: '1h' }, write)).toBe('Last hour')
    expect(rangeWords({ from: '2026-01-01T00:00:00Z' }, write)).toBe('Since 2026-01-01')
    expect(rangeWords({}, write)).toBe('All time')
  })
})

describe('typed text', () => {
  it('and chips are two views of one state', () => {
    const text = 'action:MM_* status:failed mm:MM-Alpha -user:"Ada Admin" tag:bulk "a phrase" -word'
    const parsed = parseText(text, NAMES)
    expect(parsed.faults).toEqual([])
    expect(parsed.words).toBe('"a phrase" -word')
    expect(parsed.terms).toEqual({
      action: [{ text: 'MM_*', excluded: false }],
      status: [{ text: 'FAILED', excluded: false }],
      mm: [{ text: ALPHA, excluded: false }],
      user: [{ text: ADA, excluded: true }],
      tag: [{ text: 'bulk', excluded: false }],
    })
    const again = writeText({ terms: parsed.terms, words: parsed.words }, NAMES)
    expect(parseText(again, NAMES)).toEqual({ ...parsed, faults: [] })
    expect(again).toBe('action:MM_* status:failed mm:MM-Alpha -user:"Ada Admin" tag:bulk "a phrase" -word')
  })

  it('takes several values, names in any case, and ids', () => {
    expect(parseText(`mm:"mm-alpha",${ALPHA},* action:user_login,USER_LOGOUT`, NAMES).terms).toEqual({
      mm: [{ text: ALPHA, excluded: false }, { text: '*', excluded: false }],
      action: [{ text: 'USER_LOGIN', excluded: false }, { text: 'USER_LOGOUT', excluded: false }],
    })
  })

  it('says what is wrong and where, and obeys the rest', () => {
    const parsed = parseText('status:failed foo:bar mm:Nobody action: word', NAMES)
    expect(parsed.faults.map(({ start, end }) => [start, end])).toEqual([[14, 21], [22, 31], [32, 39]])
    expect(parsed.faults.map(({ message }) => message.slice(0, 24))).toEqual([
      'There is no key “foo”. T', 'There is no market maker', '“action:” needs a value,',
    ])
    expect(parsed.terms).toEqual({ status: [{ text: 'FAILED', excluded: false }] })
    expect(parsed.words).toBe('word')
  })

  it('leaves quoted text and ids alone', () => {
    expect(parseText('"foo:bar" TKT-2026-001234', NAMES)).toEqual({ terms: {}, words: '"foo:bar" TKT-2026-001234', faults: [] })
  })
})

describe('a chip', () => {
  it('is put on, turned round and taken off', () => {
    const on = toggled({}, 'tag', 'a')
    expect(on).toEqual({ tag: [{ text: 'a', excluded: false }] })
    expect(toggled(on, 'tag', 'a', true)).toEqual({ tag: [{ text: 'a', excluded: true }] })
    expect(toggled(on, 'tag', 'a')).toEqual({})
  })
})
