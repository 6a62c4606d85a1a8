import { UnstyledButton, useComputedColorScheme, useMantineColorScheme, VisuallyHidden } from '@mantine/core'
import { Link, Outlet, useRouter } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import { session } from '../client'
import { useKeys } from '../keyboard'
import { useStore } from '../live/store'
import { zoneChoice } from '../preferences'
import { Brand } from '../ui/Brand'
import { Icon } from '../ui/icons'
import { Allowed } from './Allowed'
import { ConnectionBadge } from './ConnectionBadge'
import { ConnectionStrip } from './ConnectionStrip'
import { ExpiredDialog } from './ExpiredDialog'
import { FirstRun } from './FirstRun'
import { Navigation, PlaceTabs, useArea, useAreas } from './Navigation'
import { NoticeBell } from './NoticeBell'
import { SchemeToggle } from './SchemeToggle'
import { ServerAway } from './ServerAway'
import { UserMenu } from './UserMenu'
import { WallClock } from './WallClock'
import styles from './Shell.module.css'

const Palette = lazy(() => import('./Palette'))
const KeyHelp = lazy(() => import('./KeyHelp'))

type Layer = 'palette' | 'keys'

/** Frame the desk: where one is, whether what is shown is true now, and who one is. */
export function Shell() {
  const { status } = useStore(session)
  return status === 'unreachable' ? <ServerAway /> : <Frame />
}

function Frame() {
  const [layer, setLayer] = useState<Layer>()
  const area = useArea()
  useShellKeys(setLayer)
  const close = () => setLayer(undefined)
  return (
    <div className={styles.shell}>
      <a href="#content" className={styles.skip}>
        Skip to content
      </a>
      <header className={styles.header}>
        <Link to="/" className={styles.brand} aria-label="Carbon Desk, home">
          <Brand />
        </Link>
        <UnstyledButton className={styles.find} onClick={() => setLayer('palette')} aria-keyshortcuts="Control+K">
          <Icon name="find" size={16} />
          <VisuallyHidden>Jump to a page, a market maker or a ticket</VisuallyHidden>
          <span className={styles.words} aria-hidden="true">
            Jump to…
          </span>
          <kbd aria-hidden="true">Ctrl K</kbd>
        </UnstyledButton>
        <div className={styles.tools}>
          <ConnectionBadge />
          <WallClock />
          <SchemeToggle />
          <NoticeBell />
          <UserMenu showKeys={() => setLayer('keys')} />
        </div>
      </header>
      <Navigation />
      <main id="content" className={styles.main} tabIndex={-1}>
        <PlaceTabs />
        <ConnectionStrip />
        <FirstRun />
        <Allowed permission={area?.permission}>
          <Outlet />
        </Allowed>
      </main>
      <Suspense>
        {layer === 'palette' && <Palette close={close} showKeys={() => setLayer('keys')} />}
        {layer === 'keys' && <KeyHelp close={close} />}
      </Suspense>
      <ExpiredDialog />
    </div>
  )
}

function useShellKeys(show: (layer: Layer) => void): void {
  const router = useRouter()
  const areas = useAreas()
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const places = areas.flatMap((area) => [area, ...(area.places ?? [])])
  useKeys('Go to', places.map(({ to, label, key }) => ({
    keys: `g ${key}`,
    does: label,
    run: () => void router.navigate({ to }),
  })))
  useKeys('Everywhere', [
    { keys: 'mod+k', does: 'Jump to a page, a market maker, a ticket', run: () => show('palette') },
    { keys: '?', does: 'Show the keys', run: () => show('keys') },
    { keys: 'u', does: 'Times in UTC or local', run: zoneChoice.flip },
    { keys: 'd', does: 'Dark or light', run: () => setColorScheme(scheme === 'dark' ? 'light' : 'dark') },
  ])
}
