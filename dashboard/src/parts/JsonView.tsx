import { Button } from '@mantine/core'
import { useMemo, useState } from 'react'
import { save } from '../csv'
import { formatCount } from '../format'
import { copy } from './copy'
import { Icon } from '../ui/icons'
import { leavesWith, written } from '../jsonPaths'
import styles from './JsonView.module.css'

const SHOWN_CHARACTERS_MAX = 64 * 1024 // beyond this the browser stutters and nobody reads it here
const FOUND_SHOWN = 50
const REDACTED = '[redacted]'
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Show a JSON value as text that can be read, searched, copied or, when long, downloaded. */
export function JsonView({ label, value, fileName }: { label: string; value: unknown; fileName: string }) {
  const [sought, setSought] = useState('')
  const text = useMemo(() => JSON.stringify(value, null, 2), [value])
  const cut = text.length > SHOWN_CHARACTERS_MAX
  const shown = useMemo(() => colour(cut ? text.slice(0, SHOWN_CHARACTERS_MAX) : text), [text, cut])
  return (
    <details className={styles.details}>
      <summary className={styles.summary}>{label}</summary>
      <input
        type="search"
        className={styles.search}
        aria-label={`Search in ${label}`}
        placeholder="A name or a value"
        value={sought}
        onChange={(event) => setSought(event.currentTarget.value)}
      />
      {sought.trim() ? (
        <Found label={label} value={value} sought={sought} />
      ) : (
        <pre className={styles.json} tabIndex={0} aria-label={label}>
          {shown}
        </pre>
      )}
      {cut && (
        <Button size="xs" variant="default" onClick={() => save(fileName, [text], 'application/json')}>
          Shown in part. Download all of it
        </Button>
      )}
    </details>
  )
}

// What was found in all of the value, also beyond what is shown of it.
function Found({ label, value, sought }: { label: string; value: unknown; sought: string }) {
  const { leaves, total } = leavesWith(value, sought, FOUND_SHOWN)
  return (
    <>
      <p role="status" className={styles.count}>
        {formatCount(total)} found{total > leaves.length ? `, the first ${leaves.length} shown` : ''}
      </p>
      <ul className={styles.found} aria-label={`Found in ${label}`}>
        {leaves.map((leaf) => (
          <li key={leaf.path}>
            <code>
              <span data-kind="name">{leaf.path}</span> {leaf.value === REDACTED ? <Redacted /> : written(leaf.value)}
            </code>
            <Button size="compact-xs" variant="default" aria-label={`Copy the path ${leaf.path}`} onClick={() => void copy(leaf.path, 'the path')}>
              Copy path
            </Button>
          </li>
        ))}
      </ul>
    </>
  )
}

function colour(text: string) {
  const parts = []
  let end = 0
  for (const match of text.matchAll(TOKEN)) {
    const [token, string, colon] = match
    parts.push(text.slice(end, match.index))
    end = match.index + token.length
    if (string === `"${REDACTED}"`) parts.push(<Redacted key={match.index} />)
    else parts.push(<span key={match.index} data-kind={colon ? 'name' : string ? 'text' : 'value'}>{token}</span>)
  }
  parts.push(text.slice(end))
  return parts
}

/** Stand for a value that was never stored. */
export function Redacted() {
  return (
    <span className={styles.redacted}>
      <Icon name="lock" size={13} /> redacted
    </span>
  )
}
