import { Skeleton } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { memo, type MouseEvent } from 'react'
import { formatDuration, formatInstant, NOTHING, shortId, words, type Zone } from '../format'
import { useZone } from '../preferences'
import { TicketStatusMark } from '../ui/Status'
import type { TicketEntry } from './ticketDocuments'
import styles from './TicketTable.module.css'

const SKELETON_ROWS = 12

interface Props {
  rows: readonly TicketEntry[]
  fresh: ReadonlySet<string>
  selected: string | undefined
  loading: boolean
  open: (ticketId: string) => void
}

/** List tickets; a press anywhere on a row opens the ticket, and its number is a link for keys and new windows. */
export function TicketTable({ rows, fresh, selected, loading, open }: Props) {
  const zone = useZone()
  return (
    <table className={styles.table} aria-label="Tickets" aria-busy={loading}>
      <thead>
        <tr>
          <th scope="col">Time {zone === 'utc' ? 'UTC' : 'local'}</th>
          <th scope="col">Ticket</th>
          <th scope="col">Action</th>
          <th scope="col">Status</th>
          <th scope="col" className={styles.wide}>By</th>
          <th scope="col" className={styles.wide}>Market maker</th>
          <th scope="col" className={styles.widest}>Entity</th>
          <th scope="col" className={`${styles.widest} ${styles.number}`}>ms</th>
          <th scope="col">Summary</th>
        </tr>
      </thead>
      <tbody>
        {loading && rows.length === 0
          ? Array.from({ length: SKELETON_ROWS }, (_, row) => (
              <tr key={row} aria-hidden="true" className={styles.skeleton}>
                <td colSpan={9}>
                  <Skeleton height={12} width={`${90 - ((row * 17) % 40)}%`} />
                </td>
              </tr>
            ))
          : rows.map((row) => (
              <Row
                key={row.ticketId}
                row={row}
                zone={zone}
                fresh={fresh.has(row.ticketId)}
                selected={row.ticketId === selected}
                open={open}
              />
            ))}
      </tbody>
    </table>
  )
}

interface RowProps {
  row: TicketEntry
  zone: Zone
  fresh: boolean
  selected: boolean
  open: (ticketId: string) => void
}

const Row = memo(function Row({ row, zone, fresh, selected, open }: RowProps) {
  const press = (event: MouseEvent) => {
    const onLink = (event.target as Element).closest('a') !== null
    if (!onLink && document.getSelection()?.isCollapsed !== false) open(row.ticketId)
  }
  return (
    <tr
      className={styles.row}
      data-status={row.status}
      data-fresh={fresh || undefined}
      aria-selected={selected || undefined}
      onClick={press}
    >
      <td className={styles.time}>{formatInstant(row.timestamp, zone)}</td>
      <td className={styles.ticket}>
        <Link
          from="/logging/tickets"
          to="/logging/tickets"
          search={(old) => ({ ...old, ticket: row.ticketId })}
          resetScroll={false}
          preload={false}
        >
          {row.ticketId}
        </Link>
      </td>
      <td className={styles.action}>{words(row.actionType)}</td>
      <td className={styles.status}>
        <TicketStatusMark status={row.status} />
      </td>
      <td className={styles.wide}>{row.user?.name ?? NOTHING}</td>
      <td className={styles.wide}>{row.marketMaker?.name ?? NOTHING}</td>
      <td className={styles.widest}>
        {row.entityType ? words(row.entityType) : NOTHING}
        {row.entityId && <span className={styles.id}> {shortId(row.entityId)}</span>}
      </td>
      <td className={`${styles.widest} ${styles.number}`}>{formatDuration(row.durationMs)}</td>
      <td className={styles.summary}>
        {row.errorCode && <b className={styles.code}>{row.errorCode}</b>} {row.summary}
      </td>
    </tr>
  )
})
