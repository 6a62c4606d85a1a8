import { Button, Menu, Switch } from '@mantine/core'
import { useRouterState } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { can } from '../can'
import { useAnswer } from '../client'
import { formatCount, words } from '../format'
import type { ResultOf } from '../graphql'
import { useKeys } from '../keyboard'
import type { TicketsView } from '../live/tickets'
import { copy } from '../parts/copy'
import { Chips } from '../parts/Chips'
import { ExportMenu } from '../parts/ExportMenu'
import { FilterMenu, type Option } from '../parts/FilterMenu'
import { RangeMenu } from '../parts/RangeMenu'
import { SearchBox, type Values } from '../parts/SearchBox'
import { SearchForm } from '../parts/SearchForm'
import { exportColumns, TICKET_COLUMNS, ticketColumns } from '../parts/ticketColumns'
import { TicketFacets, TicketVolume, type TicketEntry } from '../parts/ticketDocuments'
import { TicketDrawer } from '../parts/TicketDrawer'
import { useHiddenColumns } from '../parts/useHiddenColumns'
import { useNames } from '../parts/useNames'
import { usePerson } from '../parts/usePerson'
import { useTickets } from '../parts/useTickets'
import { ViewsMenu } from '../parts/ViewsMenu'
import { VolumeBars } from '../parts/VolumeBars'
import { ACTION_TYPES, ENTITY_TYPES, stringifySearch } from '../paths'
import { useZone } from '../preferences'
import { ALL_TIME, frozen } from '../tickets/range'
import { filterOf, isNarrowed, isOpen, KEYS, toggled, withValues, writeTickets, type Key, type Terms, type TicketsState } from '../tickets/search'
import { nameOf, type Names } from '../tickets/text'
import { useTicketsState, type Change } from '../tickets/useTicketsState'
import { DataTable } from '../ui/DataTable'
import { Icon } from '../ui/icons'
import { EmptyNote, IgnoredNote, ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark, type Tone } from '../ui/Status'
import styles from './TicketsPage.module.css'

const RECOUNT_MS = 4_000 // while tickets arrive, counts follow no faster
const NOTHING_LOCKED: Terms = {}
const ANY_MAKER: Terms = { mm: [{ text: '*', excluded: false }] }
const FAILED: Terms = { status: [{ text: 'FAILED', excluded: false }] }

export const AllTicketsPage = () => <TicketsPage title="All tickets" locked={NOTHING_LOCKED} />
export const MakerActionsPage = () => <TicketsPage title="Market maker actions" locked={ANY_MAKER} />
export const FailedActionsPage = () => <TicketsPage title="Failed actions" locked={FAILED} />
export const SearchPage = () => <TicketsPage title="Search" locked={NOTHING_LOCKED} withForm />

interface Props {
  title: string
  /** Conditions that the screen stands for: shown, exported and linked like others, but not to be taken away. */
  locked: Terms
  withForm?: boolean
}

/** List tickets as they happen; narrow, chart, save and export them; open one without losing the list. */
function TicketsPage({ title, locked, withForm = false }: Props) {
  const [state, change] = useTicketsState(locked)
  const [view, feed] = useTickets(state)
  const names = useNames()
  const zone = useZone()
  const seesPayloads = can(usePerson()?.role, 'payloads.read')
  const filter = useMemo(() => filterOf(state, view.readAt), [state, view.readAt])
  const volume = useVolume(filter, view)
  const { data: facets } = useAnswer(TicketFacets, { filter: facetFilter(state.range, view.readAt, locked) }, view.phase === 'loading')
  const values = useMemo(() => valuesOf(facets, names), [facets, names])
  const [hidden, toggleColumn] = useHiddenColumns()
  const [exporting, setExporting] = useState(false)
  const path = useRouterState({ select: ({ location }) => location.pathname })

  const [live, setLive] = useState(true)
  const [atTop, top] = useAtTop()
  useEffect(() => feed.hold(!live || !atTop), [feed, live, atTop])

  const show = useCallback((ticket: string | undefined) => change({ ticket }), [change])
  const showNew = () => {
    feed.release()
    scrollTo({ top: 0 })
  }
  const clear = () => change({ terms: locked, words: '', range: ALL_TIME, tagMode: 'ANY' })
  useKeys('List', [
    { keys: 'L', does: 'Let new tickets in, or hold the list', run: () => setLive((before) => !before) },
    { keys: 'F C', does: 'Clear the filter', run: clear },
  ])

  const columns = useMemo(() => ticketColumns(zone, show), [zone, show])
  const ids = useMemo(() => view.rows.map(({ ticketId }) => ticketId), [view.rows])
  const address = (range: TicketsState['range']) => path + stringifySearch(writeTickets({ ...state, range, ticket: undefined }, locked))
  return (
    <Page
      title={title}
      section="Logging"
      actions={
        <>
          <StreamState view={view} held={!live} />
          {state.order === 'NEWEST' && <Switch label="Live" checked={live} onChange={(event) => setLive(event.currentTarget.checked)} />}
          <CopyLink
            relative={location.origin + address(state.range)}
            still={'last' in state.range ? location.origin + address(frozen(state.range, view.readAt)) : undefined}
          />
          <ViewsMenu path={address(state.range)} />
          <ExportMenu
            state={state}
            filter={filter}
            columns={exportColumns(hidden)}
            seesPayloads={seesPayloads}
            opened={exporting}
            setOpened={setExporting}
          />
        </>
      }
    >
      <div ref={top} aria-hidden="true" />
      <IgnoredNote ignored={state.ignored} />
      {withForm && <SearchForm key={JSON.stringify([state.terms, state.words, state.tagMode])} state={state} names={names} change={change} />}
      <div className={styles.tools}>
        {!withForm && <SearchBox state={state} locked={locked} names={names} values={values} change={(part, how) => change(part, how)} openTicket={show} />}
        <div className={styles.menus} role="group" aria-label="Filters">
          <RangeMenu range={state.range} change={(range) => change({ range })} />
          <Filters state={state} locked={locked} names={names} facets={facets} change={change} />
          <FilterMenu
            label="Columns"
            options={TICKET_COLUMNS.map(({ id, header }) => ({ value: id, label: header }))}
            chosen={TICKET_COLUMNS.map(({ id }) => id).filter((id) => !hidden.has(id))}
            toggle={toggleColumn}
          />
          {isNarrowed(state, locked) && (
            <Button size="xs" variant="subtle" onClick={clear}>
              Clear
            </Button>
          )}
        </div>
      </div>
      <div className={styles.line}>
        <Chips state={state} locked={locked} names={names} change={change} />
        <p className={styles.count} role="status" aria-label="How many match">
          {countWords(view, volume.total)}
        </p>
      </div>
      {locked === FAILED && <Reasons facets={facets} state={state} change={change} />}
      <Panel className={styles.volume}>
        <VolumeBars label="Tickets over time" bars={volume.bars} height={44} old={volume.old} zoom={(from, to) => change({ range: { from, to } })} />
      </Panel>
      {view.pending.length > 0 && (
        <div className={styles.pillRow}>
          <Button size="compact-sm" radius="xl" leftSection={<Icon name="up" size={14} />} onClick={showNew}>
            {formatCount(view.pending.length)} new
          </Button>
        </div>
      )}
      {view.problem && view.phase === 'ready' && view.stream === 'refused' && (
        <div className={styles.problem}>
          <ProblemNote problem={view.problem} again={() => void feed.reload()} />
        </div>
      )}
      <Panel label="List of tickets">
        <DataTable
          label="Tickets"
          columns={columns}
          rows={view.rows}
          keyOf={keyOf}
          phase={view.phase}
          problem={view.stream === 'refused' ? undefined : view.problem}
          again={() => void feed.reload()}
          empty={<Nothing state={state} locked={locked} names={names} change={change} clear={clear} />}
          hasMore={view.hasMore}
          loadingMore={view.loadingMore}
          more={() => void feed.more()}
          rowCount={volume.total === undefined ? undefined : Math.max(volume.total, view.rows.length)}
          hidden={hidden}
          sort={{ id: 'time', descending: state.order === 'NEWEST' }}
          onSort={({ descending }) => change({ order: descending ? 'NEWEST' : 'OLDEST' })}
          open={(row) => show(row.ticketId)}
          current={state.ticket}
          toneOf={toneOf}
          fresh={view.fresh}
          exportRows={() => setExporting(true)}
        />
      </Panel>
      <TicketDrawer ticketId={state.ticket} close={() => show(undefined)} open={show} ids={ids} />
    </Page>
  )
}

const keyOf = (row: TicketEntry) => row.ticketId
const toneOf = (row: TicketEntry) => (row.status === 'FAILED' ? ('fail' as const) : undefined)

type Facets = ResultOf<typeof TicketFacets> | undefined

interface FilterProps {
  state: TicketsState
  locked: Terms
  names: Names
  facets: Facets
  change: Change
}

function Filters({ state, locked, names, facets, change }: FilterProps) {
  const stats = facets?.ticketStats
  const options: [Key, string, readonly Option[]][] = [
    ['action', 'Action', Object.entries(ACTION_TYPES).flatMap(([group, actions]) => actions.map((value) => ({
      value, label: words(value), group, count: stats?.byActionType.find(({ actionType }) => actionType === value)?.count,
    })))],
    ['status', 'Status', [{ value: 'SUCCESS', label: 'OK' }, { value: 'FAILED', label: 'Failed' }]],
    ['mm', 'Market maker', [{ value: '*', label: 'Any market maker' }, { value: 'none', label: 'None' }, ...names.mm.map(({ id, name }) => ({ value: id, label: name }))]],
    ['user', 'User', (stats?.byUser ?? []).flatMap(({ user, count }) => (user ? [{ value: user.id, label: user.name, count }] : []))],
    ['entity', 'Entity', ENTITY_TYPES.map((value) => ({ value, label: words(value) }))],
    ['error', 'Reason', (stats?.byErrorCode ?? []).map(({ errorCode, count }) => ({ value: errorCode, label: errorCode, count }))],
  ]
  return options
    .filter(([key]) => !locked[key])
    .map(([key, label, values]) => (
      <FilterMenu
        key={key}
        label={label}
        options={values}
        chosen={(state.terms[key] ?? []).filter(({ excluded }) => !excluded).map(({ text }) => text)}
        toggle={(value) => change({ terms: toggled(state.terms, key, value) })}
      />
    ))
}

/** What failed, by reason, most first; a press narrows the list to it. */
function Reasons({ facets, state, change }: Pick<FilterProps, 'facets' | 'state' | 'change'>) {
  const codes = facets?.ticketStats.byErrorCode ?? []
  if (codes.length === 0) return null
  const chosen = new Set((state.terms.error ?? []).map(({ text }) => text))
  return (
    <div className={styles.reasons} role="group" aria-label="By reason">
      {codes.map(({ errorCode, count }) => (
        <button
          key={errorCode}
          type="button"
          className={styles.reason}
          aria-pressed={chosen.has(errorCode)}
          onClick={() => change({ terms: toggled(state.terms, 'error', errorCode) })}
        >
          {errorCode} <b>{formatCount(count)}</b>
        </button>
      ))}
    </div>
  )
}

function CopyLink({ relative, still }: { relative: string; still: string | undefined }) {
  if (still === undefined) {
    return (
      <Button size="xs" variant="default" leftSection={<Icon name="link" size={14} />} onClick={() => void copy(relative, 'the link')}>
        Copy link
      </Button>
    )
  }
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button size="xs" variant="default" leftSection={<Icon name="link" size={14} />}>
          Copy link
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => void copy(relative, 'the link')}>Relative: the window moves along</Menu.Item>
        <Menu.Item onClick={() => void copy(still, 'the link')}>Frozen: the window as it is now</Menu.Item>
      </Menu.Dropdown>
    </Menu>
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

function Nothing({ state, locked, names, change, clear }: Omit<FilterProps, 'facets'> & { clear: () => void }) {
  if (!isNarrowed(state, locked)) {
    return <EmptyNote title={Object.keys(locked).length > 0 ? 'No such tickets yet' : 'No tickets yet'}>Every action from now on appears here.</EmptyNote>
  }
  const removable = KEYS.filter((key) => !locked[key] && state.terms[key])
  return (
    <EmptyNote title="No tickets match">
      <div className={styles.fixes}>
        {removable.map((key) => (
          <Button key={key} variant="default" size="xs" onClick={() => change({ terms: withValues(state.terms, key, []) })}>
            Remove {key}: {(state.terms[key] ?? []).map(({ text }) => nameOf(key, text, names)).join(', ')}
          </Button>
        ))}
        {state.words && (
          <Button variant="default" size="xs" onClick={() => change({ words: '' })}>
            Remove text: {state.words}
          </Button>
        )}
        {!isOpen(state.range) && (
          <Button variant="default" size="xs" onClick={() => change({ range: 'last' in state.range && state.range.last !== '7d' ? { last: '7d' } : ALL_TIME })}>
            {'last' in state.range && state.range.last !== '7d' ? 'Widen to 7 days' : 'Widen to all time'}
          </Button>
        )}
        <Button variant="default" size="xs" onClick={clear}>
          Remove the filters
        </Button>
      </div>
    </EmptyNote>
  )
}

// Values are counted over the window and what the screen stands for: what is chosen must not hide what could be.
function facetFilter(range: TicketsState['range'], readAt: number, locked: Terms) {
  return filterOf({ terms: locked, tagMode: 'ANY', words: '', range }, readAt)
}

function valuesOf(facets: Facets, names: Names): Values {
  const stats = facets?.ticketStats
  return {
    action: [{ value: 'MM_*', label: 'every action of market makers' }, ...Object.values(ACTION_TYPES).flat().map((value) => ({
      value, label: value, count: stats?.byActionType.find(({ actionType }) => actionType === value)?.count ?? 0,
    })).sort((a, b) => b.count - a.count)],
    status: [{ value: 'failed', label: 'Failed' }, { value: 'success', label: 'OK' }],
    mm: [{ value: '*', label: 'any market maker' }, { value: 'none', label: 'no market maker' }, ...names.mm.map(({ name }) => ({ value: name, label: name }))],
    user: names.user.map(({ id, name }) => ({ value: name, label: name, count: stats?.byUser.find(({ user }) => user?.id === id)?.count })),
    entity: ENTITY_TYPES.map((value) => ({ value, label: value })),
    error: (stats?.byErrorCode ?? []).map(({ errorCode, count }) => ({ value: errorCode, label: errorCode, count })),
    tag: [{ value: 'cli', label: 'done at the command line' }],
  }
}

function countWords({ rows, phase }: TicketsView<TicketEntry>, total: number | undefined): string {
  if (phase === 'loading') return 'Counting…'
  const shown = formatCount(rows.length)
  return total === undefined ? `${shown} of ≈ …` : `${shown} of ${formatCount(Math.max(total, rows.length))} match`
}

function useVolume(filter: ReturnType<typeof filterOf>, view: TicketsView<TicketEntry>) {
  const zone = useZone()
  const timeZone = zone === 'utc' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone
  const { data, problem, fetching, again } = useAnswer(TicketVolume, { filter, timeZone }, view.phase === 'loading')
  // A count belongs to the filter it was made for: of another one it would be a false figure.
  const key = JSON.stringify([filter, timeZone])
  const [counted, setCounted] = useState<{ key: string; stats: NonNullable<typeof data>['ticketStats'] }>()
  if (data && !fetching && counted?.stats !== data.ticketStats) setCounted({ key, stats: data.ticketStats })
  const arrived = view.fresh.size + view.pending.length
  useEffect(() => {
    if (arrived === 0) return undefined
    const timer = setTimeout(again, RECOUNT_MS)
    return () => clearTimeout(timer)
  }, [arrived, again])
  const stats = counted?.key === key ? counted.stats : undefined
  return { bars: counted?.stats.actionsOverTime, total: stats?.totalActions, old: problem !== undefined || stats === undefined }
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

