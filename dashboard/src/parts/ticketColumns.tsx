import { formatDuration, formatInstant, NOTHING, shortId, words, type Zone } from '../format'
import type { ExportColumn } from '../tickets/exports'
import type { Column } from '../ui/DataTable'
import { TicketStatusMark } from '../ui/Status'
import { TicketAnchor } from './TicketAnchor'
import type { TicketEntry } from './ticketDocuments'
import styles from './ticketColumns.module.css'

/** The columns of a list of tickets, with what a file of the visible ones holds under each. */
export const TICKET_COLUMNS: readonly { id: string; header: string; files: readonly ExportColumn[] }[] = [
  { id: 'time', header: 'Time', files: [text('timestamp')] },
  { id: 'ticket', header: 'Ticket', files: [text('ticketId')] },
  { id: 'action', header: 'Action', files: [text('actionType')] },
  { id: 'status', header: 'Status', files: [text('status')] },
  { id: 'by', header: 'By', files: [{ heading: 'userName', read: named('user') }] },
  { id: 'mm', header: 'Market maker', files: [{ heading: 'marketMakerName', read: named('marketMaker') }] },
  { id: 'entity', header: 'Entity', files: [text('entityType'), text('entityId')] },
  { id: 'ms', header: 'ms', files: [text('durationMs')] },
  { id: 'summary', header: 'Summary', files: [text('errorCode'), text('summary')] },
]

/** Give what a file of the visible columns holds. */
export function exportColumns(hidden: ReadonlySet<string>): ExportColumn[] {
  return TICKET_COLUMNS.filter(({ id }) => !hidden.has(id)).flatMap(({ files }) => files)
}

/** Give the columns of the table. */
export function ticketColumns(zone: Zone, open: (ticketId: string) => void): Column<TicketEntry>[] {
  return [
    { id: 'time', header: `Time ${zone === 'utc' ? 'UTC' : 'local'}`, width: zone === 'utc' ? 232 : 262, sortable: true, card: 'start', cell: (row) => <span className={styles.quiet}>{formatInstant(row.timestamp, zone)}</span> },
    { id: 'ticket', header: 'Ticket', width: 158, card: 'end', isRowHeader: true, cell: (row) => <TicketAnchor ticketId={row.ticketId} open={open} className={styles.id} /> },
    { id: 'action', header: 'Action', width: 164, card: 'title', cell: (row) => words(row.actionType) },
    { id: 'status', header: 'Status', width: 108, card: 'mark', cell: (row) => <TicketStatusMark status={row.status} /> },
    { id: 'by', header: 'By', width: 148, from: 'wide', card: 'none', cell: (row) => row.user?.name ?? NOTHING },
    { id: 'mm', header: 'Market maker', width: 124, from: 'wide', card: 'none', cell: (row) => row.marketMaker?.name ?? NOTHING },
    { id: 'entity', header: 'Entity', width: 190, from: 'widest', card: 'none', cell: (row) => (
      <>
        {row.entityType ? words(row.entityType) : NOTHING}
        {row.entityId && <span className={styles.quiet}> {shortId(row.entityId)}</span>}
      </>
    ) },
    { id: 'ms', header: 'ms', width: 76, numeric: true, from: 'widest', card: 'none', cell: (row) => formatDuration(row.durationMs) },
    { id: 'summary', header: 'Summary', card: 'whole', cell: (row) => (
      <>
        {row.errorCode && <b className={styles.code}>{row.errorCode}</b>} {row.summary}
      </>
    ) },
  ]
}

function text(heading: string): ExportColumn {
  return { heading, read: (ticket) => ticket[heading] }
}

function named(field: string): ExportColumn['read'] {
  return (ticket) => (ticket[field] as { name?: string } | null)?.name
}
