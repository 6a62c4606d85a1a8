import { formatEur, formatInstant, formatPrice, formatQuantity, words } from '../format'
import { graphql, type ResultOf } from '../graphql'
import { useZone } from '../preferences'
import { DataTable, type Column } from '../ui/DataTable'
import { EmptyNote } from '../ui/Notes'
import { Panel } from '../ui/Page'
import { TicketLink } from '../ui/TicketLink'
import { usePages } from './usePages'

const MakerTrades = graphql(`
  query MakerTrades($filter: TradeFilter, $first: Int!, $after: String) {
    trades(filter: $filter, first: $first, after: $after) {
      nodes { id certificateType price quantity notional takerSide status executedAt ticketId buyer { id name } }
      pageInfo { hasNextPage endCursor }
    }
  }
`)

type Trade = ResultOf<typeof MakerTrades>['trades']['nodes'][number]

const makerTrades = { query: MakerTrades, read: (data: ResultOf<typeof MakerTrades>) => data.trades }

/** List the trades of a market maker. */
export function TradesPanel({ makerId }: { makerId: string }) {
  const zone = useZone()
  const pages = usePages(makerTrades, { filter: { marketMakerId: makerId } })
  const columns: readonly Column<Trade>[] = [
    { id: 'time', header: zone === 'utc' ? 'Time UTC' : 'Time', width: 216, card: 'start', cell: ({ executedAt }) => formatInstant(executedAt, zone) },
    { id: 'cert', header: 'Cert', width: 60, card: 'title', cell: ({ certificateType }) => certificateType },
    { id: 'price', header: 'Price', width: 84, numeric: true, cell: ({ price }) => formatPrice(price) },
    { id: 'quantity', header: 'Quantity', width: 96, numeric: true, cell: ({ quantity }) => formatQuantity(quantity) },
    { id: 'notional', header: 'Notional', width: 150, numeric: true, cell: ({ notional }) => formatEur(notional) },
    { id: 'buyer', header: 'Buyer', cell: ({ buyer }) => buyer?.name ?? '—' },
    { id: 'status', header: 'Status', width: 104, card: 'mark', cell: ({ status }) => words(status) },
    { id: 'ticket', header: 'Ticket', width: 146, card: 'end', cell: ({ ticketId }) => ticketId && <TicketLink id={ticketId} /> },
  ]
  return (
    <Panel label="Trades">
      <DataTable
        label="Trades"
        columns={columns}
        rows={pages.rows}
        keyOf={({ id }) => id}
        phase={pages.phase}
        problem={pages.problem}
        again={() => void pages.again()}
        hasMore={pages.hasMore}
        loadingMore={pages.loadingMore}
        more={() => void pages.more()}
        empty={<EmptyNote title="No trades yet">What is sold appears here.</EmptyNote>}
      />
    </Panel>
  )
}
