import { Button, Switch } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { formatCount } from '../format'
import type { TicketsView } from '../live/tickets'
import { TicketDrawer } from '../parts/TicketDrawer'
import { TicketFilters } from '../parts/TicketFilters'
import { TicketTable } from '../parts/TicketTable'
import { useTickets } from '../parts/useTickets'
import { readTicketsSearch, writeTicketsFilter, type ActionType } from '../paths'
import { Icon } from '../ui/icons'
import { EmptyNote, IgnoredNote, ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark, type Tone } from '../ui/Status'
import styles from './TicketsPage.module.css'

const route = getRouteApi('/desk/logging/tickets')

/** List every action as it happens, and open one without losing the list. */
export function TicketsPage() {
  const search = route.useSearch()
  const { status, actions, ticket, ignored } = readTicketsSearch(search)
  const navigate = route.useNavigate()
  const actionList = actions.join(',')
  const filter = useMemo(() => {
    const actionTypes = actionList.split(',').filter(Boolean) as ActionType[]
    return { ...(status && { status }), ...(actionTypes.length > 0 && { actionTypes }) }
  }, [status, actionList])
  const [view, feed] = useTickets(filter)

  const [live, setLive] = useState(true)
  const [atTop, top] = useAtTop()
  useEffect(() => feed.hold(!live || !atTop), [feed, live, atTop])

  const show = useCallback(
    (id: string | undefined) =>
      void navigate({ search: (old) => ({ ...old, ticket: id }), resetScroll: false }),
    [navigate],
  )
  const showNew = () => {
    feed.release()
    scrollTo({ top: 0 })
  }

  return (
    <Page
      title="All tickets"
      section="Logging"
      actions={
        <>
          <StreamState view={view} held={!live} />
          <Switch label="Live" checked={live} onChange={(event) => setLive(event.currentTarget.checked)} />
        </>
      }
    >
      <div ref={top} aria-hidden="true" />
      <IgnoredNote ignored={ignored} />
      <TicketFilters
        filter={{ status, actions }}
        change={(next) => void navigate({ search: { ...(ticket && { ticket }), ...writeTicketsFilter(next) } })}
      />
      {view.pending.length > 0 && (
        <div className={styles.pillRow}>
          <Button size="compact-sm" radius="xl" leftSection={<Icon name="up" size={14} />} onClick={showNew}>
            {formatCount(view.pending.length)} new
          </Button>
        </div>
      )}
      {view.problem && (
        <div className={styles.problem}>
          <ProblemNote problem={view.problem} again={() => void feed.reload()} />
        </div>
      )}
      <Panel label="List of tickets">
        {view.phase === 'ready' && view.rows.length === 0 ? (
          <Nothing filtered={Boolean(status) || actions.length > 0} clear={() => void navigate({ search: {} })} />
        ) : (
          <TicketTable
            rows={view.rows}
            fresh={view.fresh}
            selected={ticket}
            loading={view.phase === 'loading'}
            open={show}
          />
        )}
      </Panel>
      {view.hasMore && (
        <div className={styles.more}>
          <Button variant="default" loading={view.loadingMore} onClick={() => void feed.more()}>
            Load more
          </Button>
        </div>
      )}
      <TicketDrawer ticketId={ticket} close={() => show(undefined)} />
    </Page>
  )
}

const MARKS: Record<TicketsView<never>['stream'], { tone: Tone; word: string }> = {
  connecting: { tone: 'ok', word: 'Live' },
  live: { tone: 'ok', word: 'Live' },
  down: { tone: 'warn', word: 'Interrupted' },
  refused: { tone: 'fail', word: 'Refused' },
}

function StreamState({ view, held }: { view: Pick<TicketsView<unknown>, 'stream' | 'phase'>; held: boolean }) {
  const mark = view.phase === 'loading' ? { tone: 'quiet' as const, word: 'Loading' } : MARKS[view.stream]
  const { tone, word } = held && mark.word === 'Live' ? { tone: 'quiet' as const, word: 'Paused' } : mark
  return (
    // While all is well the switch beside it says enough.
    <span role="status" aria-label={`List: ${word}`}>
      {word !== 'Live' && <StateMark tone={tone}>{word}</StateMark>}
    </span>
  )
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (!filtered) return <EmptyNote title="No tickets yet">Every action from now on appears here.</EmptyNote>
  return (
    <EmptyNote title="No tickets match">
      <Button variant="default" size="xs" onClick={clear}>
        Remove the filters
      </Button>
    </EmptyNote>
  )
}

// Whether the head of the page is in sight: rows move only under a reader who is not reading further down.
function useAtTop(): [boolean, (node: Element | null) => (() => void) | undefined] {
  const [atTop, setAtTop] = useState(true)
  const observer = useRef<IntersectionObserver>(null)
  const watch = useCallback((node: Element | null) => {
    if (!node) return undefined
    observer.current = new IntersectionObserver(([entry]) => setAtTop(entry?.isIntersecting ?? true))
    observer.current.observe(node)
    return () => observer.current?.disconnect()
  }, [])
  return [atTop, watch]
}
