import { compare, isMultiple, middle, product, readDecimal, shareOf, textOf, unitsOf } from './decimal'
import { formatAmount, formatPercent, formatPrice, formatQuantity, type Asset } from './format'
import { distance, matchOf, queueAhead, type Levels, type Match } from './live/levels'

const FAR = 0.05 // from the middle, as a ratio: a slip of a digit rather than a wish
const LARGE_PERCENT = 50n // of what is available

const AMBIGUOUS = /^\d{1,3}\.\d{3}$/ // three decimals, which nothing here has, or thousands

export type OrderKind = 'LIMIT' | 'MARKET'
export type OrderSide = 'BUY' | 'SELL'

/** An order as it is being written; figures as text. */
export interface OrderDraft {
  side: OrderSide
  kind: OrderKind
  price: string
  quantity: string
}

/** What the order is checked against. */
export interface OrderWorld {
  certificateType: 'CEA' | 'EUA'
  tickSize: string
  lotSize: string
  levels: Levels | undefined
  /** Of the asset that the order reserves; undefined while it is not known. */
  balance: { available: string; locked: string } | undefined
}

export interface OrderReport {
  price: string | undefined
  quantity: string | undefined
  /** What is wrong, by field; nothing is sent while anything is. */
  errors: { price?: string; quantity?: string }
  /** What somebody may have overlooked, and should say yes to. */
  warnings: string[]
  notional: string | undefined
  match: Match | undefined
  /** What stands before it in the book, when it would wait there. */
  ahead: string | undefined
  /** What it reserves, of which asset. */
  reserves: { asset: Asset; amount: string } | undefined
}

/** Check an order before it is sent; the server decides again. */
export function checkOrder({ side, kind, ...draft }: OrderDraft, world: OrderWorld): OrderReport {
  const price = kind === 'LIMIT' ? readDecimal(draft.price) : undefined
  const quantity = readDecimal(draft.quantity)
  const { levels } = world
  const errors = {
    ...(kind === 'LIMIT' && found('price', priceError(draft.price, price, world.tickSize))),
    ...found('quantity', quantityError(draft.quantity, quantity, world.lotSize)),
  }
  const limit = kind === 'LIMIT' ? price : null
  const isWhole = !('price' in errors) && !('quantity' in errors) && quantity !== undefined && limit !== undefined
  const match = isWhole && levels ? matchOf(levels, side, limit, quantity) : undefined
  const notional = isWhole ? (limit === null ? match?.notional : product(limit, quantity)) : undefined
  const reserves = isWhole ? reservedBy(side, quantity, notional, world.certificateType) : undefined
  const short = reserves && shortage(reserves, world.balance)
  if (short) errors.quantity = short
  const warnings = isWhole ? warningsOf({ side, price: limit, match, reserves, world }) : []
  const ahead = isWhole && levels && limit !== null && !match ? queueAhead(levels, side, limit) : undefined
  return { price, quantity, errors, warnings, notional, match, ahead, reserves }
}

/** Give the quantity that a share of what is available pays for, on the lot. */
export function shareOfAvailable(percent: bigint, draft: OrderDraft, world: OrderWorld): string | undefined {
  if (!world.balance) return undefined
  if (draft.side === 'SELL') return shareOf(world.balance.available, percent, world.lotSize)
  const best = world.levels?.asks[0]?.price
  const price = draft.kind === 'LIMIT' ? readDecimal(draft.price) : best
  if (price === undefined || unitsOf(price) <= 0n) return undefined
  const units = (unitsOf(world.balance.available) * percent * 10n ** 8n) / (100n * unitsOf(price))
  return shareOf(textOf(units - (units % 10n ** 8n), 0), 100n, world.lotSize)
}

/** Give the price between best bid and best ask, where there are both. */
export function midOf(levels: Levels | undefined): string | undefined {
  const bid = levels?.bids[0]?.price
  const ask = levels?.asks[0]?.price
  return bid !== undefined && ask !== undefined ? middle(bid, ask) : undefined
}

/**
 * Say of an order that was refused for want of certificates that there are fewer than the form has shown; undefined for
 * other refusals. Of euros it may have been the price that changed.
 */
export function balanceChanged({ code, details }: { code: string; details?: unknown }): string | undefined {
  if (code !== 'INSUFFICIENT_BALANCE' || typeof details !== 'object' || details === null) return undefined
  const { asset, available } = details as { asset?: unknown; available?: unknown }
  if ((asset !== 'CEA' && asset !== 'EUA') || typeof available !== 'string') return undefined
  return `Balance changed while you typed: now ${formatQuantity(available)} ${asset}. Nothing was placed.`
}

function priceError(text: string, price: string | undefined, tick: string): string | undefined {
  if (price === undefined && AMBIGUOUS.test(text.trim())) return `Price must be a multiple of ${formatPrice(tick)}.`
  if (price === undefined) return text.trim() ? 'Write a number such as 25.50.' : 'Enter a price above 0.'
  if (unitsOf(price) <= 0n) return 'Enter a price above 0.'
  return isMultiple(price, tick) ? undefined : `Price must be a multiple of ${formatPrice(tick)}.`
}

function quantityError(text: string, quantity: string | undefined, lot: string): string | undefined {
  if (quantity === undefined && AMBIGUOUS.test(text.trim())) return 'Write thousands without a point: 1000.'
  if (quantity === undefined) return text.trim() ? 'Write a whole number such as 1000.' : 'Enter a quantity above 0.'
  if (unitsOf(quantity) <= 0n) return 'Enter a quantity above 0.'
  return isMultiple(quantity, lot) ? undefined : `Quantity must be a multiple of ${formatQuantity(lot)}.`
}

function reservedBy(side: OrderSide, quantity: string, notional: string | undefined, certificate: 'CEA' | 'EUA'): OrderReport['reserves'] {
  if (side === 'SELL') return { asset: certificate, amount: quantity }
  return notional === undefined ? undefined : { asset: 'EUR', amount: notional }
}

function shortage({ asset, amount }: { asset: Asset; amount: string }, balance: OrderWorld['balance']): string | undefined {
  if (!balance || compare(amount, balance.available) <= 0) return undefined
  const locked = unitsOf(balance.locked) > 0n ? `; ${formatAmount(balance.locked, asset)} is locked in orders` : ''
  return `Only ${formatAmount(balance.available, asset)} ${asset} available${locked}.`
}

interface Judged {
  side: OrderSide
  price: string | null
  match: Match | undefined
  reserves: OrderReport['reserves']
  world: OrderWorld
}

function warningsOf({ side, price, match, reserves, world }: Judged): string[] {
  const warnings: string[] = []
  if (match && price !== null) warnings.push(`Would match now: ${formatQuantity(match.quantity)} @ ${formatPrice(match.average)}`)
  const mid = midOf(world.levels)
  if (price !== null && mid !== undefined) {
    const away = distance(price, mid)
    if (Math.abs(away) > FAR) {
      warnings.push(`${formatPercent(Math.abs(away))} ${away < 0 ? 'below' : 'above'} mid ${formatPrice(mid)}. Check the price.`)
    }
  }
  if (reserves && world.balance && unitsOf(reserves.amount) * 100n > unitsOf(world.balance.available) * LARGE_PERCENT) {
    warnings.push(`More than half of what is available ${side === 'SELL' ? 'would be sold' : 'would be spent'}.`)
  }
  return warnings
}

function found<Key extends string>(key: Key, error: string | undefined): { [key in Key]?: string } {
  return (error === undefined ? {} : { [key]: error }) as { [key in Key]?: string }
}
