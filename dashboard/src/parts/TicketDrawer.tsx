import { Button, Drawer, Skeleton } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { can } from '../can'
import { useAnswer } from '../client'
import { formatDuration, formatInstant, words } from '../format'
import { notices } from '../live/notices'
import { useZone } from '../preferences'
import { Icon } from '../ui/icons'
import { JsonView } from '../ui/JsonView'
import { EmptyNote, ProblemNote } from '../ui/Notes'
import { TicketStatusMark } from '../ui/Status'
import { ChangeTable } from './ChangeTable'
import { TicketQuery, type TicketDetail } from './ticketDocuments'
import { usePerson } from './usePerson'
import styles from './TicketDrawer.module.css'

/** Show one ticket over the list it was opened from. */
export function TicketDrawer({ ticketId, close }: { ticketId: string | undefined; close: () => void }) {
  // The last ticket stays while the drawer slides away.
  const [shown, setShown] = useState(ticketId)
  if (ticketId !== undefined && ticketId !== shown) setShown(ticketId)

  return (
    <Drawer.Root opened={ticketId !== undefined} onClose={close} position="right" size={720}>
      <Drawer.Overlay backgroundOpacity={0.28} />
      <Drawer.Content>
        {/* Inside a dialog this is no banner of the page. */}
        <Drawer.Header role="presentation">
          <Drawer.Title className={styles.title}>{shown}</Drawer.Title>
          <Drawer.CloseButton aria-label="Close the ticket" />
        </Drawer.Header>
        <Drawer.Body>{shown !== undefined && <TicketContent key={shown} ticketId={shown} />}</Drawer.Body>
      </Drawer.Content>
    </Drawer.Root>
  )
}

function TicketContent({ ticketId }: { ticketId: string }) {
  const { data, problem, fetching, again } = useAnswer(TicketQuery, { ticketId })
  if (data?.ticket) return <Ticket ticket={data.ticket} />
  if (problem) return <ProblemNote problem={problem} again={again} />
  if (!fetching) {
    return <EmptyNote title="There is no such ticket">It may be mistyped, or from another market.</EmptyNote>
  }
  return (
    <div aria-label="Loading the ticket" role="status" className={styles.loading}>
      {['60%', '85%', '40%', '70%'].map((width) => (
        <Skeleton key={width} height={14} width={width} />
      ))}
    </div>
  )
}

function Ticket({ ticket }: { ticket: TicketDetail }) {
  const zone = useZone()
  const role = usePerson()?.role
  const payloads = [
    { label: 'Request', value: ticket.requestPayload },
    { label: 'Response', value: ticket.responseData },
  ]
  return (
    <div className={styles.ticket}>
      <div className={styles.head}>
        <TicketStatusMark status={ticket.status} />
        <span className={styles.action}>{words(ticket.actionType)}</span>
        <Button size="compact-sm" variant="default" leftSection={<Icon name="link" size={14} />} onClick={() => void copyLink(ticket.ticketId)}>
          Copy link
        </Button>
      </div>
      <p className={styles.summary}>{ticket.summary}</p>
      {ticket.errorCode && (
        <p className={styles.error}>
          <b>{ticket.errorCode}</b> {ticket.errorMessage}
        </p>
      )}
      <dl className={styles.facts}>
        <Fact term="Time">{formatInstant(ticket.timestamp, zone)}</Fact>
        <Fact term="By">{ticket.user?.name}</Fact>
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
      <Section title="Changes">
        <ChangeTable changes={ticket.changes} failed={ticket.status === 'FAILED'} />
      </Section>
      <Section title={`Related tickets (${ticket.relatedTickets.length})`}>
        <Related tickets={ticket.relatedTickets} />
      </Section>
      <div className={styles.payloads}>
        {can(role, 'payloads.read') ? (
          payloads.map(({ label, value }) =>
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
      </div>
    </div>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title} className={styles.section}>
      <h3 className={styles.sectionTitle}>{title}</h3>
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

function Related({ tickets }: { tickets: TicketDetail['relatedTickets'] }) {
  const zone = useZone()
  if (tickets.length === 0) return <p className={styles.absent}>No other ticket names this one.</p>
  return (
    <ol className={styles.related}>
      {tickets.map(({ ticketId, timestamp, actionType, status, summary }) => (
        <li key={ticketId} className={styles.relatedItem} data-status={status}>
          <Link
            from="/logging/tickets"
            to="/logging/tickets"
            search={(old) => ({ ...old, ticket: ticketId })}
            resetScroll={false}
            className={styles.relatedLink}
          >
            {ticketId}
          </Link>
          <span>{words(actionType)}</span>
          <TicketStatusMark status={status} />
          <span className={styles.relatedSummary}>
            {formatInstant(timestamp, zone)} · {summary}
          </span>
        </li>
      ))}
    </ol>
  )
}

async function copyLink(ticketId: string): Promise<void> {
  const address = `${location.origin}/t/${ticketId}`
  try {
    await navigator.clipboard.writeText(address)
    notices.tell({ tone: 'ok', title: 'Link copied', detail: address })
  } catch {
    notices.tell({ tone: 'fail', title: 'The browser did not allow copying', detail: address })
  }
}
