import { useState } from 'react'
import { formatCount, formatDecimal } from '../format'
import styles from './QueryPage.module.css'
import type { Row } from './rows'
import { barsOf, figureColumns } from './series'

const BARS_MAX = 200 // more are thinner than what can be told apart
const GAP = 0.16 // of a bar's width
const PLACES_MIN = 12 // few bars stay bars

/** Draw one column of an answer as bars over another, in the order of the table. */
export default function Chart({ rows, columns }: { rows: readonly Row[]; columns: readonly string[] }) {
  const figures = figureColumns(columns, rows)
  const [below, setBelow] = useState<string>()
  const [figure, setFigure] = useState<string>()
  const [at, setAt] = useState<number>()
  const y = figures.find((column) => column === figure) ?? figures[0]
  const x = columns.find((column) => column === below) ?? columns.find((column) => !figures.includes(column)) ?? columns[0]
  if (x === undefined || y === undefined) return <p className={styles.noChart}>No column of this answer holds figures only: select one, such as a count or a price.</p>
  const bars = barsOf(rows, x, y, BARS_MAX)
  const values = bars.map(({ value }) => value)
  const [top, bottom] = [Math.max(0, ...values), Math.min(0, ...values)]
  const places = Math.max(PLACES_MIN, bars.length)
  const span = top - bottom || 1
  const shown = at === undefined ? undefined : bars[at]
  const text = (value: number) => bars.find((bar) => bar.value === value)?.text ?? '0'
  return (
    <figure className={styles.chart}>
      <div className={styles.axes}>
        <Choice label="Figure" options={figures} value={y} change={setFigure} />
        <Choice label="Over" options={columns} value={x} change={setBelow} />
      </div>
      <div className={styles.plot}>
        <p className={styles.scale} aria-hidden="true">
          <span>{formatDecimal(text(top))}</span>
          <span>{formatDecimal(text(bottom))}</span>
        </p>
        <svg
          viewBox={`0 0 ${places} 100`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`${y} over ${x}: ${formatCount(bars.length)} bars from ${text(Math.min(...values))} to ${text(Math.max(...values))}`}
          onPointerMove={(event) => {
            const { left, width } = event.currentTarget.getBoundingClientRect()
            setAt(Math.max(0, Math.min(bars.length - 1, Math.floor(((event.clientX - left) / width) * places))))
          }}
          onPointerLeave={() => setAt(undefined)}
        >
          {bars.map(({ value }, index) => (
            <rect
              key={index}
              data-at={index === at || undefined}
              x={index + GAP / 2}
              width={1 - GAP}
              y={((top - Math.max(0, value)) / span) * 100}
              height={(Math.abs(value) / span) * 100}
            />
          ))}
        </svg>
      </div>
      <figcaption className={styles.under}>
        {shown ? (
          <span>
            {shown.label}: {formatDecimal(shown.text)}
          </span>
        ) : (
          <>
            <span>{bars[0]?.label}</span>
            {bars.length < rows.length && <span>the first {formatCount(bars.length)} of {formatCount(rows.length)} rows</span>}
            <span>{bars.at(-1)?.label}</span>
          </>
        )}
      </figcaption>
    </figure>
  )
}

function Choice({ label, options, value, change }: { label: string; options: readonly string[]; value: string; change: (value: string) => void }) {
  return (
    <label className={styles.one}>
      <span>{label}</span>
      <select value={value} onChange={(event) => change(event.currentTarget.value)}>
        {options.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    </label>
  )
}
