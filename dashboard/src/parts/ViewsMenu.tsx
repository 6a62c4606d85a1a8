import { Button, Popover } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { save } from '../csv'
import { notices } from '../live/notices'
import { useStore } from '../live/store'
import { parseSearch } from '../paths'
import { views } from '../tickets/views'
import { Icon } from '../ui/icons'
import styles from './Menus.module.css'

/** Name what is looked at, and come back to it; views live in this browser and travel as a file. */
export function ViewsMenu({ path }: { path: string }) {
  const [opened, setOpened] = useState(false)
  const [name, setName] = useState('')
  const known = useStore(views)
  const keep = (event: FormEvent) => {
    event.preventDefault()
    views.save({ name: name.trim(), path })
    setName('')
  }
  const take = async (file: File | undefined) => {
    if (!file) return
    try {
      const count = views.take(await file.text())
      notices.tell({ tone: 'ok', title: `Took ${count} ${count === 1 ? 'view' : 'views'}`, detail: file.name, ticketId: undefined })
    } catch {
      notices.tell({ tone: 'fail', title: 'No views were taken', detail: `${file.name} is not a file of views.`, ticketId: undefined })
    }
  }
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus withinPortal width={300}>
      <Popover.Target>
        <Button size="xs" variant="default" aria-haspopup="dialog" leftSection={<Icon name="star" size={14} />} onClick={() => setOpened((before) => !before)}>
          Views
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Views">
        {known.length === 0 && <p className={styles.note}>No views yet. A view is a name for a filter.</p>}
        <ul className={styles.views}>
          {known.map((view) => {
            const [to = '', search = ''] = view.path.split('?')
            return (
              <li key={view.name} className={styles.view}>
                <Link to={to as never} search={parseSearch(search) as never} className={`${styles.item} ${styles.grow}`} onClick={() => setOpened(false)}>
                  {view.name}
                </Link>
                <button type="button" className={styles.item} aria-label={`Delete ${view.name}`} onClick={() => views.remove(view.name)}>
                  <Icon name="cross" size={13} />
                </button>
              </li>
            )
          })}
        </ul>
        <form className={styles.form} onSubmit={keep}>
          <label className={styles.field}>
            Name of this view
            <input value={name} maxLength={60} onChange={(event) => setName(event.currentTarget.value)} />
          </label>
          <Button type="submit" size="xs" disabled={!name.trim()}>
            Save this view
          </Button>
        </form>
        <div className={styles.form}>
          <Button size="xs" variant="default" disabled={known.length === 0} onClick={() => save('carbondesk-views.json', [JSON.stringify(known, null, 2)], 'application/json')}>
            Save views to a file
          </Button>
          <label className={styles.field}>
            Take views from a file
            <input type="file" accept="application/json,.json" onChange={(event) => void take(event.currentTarget.files?.[0])} />
          </label>
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}
