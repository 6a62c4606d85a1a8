import { useMemo } from 'react'
import { formatInstant, words } from '../format'
import { useZone } from '../preferences'
import { readTickets } from '../tickets/search'
import { DataTable, type Column } from '../ui/DataTable'
import { EmptyNote } from '../ui/Notes'
import { Panel } from '../ui/Page'
import { TicketStatusMark } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import type { TicketEntry } from './ticketDocuments'
import { useTickets } from './useTickets'

/** List the tickets of one market maker as they are written. */
export function MakerTickets({ makerId }: { makerId: string }) {
  const zone = useZone()
  const [view, feed] = useTickets(useMemo(() => readTickets({ mm: makerId }), [makerId]))
  const columns: readonly Column<TicketEntry>[] = [
    { id: 'time', header: zone === 'utc' ? 'Time UTC' : 'Time', width: 226, card: 'start', cell: ({ timestamp }) => formatInstant(timestamp, zone) },
    { id: 'ticket', header: 'Ticket', width: 160, card: 'title', cell: ({ ticketId }) => <TicketLink id={ticketId} /> },
    { id: 'action', header: 'Action', width: 180, cell: ({ actionType }) => words(actionType) },
    { id: 'status', header: 'Status', width: 100, card: 'mark', cell: ({ status }) => <TicketStatusMark status={status} /> },
    { id: 'by', header: 'By', width: 130, from: 'wide', cell: ({ user }) => user?.name ?? '—' },
    { id: 'summary', header: 'Summary', card: 'whole', cell: ({ errorCode, summary }) => (errorCode ? `${errorCode}: ${summary}` : summary) },
  ]
  return (
    <Panel label="Tickets">
      <DataTable
        label="Tickets"
        columns={columns}
        rows={view.rows}
        keyOf={({ ticketId }) => ticketId}
        phase={view.phase}
        problem={view.problem}
        again={() => void feed.reload()}
        hasMore={view.hasMore}
        loadingMore={view.loadingMore}
        more={() => void feed.more()}
        toneOf={({ status }) => (status === 'FAILED' ? 'fail' : undefined)}
        fresh={view.fresh}
        empty={<EmptyNote title="No tickets yet" />}
      />
    </Panel>
  )
}
