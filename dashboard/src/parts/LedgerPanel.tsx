import { Button, Progress, Select } from '@mantine/core'
import { useMemo, useState, type ReactNode } from 'react'
import { csvLine, save } from '../csv'
import { formatAmount, formatCount, formatDelta, formatInstant, words } from '../format'
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

/** Show a ledger with its running balances; export all that the filter finds. */
export function LedgerPanel({ state, change, pages, everyRow, fileName, action }: Props) {
  const zone = useZone()
  const { asset, types, range } = state
  const columns = useMemo(() => columnsOf(zone), [zone])
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
        rows={pages.rows}
        keyOf={({ id }) => id}
        phase={pages.phase}
        problem={pages.problem}
        again={() => void pages.again()}
        hasMore={hasMore}
        loadingMore={loadingMore}
        more={() => void more()}
        rowCount={pages.total?.isExact ? total : undefined}
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

function columnsOf(zone: 'utc' | 'local'): readonly Column<LedgerEntry>[] {
  return [
    { id: 'time', header: zone === 'utc' ? 'Time UTC' : 'Time', width: 226, card: 'start', cell: ({ createdAt }) => formatInstant(createdAt, zone) },
    { id: 'asset', header: 'Asset', width: 70, card: 'title', cell: ({ asset }) => asset },
    { id: 'type', header: 'Type', width: 130, cell: ({ transactionType }) => words(transactionType) },
    { id: 'reason', header: 'Why', width: 110, from: 'wide', cell: ({ reason }) => words(reason) },
    {
      id: 'amount', header: 'Amount', width: 120, numeric: true, card: 'mark',
      cell: ({ amount, asset }) => <span className={styles.amount} data-sign={amount.startsWith('-') ? 'minus' : 'plus'}>{formatDelta(placed(amount, asset))}</span>,
    },
    { id: 'after', header: 'Balance after', width: 130, numeric: true, cell: ({ balanceAfter, asset }) => formatAmount(balanceAfter, asset) },
    { id: 'locked', header: 'Locked after', width: 120, numeric: true, from: 'wide', cell: ({ lockedAfter, asset }) => formatAmount(lockedAfter, asset) },
    { id: 'note', header: 'Note', cell: ({ notes }) => notes ?? '—' },
    { id: 'by', header: 'By', width: 120, from: 'widest', cell: ({ createdBy }) => createdBy?.name ?? '—' },
    {
      id: 'ticket', header: 'Ticket', width: 160, card: 'end',
      cell: ({ ticketId }) => <TicketLink id={ticketId} />,
    },
  ]
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
