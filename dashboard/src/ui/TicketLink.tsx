import { Link } from '@tanstack/react-router'
import { can } from '../can'
import { session } from '../client'
import { useStore } from '../live/store'
import styles from './TicketLink.module.css'

/** Lead to a ticket from wherever one is named; to who may not read tickets it is a number to quote. */
export function TicketLink({ id }: { id: string }) {
  const state = useStore(session)
  if (!can('person' in state ? state.person.role : undefined, 'tickets.read')) return <code className={styles.link}>{id}</code>
  return (
    <Link to="/t/$ticketId" params={{ ticketId: id }} className={styles.link}>
      {id}
    </Link>
  )
}
