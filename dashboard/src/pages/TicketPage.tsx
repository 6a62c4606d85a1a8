import { Link, useParams } from '@tanstack/react-router'
import { TicketView } from '../parts/TicketView'
import { TICKET_ID } from '../paths'
import { EmptyNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import styles from './TicketPage.module.css'

/** Show a ticket on a page of its own: what /t/TKT-… and toasts lead to. */
export function TicketPage() {
  const { ticketId } = useParams({ from: '/desk/logging/tickets/$ticketId' })
  const id = ticketId.trim().toUpperCase()
  return (
    <Page title={id} section="Logging" actions={<Link to="/logging/tickets">All tickets</Link>}>
      <Panel className={styles.panel}>
        {TICKET_ID.test(id) ? (
          <TicketView ticketId={id} place="page" />
        ) : (
          <EmptyNote title="There is no such ticket">A ticket is called TKT-2026-001234.</EmptyNote>
        )}
      </Panel>
    </Page>
  )
}
