import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BookFeed, type BookEvent } from './book'
import type { Sink } from './connection'
import { changed, checksumOf, levelKey, wholeOf, type Levels, type SentLevel } from './levels'

const level = (price: string, quantity: string): SentLevel => ({ price, quantity, orderCount: 1 })
const SENT = { bids: [level('25.49', '100'), level('25.48', '200')], asks: [level('25.51', '50')] }
type Change = SentLevel & { side: 'BUY' | 'SELL' }

describe('the feed of a book', () => {
  let sinks: Sink<BookEvent>[]
  let resumed: (number | null)[]
  let stopped: number
  let reconnects: number
  let feed: BookFeed
  let leave: () => void
  let server: Levels // the book as the server has it
  const newest = () => sinks.at(-1) as Sink<BookEvent>
  const at = () => new Date(Date.now()).toISOString().replace('Z', '000Z')

  const snapshot = (sequence: number) => {
    server = wholeOf(SENT)
    newest().next({ __typename: 'OrderBookSnapshot', reason: 'SUBSCRIBED', book: { ...SENT, sequence, checksum: checksumOf(SENT), at: at() } })
  }
  const delta = (sequence: number, changes: Change[], part: Partial<{ previousSequence: number; checksum: number }> = {}) => {
    server = changed(server, changes)
    newest().next({ __typename: 'OrderBookDelta', sequence, previousSequence: sequence - 1, checksum: checksumOf(server), at: at(), changes, ...part })
  }
  const heartbeat = (sequence: number, instant = at()) => newest().next({ __typename: 'OrderBookHeartbeat', sequence, at: instant })
  const bid = (price: string, quantity: string): Change => ({ side: 'BUY', ...level(price, quantity) })

  beforeEach(() => {
    vi.useFakeTimers()
    sinks = []
    resumed = []
    stopped = 0
    reconnects = 0
    feed = new BookFeed({
      follow: (after) => (sink) => {
        resumed.push(after())
        sinks.push(sink)
        return () => (stopped += 1)
      },
      reconnect: () => (reconnects += 1),
    })
    leave = feed.subscribe(() => undefined)
  })

  afterEach(() => {
    leave()
    vi.useRealTimers()
  })

  it('connects, waits for the whole book, and is live with it', () => {
    expect(feed.read().phase).toBe('connecting')
    heartbeat(7)
    vi.advanceTimersByTime(100)
    expect(feed.read().phase).toBe('snapshot')
    snapshot(7)
    vi.advanceTimersByTime(100)
    expect(feed.read()).toMatchObject({ phase: 'live', gaps: 0, book: { sequence: 7, bestBid: '25.49', bestAsk: '25.51', spread: '0.02' } })
  })

  it('takes changes in order and knows the levels by them', () => {
    snapshot(7)
    delta(8, [bid('25.50', '5')])
    delta(9, [bid('25.49', '0')])
    vi.advanceTimersByTime(100)
    expect(feed.read()).toMatchObject({ phase: 'live', book: { sequence: 9, bestBid: '25.50' } })
    expect(feed.read().book?.bids.map(({ price }) => price)).toEqual(['25.50', '25.48'])
  })

  it('publishes at most ten times a second, always the newest', () => {
    snapshot(0)
    let published = 0
    const forget = feed.subscribe(() => (published += 1))
    for (let sequence = 1; sequence <= 50; sequence += 1) {
      delta(sequence, [bid('25.49', String(100 + sequence))])
      vi.advanceTimersByTime(20)
    }
    vi.advanceTimersByTime(100)
    expect(published).toBeLessThanOrEqual(11)
    expect(feed.read().book).toMatchObject({ sequence: 50, bids: [{ quantity: '150' }, {}] })
    forget()
  })

  it('marks the levels whose quantity changed, and which way', () => {
    snapshot(1)
    vi.advanceTimersByTime(200)
    delta(2, [bid('25.49', '130'), { side: 'SELL', ...level('25.51', '20') }])
    vi.advanceTimersByTime(100)
    const { flashes } = feed.read()
    expect(flashes.get(levelKey('bid', '25.49'))?.direction).toBe('up')
    expect(flashes.get(levelKey('ask', '25.51'))?.direction).toBe('down')
    expect(flashes.has(levelKey('bid', '25.48'))).toBe(false)
  })

  it('asks for the whole book again after a gap, and keeps the old one until it is here', () => {
    snapshot(1)
    delta(3, [bid('25.50', '1')], { previousSequence: 2 })
    expect(feed.read()).toMatchObject({ phase: 'resync', gaps: 1, book: { sequence: 1, bestBid: '25.49' } })
    vi.advanceTimersByTime(1)
    expect([sinks.length, resumed]).toEqual([2, [null, null]])
    heartbeat(5)
    vi.advanceTimersByTime(100)
    expect(feed.read().phase).toBe('resync')
    snapshot(5)
    vi.advanceTimersByTime(100)
    expect(feed.read()).toMatchObject({ phase: 'live', book: { sequence: 5 } })
  })

  it('never shows a book that is not the one its checksum names, nor a crossed one', () => {
    snapshot(1)
    delta(2, [bid('25.50', '1')], { checksum: 1 })
    expect(feed.read()).toMatchObject({ gaps: 1, phase: 'resync', book: { sequence: 1, bestBid: '25.49' } })
    vi.advanceTimersByTime(1)
    snapshot(2)
    delta(3, [bid('25.51', '1')])
    expect(feed.read()).toMatchObject({ gaps: 2, phase: 'resync' })
    expect(feed.read().book?.bestBid).toBe('25.49')
  })

  it('knows from heartbeats that it misses something', () => {
    snapshot(1)
    heartbeat(3)
    expect(feed.read().gaps).toBe(0) // it may still be on its way
    vi.advanceTimersByTime(1_000)
    heartbeat(3)
    expect(feed.read()).toMatchObject({ gaps: 1, phase: 'resync' })
  })

  it('says that the feed is unstable after more than three gaps in a minute, and asks more slowly', () => {
    for (let gap = 1; gap <= 4; gap += 1) {
      snapshot(1)
      delta(9, [], { previousSequence: 8 })
      if (gap < 4) vi.advanceTimersByTime(1)
    }
    expect(feed.read()).toMatchObject({ gaps: 4, isUnstable: true, problem: { code: 'UNSTABLE_FEED' } })
    const asked = sinks.length
    vi.advanceTimersByTime(900)
    expect(sinks).toHaveLength(asked)
    vi.advanceTimersByTime(100)
    expect(sinks).toHaveLength(asked + 1)
  })

  it('stays live through a quiet market, by its heartbeats', () => {
    snapshot(1)
    for (let second = 0; second < 20; second += 1) {
      vi.advanceTimersByTime(1_000)
      heartbeat(1)
    }
    expect(feed.read()).toMatchObject({ phase: 'live', gaps: 0 })
  })

  it('is stale after two and a half seconds of silence, reconnects after eight, and is live again with the next event', () => {
    snapshot(1)
    vi.advanceTimersByTime(2_499)
    expect(feed.read().phase).toBe('live')
    vi.advanceTimersByTime(1)
    expect(feed.read()).toMatchObject({ phase: 'stale', book: { sequence: 1 } })
    vi.advanceTimersByTime(5_500)
    expect(reconnects).toBe(1)
    heartbeat(1)
    vi.advanceTimersByTime(100)
    expect(feed.read().phase).toBe('live')
  })

  it('is stale when the server speaks but its database does not answer, and does not reconnect for it', () => {
    snapshot(1)
    const stopped = at()
    for (let second = 0; second < 12; second += 1) {
      vi.advanceTimersByTime(1_000)
      heartbeat(1, stopped)
    }
    expect(feed.read().phase).toBe('stale')
    expect(reconnects).toBe(0)
  })

  it('keeps the book while the connection is away, and goes on from there', () => {
    snapshot(4)
    vi.advanceTimersByTime(100)
    newest().down(undefined, true)
    expect(feed.read()).toMatchObject({ phase: 'reconnecting', book: { sequence: 4 } })
    delta(5, [bid('25.50', '5')]) // by the same sink: the connection brings the stream back itself
    vi.advanceTimersByTime(100)
    expect(feed.read()).toMatchObject({ phase: 'live', gaps: 0, book: { sequence: 5 } })
  })

  it('is refused for good when the server says so', () => {
    newest().down({ code: 'FORBIDDEN', message: 'no', ticketId: undefined, retryable: false }, false)
    expect(feed.read()).toMatchObject({ phase: 'refused', book: null, problem: { code: 'FORBIDDEN' } })
  })

  it('can be held still, and misses nothing meanwhile', () => {
    snapshot(1)
    vi.advanceTimersByTime(100)
    feed.pause(true)
    delta(2, [bid('25.50', '5')])
    vi.advanceTimersByTime(200)
    expect(feed.read().book?.sequence).toBe(1)
    feed.pause(false)
    expect(feed.read().book).toMatchObject({ sequence: 2, bestBid: '25.50' })
  })

  it('stops while nobody can see it, and resumes after what it has', () => {
    snapshot(8)
    feed.hide(true)
    expect([stopped, feed.read().phase]).toEqual([1, 'stale'])
    feed.hide(false)
    expect(resumed).toEqual([null, 8])
  })

  it('stops when nobody looks', () => {
    leave()
    expect(stopped).toBe(1)
    leave = () => undefined
  })
})
