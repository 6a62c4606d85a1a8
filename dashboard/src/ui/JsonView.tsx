import { Button } from '@mantine/core'
import { Icon } from './icons'
import styles from './JsonView.module.css'

const SHOWN_CHARACTERS_MAX = 64 * 1024 // beyond this the browser stutters and nobody reads it here
const REDACTED = '[redacted]'
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Show a JSON value as text that can be read, copied or, when long, downloaded. */
export function JsonView({ label, value, fileName }: { label: string; value: unknown; fileName: string }) {
  const text = JSON.stringify(value, null, 2)
  const cut = text.length > SHOWN_CHARACTERS_MAX
  return (
    <details className={styles.details}>
      <summary className={styles.summary}>{label}</summary>
      <pre className={styles.json} tabIndex={0} aria-label={label}>
        {colour(cut ? text.slice(0, SHOWN_CHARACTERS_MAX) : text)}
      </pre>
      {cut && (
        <Button size="xs" variant="default" onClick={() => download(fileName, text)}>
          Shown in part. Download all of it
        </Button>
      )}
    </details>
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

function download(fileName: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  const anchor = Object.assign(document.createElement('a'), { href: address, download: fileName })
  anchor.click()
  URL.revokeObjectURL(address)
}
