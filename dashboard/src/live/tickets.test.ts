import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Sink } from './connection'
import { TicketFeed, type Entry, type Page } from './tickets'

const entry = (number: number): Entry => ({
  ticketId: `TKT-2026-${String(number).padStart(6, '0')}`,
  timestamp: `2026-01-19T10:00:${String(number % 60).padStart(2, '0')}.000000Z`,
})
const page = (numbers: number[], hasNextPage = false): Page<Entry> => ({
  rows: numbers.map(entry),
  endCursor: hasNextPage ? 'next' : null,
  hasNextPage,
})

describe('the list of tickets', () => {
  let pages: Page<Entry>[]
  let sink: Sink<Entry>
  let resumeAfter: () => string | undefined
  let asked: (string | undefined)[]
  let feed: TicketFeed<Entry>
  let leave: () => void
  const numbers = () => feed.read().rows.map((row) => Number(row.ticketId.slice(-6)))
  const arrive = (...list: number[]) => {
    list.forEach((number) => sink.next(entry(number)))
    vi.advanceTimersByTime(200)
  }

  beforeEach(async () => {
    vi.useFakeTimers()
    pages = [page([3, 2, 1], true)]
    asked = []
    feed = new TicketFeed<Entry>({
      load: (after) => {
        asked.push(after)
        return Promise.resolve({ page: pages.shift() ?? page([]) })
      },
      follow: (_, resume) => (given) => {
        resumeAfter = resume
        sink = given
        return () => undefined
      },
    })
    leave = feed.subscribe(() => undefined)
    await vi.advanceTimersByTimeAsync(0)
  })

  afterEach(() => {
    leave()
    vi.useRealTimers()
  })

  it('begins with a page and adds what arrives, newest first, once each', () => {
    expect(numbers()).toEqual([3, 2, 1])
    arrive(5, 3, 4)
    expect(numbers()).toEqual([5, 4, 3, 2, 1])
    expect([...feed.read().fresh]).toEqual(['TKT-2026-000005', 'TKT-2026-000004'])
  })

  it('puts a ticket that committed late where it belongs', () => {
    arrive(6)
    arrive(4)
    expect(numbers()).toEqual([6, 4, 3, 2, 1])
  })

  it('keeps the rows still while held, and lets the new ones in afterwards', () => {
    feed.hold(true)
    arrive(4, 5)
    expect(numbers()).toEqual([3, 2, 1])
    expect(feed.read().pending).toHaveLength(2)
    feed.hold(false)
    expect(numbers()).toEqual([5, 4, 3, 2, 1])
    expect(feed.read().pending).toHaveLength(0)
  })

  it('resumes with an overlap, so that a late commit is not lost', () => {
    arrive(...Array.from({ length: 20 }, (_, at) => at + 4))
    expect(resumeAfter()).toBe('TKT-2026-000014')
  })

  it('adds older pages at the end', async () => {
    pages = [page([0])]
    await feed.more()
    expect(asked).toEqual([undefined, 'next'])
    expect(numbers()).toEqual([3, 2, 1, 0])
    expect(feed.read().hasMore).toBe(false)
  })

  it('says when the stream is away and when it is back', () => {
    sink.down(undefined, true)
    expect(feed.read().stream).toBe('down')
    arrive(4)
    expect(feed.read().stream).toBe('live')
  })
})
