import { difference, isDecimal } from '../decimal'
import { formatDecimal, formatDelta, NOTHING } from '../format'
import { Redacted } from '../ui/JsonView'
import styles from './ChangeTable.module.css'

interface Change {
  path: string
  before: unknown
  after: unknown
}

/** Show what an action changed: each path before and after, and the difference where both are figures. */
export function ChangeTable({ changes, failed }: { changes: readonly Change[]; failed: boolean }) {
  if (changes.length === 0) {
    return <p className={styles.none}>{failed ? 'The action failed: nothing changed.' : 'Nothing was changed.'}</p>
  }
  return (
    <div className={styles.scroller}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
            <th scope="col">Change</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(({ path, before, after }) => (
            <tr key={path}>
              <th scope="row">{path}</th>
              <td><Value of={before} /></td>
              <td><Value of={after} /></td>
              <td>{isDecimal(before) && isDecimal(after) ? formatDelta(difference(before, after)) : ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Value({ of: value }: { of: unknown }) {
  if (value === null || value === undefined) return <span className={styles.none}>{NOTHING}</span>
  if (value === '[redacted]') return <Redacted />
  if (isDecimal(value)) return <>{formatDecimal(value, value.split('.')[1]?.length ?? 0)}</>
  return <>{typeof value === 'string' ? value : JSON.stringify(value)}</>
}
