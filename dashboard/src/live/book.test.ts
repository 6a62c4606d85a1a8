import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BookFeed, checksumOf, levelKey, type Book } from './book'
import type { Sink } from './connection'
import { crc32 } from './crc32'

const level = (price: string, quantity: string) => ({ price, quantity, orderCount: 1, cumulativeQuantity: quantity })

function bookAt(sequence: number, bid = '100', ask = '50'): Book {
  const bids = [level('25.49', bid), level('25.48', '200')]
  const asks = [level('25.51', ask)]
  return {
    certificateType: 'CEA',
    sequence,
    bids,
    asks,
    bestBid: '25.49',
    bestAsk: '25.51',
    spread: '0.02',
    lastPrice: '25.50',
    checksum: checksumOf({ bids, asks }),
    at: '2026-01-19T10:00:00.000000Z',
  }
}

describe('the checksum', () => {
  it('is CRC-32 as IEEE 802.3 defines it', () => {
    expect(crc32('123456789')).toBe(0xcbf43926)
    expect(crc32('')).toBe(0)
  })

  it('covers the best ten of each side as the contract writes them', () => {
    const side = Array.from({ length: 12 }, (_, at) => level(`1.${at}`, '1'))
    const ten = side.slice(0, 10)
    const text = ten.map(({ price }) => `b:${price}:1;`).join('') + ten.map(({ price }) => `a:${price}:1;`).join('')
    expect(checksumOf({ bids: side, asks: side })).toBe(crc32(text))
  })
})

describe('the feed of a book', () => {
  let sinks: Sink<Book>[]
  let stopped: number
  let feed: BookFeed
  let leave: () => void
  const newest = () => sinks.at(-1) as Sink<Book>

  beforeEach(() => {
    vi.useFakeTimers()
    sinks = []
    stopped = 0
    feed = new BookFeed((sink) => {
      sinks.push(sink)
      return () => (stopped += 1)
    })
    leave = feed.subscribe(() => undefined)
  })

  afterEach(() => {
    leave()
    vi.useRealTimers()
  })

  it('shows a book at once and counts it', () => {
    newest().next(bookAt(7))
    expect(feed.read()).toMatchObject({ phase: 'live', events: 1, faults: 0, book: { sequence: 7 } })
  })

  it('publishes at most ten times a second, always the newest', () => {
    let published = 0
    const forget = feed.subscribe(() => (published += 1))
    for (let sequence = 1; sequence <= 50; sequence += 1) {
      newest().next(bookAt(sequence))
      vi.advanceTimersByTime(20)
    }
    vi.advanceTimersByTime(100)
    expect(published).toBeLessThanOrEqual(11)
    expect(feed.read().book?.sequence).toBe(50)
    expect(feed.read().events).toBe(50)
    forget()
  })

  it('marks the levels whose quantity changed, and which way', () => {
    newest().next(bookAt(1))
    vi.advanceTimersByTime(200)
    newest().next(bookAt(2, '130', '20'))
    const { flashes } = feed.read()
    expect(flashes.get(levelKey('bid', '25.49'))?.direction).toBe('up')
    expect(flashes.get(levelKey('ask', '25.51'))?.direction).toBe('down')
    expect(flashes.has(levelKey('bid', '25.48'))).toBe(false)
  })

  it('is stale after eight seconds of silence and live again with the next book', () => {
    newest().next(bookAt(1))
    vi.advanceTimersByTime(7_999)
    expect(feed.read().phase).toBe('live')
    vi.advanceTimersByTime(1)
    expect(feed.read().phase).toBe('stale')
    expect(feed.read().book?.sequence).toBe(1)
    newest().next(bookAt(1))
    vi.advanceTimersByTime(100)
    expect(feed.read().phase).toBe('live')
  })

  it('starts the stream again after sixteen seconds of silence', () => {
    newest().next(bookAt(1))
    vi.advanceTimersByTime(16_000)
    expect(sinks).toHaveLength(2)
    expect(stopped).toBe(1)
  })

  it('throws a book with a false checksum away, keeps the true one as stale, and asks again', () => {
    newest().next(bookAt(1))
    newest().next({ ...bookAt(2), checksum: 1 })
    expect(feed.read()).toMatchObject({ phase: 'stale', faults: 1, book: { sequence: 1 } })
    vi.advanceTimersByTime(1_000)
    expect(sinks).toHaveLength(2)
    newest().next(bookAt(3))
    vi.advanceTimersByTime(100)
    expect(feed.read()).toMatchObject({ phase: 'live', problem: null, book: { sequence: 3 } })
  })

  it('throws a crossed book away', () => {
    const crossed = { ...bookAt(2), asks: [level('25.49', '5')] }
    newest().next({ ...crossed, checksum: checksumOf(crossed) })
    expect(feed.read()).toMatchObject({ phase: 'down', faults: 1, book: null })
  })

  it('does not go back within one stream, but a new stream may start anywhere', () => {
    newest().next(bookAt(9))
    newest().next(bookAt(8))
    expect(feed.read()).toMatchObject({ faults: 1, book: { sequence: 9 } })
    vi.advanceTimersByTime(1_000)
    newest().next(bookAt(3))
    vi.advanceTimersByTime(100)
    expect(feed.read()).toMatchObject({ phase: 'live', faults: 1, book: { sequence: 3 } })
  })

  it('keeps the last book while the connection is away', () => {
    newest().next(bookAt(1))
    newest().down(undefined, true)
    expect(feed.read()).toMatchObject({ phase: 'down', book: { sequence: 1 } })
  })

  it('stops the stream when nobody looks', () => {
    leave()
    expect(stopped).toBe(1)
    leave = () => undefined
  })
})
