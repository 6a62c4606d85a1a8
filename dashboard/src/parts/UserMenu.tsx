import { Menu, UnstyledButton } from '@mantine/core'
import { session } from '../client'
import { words } from '../format'
import { notices } from '../live/notices'
import { Icon } from '../ui/icons'
import { usePerson } from './usePerson'
import styles from './UserMenu.module.css'

/** Say who is signed in, show the keys, and let people leave. */
export function UserMenu({ showKeys }: { showKeys: () => void }) {
  const person = usePerson()
  if (!person) return null

  const leave = async () => {
    const problem = await session.signOut()
    if (problem) notices.tell({ tone: 'fail', title: 'Still signed in', detail: problem.message, ticketId: problem.ticketId })
  }

  return (
    <Menu position="bottom-end" width={240} withinPortal>
      <Menu.Target>
        <UnstyledButton className={styles.target} aria-label={`Account of ${person.name}`}>
          <Icon name="person" />
          <span className={styles.name}>{person.name}</span>
          <Icon name="down" size={14} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={styles.who}>
          <div className={styles.whoName}>{person.name}</div>
          <div>{person.email}</div>
          <div>{words(person.role)}</div>
        </div>
        <Menu.Divider />
        <Menu.Item leftSection={<Icon name="keys" size={16} />} onClick={showKeys}>
          Keys
        </Menu.Item>
        <Menu.Item leftSection={<Icon name="leave" size={16} />} onClick={() => void leave()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
