import { CloseButton } from '@mantine/core'
import { Link, useRouterState } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { can } from '../can'
import { desk, useAnswer } from '../client'
import { graphql } from '../graphql'
import { Icon } from '../ui/icons'
import { usePerson } from './usePerson'
import styles from './FirstRun.module.css'

const REFRESH_MS = 1_000 // after the first of a burst of tickets
const MAKERS_MAX = 100

const FirstRunQuery = graphql(`
  query FirstRun($first: Int!) {
    marketMakers(first: $first) { nodes { id balances { total } } }
    orders(filter: { hasMarketMaker: true }, first: 1) { nodes { ticketId } }
  }
`)

const FirstRunTickets = graphql(`
  subscription FirstRunTickets {
    tickets(filter: { hasMarketMaker: true }) { ticketId }
  }
`)

/** Lead somebody with an empty market through its first minutes; in a market that has orders it never appears. */
export function FirstRun() {
  const writes = can(usePerson()?.role, 'desk.write')
  return writes ? <Checklist /> : null
}

function Checklist() {
  const { data, again } = useAnswer(FirstRunQuery, { first: MAKERS_MAX })
  const sawTicket = useRouterState({ select: ({ location }) => 'ticket' in location.search || location.pathname.includes('/TKT-') })
  const [begun, setBegun] = useState(false)
  const [seen, setSeen] = useState(false)
  const [dismissed, setDismissed] = useState(false)
  const makers = data?.marketMakers.nodes ?? []
  const order = data?.orders.nodes[0]
  const deposited = makers.some(({ balances }) => balances.some(({ total }) => /[1-9]/.test(total)))
  if (data && !order && !begun) setBegun(true)
  if (begun && order && sawTicket && !seen) setSeen(true)
  const shown = begun && !seen && !dismissed
  useRefresh(again, shown)
  if (!shown) return null

  const steps = [
    { done: makers.length > 0, text: 'Create a market maker', to: '/market-makers' as const },
    { done: deposited, text: 'Deposit certificates for it', to: '/market-makers' as const },
    { done: order !== undefined, text: 'Place a sell order', to: '/market-orders' as const },
    { done: false, text: 'See the ticket of that order', to: '/logging/tickets' as const, ticket: order?.ticketId },
  ]
  const next = steps.findIndex(({ done }) => !done)
  return (
    <section className={styles.card} aria-label="First steps">
      <h2 className={styles.title}>First steps in an empty market</h2>
      <CloseButton className={styles.close ?? ''} aria-label="Hide the first steps" onClick={() => setDismissed(true)} />
      <ol className={styles.steps}>
        {steps.map(({ done, text, to, ticket }, index) => (
          <li key={text} className={styles.step} data-done={done || undefined} aria-current={index === next ? 'step' : undefined}>
            <span className={styles.mark}>{done ? <Icon name="check" size={14} /> : index + 1}</span>
            {index === next ? (
              <Link to={to} {...(ticket !== undefined && { search: { ticket } as never })}>{text}</Link>
            ) : (
              <span>
                {text}
                {done && <span className={styles.hidden}> (done)</span>}
              </span>
            )}
          </li>
        ))}
      </ol>
    </section>
  )
}

function useRefresh(again: () => void, on: boolean): void {
  useEffect(() => {
    if (!on) return undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined
        again()
      }, REFRESH_MS)
    }
    const stop = desk.connection.follow(FirstRunTickets, () => ({}), { next: soon, down: () => undefined })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [again, on])
}
