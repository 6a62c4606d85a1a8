import { Button, TextInput } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { isMultiple, readDecimal, unitsOf } from '../decimal'
import { formatEur, formatInstant, words } from '../format'
import { useZone } from '../preferences'
import { DataTable, type Column } from '../ui/DataTable'
import { DecimalField } from '../ui/DecimalField'
import { FormFailure } from '../ui/FormFailure'
import { EmptyNote } from '../ui/Notes'
import { Panel } from '../ui/Page'
import { StateMark, type Tone } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import { OwnDeposits, RequestDeposit, type OwnDeposit } from './accountDocuments'
import styles from './Form.module.css'
import { usePages } from './usePages'
import { useSubmit } from './useSubmit'

const TONES: Record<OwnDeposit['status'], Tone> = { PENDING: 'warn', APPROVED: 'ok', REJECTED: 'fail' }
const REFERENCE_LENGTH_MAX = 140

const ownDeposits = {
  query: OwnDeposits,
  read: (data: { deposits: { nodes: readonly OwnDeposit[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } }) => data.deposits,
}

/** Announce a bank transfer, and see what became of those announced before. */
export function DepositsPanel() {
  const zone = useZone()
  const pages = usePages(ownDeposits, {})
  const [amount, setAmount] = useState('')
  const [reference, setReference] = useState('')
  const [touched, setTouched] = useState(false)
  const { submit, ...attempt } = useSubmit({
    document: RequestDeposit,
    field: 'requestDeposit',
    keyed: true,
    failed: 'Deposit not announced',
    done: ({ deposit }) => ({ title: 'Deposit announced', detail: `${formatEur(deposit?.amount)} · ${deposit?.reference ?? ''}` }),
  })
  const figure = readDecimal(amount)
  const errors = {
    amount:
      figure === undefined || unitsOf(figure) <= 0n
        ? 'Enter an amount above 0.'
        : isMultiple(figure, '0.01')
          ? undefined
          : 'Euros have two decimals at most.',
    reference: reference.trim() === '' ? 'Enter the reference of the transfer.' : undefined,
  }
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTouched(true)
    if (errors.amount || errors.reference || figure === undefined) return
    const outcome = await submit((idempotencyKey) => ({ input: { amount: figure, reference: reference.trim(), idempotencyKey } }))
    if (outcome?.kind !== 'done') return
    setTouched(false)
    setAmount('')
    setReference('')
    void pages.again()
  }
  const columns: readonly Column<OwnDeposit>[] = [
    { id: 'time', header: zone === 'utc' ? 'Announced UTC' : 'Announced', width: 226, card: 'start', cell: ({ createdAt }) => formatInstant(createdAt, zone) },
    { id: 'amount', header: 'Amount', width: 150, numeric: true, card: 'title', cell: ({ amount: euros }) => formatEur(euros) },
    { id: 'reference', header: 'Reference', cell: ({ reference: text }) => text },
    { id: 'status', header: 'Status', width: 130, card: 'mark', cell: ({ status }) => <StateMark tone={TONES[status]}>{words(status)}</StateMark> },
    { id: 'reason', header: 'Why', cell: ({ reason }) => reason ?? '—' },
    { id: 'ticket', header: 'Ticket', width: 160, card: 'end', cell: ({ ticketId }) => <TicketLink id={ticketId} /> },
  ]
  return (
    <>
      <Panel label="Announce a deposit" className={styles.narrow}>
        <form className={styles.form} noValidate onSubmit={(event) => void send(event)} aria-label="Announce a deposit">
          <FormFailure failure={attempt.failure} />
          <DecimalField
            label="Amount"
            unit="EUR"
            places={2}
            value={amount}
            change={setAmount}
            error={attempt.errorOf('amount') ?? (touched ? errors.amount : undefined)}
            required
          />
          <TextInput
            label="Reference of the transfer"
            maxLength={REFERENCE_LENGTH_MAX}
            value={reference}
            onChange={(event) => setReference(event.currentTarget.value)}
            error={attempt.errorOf('reference') ?? (touched ? errors.reference : undefined)}
          />
          <Button type="submit" loading={attempt.busy}>
            Announce deposit
          </Button>
          <p className={styles.hint}>The desk credits it when the money has come; until then it is pending.</p>
        </form>
      </Panel>
      <Panel label="Announced deposits">
        <DataTable
          label="Announced deposits"
          columns={columns}
          rows={pages.rows}
          keyOf={({ id }) => id}
          phase={pages.phase}
          problem={pages.problem}
          again={() => void pages.again()}
          hasMore={pages.hasMore}
          loadingMore={pages.loadingMore}
          more={() => void pages.more()}
          empty={<EmptyNote title="No deposits announced yet" />}
        />
      </Panel>
    </>
  )
}
