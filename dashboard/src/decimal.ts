const SCALE = 8 // the contract's Decimal carries at most eight places
const UNITS_PER_ONE = 10n ** BigInt(SCALE)
const PATTERN = /^(-?)(\d+)(?:\.(\d{1,8}))?$/

/** Say whether a value is a decimal as the API writes them. */
export function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && PATTERN.test(value)
}

/**
 * Turn a decimal of the API into whole units of 10⁻⁸.
 * Raises: RangeError when the text is not a decimal.
 */
export function unitsOf(text: string): bigint {
  const match = PATTERN.exec(text)
  if (!match) throw new RangeError(`Not a decimal: ${text}`)
  const [, sign, whole = '0', fraction = ''] = match
  const units = BigInt(whole) * UNITS_PER_ONE + BigInt(fraction.padEnd(SCALE, '0'))
  return sign ? -units : units
}

/** Write units of 10⁻⁸ with a fixed number of places, half away from zero. */
export function textOf(units: bigint, places: number): string {
  const step = 10n ** BigInt(SCALE - places)
  const size = units < 0n ? -units : units
  const rounded = (size + step / 2n) / step
  const digits = rounded.toString().padStart(places + 1, '0')
  const whole = digits.slice(0, digits.length - places)
  const fraction = places > 0 ? `.${digits.slice(-places)}` : ''
  return `${units < 0n && rounded > 0n ? '-' : ''}${whole}${fraction}`
}

/** Give after − before as a decimal, with as many places as the longer of the two. */
export function difference(before: string, after: string): string {
  const places = Math.max(placesOf(before), placesOf(after))
  return textOf(unitsOf(after) - unitsOf(before), places)
}

/** Give the number between two decimals, to four places at most. */
export function middle(a: string, b: string): string {
  const text = textOf((unitsOf(a) + unitsOf(b)) / 2n, 4)
  return text.replace(/0{1,2}$/, '')
}

/** Give part of whole as a ratio for drawing; never for money. */
export function ratio(part: string, whole: string): number {
  const wholeUnits = unitsOf(whole)
  if (wholeUnits === 0n) return 0
  return Number((unitsOf(part) * 1_000_000n) / wholeUnits) / 1_000_000
}

function placesOf(text: string): number {
  return text.split('.')[1]?.length ?? 0
}
