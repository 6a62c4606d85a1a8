import { desk } from '../client'
import { formatAge, formatTime } from '../format'
import { useNow } from '../live/clock'
import type { ConnectionState } from '../live/connection'
import { useStore } from '../live/store'
import { StateMark, type Tone } from '../ui/Status'
import { useZone } from '../preferences'
import { streamAges } from './streamAges'

/** Say whether what moves on this page is true now: live, stale, reconnecting or offline. */
export function ConnectionBadge() {
  const state = useStore(desk.connection)
  const ages = useStore(streamAges)
  const zone = useZone()
  const now = useNow()
  const badge = ages.staleSince === null || state.phase !== 'live' ? describe(state) : STALE
  if (!badge) return null
  return (
    // Only the word is announced: figures that change each second would never let a screen reader finish.
    <span role="status" aria-label={`Connection: ${badge.word}`}>
      <StateMark tone={badge.tone}>
        <span aria-hidden="true">
          {badge.word}
          <span data-detail>
            {badge === STALE && ages.staleSince !== null && ` ${formatAge(now - ages.staleSince)}`}
            {state.phase === 'live' && badge !== STALE && state.latencyMs !== null && ` ${state.latencyMs} ms`}
            {state.phase === 'offline' && ` since ${formatTime(state.since, zone)}`}
          </span>
        </span>
      </StateMark>
    </span>
  )
}

interface Badge {
  word: string
  tone: Tone
}

const STALE: Badge = { word: 'Stale', tone: 'warn' }

function describe(state: ConnectionState): Badge | undefined {
  switch (state.phase) {
    case 'idle':
      return undefined // nothing on this page moves
    case 'connecting':
      return { word: 'Connecting', tone: 'quiet' }
    case 'live':
      return { word: 'Live', tone: 'ok' }
    case 'reconnecting':
      return { word: 'Reconnecting', tone: 'warn' }
    case 'offline':
      return { word: 'Offline', tone: 'fail' }
  }
}
