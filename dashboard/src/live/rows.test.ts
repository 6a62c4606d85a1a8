import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Sink } from './connection'
import { RowsFeed } from './rows'

interface Row {
  id: string
  at: number
  version: number
  isOpen: boolean
}

const row = (id: string, at: number, version = 1, isOpen = true): Row => ({ id, at, version, isOpen })

describe('a list that changes', () => {
  let pages: { rows: Row[]; endCursor: string | null; hasNextPage: boolean }[]
  let sink: Sink<Row>
  let back: () => void
  let loads: (string | undefined)[]
  let feed: RowsFeed<Row>
  let leave: () => void
  const ids = () => feed.read().rows.map(({ id, version }) => `${id}${version}`)

  const begin = async (whole = false) => {
    feed = new RowsFeed<Row>({
      whole,
      load: (after) => {
        loads.push(after)
        return Promise.resolve(pages[after === undefined ? 0 : Number(after)] as (typeof pages)[number])
      },
      follow: (given) => {
        sink = given
        return () => undefined
      },
      back: (listener) => {
        back = listener
        return () => undefined
      },
      isNewer: (a, b) => a.at > b.at,
      belongs: ({ isOpen }) => isOpen,
      replaces: (a, known) => a.version >= known.version,
    })
    leave = feed.subscribe(() => undefined)
    await vi.advanceTimersByTimeAsync(0)
  }

  beforeEach(() => {
    vi.useFakeTimers()
    loads = []
    pages = [
      { rows: [row('c', 3), row('b', 2)], endCursor: '1', hasNextPage: true },
      { rows: [row('a', 1)], endCursor: null, hasNextPage: false },
    ]
  })
  afterEach(() => {
    leave()
    vi.useRealTimers()
  })

  it('begins with its newest page and adds older ones', async () => {
    await begin()
    expect([feed.read().phase, ids(), feed.read().hasMore]).toEqual(['ready', ['c1', 'b1'], true])
    await feed.more()
    expect([ids(), feed.read().hasMore]).toEqual([['c1', 'b1', 'a1'], false])
  })

  it('takes in what is new, what changed and what no longer belongs', async () => {
    await begin()
    sink.next(row('d', 4))
    sink.next(row('b', 2, 2))
    sink.next(row('c', 3, 2, false))
    await vi.advanceTimersByTimeAsync(200)
    expect(ids()).toEqual(['d1', 'b2'])
  })

  it('is not set back by a page that was read before a change', async () => {
    await begin()
    sink.next(row('b', 2, 5))
    await vi.advanceTimersByTimeAsync(200)
    await feed.reload()
    expect(ids()).toEqual(['c1', 'b5'])
  })

  it('is read again when the connection was away', async () => {
    await begin()
    back()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(loads).toHaveLength(1)
    sink.down(undefined, true)
    pages[0] = { rows: [row('e', 5)], endCursor: null, hasNextPage: false }
    back()
    await vi.advanceTimersByTimeAsync(1_000)
    expect([loads.length, ids()]).toEqual([2, ['e1']])
  })

  it('shows what is on its way at once, and what came of it in its place', async () => {
    await begin()
    feed.swap(undefined, row('pending', 9))
    expect(ids()).toEqual(['pending1', 'c1', 'b1'])
    await feed.reload()
    expect(ids()).toEqual(['pending1', 'c1', 'b1'])
    feed.swap('pending', row('d', 4))
    expect(ids()).toEqual(['d1', 'c1', 'b1'])
    feed.swap(undefined, row('pending', 9))
    feed.swap('pending', undefined)
    await vi.advanceTimersByTimeAsync(200)
    await feed.reload()
    expect(ids()).toEqual(['d1', 'c1', 'b1'])
  })

  it('is read whole where sums are made of it', async () => {
    await begin(true)
    expect([loads, ids()]).toEqual([[undefined, '1'], ['c1', 'b1', 'a1']])
  })
})
