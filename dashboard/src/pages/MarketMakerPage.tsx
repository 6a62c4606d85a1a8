import { Button, Skeleton, Tabs } from '@mantine/core'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { can } from '../can'
import { useAnswer } from '../client'
import { formatAge, formatCount, formatEur, formatInstant, formatQuantity } from '../format'
import { useKeys } from '../keyboard'
import { balanceKey } from '../live/balances'
import { ASSETS, MAKER_TABS, readMakerSearch, writeStatuses, type AssetName, type MakerSearch, type MakerState } from '../marketPaths'
import { BalanceBars } from '../parts/BalanceBars'
import { everyRow } from '../parts/everyRow'
import { makerLedger } from '../parts/ledger'
import { LedgerPanel, useLedgerFilter } from '../parts/LedgerPanel'
import { DeactivateDialog, useActivate } from '../parts/MakerActions'
import { EditMakerDialog } from '../parts/MakerDialog'
import { MakerQuery, type MakerEntry } from '../parts/makerDocuments'
import { MakerOrders } from '../parts/MakerOrders'
import { MakerTickets } from '../parts/MakerTickets'
import { TradesPanel } from '../parts/TradesPanel'
import { TransactionDrawer } from '../parts/TransactionDrawer'
import { useBalances } from '../parts/useBalances'
import { usePages } from '../parts/usePages'
import { usePerson } from '../parts/usePerson'
import { useZone } from '../preferences'
import { Icon } from '../ui/icons'
import { ButtonLink } from '../ui/links'
import { EmptyNote, IgnoredNote, ProblemNote } from '../ui/Notes'
import { Page } from '../ui/Page'
import { StateMark } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import styles from './MarketMakerPage.module.css'

const LABELS: Record<(typeof MAKER_TABS)[number], string> = {
  balances: 'Balances',
  transactions: 'Transactions',
  orders: 'Orders',
  trades: 'Trades',
  tickets: 'Tickets',
}
const route = getRouteApi('/desk/market-makers/$makerId')

/** Show one market maker: what it owns, what moved, what it has in the book. */
export function MarketMakerPage() {
  const { makerId } = route.useParams()
  const { data, problem, fetching, again } = useAnswer(MakerQuery, { id: makerId })
  const maker = data?.marketMaker
  if (maker) return <Maker maker={maker} created={maker.created.nodes[0]?.ticketId} by={maker.createdBy?.name} again={again} />
  return (
    <Page title="Market maker" section="Market makers">
      {problem ? (
        <ProblemNote problem={problem} again={again} />
      ) : fetching ? (
        <Skeleton height={120} aria-label="Loading the market maker" />
      ) : (
        <EmptyNote title="There is no such market maker">
          <Link to="/market-makers">All market makers</Link>
        </EmptyNote>
      )}
    </Page>
  )
}

interface Props {
  maker: MakerEntry
  created: string | undefined
  by: string | undefined
  again: () => void
}

function Maker({ maker, created, by, again }: Props) {
  const state = readMakerSearch(route.useSearch())
  const navigate = route.useNavigate()
  const zone = useZone()
  const writes = can(usePerson()?.role, 'desk.write')
  const [asked, setAsked] = useState<'edit' | 'deactivate' | 'transaction'>()
  const activate = useActivate(again)
  const holderId = maker.user?.id ?? ''
  const live = useBalances(holderId)
  const balances = ASSETS.map(
    (asset) => live.get(balanceKey(holderId, asset)) ?? maker.balances.find((known) => known.asset === asset),
  ).filter((balance) => balance !== undefined)
  const go = (part: MakerSearch) => void navigate({ search: (old) => ({ ...old, ...part }), replace: !('tab' in part), resetScroll: false })
  useKeys('Market maker', writes ? [{ keys: 'n', does: 'Add a transaction', run: () => setAsked('transaction') }] : [])

  // Figures over orders and trades change with the balances.
  const seqs = balances.map(({ seq }) => seq).join()
  const seen = useRef(seqs)
  useEffect(() => {
    if (seqs === seen.current) return
    seen.current = seqs
    again()
  }, [seqs, again])

  const close = () => setAsked(undefined)
  return (
    <Page
      title={maker.name}
      section="Market makers"
      actions={
        writes && (
          <>
            <ButtonLink size="xs" variant="default" to="/market-orders" search={{ mm: maker.id }}>
              Place an order
            </ButtonLink>
            <Button size="xs" variant="default" leftSection={<Icon name="edit" size={14} />} onClick={() => setAsked('edit')}>
              Edit
            </Button>
            {maker.isActive ? (
              <Button size="xs" variant="default" onClick={() => setAsked('deactivate')}>
                Deactivate…
              </Button>
            ) : (
              <Button size="xs" variant="default" onClick={() => void activate(maker)}>
                Activate
              </Button>
            )}
          </>
        )
      }
    >
      <IgnoredNote ignored={state.ignored} />
      <div className={styles.facts}>
        <StateMark tone={maker.isActive ? 'ok' : 'quiet'}>{maker.isActive ? 'Active' : 'Inactive'}</StateMark>
        {maker.user?.email && <span>{maker.user.email}</span>}
        <span>
          created {formatInstant(maker.createdAt, zone)}
          {by && ` by ${by}`}
        </span>
        {created && <TicketLink id={created} />}
        {maker.description && <span className={styles.description}>{maker.description}</span>}
      </div>
      <dl className={styles.stats}>
        <Stat term="Open orders">{formatCount(maker.stats.openOrders)}</Stat>
        <Stat term="Trades">{formatCount(maker.stats.trades)}</Stat>
        <Stat term="Sold">{formatQuantity(maker.stats.soldQuantity)}</Stat>
        <Stat term="Proceeds">{formatEur(maker.stats.proceeds)}</Stat>
        <Stat term="Last trade">{maker.stats.lastTradeAt ? <Ago at={maker.stats.lastTradeAt} /> : 'none'}</Stat>
      </dl>
      <Tabs
        value={state.tab}
        onChange={(tab) => go({ tab: tab === 'balances' ? undefined : (tab ?? undefined) })}
        keepMounted={false}
        className={styles.tabs ?? ''}
      >
        <Tabs.List aria-label={`About ${maker.name}`}>
          {MAKER_TABS.map((tab) => (
            <Tabs.Tab key={tab} value={tab}>
              {LABELS[tab]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="balances">
          <BalanceBars balances={balances} />
        </Tabs.Panel>
        <Tabs.Panel value="transactions">
          <MakerLedger maker={maker} state={state} seqs={seqs} go={go} add={writes ? () => setAsked('transaction') : undefined} />
        </Tabs.Panel>
        <Tabs.Panel value="orders">
          <MakerOrders makerId={maker.id} statuses={state.statuses} changeStatuses={(next) => go({ status: writeStatuses(next) })} writes={writes} />
        </Tabs.Panel>
        <Tabs.Panel value="trades">
          <TradesPanel makerId={maker.id} />
        </Tabs.Panel>
        <Tabs.Panel value="tickets">
          <MakerTickets makerId={maker.id} />
        </Tabs.Panel>
      </Tabs>
      {asked === 'edit' && <EditMakerDialog maker={maker} close={close} changed={again} deactivate={() => setAsked('deactivate')} />}
      {asked === 'deactivate' && <DeactivateDialog maker={maker} close={close} changed={again} />}
      {asked === 'transaction' && (
        <TransactionDrawer
          maker={maker}
          asset={state.asset ?? 'CEA'}
          availableOf={(asset: AssetName) => balances.find((balance) => balance.asset === asset)?.available}
          close={close}
          done={again}
        />
      )}
    </Page>
  )
}

interface LedgerProps {
  maker: MakerEntry
  state: MakerState
  /** Changes with every row of the ledger. */
  seqs: string
  go: (part: MakerSearch) => void
  add: (() => void) | undefined
}

function MakerLedger({ maker, state, seqs, go, add }: LedgerProps) {
  const filter = useLedgerFilter(state)
  const pages = usePages(makerLedger, { id: maker.id, filter })
  const { again } = pages
  useEffect(() => void again(), [seqs, again])
  return (
    <LedgerPanel
      state={state}
      change={go}
      pages={pages}
      everyRow={(progress) => everyRow(makerLedger, { id: maker.id, filter }, progress)}
      fileName={`transactions_${maker.name}_${new Date().toISOString().slice(0, 10)}.csv`}
      action={
        add && (
          <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={add}>
            Add transaction
          </Button>
        )
      }
    />
  )
}

function Stat({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Ago({ at }: { at: string }) {
  const [now] = useState(() => Date.now())
  const zone = useZone()
  return <time dateTime={at} title={formatInstant(at, zone)}>{`${formatAge(now - Date.parse(at))} ago`}</time>
}
