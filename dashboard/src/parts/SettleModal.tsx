import { Button, Modal, TextInput } from '@mantine/core'
import { useState } from 'react'
import { formatCount, formatPrice, formatQuantity } from '../format'
import { FormFailure } from '../ui/FormFailure'
import { StateMark } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import { SettlementTickets, SettleTrades, type TradeEntry } from './officeDocuments'
import { ask } from './usePages'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

export const TRADES_AT_ONCE_MAX = 100 // the contract's
const REFERENCE_CHARACTERS_MAX = 140

interface Props {
  trades: readonly TradeEntry[] | undefined
  close: () => void
  settled: () => void
}

/** Record the registry's references of trades, all or none, and show the ticket of each. */
export function SettleModal({ trades, close, settled }: Props) {
  const [shown, setShown] = useState(trades)
  if (trades !== undefined && trades !== shown) setShown(trades)
  const count = shown?.length ?? 0
  return (
    <Modal opened={trades !== undefined} onClose={close} title={`Settle ${formatCount(count)} trade${count === 1 ? '' : 's'}`} size="xl" closeButtonProps={{ 'aria-label': 'Close' }}>
      {shown && <SettleForm trades={shown} close={close} settled={settled} />}
    </Modal>
  )
}

function SettleForm({ trades, close, settled }: { trades: readonly TradeEntry[]; close: () => void; settled: () => void }) {
  const [common, setCommon] = useState('')
  const [own, setOwn] = useState<Readonly<Record<string, string>>>({})
  const [tickets, setTickets] = useState<ReadonlyMap<string, string>>()
  const [tried, setTried] = useState(false)
  const { submit, busy, failure } = useSubmit({
    document: SettleTrades,
    field: 'settleTrades',
    keyed: false,
    done: ({ trades: after }) => ({ title: 'Trades settled', detail: `${formatCount(after.length)} recorded with the registry's references` }),
    failed: 'No trade was settled',
  })
  const referenceOf = ({ id }: TradeEntry) => (own[id]?.trim() ? own[id] : common).trim()
  const blocking = indexOf(failure?.refusals[0]?.details)
  const send = async () => {
    setTried(true)
    if (trades.some((trade) => referenceOf(trade) === '')) return
    const outcome = await submit(() => ({ input: trades.map((trade) => ({ id: trade.id, registryReference: referenceOf(trade) })) }))
    if (outcome?.kind !== 'done') return
    settled()
    const answer = await ask(SettlementTickets, { ticketId: outcome.payload.ticketId })
    const nodes = 'value' in answer ? answer.value.tickets.nodes : []
    setTickets(new Map(nodes.flatMap(({ entityId, ticketId }) => (entityId ? [[entityId, ticketId]] : []))))
  }
  const over = tickets !== undefined
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault()
        void send()
      }}
    >
      <FormFailure failure={failure} />
      {!over && (
        <TextInput
          label="Registry reference of all" description="Or one for each trade below." maxLength={REFERENCE_CHARACTERS_MAX} autoComplete="off" data-autofocus
          value={common} onChange={(event) => setCommon(event.currentTarget.value)}
        />
      )}
      <div className={styles.scroller} tabIndex={0} role="region" aria-label="Trades to settle">
        <table className={styles.figures} aria-label="Trades to settle">
          <thead>
            <tr>
              <th scope="col">Trade</th>
              <th scope="col">Buyer</th>
              <th scope="col">Registry reference</th>
              {over && <th scope="col">Result</th>}
            </tr>
          </thead>
          <tbody>
            {trades.map((trade, index) => (
              <tr key={trade.id}>
                <td>
                  {formatQuantity(trade.quantity)} {trade.certificateType} @ {formatPrice(trade.price)}
                  {blocking === index && <StateMark tone="fail">stands in the way</StateMark>}
                </td>
                <td>{trade.buyer?.name}</td>
                <td>
                  {over ? (
                    referenceOf(trade)
                  ) : (
                    <TextInput
                      size="xs" aria-label={`Registry reference of trade ${index + 1}`} placeholder={common || 'REG-…'} maxLength={REFERENCE_CHARACTERS_MAX}
                      autoComplete="off" value={own[trade.id] ?? ''}
                      error={tried && referenceOf(trade) === '' ? 'Enter the reference.' : undefined}
                      onChange={(event) => {
                        const { value } = event.currentTarget
                        setOwn((others) => ({ ...others, [trade.id]: value }))
                      }}
                    />
                  )}
                </td>
                {over && (
                  <td>
                    <StateMark tone="ok">Settled</StateMark> {ticketLink(tickets.get(trade.id))}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!over && <p className={styles.note}>All are recorded or none. Balances were final when the trades were made; this cannot be taken back.</p>}
      <div className={styles.buttons}>
        <Button variant="default" onClick={close}>{over ? 'Close' : 'Cancel'}</Button>
        {!over && <Button type="submit" loading={busy}>Record {formatCount(trades.length)} settlement{trades.length === 1 ? '' : 's'}</Button>}
      </div>
    </form>
  )
}

function ticketLink(ticketId: string | undefined) {
  return ticketId && <TicketLink id={ticketId} />
}

function indexOf(details: unknown): number | undefined {
  if (typeof details !== 'object' || details === null || !('index' in details)) return undefined
  return typeof details.index === 'number' ? details.index : undefined
}
