import { Button, Popover } from '@mantine/core'
import { useState } from 'react'
import { formatInstant } from '../format'
import { useZone } from '../preferences'
import { ALL_TIME, endsOf, LASTS, rangeWords, type Range } from '../tickets/range'
import { Icon } from '../ui/icons'
import styles from './Menus.module.css'

/** Choose a window of time: one that moves along, or two instants in the zone that is shown. */
export function RangeMenu({ range, change, withAll = true }: { range: Range; change: (range: Range) => void; withAll?: boolean }) {
  const [opened, setOpened] = useState(false)
  const zone = useZone()
  const [ends, setEnds] = useState({ from: '', to: '' })
  const write = (iso: string) => formatInstant(iso, zone).replace(/\.\d{3}/, '')
  const choose = (next: Range) => {
    setOpened(false)
    change(next)
  }
  const open = () => {
    const { from, to } = endsOf(range, Date.now())
    setEnds({ from: from ? fieldOf(from, zone) : '', to: to ? fieldOf(to, zone) : '' })
    setOpened((before) => !before)
  }
  const from = instantIn(ends.from, zone)
  const to = instantIn(ends.to, zone)
  const backwards = from !== undefined && to !== undefined && from >= to
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-start" trapFocus withinPortal>
      <Popover.Target>
        <Button size="xs" variant="default" aria-haspopup="dialog" rightSection={<Icon name="down" size={13} />} onClick={open}>
          {rangeWords(range, write)}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Window of time">
        <div className={styles.presets}>
          {LASTS.map((last) => (
            <button
              key={last}
              type="button"
              className={styles.item}
              aria-pressed={'last' in range && range.last === last}
              onClick={() => choose({ last })}
            >
              {rangeWords({ last }, write)}
            </button>
          ))}
          {withAll && (
            <button type="button" className={styles.item} aria-pressed={!('last' in range) && !range.from && !range.to} onClick={() => choose(ALL_TIME)}>
              All time
            </button>
          )}
        </div>
        <form
          className={styles.form}
          onSubmit={(event) => {
            event.preventDefault()
            choose({ from, to })
          }}
        >
          {(['from', 'to'] as const).map((end) => (
            <label key={end} className={styles.field}>
              {end === 'from' ? 'From' : 'To'} ({zone === 'utc' ? 'UTC' : 'local time'})
              <input type="datetime-local" step={1} value={ends[end]} onChange={(event) => setEnds({ ...ends, [end]: event.currentTarget.value })} />
            </label>
          ))}
          {backwards && <p role="alert" className={styles.fault}>“From” must be before “To”.</p>}
          <Button type="submit" size="xs" disabled={backwards || (!from && !to)}>
            Apply
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  )
}

function fieldOf(iso: string, zone: 'utc' | 'local'): string {
  const date = new Date(iso)
  const shifted = zone === 'utc' ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
  return shifted.toISOString().slice(0, 19)
}

function instantIn(text: string, zone: 'utc' | 'local'): string | undefined {
  if (!text) return undefined
  const date = new Date(zone === 'utc' ? `${text}Z` : text)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}
