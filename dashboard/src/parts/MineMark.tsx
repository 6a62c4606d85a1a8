import { Popover } from '@mantine/core'
import { useState } from 'react'
import { sum } from '../decimal'
import { formatQuantity } from '../format'
import { TicketLink } from '../ui/TicketLink'
import type { OrderEntry } from './marketDocuments'
import styles from './Ladder.module.css'

/** Mark how much of a level is one's own, and lead to the orders behind it. */
export function MineMark({ orders }: { orders: readonly OrderEntry[] }) {
  const [opened, setOpened] = useState(false)
  const quantity = orders.reduce((total, order) => sum(total, order.remainingQuantity), '0')
  return (
    <Popover opened={opened} onChange={setOpened} position="right" withArrow trapFocus returnFocus withRoles={false} shadow="md">
      <Popover.Target>
        <button
          type="button"
          className={styles.own}
          tabIndex={-1}
          aria-label={`Mine: ${formatQuantity(quantity)} in ${orders.length} ${orders.length === 1 ? 'order' : 'orders'}`}
          title={orders.map((order) => `${order.marketMaker?.name ?? 'Mine'} ${order.remainingQuantity}`).join('\n')}
          onClick={() => setOpened((open) => !open)}
        >
          <span aria-hidden="true">◆</span>
          {formatQuantity(quantity)}
        </button>
      </Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Orders at this level">
        <ul className={styles.ownList}>
          {orders.map((order) => (
            <li key={order.id}>
              {order.marketMaker?.name ?? 'Mine'} · {formatQuantity(order.remainingQuantity)} of {formatQuantity(order.quantity)} ·{' '}
              <TicketLink id={order.ticketId} />
            </li>
          ))}
        </ul>
      </Popover.Dropdown>
    </Popover>
  )
}
