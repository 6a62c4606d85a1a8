import { ratio, unitsOf } from '../decimal'
import { formatPrice, formatQuantity } from '../format'
import type { Book, Level } from '../live/book'
import styles from './DepthChart.module.css'

const WIDTH = 320
const HEIGHT = 120

/** Draw what stands in the book on both sides of the middle. */
export function DepthChart({ book }: { book: Book | null }) {
  const bids = book?.bids ?? []
  const asks = book?.asks ?? []
  const lowest = bids.at(-1)?.price ?? asks[0]?.price
  const highest = asks.at(-1)?.price ?? bids[0]?.price
  const bidTotal = bids.at(-1)?.cumulativeQuantity ?? '0'
  const askTotal = asks.at(-1)?.cumulativeQuantity ?? '0'
  const top = unitsOf(bidTotal) > unitsOf(askTotal) ? bidTotal : askTotal
  if (lowest === undefined || highest === undefined) return <div className={styles.empty}>Nothing to draw yet</div>

  const from = unitsOf(lowest)
  const span = Number(unitsOf(highest) - from) || 1
  const x = (price: string) => (Number(unitsOf(price) - from) / span) * WIDTH
  const y = (quantity: string) => HEIGHT - ratio(quantity, top) * (HEIGHT - 6)
  return (
    <figure className={styles.figure}>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Depth: ${formatQuantity(bidTotal)} bid down to ${formatPrice(lowest)}, ${formatQuantity(askTotal)} asked up to ${formatPrice(highest)}`}
      >
        <path className={styles.bid} d={steps(bids, x, y, 0)} />
        <path className={styles.ask} d={steps(asks, x, y, WIDTH)} />
      </svg>
      <figcaption className={styles.scale} aria-hidden="true">
        <span>{formatPrice(lowest)}</span>
        <span>{formatPrice(highest)}</span>
      </figcaption>
    </figure>
  )
}

// A level holds its quantity up to the next worse price: steps, not slopes.
function steps(levels: readonly Level[], x: (price: string) => number, y: (quantity: string) => number, end: number) {
  const [best] = levels
  if (!best) return ''
  const path = [`M${x(best.price)},${HEIGHT}`]
  for (const { price, cumulativeQuantity } of levels) path.push(`H${x(price)}`, `V${y(cumulativeQuantity)}`)
  path.push(`H${end}`, `V${HEIGHT}`, 'Z')
  return path.join('')
}
