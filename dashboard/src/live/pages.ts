import type { Problem } from '../problem'
import { Store } from './store'

export const PAGE_ROWS = 50
const REFRESHED_ROWS_MAX = 1_000 // a refresh reads again what is shown, up to this

/** A Relay connection as the screens ask for it. */
export interface Connection<Row> {
  nodes: readonly Row[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

export interface Total {
  count: number
  isExact: boolean
}

export interface PagesView<Row> {
  phase: 'loading' | 'ready' | 'failed'
  rows: readonly Row[]
  /** Whether the rows are being read again; the old ones stay meanwhile. */
  refreshing: boolean
  hasMore: boolean
  loadingMore: boolean
  /** How many there are without paging; undefined until counted, or when nobody counts. */
  total: Total | undefined
  /** When the rows were read, by this machine's clock. */
  readAt: number | undefined
  problem: Problem | undefined
}

export type Loaded<Value> = { value: Value } | { problem: Problem }

export interface PageSource<Row> {
  load: (first: number, after: string | null) => Promise<Loaded<Connection<Row>>>
  count?: (() => Promise<Loaded<Total>>) | undefined
}

/** Keep the pages of one list: read as far as somebody looked, and read again without losing what is shown. */
export class PageFeed<Row> extends Store<PagesView<Row>> {
  readonly #source: PageSource<Row>
  #endCursor: string | null = null
  #run = 0

  constructor(source: PageSource<Row>) {
    super({
      phase: 'loading',
      rows: [],
      refreshing: false,
      hasMore: false,
      loadingMore: false,
      total: undefined,
      readAt: undefined,
      problem: undefined,
    })
    this.#source = source
  }

  protected override watched(): void {
    void this.again()
  }

  protected override unwatched(): void {
    this.#run += 1 // an answer still under way belongs to nobody
  }

  /** Read again as many rows as are shown, and swap them whole. */
  readonly again = async (): Promise<void> => {
    const run = (this.#run += 1)
    const shown = this.read().rows.length
    this.#change({ refreshing: shown > 0, phase: shown > 0 ? this.read().phase : 'loading', problem: undefined, loadingMore: false })
    void this.#count(run)
    const rows: Row[] = []
    let after: string | null = null
    let hasMore = true
    while (hasMore && rows.length < Math.max(1, Math.min(shown, REFRESHED_ROWS_MAX))) {
      const answer: Loaded<Connection<Row>> = await this.#source.load(PAGE_ROWS, after)
      if (run !== this.#run) return
      if ('problem' in answer) {
        this.#change({ phase: shown > 0 ? 'ready' : 'failed', refreshing: false, problem: answer.problem })
        return
      }
      rows.push(...answer.value.nodes)
      after = answer.value.pageInfo.endCursor
      hasMore = answer.value.pageInfo.hasNextPage
    }
    this.#endCursor = after
    this.#change({ phase: 'ready', rows, refreshing: false, hasMore, readAt: Date.now() })
  }

  /** Add the next page. */
  readonly more = async (): Promise<void> => {
    const view = this.read()
    if (!view.hasMore || view.loadingMore || view.refreshing || view.phase !== 'ready') return
    const run = this.#run
    this.#change({ loadingMore: true, problem: undefined })
    const answer = await this.#source.load(PAGE_ROWS, this.#endCursor)
    if (run !== this.#run) return
    if ('problem' in answer) {
      this.#change({ loadingMore: false, problem: answer.problem })
      return
    }
    const { nodes, pageInfo } = answer.value
    this.#endCursor = pageInfo.endCursor
    this.#change({ loadingMore: false, rows: [...this.read().rows, ...nodes], hasMore: pageInfo.hasNextPage })
  }

  /** Change the rows at once, as when an answer of the server is already known. */
  readonly update = (change: (rows: readonly Row[]) => readonly Row[]): void => {
    this.#change({ rows: change(this.read().rows) })
  }

  async #count(run: number): Promise<void> {
    const answer = await this.#source.count?.()
    if (answer && 'value' in answer && run === this.#run) this.#change({ total: answer.value })
  }

  #change(part: Partial<PagesView<Row>>): void {
    this.set({ ...this.read(), ...part })
  }
}
