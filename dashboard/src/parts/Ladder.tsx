import { VisuallyHidden } from '@mantine/core'
import { memo, useLayoutEffect, useRef, type CSSProperties } from 'react'
import { middle, ratio } from '../decimal'
import { formatCount, formatPercent, formatPrice, formatQuantity, NOTHING } from '../format'
import { levelKey, levelsOf, type Book, type BookView, type Flash, type Level, type Side } from '../live/book'
import styles from './Ladder.module.css'

interface Props {
  view: BookView
  /** Slots on each side; always that many, so that nothing moves but the figures. */
  rows: number
  label: string
}

/** Show a book as a ladder: asks above, bids below, the spread fixed in the middle. */
export function Ladder({ view, rows, label }: Props) {
  const scroller = useRef<HTMLDivElement>(null)
  const spread = useRef<HTMLTableSectionElement>(null)

  // Where all slots do not fit, what matters is at the touch: begin with the spread in the middle.
  useLayoutEffect(() => {
    const box = scroller.current
    const row = spread.current
    if (box && row) box.scrollTop = row.offsetTop + row.offsetHeight / 2 - box.clientHeight / 2
  }, [rows])

  return (
    <div ref={scroller} className={styles.scroller} tabIndex={0} role="region" aria-label={label} data-phase={view.phase}>
      <table className={styles.ladder} aria-busy={view.phase === 'loading'}>
        <caption>
          <VisuallyHidden>{label}, asks above, bids below, best prices in the middle</VisuallyHidden>
        </caption>
        <thead>
          <tr>
            <th scope="col">Side</th>
            <th scope="col">Price</th>
            <th scope="col">Quantity</th>
            <th scope="col">Total</th>
            <th scope="col">Orders</th>
          </tr>
        </thead>
        <Slots side="ask" view={view} rows={rows} />
        <tbody ref={spread}>
          <SpreadRow view={view} />
        </tbody>
        <Slots side="bid" view={view} rows={rows} />
      </table>
    </div>
  )
}

function Slots({ side, view, rows }: { side: Side; view: BookView; rows: number }) {
  const levels = view.book ? levelsOf(view.book, side).slice(0, rows) : []
  const deepest = view.book ? deepestOf(view.book, rows) : '0'
  const slots = Array.from({ length: rows }, (_, slot) => (side === 'ask' ? rows - 1 - slot : slot))
  return (
    <tbody data-side={side}>
      {slots.map((slot) => {
        const level = levels[slot]
        return (
          <Row
            key={slot}
            side={side}
            best={slot === 0}
            price={level?.price}
            quantity={level?.quantity}
            total={level?.cumulativeQuantity}
            orders={level?.orderCount}
            depth={level ? ratio(level.cumulativeQuantity, deepest) : 0}
            flash={level && view.flashes.get(levelKey(side, level.price))}
          />
        )
      })}
    </tbody>
  )
}

interface RowProps {
  side: Side
  best: boolean
  price: string | undefined
  quantity: string | undefined
  total: string | undefined
  orders: number | undefined
  depth: number
  flash: Flash | undefined
}

// Plain figures as properties, so that of forty rows only those that changed are drawn again.
const Row = memo(function Row({ side, best, price, quantity, total, orders, depth, flash }: RowProps) {
  if (price === undefined) {
    return (
      <tr className={styles.row} aria-hidden="true">
        <td colSpan={5} />
      </tr>
    )
  }
  return (
    <tr className={styles.row} style={{ '--depth': depth } as CSSProperties} data-best={best || undefined}>
      <td className={styles.side}>{side === 'ask' ? 'Ask' : 'Bid'}</td>
      <th scope="row" className={styles.price}>
        {formatPrice(price)}
      </th>
      <td className={styles.quantity}>
        {flash && (
          <span key={flash.id} className={styles.flash} data-direction={flash.direction} aria-hidden="true">
            {flash.direction === 'up' ? '▲' : '▼'}
          </span>
        )}
        {formatQuantity(quantity)}
      </td>
      <td className={styles.total}>{formatQuantity(total)}</td>
      <td className={styles.orders}>{orders === undefined ? NOTHING : formatCount(orders)}</td>
    </tr>
  )
})

function SpreadRow({ view: { book, phase, lastMove } }: { view: BookView }) {
  return (
    <tr className={styles.spread}>
      <td colSpan={5}>
        {book ? <SpreadFigures book={book} lastMove={lastMove} /> : phase === 'loading' ? 'Loading book…' : 'No book yet'}
      </td>
    </tr>
  )
}

function SpreadFigures({ book, lastMove }: { book: Book; lastMove: BookView['lastMove'] }) {
  const { bestBid, bestAsk, spread, lastPrice } = book
  if (bestBid === null && bestAsk === null) return <>No orders yet for {book.certificateType}</>
  const mid = bestBid !== null && bestAsk !== null ? middle(bestBid, bestAsk) : null
  return (
    <span className={styles.figures}>
      <span>
        <i>spread</i> {formatPrice(spread)}
        {spread !== null && mid !== null && ` (${formatPercent(ratio(spread, mid))})`}
      </span>
      <span>
        <i>mid</i> {formatPrice(mid)}
      </span>
      <span>
        <i>last</i> {formatPrice(lastPrice)}
        {lastMove && (
          <span className={styles.move} data-direction={lastMove}>
            {lastMove === 'up' ? ' ▲' : ' ▼'}
          </span>
        )}
      </span>
    </span>
  )
}

function deepestOf(book: Book, rows: number): string {
  const last = (levels: readonly Level[]) => levels[Math.min(rows, levels.length) - 1]?.cumulativeQuantity ?? '0'
  const bids = last(book.bids)
  const asks = last(book.asks)
  return ratio(bids, asks) > 1 || asks === '0' ? bids : asks
}
