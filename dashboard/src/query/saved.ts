import { Store } from '../live/store'
import type { Draft } from './share'

export interface Saved extends Draft {
  id: string
  name: string
}

const KEY = 'carbondesk.queries'
const SAVED_MAX = 200

/** Keep queries with names in this browser. */
class SavedQueries extends Store<readonly Saved[]> {
  constructor() {
    super(recalled())
  }

  /** Save a query; one of the same name is replaced. Returns its id. */
  readonly save = (name: string, draft: Draft): string => {
    const id = this.read().find((known) => known.name === name)?.id ?? crypto.randomUUID()
    this.#keep([...this.read().filter((known) => known.id !== id), { id, name, query: draft.query, variables: draft.variables }])
    return id
  }

  readonly remove = (id: string): void => this.#keep(this.read().filter((known) => known.id !== id))

  #keep(saved: readonly Saved[]): void {
    const kept = saved.slice(-SAVED_MAX)
    this.set(kept)
    try {
      localStorage.setItem(KEY, JSON.stringify(kept))
    } catch {
      // Storage may be forbidden; what was saved then lasts as long as the page.
    }
  }
}

export const savedQueries = new SavedQueries()

function recalled(): Saved[] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    if (!Array.isArray(read)) return []
    return (read as Partial<Saved>[]).flatMap(({ id, name, query, variables }) =>
      typeof id === 'string' && typeof name === 'string' && typeof query === 'string'
        ? [{ id, name, query, variables: typeof variables === 'string' ? variables : '' }]
        : [],
    )
  } catch {
    return []
  }
}
