import { useState, type PointerEvent } from 'react'
import { formatCount, formatInstant } from '../format'
import { useZone } from '../preferences'
import type { VolumeBar } from './ticketDocuments'
import styles from './VolumeBars.module.css'

interface Props {
  label: string
  bars: readonly VolumeBar[] | undefined
  height: number
  zoom: (from: string, to: string) => void
  /** Whether the bars are of before: the newest could not be read. */
  old?: boolean
}

const GAP = 0.14 // of a bar's width
const AXIS_MARKS = 5

/** Draw actions over time, failed ones on top of the others; dragging over bars zooms into them. */
export function VolumeBars({ label, bars, height, zoom, old = false }: Props) {
  const zone = useZone()
  const [drag, setDrag] = useState<{ first: number; last: number }>()
  const [at, setAt] = useState<number>()
  if (!bars) return <div className={styles.empty} style={{ height: height + 22 }} role="status" aria-label={`${label}: loading`} />
  const most = Math.max(1, ...bars.map(({ successCount, failedCount }) => successCount + failedCount))
  const failed = bars.reduce((sum, bar) => sum + bar.failedCount, 0)
  const total = bars.reduce((sum, bar) => sum + bar.successCount + bar.failedCount, 0)
  const indexOf = (event: PointerEvent<SVGElement>) => {
    const { left, width } = event.currentTarget.getBoundingClientRect()
    return Math.max(0, Math.min(bars.length - 1, Math.floor(((event.clientX - left) / width) * bars.length)))
  }
  const end = () => {
    if (!drag) return
    const [first, last] = [bars[Math.min(drag.first, drag.last)], bars[Math.max(drag.first, drag.last)]]
    setDrag(undefined)
    if (first && last) zoom(first.from, last.to)
  }
  const shown = at === undefined ? undefined : bars[at]
  const write = (iso: string) => formatInstant(iso, zone).replace(/\.\d{3}/, '')
  const marked = Math.min(AXIS_MARKS, bars.length)
  const marks = Array.from({ length: marked }, (_, mark) => bars[Math.round((mark * (bars.length - 1)) / Math.max(1, marked - 1))])
  return (
    <figure className={styles.figure} aria-label={label} data-old={old || undefined}>
      <svg
        className={styles.bars}
        style={{ height }}
        viewBox={`0 0 ${Math.max(1, bars.length)} 100`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${formatCount(total)} actions, ${formatCount(failed)} failed, in ${formatCount(bars.length)} bars`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId)
          const index = indexOf(event)
          setDrag({ first: index, last: index })
        }}
        onPointerMove={(event) => {
          const index = indexOf(event)
          setAt(index)
          if (drag) setDrag({ ...drag, last: index })
        }}
        onPointerLeave={() => setAt(undefined)}
        onPointerUp={end}
        onPointerCancel={() => setDrag(undefined)}
      >
        {bars.map((bar, index) => {
          const done = (bar.successCount / most) * 100
          const bad = bar.failedCount === 0 ? 0 : Math.max(3, (bar.failedCount / most) * 100)
          const one = { x: index + GAP / 2, width: 1 - GAP }
          return (
            <g key={bar.from}>
              <rect className={styles.done} {...one} y={100 - done} height={done} />
              <rect className={styles.failed} {...one} y={Math.max(0, 100 - done - bad)} height={bad} />
            </g>
          )
        })}
        {drag && (
          <rect
            className={styles.chosen}
            x={Math.min(drag.first, drag.last)}
            y={0}
            width={Math.abs(drag.last - drag.first) + 1}
            height={100}
          />
        )}
      </svg>
      <figcaption className={styles.axis}>
        {total === 0 ? (
          <span>0 actions in this window</span>
        ) : shown ? (
          <span>
            {write(shown.from)} – {write(shown.to)}: {formatCount(shown.successCount)} done, {formatCount(shown.failedCount)} failed
          </span>
        ) : (
          marks.map((mark, index) => mark && <span key={`${index} ${mark.from}`}>{short(write(mark.from), bars)}</span>)
        )}
      </figcaption>
    </figure>
  )
}

// The time of day where bars are short, else the date.
function short(written: string, bars: readonly VolumeBar[]): string {
  const [first, last] = [bars[0], bars.at(-1)]
  const length = first && last ? Date.parse(last.to) - Date.parse(first.from) : 0
  const [day = '', time = ''] = written.split(' ')
  return length > 3 * 86_400_000 ? day : time.slice(0, 5)
}
