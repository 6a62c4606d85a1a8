import { Kbd, Modal, Switch, UnstyledButton } from '@mantine/core'
import { useState, type KeyboardEvent } from 'react'
import { keyboard, keysForPeople, type Binding, type KeyboardState } from '../keyboard'
import { useStore } from '../live/store'
import styles from './KeyHelp.module.css'

/** List what each key does on this page; let single keys be changed, or switched off. */
export default function KeyHelp({ close }: { close: () => void }) {
  const { groups, singleKeys } = useStore(keyboard)
  const [asked, setAsked] = useState<string>()
  const [said, setSaid] = useState('')
  return (
    <Modal opened onClose={close} title="Keys" size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <Switch
        className={styles.choice ?? ''}
        label="Obey single keys"
        description="Off: only keys with Ctrl do anything. While typing, single keys always only type."
        checked={singleKeys}
        onChange={(event) => keyboard.setSingleKeys(event.currentTarget.checked)}
      />
      <p className={styles.said} role="status">
        {said || 'Press a key of the list to choose another for it.'}
      </p>
      <div className={styles.groups} data-off={!singleKeys || undefined}>
        {byTitle(groups).map(([title, bindings]) => (
          <section key={title} aria-label={title}>
            <h3 className={styles.title}>{title}</h3>
            <dl className={styles.keys}>
              {bindings.map(({ keys, does }) => (
                <div key={keys} className={styles.key}>
                  <dt>
                    <Key keys={keys} does={does} isAsked={asked === keys} ask={setAsked} say={setSaid} />
                  </dt>
                  <dd>{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  )
}

// Several parts of a page may bind keys under one heading.
function byTitle(groups: KeyboardState['groups']): [string, Binding[]][] {
  const found = new Map<string, Binding[]>()
  for (const { title, bindings } of groups) {
    if (bindings.length > 0) found.set(title, [...(found.get(title) ?? []), ...bindings])
  }
  return [...found]
}

interface KeyProps {
  keys: string
  does: string
  isAsked: boolean
  ask: (keys: string | undefined) => void
  say: (text: string) => void
}

// Keys that move, confirm or come with Ctrl stay what they are everywhere.
function Key({ keys, does, isAsked, ask, say }: KeyProps) {
  const shown = keysForPeople(keyboard.keyFor(keys)).map((key, index) => <Kbd key={index}>{key}</Kbd>)
  if (!CHANGES.test(keys)) return <>{shown}</>
  const take = (event: KeyboardEvent) => {
    if (!isAsked || ['Shift', 'Control', 'Alt', 'Meta', 'Tab'].includes(event.key)) return
    event.preventDefault()
    event.stopPropagation()
    ask(undefined)
    const taken = keyboard.takenBy(event.key)
    if (event.key === 'Escape') return say('')
    if (event.key === 'Backspace' || event.key === 'Delete' || event.key === keys) {
      keyboard.choose(keys, undefined)
      return say(`${does}: ${keysForPeople(keys).join(' ')} again.`)
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !/^\S$/u.test(event.key)) return say('That key cannot be chosen: take a letter, a digit or a sign.')
    if (taken !== undefined) return say(`${event.key} is taken: ${taken}.`)
    keyboard.choose(keys, event.key)
    say(`${does}: ${event.key} from now on.`)
  }
  return (
    <UnstyledButton
      className={styles.change ?? ''}
      aria-label={isAsked ? `Press the new key for: ${does}` : `${keysForPeople(keyboard.keyFor(keys)).join(' ')}, change the key for: ${does}`}
      onClick={() => {
        ask(keys)
        say(`Press the new key for “${does}”. Backspace: the usual one, Esc: leave it.`)
      }}
      onBlur={() => isAsked && ask(undefined)}
      onKeyDown={take}
    >
      {isAsked ? '…' : shown}
    </UnstyledButton>
  )
}

const CHANGES = /^(\S|\S \S)$/u
