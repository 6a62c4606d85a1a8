import { Button, Progress, Select } from '@mantine/core'
import { useMemo, useState, type ReactNode } from 'react'
import { csvLine, save } from '../csv'
import { formatAmount, formatCount, formatDelta, formatInstant, NOTHING, words } from '../format'
import { each, folded, story, type LedgerLine } from '../ledgerFolds'
import { notices } from '../live/notices'
import type { Loaded } from '../live/pages'
import { ASSETS, RANGES, startOf, TRANSACTION_TYPES, type AssetName, type LedgerState, type Range, type TransactionType } from '../marketPaths'
import { useZone } from '../preferences'
import { DataTable, type Column } from '../ui/DataTable'
import { Icon } from '../ui/icons'
import { EmptyNote } from '../ui/Notes'
import { Panel } from '../ui/Page'
import { TicketLink } from '../ui/TicketLink'
import styles from './LedgerPanel.module.css'
import { RANGE_WORDS, type LedgerEntry, type LedgerFilter } from './ledger'
import type { Pages } from './usePages'

interface Props {
  state: LedgerState
  change: (part: { asset?: string | undefined; type?: string | undefined; last?: string | undefined }) => void
  pages: Pages<LedgerEntry>
  /** Read all rows of the filter, telling how many are there so far. */
  everyRow: (progress: (rows: number) => void) => Promise<Loaded<readonly LedgerEntry[]>>
  /** Names the exported file. */
  fileName: string
  action?: ReactNode
}

type Line = LedgerLine<LedgerEntry>

/** Show a ledger with its running balances, what one ticket wrote as one line; export all that the filter finds. */
export function LedgerPanel({ state, change, pages, everyRow, fileName, action }: Props) {
  const zone = useZone()
  const { asset, types, range } = state
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set())
  const lines = useMemo(() => folded(pages.rows, opened), [pages.rows, opened])
  const columns = useMemo(() => columnsOf(zone, (ticketId) => setOpened((before) => turned(before, ticketId))), [zone])
  const [read, setRead] = useState<number>()
  const exporting = read !== undefined
  const total = pages.total?.count
  const { hasMore, loadingMore, more } = pages

  // Everything the filter finds is exported, not only what was scrolled to.
  const start = async () => {
    if (exporting) return
    setRead(0)
    const answer = await everyRow(setRead)
    setRead(undefined)
    if ('problem' in answer) {
      notices.tell({ tone: 'fail', title: 'Not exported', detail: answer.problem.message, ticketId: answer.problem.ticketId })
      return
    }
    save(fileName, [csvLine(HEADINGS), ...answer.value.map((row) => csvLine(cellsOf(row)))], 'text/csv;charset=utf-8')
    notices.tell({ tone: 'ok', title: 'Exported', detail: `${formatCount(answer.value.length)} rows to ${fileName}` })
  }

  const isFiltered = asset !== undefined || types.length > 0 || range !== undefined
  return (
    <Panel label="Transactions">
      <div className={styles.head}>
        <Choice label="Asset" all="Every asset" value={asset} options={ASSETS.map((name) => [name, name])} change={(value) => change({ asset: value })} />
        <Choice
          label="Type"
          all="All types"
          value={types[0]}
          options={TRANSACTION_TYPES.map((type) => [type, words(type)])}
          change={(value) => change({ type: value })}
        />
        <Choice label="Time" all="Any time" value={range} options={RANGES.map((name) => [name, RANGE_WORDS[name]])} change={(value) => change({ last: value })} />
        <span className={styles.count}>
          {total === undefined ? '' : `${pages.total?.isExact ? '' : '≈ '}${formatCount(total)} ${total === 1 ? 'row' : 'rows'}`}
        </span>
        <span className={styles.space} />
        <Button size="xs" variant="default" leftSection={<Icon name="download" size={14} />} loading={exporting} disabled={pages.rows.length === 0} onClick={() => void start()}>
          Export CSV
        </Button>
        {action}
      </div>
      {exporting && total !== undefined && (
        <Progress size="xs" aria-label="Reading the rows to export" value={(read / Math.max(1, total)) * 100} />
      )}
      <DataTable
        label="Transactions"
        columns={columns}
        rows={lines}
        keyOf={({ id }) => id}
        phase={pages.phase}
        problem={pages.problem}
        again={() => void pages.again()}
        hasMore={hasMore}
        loadingMore={loadingMore}
        more={() => void more()}
        toneOf={({ isWithin }) => (isWithin ? 'quiet' : undefined)}
        exportRows={() => void start()}
        empty={
          <EmptyNote title={isFiltered ? 'No transactions match' : 'No transactions yet'}>
            {isFiltered && (
              <Button size="xs" variant="default" onClick={() => change({ asset: undefined, type: undefined, last: undefined })}>
                Remove the filters
              </Button>
            )}
          </EmptyNote>
        }
      />
    </Panel>
  )
}

/** Turn what an address asks for into the filter of a ledger. */
export function useLedgerFilter({ asset, types, range }: LedgerState): LedgerFilter {
  const [now] = useState(() => Date.now())
  const type = types[0]
  return useMemo(() => {
    const from = startOf(range, now)
    return {
      ...(asset && { asset }),
      ...(type && { transactionTypes: [type] }),
      ...(from && { dateFrom: from }),
    }
  }, [asset, type, range, now])
}

interface ChoiceProps<Value extends string> {
  label: string
  all: string
  value: Value | undefined
  options: readonly (readonly [Value, string])[]
  change: (value: Value | undefined) => void
}

function Choice<Value extends AssetName | TransactionType | Range>({ label, all, value, options, change }: ChoiceProps<Value>) {
  return (
    <Select
      size="xs"
      w={150}
      aria-label={label}
      placeholder={all}
      clearable
      data={options.map(([name, shown]) => ({ value: name, label: shown }))}
      value={value ?? null}
      onChange={(chosen) => change(chosen ?? undefined)}
    />
  )
}

function columnsOf(zone: 'utc' | 'local', turn: (ticketId: string) => void): readonly Column<Line>[] {
  return [
    {
      id: 'time', header: zone === 'utc' ? 'Time UTC' : 'Time', width: 232, card: 'start',
      cell: ({ row: { createdAt }, isWithin }) => <span className={isWithin ? styles.within : undefined}>{formatInstant(createdAt, zone)}</span>,
    },
    { id: 'asset', header: 'Asset', width: 90, card: 'title', cell: ({ row, fold }) => (fold ? each(fold.rows, 'asset').join(', ') : row.asset) },
    {
      id: 'type', header: 'Type', width: 120, from: 'widest',
      cell: ({ row, fold }) => (fold ? each(fold.rows, 'transactionType').map(words).join(', ') : words(row.transactionType)),
    },
    { id: 'reason', header: 'Why', width: 110, cell: ({ row, fold }) => (fold ? each(fold.rows, 'reason').map(words).join(' → ') : words(row.reason)) },
    {
      id: 'amount', header: 'Amount', width: 120, numeric: true, card: 'mark',
      cell: ({ row: { amount, asset, ticketId }, fold }) =>
        fold ? (
          <button type="button" className={styles.fold} aria-expanded={fold.isOpened} aria-label={`${fold.rows.length} rows of ${ticketId}`} onClick={() => turn(ticketId)}>
            <span aria-hidden="true">{fold.isOpened ? '▾' : '▸'}</span> {fold.rows.length} rows
          </button>
        ) : (
          <span className={styles.amount} data-sign={amount.startsWith('-') ? 'minus' : 'plus'}>{formatDelta(placed(amount, asset))}</span>
        ),
    },
    // Of one asset the newest row says what is left; of several there is no such figure.
    {
      id: 'after', header: 'Balance after', width: 120, numeric: true,
      cell: ({ row, fold }) => (fold && each(fold.rows, 'asset').length > 1 ? NOTHING : formatAmount(row.balanceAfter, row.asset)),
    },
    {
      id: 'locked', header: 'Locked after', width: 110, numeric: true, from: 'wide',
      cell: ({ row, fold }) => (fold && each(fold.rows, 'asset').length > 1 ? NOTHING : formatAmount(row.lockedAfter, row.asset)),
    },
    { id: 'note', header: 'Note', cell: ({ row, fold }) => (fold ? <span title={story(fold.rows)}>{story(fold.rows)}</span> : (row.notes ?? NOTHING)) },
    { id: 'by', header: 'By', width: 120, from: 'widest', cell: ({ row }) => row.createdBy?.name ?? NOTHING },
    {
      id: 'ticket', header: 'Ticket', width: 160, card: 'end',
      cell: ({ row: { ticketId }, isWithin }) => (isWithin ? null : <TicketLink id={ticketId} />),
    },
  ]
}

function turned(opened: ReadonlySet<string>, ticketId: string): ReadonlySet<string> {
  const next = new Set(opened)
  if (!next.delete(ticketId)) next.add(ticketId)
  return next
}

function placed(amount: string, asset: AssetName): string {
  return asset === 'EUR' && !amount.includes('.') ? `${amount}.00` : amount
}

const HEADINGS = [
  'created_at', 'transaction_id', 'asset', 'transaction_type', 'reason', 'amount', 'balance_after', 'locked_after', 'notes', 'created_by', 'ticket_id',
] as const

function cellsOf(row: LedgerEntry): readonly string[] {
  return [
    row.createdAt, row.id, row.asset, row.transactionType, row.reason, row.amount, row.balanceAfter, row.lockedAfter, row.notes ?? '',
    row.createdBy?.name ?? '', row.ticketId,
  ]
}
