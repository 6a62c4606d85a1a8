import { Button, Skeleton } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { can } from '../can'
import { useAnswer } from '../client'
import { save } from '../csv'
import { formatAge, formatDuration, formatInstant, words } from '../format'
import { useKeys } from '../keyboard'
import { notices } from '../live/notices'
import type { Search } from '../paths'
import { useZone } from '../preferences'
import { Icon } from '../ui/icons'
import { JsonView } from '../ui/JsonView'
import { EmptyNote, ProblemNote } from '../ui/Notes'
import { TicketStatusMark } from '../ui/Status'
import { copy } from './copy'
import { RelatedTickets } from './RelatedTickets'
import { StateDiff } from './StateDiff'
import { TicketProofQuery, TicketQuery, type TicketDetail } from './ticketDocuments'
import { ask } from './usePages'
import { usePerson } from './usePerson'
import styles from './TicketView.module.css'

const AROUND_MS = 5 * 60_000
const SEAL_MS = 1_500 // a ticket is sealed about a second after it was written

interface Props {
  ticketId: string
  /** Where the ticket is shown; over a list, other tickets open there too. */
  place: 'drawer' | 'page'
  open?: ((ticketId: string) => void) | undefined
  previous?: (() => void) | undefined
  next?: (() => void) | undefined
}

/** Show one ticket: what was done, what it changed, what it belongs to, what was asked and answered, and its proof. */
export function TicketView(props: Props) {
  const { data, problem, fetching, again } = useAnswer(TicketQuery, { ticketId: props.ticketId })
  if (data?.ticket) return <Ticket key={props.ticketId} {...props} ticket={data.ticket} again={again} />
  if (problem) return <ProblemNote problem={problem} again={again} />
  if (!fetching) {
    return <EmptyNote title="There is no such ticket">It may be mistyped, or from another market.</EmptyNote>
  }
  return (
    <div aria-label="Loading the ticket" role="status" className={styles.ticket}>
      {['60%', '85%', '40%', '70%'].map((width) => (
        <Skeleton key={width} height={14} width={width} />
      ))}
    </div>
  )
}

function Ticket({ ticket, place, open, previous, next, again }: Props & { ticket: TicketDetail; again: () => void }) {
  const zone = useZone()
  const seesPayloads = can(usePerson()?.role, 'payloads.read')
  const [openedAt] = useState(Date.now)
  const body = useRef<HTMLDivElement>(null)
  const link = `${location.origin}/t/${ticket.ticketId}`
  const section = (step: number) => {
    const sections = [...(body.current?.querySelectorAll<HTMLElement>('section, details') ?? [])]
    const at = sections.findIndex((one) => one.contains(document.activeElement))
    const found = sections[Math.max(0, Math.min(sections.length - 1, at + step))]
    found?.setAttribute('tabindex', '-1')
    found?.focus()
  }
  useKeys(
    'Ticket',
    [
      { keys: 'c', does: 'Copy the link', run: () => void copy(link, 'the link') },
      { keys: '[', does: 'Section before', run: () => section(-1) },
      { keys: ']', does: 'Next section', run: () => section(1) },
      ...(previous ? [{ keys: 'ArrowUp', does: 'Ticket before in the list', run: previous }] : []),
      ...(next ? [{ keys: 'ArrowDown', does: 'Next ticket in the list', run: next }] : []),
    ],
    { inDialog: place === 'drawer' },
  )
  const at = Date.parse(ticket.timestamp)
  return (
    <div className={styles.ticket} ref={body}>
      <div className={styles.head}>
        <TicketStatusMark status={ticket.status} />
        <span className={styles.action}>{words(ticket.actionType)}</span>
        {place === 'drawer' && (
          <>
            <Button size="compact-sm" variant="default" disabled={!previous} onClick={previous}>‹ Previous</Button>
            <Button size="compact-sm" variant="default" disabled={!next} onClick={next}>Next ›</Button>
          </>
        )}
        <Button size="compact-sm" variant="default" leftSection={<Icon name="link" size={14} />} onClick={() => void copy(link, 'the link')}>
          Copy link
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => void copy(JSON.stringify(ticket, null, 2), 'the ticket as JSON')}>
          Copy JSON
        </Button>
        {place === 'drawer' && (
          <Button size="compact-sm" variant="default" renderRoot={(given) => <Link {...given} to="/logging/tickets/$ticketId" params={{ ticketId: ticket.ticketId }} />}>
            Open page
          </Button>
        )}
      </div>
      <p className={styles.summary}>{ticket.summary}</p>
      {ticket.errorCode && (
        <p className={styles.error}>
          <b>{ticket.errorCode}</b> {ticket.errorMessage}
        </p>
      )}
      <div className={styles.columns}>
        <dl className={styles.facts}>
          <Fact term="Time">
            {formatInstant(ticket.timestamp, zone)} ({formatAge(openedAt - at)} ago)
          </Fact>
          <Fact term="By">{ticket.user?.name ?? (ticket.tags.includes('cli') ? 'An operator, at the command line' : 'Nobody who was signed in')}</Fact>
          <Fact term="Market maker">{ticket.marketMaker?.name}</Fact>
          <Fact term="Entity">
            {ticket.entityType && (
              <>
                {words(ticket.entityType)} <code>{ticket.entityId}</code>
              </>
            )}
          </Fact>
          <Fact term="Took">{ticket.durationMs == null ? undefined : `${formatDuration(ticket.durationMs)} ms`}</Fact>
          <Fact term="From">{[ticket.ipAddress, ticket.userAgent].filter(Boolean).join(' · ') || undefined}</Fact>
          <Fact term="Session">{ticket.sessionId && <code>{ticket.sessionId}</code>}</Fact>
          <Fact term="Tags">{ticket.tags.join(', ') || undefined}</Fact>
        </dl>
        <Shortcuts ticket={ticket} />
      </div>
      <Section title="Changes">
        {seesPayloads ? (
          <StateDiff ticketId={ticket.ticketId} before={ticket.beforeState} after={ticket.afterState} failed={ticket.status === 'FAILED'} />
        ) : (
          <p className={styles.absent}>
            <Icon name="lock" size={14} /> States before and after are shown to ADMIN only.
          </p>
        )}
      </Section>
      <RelatedTickets ticket={ticket} open={open} />
      <Proof ticket={ticket} again={again} />
      <div>
        {seesPayloads ? (
          [
            { label: 'Request', value: ticket.requestPayload },
            { label: 'Response', value: ticket.responseData },
          ].map(({ label, value }) =>
            value == null ? (
              <p key={label} className={styles.absent}>{label}: not captured</p>
            ) : (
              <JsonView key={label} label={label} value={value} fileName={`${ticket.ticketId}-${label.toLowerCase()}.json`} />
            ),
          )
        ) : (
          <p className={styles.absent}>
            <Icon name="lock" size={14} /> Request and response are shown to ADMIN only.
          </p>
        )}
        <JsonView label="Raw JSON" value={ticket} fileName={`${ticket.ticketId}.json`} />
      </div>
    </div>
  )
}

function Shortcuts({ ticket }: { ticket: TicketDetail }) {
  const at = Date.parse(ticket.timestamp)
  const around = { from: new Date(at - AROUND_MS).toISOString(), to: new Date(at + AROUND_MS).toISOString() }
  const shortcuts: [string, Search][] = [
    ...(ticket.marketMaker ? ([['this market maker', { mm: ticket.marketMaker.id }]] as [string, Search][]) : []),
    ...(ticket.user ? ([['this user', { user: ticket.user.id }]] as [string, Search][]) : []),
    ...(ticket.entityId && ticket.entityType ? ([[`this ${words(ticket.entityType).toLowerCase()}`, { id: ticket.entityId }]] as [string, Search][]) : []),
    ...(ticket.sessionId ? ([['this session', { session: ticket.sessionId }]] as [string, Search][]) : []),
    ['5 minutes around', { ...around, ticket: ticket.ticketId }],
  ]
  return (
    <nav className={styles.shortcuts} aria-label="Filter to">
      <span>Filter to</span>
      {shortcuts.map(([label, search]) => (
        <Link key={label} to="/logging/tickets" search={search as never} className={styles.shortcut}>
          {label}
        </Link>
      ))}
    </nav>
  )
}

function Proof({ ticket, again }: { ticket: TicketDetail; again: () => void }) {
  const zone = useZone()
  const [busy, setBusy] = useState(false)
  const { sealedAt } = ticket
  useEffect(() => {
    if (sealedAt) return
    const timer = setInterval(again, SEAL_MS)
    return () => clearInterval(timer)
  }, [sealedAt, again])
  const download = async () => {
    setBusy(true)
    const answer = await ask(TicketProofQuery, { ticketId: ticket.ticketId })
    setBusy(false)
    if ('problem' in answer) notices.tell({ tone: 'fail', title: 'No proof', detail: answer.problem.message, ticketId: answer.problem.ticketId })
    else if (!answer.value.ticketProof) notices.tell({ tone: 'info', title: 'Not sealed yet', detail: 'A ticket is sealed about a second after it was written. Try again.' })
    else save(`${ticket.ticketId}-proof.json`, [JSON.stringify({ ...answer.value.ticketProof, digest: ticket.digest }, null, 2)], 'application/json')
  }
  return (
    <Section title="Sealing">
      <dl className={styles.facts}>
        <Fact term="Sealed">{sealedAt ? formatInstant(sealedAt, zone) : 'Not yet; it takes about a second.'}</Fact>
        <Fact term="Digest">
          <code>{ticket.digest}</code>
        </Fact>
      </dl>
      <Button
        size="compact-sm"
        variant="default"
        loading={busy}
        disabled={!sealedAt}
        leftSection={<Icon name="download" size={14} />}
        onClick={() => void download()}
      >
        Download the proof
      </Button>
    </Section>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title} className={styles.section}>
      <h2 className={styles.sectionTitle}>{title}</h2>
      {children}
    </section>
  )
}

function Fact({ term, children }: { term: string; children: ReactNode }) {
  if (children === undefined || children === null || children === '') return null
  return (
    <div className={styles.fact}>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  )
}
