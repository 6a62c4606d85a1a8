import { Button, Menu, SegmentedControl } from '@mantine/core'
import { lazy, Suspense, useMemo, useState } from 'react'
import { csvOf, ndjsonOf, save, textOf, tsvOf } from '../csv'
import { formatCount } from '../format'
import { copy } from '../parts/copy'
import { DataTable, type Column, type Sort } from '../ui/DataTable'
import { Icon } from '../ui/icons'
import { JsonView } from '../parts/JsonView'
import { EmptyNote } from '../ui/Notes'
import { TicketLink } from '../ui/TicketLink'
import { TICKET_ID } from '../paths'
import type { Row } from './rows'
import styles from './QueryPage.module.css'

export interface Shown {
  rows: readonly Row[]
  columns: readonly string[]
  body: unknown
  tookMs: number
  note: string | undefined
}

interface Props {
  shown: Shown | undefined
  busy: boolean
  fileName: string
}

const Chart = lazy(() => import('./Chart'))
const COLUMN_PX = 200
const VIEWS = [{ value: 'table', label: 'Table' }, { value: 'json', label: 'JSON' }, { value: 'chart', label: 'Chart' }]

/** Show an answer as a table, as bars or as it came, and hand it over as a file. */
export function Result({ shown, busy, fileName }: Props) {
  const [view, setView] = useState('table')
  const [sort, setSort] = useState<Sort>()
  const rows = useMemo(() => numbered(sorted(shown?.rows ?? [], sort)), [shown, sort])
  const columns = useMemo(() => (shown?.columns ?? []).map(columnOf), [shown])
  if (!shown) return <EmptyNote title={busy ? 'Running…' : 'No answer yet'}>{busy ? '' : 'Run the query, or choose an example.'}</EmptyNote>
  const { body } = shown
  return (
    <>
      <div className={styles.bar}>
        <SegmentedControl size="xs" aria-label="How the answer is shown" data={VIEWS} value={view} onChange={setView} />
        <p role="status" aria-label="Answer" className={styles.count}>
          {formatCount(shown.rows.length)} {shown.rows.length === 1 ? 'row' : 'rows'} · {Math.round(shown.tookMs)} ms{shown.note ? ` · ${shown.note}` : ''}
        </p>
        <Menu position="bottom-end" withinPortal>
          <Menu.Target>
            <Button size="xs" variant="default" leftSection={<Icon name="download" size={14} />}>Download</Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Label>{formatCount(shown.rows.length)} rows</Menu.Label>
            <Menu.Item onClick={() => save(`${fileName}.csv`, [csvOf(shown.columns, shown.rows)], 'text/csv')}>CSV</Menu.Item>
            <Menu.Item onClick={() => save(`${fileName}.ndjson`, [ndjsonOf(shown.rows)], 'application/x-ndjson')}>NDJSON</Menu.Item>
            <Menu.Item onClick={() => save(`${fileName}.json`, [JSON.stringify(body, null, 2)], 'application/json')}>JSON, as it came</Menu.Item>
            <Menu.Item onClick={() => void copy(tsvOf(shown.columns, shown.rows), 'the table')}>Copy for a spreadsheet</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </div>
      {view === 'chart' ? (
        <Suspense>
          <Chart rows={rows.map(({ row }) => row)} columns={shown.columns} />
        </Suspense>
      ) : view === 'json' ? (
        <JsonView label="Answer" value={body} fileName={`${fileName}.json`} />
      ) : (
        <div className={styles.scroller} tabIndex={0} role="region" aria-label="Rows of the answer">
          <div style={{ minWidth: columns.length * COLUMN_PX }}>
            <DataTable
              label="Answer"
              columns={columns}
              rows={rows}
              keyOf={({ at }) => String(at)}
              phase="ready"
              empty={<EmptyNote title="No rows">The query was answered with an empty list.</EmptyNote>}
              rowCount={rows.length}
              sort={sort}
              onSort={setSort}
            />
          </div>
        </div>
      )}
    </>
  )
}

interface Numbered {
  at: number
  row: Row
}

function numbered(rows: readonly Row[]): Numbered[] {
  return rows.map((row, at) => ({ at, row }))
}

function columnOf(name: string): Column<Numbered> {
  return {
    id: name,
    header: name,
    sortable: true,
    cell: ({ row }) => {
      const value = row[name]
      return typeof value === 'string' && TICKET_ID.test(value) ? <TicketLink id={value} /> : <span title={textOf(value)}>{textOf(value)}</span>
    },
  }
}

// Figures by their size, all else as text; nothing comes last either way.
function sorted(rows: readonly Row[], sort: Sort | undefined): readonly Row[] {
  if (!sort) return rows
  const order = new Intl.Collator('en', { numeric: true })
  const sign = sort.descending ? -1 : 1
  return [...rows].sort((a, b) => {
    const [x, y] = [textOf(a[sort.id]), textOf(b[sort.id])]
    if (x === '' || y === '') return Number(x === '') - Number(y === '')
    const [n, m] = [Number(x), Number(y)]
    return sign * (Number.isNaN(n) || Number.isNaN(m) ? order.compare(x, y) : n - m)
  })
}
