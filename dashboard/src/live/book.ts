import { textOf, unitsOf } from '../decimal'
import type { Problem } from '../problem'
import type { Follow } from './connection'
import { changed, checksumOf, isCrossed, levelKey, levelsOf, wholeOf, type Level, type Levels, type SentLevel } from './levels'
import { Store } from './store'

const PUBLISH_MS = 100 // ten pictures a second: faster is not read by anybody and costs the browser
const FLASH_MS = 500 // at most one flash per level in this time
const FLASH_LEVELS = 100 // those further from the touch are seldom on the screen
const STALE_AFTER_MS = 2_500 // a heartbeat comes each second
const RECONNECT_AFTER_MS = 8_000
const GAPS_WINDOW_MS = 60_000
const GAPS_MAX = 3 // more in a minute are worth a warning, and a pause before the next try
const FAULT_PAUSE_MS = 1_000

/** What `orderBookChanges` sends. */
export type BookEvent =
  | { __typename: 'OrderBookSnapshot'; reason: string; book: WholeBook }
  | {
      __typename: 'OrderBookDelta'
      sequence: number
      previousSequence: number
      checksum: number
      at: string
      changes: readonly (SentLevel & { side: 'BUY' | 'SELL' })[]
    }
  | { __typename: 'OrderBookHeartbeat'; sequence: number; at: string }

export interface WholeBook {
  sequence: number
  checksum: number
  at: string
  bids: readonly SentLevel[]
  asks: readonly SentLevel[]
}

/** A book as committed, every level. */
export interface Book extends Levels {
  sequence: number
  /** The last moment, by the server, at which this was known to be the newest book. */
  at: string
  bestBid: string | null
  bestAsk: string | null
  spread: string | null
}

export interface Flash {
  id: number
  direction: 'up' | 'down'
}

export type BookPhase = 'idle' | 'connecting' | 'snapshot' | 'live' | 'stale' | 'resync' | 'reconnecting' | 'refused'

export interface BookView {
  phase: BookPhase
  book: Book | null
  flashes: ReadonlyMap<string, Flash>
  /** When the book was last known to be the newest, by this machine's clock. */
  freshAt: number | null
  events: number
  /** How much longer than the quickest event the newest one was under way. */
  lagMs: number
  /** Times an event did not lead on from the book before it, or not to the book it named. */
  gaps: number
  /** Whether there were too many of them within the last minute. */
  isUnstable: boolean
  problem: Problem | null
}

interface Way {
  /** Follow the changes of a book after a sequence, or from a whole book. */
  follow: (after: () => number | null) => Follow<BookEvent>
  /** Open a new socket: this one has gone quiet. */
  reconnect: () => void
}

/**
 * Keep the book of one certificate from its changes, and publish it at most ten times a second.
 * Each event must lead on from the book before it and to the checksum it names; otherwise the book is asked for again,
 * and until it is here the old one stays, marked as old.
 */
export class BookFeed extends Store<BookView> {
  readonly #way: Way
  #stop: (() => void) | undefined
  #draft: BookView = EMPTY_VIEW
  #heldBack: Book | null = null // published when the feed is paused
  #isPaused = false
  #isHidden = false
  #sequence: number | null = null // null: begin anew
  #owed: number | null = null // where the last heartbeat said that we should be
  #newest = '' // the newest instant the server named
  #heardAt = 0
  #quickestMs = Infinity // between the server's clock and ours, whatever they differ by
  #gapTimes: number[] = []
  #flashedAt = new Map<string, { at: number; flash: Flash }>()
  #flashes = 0
  #publishedAt = -Infinity
  #timers: Record<'publish' | 'age' | 'restart', ReturnType<typeof setTimeout> | undefined> = {
    publish: undefined,
    age: undefined,
    restart: undefined,
  }

  constructor(way: Way) {
    super(EMPTY_VIEW)
    this.#way = way
  }

  protected override watched(): void {
    this.#start('connecting')
  }

  protected override unwatched(): void {
    this.#end()
    this.#draft = { ...this.#draft, phase: 'idle' }
  }

  /** Keep the picture still for who wants to read it; the book itself is kept on. */
  readonly pause = (isPaused: boolean): void => {
    this.#isPaused = isPaused
    this.#heldBack = isPaused ? this.#draft.book : null
    this.#publish()
  }

  /** Stop while nobody can see the page, and go on from there when somebody can. */
  readonly hide = (isHidden: boolean): void => {
    if (isHidden === this.#isHidden) return
    this.#isHidden = isHidden
    if (isHidden) {
      this.#end()
      this.#draft = { ...this.#draft, phase: 'stale' }
      this.#publish()
    } else this.#start('connecting')
  }

  #start(phase: BookPhase): void {
    this.#end()
    this.#owed = null
    this.#heardAt = Date.now()
    this.#draft = { ...this.#draft, phase }
    this.#stop = this.#way.follow(() => this.#sequence)({
      next: (event) => this.#take(event),
      down: (problem, retrying) => this.#down(problem, retrying),
    })
    this.#publish()
    this.#watchAge()
  }

  #end(): void {
    this.#stop?.()
    this.#stop = undefined
    for (const timer of Object.values(this.#timers)) clearTimeout(timer)
    this.#timers = { publish: undefined, age: undefined, restart: undefined }
  }

  #down(problem: Problem | undefined, retrying: boolean): void {
    clearTimeout(this.#timers.age)
    this.#owed = null
    this.#draft = { ...this.#draft, phase: retrying ? 'reconnecting' : 'refused', problem: problem ?? null }
    this.#publish()
  }

  #take(event: BookEvent): void {
    this.#heardAt = Date.now()
    const events = this.#draft.events + 1
    if (event.__typename === 'OrderBookHeartbeat') {
      // What was owed by the last heartbeat must be here by now.
      if (this.#owed !== null && (this.#sequence ?? -1) < this.#owed) return this.#gap()
      this.#owed = this.#sequence !== null && event.sequence > this.#sequence ? event.sequence : null
      const book = this.#draft.book
      if (book && this.#owed === null) this.#draft = { ...this.#draft, book: { ...book, at: event.at } }
      this.#draft = { ...this.#draft, events }
      this.#fresh(event.at)
      return this.#publishSoon()
    }
    const isWhole = event.__typename === 'OrderBookSnapshot'
    if (!isWhole && event.previousSequence !== this.#sequence) return this.#gap()
    const { sequence, checksum, at } = isWhole ? event.book : event
    const levels = isWhole ? wholeOf(event.book) : changed(this.#draft.book ?? { bids: [], asks: [] }, event.changes)
    if (checksumOf(levels) !== checksum || isCrossed(levels)) return this.#gap()
    this.#sequence = sequence
    this.#draft = { ...this.#draft, book: bookOf(levels, sequence, at), events, problem: null }
    if (isWhole) this.#newest = '' // a whole book begins anew, also where it is from an older clock
    this.#fresh(at)
    this.#publishSoon()
  }

  // Silence is told by the server's clock standing still, not only by nothing being sent.
  #fresh(at: string): void {
    if (at <= this.#newest && this.#draft.phase === 'stale') return
    const isNewer = at > this.#newest
    if (isNewer) this.#newest = at
    const waiting = this.#draft.phase === 'resync' ? 'resync' : 'snapshot' // a heartbeat may come before the book
    const phase = this.#sequence === null ? waiting : 'live'
    const passedMs = Date.now() - Date.parse(at)
    this.#quickestMs = Math.min(this.#quickestMs, passedMs)
    const lagMs = passedMs - this.#quickestMs
    this.#draft = { ...this.#draft, phase, lagMs, freshAt: isNewer ? Date.now() : this.#draft.freshAt }
    if (isNewer || this.#timers.age === undefined) this.#watchAge()
  }

  #gap(): void {
    const now = Date.now()
    this.#sequence = null
    this.#gapTimes = [...this.#gapTimes.filter((at) => now - at < GAPS_WINDOW_MS), now]
    const isUnstable = this.#gapTimes.length > GAPS_MAX
    this.#end()
    this.#draft = {
      ...this.#draft,
      phase: 'resync',
      gaps: this.#draft.gaps + 1,
      isUnstable,
      problem: isUnstable ? UNSTABLE : null,
    }
    this.#publish()
    this.#timers.restart = setTimeout(() => this.#start('resync'), isUnstable ? FAULT_PAUSE_MS : 0)
  }

  #watchAge(): void {
    clearTimeout(this.#timers.age)
    this.#timers.age = setTimeout(() => {
      if (this.#draft.book) this.#draft = { ...this.#draft, phase: 'stale' }
      this.#publish()
      this.#timers.age = setTimeout(() => {
        // Where nothing is heard at all the socket is dead; where the server speaks, its database is away.
        if (Date.now() - this.#heardAt >= STALE_AFTER_MS) this.#way.reconnect()
        this.#watchAge()
      }, RECONNECT_AFTER_MS - STALE_AFTER_MS)
    }, STALE_AFTER_MS)
  }

  #publishSoon(): void {
    if (this.#timers.publish !== undefined) return
    const wait = this.#publishedAt + PUBLISH_MS - performance.now()
    if (wait <= 0) this.#publish()
    else this.#timers.publish = setTimeout(() => this.#publish(), wait)
  }

  #publish(): void {
    clearTimeout(this.#timers.publish)
    this.#timers.publish = undefined
    this.#publishedAt = performance.now()
    const shown = this.read()
    const view = this.#isPaused ? { ...this.#draft, book: this.#heldBack } : this.#draft
    if (shown.phase === 'live' && shown.book && view.book && shown.book !== view.book) this.#flash(shown.book, view.book)
    this.set({ ...view, flashes: this.#recentFlashes() })
  }

  #flash(before: Book, after: Book): void {
    if (before.sequence === after.sequence) return
    for (const side of ['bid', 'ask'] as const) {
      const old = new Map(levelsOf(before, side).map((level) => [level.price, level.quantity]))
      for (const { price, quantity } of levelsOf(after, side).slice(0, FLASH_LEVELS)) {
        const was = old.get(price)
        if (was === quantity) continue
        const direction = unitsOf(quantity) > unitsOf(was ?? '0') ? 'up' : 'down'
        const key = levelKey(side, price)
        const last = this.#flashedAt.get(key)
        if (last && performance.now() - last.at < FLASH_MS) continue
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
  phase: 'idle',
  book: null,
  flashes: new Map(),
  freshAt: null,
  events: 0,
  lagMs: 0,
  gaps: 0,
  isUnstable: false,
  problem: null,
}

const UNSTABLE: Problem = {
  code: 'UNSTABLE_FEED',
  message: 'Unstable feed: changes of the book were lost more than three times within a minute. It is asked for again each time.',
  ticketId: undefined,
  retryable: true,
}

function bookOf(levels: Levels, sequence: number, at: string): Book {
  const bid: Level | undefined = levels.bids[0]
  const ask: Level | undefined = levels.asks[0]
  return {
    ...levels,
    sequence,
    at,
    bestBid: bid?.price ?? null,
    bestAsk: ask?.price ?? null,
    spread: bid && ask ? textOf(ask.units - bid.units, 2) : null,
  }
}
