import { Button, Menu } from '@mantine/core'
import { useRef, useState } from 'react'
import { formatCount } from '../format'
import { graphql } from '../graphql'
import { notices } from '../live/notices'
import { exportTickets, type ExportColumn, type ExportKind } from '../tickets/exports'
import type { TicketFilter, TicketsState } from '../tickets/search'
import { Icon } from '../ui/icons'
import { ask } from './usePages'
import styles from './Menus.module.css'

const ExportCount = graphql(`
  query ExportCount($filter: TicketFilter) {
    ticketStats(filter: $filter) { totalActions }
  }
`)

interface Props {
  state: Pick<TicketsState, 'terms' | 'range' | 'order'>
  /** The filter as the table was read with. */
  filter: TicketFilter
  columns: readonly ExportColumn[]
  seesPayloads: boolean
  opened: boolean
  setOpened: (opened: boolean) => void
}

const KINDS: readonly { kind: ExportKind; label: string }[] = [
  { kind: 'shown', label: 'CSV, visible columns' },
  { kind: 'csv', label: 'CSV, everything' },
  { kind: 'ndjson', label: 'NDJSON, everything' },
]

/** Export what the list shows, all of it: the exact number first, then the file, then whether it is whole. */
export function ExportMenu({ state, filter, columns, seesPayloads, opened, setOpened }: Props) {
  const [count, setCount] = useState<{ filter: TicketFilter; words: string }>()
  const [running, setRunning] = useState<string>()
  const abort = useRef<AbortController>(undefined)
  const open = async (next: boolean) => {
    setOpened(next)
    if (!next) return
    setCount(undefined)
    const answer = await ask(ExportCount, { filter })
    setCount({
      filter,
      words: 'problem' in answer ? 'Counted when it starts' : `Export ${formatCount(answer.value.ticketStats.totalActions)} ${answer.value.ticketStats.totalActions === 1 ? 'row' : 'rows'}`,
    })
  }
  const start = async (kind: ExportKind) => {
    abort.current = new AbortController()
    setRunning('Starting…')
    try {
      const { rows, expected, ticketId, fileName } = await exportTickets(
        { kind, filter, state, columns },
        (done, all) => setRunning(`${formatCount(done)} of ${formatCount(all)}`),
        abort.current.signal,
      )
      if (rows === expected) notices.tell({ tone: 'ok', title: `Exported ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}`, detail: fileName, ticketId })
      else {
        const detail = `${fileName} has ${formatCount(rows)} of ${formatCount(expected)} rows. Export it again.`
        notices.tell({ tone: 'fail', title: 'The file is not whole', detail, ticketId })
      }
    } catch (error) {
      if (abort.current.signal.aborted) notices.tell({ tone: 'info', title: 'Export stopped', detail: 'No file was kept.', ticketId: undefined })
      else notices.tell({ tone: 'fail', title: 'Not exported', detail: error instanceof Error ? error.message : String(error), ticketId: undefined })
    } finally {
      setRunning(undefined)
    }
  }
  if (running !== undefined) {
    return (
      <Button size="xs" variant="default" onClick={() => abort.current?.abort()} aria-label={`Exporting ${running}. Stop`}>
        {running} · Stop
      </Button>
    )
  }
  return (
    <Menu opened={opened} onChange={(next) => void open(next)} position="bottom-end" withinPortal>
      <Menu.Target>
        <Button size="xs" variant="default" leftSection={<Icon name="download" size={14} />}>
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{count?.words ?? 'Counting…'}</Menu.Label>
        {KINDS.map(({ kind, label }) => (
          <Menu.Item key={kind} onClick={() => void start(kind)}>
            {label}
          </Menu.Item>
        ))}
        <p className={styles.note}>
          {seesPayloads ? 'Everything includes request, response and states.' : 'Requests, responses and states are for ADMIN.'} Each export has a ticket.
        </p>
      </Menu.Dropdown>
    </Menu>
  )
}
