import { ratio, textOf, unitsOf } from '../decimal'
import { crc32 } from './crc32'

const CHECKSUM_LEVELS = 10

export type Side = 'bid' | 'ask'

/** One price of a book, as it was sent. */
export interface Level {
  price: string
  quantity: string
  orderCount: number
  /** The price in units of 10⁻⁸, for sorting. */
  units: bigint
}

/** What was sent of a level, of a whole book or of a change. */
export interface SentLevel {
  price: string
  quantity: string
  orderCount: number
}

/** Every level of both sides, best first. Never changed in place: what was published stays as it was. */
export interface Levels {
  bids: readonly Level[]
  asks: readonly Level[]
}

export const NO_LEVELS: Levels = { bids: [], asks: [] }

/** Give one side of a book, best first. */
export function levelsOf(levels: Levels, side: Side): readonly Level[] {
  return side === 'bid' ? levels.bids : levels.asks
}

/** Name a level, for what is remembered about it between two books. */
export function levelKey(side: Side, price: string): string {
  return `${side}:${price}`
}

/** Take a whole book. */
export function wholeOf(book: { bids: readonly SentLevel[]; asks: readonly SentLevel[] }): Levels {
  const side = (levels: readonly SentLevel[]) =>
    levels.map(({ price, quantity, orderCount }) => ({ price, quantity, orderCount, units: unitsOf(price) }))
  return { bids: side(book.bids), asks: side(book.asks) }
}

/** Put changes into a book: each is what is at a price now, "0" removes it. */
export function changed(levels: Levels, changes: readonly (SentLevel & { side: 'BUY' | 'SELL' })[]): Levels {
  const bids = [...levels.bids]
  const asks = [...levels.asks]
  for (const { side, ...change } of changes) {
    if (side === 'BUY') put(bids, change, 1n)
    else put(asks, change, -1n)
  }
  return { bids, asks }
}

/** Compute a book's checksum from its levels, as the contract defines it. */
export function checksumOf({ bids, asks }: { bids: readonly SentLevel[]; asks: readonly SentLevel[] }): number {
  const write = (mark: string, levels: readonly SentLevel[]) =>
    levels.slice(0, CHECKSUM_LEVELS).map(({ price, quantity }) => `${mark}:${price}:${quantity};`)
  return crc32([...write('b', bids), ...write('a', asks)].join(''))
}

/** Say whether a buyer offers what a seller asks, which no committed book shows. */
export function isCrossed({ bids: [bid], asks: [ask] }: Levels): boolean {
  return bid !== undefined && ask !== undefined && bid.units >= ask.units
}

/** A row of the ladder: one level, or the levels of one group of prices. */
export interface Rung {
  price: string
  quantity: string
  total: string
  orders: number
  /** The prices of the levels in it, best first. */
  prices: readonly string[]
  /** Whether far more stands here than at most prices. */
  isLarge: boolean
}

const LARGE = 5n // times the median of the rows shown

/**
 * Give the best rows of a side, each of so many EUR; asks are grouped upwards and bids downwards,
 * so that a row never promises a better price than it has.
 */
export function rungsOf(levels: Levels, side: Side, step: string, count: number): Rung[] {
  const stepUnits = unitsOf(step)
  const rungs: { units: bigint; quantity: bigint; orders: number; prices: string[] }[] = []
  for (const level of levelsOf(levels, side)) {
    const units = stepUnits > 0n ? grouped(level.units, stepUnits, side) : level.units
    const last = rungs.at(-1)
    if (last?.units === units) {
      last.quantity += unitsOf(level.quantity)
      last.orders += level.orderCount
      last.prices.push(level.price)
    } else {
      if (rungs.length === count) break
      rungs.push({ units, quantity: unitsOf(level.quantity), orders: level.orderCount, prices: [level.price] })
    }
  }
  const sizes = rungs.map(({ quantity }) => quantity).sort((a, b) => (a < b ? -1 : 1))
  const median = sizes[Math.floor(sizes.length / 2)] ?? 0n
  let total = 0n
  return rungs.map(({ units, quantity, orders, prices }) => {
    total += quantity
    return {
      price: textOf(units, 2),
      quantity: textOf(quantity, 0),
      total: textOf(total, 0),
      orders,
      prices,
      isLarge: quantity > LARGE * median,
    }
  })
}

/** What a quantity would trade with at once, down or up to a limit; null takes any price. */
export interface Match {
  quantity: string
  /** EUR per certificate, weighted, two places; for people, not for money. */
  average: string
  worst: string
  notional: string
}

/** Walk the other side of the book, as an order of this side would. Undefined when nothing matches. */
export function matchOf(levels: Levels, side: 'BUY' | 'SELL', limit: string | null, quantity: string): Match | undefined {
  const limitUnits = limit === null ? null : unitsOf(limit)
  let left = unitsOf(quantity)
  let taken = 0n
  let notional = 0n
  let worst: string | undefined
  for (const level of side === 'BUY' ? levels.asks : levels.bids) {
    if (left <= 0n) break
    if (limitUnits !== null && (side === 'BUY' ? level.units > limitUnits : level.units < limitUnits)) break
    const size = unitsOf(level.quantity)
    const part = size < left ? size : left
    taken += part
    notional += (part * level.units) / ONE
    left -= part
    worst = level.price
  }
  if (taken === 0n || worst === undefined) return undefined
  return {
    quantity: textOf(taken, 0),
    average: textOf((notional * ONE) / taken, 2),
    worst,
    notional: textOf(notional, 2),
  }
}

/** Give what stands before a new order of this side at this price: better prices, and its own. */
export function queueAhead(levels: Levels, side: 'BUY' | 'SELL', price: string): string {
  const units = unitsOf(price)
  let ahead = 0n
  for (const level of side === 'BUY' ? levels.bids : levels.asks) {
    if (side === 'BUY' ? level.units < units : level.units > units) break
    ahead += unitsOf(level.quantity)
  }
  return textOf(ahead, 0)
}

/** Give how far a price lies from the middle, as a signed ratio for people. */
export function distance(price: string, mid: string): number {
  return ratio(textOf(unitsOf(price) - unitsOf(mid), 8), mid)
}

const ONE = 10n ** 8n

function grouped(units: bigint, step: bigint, side: Side): bigint {
  const rest = units % step
  if (rest === 0n) return units
  return side === 'ask' ? units - rest + step : units - rest
}

// Best first: bids from the highest (1), asks from the lowest (-1).
function put(levels: Level[], { price, quantity, orderCount }: SentLevel, order: 1n | -1n): void {
  const units = unitsOf(price)
  let low = 0
  let high = levels.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (((levels[middle] as Level).units - units) * order > 0n) low = middle + 1
    else high = middle
  }
  const isThere = levels[low]?.units === units
  if (unitsOf(quantity) === 0n) {
    if (isThere) levels.splice(low, 1)
  } else levels.splice(low, isThere ? 1 : 0, { price, quantity, orderCount, units })
}
