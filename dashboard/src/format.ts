export type Zone = 'utc' | 'local'
export type Asset = 'CEA' | 'EUA' | 'EUR'

const THIN_SPACE = '\u202f' // narrow and non-breaking: a figure never wraps
const MINUS = '\u2212'
export const NOTHING = '\u2014'

const PLACES: Record<Asset, number> = { EUR: 2, CEA: 0, EUA: 0 }
const PRICE_PLACES = 2

/** Write a decimal of the API for people: thin-space thousands, true minus, at least `places` places. */
export function formatDecimal(text: string, places = 0): string {
  const negative = text.startsWith('-')
  const [whole = '0', fraction = ''] = (negative ? text.slice(1) : text).split('.')
  const kept = fraction.replace(/0+$/, '').padEnd(places, '0') // never rounds: what is stored is what is shown
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN_SPACE)
  return `${negative ? MINUS : ''}${grouped}${kept ? `.${kept}` : ''}`
}

/** Write a price per certificate, in EUR without the code. */
export function formatPrice(text: string | null | undefined): string {
  return text == null ? NOTHING : formatDecimal(text, PRICE_PLACES)
}

/** Write a quantity of certificates. */
export function formatQuantity(text: string | null | undefined): string {
  return text == null ? NOTHING : formatDecimal(text)
}

/** Write an amount with the places its asset has, without the code. */
export function formatAmount(text: string | null | undefined, asset: Asset): string {
  return text == null ? NOTHING : formatDecimal(text, PLACES[asset])
}

/** Write an amount of euros with its code. */
export function formatEur(text: string | null | undefined): string {
  return text == null ? NOTHING : `${formatAmount(text, 'EUR')}${THIN_SPACE}EUR`
}

/** Write a change with its sign, so that +0 and −0 never look like a figure. */
export function formatDelta(text: string): string {
  const shown = formatDecimal(text, text.split('.')[1]?.length ?? 0)
  return /[1-9]/.test(text) && !text.startsWith('-') ? `+${shown}` : shown
}

/** Write a count. */
export function formatCount(count: number): string {
  return formatDecimal(Math.trunc(count).toString())
}

/** Write a ratio as a percentage with two places. */
export function formatPercent(value: number): string {
  return `${formatDecimal((value * 100).toFixed(2), 2)}${THIN_SPACE}%`
}

/** Undo what these functions add for the eye: what is copied pastes into a spreadsheet. */
export function plain(text: string): string {
  return text
    .replaceAll(new RegExp(`(?<=\\d)${THIN_SPACE}(?=\\d)`, 'g'), '')
    .replaceAll(THIN_SPACE, ' ')
    .replaceAll(new RegExp(`${MINUS}(?=\\d)`, 'g'), '-')
}

/** Write an instant to the millisecond, in UTC with Z or in local time with its offset. */
export function formatInstant(iso: string | number, zone: Zone = 'utc'): string {
  const date = new Date(iso)
  return `${dateOf(date, zone)} ${timeOf(date, zone)}.${pad(date.getUTCMilliseconds(), 3)}${offsetOf(date, zone)}`
}

/** Write the time of day to the second. */
export function formatTime(iso: string | number, zone: Zone = 'utc'): string {
  const date = new Date(iso)
  return `${timeOf(date, zone)}${offsetOf(date, zone)}`
}

/** Write how long ago something was, coarsely. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 60) return `${Math.floor(seconds)}${THIN_SPACE}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${THIN_SPACE}min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}${THIN_SPACE}h`
  return `${Math.floor(seconds / 86_400)}${THIN_SPACE}d`
}

/** Write a duration the server measured. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms == null) return NOTHING
  return ms < 10 ? ms.toFixed(1) : formatCount(Math.round(ms))
}

/** Turn a name of the schema into words: MM_ORDER_PLACED → MM order placed. */
export function words(name: string): string {
  const [first = '', ...rest] = name.split('_')
  const head = KEPT_UPPER.has(first) ? first : first.charAt(0) + first.slice(1).toLowerCase()
  return [head, ...rest.map((word) => (KEPT_UPPER.has(word) ? word : word.toLowerCase()))].join(' ')
}

const KEPT_UPPER = new Set(['MM', 'KYC'])

/** Shorten a UUID to what tells two of them apart on one screen. */
export function shortId(id: string): string {
  return id.slice(0, 8)
}

function dateOf(date: Date, zone: Zone): string {
  return zone === 'utc'
    ? date.toISOString().slice(0, 10)
    : `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`
}

function timeOf(date: Date, zone: Zone): string {
  return zone === 'utc'
    ? date.toISOString().slice(11, 19)
    : `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
}

function offsetOf(date: Date, zone: Zone): string {
  if (zone === 'utc') return 'Z'
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? MINUS : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`
}

function pad(value: number, width = 2): string {
  return value.toString().padStart(width, '0')
}
