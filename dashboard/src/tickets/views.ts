import { Store } from '../live/store'

/** A list that somebody gave a name: the address is all there is to it. */
export interface View {
  name: string
  path: string
}

const KEY = 'carbondesk.views'
const VIEWS_MAX = 100
const NAME_MAX = 60
const PATH = /^\/logging\/[a-z-]+(\?[^\s#]*)?$/

/** Keep named addresses of the log in this browser. */
class Views extends Store<readonly View[]> {
  constructor() {
    super(recalled())
  }

  /** Save a view; one of the same name is replaced. */
  readonly save = (view: View): void => this.#keep([...this.read().filter(({ name }) => name !== view.name), view])

  readonly remove = (name: string): void => this.#keep(this.read().filter((view) => view.name !== name))

  /**
   * Take views out of a file, over those of the same name; give how many.
   * Raises: SyntaxError when the file is not what an export writes.
   */
  readonly take = (text: string): number => {
    const taken = viewsIn(text)
    const names = new Set(taken.map(({ name }) => name))
    this.#keep([...this.read().filter(({ name }) => !names.has(name)), ...taken])
    return taken.length
  }

  #keep(views: readonly View[]): void {
    const kept = views.slice(-VIEWS_MAX)
    this.set(kept)
    try {
      localStorage.setItem(KEY, JSON.stringify(kept))
    } catch {
      // Storage may be forbidden; the views then last as long as the page.
    }
  }
}

export const views = new Views()

/**
 * Read views from the text of a file or of the storage. Only addresses of the log are taken, so that a file from somebody
 * else leads nowhere else.
 * Raises: SyntaxError.
 */
export function viewsIn(text: string): View[] {
  const read: unknown = JSON.parse(text)
  if (!Array.isArray(read)) throw new SyntaxError('A file of views holds a list.')
  const found = read.flatMap((one: unknown) => {
    const { name, path } = (one ?? {}) as Partial<Record<keyof View, unknown>>
    return typeof name === 'string' && name.trim() && typeof path === 'string' && PATH.test(path)
      ? [{ name: name.trim().slice(0, NAME_MAX), path }]
      : []
  })
  return found.slice(0, VIEWS_MAX)
}

function recalled(): View[] {
  try {
    return viewsIn(localStorage.getItem(KEY) ?? '[]')
  } catch {
    return []
  }
}
