import { Skeleton, Tabs } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, type Ref } from 'react'
import { useAnswer } from '../client'
import { formatPrice, formatQuantity } from '../format'
import { balanceKey, type Balance } from '../live/balances'
import type { BookFeed } from '../live/book'
import {
  ACCOUNT_TABS, ASSETS, OPEN_STATUSES, ORDER_STATUSES, readAccountSearch, readBookSearch, writeStatuses,
  type AccountSearch, type AccountState, type BookSearch, type BookState, type OrderStatus,
} from '../marketPaths'
import type { OrderDraft, OrderReport } from '../orderCheck'
import { OwnAccount, type Account } from '../parts/accountDocuments'
import { BalanceBars } from '../parts/BalanceBars'
import { BookPanel } from '../parts/BookPanel'
import { DepositsPanel } from '../parts/DepositsPanel'
import { everyRow } from '../parts/everyRow'
import { IdentityPanel } from '../parts/IdentityPanel'
import { ownLedger } from '../parts/ledger'
import { LedgerPanel, useLedgerFilter } from '../parts/LedgerPanel'
import { PlaceOrder, type Certificate, type OrderEntry } from '../parts/marketDocuments'
import { OrderForm, type OrderFormHandle } from '../parts/OrderForm'
import { OrdersPanel } from '../parts/OrdersPanel'
import { PasswordPanel } from '../parts/PasswordPanel'
import { TradesTape } from '../parts/TradesTape'
import { useBalances } from '../parts/useBalances'
import { useBookKeys } from '../parts/useBookKeys'
import { useCancel } from '../parts/useCancel'
import { byLevel, useLook, useMarket } from '../parts/useMarket'
import { openOnly, useOrders } from '../parts/useOrders'
import { usePages } from '../parts/usePages'
import { useSubmit } from '../parts/useSubmit'
import { IgnoredNote, ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import styles from './MarketOrdersPage.module.css'

const LABELS: Record<(typeof ACCOUNT_TABS)[number], string> = {
  orders: 'Orders',
  balances: 'Balances',
  transactions: 'Ledger',
  deposits: 'Deposits',
  identity: 'Identity check',
  password: 'Password',
}
const SIDES = ['BUY', 'SELL'] as const
const route = getRouteApi('/desk/trading')

type Go = (change: (old: BookSearch & AccountSearch) => object, replace: boolean) => void

/** Trade for one's own account, and look after it. */
export function TradingPage() {
  const search = route.useSearch()
  const account = readAccountSearch(search)
  const book = readBookSearch(search)
  const navigate = route.useNavigate()
  const go: Go = useCallback((change, replace) => void navigate({ search: change, replace, resetScroll: false }), [navigate])
  const { data, problem, again } = useAnswer(OwnAccount, {})
  const me = data?.me
  const balances = useBalances()
  const tab = account.tab
  return (
    <Page title={tab === 'orders' ? `Trade ${book.certificateType}` : LABELS[tab]} section="Trading">
      <IgnoredNote ignored={[...new Set([...book.ignored, ...account.ignored])]} />
      {problem && !me && <ProblemNote problem={problem} again={again} />}
      <Tabs value={tab} keepMounted={false} onChange={(next) => go((old) => ({ ...old, tab: next === 'orders' ? undefined : (next ?? undefined) }), false)}>
        <Tabs.List aria-label="Trading">
          {ACCOUNT_TABS.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {LABELS[name]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <div className={styles.tab}>
          <Tabs.Panel value="orders">
            <TradeDesk state={book} go={go} account={me ?? undefined} balances={balances} />
          </Tabs.Panel>
          <Tabs.Panel value="balances">
            <BalanceBars balances={ASSETS.flatMap((asset) => balanceOf(balances, me?.id, asset) ?? me?.balances.find((known) => known.asset === asset) ?? [])} />
          </Tabs.Panel>
          <Tabs.Panel value="transactions">
            <OwnLedger state={account} go={go} balances={balances} />
          </Tabs.Panel>
          <Tabs.Panel value="deposits" className={styles.stack ?? ''}>
            <DepositsPanel />
          </Tabs.Panel>
          <Tabs.Panel value="identity" className={styles.stack ?? ''}>
            {me ? <IdentityPanel account={me} again={again} /> : <Skeleton height={200} />}
          </Tabs.Panel>
          <Tabs.Panel value="password">
            <PasswordPanel />
          </Tabs.Panel>
        </div>
      </Tabs>
    </Page>
  )
}

interface DeskProps {
  state: BookState
  go: Go
  account: Account | undefined
  balances: ReadonlyMap<string, Balance>
}

function TradeDesk({ state, go, account, balances }: DeskProps) {
  const { certificateType, statuses } = state
  const { feed, trades, certificate } = useMarket(certificateType)
  const [look, change] = useLook(state, go)
  const form = useRef<OrderFormHandle>(null)
  const [open, openFeed] = useOrders(useMemo(() => openOnly({ certificateType }), [certificateType]), true)
  const mine = useMemo(() => byLevel(open.rows), [open.rows])
  const key = statuses.join()
  const [orders, ordersFeed] = useOrders(
    useMemo(() => (key === ORDER_STATUSES.join() ? {} : { statuses: key.split(',') as OrderStatus[] }), [key]),
  )
  const took = (order: OrderEntry) => {
    openFeed.put(order)
    ordersFeed.put(order)
  }
  const cancel = useCancel('own', took)
  useBookKeys({ look, change, feed, form })
  return (
    <>
      {account && account.kycStatus !== 'APPROVED' && (
        <p className={styles.note}>
          <StateMark tone="warn">Orders are refused until your identity check is approved</StateMark>
        </p>
      )}
      <div className={styles.columns}>
        <BookPanel
          look={look}
          change={change}
          feed={feed}
          certificate={certificate}
          mine={mine}
          trades={trades.rows}
          choose={({ price, total, whole }) => form.current?.fill(price, whole ? total : undefined)}
        />
        <div className={styles.side}>
          <TradeForm formRef={form} feed={feed} certificate={certificate} account={account} balances={balances} took={took} cancel={cancel} />
          <Panel label="Recent trades" className={styles.panel}>
            <h2 className={styles.title}>Recent trades</h2>
            <TradesTape view={trades} label={`Recent trades in ${certificateType}`} shown={30} />
          </Panel>
        </div>
      </div>
      <OrdersPanel
        title="My orders"
        view={orders}
        feed={ordersFeed}
        statuses={statuses.length > 0 ? statuses : OPEN_STATUSES}
        changeStatuses={(next) => go((old) => ({ ...old, status: writeStatuses(next) }), true)}
        cancel={(order) => void cancel(order)}
        whose="own"
      />
    </>
  )
}

interface FormProps {
  formRef: Ref<OrderFormHandle>
  feed: BookFeed
  certificate: Certificate | undefined
  account: Account | undefined
  balances: ReadonlyMap<string, Balance>
  took: (order: OrderEntry) => void
  cancel: (order: OrderEntry) => Promise<void>
}

function TradeForm({ formRef, feed, certificate, account, balances, took, cancel }: FormProps) {
  const { submit, ...attempt } = useSubmit({
    document: PlaceOrder,
    field: 'placeOrder',
    keyed: true,
    failed: 'Order not placed',
    done: ({ order }) => {
      if (order) took(order)
      const isLeft = order && (order.status === 'OPEN' || order.status === 'PARTIALLY_FILLED')
      const traded = order && /[1-9]/.test(order.filledQuantity) ? ` · ${formatQuantity(order.filledQuantity)} traded @ ${formatPrice(order.averagePrice)}` : ''
      return {
        title: 'Order placed',
        detail: order
          ? `${order.side} ${formatQuantity(order.quantity)} ${order.certificateType} @ ${order.price === null ? 'market' : formatPrice(order.price)}${traded}`
          : undefined,
        ...(isLeft && { action: { label: 'Cancel order', run: () => void cancel(order) } }),
      }
    },
  })
  const place = async ({ side, kind }: OrderDraft, { price, quantity }: OrderReport): Promise<boolean> => {
    if (!certificate || quantity === undefined) return false
    const outcome = await submit((idempotencyKey) => ({
      input: {
        certificateType: certificate.certificateType,
        side,
        orderType: kind,
        timeInForce: kind === 'MARKET' ? 'IOC' : 'GTC',
        price: kind === 'LIMIT' ? (price ?? null) : null,
        quantity,
        idempotencyKey,
      },
    }))
    return outcome?.kind === 'done'
  }
  return (
    <OrderForm
      ref={formRef}
      title="Order"
      certificate={certificate}
      feed={feed}
      sides={SIDES}
      balanceOf={(asset) => balanceOf(balances, account?.id, asset) ?? account?.balances.find((known) => known.asset === asset)}
      submit={place}
      disabled={!certificate}
      {...attempt}
    />
  )
}

function OwnLedger({ state, go, balances }: { state: AccountState; go: Go; balances: ReadonlyMap<string, Balance> }) {
  const filter = useLedgerFilter(state)
  const pages = usePages(ownLedger, { filter })
  const { again } = pages
  const seqs = [...balances.values()].map(({ seq }) => seq).join()
  useEffect(() => void again(), [seqs, again])
  return (
    <LedgerPanel
      state={state}
      change={(part) => go((old) => ({ ...old, ...part }), true)}
      pages={pages}
      everyRow={(progress) => everyRow(ownLedger, { filter }, progress)}
      fileName={`ledger_${new Date().toISOString().slice(0, 10)}.csv`}
    />
  )
}

function balanceOf(balances: ReadonlyMap<string, Balance>, holderId: string | undefined, asset: string): Balance | undefined {
  return holderId === undefined ? undefined : balances.get(balanceKey(holderId, asset))
}
