import type { GraphQLSchema } from 'graphql'
import { useStore } from '../live/store'
import { Icon } from '../ui/icons'
import { EXAMPLES } from './examples'
import { savedQueries, type Saved } from './saved'
import type { Draft } from './share'
import styles from './QueryPage.module.css'

interface Props {
  schema: GraphQLSchema | undefined
  open: (draft: Draft & { name: string; id?: string }) => void
}

/** Offer queries to start from: examples, one's own, and the root fields of the schema. */
export function Library({ schema, open }: Props) {
  const saved = useStore(savedQueries)
  const fields = Object.values(schema?.getQueryType()?.getFields() ?? {})
  return (
    <nav className={styles.library} aria-label="Library">
      <h2 className={styles.heading}>Examples</h2>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example.name}>
            <button type="button" onClick={() => open(example)}>{example.name}</button>
          </li>
        ))}
      </ul>
      <h2 className={styles.heading}>My queries</h2>
      {saved.length === 0 && <p className={styles.note}>None saved yet. They stay in this browser.</p>}
      <ul>
        {saved.map((query: Saved) => (
          <li key={query.id} className={styles.saved}>
            <button type="button" onClick={() => open(query)}>{query.name}</button>
            <button type="button" aria-label={`Delete ${query.name}`} onClick={() => savedQueries.remove(query.id)}>
              <Icon name="cross" size={12} />
            </button>
          </li>
        ))}
      </ul>
      <details>
        <summary className={styles.heading}>Schema</summary>
        {fields.length === 0 && <p className={styles.note}>The schema could not be read.</p>}
        <dl className={styles.schema}>
          {fields.map((field) => (
            <div key={field.name}>
              <dt>
                <code>{field.name}{field.args.length > 0 ? `(${field.args.map(({ name }) => name).join(', ')})` : ''}: {String(field.type)}</code>
              </dt>
              <dd>{field.description}</dd>
            </div>
          ))}
        </dl>
      </details>
    </nav>
  )
}
