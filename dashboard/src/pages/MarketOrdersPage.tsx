import { Button } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { lazy, Suspense, useCallback, useMemo, useRef } from 'react'
import { can } from '../can'
import { useKeys } from '../keyboard'
import { readBookSearch, writeStatuses, type BookSearch, type BookState, type OrderStatus } from '../marketPaths'
import { BookPanel } from '../parts/BookPanel'
import { DepthPanel } from '../parts/DepthPanel'
import type { OrderFormHandle } from '../parts/OrderForm'
import { SellForm } from '../parts/SellForm'
import { TradesTape } from '../parts/TradesTape'
import { useBookKeys } from '../parts/useBookKeys'
import { byLevel, useLook, useMarket } from '../parts/useMarket'
import { openOnly, useOrders } from '../parts/useOrders'
import { usePerson } from '../parts/usePerson'
import { Icon } from '../ui/icons'
import { ButtonLink } from '../ui/links'
import { IgnoredNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import styles from './MarketOrdersPage.module.css'

// Neither is waited for by the book: one stands below it, the other is asked for.
const MakerOrders = lazy(async () => ({ default: (await import('../parts/MakerOrders')).MakerOrders }))
const WatchView = lazy(async () => ({ default: (await import('../parts/WatchView')).WatchView }))

const route = getRouteApi('/desk/market-orders')

/** Watch a live book and place orders of market makers beside it. */
export function MarketOrdersPage() {
  const state = readBookSearch(route.useSearch())
  const navigate = route.useNavigate()
  const go = useCallback(
    (change: (old: BookSearch) => object, replace: boolean) => void navigate({ search: change, replace, resetScroll: false }),
    [navigate],
  )
  const watch = useCallback(
    (isWatching: boolean) => go((old) => ({ ...old, view: isWatching ? 'watch' : undefined }), false),
    [go],
  )
  useKeys('Order book', [{ keys: 'w', does: state.isWatching ? 'Leave the watcher' : 'Watch both books', run: () => watch(!state.isWatching) }])
  if (state.isWatching) {
    return (
      <Suspense>
        <WatchView state={state} leave={() => watch(false)} />
      </Suspense>
    )
  }
  return <MarketDesk state={state} go={go} watch={() => watch(true)} />
}

interface DeskProps {
  state: BookState
  go: (change: (old: BookSearch) => object, replace: boolean) => void
  watch: () => void
}

function MarketDesk({ state, go, watch }: DeskProps) {
  const { certificateType, makerId, statuses, ignored } = state
  const role = usePerson()?.role
  const writes = can(role, 'desk.write')
  const seesMakers = can(role, 'makers.read')
  const { feed, trades, certificate } = useMarket(certificateType)
  const [look, change] = useLook(state, go)
  const form = useRef<OrderFormHandle>(null)
  const filter = useMemo(
    () => openOnly(seesMakers ? { hasMarketMaker: true, certificateType } : { certificateType }),
    [seesMakers, certificateType],
  )
  const [open, openFeed] = useOrders(filter, true)
  const mine = useMemo(() => byLevel(open.rows), [open.rows])
  useBookKeys({ look, change, feed, form })

  const setMaker = useCallback((id: string | undefined) => go((old) => ({ ...old, mm: id }), true), [go])
  const setStatuses = useCallback((next: readonly OrderStatus[]) => go((old) => ({ ...old, status: writeStatuses(next) }), true), [go])
  return (
    <Page
      title={`${certificateType} order book`}
      section="Market orders"
      actions={
        <>
          {certificate?.isHalted && <StateMark tone="warn">Trading in {certificateType} is halted</StateMark>}
          {role === 'TRADER' && (
            <ButtonLink size="xs" to="/trading">
              Trade
            </ButtonLink>
          )}
          <Button size="xs" variant="default" leftSection={<Icon name="eye" size={15} />} onClick={watch}>
            Watch both books
          </Button>
        </>
      }
    >
      <IgnoredNote ignored={ignored} />
      <div className={styles.columns}>
        <div className={styles.side}>
          <BookPanel
            look={look}
            change={change}
            feed={feed}
            certificate={certificate}
            mine={mine}
            trades={trades.rows}
            choose={writes ? ({ price, total, whole }) => form.current?.fill(price, whole ? total : undefined) : undefined}
            first={
              writes && (
                <Button size="xs" onClick={() => form.current?.focus()}>
                  Place the first order
                </Button>
              )
            }
          />
          {look.rows === 10 && <DepthPanel feed={feed} certificate={certificate} />}
        </div>
        <div className={styles.side}>
          {writes && (
            <SellForm
              ref={form}
              feed={feed}
              certificate={certificate}
              makerId={makerId}
              changeMaker={setMaker}
              placed={openFeed.put}
            />
          )}
          <Panel label="Recent trades" className={styles.panel}>
            <h2 className={styles.title}>Recent trades</h2>
            <TradesTape view={trades} label={`Recent trades in ${certificateType}`} shown={30} />
          </Panel>
          {look.rows === 20 && <DepthPanel feed={feed} certificate={certificate} />}
        </div>
      </div>
      <Suspense>
        {seesMakers && <MakerOrders makerId={makerId} statuses={statuses} changeMaker={setMaker} changeStatuses={setStatuses} writes={writes} />}
      </Suspense>
    </Page>
  )
}
