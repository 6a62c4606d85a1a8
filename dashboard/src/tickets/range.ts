/** A window of time: one that moves along with the clock, or one that stands still; either end may be open. */
export type Range = { last: string } | { from?: string | undefined; to?: string | undefined }

export const ALL_TIME: Range = {}
export const LASTS = ['15m', '1h', '24h', '7d', '30d', '90d'] as const

const LAST = /^([1-9]\d{0,3})([mhd])$/
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const UNIT_WORDS = { m: 'minute', h: 'hour', d: 'day' } as const

/** Give the length of a relative range, or undefined for what is none. */
export function lengthMs(last: string): number | undefined {
  const match = LAST.exec(last)
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined
}

/** Read an instant of an address: ISO 8601 with an explicit offset; give it in UTC, or undefined for what is none. */
export function instantOf(text: string): string | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d:\d\d)$/i.test(text)) return undefined
  const padded = text.replace(/T(\d\d)(Z|[+-])/i, 'T$1:00$2')
  const at = new Date(padded)
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}

/** Give the ends of a range as they are at an instant. A relative range is open towards now. */
export function endsOf(range: Range, now: number): { from?: string; to?: string } {
  if ('last' in range) return { from: new Date(now - (lengthMs(range.last) ?? 0)).toISOString() }
  return { ...(range.from && { from: range.from }), ...(range.to && { to: range.to }) }
}

/** Make a relative range stand still. */
export function frozen(range: Range, now: number): Range {
  return 'last' in range ? { ...endsOf(range, now), to: new Date(now).toISOString() } : range
}

/** Give the window of the same length right before; undefined when the range has no length. */
export function before(range: Range, now: number): { from: string; to: string } | undefined {
  const { from, to } = endsOf(range, now)
  if (!from) return undefined
  const start = Date.parse(from)
  const length = (to ? Date.parse(to) : now) - start
  return length > 0 ? { from: new Date(start - length).toISOString(), to: from } : undefined
}

/** Name a range for people. */
export function rangeWords(range: Range, write: (iso: string) => string): string {
  if ('last' in range) {
    const match = LAST.exec(range.last)
    const count = Number(match?.[1])
    const unit = UNIT_WORDS[(match?.[2] ?? 'h') as keyof typeof UNIT_WORDS]
    return count === 1 ? `Last ${unit}` : `Last ${count} ${unit}s`
  }
  if (range.from && range.to) return `${write(range.from)} to ${write(range.to)}`
  if (range.from) return `Since ${write(range.from)}`
  return range.to ? `Until ${write(range.to)}` : 'All time'
}
