import { NOTHING } from '../format'
import { KEYS, valueOf, type Key, type Terms, type TicketsState, type Value } from './search'

/** Something with a name that stands for its id in the text. */
export interface Named {
  id: string
  name: string
}

/** Names that may be typed in place of ids. */
export interface Names {
  mm: readonly Named[]
  user: readonly Named[]
}

/** A part of the text that makes no sense, with where it stands. */
export interface Fault {
  start: number
  end: number
  message: string
}

export interface Parsed {
  terms: Terms
  words: string
  faults: readonly Fault[]
}

// A word, a quoted phrase, or a key with values; quotes may stand around a value.
const TOKEN = /(-?)([A-Za-z]+):((?:"[^"]*"?|[^\s",])(?:[^\s",]|"[^"]*"?|,)*)?|-?"[^"]*"?|\S+/g

/** Read what somebody typed: `action:MM_* status:failed mm:"MM-Alpha" -user:"A. Admin" "a phrase" word`. */
export function parseText(text: string, names: Names): Parsed {
  const terms: { [key in Key]?: Value[] } = {}
  const words: string[] = []
  const faults: Fault[] = []
  for (const match of text.matchAll(TOKEN)) {
    const [token, minus, name] = match
    const fault = (message: string) => faults.push({ start: match.index, end: match.index + token.length, message })
    if (name === undefined) {
      words.push(token)
      continue
    }
    const key = KEYS.find((known) => known === name.toLowerCase())
    if (key === undefined) {
      fault(`There is no key “${name}”. There are ${KEYS.join(', ')}. To look for the text itself, put it in quotes.`)
      continue
    }
    const values = split(match[3] ?? '')
    if (values.length === 0) fault(`“${key}:” needs a value, such as ${EXAMPLES[key]}.`)
    for (const typed of values) {
      const value = resolved(key, typed, names)
      if (value === undefined) fault(refusal(key, typed))
      else if (!terms[key]?.some((known) => known.text === value)) (terms[key] ??= []).push({ text: value, excluded: minus === '-' })
    }
  }
  return { terms, words: words.join(' '), faults }
}

/** Write the state as somebody would type it. */
export function writeText(state: Pick<TicketsState, 'terms' | 'words'>, names: Names, locked: Terms = {}): string {
  const parts: string[] = []
  for (const key of KEYS) {
    if (locked[key]) continue
    for (const excluded of [false, true]) {
      const values = (state.terms[key] ?? []).filter((value) => value.excluded === excluded)
      if (values.length > 0) parts.push(`${excluded ? '-' : ''}${key}:${values.map(({ text }) => quoted(nameOf(key, text, names))).join(',')}`)
    }
  }
  if (state.words) parts.push(state.words)
  return parts.join(' ')
}

/** Name a value for people. */
export function nameOf(key: Key, text: string, names: Names): string {
  if (key === 'status') return text === 'FAILED' ? 'failed' : 'success'
  if (key === 'mm' || key === 'user') return names[key].find(({ id }) => id === text)?.name ?? text
  return text || NOTHING
}

/** What a key takes, as an example. */
export const EXAMPLES: Record<Key, string> = {
  action: 'action:MM_*',
  status: 'status:failed',
  mm: 'mm:"MM-Alpha"',
  user: 'user:"Ada Admin"',
  entity: 'entity:ORDER',
  id: 'id:<UUID>',
  tag: 'tag:cli',
  error: 'error:INSUFFICIENT_BALANCE',
  ip: 'ip:192.0.2.1',
  session: 'session:<UUID>',
  related: 'related:TKT-2026-000001',
}

function resolved(key: Key, typed: string, names: Names): string | undefined {
  const known = valueOf(key, typed)
  if (known !== undefined || (key !== 'mm' && key !== 'user')) return known
  const found = names[key].filter(({ name }) => name.toLowerCase() === typed.toLowerCase())
  return found.length === 1 ? found[0]?.id : undefined
}

function refusal(key: Key, typed: string): string {
  if (key === 'mm') return `There is no market maker “${typed}”.`
  if (key === 'user') return `There is no user “${typed}”; a UUID does as well.`
  return `“${typed}” is no value of ${key}; one is ${EXAMPLES[key]}.`
}

function split(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"?|([^",]+)/g)].map(([, inQuotes, plain]) => (inQuotes ?? plain ?? '').trim()).filter(Boolean)
}

function quoted(text: string): string {
  return /[\s,"]/.test(text) ? `"${text.replaceAll('"', '')}"` : text
}
