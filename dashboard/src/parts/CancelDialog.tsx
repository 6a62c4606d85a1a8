import { useState } from 'react'
import { desk, useAnswer } from '../client'
import { sum } from '../decimal'
import { formatCount, formatPrice, formatQuantity } from '../format'
import { notices } from '../live/notices'
import { problemOf } from '../problem'
import { ConfirmModal } from '../ui/Confirm'
import { EmptyNote, ProblemNote } from '../ui/Notes'
import { TicketLink } from '../ui/TicketLink'
import styles from './CancelDialog.module.css'
import { CancelAllMarketOrders, CancelMarketOrder, CancelOrder, CancelTickets, OrdersQuery, type OrderEntry } from './marketDocuments'
import { openOnly } from './useOrders'
import { ask } from './usePages'

const TYPED_FROM = 6 // so many orders are cancelled only after a name was typed
const ALL_SHOWN_MAX = 100

interface Maker {
  id: string
  name: string
}

interface Props {
  /** The orders to cancel one after the other. */
  orders: readonly OrderEntry[]
  /** Instead: every open order of this market maker, in one transaction. */
  maker?: Maker | undefined
  whose: 'maker' | 'own'
  took: (order: OrderEntry) => void
  close: () => void
}

interface Result {
  order: OrderEntry
  ticketId: string | undefined
  fault: string | undefined
}

/** Say which orders would be cancelled and what that releases; then how each of them ended, with its ticket. */
export function CancelDialog({ orders, maker, whose, took, close }: Props) {
  const open = useAnswer(OrdersQuery, { filter: openOnly({ marketMakerId: maker?.id ?? null }), first: ALL_SHOWN_MAX, after: null }, !maker)
  const listed = maker ? (open.data?.orders.nodes ?? []) : orders
  const isCut = maker !== undefined && open.data?.orders.pageInfo.hasNextPage === true
  const [results, setResults] = useState<readonly Result[]>()
  const [busy, setBusy] = useState(false)

  const act = async () => {
    setBusy(true)
    const ended = maker ? await cancelAll(maker.id, listed) : await cancelEach(listed, whose)
    setResults(ended)
    setBusy(false)
    const done = ended.filter(({ fault }) => fault === undefined)
    for (const { order } of done) took(order)
    const failed = ended.length - done.length
    notices.tell({
      tone: failed > 0 ? 'fail' : 'ok',
      title: `${formatCount(done.length)} ${done.length === 1 ? 'order' : 'orders'} cancelled${failed > 0 ? `, ${failed} not` : ''}`,
      ticketId: ended[0]?.ticketId,
    })
  }

  // What was asked for is read again once it is cancelled; how it ended stays.
  const shown = results ?? listed.map((order): Result => ({ order, ticketId: order.ticketId, fault: undefined }))
  const isEmpty = maker !== undefined && !open.fetching && shown.length === 0
  const makers = new Set(listed.map((order) => order.marketMaker?.name))
  const [only] = makers
  const typed = listed.length < TYPED_FROM ? undefined : makers.size === 1 && only ? only : `cancel ${listed.length} orders`
  return (
    <ConfirmModal
      opened
      close={close}
      title={maker ? `Cancel all orders of ${maker.name}` : `Cancel ${listed.length} selected orders`}
      confirm={`Cancel ${isCut ? 'all' : formatCount(listed.length)} ${listed.length === 1 ? 'order' : 'orders'}`}
      typed={typed}
      busy={busy || open.fetching}
      over={results !== undefined || isEmpty}
      act={() => void act()}
    >
      {open.problem && <ProblemNote problem={open.problem} again={open.again} />}
      {isEmpty && !open.problem && <EmptyNote title={`${maker?.name ?? ''} has no open orders`} />}
      {shown.length > 0 && <p>{results ? 'How each of them ended:' : `Releases ${releaseOf(listed)}.${isCut ? ' More than is listed here.' : ''}`}</p>}
      {shown.length > 0 && (
        <div className={styles.scroller} tabIndex={0} role="region" aria-label="Orders to cancel">
          <table className={styles.table}>
            <thead>
              <tr>
                <th scope="col">Order</th>
                <th scope="col">Left</th>
                <th scope="col">{results ? 'Outcome' : 'Placed with'}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ order, ticketId, fault }) => (
                <tr key={order.id}>
                  <td>
                    {order.marketMaker?.name} {order.side} {order.certificateType} @ {formatPrice(order.price)}
                  </td>
                  <td>{formatQuantity(order.remainingQuantity)}</td>
                  <td>
                    {results && (fault ? `✕ ${fault} ` : '✓ Cancelled ')}
                    {ticketId && <TicketLink id={ticketId} />}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </ConfirmModal>
  )
}

async function cancelEach(orders: readonly OrderEntry[], whose: Props['whose']): Promise<Result[]> {
  const results: Result[] = []
  for (const order of orders) {
    const { data, error } =
      whose === 'maker'
        ? await desk.client.mutation(CancelMarketOrder, { id: order.id }).toPromise()
        : await desk.client.mutation(CancelOrder, { id: order.id }).toPromise()
    const payload = data && ('cancelMarketOrder' in data ? data.cancelMarketOrder : data.cancelOrder)
    const problem = error && problemOf(error)
    const [refusal] = payload?.errors ?? []
    results.push({
      order: payload?.order ?? order,
      ticketId: payload?.ticketId ?? problem?.ticketId,
      fault: problem?.message ?? refusal?.message,
    })
  }
  return results
}

async function cancelAll(marketMakerId: string, listed: readonly OrderEntry[]): Promise<Result[]> {
  const { data, error } = await desk.client.mutation(CancelAllMarketOrders, { marketMakerId, certificateType: null }).toPromise()
  const payload = data?.cancelAllMarketOrders
  const fault = error ? problemOf(error).message : payload?.errors[0]?.message
  if (fault !== undefined || !payload) {
    return listed.map((order) => ({ order, ticketId: payload?.ticketId, fault: fault ?? 'The server gave no answer.' }))
  }
  // Each order was cancelled with a ticket of its own, which the ticket of the whole points to.
  const tickets = await ask(CancelTickets, { ticketId: payload.ticketId })
  const related = 'value' in tickets ? (tickets.value.ticket?.relatedTickets ?? []) : []
  return payload.cancelledOrders.map((order) => ({
    order,
    ticketId: related.find(({ entityId }) => entityId === order.id)?.ticketId ?? payload.ticketId,
    fault: undefined,
  }))
}

function releaseOf(orders: readonly OrderEntry[]): string {
  const totals = new Map<string, string>()
  for (const { side, certificateType, remainingQuantity } of orders) {
    if (side === 'SELL') totals.set(certificateType, sum(totals.get(certificateType) ?? '0', remainingQuantity))
  }
  const parts = [...totals].map(([asset, total]) => `${formatQuantity(total)} ${asset}`)
  return parts.length > 0 ? parts.join(' and ') : 'the euros that they hold'
}
