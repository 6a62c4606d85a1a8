import type { Permission } from './can'
import type { IconName } from './ui/icons'

/** A place that people go to. */
export interface Place {
  /** Its address. A place is offered as soon as routes.tsx has a route there. */
  to: string
  label: string
  permission: Permission
  /** Typed after `g`, it leads here. */
  key: string
}

export interface Area extends Place {
  icon: IconName
  /** The places inside; the area itself then leads to the first that exists. */
  places?: readonly Place[]
}

/** Every area of the desk in the order of the rail; routes below an address need its permission. */
export const AREAS: readonly Area[] = [
  { to: '/market-makers', label: 'Market makers', icon: 'makers', permission: 'makers.read', key: 'm' },
  { to: '/market-orders', label: 'Market orders', icon: 'book', permission: 'market.read', key: 'o' },
  { to: '/trading', label: 'Trading', icon: 'trade', permission: 'own.trade', key: 't' },
  {
    to: '/logging', label: 'Logging', icon: 'tickets', permission: 'tickets.read', key: 'l',
    places: [
      { to: '/logging/overview', label: 'Overview', permission: 'tickets.read', key: 'v' },
      { to: '/logging/tickets', label: 'All tickets', permission: 'tickets.read', key: 'a' },
      { to: '/logging/mm-actions', label: 'MM actions', permission: 'tickets.read', key: 'n' },
      { to: '/logging/failed', label: 'Failed', permission: 'tickets.read', key: 'f' },
      { to: '/logging/search', label: 'Search', permission: 'tickets.read', key: 's' },
    ],
  },
  {
    to: '/people', label: 'People', icon: 'person', permission: 'people.read', key: 'p',
    places: [
      { to: '/people/users', label: 'Users', permission: 'people.read', key: 'u' },
      { to: '/people/kyc', label: 'Identity checks', permission: 'people.read', key: 'k' },
      { to: '/people/deposits', label: 'Deposits', permission: 'people.read', key: 'd' },
    ],
  },
  { to: '/settlement', label: 'Trades & settlement', icon: 'settle', permission: 'trades.read', key: 'r' },
  { to: '/settings', label: 'Settings', icon: 'settings', permission: 'settings.read', key: 'e' },
  { to: '/operations', label: 'Operations', icon: 'clock', permission: 'operations.read', key: 'i' },
  { to: '/query', label: 'Query', icon: 'query', permission: 'query.run', key: 'q' },
]

export const PLACES: readonly Place[] = AREAS.flatMap((area) => area.places ?? [area])

/** Name the area that an address of ours lies in, or undefined where nobody has said who may go. */
export function areaOf(path: string): Area | undefined {
  return AREAS.find(({ to }) => path === to || path.startsWith(`${to}/`))
}
