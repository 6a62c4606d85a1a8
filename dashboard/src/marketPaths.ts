import { isDecimal, unitsOf } from './decimal'
import type { introspection } from './graphql-env'
import { CERTIFICATE_TYPES, pick, type CertificateType } from './paths'

type Text = string | undefined
export type BookSearch = { cert?: Text; rows?: Text; group?: Text; mm?: Text; status?: Text; view?: Text }
export type MakersSearch = { q?: Text; active?: Text }
export type MakerSearch = { tab?: Text; asset?: Text; type?: Text; last?: Text; status?: Text }
export type AccountSearch = { tab?: Text; asset?: Text; type?: Text; last?: Text }

export const BOOK_ROWS = [10, 20] as const
/** How many ticks a row of the ladder is wide. */
export const GROUPS = [1, 5, 10, 50] as const
export const MAKER_TABS = ['balances', 'transactions', 'orders', 'trades', 'tickets'] as const
export const ACCOUNT_TABS = ['orders', 'balances', 'transactions', 'deposits', 'identity', 'password'] as const
export const ASSETS = ['CEA', 'EUA', 'EUR'] as const
export const RANGES = ['24h', '7d', '30d'] as const
const DAY_MS = 86_400_000
const RANGE_MS: Record<(typeof RANGES)[number], number> = { '24h': DAY_MS, '7d': 7 * DAY_MS, '30d': 30 * DAY_MS }

export type OrderStatus = introspection['types']['OrderStatus']['enumValues']
export type TransactionType = introspection['types']['TransactionType']['enumValues']
export type AssetName = (typeof ASSETS)[number]
export type Range = (typeof RANGES)[number]

export const ORDER_STATUSES = ['OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED'] as const satisfies readonly OrderStatus[]
export const OPEN_STATUSES = ['OPEN', 'PARTIALLY_FILLED'] as const satisfies readonly OrderStatus[]
export const TRANSACTION_TYPES = [
  'DEPOSIT', 'WITHDRAWAL', 'TRADE_DEBIT', 'TRADE_CREDIT',
] as const satisfies readonly TransactionType[]

export interface BookState {
  certificateType: CertificateType
  /** Undefined: as many as the screen has room for. */
  rows: (typeof BOOK_ROWS)[number] | undefined
  /** Width of a row in EUR; undefined: one tick. */
  group: string | undefined
  makerId: string | undefined
  /** Which orders the history shows; open ones when nothing is asked for, all of them for "ALL". */
  statuses: readonly OrderStatus[]
  isWatching: boolean
  ignored: string[]
}

/** Read what an address of the order book asks for; what makes no sense is named, never obeyed. */
export function readBookSearch(search: BookSearch): BookState {
  const ignored: string[] = []
  const wantedRows = pick(search, 'rows', BOOK_ROWS.map(String), ignored)
  const isGroup = search.group !== undefined && isDecimal(search.group) && unitsOf(search.group) > 0n
  if (search.group !== undefined && !isGroup) ignored.push(`group=${search.group}`)
  const view = pick({ view: search.view?.toUpperCase() }, 'view', ['WATCH'], ignored)
  return {
    certificateType: pick(search, 'cert', CERTIFICATE_TYPES, ignored) ?? 'CEA',
    rows: BOOK_ROWS.find((rows) => String(rows) === wantedRows),
    group: isGroup ? search.group : undefined,
    makerId: search.mm,
    statuses: readStatuses(search.status, ignored),
    isWatching: view !== undefined,
    ignored,
  }
}

function readStatuses(text: Text, ignored: string[]): readonly OrderStatus[] {
  if (text === undefined) return OPEN_STATUSES
  const named = text.toUpperCase().split(',').filter(Boolean)
  const known: readonly string[] = [...ORDER_STATUSES, 'ALL']
  ignored.push(...named.filter((name) => !known.includes(name)).map((name) => `status=${name}`))
  const statuses = ORDER_STATUSES.filter((status) => named.includes(status))
  return statuses.length > 0 ? statuses : named.includes('ALL') ? ORDER_STATUSES : OPEN_STATUSES
}

/** Write which orders to show into an address; what is usual leaves no trace. */
export function writeStatuses(statuses: readonly OrderStatus[]): Text {
  const key = ORDER_STATUSES.filter((status) => statuses.includes(status)).join(',')
  if (key === OPEN_STATUSES.join(',')) return undefined
  return key === ORDER_STATUSES.join(',') || key === '' ? 'ALL' : key
}

export interface MakersState {
  search: string
  isActive: boolean | undefined
  ignored: string[]
}

/** Read which market makers an address asks for: active ones when it does not say. */
export function readMakersSearch(search: MakersSearch): MakersState {
  const ignored: string[] = []
  const active = pick(search, 'active', ['TRUE', 'FALSE', 'ALL'], ignored)
  return { search: search.q ?? '', isActive: active === undefined || active === 'ALL' ? undefined : active === 'TRUE', ignored }
}

export interface LedgerState {
  asset: AssetName | undefined
  types: readonly TransactionType[]
  range: Range | undefined
}

export interface MakerState extends LedgerState {
  tab: (typeof MAKER_TABS)[number]
  statuses: readonly OrderStatus[]
  ignored: string[]
}

/** Read what an address of one market maker asks for. */
export function readMakerSearch(search: MakerSearch): MakerState {
  const ignored: string[] = []
  return {
    tab: readTab(search.tab, MAKER_TABS, ignored),
    statuses: readStatuses(search.status, ignored),
    ...readLedger(search, ignored),
    ignored,
  }
}

export interface AccountState extends LedgerState {
  tab: (typeof ACCOUNT_TABS)[number]
  ignored: string[]
}

/** Read what an address of one's own account asks for. */
export function readAccountSearch(search: AccountSearch): AccountState {
  const ignored: string[] = []
  return { tab: readTab(search.tab, ACCOUNT_TABS, ignored), ...readLedger(search, ignored), ignored }
}

/** Give the instant from which a range counts, to the minute, so that it is the same for a while. */
export function startOf(range: Range | undefined, now: number): string | undefined {
  if (range === undefined) return undefined
  return new Date(Math.floor((now - RANGE_MS[range]) / 60_000) * 60_000).toISOString()
}

function readLedger(search: { asset?: Text; type?: Text; last?: Text }, ignored: string[]): LedgerState {
  const type = pick(search, 'type', TRANSACTION_TYPES, ignored)
  const last = RANGES.find((range) => range === search.last)
  if (search.last !== undefined && last === undefined) ignored.push(`last=${search.last}`)
  return { asset: pick(search, 'asset', ASSETS, ignored), types: type ? [type] : [], range: last }
}

function readTab<Tab extends string>(text: Text, tabs: readonly [Tab, ...Tab[]], ignored: string[]): Tab {
  const tab = tabs.find((known) => known === text)
  if (text !== undefined && tab === undefined) ignored.push(`tab=${text}`)
  return tab ?? tabs[0]
}
