import { Link, Outlet } from '@tanstack/react-router'
import { can, type Permission } from '../can'
import { session } from '../client'
import { useStore } from '../live/store'
import { Icon, type IconName } from '../ui/icons'
import { Brand } from '../ui/Brand'
import { ConnectionBadge } from './ConnectionBadge'
import { ConnectionStrip } from './ConnectionStrip'
import { ExpiredDialog } from './ExpiredDialog'
import { NoticeBell } from './NoticeBell'
import { SchemeToggle } from './SchemeToggle'
import { ServerAway } from './ServerAway'
import { UserMenu } from './UserMenu'
import { WallClock } from './WallClock'
import { usePerson } from './usePerson'
import styles from './Shell.module.css'

interface Entry {
  to: '/market-makers' | '/market-orders' | '/logging/tickets'
  label: string
  icon: IconName
  permission: Permission
}

const ENTRIES: readonly Entry[] = [
  { to: '/market-makers', label: 'Market makers', icon: 'makers', permission: 'makers.read' },
  { to: '/market-orders', label: 'Market orders', icon: 'book', permission: 'market.read' },
  { to: '/logging/tickets', label: 'Logging', icon: 'tickets', permission: 'tickets.read' },
]

/** Frame the desk: where one is, whether what is shown is true now, and who one is. */
export function Shell() {
  const { status } = useStore(session)
  const person = usePerson()
  if (status === 'unreachable') return <ServerAway />
  return (
    <div className={styles.shell}>
      <a href="#content" className={styles.skip}>
        Skip to content
      </a>
      <header className={styles.header}>
        <Link to="/" className={styles.brand} aria-label="Carbon Desk, home">
          <Brand />
        </Link>
        <div className={styles.tools}>
          <ConnectionBadge />
          <WallClock />
          <SchemeToggle />
          <NoticeBell />
          <UserMenu />
        </div>
      </header>
      <nav className={styles.nav} aria-label="Main">
        {ENTRIES.filter(({ permission }) => can(person?.role, permission)).map(({ to, label, icon }) => (
          <Link key={to} to={to} className={styles.entry}>
            <Icon name={icon} /> {to === '/market-orders' && person?.role === 'TRADER' ? 'Market' : label}
          </Link>
        ))}
      </nav>
      <main id="content" className={styles.main} tabIndex={-1}>
        <ConnectionStrip />
        <Outlet />
      </main>
      <ExpiredDialog />
    </div>
  )
}
