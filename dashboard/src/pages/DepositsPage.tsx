import { Button, SegmentedControl } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useCallback, useState } from 'react'
import { sum } from '../decimal'
import { formatAmount, formatCount, formatEur, formatInstant, words, type Zone } from '../format'
import type { ResultOf } from '../graphql'
import { DEPOSIT_STATUSES, readDepositsSearch, type DepositsSearch } from '../officePaths'
import { ApproveDeposit, DepositsQuery, DepositsTotal, RejectDeposit, type DepositEntry } from '../parts/officeDocuments'
import { ReasonModal } from '../parts/ReasonModal'
import { usePages, type List } from '../parts/usePages'
import { useSubmit } from '../parts/useSubmit'
import { useZone } from '../preferences'
import { ConfirmModal } from '../ui/Confirm'
import { DataTable, type Column } from '../ui/DataTable'
import { DayField } from '../ui/DayField'
import { Fact, Facts } from '../ui/Facts'
import { FormFailure } from '../ui/FormFailure'
import { EmptyNote, IgnoredNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import styles from '../parts/Office.module.css'

const route = getRouteApi('/desk/people/deposits')

const DEPOSITS = {
  query: DepositsQuery,
  read: (data) => data.deposits,
  total: { query: DepositsTotal, read: (data) => data.deposits },
} satisfies List<DepositEntry, never, ResultOf<typeof DepositsQuery>, ResultOf<typeof DepositsTotal>>

// What the chosen status says of every row already, or cannot say yet.
const HIDDEN: Record<ReturnType<typeof readDepositsSearch>['status'], ReadonlySet<string>> = {
  PENDING: new Set(['status', 'reason']),
  APPROVED: new Set(['status', 'decide']),
  REJECTED: new Set(['status', 'decide']),
  ALL: new Set(['reason']),
}

type Asked = { deposit: DepositEntry; decision: 'credit' | 'reject' }

/** List the bank transfers that traders announced; credit what has come and reject the rest. */
export function DepositsPage() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const { filter, status, ignored } = readDepositsSearch(search)
  const pages = usePages(DEPOSITS, { filter })
  const zone = useZone()
  const [asked, setAsked] = useState<Asked>()
  const change = useCallback(
    (next: DepositsSearch) => void navigate({ search: (old: DepositsSearch) => ({ ...old, ...next }), resetScroll: false }),
    [navigate],
  )
  return (
    <Page title="Deposits" section="People">
      <IgnoredNote ignored={ignored} />
      <div className={styles.filters} role="search" aria-label="Filters">
        <SegmentedControl
          aria-label="Status"
          data={[...DEPOSIT_STATUSES.map((one) => ({ value: one, label: words(one) })), { value: 'ALL', label: 'All' }]}
          value={status}
          onChange={(next) => change({ status: next === 'PENDING' ? undefined : next })}
        />
        <DayField label="Announced from" word="from" value={search.from} change={(from) => change({ from })} />
        <DayField label="Announced until" word="until" value={search.to} change={(to) => change({ to })} />
        <span className={styles.count} role="status">{pages.total && `${formatCount(pages.total.count)} deposits`}</span>
      </div>
      <Panel label="List of deposits">
        <DataTable
          {...pages}
          label="Deposits"
          columns={columnsOf(zone, (deposit, decision) => setAsked({ deposit, decision }))}
          hidden={HIDDEN[status]}
          keyOf={(row) => row.id}
          again={() => void pages.again()}
          more={() => void pages.more()}
          nameOf={(row) => row.reference}
          empty={<EmptyNote title={status === 'PENDING' ? 'No deposit waits for a decision' : 'No such deposits'} />}
        />
      </Panel>
      <Decision asked={asked} close={() => setAsked(undefined)} decided={() => void pages.again()} />
    </Page>
  )
}

function Decision({ asked, close, decided }: { asked: Asked | undefined; close: () => void; decided: () => void }) {
  // The last one stays while the dialog fades away.
  const [shown, setShown] = useState(asked)
  if (asked !== undefined && asked !== shown) setShown(asked)
  const deposit = shown?.deposit
  const detail = deposit && `${formatEur(deposit.amount)} of ${deposit.user?.name ?? 'a trader'}, ${deposit.reference}`
  const approve = useSubmit({
    document: ApproveDeposit, field: 'approveDeposit', keyed: false, failed: 'Deposit not credited', done: () => ({ title: 'Deposit credited', detail }),
  })
  const reject = useSubmit({
    document: RejectDeposit, field: 'rejectDeposit', keyed: false, failed: 'Deposit not rejected', done: () => ({ title: 'Deposit rejected', detail }),
  })
  const finish = (outcome: { kind: string } | undefined) => {
    if (outcome?.kind !== 'done') return
    close()
    decided()
  }
  if (!deposit) return null
  const available = deposit.user?.balances.find(({ asset }) => asset === 'EUR')?.available ?? '0'
  const leave = () => {
    approve.clear()
    reject.clear()
    close()
  }
  return (
    <>
      <ConfirmModal
        opened={asked?.decision === 'credit'} close={leave} title="Credit the deposit" confirm={`Credit ${formatEur(deposit.amount)}`} keep="Not yet"
        busy={approve.busy} act={() => void approve.submit(() => ({ id: deposit.id })).then(finish)}
      >
        <FormFailure failure={approve.failure} />
        <Facts>
          <Fact term="Trader">{deposit.user?.name}</Fact>
          <Fact term="Reference">{deposit.reference}</Fact>
          <Fact term="EUR available">
            {formatAmount(available, 'EUR')} → {formatAmount(sum(available, deposit.amount), 'EUR')}
          </Fact>
        </Facts>
        <p>Do so only for what the bank statement shows. The decision is made once.</p>
      </ConfirmModal>
      <ReasonModal
        opened={asked?.decision === 'reject'} close={leave} title="Reject the deposit" confirm="Reject"
        busy={reject.busy} failure={reject.failure} act={(reason) => void reject.submit(() => ({ id: deposit.id, reason })).then(finish)}
      >
        <p>{detail}: nothing is credited. The decision is made once.</p>
      </ReasonModal>
    </>
  )
}

const TONES = { PENDING: 'warn', APPROVED: 'ok', REJECTED: 'fail' } as const

function columnsOf(zone: Zone, ask: (deposit: DepositEntry, decision: Asked['decision']) => void): Column<DepositEntry>[] {
  return [
    { id: 'reference', header: 'Reference', isRowHeader: true, card: 'title', cell: ({ reference }) => reference },
    { id: 'amount', header: 'EUR', numeric: true, card: 'mark', width: 130, cell: ({ amount }) => formatAmount(amount, 'EUR') },
    { id: 'user', header: 'Trader', card: 'line', cell: ({ user }) => user && <route.Link to="/people/users" search={{ user: user.id }}>{user.name}</route.Link> },
    {
      id: 'status', header: 'Status', card: 'line', width: 130,
      cell: ({ status }) => <StateMark tone={TONES[status]}>{words(status)}</StateMark>,
    },
    {
      id: 'announced', header: `Announced ${zone === 'utc' ? 'UTC' : 'local'}`, card: 'line', from: 'wide', width: 220,
      cell: ({ createdAt }) => formatInstant(createdAt, zone),
    },
    { id: 'reason', header: 'Decision', from: 'wide', cell: ({ decidedBy, reason }) => [decidedBy?.name, reason].filter(Boolean).join(': ') },
    { id: 'ticket', header: 'Ticket', width: 155, cell: ({ ticketId }) => <TicketLink id={ticketId} /> },
    {
      id: 'decide', header: 'Decide', width: 205, card: 'whole',
      cell: (deposit) =>
        deposit.status === 'PENDING' && (
          <span className={styles.pair}>
            <Button size="compact-sm" onClick={() => ask(deposit, 'credit')} aria-label={`Credit ${deposit.reference}`}>Credit…</Button>
            <Button size="compact-sm" variant="default" onClick={() => ask(deposit, 'reject')} aria-label={`Reject ${deposit.reference}`}>Reject…</Button>
          </span>
        ),
    },
  ]
}
