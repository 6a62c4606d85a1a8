import { Link } from '@tanstack/react-router'
import { useMemo, type Ref } from 'react'
import { formatPrice, formatQuantity } from '../format'
import { balanceKey } from '../live/balances'
import type { BookFeed } from '../live/book'
import type { OrderDraft, OrderReport } from '../orderCheck'
import { MakerSelect } from './MakerSelect'
import { PlaceMarketOrder, type Certificate, type OrderEntry } from './marketDocuments'
import { OrderForm, type OrderFormHandle } from './OrderForm'
import { useBalances } from './useBalances'
import { useCancel } from './useCancel'
import { useMakers } from './useMakers'
import { useSubmit } from './useSubmit'

interface Props {
  ref: Ref<OrderFormHandle>
  feed: BookFeed
  certificate: Certificate | undefined
  makerId: string | undefined
  changeMaker: (id: string | undefined) => void
  placed: (order: OrderEntry) => void
}

const NOBODY = '00000000-0000-0000-0000-000000000000' // nobody's balances, until somebody is chosen

/** Write a sell order for a market maker, beside the book. */
export function SellForm({ ref, feed, certificate, makerId, changeMaker, placed }: Props) {
  const [makers] = useMakers(useMemo(() => ({}), []))
  const maker = makers.rows.find(({ id }) => id === makerId)
  const holderId = maker?.user?.id ?? NOBODY
  const live = useBalances(holderId)
  const cancel = useCancel('maker', placed)
  const loading = makers.phase === 'loading'
  const { submit, ...attempt } = useSubmit({
    document: PlaceMarketOrder,
    field: 'placeMarketOrder',
    keyed: true,
    failed: 'Order not placed',
    done: ({ order, trades }) => {
      if (order) placed(order)
      const open = order && (order.status === 'OPEN' || order.status === 'PARTIALLY_FILLED')
      const traded = trades.length > 0 ? ` · ${formatQuantity(order?.filledQuantity)} traded` : ''
      return {
        title: 'Order placed',
        detail: order
          ? `${order.side} ${formatQuantity(order.quantity)} ${order.certificateType} @ ${order.price === null ? 'market' : formatPrice(order.price)}${traded}`
          : undefined,
        ...(open && { action: { label: 'Cancel order', run: () => void cancel(order) } }),
      }
    },
  })

  const place = async ({ kind }: OrderDraft, { price, quantity }: OrderReport): Promise<boolean> => {
    if (!maker || !certificate || quantity === undefined) return false
    const outcome = await submit((idempotencyKey) => ({
      input: {
        marketMakerId: maker.id,
        certificateType: certificate.certificateType,
        orderType: kind,
        timeInForce: kind === 'MARKET' ? 'IOC' : 'GTC',
        price: kind === 'LIMIT' ? (price ?? null) : null,
        quantity,
        idempotencyKey,
      },
    }))
    return outcome?.kind === 'done'
  }

  const inactive = maker && !maker.isActive ? `${maker.name} is inactive. Activate it first.` : undefined
  return (
    <OrderForm
      ref={ref}
      title="Sell order"
      certificate={certificate}
      feed={feed}
      sides={SIDES}
      balanceOf={(asset) => live.get(balanceKey(holderId, asset)) ?? maker?.balances.find((balance) => balance.asset === asset)}
      holder={
        makers.phase === 'ready' && makers.rows.length === 0 ? (
          <p>
            No market maker yet. <Link to="/market-makers">Create one</Link>
          </p>
        ) : (
          <MakerSelect makers={makers.rows} value={makerId} change={changeMaker} disabled={loading} error={inactive} />
        )
      }
      holderError={maker ? inactive : 'Choose a market maker.'}
      submit={place}
      disabled={loading}
      {...attempt}
    />
  )
}

const SIDES = ['SELL'] as const

