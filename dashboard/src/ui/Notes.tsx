import { Button } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Problem } from '../problem'
import { Icon } from './icons'
import { TicketLink } from './TicketLink'
import styles from './Notes.module.css'

/** Say what failed, with its code and ticket, and offer to try again where that can help. */
export function ProblemNote({ problem, again }: { problem: Problem; again?: () => void }) {
  return (
    <div className={styles.problem} role="alert">
      <Icon name="warning" />
      <div className={styles.text}>
        <p>{problem.message}</p>
        <p className={styles.code}>
          {problem.code}
          {problem.ticketId && (
            <>
              {' · '}
              <TicketLink id={problem.ticketId} />
            </>
          )}
        </p>
      </div>
      {again && (
        <Button size="xs" variant="default" onClick={again}>
          Try again
        </Button>
      )}
    </div>
  )
}

/** Say that there is nothing, and what would make something. */
export function EmptyNote({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={styles.empty} role="status">
      <p className={styles.emptyTitle}>{title}</p>
      {children}
    </div>
  )
}

/** Name the parts of an address that made no sense and were not obeyed. */
export function IgnoredNote({ ignored }: { ignored: readonly string[] }) {
  if (ignored.length === 0) return null
  return (
    <p className={styles.ignored} role="status">
      <Icon name="warning" size={15} /> Ignored in the address: {ignored.join(', ')}
    </p>
  )
}
