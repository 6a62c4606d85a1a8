import { Kbd, Modal, Switch } from '@mantine/core'
import { keyboard, keysForPeople, type Binding, type KeyboardState } from '../keyboard'
import { useStore } from '../live/store'
import styles from './KeyHelp.module.css'

/** List what each key does on this page, and let single keys be switched off. */
export default function KeyHelp({ close }: { close: () => void }) {
  const { groups, singleKeys } = useStore(keyboard)
  return (
    <Modal opened onClose={close} title="Keys" size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <Switch
        className={styles.choice ?? ''}
        label="Obey single keys"
        description="Off: only keys with Ctrl do anything. While typing, single keys always only type."
        checked={singleKeys}
        onChange={(event) => keyboard.setSingleKeys(event.currentTarget.checked)}
      />
      <div className={styles.groups} data-off={!singleKeys || undefined}>
        {byTitle(groups).map(([title, bindings]) => (
          <section key={title} aria-label={title}>
            <h3 className={styles.title}>{title}</h3>
            <dl className={styles.keys}>
              {bindings.map(({ keys, does }) => (
                <div key={keys} className={styles.key}>
                  <dt>
                    {keysForPeople(keys).map((key, index) => (
                      <Kbd key={index}>{key}</Kbd>
                    ))}
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
