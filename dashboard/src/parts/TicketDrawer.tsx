import { Drawer } from '@mantine/core'
import { useState } from 'react'
import { TicketView } from './TicketView'
import styles from './TicketView.module.css'

interface Props {
  ticketId: string | undefined
  close: () => void
  open?: (ticketId: string) => void
  /** The ids of the list behind, in its order: what `Previous` and `Next` go through. */
  ids?: readonly string[]
}

/** Show one ticket over the list it was opened from. */
export function TicketDrawer({ ticketId, close, open, ids = [] }: Props) {
  // The last ticket stays while the drawer slides away.
  const [shown, setShown] = useState(ticketId)
  if (ticketId !== undefined && ticketId !== shown) setShown(ticketId)
  const at = ticketId === undefined ? -1 : ids.indexOf(ticketId)
  const step = (by: number) => {
    const id = at < 0 ? undefined : ids[at + by]
    return id !== undefined && open ? () => open(id) : undefined
  }
  return (
    <Drawer.Root opened={ticketId !== undefined} onClose={close} position="right" size={760}>
      <Drawer.Overlay backgroundOpacity={0.28} />
      <Drawer.Content>
        {/* Inside a dialog this is no banner of the page. */}
        <Drawer.Header role="presentation">
          <Drawer.Title className={styles.title}>{shown}</Drawer.Title>
          <Drawer.CloseButton aria-label="Close the ticket" />
        </Drawer.Header>
        <Drawer.Body>
          {shown !== undefined && <TicketView ticketId={shown} place="drawer" open={open} previous={step(-1)} next={step(1)} />}
        </Drawer.Body>
      </Drawer.Content>
    </Drawer.Root>
  )
}
