import { UnstyledButton } from '@mantine/core'
import { formatTime } from '../format'
import { useNow } from '../live/clock'
import { useZone, zoneChoice } from '../preferences'
import styles from './WallClock.module.css'

/** Tell the time in the zone that all times on the screen have; a press changes the zone. */
export function WallClock() {
  const zone = useZone()
  const now = useNow()
  const other = zone === 'utc' ? 'local time' : 'UTC'
  return (
    <UnstyledButton className={styles.clock} onClick={zoneChoice.flip} title={`Show times in ${other}`}>
      <span className={styles.zone}>{zone === 'utc' ? 'UTC' : 'Local'}</span>
      <time dateTime={new Date(now).toISOString()}>{formatTime(now, zone)}</time>
    </UnstyledButton>
  )
}
