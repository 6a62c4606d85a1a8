import { ActionIcon, Popover } from '@mantine/core'
import { useState } from 'react'
import { formatTime } from '../format'
import { notices } from '../live/notices'
import { useStore } from '../live/store'
import { useZone } from '../preferences'
import { Icon } from '../ui/icons'
import { NoticeText } from './Toasts'
import styles from './NoticeBell.module.css'

/** Keep the last fifty things that were told, for who looked elsewhere. */
export function NoticeBell() {
  const { kept, unread } = useStore(notices)
  const zone = useZone()
  const [opened, setOpened] = useState(false)
  const turn = (open: boolean) => {
    setOpened(open)
    if (open) notices.looked()
  }
  return (
    <Popover opened={opened} onChange={turn} position="bottom-end" width={380} trapFocus returnFocus withRoles={false} shadow="md">
      <Popover.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={unread > 0 ? `Notifications, ${unread} new` : 'Notifications'}
          aria-expanded={opened}
          onClick={() => turn(!opened)}
          className={styles.bell ?? ''}
        >
          <Icon name="bell" />
          {unread > 0 && <span className={styles.dot} aria-hidden="true" />}
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Notifications" className={styles.list}>
        {kept.length === 0 ? (
          <p className={styles.none}>What your actions come to is kept here.</p>
        ) : (
          <ol className={styles.items} tabIndex={0} aria-label="Newest first">
            {kept.map((notice) => (
              <li key={notice.id} className={styles.item}>
                <NoticeText notice={notice} />
                <time className={styles.time} dateTime={new Date(notice.at).toISOString()}>
                  {formatTime(notice.at, zone)}
                </time>
              </li>
            ))}
          </ol>
        )}
      </Popover.Dropdown>
    </Popover>
  )
}
