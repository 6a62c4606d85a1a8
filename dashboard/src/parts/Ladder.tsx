import { VisuallyHidden } from '@mantine/core'
import { memo, useCallback, useMemo, useRef, useState, type CSSProperties, type KeyboardEvent } from 'react'
import { middle, ratio, unitsOf } from '../decimal'
import { formatCount, formatEur, formatPercent, formatPrice, formatQuantity } from '../format'
import type { Book, BookFeed, BookView, Flash } from '../live/book'
import { levelKey, matchOf, rungsOf, type Rung, type Side } from '../live/levels'
import { useStore } from '../live/store'
import styles from './Ladder.module.css'
import { MineMark } from './MineMark'
import type { OrderEntry, TradeEntry } from './marketDocuments'

/** A row that was chosen: its price, and all that stands there and before it. */
export interface Chosen {
  side: Side
  price: string
  total: string
  /** Whether the quantity is wanted too. */
  whole: boolean
}

interface Props {
  feed: BookFeed
  /** Slots on each side; always that many, so that nothing moves but the figures. */
  rows: number
  /** Width of a row in EUR. */
  step: string
  cumulative: boolean
  /** Orders of one's own, by the price of their level. */
  mine: ReadonlyMap<string, readonly OrderEntry[]>
  /** Newest trades, newest first; the first two say which way the price went. */
  trades: readonly TradeEntry[]
  label: string
  choose?: ((chosen: Chosen) => void) | undefined
}

interface Place {
  side: Side
  slot: number
}

const NOBODY: readonly OrderEntry[] = []
const TOUCH: Place = { side: 'ask', slot: 0 }

/** Show a book as a ladder: asks above, bids below, the spread fixed in the middle. */
export function Ladder({ feed, rows, step, cumulative, mine, trades, label, choose }: Props) {
  const table = useRef<HTMLTableElement>(null)
  const [active, setActive] = useState<Place>(TOUCH)
  const [pointed, setPointed] = useState<Place>()

  const view = useStore(feed)
  const { book } = view
  const asks = useMemo(() => (book ? rungsOf(book, 'ask', step, rows) : []), [book, step, rows])
  const bids = useMemo(() => (book ? rungsOf(book, 'bid', step, rows) : []), [book, step, rows])
  const deepest = deepestOf(asks, bids, cumulative)

  const move = (event: KeyboardEvent) => {
    const by = { ArrowUp: -1, ArrowDown: 1, Home: -rows * 2, End: rows * 2 }[event.key]
    if (by === undefined || !(event.target instanceof HTMLButtonElement)) return
    event.preventDefault()
    // From the highest ask to the lowest bid; only where there is something.
    const places: Place[] = [
      ...asks.map((_, slot): Place => ({ side: 'ask', slot })).reverse(),
      ...bids.map((_, slot): Place => ({ side: 'bid', slot })),
    ]
    const at = places.findIndex(({ side, slot }) => side === active.side && slot === active.slot)
    const next = places[Math.max(0, Math.min(places.length - 1, at + by))]
    if (!next) return
    setActive(next)
    table.current?.querySelector<HTMLButtonElement>(`[data-place="${next.side}${next.slot}"]`)?.focus()
  }

  const slotsOf = (side: Side, rungs: readonly Rung[]) => (
    <Slots
      side={side}
      rungs={rungs}
      rows={rows}
      deepest={deepest}
      cumulative={cumulative}
      flashes={view.flashes}
      mine={mine}
      active={entry(active, asks, bids)}
      pointed={pointed?.side === side ? pointed.slot : -1}
      choose={choose}
      focus={setActive}
      point={setPointed}
    />
  )
  return (
    <>
      <div className={styles.scroller} role="region" aria-label={label} data-phase={view.phase}>
        <table ref={table} className={styles.ladder} aria-busy={isLoading(view)} onKeyDown={move} onMouseLeave={() => setPointed(undefined)}>
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
              <th scope="col">Mine</th>
            </tr>
          </thead>
          {slotsOf('ask', asks)}
          <tbody>
            <SpreadRow view={view} trades={trades} />
          </tbody>
          {slotsOf('bid', bids)}
        </table>
      </div>
      <Bracket book={book} place={pointed} rungs={pointed?.side === 'bid' ? bids : asks} />
    </>
  )
}

interface SlotsProps {
  side: Side
  rungs: readonly Rung[]
  rows: number
  deepest: string
  cumulative: boolean
  flashes: BookView['flashes']
  mine: Props['mine']
  active: Place
  pointed: number
  choose: Props['choose']
  focus: (place: Place) => void
  point: (place: Place | undefined) => void
}

function Slots({ side, rungs, rows, deepest, cumulative, flashes, mine, active, pointed, choose, focus, point }: SlotsProps) {
  const slots = Array.from({ length: rows }, (_, slot) => (side === 'ask' ? rows - 1 - slot : slot))
  return (
    <tbody data-side={side}>
      {slots.map((slot) => {
        const rung = rungs[slot]
        const own = rung ? ownAt(side, rung, mine) : NOBODY
        return (
          <Row
            key={slot}
            side={side}
            slot={slot}
            price={rung?.price}
            quantity={rung?.quantity}
            total={rung?.total}
            orders={rung?.orders}
            isLarge={rung?.isLarge ?? false}
            depth={rung ? ratio(cumulative ? rung.total : rung.quantity, deepest) : 0}
            flash={rung && newestFlash(side, rung, flashes)}
            own={own}
            isActive={active.side === side && active.slot === slot}
            isWithin={slot <= pointed}
            choose={choose}
            focus={focus}
            point={point}
          />
        )
      })}
    </tbody>
  )
}

interface RowProps {
  side: Side
  slot: number
  price: string | undefined
  quantity: string | undefined
  total: string | undefined
  orders: number | undefined
  isLarge: boolean
  depth: number
  flash: Flash | undefined
  own: readonly OrderEntry[]
  isActive: boolean
  isWithin: boolean
  choose: Props['choose']
  focus: (place: Place) => void
  point: (place: Place | undefined) => void
}

// Plain figures as properties, so that of forty rows only those that changed are drawn again.
const Row = memo(function Row(props: RowProps) {
  const { side, slot, price, quantity, total, orders, isLarge, depth, flash, own, isActive, isWithin, choose, focus, point } = props
  const held = useRef<Chosen>(undefined)
  const take = useCallback(
    (whole: boolean) => {
      if (price === undefined || total === undefined) return
      // What was under the pointer when it went down is meant, not what has moved there since.
      choose?.({ ...(held.current ?? { side, price, total }), whole })
      held.current = undefined
    },
    [choose, side, price, total],
  )
  if (price === undefined || total === undefined) {
    return (
      <tr className={styles.row} aria-hidden="true">
        <td colSpan={6} />
      </tr>
    )
  }
  const name = `${side === 'ask' ? 'Ask' : 'Bid'} ${price}, ${quantity}, total ${total}`
  return (
    <tr
      className={styles.row}
      style={{ '--depth': depth } as CSSProperties}
      data-best={slot === 0 || undefined}
      data-large={isLarge || undefined}
      data-within={isWithin || undefined}
      onMouseEnter={() => point({ side, slot })}
    >
      <td className={styles.side}>{side === 'ask' ? 'Ask' : 'Bid'}</td>
      <th scope="row" className={styles.price}>
        {choose ? (
          <button
            type="button"
            className={styles.choose}
            aria-label={name}
            tabIndex={isActive ? 0 : -1}
            data-place={`${side}${slot}`}
            onFocus={() => {
              focus({ side, slot })
              point({ side, slot })
            }}
            onBlur={() => point(undefined)}
            onPointerDown={() => (held.current = { side, price, total, whole: false })}
            onClick={(event) => take(event.shiftKey)}
          >
            {formatPrice(price)}
          </button>
        ) : (
          formatPrice(price)
        )}
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
      <td className={styles.orders}>{formatCount(orders ?? 0)}</td>
      <td className={styles.mine}>{own.length > 0 && <MineMark orders={own} />}</td>
    </tr>
  )
})

function SpreadRow({ view, trades }: { view: BookView; trades: readonly TradeEntry[] }) {
  return (
    <tr className={styles.spread}>
      <td colSpan={6}>
        {view.book ? <SpreadFigures book={view.book} trades={trades} /> : isLoading(view) ? 'Loading book…' : 'No book yet'}
      </td>
    </tr>
  )
}

function SpreadFigures({ book, trades: [last, before] }: { book: Book; trades: readonly TradeEntry[] }) {
  const { bestBid, bestAsk, spread } = book
  if (bestBid === null && bestAsk === null) return <>No orders in this book yet</>
  const mid = bestBid !== null && bestAsk !== null ? middle(bestBid, bestAsk) : null
  const move = last && before ? unitsOf(last.price) - unitsOf(before.price) : 0n
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
        <i>last</i> {formatPrice(last?.price)}
        {move !== 0n && (
          <span className={styles.move} data-direction={move > 0n ? 'up' : 'down'}>
            {move > 0n ? ' ▲' : ' ▼'}
          </span>
        )}
      </span>
    </span>
  )
}

// What it would take to clear the book up to the row under the pointer.
function Bracket({ book, place, rungs }: { book: Book | null; place: Place | undefined; rungs: readonly Rung[] }) {
  const rung = place && rungs[place.slot]
  const match = book && rung && matchOf(book, place.side === 'ask' ? 'BUY' : 'SELL', null, rung.total)
  return (
    <p className={styles.bracket} aria-hidden="true">
      {match && rung
        ? `${place.side === 'ask' ? 'Buy up' : 'Sell down'} to ${formatPrice(rung.price)}: ${formatQuantity(match.quantity)} at ${formatPrice(match.average)} on average, ${formatEur(match.notional)}`
        : 'Point at a row to see what stands from the touch to there.'}
    </p>
  )
}

/** Say whether there is no book yet, but one is on its way. */
export function isLoading({ phase, book }: BookView): boolean {
  return book === null && (phase === 'idle' || phase === 'connecting' || phase === 'snapshot')
}

// Of a single price always the same list, so that its row is not drawn again for nothing.
function ownAt(side: Side, { prices }: Rung, mine: Props['mine']): readonly OrderEntry[] {
  const lists = prices.flatMap((price) => {
    const own = mine.get(levelKey(side, price))
    return own ? [own] : []
  })
  return lists.length > 1 ? lists.flat() : (lists[0] ?? NOBODY)
}

// The row that the Tab key comes to: where one was, or the touch when nothing is there any more.
function entry(active: Place, asks: readonly Rung[], bids: readonly Rung[]): Place {
  if ((active.side === 'ask' ? asks : bids)[active.slot]) return active
  return asks.length > 0 ? TOUCH : { side: 'bid', slot: 0 }
}

function newestFlash(side: Side, rung: Rung, flashes: BookView['flashes']): Flash | undefined {
  if (flashes.size === 0) return undefined
  let newest: Flash | undefined
  for (const price of rung.prices) {
    const flash = flashes.get(levelKey(side, price))
    if (flash && (!newest || flash.id > newest.id)) newest = flash
  }
  return newest
}

function deepestOf(asks: readonly Rung[], bids: readonly Rung[], cumulative: boolean): string {
  let deepest = '0'
  for (const rung of [...asks, ...bids]) {
    const size = cumulative ? rung.total : rung.quantity
    if (unitsOf(size) > unitsOf(deepest)) deepest = size
  }
  return deepest
}
