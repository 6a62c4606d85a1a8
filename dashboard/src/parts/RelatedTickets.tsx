import { SegmentedControl } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useAnswer } from '../client'
import { formatInstant, words } from '../format'
import { useZone } from '../preferences'
import { graphOf } from '../tickets/graph'
import { ProblemNote } from '../ui/Notes'
import { TicketStatusMark } from '../ui/Status'
import { TicketAnchor } from './TicketAnchor'
import { RelatedTickets as Related, type RelatedTicket } from './ticketDocuments'
import styles from './RelatedTickets.module.css'

const NODES_MAX = 50 // what the API gives; more are a list of their own
const [NODE_W, NODE_H, COLUMN_W, LANE_H] = [158, 46, 196, 58]
const DEPTHS = ['1', '2', '3', '4', '5']

type Self = Omit<RelatedTicket, never>

interface Props {
  ticket: Self
  open: ((ticketId: string) => void) | undefined
}

/** Show what led to a ticket and what followed from it: as a list by time, or as a graph of causes. */
export function RelatedTickets({ ticket, open }: Props) {
  const [view, setView] = useState('timeline')
  const [depth, setDepth] = useState('2')
  const { data, problem, again } = useAnswer(Related, { ticketId: ticket.ticketId, depth: Number(depth) })
  const others = data?.ticket?.relatedTickets
  if (problem && !others) return <ProblemNote problem={problem} again={again} />
  if (!others) return <p className={styles.none} role="status">Looking for related tickets…</p>
  const all = [ticket, ...others].sort((a, b) => (a.timestamp === b.timestamp ? (a.ticketId < b.ticketId ? -1 : 1) : a.timestamp < b.timestamp ? -1 : 1))
  return (
    <section aria-label={`Related tickets (${others.length})`} className={styles.section}>
      <div className={styles.bar}>
        <h2 className={styles.title}>Related ({others.length})</h2>
        <SegmentedControl size="xs" aria-label="How related tickets are shown" data={[{ value: 'timeline', label: 'Timeline' }, { value: 'graph', label: 'Graph' }]} value={view} onChange={setView} />
        <select className={styles.steps} aria-label="Steps away" value={depth} onChange={(event) => setDepth(event.currentTarget.value)}>
          {DEPTHS.map((value) => (
            <option key={value} value={value}>{value === '1' ? '1 step' : `${value} steps`}</option>
          ))}
        </select>
      </div>
      {others.length === 0 && <p className={styles.none}>No other ticket names this one.</p>}
      {others.length > 0 && (view === 'timeline' ? <Timeline tickets={all} self={ticket.ticketId} open={open} /> : <Drawing tickets={all} self={ticket.ticketId} open={open} />)}
      {others.length >= NODES_MAX && (
        <p className={styles.none}>
          More than {NODES_MAX}: <Link to="/logging/tickets" search={{ related: ticket.ticketId } as never}>open those that touch it as a list</Link>
        </p>
      )}
    </section>
  )
}

interface ViewProps {
  tickets: readonly Self[]
  self: string
  open: Props['open']
}

function Timeline({ tickets, self, open }: ViewProps) {
  const zone = useZone()
  return (
    <ol className={styles.timeline}>
      {tickets.map(({ ticketId, timestamp, actionType, status, summary }) => (
        <li key={ticketId} className={styles.item} data-status={status} aria-current={ticketId === self || undefined}>
          {ticketId === self ? <b className={styles.id}>{ticketId}</b> : <TicketAnchor ticketId={ticketId} open={open} className={styles.id} />}
          <span>{words(actionType)}</span>
          <TicketStatusMark status={status} />
          <span className={styles.summary}>{formatInstant(timestamp, zone)} · {summary}</span>
        </li>
      ))}
    </ol>
  )
}

function Drawing({ tickets, self, open }: ViewProps) {
  const graph = graphOf(tickets)
  const x = (column: number) => column * COLUMN_W
  const y = (lane: number) => lane * LANE_H
  const width = Math.max(1, graph.columns) * COLUMN_W - (COLUMN_W - NODE_W)
  const height = Math.max(1, graph.lanes) * LANE_H - (LANE_H - NODE_H)
  return (
    <div className={styles.scroller} tabIndex={0} role="group" aria-label="Graph of causes; the timeline lists the same tickets">
      <div className={styles.graph} style={{ width, height }}>
        <svg width={width} height={height} aria-hidden="true" className={styles.edges}>
          {graph.edges.map(({ from, to }) => {
            const [x1, y1, x2, y2] = [x(from.column) + NODE_W, y(from.lane) + NODE_H / 2, x(to.column), y(to.lane) + NODE_H / 2]
            return <path key={`${from.ticket.ticketId} ${to.ticket.ticketId}`} d={`M${x1} ${y1} C${x1 + 20} ${y1} ${x2 - 20} ${y2} ${x2} ${y2}`} />
          })}
        </svg>
        {graph.places.map(({ ticket, column, lane }) => (
          <div key={ticket.ticketId} className={styles.node} data-status={ticket.status} data-self={ticket.ticketId === self || undefined} style={{ left: x(column), top: y(lane), width: NODE_W, height: NODE_H }}>
            <TicketAnchor ticketId={ticket.ticketId} open={open} title={ticket.summary} className={styles.id}>
              {ticket.ticketId}
            </TicketAnchor>
            <span className={styles.action}>{words(ticket.actionType)}</span>
          </div>
        ))}
      </div>
    </div>
  )
}
