import { Button } from '@mantine/core'
import { desk } from '../client'
import { formatTime } from '../format'
import { useNow } from '../live/clock'
import { useStore } from '../live/store'
import { useZone } from '../preferences'
import { Icon } from '../ui/icons'
import styles from './ConnectionStrip.module.css'

const SHOWN_AFTER_MS = 2_000 // a reconnect shorter than this is nobody's concern

/** Say above the page that what is below is no longer live, since when, and when we try again. */
export function ConnectionStrip() {
  const state = useStore(desk.connection)
  const zone = useZone()
  const now = useNow()
  if (state.phase !== 'reconnecting' && state.phase !== 'offline') return null
  if (now - state.since < SHOWN_AFTER_MS) return null
  const seconds = state.retryAt === null ? 0 : Math.max(0, Math.ceil((state.retryAt - now) / 1000))
  return (
    <div className={styles.strip} role="status" aria-label="Connection lost">
      <Icon name="warning" />
      <span className={styles.text}>
        Not connected since {formatTime(state.since, zone)}. What you see is from then.{' '}
        <span aria-hidden="true">
          {seconds > 0 ? `Attempt ${state.attempt + 1} in ${seconds} s.` : `Attempt ${state.attempt}…`}
        </span>
      </span>
      <Button size="compact-sm" variant="default" onClick={desk.connection.retryNow}>
        Try now
      </Button>
    </div>
  )
}
