import type { GraphQLSchema } from 'graphql'
import { useMemo, useState, type ReactNode } from 'react'
import { variablesOf } from './document'
import { fieldsOf, readFrom, shownIn, withValue, type Field } from './fields'
import styles from './QueryPage.module.css'

interface Props {
  schema: GraphQLSchema | undefined
  query: string
  text: string
  change: (text: string) => void
}

/** Fill the variables of a document: as JSON, and beside it field by field, by what the schema takes. */
export function Variables({ schema, query, text, change }: Props) {
  const fields = useMemo(() => fieldsOf(schema, query), [schema, query])
  const values = read(text)
  const put = (path: readonly string[], value: unknown) => change(values ? JSON.stringify(withValue(values, path, value), null, 2) : text)
  return (
    <div className={styles.given}>
      <label className={styles.variables}>
        Variables (JSON)
        <textarea rows={Math.min(12, Math.max(3, text.split('\n').length))} spellCheck={false} value={text} onChange={(event) => change(event.currentTarget.value)} />
      </label>
      {fields.length > 0 && (
        <fieldset className={styles.fields} disabled={values === undefined}>
          <legend>Variables, field by field</legend>
          {values ? fields.map((field) => <Control key={field.name} field={field} path={[field.name]} values={values} put={put} />) : <p>The JSON beside cannot be read.</p>}
        </fieldset>
      )}
    </div>
  )
}

interface ControlProps {
  field: Field
  path: readonly string[]
  values: Record<string, unknown>
  put: (path: readonly string[], value: unknown) => void
}

function Control({ field, path, values, put }: ControlProps) {
  const { name, type, kind, description, isRequired, options } = field
  const value = values[name]
  if (kind === 'parts') {
    const inner = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
    return (
      <Parts summary={`${name}: ${type}`} title={description} isOpen={Object.keys(inner).length > 0}>
        {() => field.parts().map((part) => <Control key={part.name} field={part} path={[...path, part.name]} values={inner} put={put} />)}
      </Parts>
    )
  }
  const label = path.join('.')
  const common = { 'aria-label': label, 'aria-required': isRequired, title: description }
  return (
    <label className={styles.one}>
      <span>
        {name}
        {isRequired && <b aria-hidden="true"> *</b>} <i>{type}</i>
      </span>
      {kind === 'choice' ? (
        <select {...common} value={shownIn(field, value)} onChange={(event) => put(path, readFrom(field, event.currentTarget.value))}>
          <option value="">—</option>
          {options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      ) : kind === 'choices' ? (
        <select
          {...common}
          multiple
          size={Math.min(4, options.length)}
          value={Array.isArray(value) ? value.map(String) : []}
          onChange={({ currentTarget }) => {
            const chosen = [...currentTarget.selectedOptions].map((option) => option.value)
            put(path, chosen.length > 0 ? chosen : undefined)
          }}
        >
          {options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      ) : (
        <Typed key={shownIn(field, value)} field={field} common={common} value={value} put={(read) => put(path, read)} />
      )}
    </label>
  )
}

interface TypedProps {
  field: Field
  common: { 'aria-label': string; 'aria-required': boolean; title: string | undefined }
  value: unknown
  put: (value: unknown) => void
}

// Read when it is left, or with Enter: half a number is none.
function Typed({ field, common, value, put }: TypedProps) {
  const shown = shownIn(field, value)
  const take = (text: string) => {
    if (text !== shown) put(readFrom(field, text))
  }
  return (
    <input
      {...common}
      defaultValue={shown}
      inputMode={field.kind === 'number' ? 'numeric' : undefined}
      placeholder={PLACEHOLDERS[field.kind]}
      onBlur={(event) => take(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') take(event.currentTarget.value)
      }}
    />
  )
}

const PLACEHOLDERS: Partial<Record<Field['kind'], string>> = { texts: 'a, b', json: 'JSON' }

// Its parts are asked for when it is open only: inputs may hold themselves.
function Parts({ summary, title, isOpen, children }: { summary: string; title: string | undefined; isOpen: boolean; children: () => ReactNode }) {
  const [opened, setOpened] = useState(isOpen)
  return (
    <details className={styles.parts} open={opened} onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary title={title}>{summary}</summary>
      {opened && children()}
    </details>
  )
}

function read(text: string): Record<string, unknown> | undefined {
  try {
    return variablesOf(text)
  } catch {
    return undefined
  }
}
