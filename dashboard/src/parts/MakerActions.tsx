import { useAnswer } from '../client'
import { sum } from '../decimal'
import { formatQuantity } from '../format'
import { ConfirmModal } from '../ui/Confirm'
import { FormFailure } from '../ui/FormFailure'
import { OrdersQuery } from './marketDocuments'
import { DeleteMarketMaker, UpdateMarketMaker, type MakerEntry } from './makerDocuments'
import { openOnly } from './useOrders'
import { useSubmit } from './useSubmit'

const ORDERS_MAX = 100

/** Ask before a market maker is deactivated: which orders that cancels, and what it releases. */
export function DeactivateDialog({ maker, close, changed }: { maker: MakerEntry; close: () => void; changed: () => void }) {
  const open = useAnswer(OrdersQuery, { filter: openOnly({ marketMakerId: maker.id }), first: ORDERS_MAX, after: null })
  const { submit, busy, failure } = useSubmit({
    document: DeleteMarketMaker,
    field: 'deleteMarketMaker',
    keyed: false,
    failed: 'Market maker not deactivated',
    done: ({ cancelledOrders }) => ({
      title: 'Market maker deactivated',
      detail: `${maker.name}; ${cancelledOrders.length} ${cancelledOrders.length === 1 ? 'order' : 'orders'} cancelled`,
    }),
  })
  const orders = open.data?.orders.nodes ?? []
  const more = open.data?.orders.pageInfo.hasNextPage ? 'more than ' : ''
  const released = new Map<string, string>()
  for (const { certificateType, remainingQuantity } of orders) {
    released.set(certificateType, sum(released.get(certificateType) ?? '0', remainingQuantity))
  }
  const releases = [...released].map(([asset, total]) => `${formatQuantity(total)} ${asset}`).join(' and ')
  const act = async () => {
    const outcome = await submit(() => ({ id: maker.id }))
    if (outcome?.kind !== 'done') return
    changed()
    close()
  }
  return (
    <ConfirmModal
      opened
      close={close}
      title={`Deactivate ${maker.name}`}
      confirm="Deactivate"
      keep="Keep it active"
      typed={maker.name}
      busy={busy || open.fetching}
      act={() => void act()}
    >
      <FormFailure failure={failure} />
      <p>
        {orders.length === 0
          ? `${maker.name} has no open orders.`
          : `${more}${orders.length} open ${orders.length === 1 ? 'order is' : 'orders are'} cancelled, which releases ${more}${releases}.`}{' '}
        No orders can be placed for it until it is activated again. Its balances and its history stay.
      </p>
    </ConfirmModal>
  )
}

/** Activate a market maker again. */
export function useActivate(changed: () => void): (maker: { id: string; name: string }) => Promise<void> {
  const { submit } = useSubmit({
    document: UpdateMarketMaker,
    field: 'updateMarketMaker',
    keyed: false,
    failed: 'Market maker not activated',
    done: ({ marketMaker }) => ({ title: 'Market maker activated', detail: marketMaker?.name }),
  })
  return async ({ id }) => {
    const outcome = await submit(() => ({ id, input: { isActive: true } }))
    if (outcome?.kind === 'done') changed()
  }
}
