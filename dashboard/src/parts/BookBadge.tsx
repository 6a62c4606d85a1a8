import { Button, Popover, UnstyledButton, VisuallyHidden } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import { formatAge, formatCount, formatInstant, NOTHING } from '../format'
import type { BookFeed, BookPhase } from '../live/book'
import { useNow } from '../live/clock'
import { notices } from '../live/notices'
import { usePart, useStore } from '../live/store'
import { useZone } from '../preferences'
import { StateMark, type Tone } from '../ui/Status'
import styles from './BookBadge.module.css'

const MARKS: Record<BookPhase, { tone: Tone; word: string }> = {
  idle: { tone: 'quiet', word: 'Loading' },
  connecting: { tone: 'quiet', word: 'Loading' },
  snapshot: { tone: 'quiet', word: 'Loading' },
  live: { tone: 'ok', word: 'Live' },
  stale: { tone: 'warn', word: 'Stale' },
  resync: { tone: 'warn', word: 'Resync' },
  reconnecting: { tone: 'warn', word: 'Reconnecting' },
  refused: { tone: 'fail', word: 'Refused' },
}

/** Say how true and how old the book on the screen is; pressed, say why. */
export function BookBadge({ feed, isPaused, name }: { feed: BookFeed; isPaused: boolean; name: string }) {
  const phase = usePart(feed, (view) => view.phase)
  const { tone, word } = isPaused && phase === 'live' ? { tone: 'quiet' as const, word: 'Paused' } : MARKS[phase]
  return (
    <Popover position="bottom-end" width={300} trapFocus returnFocus withRoles={false} shadow="md">
      {/* Only the word is announced: figures that change each second would never let a screen reader finish. */}
      <span role="status" aria-label={`Book: ${word}`}>
        <Popover.Target>
          <UnstyledButton className={styles.badge}>
            <StateMark tone={tone}>
              <VisuallyHidden>{name}: </VisuallyHidden>
              {word}
              <Position feed={feed} />
              <VisuallyHidden>. Show how the feed is</VisuallyHidden>
            </StateMark>
          </UnstyledButton>
        </Popover.Target>
      </span>
      <Popover.Dropdown role="dialog" aria-label="Feed">
        <Diagnostics feed={feed} name={name} />
      </Popover.Dropdown>
    </Popover>
  )
}

function Position({ feed }: { feed: BookFeed }) {
  const { phase, book, freshAt } = useStore(feed)
  const now = useNow()
  return (
    <span aria-hidden="true">
      {book && ` · seq ${formatCount(book.sequence)}`}
      {phase !== 'live' && freshAt !== null && ` · ${formatAge(now - freshAt)}`}
    </span>
  )
}

function Diagnostics({ feed, name }: { feed: BookFeed; name: string }) {
  const view = useStore(feed)
  const now = useNow()
  const zone = useZone()
  const rate = useRate(view.events, now)
  const facts: readonly [string, string][] = [
    ['Sequence', view.book ? formatCount(view.book.sequence) : NOTHING],
    ['Book of', view.book ? formatInstant(view.book.at, zone) : NOTHING],
    ['Levels', view.book ? `${formatCount(view.book.bids.length)} bid, ${formatCount(view.book.asks.length)} asked` : NOTHING],
    ['Checksum', view.phase === 'live' ? '✓ verified' : NOTHING],
    ['Events', `${formatCount(view.events)}${rate === undefined ? '' : `, ${rate.toFixed(1)} a second`}`],
    ['Lag', `${formatCount(Math.round(view.lagMs))} ms`],
    ['Gaps', formatCount(view.gaps)],
  ]
  const copy = async () => {
    const text = [name, ...facts.map(([term, value]) => `${term}: ${value}`), `State: ${view.phase}`, `Browser: ${navigator.userAgent}`].join('\n')
    try {
      await navigator.clipboard.writeText(text)
      notices.tell({ tone: 'ok', title: 'Diagnostics copied' })
    } catch {
      notices.tell({ tone: 'fail', title: 'The browser did not allow copying', detail: text })
    }
  }
  return (
    <>
      <dl className={styles.facts}>
        {facts.map(([term, value]) => (
          <div key={term} className={styles.fact}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Button size="xs" variant="default" onClick={() => void copy()}>
        Copy diagnostics
      </Button>
    </>
  )
}

// Events a second since the list was opened.
function useRate(events: number, now: number): number | undefined {
  const began = useRef<{ events: number; at: number }>(undefined)
  const [rate, setRate] = useState<number>()
  const newest = useRef(events)
  useEffect(() => {
    newest.current = events
  }, [events])
  useEffect(() => {
    began.current ??= { events: newest.current, at: now }
    const seconds = (now - began.current.at) / 1000
    if (seconds > 0) setRate((newest.current - began.current.events) / seconds)
  }, [now])
  return rate
}
