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

/**
 * Read a decimal as people write and paste it: "1 000,50", "1,000.50", "1'000.50".
 * Undefined when it is none, or when it can be read in two ways: "1.000" is one or a thousand.
 */
export function readDecimal(text: string): string | undefined {
  const bare = text.trim().replace(/(?<=\d)[\s\u00a0\u202f\u2009'’](?=\d)/g, '').replace(/^\u2212/, '-')
  const mark = Math.max(bare.lastIndexOf('.'), bare.lastIndexOf(','))
  if (mark < 0) return isDecimal(bare) ? trimmed(bare) : undefined
  const separator = bare.charAt(mark)
  const other = separator === '.' ? ',' : '.'
  const isGrouped = new RegExp(`^-?[1-9]\\d{0,2}(\\${separator}\\d{3})+$`).test(bare)
  const groups = bare.split(separator).length - 1
  if (isGrouped && !bare.includes(other)) {
    // One point before three digits is the API's own way to write a fraction, and others' way to write a thousand.
    if (separator === '.' && groups === 1) return undefined
    return bare.replaceAll(separator, '')
  }
  if (groups > 1) return undefined
  const whole = bare.slice(0, mark)
  const isWhole = /^-?\d+$/.test(whole) || new RegExp(`^-?[1-9]\\d{0,2}(\\${other}\\d{3})+$`).test(whole)
  const plain = `${whole.replaceAll(other, '')}.${bare.slice(mark + 1)}`
  return isWhole && isDecimal(plain) ? trimmed(plain) : undefined
}

/** Count the decimals that a number needs. */
export function placesOf(text: string): number {
  return text.split('.')[1]?.length ?? 0
}

/** Say whether a value is a whole multiple of a step. */
export function isMultiple(value: string, step: string): boolean {
  const stepUnits = unitsOf(step)
  return stepUnits === 0n || unitsOf(value) % stepUnits === 0n
}

/** Add two decimals, with as many places as the longer of the two. */
export function sum(a: string, b: string): string {
  return textOf(unitsOf(a) + unitsOf(b), Math.max(placesOf(a), placesOf(b)))
}

/** Multiply two decimals: exact for prices and quantities, whose places together are at most eight. */
export function product(a: string, b: string): string {
  return textOf((unitsOf(a) * unitsOf(b)) / UNITS_PER_ONE, Math.min(SCALE, placesOf(a) + placesOf(b)))
}

/** Give a percentage of a value, rounded down to a multiple of the step. */
export function shareOf(value: string, percent: bigint, step: string): string {
  const stepUnits = unitsOf(step)
  const units = (unitsOf(value) * percent) / 100n
  return textOf(stepUnits > 0n ? units - (units % stepUnits) : units, placesOf(step))
}

/** Compare two decimals, as sorting wants it. */
export function compare(a: string, b: string): number {
  const delta = unitsOf(a) - unitsOf(b)
  return delta === 0n ? 0 : delta > 0n ? 1 : -1
}

// A person may write 007 or 5.; what is sent is what is stored.
function trimmed(text: string): string {
  return text.replace(/^(-?)0+(?=\d)/, '$1')
}
