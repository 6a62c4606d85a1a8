import { formatPrice, formatQuantity } from '../format'
import { CancelMarketOrder, CancelOrder, type OrderEntry } from './marketDocuments'
import { useSubmit } from './useSubmit'

/** Cancel one order and tell what came of it; `took` gets the order as it then stood. */
export function useCancel(whose: 'maker' | 'own', took: (order: OrderEntry) => void): (order: OrderEntry) => Promise<void> {
  const maker = useSubmit({
    document: CancelMarketOrder,
    field: 'cancelMarketOrder',
    keyed: false,
    failed: 'Order not cancelled',
    done: ({ order }) => told(order, took),
  })
  const own = useSubmit({
    document: CancelOrder,
    field: 'cancelOrder',
    keyed: false,
    failed: 'Order not cancelled',
    done: ({ order }) => told(order, took),
  })
  return async ({ id }) => {
    await (whose === 'maker' ? maker : own).submit(() => ({ id }))
  }
}

function told(order: OrderEntry | null, took: (order: OrderEntry) => void) {
  if (order) took(order)
  return {
    title: 'Order cancelled',
    detail: order ? `${formatQuantity(order.remainingQuantity)} ${order.certificateType} @ ${formatPrice(order.price)} left the book` : undefined,
  }
}
