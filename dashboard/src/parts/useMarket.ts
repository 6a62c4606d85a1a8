import { useMediaQuery } from '@mantine/hooks'
import { useCallback, useMemo, useState } from 'react'
import { useAnswer } from '../client'
import type { BookFeed } from '../live/book'
import { levelKey } from '../live/levels'
import type { RowsView } from '../live/rows'
import type { BookSearch, BookState } from '../marketPaths'
import type { CertificateType } from '../paths'
import type { BookLook } from './BookPanel'
import { CertificatesQuery, type Certificate, type OrderEntry, type TradeEntry } from './marketDocuments'
import { useBook } from './useBook'
import { isOpen, useTrades } from './useOrders'

export interface Market {
  feed: BookFeed
  trades: RowsView<TradeEntry>
  certificate: Certificate | undefined
}

/** Follow what happens in one certificate: its book, its trades, its rules. */
export function useMarket(certificateType: CertificateType): Market {
  const feed = useBook(certificateType)
  const trades = useTrades(certificateType)
  const { data } = useAnswer(CertificatesQuery, {})
  const certificate = data?.certificates.find((known) => known.certificateType === certificateType)
  return { feed, trades, certificate }
}

type Navigate = (change: (old: BookSearch) => object, replace: boolean) => void

/** Keep how the book is looked at: in the address what a link should carry, here what is of this moment. */
export function useLook(state: BookState, go: Navigate): [BookLook, (part: Partial<BookLook>) => void] {
  const narrow = useMediaQuery('(max-width: 767px)', undefined, { getInitialValueInEffect: false })
  const [cumulative, setCumulative] = useState(true)
  const [paused, setPaused] = useState<CertificateType>()
  const { certificateType, group } = state
  const rows = state.rows ?? (narrow ? 10 : 20)
  const look = useMemo(
    () => ({ certificateType, rows, group, cumulative, isPaused: paused === certificateType }),
    [certificateType, rows, group, cumulative, paused],
  )
  const change = useCallback(
    (part: Partial<BookLook>) => {
      if (part.cumulative !== undefined) setCumulative(part.cumulative)
      if (part.isPaused !== undefined) setPaused(part.isPaused ? certificateType : undefined)
      if (part.certificateType !== undefined) {
        setPaused(undefined)
        const cert = part.certificateType
        go((old) => ({ ...old, cert }), false)
      }
      if (part.rows !== undefined) {
        const shown = String(part.rows)
        go((old) => ({ ...old, rows: shown }), true)
      }
      if ('group' in part) {
        const width = part.group
        go((old) => ({ ...old, group: width }), true)
      }
    },
    [certificateType, go],
  )
  return [look, change]
}

/** Sort open orders by the level of the book that they stand in. */
export function byLevel(orders: readonly OrderEntry[]): ReadonlyMap<string, readonly OrderEntry[]> {
  const levels = new Map<string, OrderEntry[]>()
  for (const order of orders) {
    if (order.price === null || !isOpen(order)) continue
    const key = levelKey(order.side === 'BUY' ? 'bid' : 'ask', order.price)
    const there = levels.get(key)
    if (there) there.push(order)
    else levels.set(key, [order])
  }
  return levels
}
