import { Button, SegmentedControl, Select } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useCallback, useState } from 'react'
import { can } from '../can'
import { useAnswer } from '../client'
import { formatAmount, formatCount, formatInstant, formatPrice, formatQuantity, words, type Zone } from '../format'
import { graphql, type ResultOf } from '../graphql'
import { CERTIFICATE_TYPES } from '../paths'
import { readTradesSearch, TRADE_STATUSES, type TradesSearch } from '../officePaths'
import { SettlementTradesQuery, SettlementTradesTotal, type TradeEntry } from '../parts/officeDocuments'
import { SettleModal, TRADES_AT_ONCE_MAX } from '../parts/SettleModal'
import { usePages, type List } from '../parts/usePages'
import { usePerson } from '../parts/usePerson'
import { useZone } from '../preferences'
import { DataTable, type Column } from '../ui/DataTable'
import { DayField } from '../ui/DayField'
import { EmptyNote, IgnoredNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import styles from '../parts/Office.module.css'

const route = getRouteApi('/desk/settlement')
const MAKERS_MAX = 100
const WITHOUT_REFERENCE: ReadonlySet<string> = new Set(['reference'])

const Makers = graphql(`
  query SettlementMakers($first: Int!) {
    marketMakers(first: $first) { nodes { id name } }
  }
`)

const TRADES = {
  query: SettlementTradesQuery,
  read: (data) => data.trades,
  total: { query: SettlementTradesTotal, read: (data) => data.trades },
} satisfies List<TradeEntry, never, ResultOf<typeof SettlementTradesQuery>, ResultOf<typeof SettlementTradesTotal>>

/** List trades, and record what the registry has carried out. */
export function SettlementPage() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const { filter, status, certificateType, marketMakerId, ignored } = readTradesSearch(search)
  const pages = usePages(TRADES, { filter })
  const { data: makers } = useAnswer(Makers, { first: MAKERS_MAX })
  const zone = useZone()
  const settles = can(usePerson()?.role, 'desk.write')
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [settling, setSettling] = useState<readonly TradeEntry[]>()
  const change = useCallback(
    (next: TradesSearch) => {
      setSelected(new Set())
      void navigate({ search: (old: TradesSearch) => ({ ...old, ...next }), resetScroll: false })
    },
    [navigate],
  )
  const chosen = pages.rows.filter(({ id }) => selected.has(id))
  return (
    <Page
      title="Trades & settlement"
      actions={
        settles && (
          <Button disabled={chosen.length === 0 || chosen.length > TRADES_AT_ONCE_MAX} onClick={() => setSettling(chosen)}>
            Settle selected ({formatCount(chosen.length)})
          </Button>
        )
      }
    >
      <IgnoredNote ignored={ignored} />
      <div className={styles.filters} role="search" aria-label="Filters">
        <SegmentedControl
          aria-label="Status"
          data={[...TRADE_STATUSES.map((one) => ({ value: one, label: words(one) })), { value: 'ALL', label: 'All' }]}
          value={status}
          onChange={(next) => change({ status: next === 'EXECUTED' ? undefined : next })}
        />
        <SegmentedControl
          aria-label="Certificate" data={[{ value: '', label: 'Both' }, ...CERTIFICATE_TYPES.map((one) => ({ value: one, label: one }))]}
          value={certificateType ?? ''} onChange={(cert) => change({ cert: cert || undefined })}
        />
        <Select
          aria-label="Market maker" placeholder="Any seller" w={180} clearable searchable clearButtonProps={{ 'aria-label': 'Any seller' }}
          data={makers?.marketMakers.nodes.map(({ id, name }) => ({ value: id, label: name })) ?? []}
          value={marketMakerId ?? null} onChange={(mm) => change({ mm: mm ?? undefined })}
        />
        <DayField label="Made from" word="from" value={search.from} change={(from) => change({ from })} />
        <DayField label="Made until" word="until" value={search.to} change={(to) => change({ to })} />
        <span className={styles.count} role="status">
          {pages.total && `${pages.total.isExact ? '' : 'more than '}${formatCount(pages.total.count)} trades`}
        </span>
      </div>
      {chosen.length > TRADES_AT_ONCE_MAX && (
        <p className={styles.note} role="alert">At most {TRADES_AT_ONCE_MAX} trades are settled at once; {formatCount(chosen.length)} are selected.</p>
      )}
      <Panel label="List of trades">
        <DataTable
          {...pages}
          label="Trades"
          columns={columnsOf(zone)}
          {...(status === 'EXECUTED' && { hidden: WITHOUT_REFERENCE })}
          keyOf={(row) => row.id}
          rowCount={pages.total?.isExact ? pages.total.count : undefined}
          again={() => void pages.again()}
          more={() => void pages.more()}
          {...(settles && { selected, onSelect: setSelected, selectable: (row: TradeEntry) => row.status === 'EXECUTED' })}
          nameOf={(row) => `${row.quantity} ${row.certificateType} at ${row.price}, ${formatInstant(row.executedAt, zone)}`}
          empty={
            <EmptyNote title={status === 'EXECUTED' ? 'No trade waits for the registry' : 'No such trades'}>
              <Button variant="default" size="xs" onClick={() => change({ status: 'ALL', cert: undefined, mm: undefined, from: undefined, to: undefined })}>
                Show all trades
              </Button>
            </EmptyNote>
          }
        />
      </Panel>
      <SettleModal
        trades={settling}
        close={() => setSettling(undefined)}
        settled={() => {
          setSelected(new Set())
          void pages.again()
        }}
      />
    </Page>
  )
}

function columnsOf(zone: Zone): Column<TradeEntry>[] {
  return [
    {
      id: 'time', header: `Made ${zone === 'utc' ? 'UTC' : 'local'}`, isRowHeader: true, card: 'title', width: 242,
      cell: ({ executedAt }) => formatInstant(executedAt, zone),
    },
    { id: 'certificate', header: 'Cert', card: 'mark', width: 56, cell: ({ certificateType }) => certificateType },
    { id: 'quantity', header: 'Quantity', numeric: true, width: 84, cell: ({ quantity }) => formatQuantity(quantity) },
    { id: 'price', header: 'Price', numeric: true, width: 74, cell: ({ price }) => formatPrice(price) },
    { id: 'notional', header: 'EUR', numeric: true, from: 'widest', width: 125, cell: ({ notional }) => formatAmount(notional, 'EUR') },
    { id: 'buyer', header: 'Buyer', from: 'wide', cell: ({ buyer }) => buyer?.name },
    { id: 'seller', header: 'Seller', cell: ({ marketMaker, seller }) => marketMaker?.name ?? seller?.name },
    {
      id: 'status', header: 'Status', width: 120,
      cell: ({ status }) => <StateMark tone={status === 'SETTLED' ? 'ok' : 'warn'}>{words(status)}</StateMark>,
    },
    { id: 'reference', header: 'Registry reference', from: 'wide', cell: ({ registryReference }) => registryReference },
    { id: 'ticket', header: 'Ticket', width: 146, cell: ({ ticketId }) => ticketId && <TicketLink id={ticketId} /> },
  ]
}
