import { Button, Popover } from '@mantine/core'
import { useState } from 'react'
import { formatCount } from '../format'
import { Icon } from '../ui/icons'
import styles from './Menus.module.css'

export interface Option {
  value: string
  label: string
  group?: string
  count?: number | undefined
}

interface Props {
  label: string
  options: readonly Option[]
  chosen: readonly string[]
  toggle: (value: string) => void
}

const FOUND_MIN = 9 // fewer are read faster than searched

/** Choose values of one key, with how often each occurs. */
export function FilterMenu({ label, options, chosen, toggle }: Props) {
  const [opened, setOpened] = useState(false)
  const [text, setText] = useState('')
  const found = options.filter((option) => option.label.toLowerCase().includes(text.toLowerCase()) || option.value.toLowerCase().includes(text.toLowerCase()))
  const groups = [...new Set(found.map(({ group }) => group))]
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-start" trapFocus withinPortal onClose={() => setText('')}>
      <Popover.Target>
        <Button
          size="xs"
          variant={chosen.length > 0 ? 'light' : 'default'}
          aria-haspopup="dialog"
          rightSection={<Icon name="down" size={13} />}
          onClick={() => setOpened((before) => !before)}
        >
          {chosen.length > 0 ? `${label} (${chosen.length})` : label}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={label}>
        {options.length >= FOUND_MIN && (
          <input className={styles.find} type="search" aria-label={`Find in ${label}`} placeholder="Find" value={text} onChange={(event) => setText(event.currentTarget.value)} />
        )}
        <div className={styles.options} role="group" aria-label={label} tabIndex={-1}>
          {groups.map((group) => (
            <div key={group ?? ''}>
              {group && <p className={styles.group}>{group}</p>}
              {found
                .filter((option) => option.group === group)
                .map((option) => (
                  <label key={option.value} className={styles.item}>
                    <input type="checkbox" checked={chosen.includes(option.value)} onChange={() => toggle(option.value)} />
                    <span className={styles.grow}>{option.label}</span>
                    {option.count !== undefined && <span className={styles.count}>{formatCount(option.count)}</span>}
                  </label>
                ))}
            </div>
          ))}
          {found.length === 0 && <p className={styles.note}>{options.length === 0 ? 'There are none yet.' : 'None is called so.'}</p>}
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}
