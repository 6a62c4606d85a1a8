import { Link } from '@tanstack/react-router'
import styles from './TicketLink.module.css'

/** Lead to a ticket from wherever one is named. */
export function TicketLink({ id }: { id: string }) {
  return (
    <Link to="/t/$ticketId" params={{ ticketId: id }} className={styles.link}>
      {id}
    </Link>
  )
}
