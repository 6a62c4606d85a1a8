import { useImperativeHandle, useMemo, type Ref } from 'react'
import type { RowsFeed } from '../live/rows'
import { ORDER_STATUSES, type OrderStatus } from '../marketPaths'
import { OrdersPanel } from './OrdersPanel'
import { useCancel } from './useCancel'
import { useMakers } from './useMakers'
import { useOrders, type ListedOrder } from './useOrders'

interface Props {
  /** The list itself, for what is placed beside it. */
  ref?: Ref<RowsFeed<ListedOrder>>
  makerId: string | undefined
  statuses: readonly OrderStatus[]
  changeStatuses: (statuses: readonly OrderStatus[]) => void
  /** Undefined on the page of one market maker. */
  changeMaker?: (id: string | undefined) => void
  writes: boolean
}

/** List the orders of market makers, or of one. */
export function MakerOrders({ ref, makerId, statuses, changeStatuses, changeMaker, writes }: Props) {
  const key = statuses.join()
  const filter = useMemo(
    () => ({
      hasMarketMaker: true,
      ...(makerId !== undefined && { marketMakerId: makerId }),
      ...(key !== ORDER_STATUSES.join() && { statuses: key.split(',') as OrderStatus[] }),
    }),
    [makerId, key],
  )
  const [view, feed] = useOrders(filter)
  useImperativeHandle(ref, () => feed, [feed])
  const [makers] = useMakers(useMemo(() => ({}), []))
  const cancel = useCancel('maker', feed.put)
  return (
    <OrdersPanel
      title={changeMaker ? 'Market maker orders' : 'Orders'}
      view={view}
      feed={feed}
      statuses={statuses}
      changeStatuses={changeStatuses}
      makerId={makerId}
      {...(changeMaker && { makers: makers.rows, changeMaker })}
      {...(!changeMaker && { makers: makers.rows.filter(({ id }) => id === makerId) })}
      cancel={writes ? (order) => void cancel(order) : undefined}
      cancelsAll={writes}
      whose="maker"
    />
  )
}
