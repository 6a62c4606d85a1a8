import { Button } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useEffect, useMemo, useState, type ReactNode } from 'react'
import { desk, useAnswer } from '../client'
import { formatAge, formatCount, formatDelta, formatDuration, formatInstant, formatPercent, NOTHING, words } from '../format'
import { graphql, type ResultOf } from '../graphql'
import { useKeys } from '../keyboard'
import { copy } from '../parts/copy'
import { RangeMenu } from '../parts/RangeMenu'
import { Sparkline } from '../parts/Sparkline'
import { useNames } from '../parts/useNames'
import { VolumeBars } from '../parts/VolumeBars'
import { stringifySearch, type Search } from '../paths'
import { useZone } from '../preferences'
import { before, endsOf, type Range } from '../tickets/range'
import { isOpen, writeTickets } from '../tickets/search'
import { useTicketsState } from '../tickets/useTicketsState'
import { Icon } from '../ui/icons'
import { IgnoredNote, ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import styles from './LoggingOverviewPage.module.css'

const RENEW_MS = 5_000 // after the first of a burst of tickets
const ROWS_MAX = 8
const NOTHING_LOCKED = {}
const USUAL: Range = { last: '24h' }

const Overview = graphql(`
  query LoggingOverview($now: TicketFilter, $timeZone: String!) {
    ticketStats(filter: $now, timeZone: $timeZone) {
      totalActions successCount failedCount successRate durationP95Ms
      byActionType { actionType count failedCount }
      byUser { count failedCount user { id name } }
      byErrorCode { errorCode count lastAt }
      actionsOverTime { from to successCount failedCount }
    }
  }
`)

const Before = graphql(`
  query LoggingBefore($before: TicketFilter) {
    ticketStats(filter: $before) { totalActions failedCount successRate durationP95Ms }
  }
`)

const MakerActions = graphql(`
  query MakerActions($filter: TicketFilter) {
    ticketStats(filter: $filter) { totalActions }
  }
`)

const AnyTicket = graphql(`
  subscription AnyTicket {
    tickets { ticketId }
  }
`)

type Stats = ResultOf<typeof Overview>['ticketStats']

/** Say how the desk is doing over a window of time: how much, how well, what fails, who is at it. */
export function LoggingOverviewPage() {
  const [state, change] = useTicketsState(NOTHING_LOCKED)
  const zone = useZone()
  const range = isOpen(state.range) ? USUAL : state.range
  const [readAt, renew] = useNow()
  const filters = useMemo(() => windows(range, readAt), [range, readAt])
  const timeZone = zone === 'utc' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone
  const { data, problem, fetching, again } = useAnswer(Overview, { now: filters.now, timeZone })
  const { data: earlier } = useAnswer(Before, { before: filters.before ?? null }, filters.before === undefined)
  const stats = useLast(data?.ticketStats)
  const past = filters.before === undefined ? undefined : earlier?.ticketStats
  useKeys('Overview', [{ keys: 'r', does: 'Read again', run: renew }])
  const search = writeTickets({ ...state, range, ticket: undefined })
  const zoom = (from: string, to: string) => change({ range: { from, to } })
  return (
    <Page
      title="Overview"
      section="Logging"
      actions={
        <>
          <RangeMenu range={range} change={(next) => change({ range: next })} withAll={false} />
          <Button size="xs" variant="default" loading={fetching && stats === undefined} onClick={renew}>
            Refresh
          </Button>
          <Button size="xs" variant="default" leftSection={<Icon name="link" size={14} />} onClick={() => void copy(`${location.origin}/logging/overview${stringifySearch(search)}`, 'the link')}>
            Copy link
          </Button>
        </>
      }
    >
      <IgnoredNote ignored={state.ignored} />
      {problem && <ProblemNote problem={problem} again={again} />}
      <div className={styles.cards}>
        <Card title="Actions" value={stats && formatCount(stats.totalActions)} change={past && stats && relative(stats.totalActions, past.totalActions)}
          line={stats?.actionsOverTime.map((bar) => bar.successCount + bar.failedCount)} to="/logging/tickets" search={search} />
        <Card title="Success" value={stats && formatPercent(stats.successRate)} change={past && stats && (past.totalActions === 0 ? 'none before' : points(stats.successRate, past.successRate))}
          line={stats?.actionsOverTime.map((bar) => bar.successCount)} to="/logging/tickets" search={{ ...search, status: 'SUCCESS' }} />
        <Card title="Failed" value={stats && formatCount(stats.failedCount)} change={past && stats && relative(stats.failedCount, past.failedCount)} tone={stats && stats.failedCount > 0 ? 'fail' : undefined}
          line={stats?.actionsOverTime.map((bar) => bar.failedCount)} to="/logging/failed" search={search} />
        <Card title="Write p95" value={stats && (stats.durationP95Ms == null ? NOTHING : `${formatDuration(stats.durationP95Ms)} ms`)}
          change={past?.durationP95Ms == null || stats?.durationP95Ms == null ? undefined : relative(stats.durationP95Ms, past.durationP95Ms)} to="/logging/tickets" search={search} />
      </div>
      <div className={styles.grid}>
        <Panel className={styles.wide} label="Actions over time">
          <h2 className={styles.title}>Actions over time</h2>
          <VolumeBars label="Actions over time" bars={stats?.actionsOverTime} height={180} zoom={zoom} old={problem !== undefined} />
          {stats && <BarTable stats={stats} zoom={zoom} />}
        </Panel>
        <TopActions stats={stats} search={search} />
        <FailureReasons stats={stats} search={search} now={readAt} />
        <MostActive stats={stats} search={search} range={range} readAt={readAt} />
      </div>
    </Page>
  )
}

interface CardProps {
  title: string
  value: string | undefined
  change: string | undefined
  line?: readonly number[] | undefined
  tone?: 'fail' | undefined
  to: '/logging/tickets' | '/logging/failed'
  search: Search
}

function Card({ title, value, change, line, tone, to, search }: CardProps) {
  return (
    <Link to={to} search={search} className={styles.card} data-tone={tone}>
      <span className={styles.name}>{title}</span>
      <span className={styles.value}>{value ?? '…'}</span>
      <span className={styles.change}>{change ?? '\u00a0'}</span>
      {line && <Sparkline values={line} tone={tone} />}
    </Link>
  )
}

// The figures behind the bars, for those who hear them; each row zooms as dragging does.
function BarTable({ stats, zoom }: { stats: Stats; zoom: (from: string, to: string) => void }) {
  const zone = useZone()
  const bars = stats.actionsOverTime.filter(({ successCount, failedCount }) => successCount + failedCount > 0)
  return (
    <details className={styles.details}>
      <summary>Show as a table</summary>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Done</th>
            <th scope="col">Failed</th>
            <th scope="col">Zoom</th>
          </tr>
        </thead>
        <tbody>
          {bars.map((bar) => (
            <tr key={bar.from}>
              <th scope="row">{formatInstant(bar.from, zone)}</th>
              <td>{formatCount(bar.successCount)}</td>
              <td>{formatCount(bar.failedCount)}</td>
              <td>
                <Button size="compact-xs" variant="subtle" aria-label={`Zoom to ${formatInstant(bar.from, zone)}`} onClick={() => zoom(bar.from, bar.to)}>
                  Zoom
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}

interface PartProps {
  stats: Stats | undefined
  search: Search
}

function TopActions({ stats, search }: PartProps) {
  const most = Math.max(1, ...(stats?.byActionType ?? []).map(({ count }) => count))
  return (
    <Ranking title="Top actions" empty={stats?.byActionType.length === 0}>
      {stats?.byActionType.slice(0, ROWS_MAX).map(({ actionType, count, failedCount }) => (
        <li key={actionType}>
          <Link to="/logging/tickets" search={{ ...search, action: actionType }} className={styles.row}>
            <span className={styles.label}>{words(actionType)}</span>
            <Bar share={count / most} failed={count === 0 ? 0 : failedCount / count} />
            <span className={styles.figure}>{formatCount(count)}</span>
          </Link>
        </li>
      ))}
    </Ranking>
  )
}

function FailureReasons({ stats, search, now }: PartProps & { now: number }) {
  return (
    <Ranking title="Failures by reason" empty={stats?.byErrorCode.length === 0} emptyText="Nothing failed in this window.">
      {stats?.byErrorCode.slice(0, ROWS_MAX).map(({ errorCode, count, lastAt }) => (
        <li key={errorCode}>
          <Link to="/logging/failed" search={{ ...search, error: errorCode }} className={styles.row}>
            <code className={styles.label}>{errorCode}</code>
            <span className={styles.last}>last {formatAge(now - Date.parse(lastAt))} ago</span>
            <span className={styles.figure}>{formatCount(count)}</span>
          </Link>
        </li>
      ))}
    </Ranking>
  )
}

function MostActive({ stats, search, range, readAt }: PartProps & { range: Range; readAt: number }) {
  const { mm } = useNames()
  const users = stats?.byUser ?? []
  return (
    <Panel className={styles.panel} label="Most active">
      <h2 className={styles.title}>Most active</h2>
      <div className={styles.halves}>
        <div>
          <h3 className={styles.subtitle}>Users</h3>
          <ul className={styles.list}>
            {users.slice(0, ROWS_MAX).map(({ user, count }) => (
              <li key={user?.id ?? 'nobody'}>
                {user ? (
                  <Link to="/logging/tickets" search={{ ...search, user: user.id }} className={styles.row}>
                    <span className={styles.label}>{user.name}</span>
                    <span className={styles.figure}>{formatCount(count)}</span>
                  </Link>
                ) : (
                  <span className={styles.row}>
                    <span className={styles.label}>Nobody signed in</span>
                    <span className={styles.figure}>{formatCount(count)}</span>
                  </span>
                )}
              </li>
            ))}
          </ul>
        </div>
        <div>
          <h3 className={styles.subtitle}>Market makers</h3>
          <ul className={styles.list}>
            {mm.slice(0, ROWS_MAX).map(({ id, name }) => (
              <Maker key={id} id={id} name={name} search={search} range={range} readAt={readAt} />
            ))}
          </ul>
        </div>
      </div>
    </Panel>
  )
}

function Maker({ id, name, search, range, readAt }: { id: string; name: string; search: Search; range: Range; readAt: number }) {
  const { data } = useAnswer(MakerActions, { filter: { ...windows(range, readAt).now, marketMakerId: id } })
  return (
    <li>
      <Link to="/logging/mm-actions" search={{ ...search, mm: id }} className={styles.row}>
        <span className={styles.label}>{name}</span>
        <span className={styles.figure}>{data ? formatCount(data.ticketStats.totalActions) : '…'}</span>
      </Link>
    </li>
  )
}

function Ranking({ title, empty, emptyText = 'No actions in this window.', children }: { title: string; empty: boolean | undefined; emptyText?: string; children: ReactNode }) {
  return (
    <Panel className={styles.panel} label={title}>
      <h2 className={styles.title}>{title}</h2>
      {empty ? <p className={styles.none}>{emptyText}</p> : <ul className={styles.list}>{children}</ul>}
    </Panel>
  )
}

function Bar({ share, failed }: { share: number; failed: number }) {
  return (
    <svg className={styles.bar} viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect width={share * 100} height="10" className={styles.done} />
      <rect x={share * 100 * (1 - failed)} width={share * 100 * failed} height="10" className={styles.failed} />
    </svg>
  )
}

function windows(range: Range, now: number) {
  const { from, to } = endsOf(range, now)
  const earlier = before(range, now)
  return {
    now: { ...(from && { dateFrom: from }), ...(to && { dateTo: to }) },
    before: earlier && { dateFrom: earlier.from, dateTo: earlier.to },
  }
}

function relative(now: number, then: number): string | undefined {
  if (then === 0) return now === 0 ? 'as before' : 'none before'
  const share = ((now - then) / then) * 100
  return `${arrow(share)} ${formatDelta(share.toFixed(0))} % vs before`
}

function points(now: number, then: number): string {
  const change = (now - then) * 100
  return `${arrow(change)} ${formatDelta(change.toFixed(1))} points vs before`
}

function arrow(change: number): string {
  return change > 0 ? '▲' : change < 0 ? '▼' : '='
}

// What was known stays while other figures are on their way.
function useLast<Value>(value: Value | undefined): Value | undefined {
  const [last, setLast] = useState(value)
  if (value !== undefined && value !== last) setLast(value)
  return value ?? last
}

// Now, as of the last reading: read again by hand, and a while after tickets have come.
function useNow(): [number, () => void] {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = desk.connection.follow(AnyTicket, () => ({}), {
      next: () => {
        timer ??= setTimeout(() => {
          timer = undefined
          setNow(Date.now())
        }, RENEW_MS)
      },
      down: () => undefined,
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [])
  return [now, () => setNow(Date.now())]
}
