import { Button, CloseButton } from '@mantine/core'
import { notices, type Notice } from '../live/notices'
import { useStore } from '../live/store'
import { Icon } from '../ui/icons'
import { TicketLink } from '../ui/TicketLink'
import styles from './Toasts.module.css'

const MARKS = { ok: 'check', fail: 'cross', info: 'warning' } as const

/** Tell in a corner what an action came to, with its ticket. What is pointed at or has the focus stays. */
export function Toasts() {
  const { shown } = useStore(notices)
  return (
    <section className={styles.corner} aria-label="Notifications" aria-live="polite" aria-relevant="additions">
      {shown.map((notice) => (
        <div
          key={notice.id}
          className={styles.toast}
          data-tone={notice.tone}
          role={notice.tone === 'fail' ? 'alert' : 'status'}
          aria-label={notice.title}
          onMouseEnter={() => notices.stay(notice.id)}
          onMouseLeave={() => notices.leave(notice.id)}
          onFocus={() => notices.stay(notice.id)}
          onBlur={() => notices.leave(notice.id)}
        >
          <NoticeText notice={notice} />
          <CloseButton size="sm" aria-label={`Dismiss: ${notice.title}`} onClick={() => notices.dismiss(notice.id)} />
        </div>
      ))}
    </section>
  )
}

/** Write one notice: what, which, its ticket, what can be done about it. */
export function NoticeText({ notice }: { notice: Notice }) {
  const { tone, title, detail, ticketId, action } = notice
  return (
    <>
      <span className={styles.mark} data-tone={tone}>
        <Icon name={MARKS[tone]} size={16} />
      </span>
      <div className={styles.text}>
        <p className={styles.title}>{title}</p>
        {detail && <p>{detail}</p>}
        {(ticketId ?? action) && (
          <p className={styles.links}>
            {ticketId && <TicketLink id={ticketId} />}
            {action && (
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => {
                  notices.dismiss(notice.id)
                  action.run()
                }}
              >
                {action.label}
              </Button>
            )}
          </p>
        )}
      </div>
    </>
  )
}
