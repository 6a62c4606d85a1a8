import { Store, useStore } from '../live/store'

const KEY = 'carbondesk.tickets.hidden'

class Hidden extends Store<ReadonlySet<string>> {
  constructor() {
    super(new Set(recall()))
  }

  readonly toggle = (id: string): void => {
    const next = new Set(this.read())
    if (!next.delete(id)) next.add(id)
    this.set(next)
    try {
      localStorage.setItem(KEY, [...next].join(','))
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
  }
}

const hidden = new Hidden()

/** Give the columns that this person does not want to see, and what shows or hides one. */
export function useHiddenColumns(): [ReadonlySet<string>, (id: string) => void] {
  return [useStore(hidden), hidden.toggle]
}

function recall(): string[] {
  try {
    return (localStorage.getItem(KEY) ?? '').split(',').filter(Boolean)
  } catch {
    return []
  }
}
