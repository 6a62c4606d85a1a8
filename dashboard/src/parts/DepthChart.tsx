import { memo } from 'react'
import { ratio, textOf, unitsOf } from '../decimal'
import { formatPrice, formatQuantity } from '../format'
import type { Book } from '../live/book'
import type { Level } from '../live/levels'
import styles from './DepthChart.module.css'

const WIDTH = 320
const HEIGHT = 120
const LEVELS = 20 // further from the touch is another picture

interface Step {
  units: bigint
  price: string
  total: string
}

/** Draw what stands in the book on both sides of the middle. */
export const DepthChart = memo(function DepthChart({ book }: { book: Book | null }) {
  const bids = stepsOf(book?.bids ?? [])
  const asks = stepsOf(book?.asks ?? [])
  const lowest = bids.at(-1) ?? asks[0]
  const highest = asks.at(-1) ?? bids[0]
  const bidTotal = bids.at(-1)?.total ?? '0'
  const askTotal = asks.at(-1)?.total ?? '0'
  const top = unitsOf(bidTotal) > unitsOf(askTotal) ? bidTotal : askTotal
  if (lowest === undefined || highest === undefined) return <div className={styles.empty}>Nothing to draw yet</div>

  const span = Number(highest.units - lowest.units) || 1
  const x = ({ units }: Step) => (Number(units - lowest.units) / span) * WIDTH
  const y = ({ total }: Step) => HEIGHT - ratio(total, top) * (HEIGHT - 6)
  return (
    <figure className={styles.figure}>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Depth: ${formatQuantity(bidTotal)} bid down to ${formatPrice(lowest.price)}, ${formatQuantity(askTotal)} asked up to ${formatPrice(highest.price)}`}
      >
        <path className={styles.bid} d={pathOf(bids, x, y, 0)} />
        <path className={styles.ask} d={pathOf(asks, x, y, WIDTH)} />
      </svg>
      <figcaption className={styles.scale} aria-hidden="true">
        <span>{formatPrice(lowest.price)}</span>
        <span>{formatPrice(highest.price)}</span>
      </figcaption>
    </figure>
  )
})

function stepsOf(levels: readonly Level[]): Step[] {
  let total = 0n
  return levels.slice(0, LEVELS).map(({ units, price, quantity }) => {
    total += unitsOf(quantity)
    return { units, price, total: textOf(total, 0) }
  })
}

// A level holds its quantity up to the next worse price: steps, not slopes.
function pathOf(steps: readonly Step[], x: (step: Step) => number, y: (step: Step) => number, end: number) {
  const [best] = steps
  if (!best) return ''
  const path = [`M${x(best)},${HEIGHT}`]
  for (const step of steps) path.push(`H${x(step)}`, `V${y(step)}`)
  path.push(`H${end}`, `V${HEIGHT}`, 'Z')
  return path.join('')
}
