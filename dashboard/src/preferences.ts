import type { Zone } from './format'
import { Store, useStore } from './live/store'

const KEY = 'carbondesk.zone'

/** Remember in which zone this person reads time. Colour scheme: Mantine remembers it, under carbondesk.scheme. */
class ZoneChoice extends Store<Zone> {
  constructor() {
    super(recall() === 'local' ? 'local' : 'utc')
  }

  readonly flip = (): void => {
    const zone = this.read() === 'utc' ? 'local' : 'utc'
    this.set(zone)
    try {
      localStorage.setItem(KEY, zone)
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
  }
}

export const zoneChoice = new ZoneChoice()

export const SCHEME_KEY = 'carbondesk.scheme'

/** Give the zone in which to show time. */
export function useZone(): Zone {
  return useStore(zoneChoice)
}

function recall(): string | null {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}
