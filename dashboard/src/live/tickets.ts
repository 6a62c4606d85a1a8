import type { Problem } from '../problem'
import type { Follow } from './connection'
import { Store } from './store'

export const PAGE_SIZE = 50
const PUBLISH_MS = 200 // a burst of tickets is one change of the list
const ROWS_MAX = 2_000 // beyond this the browser, not the server, becomes slow: start again from the newest page
// The stream resumes in commit order, the list is sorted by time: rows this near the top may still have late neighbours.
const RESUME_OVERLAP = 10

/** What the list needs of a ticket to keep it in order. */
export interface Entry {
  ticketId: string
  timestamp: string
}

export interface Page<Row> {
  rows: readonly Row[]
  endCursor: string | null
  hasNextPage: boolean
}

export interface TicketsView<Row> {
  phase: 'loading' | 'ready' | 'failed'
  /** Newest first. */
  rows: readonly Row[]
  /** Tickets that arrived while the list was held still. */
  pending: readonly Row[]
  /** Tickets that arrived by stream, for the eye. */
  fresh: ReadonlySet<string>
  stream: 'connecting' | 'live' | 'down' | 'refused'
  hasMore: boolean
  loadingMore: boolean
  /** When the newest page was asked for: what relative windows of time begin from. */
  readAt: number
  problem: Problem | null
}

export interface TicketSource<Row> {
  load: (after: string | undefined, readAt: number) => Promise<{ page: Page<Row> } | { problem: Problem }>
  /** Without one the list stands still, oldest first, as far as it was read. */
  follow?: ((readAt: number, resumeAfter: () => string | undefined) => Follow<Row>) | undefined
}

/** Keep a list of tickets: its first page by query, what follows by stream, and no ticket twice or never. */
export class TicketFeed<Row extends Entry> extends Store<TicketsView<Row>> {
  readonly #source: TicketSource<Row>
  readonly #held = new Map<string, Row>() // arrived, not yet published
  #stop: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #endCursor: string | undefined
  #still = false
  #run = 0

  constructor(source: TicketSource<Row>) {
    super({
      phase: 'loading',
      rows: [],
      pending: [],
      fresh: new Set(),
      stream: 'connecting',
      hasMore: false,
      loadingMore: false,
      readAt: Date.now(),
      problem: null,
    })
    this.#source = source
  }

  protected override watched(): void {
    void this.reload()
  }

  protected override unwatched(): void {
    this.#run += 1 // an answer still under way belongs to nobody
    this.#stop?.()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Start again from the newest page; the old rows stay until the new ones are here. */
  readonly reload = async (): Promise<void> => {
    const run = (this.#run += 1)
    this.#stop?.()
    this.#held.clear()
    if (this.read().rows.length === 0) this.#change({ phase: 'loading', problem: null })
    const readAt = Date.now()
    const answer = await this.#source.load(undefined, readAt)
    if (run !== this.#run) return
    if ('problem' in answer) {
      this.#change({ phase: 'failed', problem: answer.problem })
      return
    }
    const { rows, endCursor, hasNextPage } = answer.page
    this.#endCursor = endCursor ?? undefined
    this.#change({ phase: 'ready', rows, pending: [], fresh: new Set(), hasMore: hasNextPage, loadingMore: false, readAt, problem: null })
    this.#listen()
  }

  /** Add the next older page. */
  readonly more = async (): Promise<void> => {
    const view = this.read()
    if (!view.hasMore || view.loadingMore || view.phase !== 'ready') return
    const run = this.#run
    this.#change({ loadingMore: true, problem: null })
    const answer = await this.#source.load(this.#endCursor, this.read().readAt)
    if (run !== this.#run) return
    if ('problem' in answer) {
      this.#change({ loadingMore: false, problem: answer.problem })
      return
    }
    const { rows, endCursor, hasNextPage } = answer.page
    this.#endCursor = endCursor ?? undefined
    this.#change({ rows: this.#joined(this.read().rows, rows), hasMore: hasNextPage, loadingMore: false })
  }

  /** Hold the rows still, or let what arrived meanwhile in. */
  readonly hold = (still: boolean): void => {
    if (still === this.#still) return
    this.#still = still
    if (!still) this.release()
  }

  /** Let what arrived in, and go on as before. */
  readonly release = (): void => {
    const { rows, pending, fresh } = this.read()
    if (pending.length === 0) return
    this.#change({ rows: merge(rows, pending), pending: [], fresh: add(fresh, pending) })
  }

  // Without a stream rows come in the order of their pages.
  #joined(rows: readonly Row[], older: readonly Row[]): Row[] {
    return this.#source.follow ? merge(rows, older) : [...rows, ...older]
  }

  #listen(): void {
    this.#stop = this.#source.follow?.(this.read().readAt, () => this.#resumeAfter())({
      next: (row) => {
        if (this.read().stream !== 'live') this.#change({ stream: 'live' })
        this.#held.set(row.ticketId, row)
        this.#timer ??= setTimeout(() => this.#publish(), PUBLISH_MS)
      },
      down: (problem, retrying) => this.#change({ stream: retrying ? 'down' : 'refused', problem: problem ?? null }),
    })
  }

  #resumeAfter(): string | undefined {
    const rows = merge(this.read().rows, this.read().pending)
    return rows[Math.min(RESUME_OVERLAP, rows.length) - 1]?.ticketId
  }

  #publish(): void {
    this.#timer = undefined
    const { rows, pending, fresh } = this.read()
    const known = new Set([...rows, ...pending].map((row) => row.ticketId))
    const arrived = [...this.#held.values()].filter((row) => !known.has(row.ticketId))
    this.#held.clear()
    if (arrived.length === 0) return
    if (rows.length + pending.length + arrived.length > ROWS_MAX) void this.reload()
    else if (this.#still) this.#change({ pending: merge(pending, arrived) })
    else this.#change({ rows: merge(rows, arrived), fresh: add(fresh, arrived) })
  }

  #change(part: Partial<TicketsView<Row>>): void {
    this.set({ ...this.read(), ...part })
  }
}

function merge<Row extends Entry>(a: readonly Row[], b: readonly Row[]): Row[] {
  const all = new Map([...a, ...b].map((row) => [row.ticketId, row]))
  return [...all.values()].sort(newestFirst)
}

// Instants of one fixed width and zone compare as text; tickets of one instant by their number.
function newestFirst(a: Entry, b: Entry): number {
  if (a.timestamp !== b.timestamp) return a.timestamp < b.timestamp ? 1 : -1
  return a.ticketId < b.ticketId ? 1 : -1
}

function add(ids: ReadonlySet<string>, rows: readonly Entry[]): ReadonlySet<string> {
  return new Set([...ids, ...rows.map((row) => row.ticketId)])
}
