import type { Problem } from '../problem'
import type { Follow } from './connection'
import { Store } from './store'

const PUBLISH_MS = 200 // a burst is one change of the list
const CATCH_UP_MS = 500 // until the streams of a new socket have surely begun
const ROWS_MAX = 2_000 // beyond this the browser becomes slow; older rows are then found by a filter

/** What a list needs of its rows to keep them in order and each at its newest. */
export interface Identified {
  id: string
}

export interface RowsView<Row> {
  phase: 'loading' | 'ready' | 'failed'
  rows: readonly Row[]
  hasMore: boolean
  loadingMore: boolean
  problem: Problem | null
}

interface Way<Row extends Identified> {
  /** Read a page; without a cursor the newest. */
  load: (after: string | undefined) => Promise<{ rows: readonly Row[]; endCursor: string | null; hasNextPage: boolean } | { problem: Problem }>
  /** Follow rows as they are written or change. */
  follow: Follow<Row>
  /** Be told when the connection is back after a break. */
  back: (listener: () => void) => () => void
  /** Say whether a is newer than b, as the list is sorted newest first. */
  isNewer: (a: Row, b: Row) => boolean
  /** Say whether a row that changed still belongs here. */
  belongs: (row: Row) => boolean
  /** Say whether what the stream sent is at least as new as what is known. */
  replaces: (row: Row, known: Row) => boolean
  /** Load all pages at once, for sums over them. */
  whole?: boolean
}

/**
 * Keep a list true: its pages by query, what changes by stream.
 * The stream has no place to resume from, so that after each break the newest page is read again.
 */
export class RowsFeed<Row extends Identified> extends Store<RowsView<Row>> {
  readonly #way: Way<Row>
  readonly #arrived = new Map<string, Row>()
  #stop: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #catchUp: ReturnType<typeof setTimeout> | undefined
  #endCursor: string | undefined
  #run = 0
  #isBroken = false

  constructor(way: Way<Row>) {
    super({ phase: 'loading', rows: [], hasMore: false, loadingMore: false, problem: null })
    this.#way = way
  }

  protected override watched(): void {
    // First listen, then read: what happens in between is in the stream.
    const leave = this.#way.follow({
      next: (row) => this.put(row),
      down: () => (this.#isBroken = true),
    })
    const forget = this.#way.back(() => {
      if (this.#isBroken) this.#catchUp = setTimeout(() => void this.reload(), CATCH_UP_MS)
      this.#isBroken = false
    })
    this.#stop = () => {
      leave()
      forget()
    }
    void this.reload()
  }

  protected override unwatched(): void {
    this.#run += 1
    this.#stop?.()
    clearTimeout(this.#timer)
    clearTimeout(this.#catchUp)
    this.#timer = undefined
  }

  /** Take a row that somebody knows before the stream tells of it, such as an order just placed. */
  readonly put = (row: Row): void => {
    const known = this.#arrived.get(row.id)
    if (!known || this.#way.replaces(row, known)) this.#arrived.set(row.id, row)
    this.#timer ??= setTimeout(() => this.#publish(), PUBLISH_MS)
  }

  /** Take a row away that only stood for what was to come, and what has come in its place, at once. */
  readonly swap = (id: string | undefined, row: Row | undefined): void => {
    if (id !== undefined) this.#arrived.delete(id)
    if (row) this.put(row)
    this.#change({ rows: this.#merge(this.read().rows.filter((known) => known.id !== id)) })
  }

  /** Read the newest page again; the old rows stay until it is here. */
  readonly reload = async (): Promise<void> => {
    const run = (this.#run += 1)
    const rows: Row[] = []
    let after: string | undefined
    let hasMore = true
    do {
      const page = await this.#way.load(after)
      if (run !== this.#run) return
      if ('problem' in page) {
        this.#change({ phase: this.read().rows.length > 0 ? 'ready' : 'failed', problem: page.problem })
        return
      }
      rows.push(...page.rows)
      after = page.endCursor ?? undefined
      hasMore = page.hasNextPage
    } while (this.#way.whole && hasMore && rows.length < ROWS_MAX)
    this.#endCursor = after
    this.#change({ phase: 'ready', rows: this.#merge(rows), hasMore, loadingMore: false, problem: null })
  }

  /** Add the next older page. */
  readonly more = async (): Promise<void> => {
    const view = this.read()
    if (!view.hasMore || view.loadingMore || view.phase !== 'ready') return
    const run = this.#run
    this.#change({ loadingMore: true })
    const page = await this.#way.load(this.#endCursor)
    if (run !== this.#run) return
    if ('problem' in page) {
      this.#change({ loadingMore: false, problem: page.problem })
      return
    }
    this.#endCursor = page.endCursor ?? undefined
    this.#change({ rows: this.#merge([...this.read().rows, ...page.rows]), hasMore: page.hasNextPage, loadingMore: false })
  }

  #publish(): void {
    this.#timer = undefined
    if (this.read().phase === 'loading') return // the page that comes takes them in
    this.#change({ rows: this.#merge(this.read().rows) })
    // What is in the rows now needs not to be remembered apart; late pages replace nothing newer.
    if (this.#arrived.size > ROWS_MAX) this.#arrived.clear()
  }

  #merge(rows: readonly Row[]): readonly Row[] {
    const all = new Map<string, Row>()
    for (const row of [...rows, ...this.#arrived.values()]) {
      const known = all.get(row.id)
      if (!known || this.#way.replaces(row, known)) all.set(row.id, row)
    }
    return [...all.values()].filter(this.#way.belongs).sort((a, b) => (this.#way.isNewer(a, b) ? -1 : 1))
  }

  #change(part: Partial<RowsView<Row>>): void {
    this.set({ ...this.read(), ...part })
  }
}
