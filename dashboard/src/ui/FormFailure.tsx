import { useEffect, useRef } from 'react'
import { Icon } from './icons'
import styles from './Notes.module.css'
import { TicketLink } from './TicketLink'

interface Props {
  failure: { message: string; code: string; ticketId: string | undefined } | undefined
}

/** Say above a form why it was not done, with the ticket of the try, and take the focus there. */
export function FormFailure({ failure }: Props) {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (failure) box.current?.focus()
  }, [failure])
  if (!failure) return null
  return (
    <div ref={box} className={styles.problem} role="alert" tabIndex={-1}>
      <Icon name="warning" />
      <div className={styles.text}>
        <p>{failure.message}</p>
        <p className={styles.code}>
          {failure.code}
          {failure.ticketId && (
            <>
              {' · '}
              <TicketLink id={failure.ticketId} />
            </>
          )}
        </p>
      </div>
    </div>
  )
}
