import { Link } from '@tanstack/react-router'
import type { MouseEvent, ReactNode } from 'react'

interface Props {
  ticketId: string
  /** Opens it here instead, where a list stands behind it. */
  open: ((ticketId: string) => void) | undefined
  className?: string | undefined
  title?: string
  children?: ReactNode
}

/** Lead to a ticket: over the list where there is one, in a window of its own when asked for. */
export function TicketAnchor({ ticketId, open, className, title, children }: Props) {
  const press = (event: MouseEvent) => {
    if (!open || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return
    event.preventDefault()
    open(ticketId)
  }
  return (
    <Link to="/logging/tickets/$ticketId" params={{ ticketId }} preload={false} className={className ?? ''} title={title} onClick={press}>
      {children ?? ticketId}
    </Link>
  )
}
