import { Button, Drawer, SegmentedControl, Textarea } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { compare, isMultiple, readDecimal, sum, unitsOf } from '../decimal'
import { formatAmount, formatDelta } from '../format'
import { ASSETS, type AssetName } from '../marketPaths'
import { DecimalField } from '../ui/DecimalField'
import { FormFailure } from '../ui/FormFailure'
import styles from './Form.module.css'
import { CreateTransaction } from './makerDocuments'
import { MoneyPreview } from './MoneyPreview'
import { useSubmit } from './useSubmit'

type Kind = 'DEPOSIT' | 'WITHDRAWAL'
const STEPS: Record<AssetName, string> = { CEA: '1', EUA: '1', EUR: '0.01' }

interface Props {
  maker: { id: string; name: string }
  asset: AssetName
  availableOf: (asset: AssetName) => string | undefined
  close: () => void
  done: () => void
}

/** Deposit or withdraw for a market maker; a withdrawal is looked at once more before it is sent. */
export function TransactionDrawer({ maker, asset: first, availableOf, close, done }: Props) {
  const [kind, setKind] = useState<Kind>('DEPOSIT')
  const [asset, setAsset] = useState(first)
  const [amount, setAmount] = useState('')
  const [notes, setNotes] = useState('')
  const [touched, setTouched] = useState(false)
  const [reviewed, setReviewed] = useState(false)
  const { submit, ...attempt } = useSubmit({
    document: CreateTransaction,
    field: 'createTransaction',
    keyed: true,
    failed: kind === 'DEPOSIT' ? 'Not deposited' : 'Not withdrawn',
    done: ({ balance, transaction }) => ({
      title: kind === 'DEPOSIT' ? 'Deposited' : 'Withdrawn',
      detail: `${maker.name}: ${formatDelta(transaction?.amount ?? '0')} ${asset}, available ${formatAmount(balance?.available, asset)}`,
    }),
  })

  const available = availableOf(asset)
  const figure = readDecimal(amount)
  const errors = check(kind, asset, amount, figure, notes, available)
  const after = figure !== undefined && available !== undefined ? sum(available, kind === 'DEPOSIT' ? figure : `-${figure}`) : undefined
  const change = (act: () => void) => {
    attempt.clear()
    setReviewed(false)
    act()
  }

  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTouched(true)
    if (errors.amount || errors.notes || figure === undefined) return
    if (kind === 'WITHDRAWAL' && !reviewed) {
      setReviewed(true)
      return
    }
    const outcome = await submit((idempotencyKey) => ({
      input: { marketMakerId: maker.id, asset, transactionType: kind, amount: figure, notes: notes.trim() || null, idempotencyKey },
    }))
    if (outcome?.kind === 'done') {
      done()
      close()
    }
  }

  return (
    <Drawer opened onClose={close} position="right" title={`Add a transaction for ${maker.name}`} closeButtonProps={{ 'aria-label': 'Close' }}>
      <form className={styles.form} noValidate onSubmit={(event) => void send(event)}>
        <FormFailure failure={attempt.failure} />
        <SegmentedControl
          aria-label="Kind"
          data={[{ value: 'DEPOSIT', label: 'Deposit' }, { value: 'WITHDRAWAL', label: 'Withdrawal' }]}
          value={kind}
          onChange={(value) => change(() => setKind(value))}
        />
        <SegmentedControl aria-label="Asset" data={[...ASSETS]} value={asset} onChange={(value) => change(() => setAsset(value))} />
        <DecimalField
          label="Amount"
          unit={asset}
          places={asset === 'EUR' ? 2 : 0}
          step={STEPS[asset]}
          value={amount}
          change={(value) => change(() => setAmount(value))}
          left={() => amount !== '' && setTouched(true)}
          error={attempt.errorOf('amount') ?? (touched ? errors.amount : undefined)}
          required
        />
        <Textarea
          label={kind === 'WITHDRAWAL' ? 'Note' : 'Note (optional)'}
          autosize={false}
          rows={2}
          maxLength={2000}
          value={notes}
          onChange={(event) => change(() => setNotes(event.currentTarget.value))}
          error={attempt.errorOf('notes') ?? (touched ? errors.notes : undefined)}
        />
        {after !== undefined && available !== undefined && <MoneyPreview label="Available" asset={asset} before={available} after={after} />}
        {reviewed && !attempt.busy && (
          <p className={styles.review} role="alert">
            Look once more: {formatAmount(figure, asset)} {asset} leave {maker.name}. Press again to withdraw.
          </p>
        )}
        <Button type="submit" loading={attempt.busy}>
          {kind === 'DEPOSIT' ? 'Deposit' : reviewed ? 'Withdraw now' : 'Review the withdrawal'}
        </Button>
        {attempt.checking && <p role="status">No answer in 10 s. Checking whether it was done…</p>}
      </form>
    </Drawer>
  )
}

function check(
  kind: Kind,
  asset: AssetName,
  text: string,
  figure: string | undefined,
  notes: string,
  available: string | undefined,
): { amount: string | undefined; notes: string | undefined } {
  return {
    amount: amountError(kind, asset, text, figure, available),
    notes: kind === 'WITHDRAWAL' && notes.trim() === '' ? 'A note is required for withdrawals.' : undefined,
  }
}

function amountError(kind: Kind, asset: AssetName, text: string, figure: string | undefined, available: string | undefined): string | undefined {
  if (figure === undefined) return text.trim() ? 'Write a number such as 1000.' : 'Enter an amount above 0.'
  if (unitsOf(figure) <= 0n) return 'Enter an amount above 0.'
  if (!isMultiple(figure, STEPS[asset])) return asset === 'EUR' ? 'Euros have two decimals at most.' : 'Certificates are whole.'
  if (kind === 'WITHDRAWAL' && available !== undefined && compare(figure, available) > 0) {
    return `Withdrawal exceeds available ${formatAmount(available, asset)}.`
  }
  return undefined
}
