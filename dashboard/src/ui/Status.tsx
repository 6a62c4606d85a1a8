import type { ReactNode } from 'react'
import { Icon } from './icons'
import styles from './Status.module.css'

/** Show how an action ended: by icon, word and colour, never by colour alone. */
export function TicketStatusMark({ status }: { status: 'SUCCESS' | 'FAILED' }) {
  const ok = status === 'SUCCESS'
  return (
    <span className={styles.mark} data-tone={ok ? 'ok' : 'fail'}>
      <Icon name={ok ? 'check' : 'cross'} size={14} /> {ok ? 'OK' : 'Failed'}
    </span>
  )
}

export type Tone = 'ok' | 'fail' | 'warn' | 'quiet'

/** Show a short state beside a dot. */
export function StateMark({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={styles.mark} data-tone={tone}>
      <span className={styles.dot} aria-hidden="true" /> {children}
    </span>
  )
}
