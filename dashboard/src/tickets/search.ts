import type { VariablesOf } from '../graphql'
import type { TicketsQuery } from '../parts/ticketDocuments'
import { ACTIONS, ENTITY_TYPES, TICKET_ID, type ActionType, type EntityType, type Search } from '../paths'
import { ALL_TIME, endsOf, instantOf, lengthMs, type Range } from './range'

export type TicketFilter = NonNullable<VariablesOf<typeof TicketsQuery>['filter']>

/** What a list can be narrowed by, in the order in which it is written. */
export const KEYS = ['action', 'status', 'mm', 'user', 'entity', 'id', 'tag', 'error', 'ip', 'session', 'related'] as const
export type Key = (typeof KEYS)[number]

/** One value of a key; an excluded one must not hold. */
export interface Value {
  text: string
  excluded: boolean
}
export type Terms = Partial<Record<Key, readonly Value[]>>

/** What a list of tickets shows: the one state that address, chips, text and form are views of. */
export interface TicketsState {
  terms: Terms
  tagMode: 'ANY' | 'ALL'
  /** Words looked for, as they were typed. */
  words: string
  range: Range
  order: 'NEWEST' | 'OLDEST'
  /** The ticket that is open over the list. */
  ticket: string | undefined
  /** What the address asks for in vain. */
  ignored: readonly string[]
}

export const ANY = '*' // for market makers: whichever
export const NONE = 'none'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const VALUES_MAX = 50 // of one key: an address is no database
const WORDS_MAX = 400

/** Say whether a text is a UUID. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/** Write a value as the state keeps it, or undefined when the key has no such value. Names are not resolved here. */
export function valueOf(key: Key, text: string): string | undefined {
  const upper = text.trim().toUpperCase()
  switch (key) {
    case 'action':
      return actionsOf(upper).length > 0 ? upper : undefined
    case 'status':
      return { FAILED: 'FAILED', FAIL: 'FAILED', SUCCESS: 'SUCCESS', OK: 'SUCCESS' }[upper]
    case 'mm':
      return text === ANY || text.toLowerCase() === NONE ? text.toLowerCase() : uuid(text)
    case 'entity':
      return ENTITY_TYPES.find((type) => type === upper.replaceAll(/[ -]/g, '_'))
    case 'user':
    case 'id':
    case 'session':
      return uuid(text)
    case 'related':
      return TICKET_ID.test(upper) ? upper : undefined
    case 'error':
      return /^[A-Z_]{1,64}$/.test(upper) ? upper : undefined
    case 'tag':
    case 'ip':
      return /^[^\s,"]{1,64}$/.test(text.trim()) ? text.trim() : undefined
  }
}

/** Give the actions that a name or a pattern such as MM_* means. */
export function actionsOf(text: string): ActionType[] {
  if (!text.includes('*')) return ACTIONS.filter((action) => action === text)
  if (!/^[A-Z_*]+$/.test(text)) return []
  const pattern = new RegExp(`^${text.replaceAll('*', '.*')}$`)
  return ACTIONS.filter((action) => pattern.test(action))
}

/** Read the state out of an address. What makes no sense is named, never obeyed; `locked` holds whatever it says. */
export function readTickets(search: Search, locked: Terms = {}): TicketsState {
  const ignored: string[] = []
  const terms: Terms = {}
  for (const key of KEYS) {
    const values: Value[] = [...(locked[key] ?? [])]
    if (!locked[key]) {
      for (const part of (search[key] ?? '').split(',').filter(Boolean).slice(0, VALUES_MAX)) {
        const excluded = part.startsWith('-')
        const text = valueOf(key, excluded ? part.slice(1) : part)
        if (text === undefined) ignored.push(`${key}=${part}`)
        else if (!values.some((known) => known.text === text)) values.push({ text, excluded })
      }
    }
    if (values.length > 0) terms[key] = values
  }
  const ticket = search.ticket?.trim().toUpperCase()
  if (ticket !== undefined && !TICKET_ID.test(ticket)) ignored.push(`ticket=${search.ticket}`)
  return {
    terms,
    tagMode: choice(search, 'tagMode', ['ANY', 'ALL'] as const, ignored) ?? 'ANY',
    words: (search.q ?? '').slice(0, WORDS_MAX).trim(),
    range: readRange(search, ignored),
    order: choice(search, 'sort', ['NEWEST', 'OLDEST'] as const, ignored) ?? 'NEWEST',
    ticket: ticket !== undefined && TICKET_ID.test(ticket) ? ticket : undefined,
    ignored,
  }
}

/** Write the state into an address; what is the rule leaves no trace, and what is locked is not written. */
export function writeTickets(state: Omit<TicketsState, 'ignored'>, locked: Terms = {}): Search {
  const search: Search = {}
  if ('last' in state.range) search.last = state.range.last
  else Object.assign(search, { from: state.range.from, to: state.range.to })
  for (const key of KEYS) {
    const values = locked[key] ? [] : (state.terms[key] ?? [])
    if (values.length > 0) search[key] = values.map(({ text, excluded }) => `${excluded ? '-' : ''}${text}`).join(',')
  }
  if (state.tagMode !== 'ANY') search.tagMode = state.tagMode.toLowerCase()
  if (state.words) search.q = state.words
  if (state.order !== 'NEWEST') search.sort = state.order.toLowerCase()
  if (state.ticket) search.ticket = state.ticket
  return search
}

/** The names an address of a list may carry. */
export const PARAMETERS = [...KEYS, 'tagMode', 'q', 'last', 'from', 'to', 'sort', 'ticket'] as const

/** Turn the state into the filter of the API, as it stands at an instant. */
export function filterOf(state: Pick<TicketsState, 'terms' | 'tagMode' | 'words' | 'range'>, now: number): TicketFilter {
  const { from, to } = endsOf(state.range, now)
  const filter: TicketFilter = { ...(from && { dateFrom: from }), ...(to && { dateTo: to }) }
  const all: TicketFilter[] = []
  for (const key of KEYS) {
    const values = state.terms[key] ?? []
    const wanted = conditions(key, values.filter(({ excluded }) => !excluded).map(({ text }) => text), state.tagMode)
    const unwanted = conditions(key, values.filter(({ excluded }) => excluded).map(({ text }) => text), 'ANY')
    const [only, ...others] = wanted
    if (only && others.length === 0) Object.assign(filter, only)
    else if (only) all.push({ or: wanted })
    all.push(...unwanted.map((condition) => ({ not: condition })))
  }
  if (state.words) filter.search = state.words
  return all.length > 0 ? { ...filter, and: all } : filter
}

/** Say whether anything narrows the list. */
export function isNarrowed(state: Pick<TicketsState, 'terms' | 'words' | 'range'>, locked: Terms = {}): boolean {
  return state.words !== '' || KEYS.some((key) => !locked[key] && state.terms[key]) || !isOpen(state.range)
}

/** Say whether a range takes in everything. */
export function isOpen(range: Range): boolean {
  return !('last' in range) && !range.from && !range.to
}

/** Add a value to a key, or take it away where it stands already. */
export function toggled(terms: Terms, key: Key, text: string, excluded = false): Terms {
  const values = terms[key] ?? []
  const rest = values.filter((value) => value.text !== text)
  const there = values.find((value) => value.text === text)
  return withValues(terms, key, there?.excluded === excluded ? rest : [...rest, { text, excluded }])
}

/** Replace the values of a key; none takes it out. */
export function withValues(terms: Terms, key: Key, values: readonly Value[]): Terms {
  const others = Object.fromEntries(Object.entries(terms).filter(([name]) => name !== key)) as Terms
  return values.length > 0 ? { ...others, [key]: values } : others
}

function conditions(key: Key, texts: readonly string[], tagMode: TicketsState['tagMode']): TicketFilter[] {
  if (texts.length === 0) return []
  switch (key) {
    case 'action':
      return [{ actionTypes: [...new Set(texts.flatMap(actionsOf))] }]
    case 'status':
      return texts.length > 1 ? [] : [{ status: texts[0] as 'SUCCESS' | 'FAILED' }]
    case 'tag':
      return [{ tags: [...texts], ...(tagMode === 'ALL' && { tagMode }) }]
    case 'error':
      return [{ errorCodes: [...texts] }]
    case 'mm':
      return texts.map((text) =>
        text === ANY || text === NONE ? { hasMarketMaker: text === ANY } : { marketMakerId: text },
      )
    case 'user':
      return texts.map((userId) => ({ userId }))
    case 'entity':
      return texts.map((entityType) => ({ entityType: entityType as EntityType }))
    case 'id':
      return texts.map((entityId) => ({ entityId }))
    case 'ip':
      return texts.map((ipAddress) => ({ ipAddress }))
    case 'session':
      return texts.map((sessionId) => ({ sessionId }))
    case 'related':
      return texts.map((relatedTo) => ({ relatedTo }))
  }
}

function readRange(search: Search, ignored: string[]): Range {
  if (search.last) {
    if (lengthMs(search.last) !== undefined) return { last: search.last }
    ignored.push(`last=${search.last}`)
  }
  const range: { from?: string; to?: string } = {}
  for (const end of ['from', 'to'] as const) {
    const text = search[end]
    const instant = text && instantOf(text)
    if (instant) range[end] = instant
    else if (text) ignored.push(`${end}=${text}`)
  }
  return range.from || range.to ? range : ALL_TIME
}

function choice<Option extends string>(search: Search, name: string, options: readonly Option[], ignored: string[]): Option | undefined {
  const text = search[name]
  const found = options.find((option) => option === text?.toUpperCase())
  if (text && found === undefined) ignored.push(`${name}=${text}`)
  return found
}

function uuid(text: string): string | undefined {
  return isUuid(text.trim()) ? text.trim().toLowerCase() : undefined
}
