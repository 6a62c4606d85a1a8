import { unitsOf } from '../decimal'
import type { Problem } from '../problem'
import type { Follow } from './connection'
import { crc32 } from './crc32'
import { Store } from './store'

/** Levels asked for on each side. The checksum covers ten, so fewer could not be verified. */
export const DEPTH = 20
const CHECKSUM_LEVELS = 10

const PUBLISH_MS = 100 // ten pictures a second: faster is not read by anybody and costs the browser
const FLASH_MS = 500 // at most one flash per level in this time
const STALE_AFTER_MS = 8_000 // a whole book comes at least every 5 s, also from a quiet market
const RESTART_AFTER_MS = 16_000
const FAULT_PAUSE_MS = 1_000 // a server that keeps sending false books must not be asked in a tight loop

export interface Level {
  price: string
  quantity: string
  orderCount: number
  cumulativeQuantity: string
}

export interface Book {
  certificateType: 'CEA' | 'EUA'
  sequence: number
  bids: readonly Level[]
  asks: readonly Level[]
  bestBid: string | null
  bestAsk: string | null
  spread: string | null
  lastPrice: string | null
  checksum: number
  at: string
}

export type Side = 'bid' | 'ask'

export interface Flash {
  id: number
  direction: 'up' | 'down'
}

export interface BookView {
  phase: 'loading' | 'live' | 'stale' | 'down' | 'refused'
  book: Book | null
  flashes: ReadonlyMap<string, Flash>
  /** Which way the last price moved when it last moved. */
  lastMove: 'up' | 'down' | null
  receivedAt: number | null
  events: number
  /** Books thrown away because they contradicted themselves or their predecessor. */
  faults: number
  problem: Problem | null
}

/**
 * Keep the newest true book of one certificate and publish it at most ten times a second.
 * Each book is verified before it is shown; one that fails is thrown away and the stream is started again.
 */
export class BookFeed extends Store<BookView> {
  readonly #follow: Follow<Book>
  #stop: (() => void) | undefined
  #draft: BookView
  #flashedAt = new Map<string, { at: number; flash: Flash }>()
  #flashes = 0
  #publishedAt = -Infinity
  #publishTimer: ReturnType<typeof setTimeout> | undefined
  #staleTimer: ReturnType<typeof setTimeout> | undefined
  // A fresh stream may start anywhere: only within one stream must sequences not go back.
  #sequence = -1

  constructor(follow: Follow<Book>) {
    super(EMPTY_VIEW)
    this.#draft = EMPTY_VIEW
    this.#follow = follow
  }

  protected override watched(): void {
    this.#start()
  }

  protected override unwatched(): void {
    this.#stop?.()
    clearTimeout(this.#publishTimer)
    clearTimeout(this.#staleTimer)
    this.#publishTimer = undefined
  }

  #start(): void {
    this.#stop?.()
    this.#sequence = -1
    this.#stop = this.#follow({
      next: (book) => this.#take(book),
      down: (problem, retrying) => {
        clearTimeout(this.#staleTimer)
        this.#sequence = -1
        this.#draft = { ...this.#draft, phase: retrying ? 'down' : 'refused', problem: problem ?? null }
        this.#publish()
      },
    })
    this.#watchAge()
  }

  #take(book: Book): void {
    const fault = book.sequence < this.#sequence || contradicts(book)
    if (fault) {
      this.#refuse()
      return
    }
    this.#sequence = book.sequence
    const before = this.#draft.book
    this.#draft = {
      ...this.#draft,
      phase: 'live',
      book,
      lastMove: moveOf(before?.lastPrice, book.lastPrice) ?? this.#draft.lastMove,
      receivedAt: Date.now(),
      events: this.#draft.events + 1,
      problem: null,
    }
    this.#watchAge()
    this.#publishSoon()
  }

  #refuse(): void {
    this.#stop?.()
    const phase = this.#draft.book ? 'stale' : 'down'
    this.#draft = { ...this.#draft, phase, faults: this.#draft.faults + 1, problem: CONTRADICTION }
    this.#publish()
    clearTimeout(this.#staleTimer)
    this.#staleTimer = setTimeout(() => this.#start(), FAULT_PAUSE_MS)
  }

  #watchAge(): void {
    clearTimeout(this.#staleTimer)
    this.#staleTimer = setTimeout(() => {
      if (this.#draft.book) this.#draft = { ...this.#draft, phase: 'stale' }
      this.#publish()
      this.#staleTimer = setTimeout(() => this.#start(), RESTART_AFTER_MS - STALE_AFTER_MS)
    }, STALE_AFTER_MS)
  }

  #publishSoon(): void {
    if (this.#publishTimer !== undefined) return
    const wait = this.#publishedAt + PUBLISH_MS - performance.now()
    if (wait <= 0) this.#publish()
    else this.#publishTimer = setTimeout(() => this.#publish(), wait)
  }

  #publish(): void {
    clearTimeout(this.#publishTimer)
    this.#publishTimer = undefined
    this.#publishedAt = performance.now()
    const shown = this.read()
    if (shown.phase === 'live' && shown.book && this.#draft.book) this.#flash(shown.book, this.#draft.book)
    this.set({ ...this.#draft, flashes: this.#recentFlashes() })
  }

  #flash(before: Book, after: Book): void {
    for (const side of ['bid', 'ask'] as const) {
      const old = new Map(levelsOf(before, side).map((level) => [level.price, level.quantity]))
      for (const { price, quantity } of levelsOf(after, side)) {
        const direction = moveOf(old.get(price) ?? '0', quantity)
        const key = levelKey(side, price)
        const last = this.#flashedAt.get(key)
        if (!direction || (last && performance.now() - last.at < FLASH_MS)) continue
        this.#flashes += 1
        this.#flashedAt.set(key, { at: performance.now(), flash: { id: this.#flashes, direction } })
      }
    }
  }

  #recentFlashes(): ReadonlyMap<string, Flash> {
    const recent = new Map<string, Flash>()
    for (const [key, { at, flash }] of this.#flashedAt) {
      if (performance.now() - at < FLASH_MS) recent.set(key, flash)
      else this.#flashedAt.delete(key)
    }
    return recent
  }
}

export const EMPTY_VIEW: BookView = {
  phase: 'loading',
  book: null,
  flashes: new Map(),
  lastMove: null,
  receivedAt: null,
  events: 0,
  faults: 0,
  problem: null,
}

const CONTRADICTION: Problem = {
  code: 'BOOK_CONTRADICTION',
  message: 'A book did not match its own checksum or order. It was thrown away and is asked for again.',
  ticketId: undefined,
  retryable: true,
}

/** Give one side of a book, best first. */
export function levelsOf(book: Book, side: Side): readonly Level[] {
  return side === 'bid' ? book.bids : book.asks
}

/** Name a level, for what is remembered about it between two books. */
export function levelKey(side: Side, price: string): string {
  return `${side}:${price}`
}

/** Compute a book's checksum from its levels, as the contract defines it. */
export function checksumOf(book: Pick<Book, 'bids' | 'asks'>): number {
  const write = (mark: string, levels: readonly Level[]) =>
    levels.slice(0, CHECKSUM_LEVELS).map(({ price, quantity }) => `${mark}:${price}:${quantity};`)
  return crc32([...write('b', book.bids), ...write('a', book.asks)].join(''))
}

function contradicts(book: Book): boolean {
  const [bid] = book.bids
  const [ask] = book.asks
  const crossed = bid !== undefined && ask !== undefined && unitsOf(bid.price) >= unitsOf(ask.price)
  return crossed || checksumOf(book) !== book.checksum
}

function moveOf(before: string | null | undefined, after: string | null | undefined): 'up' | 'down' | null {
  if (before == null || after == null || before === after) return null
  const delta = unitsOf(after) - unitsOf(before)
  if (delta === 0n) return null
  return delta > 0n ? 'up' : 'down'
}
