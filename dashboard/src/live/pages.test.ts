import { describe, expect, it } from 'vitest'
import type { Problem } from '../problem'
import { PAGE_ROWS, PageFeed, type Connection, type Loaded } from './pages'

const PROBLEM: Problem = { code: 'SERVER_AWAY', message: 'away', ticketId: undefined, retryable: true }

/** A list of numbers on a server that can be away. */
class Numbers {
  away = false
  asked: (string | null)[] = []
  constructor(public length: number) {}

  readonly load = (first: number, after: string | null): Promise<Loaded<Connection<number>>> => {
    this.asked.push(after)
    if (this.away) return Promise.resolve({ problem: PROBLEM })
    const from = after === null ? 0 : Number(after) + 1
    const nodes = Array.from({ length: this.length }, (_, n) => n).slice(from, from + first)
    const last = nodes.at(-1)
    return Promise.resolve({
      value: { nodes, pageInfo: { hasNextPage: last !== undefined && last < this.length - 1, endCursor: last === undefined ? null : String(last) } },
    })
  }

  readonly count = () => Promise.resolve({ value: { count: this.length, isExact: true } })
}

const settled = () => new Promise((done) => setTimeout(done, 5))

async function opened(numbers: Numbers) {
  const feed = new PageFeed<number>(numbers)
  feed.subscribe(() => undefined)
  await settled()
  return feed
}

describe('pages', () => {
  it('come one after the other, each row once, and are counted apart', async () => {
    const feed = await opened(new Numbers(PAGE_ROWS + 3))
    expect(feed.read()).toMatchObject({ phase: 'ready', hasMore: true, total: { count: PAGE_ROWS + 3, isExact: true } })
    await feed.more()
    expect(feed.read().rows).toEqual(Array.from({ length: PAGE_ROWS + 3 }, (_, n) => n))
    expect(feed.read().hasMore).toBe(false)
  })

  it('are read again as far as they were read, and the old rows stay meanwhile', async () => {
    const numbers = new Numbers(PAGE_ROWS * 3)
    const feed = await opened(numbers)
    await feed.more()
    numbers.length += 1
    const reading = feed.again()
    expect(feed.read()).toMatchObject({ phase: 'ready', refreshing: true })
    expect(feed.read().rows).toHaveLength(PAGE_ROWS * 2)
    await reading
    expect(feed.read().rows).toHaveLength(PAGE_ROWS * 2)
    expect(numbers.asked).toEqual([null, String(PAGE_ROWS - 1), null, String(PAGE_ROWS - 1)])
  })

  it('keep their rows when the server goes away, and say so', async () => {
    const numbers = new Numbers(7)
    const feed = await opened(numbers)
    numbers.away = true
    await feed.again()
    expect(feed.read()).toMatchObject({ phase: 'ready', problem: PROBLEM, rows: [0, 1, 2, 3, 4, 5, 6] })
    numbers.away = false
    await feed.again()
    expect(feed.read().problem).toBeUndefined()
  })

  it('that never came are failed, not empty', async () => {
    const numbers = new Numbers(7)
    numbers.away = true
    expect((await opened(numbers)).read()).toMatchObject({ phase: 'failed', rows: [], problem: PROBLEM })
  })
})
