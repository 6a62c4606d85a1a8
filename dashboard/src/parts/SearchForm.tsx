import { Button } from '@mantine/core'
import { useState, type FormEvent, type ReactNode } from 'react'
import { words as inWords } from '../format'
import { ENTITY_TYPES } from '../paths'
import { valueOf, withValues, type Key, type Terms, type TicketsState } from '../tickets/search'
import { writeText, type Names } from '../tickets/text'
import type { Change } from '../tickets/useTicketsState'
import { Panel } from '../ui/Page'
import styles from './SearchForm.module.css'

interface Props {
  state: TicketsState
  names: Names
  change: Change
}

const FIELDS = [
  { key: 'id', label: 'Entity ID', hint: 'UUID of an order, trade, user …', problem: 'Enter a UUID.' },
  { key: 'tag', label: 'Tags', hint: 'several with commas', problem: 'A tag has no blanks.' },
  { key: 'ip', label: 'Address', hint: '192.0.2.1', problem: 'Enter one address.' },
  { key: 'session', label: 'Session', hint: 'UUID', problem: 'Enter a UUID.' },
] as const satisfies readonly { key: Key; label: string; hint: string; problem: string }[]

/** Ask for tickets by several criteria at once; it writes the same state as the box and the chips. */
export function SearchForm({ state, names, change }: Props) {
  const first = (key: Key) => (state.terms[key] ?? []).filter(({ excluded }) => !excluded).map(({ text }) => text).join(',')
  const [entity, setEntity] = useState(first('entity'))
  const [words, setWords] = useState(state.words)
  const [tagMode, setTagMode] = useState(state.tagMode)
  const [texts, setTexts] = useState<Record<string, string>>({ id: first('id'), tag: first('tag'), ip: first('ip'), session: first('session') })
  const [problems, setProblems] = useState<Record<string, string>>({})
  const [asQuery, setAsQuery] = useState(false)

  const read = (): { terms: Terms; problems: Record<string, string> } => {
    let terms = withValues(state.terms, 'entity', entity ? [{ text: entity, excluded: false }] : [])
    const found: Record<string, string> = {}
    for (const { key, problem } of FIELDS) {
      const values = (texts[key] ?? '').split(',').map((text) => text.trim()).filter(Boolean)
      const known = values.map((text) => valueOf(key, text))
      if (known.includes(undefined)) found[key] = problem
      terms = withValues(terms, key, known.flatMap((text) => (text === undefined ? [] : [{ text, excluded: false }])))
    }
    return { terms, problems: found }
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const { terms, problems: found } = read()
    setProblems(found)
    if (Object.keys(found).length === 0) change({ terms, words: words.trim(), tagMode })
  }
  return (
    <Panel className={styles.panel}>
      <form className={styles.form} onSubmit={submit} aria-label="Search tickets">
        <Field label="Text in ticket or payload">
          <input data-search type="search" value={words} placeholder={'words, "a phrase", -without'} onChange={(event) => setWords(event.currentTarget.value)} />
        </Field>
        <Field label="Entity type">
          <select value={entity} onChange={(event) => setEntity(event.currentTarget.value)}>
            <option value="">Any</option>
            {ENTITY_TYPES.map((type) => (
              <option key={type} value={type}>{inWords(type)}</option>
            ))}
          </select>
        </Field>
        {FIELDS.map(({ key, label, hint }) => (
          <Field key={key} label={label} problem={problems[key]}>
            <input
              type="text"
              value={texts[key]}
              placeholder={hint}
              aria-invalid={problems[key] !== undefined}
              onChange={(event) => setTexts({ ...texts, [key]: event.currentTarget.value })}
            />
          </Field>
        ))}
        <Field label="Of several tags">
          <select value={tagMode} onChange={(event) => setTagMode(event.currentTarget.value as TicketsState['tagMode'])}>
            <option value="ANY">any is enough</option>
            <option value="ALL">all are needed</option>
          </select>
        </Field>
        <div className={styles.buttons}>
          <Button type="submit" size="xs">Search</Button>
          <Button size="xs" variant="default" aria-pressed={asQuery} onClick={() => setAsQuery((before) => !before)}>
            Show as query
          </Button>
        </div>
      </form>
      {asQuery && (
        <pre className={styles.query} tabIndex={0} aria-label="The search as a query">
          {writeText({ terms: read().terms, words: words.trim() }, names) || 'Everything'}
        </pre>
      )}
    </Panel>
  )
}

function Field({ label, problem, children }: { label: string; problem?: string | undefined; children: ReactNode }) {
  return (
    <label className={styles.field}>
      {label}
      {children}
      {problem && <span role="alert" className={styles.problem}>{problem}</span>}
    </label>
  )
}
