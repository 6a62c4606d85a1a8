import { words as inWords } from '../format'
import { KEYS, toggled, withValues, type Key, type Terms, type TicketsState, type Value } from '../tickets/search'
import { nameOf, type Names } from '../tickets/text'
import { Icon } from '../ui/icons'
import styles from './Chips.module.css'

interface Props {
  state: Pick<TicketsState, 'terms' | 'words'>
  locked: Terms
  names: Names
  change: (part: Partial<Pick<TicketsState, 'terms' | 'words'>>) => void
}

/** Show each condition as a chip: press it to turn it round, press its cross to take it away. A locked one stays. */
export function Chips({ state, locked, names, change }: Props) {
  const chips = KEYS.flatMap((key) => (state.terms[key] ?? []).map((value) => ({ key, value })))
  if (chips.length === 0 && !state.words) return null
  return (
    <ul className={styles.chips} aria-label="Conditions">
      {chips.map(({ key, value }) => {
        const name = `${key}: ${labelOf(key, value, names)}`
        return (
          <li key={`${key} ${value.text}`} className={styles.chip} data-excluded={value.excluded || undefined} data-locked={locked[key] !== undefined || undefined}>
            {locked[key] ? (
              <span className={styles.label}>
                <Icon name="lock" size={13} /> {name}
              </span>
            ) : (
              <>
                <button
                  type="button"
                  className={styles.label}
                  title={value.excluded ? 'Let it in' : 'Leave it out instead'}
                  onClick={() => change({ terms: toggled(state.terms, key, value.text, !value.excluded) })}
                >
                  {value.excluded && <span>not </span>}
                  {name}
                </button>
                <button
                  type="button"
                  className={styles.cross}
                  aria-label={`Remove ${name}`}
                  onClick={() => change({ terms: withValues(state.terms, key, (state.terms[key] ?? []).filter(({ text }) => text !== value.text)) })}
                >
                  <Icon name="cross" size={12} />
                </button>
              </>
            )}
          </li>
        )
      })}
      {state.words && (
        <li className={styles.chip}>
          <span className={styles.label}>text: {state.words}</span>
          <button type="button" className={styles.cross} aria-label={`Remove text: ${state.words}`} onClick={() => change({ words: '' })}>
            <Icon name="cross" size={12} />
          </button>
        </li>
      )}
    </ul>
  )
}

function labelOf(key: Key, { text }: Value, names: Names): string {
  if (key === 'mm' && text === '*') return 'any market maker'
  if (key === 'entity') return inWords(text)
  return nameOf(key, text, names)
}
