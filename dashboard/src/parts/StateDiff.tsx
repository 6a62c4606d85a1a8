import { SegmentedControl } from '@mantine/core'
import { useState } from 'react'
import { difference, isDecimal } from '../decimal'
import { formatDecimal, formatDelta, NOTHING } from '../format'
import { differences, type Difference } from '../tickets/diff'
import { JsonView, Redacted } from './JsonView'
import styles from './StateDiff.module.css'

interface Props {
  ticketId: string
  before: unknown
  after: unknown
  failed: boolean
}

const VIEWS = [
  { value: 'fields', label: 'Fields' },
  { value: 'sides', label: 'Side by side' },
  { value: 'raw', label: 'Raw' },
]
const MARKS: Record<Difference['kind'], string> = { added: '+', removed: '\u2212', changed: '~', same: '' }
const KIND_WORDS: Record<Difference['kind'], string> = { added: 'added', removed: 'removed', changed: 'changed', same: 'unchanged' }

/** Show what this action found and what it left: each path, and the difference where both are figures. */
export function StateDiff({ ticketId, before, after, failed }: Props) {
  const [view, setView] = useState('fields')
  const [withSame, setWithSame] = useState(false)
  const nothing = absence(before, after, failed)
  if (nothing && before == null && after == null) return <p className={styles.none}>{nothing}</p>
  const all = differences(before, after)
  const same = all.filter(({ kind }) => kind === 'same').length
  const shown = withSame ? all : all.filter(({ kind }) => kind !== 'same')
  return (
    <div className={styles.diff}>
      <div className={styles.bar}>
        <SegmentedControl size="xs" aria-label="How changes are shown" data={VIEWS} value={view} onChange={setView} />
        {view === 'fields' && same > 0 && (
          <label className={styles.check}>
            <input type="checkbox" checked={withSame} onChange={(event) => setWithSame(event.currentTarget.checked)} /> Show {same} unchanged
          </label>
        )}
      </div>
      {nothing && <p className={styles.none}>{nothing}</p>}
      {view === 'fields' && shown.length === 0 && <p className={styles.none}>Nothing was changed.</p>}
      {view === 'fields' && shown.length > 0 && <Fields differences={shown} />}
      {view === 'sides' && (
        <div className={styles.sides}>
          <pre tabIndex={0} aria-label="Before">{textOf(before)}</pre>
          <pre tabIndex={0} aria-label="After">{textOf(after)}</pre>
        </div>
      )}
      {view === 'raw' && <JsonView label="Before and after" value={{ before, after }} fileName={`${ticketId}-states.json`} />}
    </div>
  )
}

function Fields({ differences: shown }: { differences: readonly Difference[] }) {
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
          {shown.map(({ path, before, after, kind }) => (
            <tr key={path} data-kind={kind}>
              <th scope="row">
                <span aria-hidden="true">{MARKS[kind]}</span> {path}
              </th>
              <td><Value of={before} missing={kind === 'added'} /></td>
              <td><Value of={after} missing={kind === 'removed'} /></td>
              <td>
                {isDecimal(before) && isDecimal(after) && kind === 'changed' ? formatDelta(difference(before, after)) : <span className={styles.kind}>{KIND_WORDS[kind]}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Value({ of: value, missing }: { of: unknown; missing: boolean }) {
  if (missing) return <span className={styles.none}>{NOTHING}</span>
  if (value === null || value === undefined) return <span className={styles.none}>none</span>
  if (value === '[redacted]') return <Redacted />
  if (isDecimal(value)) return <>{formatDecimal(value, value.split('.')[1]?.length ?? 0)}</>
  return <>{typeof value === 'string' ? value : JSON.stringify(value)}</>
}

// Why a side is missing, in words.
function absence(before: unknown, after: unknown, failed: boolean): string | undefined {
  if (before == null && after == null) return failed ? 'The action failed: nothing was changed.' : 'Not captured: this action touches no state.'
  if (before == null) return 'No before state: created by this action.'
  if (after == null) return failed ? 'No after state: the action failed and left everything as it was.' : 'No after state: nothing was left of it.'
  return undefined
}

function textOf(value: unknown): string {
  return value == null ? 'Nothing' : JSON.stringify(value, null, 2)
}
