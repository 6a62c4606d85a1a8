import { Button, Modal, Switch, Textarea, TextInput } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useRef, useState, type SubmitEvent } from 'react'
import { isMultiple, readDecimal, unitsOf } from '../decimal'
import { formatAmount } from '../format'
import { ASSETS, type AssetName } from '../marketPaths'
import { DecimalField } from '../ui/DecimalField'
import { FormFailure } from '../ui/FormFailure'
import { ButtonLink } from '../ui/links'
import { TicketLink } from '../ui/TicketLink'
import styles from './Form.module.css'
import { CreateMarketMaker, UpdateMarketMaker, type MakerEntry } from './makerDocuments'
import { useSubmit } from './useSubmit'

const NAME_LENGTH_MAX = 64
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/

// What comes next has the focus: the form that had it is gone.
function firstLink(node: HTMLElement | null): void {
  node?.querySelector<HTMLElement>('[data-next]')?.focus()
}

/** Create a market maker with what it starts with; then lead to what comes next. */
export function CreateMakerDialog({ close, made }: { close: () => void; made: () => void }) {
  const [name, setName] = useState('')
  const [email, setEmail] = useState('')
  const [description, setDescription] = useState('')
  const [amounts, setAmounts] = useState<Partial<Record<AssetName, string>>>({})
  const [touched, setTouched] = useState(false)
  const [created, setCreated] = useState<{ id: string; name: string; ticketId: string }>()
  const nameInput = useRef<HTMLInputElement>(null)
  const { submit, ...attempt } = useSubmit({
    document: CreateMarketMaker,
    field: 'createMarketMaker',
    keyed: true,
    failed: 'Market maker not created',
    done: ({ marketMaker }) => ({
      title: 'Market maker created',
      detail: marketMaker
        ? [marketMaker.name, ...marketMaker.balances.filter(({ total }) => /[1-9]/.test(total)).map(({ asset, total }) => `${formatAmount(total, asset)} ${asset}`)].join(' · ')
        : undefined,
    }),
  })
  const errors = {
    name: nameError(name),
    email: EMAIL.test(email.trim()) ? undefined : 'Enter a valid email address.',
  }
  const amountErrors = Object.fromEntries(ASSETS.map((asset) => [asset, initialError(asset, amounts[asset] ?? '')]))

  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTouched(true)
    if (errors.name || errors.email || Object.values(amountErrors).some(Boolean)) {
      if (errors.name) nameInput.current?.focus()
      return
    }
    const initialBalances = ASSETS.flatMap((asset) => {
      const amount = readDecimal(amounts[asset] ?? '')
      return amount === undefined ? [] : [{ asset, amount }]
    })
    const outcome = await submit((idempotencyKey) => ({
      input: { name: name.trim(), email: email.trim(), description: description.trim() || null, initialBalances, idempotencyKey },
    }))
    if (outcome?.kind === 'done' && outcome.payload.marketMaker) {
      setCreated({ id: outcome.payload.marketMaker.id, name: outcome.payload.marketMaker.name, ticketId: outcome.payload.ticketId })
      made()
    }
  }

  const change = (act: () => void) => {
    attempt.clear()
    act()
  }
  return (
    <Modal opened onClose={close} title={created ? 'Market maker created' : 'New market maker'} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      {created ? (
        <div className={styles.success} ref={firstLink}>
          <p>
            <Link to="/market-makers/$makerId" params={{ makerId: created.id }}>
              {created.name}
            </Link>{' '}
            is there. Its ticket is <TicketLink id={created.ticketId} />.
          </p>
          <div className={styles.buttons}>
            <ButtonLink variant="default" to="/market-makers/$makerId" params={{ makerId: created.id }} search={{ tab: 'transactions' }}>
              Deposit more
            </ButtonLink>
            <ButtonLink to="/market-orders" search={{ mm: created.id }} data-next>
              Place an order
            </ButtonLink>
          </div>
        </div>
      ) : (
        <form className={styles.form} noValidate onSubmit={(event) => void send(event)}>
          <FormFailure failure={attempt.failure} />
          <TextInput
            ref={nameInput}
            label="Name"
            data-autofocus
            required
            withAsterisk={false}
            maxLength={NAME_LENGTH_MAX}
            value={name}
            onChange={(event) => change(() => setName(event.currentTarget.value))}
            error={attempt.errorOf('name') ?? (touched ? errors.name : undefined)}
          />
          <TextInput
            label="Email"
            type="email"
            required
            withAsterisk={false}
            value={email}
            onChange={(event) => change(() => setEmail(event.currentTarget.value))}
            error={attempt.errorOf('email') ?? (touched ? errors.email : undefined)}
          />
          <Textarea label="Description (optional)" rows={2} value={description} onChange={(event) => change(() => setDescription(event.currentTarget.value))} />
          <fieldset style={{ border: 0, margin: 0, padding: 0 }}>
            <legend>Initial balances (optional)</legend>
            <div className={styles.row}>
              {ASSETS.map((asset) => (
                <DecimalField
                  key={asset}
                  label={`Initial ${asset}`}
                  unit={asset}
                  places={asset === 'EUR' ? 2 : 0}
                  value={amounts[asset] ?? ''}
                  change={(value) => change(() => setAmounts((old) => ({ ...old, [asset]: value })))}
                  error={touched ? amountErrors[asset] : undefined}
                />
              ))}
            </div>
          </fieldset>
          <div className={styles.buttons}>
            <Button variant="default" onClick={close}>
              Leave it
            </Button>
            <Button type="submit" loading={attempt.busy}>
              Create market maker
            </Button>
          </div>
          {attempt.checking && <p role="status">No answer in 10 s. Checking whether it was created…</p>}
        </form>
      )}
    </Modal>
  )
}

interface EditProps {
  maker: MakerEntry
  close: () => void
  changed: () => void
  /** Deactivating asks for more than this form. */
  deactivate: () => void
}

/** Change what a market maker is called and whether it is active. */
export function EditMakerDialog({ maker, close, changed, deactivate }: EditProps) {
  const [name, setName] = useState(maker.name)
  const [description, setDescription] = useState(maker.description ?? '')
  const [isActive, setIsActive] = useState(maker.isActive)
  const { submit, ...attempt } = useSubmit({
    document: UpdateMarketMaker,
    field: 'updateMarketMaker',
    keyed: false,
    failed: 'Market maker not changed',
    done: ({ marketMaker }) => ({ title: 'Market maker changed', detail: marketMaker?.name }),
  })
  const error = nameError(name)
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    if (error) return
    const outcome = await submit(() => ({
      id: maker.id,
      input: { name: name.trim(), description: description.trim(), ...(isActive && !maker.isActive && { isActive: true }) },
    }))
    if (outcome?.kind !== 'done') return
    changed()
    close()
    if (maker.isActive && !isActive) deactivate()
  }
  return (
    <Modal opened onClose={close} title={`Edit ${maker.name}`} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form className={styles.form} noValidate onSubmit={(event) => void send(event)}>
        <FormFailure failure={attempt.failure} />
        <TextInput
          label="Name"
          data-autofocus
          required
          withAsterisk={false}
          maxLength={NAME_LENGTH_MAX}
          value={name}
          onChange={(event) => {
            attempt.clear()
            setName(event.currentTarget.value)
          }}
          error={attempt.errorOf('name') ?? error}
        />
        <Textarea label="Description" rows={3} value={description} onChange={(event) => setDescription(event.currentTarget.value)} />
        <Switch
          label="Active"
          description={maker.isActive && !isActive ? 'After saving you are asked what deactivating it cancels.' : 'Orders can be placed for it.'}
          checked={isActive}
          onChange={(event) => setIsActive(event.currentTarget.checked)}
        />
        <div className={styles.buttons}>
          <Button variant="default" onClick={close}>
            Leave it
          </Button>
          <Button type="submit" loading={attempt.busy}>
            Save
          </Button>
        </div>
      </form>
    </Modal>
  )
}

function nameError(name: string): string | undefined {
  return name.trim() === '' ? 'Enter a name.' : undefined
}

function initialError(asset: AssetName, text: string): string | undefined {
  if (text.trim() === '') return undefined
  const amount = readDecimal(text)
  if (amount === undefined || unitsOf(amount) <= 0n) return 'Enter an amount above 0, or nothing.'
  return isMultiple(amount, asset === 'EUR' ? '0.01' : '1') ? undefined : asset === 'EUR' ? 'Two decimals at most.' : 'Certificates are whole.'
}
