import { useMemo } from 'react'
import { desk } from '../client'
import type { VariablesOf } from '../graphql'
import { RowsFeed, type RowsView } from '../live/rows'
import { useStore } from '../live/store'
import { problemOf } from '../problem'
import { OrdersQuery, OrdersStream, TradesQuery, TradesStream, type OrderEntry, type TradeEntry } from './marketDocuments'
import type { CertificateType } from '../paths'

export type OrderFilter = NonNullable<VariablesOf<typeof OrdersQuery>['filter']>

const PAGE_SIZE = 50
const WHOLE_PAGE_SIZE = 100
const TRADES_SHOWN = 50
const OPEN = ['OPEN', 'PARTIALLY_FILLED'] as const

/** An order in a list: one that the server knows, or one on its way to it. */
export type ListedOrder = OrderEntry & { isPending?: boolean }

/** Say whether an order stands in the book. */
export function isOpen({ status, isPending }: Pick<ListedOrder, 'status' | 'isPending'>): boolean {
  return !isPending && (status === 'OPEN' || status === 'PARTIALLY_FILLED')
}

/**
 * Follow the orders that pass a filter, newest first. The filter must be stable.
 * `whole`: all pages at once, for open orders only.
 */
export function useOrders(filter: OrderFilter, whole = false): [RowsView<ListedOrder>, RowsFeed<ListedOrder>] {
  const feed = useMemo(() => {
    const { statuses, ...scope } = filter
    return new RowsFeed<ListedOrder>({
      whole,
      load: async (after) => {
        const variables = { filter, first: whole ? WHOLE_PAGE_SIZE : PAGE_SIZE, after: after ?? null }
        const { data, error } = await desk.client.query(OrdersQuery, variables, { requestPolicy: 'network-only' }).toPromise()
        if (error) return { problem: problemOf(error) }
        const { nodes, pageInfo } = (data as NonNullable<typeof data>).orders
        return { rows: nodes, ...pageInfo }
      },
      // An order that leaves a state is told of only to those who do not ask for that state.
      follow: (sink) =>
        desk.connection.follow(OrdersStream, () => ({ filter: scope }), { ...sink, next: ({ orders }) => sink.next(orders) }),
      back: onBack,
      isNewer: (a, b) => Boolean(a.isPending) || (!b.isPending && (a.createdAt > b.createdAt || (a.createdAt === b.createdAt && a.id > b.id))),
      belongs: (row) => !statuses || statuses.includes(row.status),
      replaces: (row, known) => row.updatedAt >= known.updatedAt && (isOpen(known) || !isOpen(row)),
    })
  }, [filter, whole])
  return [useStore(feed), feed]
}

/** Make a filter of open orders only. */
export function openOnly(filter: OrderFilter): OrderFilter {
  return { ...filter, statuses: [...OPEN] }
}

/** Follow the newest trades of a certificate. */
export function useTrades(certificateType: CertificateType): RowsView<TradeEntry> {
  const feed = useMemo(
    () =>
      new RowsFeed<TradeEntry>({
        load: async (after) => {
          const variables = { filter: { certificateType }, first: TRADES_SHOWN, after: after ?? null }
          const { data, error } = await desk.client.query(TradesQuery, variables, { requestPolicy: 'network-only' }).toPromise()
          if (error) return { problem: problemOf(error) }
          const { nodes, pageInfo } = (data as NonNullable<typeof data>).trades
          return { rows: nodes, ...pageInfo }
        },
        follow: (sink) =>
          desk.connection.follow(TradesStream, () => ({ certificateType }), { ...sink, next: ({ trades }) => sink.next(trades) }),
        back: onBack,
        isNewer: (a, b) => a.executedAt > b.executedAt || (a.executedAt === b.executedAt && a.id > b.id),
        belongs: () => true,
        replaces: () => false,
      }),
    [certificateType],
  )
  return useStore(feed)
}

/** Be told each time the connection is there again. */
export function onBack(listener: () => void): () => void {
  return desk.connection.subscribe(() => {
    if (desk.connection.read().phase === 'live') listener()
  })
}
