import { Menu, UnstyledButton } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { Link, useRouter, useRouterState, type LinkProps } from '@tanstack/react-router'
import { AREAS, areaOf, type Area, type Place } from '../areas'
import { can, type Role } from '../can'
import { formatCount } from '../format'
import { Icon } from '../ui/icons'
import { useFailedCount } from './useFailedCount'
import { usePerson } from './usePerson'
import styles from './Navigation.module.css'

const NARROW = '(max-width: 767px)'
const BAR_ENTRIES_MAX = 4 // beside "More", each then has 64 px on the narrowest telephone

/** Lead to each area that exists and that one's role may see: a rail, on narrow screens a bar below the page. */
export function Navigation() {
  const areas = useAreas()
  const narrow = useMediaQuery(NARROW, undefined, { getInitialValueInEffect: false })
  return (
    <nav className={styles.nav} aria-label="Main">
      {narrow ? <Bar areas={areas} /> : areas.map((area) => <RailArea key={area.to} area={area} />)}
    </nav>
  )
}

/** Give the areas and places that exist for one's role. */
export function useAreas(): readonly Area[] {
  const role = usePerson()?.role
  const { routesByPath } = useRouter()
  const exists = ({ to, permission }: Place) => to in routesByPath && can(role, permission)
  return AREAS.flatMap((area) => {
    if (!area.places) return exists(area) ? [named(area, role)] : []
    const places = area.places.filter(exists)
    return places[0] ? [{ ...area, to: places[0].to, places }] : []
  })
}

/** Give the area that the page on the screen belongs to. */
export function useArea(): Area | undefined {
  return useRouterState({ select: ({ matches }) => areaOf(matches.at(-1)?.fullPath ?? '') })
}

// To somebody without market makers these are simply the orders of the market.
function named(area: Area, role: Role | undefined): Area {
  return area.to === '/market-orders' && role === 'TRADER' ? { ...area, label: 'Market' } : area
}

function RailArea({ area }: { area: Area }) {
  const current = useArea()?.label === area.label
  if (!area.places) return <Entry place={area} icon={area.icon} className={styles.entry} />
  if (area.places.length === 1) return <Entry place={area} icon={area.icon} className={styles.entry} />
  return (
    <div className={styles.area} role="group" aria-label={area.label}>
      <span className={styles.head} data-current={current || undefined}>
        <Icon name={area.icon} /> {area.label}
      </span>
      {area.places.map((place) => (
        <Entry key={place.to} place={place} className={styles.place} />
      ))}
    </div>
  )
}

function Bar({ areas }: { areas: readonly Area[] }) {
  const current = useArea()
  const shown = areas.length <= BAR_ENTRIES_MAX + 1 ? areas : areas.slice(0, BAR_ENTRIES_MAX)
  const rest = areas.slice(shown.length)
  return (
    <>
      {shown.map((area) => (
        <Entry key={area.to} place={area} icon={area.icon} className={styles.entry} current={current?.label === area.label} />
      ))}
      {rest.length > 0 && (
        <Menu position="top-end" width={220} withinPortal>
          <Menu.Target>
            <UnstyledButton className={styles.entry} data-current={rest.some(({ label }) => label === current?.label) || undefined}>
              <Icon name="more" /> More
            </UnstyledButton>
          </Menu.Target>
          <Menu.Dropdown>
            {rest.map((area) => (
              <Menu.Item key={area.to} leftSection={<Icon name={area.icon} size={16} />} renderRoot={(props) => <Link {...props} {...linkTo(area)} />}>
                {area.label}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
    </>
  )
}

/** Lead from place to place within an area where the rail has no room for it. */
export function PlaceTabs() {
  const narrow = useMediaQuery(NARROW, undefined, { getInitialValueInEffect: false })
  const current = useArea()
  const area = useAreas().find(({ label }) => label === current?.label)
  if (!narrow || !area?.places || area.places.length < 2) return null
  return (
    <nav className={styles.tabs} aria-label={area.label}>
      {area.places.map((place) => (
        <Entry key={place.to} place={place} className={styles.tab} />
      ))}
    </nav>
  )
}

interface EntryProps {
  place: Place
  icon?: Area['icon']
  className: string | undefined
  /** Also lit by other places of its area. */
  current?: boolean
}

function Entry({ place, icon, className, current }: EntryProps) {
  return (
    <Link {...linkTo(place)} className={className ?? ''} data-current={current || undefined}>
      {icon && <Icon name={icon} />}
      <span>{place.label}</span>
      {place.to === '/logging/failed' && <FailedCount />}
    </Link>
  )
}

function FailedCount() {
  const count = useFailedCount()
  if (!count) return null
  return (
    <span className={styles.count} title="Failed actions in the last 24 hours">
      {formatCount(count)}
    </span>
  )
}

// Addresses come from the table of areas, which names also those that have no route yet; `useAreas` keeps the others.
function linkTo({ to }: Place): { to: NonNullable<LinkProps['to']> } {
  return { to: to as NonNullable<LinkProps['to']> }
}
