import { Button, Checkbox, SegmentedControl, VisuallyHidden } from '@mantine/core'
import { useEffect, useImperativeHandle, useRef, useState, type ReactNode, type Ref, type SubmitEvent } from 'react'
import { readDecimal, sum, unitsOf } from '../decimal'
import { formatAge, formatAmount, formatEur, formatPrice, formatQuantity, type Asset } from '../format'
import type { BookFeed } from '../live/book'
import { useNow } from '../live/clock'
import { usePart, useStore } from '../live/store'
import { checkOrder, shareOfAvailable, type OrderDraft, type OrderReport } from '../orderCheck'
import { DecimalField } from '../ui/DecimalField'
import { FormFailure } from '../ui/FormFailure'
import { Icon } from '../ui/icons'
import { Panel } from '../ui/Page'
import type { Certificate } from './marketDocuments'
import { orderDraft } from './orderDraft'
import type { Failure } from './useSubmit'
import styles from './OrderForm.module.css'

const SHARES = [25n, 50n, 75n, 100n] as const

/** What other parts of the page may ask of the form. */
export interface OrderFormHandle {
  fill: (price: string, quantity: string | undefined) => void
  focus: () => void
  /** Move the price by so many ticks. */
  nudge: (ticks: 1 | -1) => void
  /** Speak the best prices. */
  say: () => void
}

interface Props {
  ref: Ref<OrderFormHandle>
  title: string
  certificate: Certificate | undefined
  feed: BookFeed
  /** Sides that this person may take. */
  sides: readonly OrderDraft['side'][]
  /** Of the holder the order is for, by asset. */
  balanceOf: (asset: Asset) => { available: string; locked: string } | undefined
  /** For whom, chosen above the figures. */
  holder?: ReactNode
  holderError?: string | undefined
  submit: (draft: OrderDraft, report: OrderReport) => Promise<boolean>
  busy: boolean
  checking: boolean
  failure: Failure | undefined
  errorOf: (field: string) => string | undefined
  disabled: boolean
}

/** Write an order beside the book it goes into. Nothing but its button sends it. */
export function OrderForm(props: Props) {
  const { ref, title, certificate, feed, sides, balanceOf, holder, holderError, busy, checking, failure, errorOf, disabled } = props
  const draft = { ...useStore(orderDraft), ...(sides.length === 1 && { side: sides[0] ?? 'SELL' }) }
  const { side, kind } = draft
  const now = useNow()
  const [touched, setTouched] = useState<ReadonlySet<string>>(new Set())
  const [accepted, setAccepted] = useState('') // the warnings that were agreed to, as they stood
  const [pulse, setPulse] = useState(0)
  const [spoken, setSpoken] = useState('')
  const form = useRef<HTMLFormElement>(null)
  const priceInput = useRef<HTMLInputElement>(null)
  const quantityInput = useRef<HTMLInputElement>(null)
  const warningBox = useRef<HTMLInputElement>(null)

  const certificateType = certificate?.certificateType ?? 'CEA'
  const reservedAsset: Asset = side === 'SELL' ? certificateType : 'EUR'
  const balance = balanceOf(reservedAsset)
  // Of a book that changes all the time, only what the form says something about draws it again.
  const needsLevels = draft.quantity !== '' || (side === 'BUY' && kind === 'MARKET')
  const levels = usePart(feed, ({ book }) => (needsLevels ? (book ?? undefined) : undefined))
  const touch = usePart(feed, ({ book }) => (side === 'SELL' ? book?.bestAsk : book?.bestBid))
  const oldSince = usePart(feed, ({ phase, freshAt }) => (phase === 'live' ? null : freshAt))
  const world = {
    certificateType,
    tickSize: certificate?.tickSize ?? '0.01',
    lotSize: certificate?.lotSize ?? '1',
    levels,
    balance,
  }
  const report = checkOrder(draft, world)
  const staleMs = oldSince === null ? undefined : Math.max(0, now - oldSince)
  const warnings = staleMs === undefined ? report.warnings : [...report.warnings, STALE]
  // The book moves while one reads: what was agreed to are these warnings, whatever their figures are now.
  const warningKey = warnings.map((warning) => warning.replace(FIGURES, '#')).join('\n')
  const isAccepted = warnings.length === 0 || accepted === warningKey

  const leave = (field: string) => () => setTouched((fields) => new Set(fields).add(field))
  const shownError = (field: 'price' | 'quantity') => errorOf(field) ?? (touched.has(field) ? report.errors[field] : undefined)
  const change = (part: Partial<OrderDraft>) => {
    setAccepted('')
    orderDraft.change(part)
  }

  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTouched(new Set(['price', 'quantity', 'holder']))
    if (holderError) {
      form.current?.querySelector<HTMLInputElement>('[data-holder]')?.focus()
      return
    }
    if (report.errors.price) return priceInput.current?.focus()
    if (report.errors.quantity) return quantityInput.current?.focus()
    if (!isAccepted) return warningBox.current?.focus()
    if (await props.submit(draft, report)) {
      setTouched(new Set())
      setAccepted('')
      orderDraft.change({ quantity: '' })
    }
  }

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      // Never from within something else that is open: that has a form of its own.
      const isElsewhere = document.querySelector('[aria-modal=true]') ?? (event.target as Element).closest('[role=dialog]')
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !isElsewhere) {
        event.preventDefault()
        form.current?.requestSubmit()
      }
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [])

  const nudge = (by: string) => {
    const next = sum(readDecimal(draft.price) ?? '0', by)
    if (unitsOf(next) > 0n) change({ price: next })
  }
  useImperativeHandle(ref, () => ({
    fill: (price, quantity) => {
      orderDraft.change({ kind: 'LIMIT', price, ...(quantity !== undefined && { quantity }) })
      setPulse((count) => count + 1)
    },
    focus: () => (priceInput.current ?? quantityInput.current)?.focus(),
    nudge: (ticks) => nudge(ticks > 0 ? world.tickSize : `-${world.tickSize}`),
    say: () => {
      const { book } = feed.read()
      setSpoken(`Best bid ${book?.bestBid ?? 'none'}, best ask ${book?.bestAsk ?? 'none'}`)
    },
  }))

  return (
    <Panel label={title} className={styles.panel}>
      <h2 className={styles.title}>{title}</h2>
      <form ref={form} className={styles.form} noValidate onSubmit={(event) => void send(event)} aria-label={title}>
        <FormFailure failure={failure} />
        {holder}
        {touched.has('holder') && holderError && <p className={styles.fault}>{holderError}</p>}
        {balance && (
          <p className={styles.balance}>
            Available <b>{formatAmount(balance.available, reservedAsset)}</b> {reservedAsset} · locked {formatAmount(balance.locked, reservedAsset)}
          </p>
        )}
        {sides.length > 1 && (
          <SegmentedControl
            aria-label="Side"
            data={[{ value: 'BUY', label: 'Buy' }, { value: 'SELL', label: 'Sell' }]}
            value={side}
            onChange={(value) => change({ side: value })}
          />
        )}
        <SegmentedControl
          aria-label="Order type"
          data={[{ value: 'LIMIT', label: 'Limit' }, { value: 'MARKET', label: 'Market' }]}
          value={kind}
          onChange={(value) => change({ kind: value })}
        />
        {kind === 'LIMIT' && (
          <div className={styles.field} data-pulse={pulse > 0 ? (pulse % 2 ? 'a' : 'b') : undefined}>
            <DecimalField
              ref={priceInput}
              label="Price"
              unit="EUR"
              places={2}
              step={world.tickSize}
              value={draft.price}
              change={(price) => change({ price })}
              left={leave('price')}
              error={shownError('price')}
              disabled={disabled}
              required
            />
            <div className={styles.aids}>
              <Button size="compact-xs" variant="default" aria-label="One tick less" onClick={() => nudge(`-${world.tickSize}`)}>−</Button>
              <Button size="compact-xs" variant="default" aria-label="One tick more" onClick={() => nudge(world.tickSize)}>+</Button>
              {touch && (
                <Button size="compact-xs" variant="default" onClick={() => change({ price: touch })}>
                  {side === 'SELL' ? 'Best ask' : 'Best bid'} {staleMs === undefined ? formatPrice(touch) : <s>{formatPrice(touch)}</s>}
                </Button>
              )}
            </div>
          </div>
        )}
        <div className={styles.field} data-pulse={pulse > 0 ? (pulse % 2 ? 'a' : 'b') : undefined}>
          <DecimalField
            ref={quantityInput}
            label="Quantity"
            unit={certificateType}
            places={0}
            step={world.lotSize}
            value={draft.quantity}
            change={(quantity) => change({ quantity })}
            left={leave('quantity')}
            error={shownError('quantity')}
            disabled={disabled}
            required
          />
          <div className={styles.aids}>
            {SHARES.map((percent) => {
              const share = shareOfAvailable(percent, draft, world)
              return (
                <Button
                  key={percent}
                  size="compact-xs"
                  variant="default"
                  disabled={share === undefined || unitsOf(share) === 0n}
                  onClick={() => share !== undefined && change({ quantity: share })}
                >
                  {percent === 100n ? 'Max' : `${percent} %`}
                </Button>
              )
            })}
            {report.errors.quantity?.startsWith('Only') && balance && (
              <Button size="compact-xs" variant="light" onClick={() => change({ quantity: shareOfAvailable(100n, draft, world) ?? '' })}>
                Use {formatQuantity(shareOfAvailable(100n, draft, world))}
              </Button>
            )}
          </div>
        </div>
        <dl className={styles.facts}>
          <div>
            <dt>Notional</dt>
            <dd>{report.notional === undefined ? '—' : formatEur(report.notional)}</dd>
          </div>
          <div>
            <dt>Queue ahead</dt>
            <dd>{report.ahead === undefined ? '—' : formatQuantity(report.ahead)}</dd>
          </div>
          {kind === 'MARKET' && (
            <div>
              <dt>Would trade</dt>
              <dd>{report.match ? `${formatQuantity(report.match.quantity)} @ ${formatPrice(report.match.average)}` : 'nothing'}</dd>
            </div>
          )}
        </dl>
        {warnings.length > 0 && (
          <div className={styles.warnings} role="status" aria-label="Check before placing">
            {warnings.map((warning) => (
              <p key={warning}>
                <Icon name="warning" size={15} />{' '}
                {warning === STALE ? `Book is ${formatAge(staleMs ?? 0)} old.` : warning}
              </p>
            ))}
            <Checkbox
              ref={warningBox}
              size="xs"
              label={warnings.includes(STALE) ? 'Place anyway' : 'I have seen this'}
              checked={accepted === warningKey}
              onChange={(event) => setAccepted(event.currentTarget.checked ? warningKey : '')}
            />
          </div>
        )}
        <Button type="submit" fullWidth loading={busy} disabled={disabled} className={(side === 'SELL' ? styles.sell : styles.buy) ?? ''}>
          {side === 'SELL' ? 'Place sell order' : 'Place buy order'}
        </Button>
        <p className={styles.hint} role="status">
          {checking ? 'No answer in 10 s. Checking whether it was placed…' : `${summary(draft, report, certificateType)} · Ctrl ⏎`}
        </p>
      </form>
      <VisuallyHidden role="status">{spoken}</VisuallyHidden>
    </Panel>
  )
}

const STALE = 'stale'
const FIGURES = /[\d.,\u202f]+/g

/** Say an order in one line, as tickets do. */
export function summary({ side, kind }: OrderDraft, { price, quantity }: OrderReport, certificateType: string): string {
  const at = kind === 'MARKET' ? 'market' : price === undefined ? '…' : formatPrice(price)
  return `${side} ${quantity === undefined ? '…' : formatQuantity(quantity)} ${certificateType} @ ${at}`
}
