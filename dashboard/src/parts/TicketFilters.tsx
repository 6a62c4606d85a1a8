import { Button, MultiSelect, SegmentedControl } from '@mantine/core'
import { words } from '../format'
import { ACTION_TYPES, type TicketsState, type TicketStatus } from '../paths'
import styles from './TicketFilters.module.css'

type Filter = Pick<TicketsState, 'status' | 'actions'>

const STATUSES = [
  { value: '', label: 'All' },
  { value: 'SUCCESS', label: 'OK' },
  { value: 'FAILED', label: 'Failed' },
]

const ACTIONS = Object.entries(ACTION_TYPES).map(([group, names]) => ({
  group,
  items: names.map((name) => ({ value: name, label: words(name) })),
}))

/** Narrow the list; the filter lives in the address, so this only shows and changes it. */
export function TicketFilters({ filter, change }: { filter: Filter; change: (filter: Filter) => void }) {
  const filtered = filter.status !== undefined || filter.actions.length > 0
  return (
    <div className={styles.filters} role="group" aria-label="Filters">
      <SegmentedControl
        aria-label="Status"
        size="sm"
        data={STATUSES}
        value={filter.status ?? ''}
        onChange={(status) => change({ ...filter, status: (status || undefined) as TicketStatus | undefined })}
      />
      <MultiSelect
        aria-label="Action"
        className={styles.actions ?? ''}
        size="sm"
        placeholder={filter.actions.length === 0 ? 'Any action' : ''}
        data={ACTIONS}
        value={[...filter.actions]}
        onChange={(actions) => change({ ...filter, actions })}
        searchable
        nothingFoundMessage="No such action"
        maxDropdownHeight={360}
      />
      {filtered && (
        <Button size="compact-sm" variant="subtle" onClick={() => change({ status: undefined, actions: [] })}>
          Clear
        </Button>
      )}
    </div>
  )
}
