import type { introspection } from './graphql-env'

type Enum<Name extends 'CertificateType' | 'ActionType' | 'EntityType'> = introspection['types'][Name]['enumValues']
export type CertificateType = Enum<'CertificateType'>
export type ActionType = Enum<'ActionType'>
export type EntityType = Enum<'EntityType'>

export const CERTIFICATE_TYPES = ['CEA', 'EUA'] as const satisfies readonly CertificateType[]

/** Every action, under the heading it is looked for. A missing one is a type error below. */
export const ACTION_TYPES = {
  'Market makers': [
    'MM_CREATED', 'MM_UPDATED', 'MM_DELETED', 'MM_ORDER_PLACED', 'MM_ORDER_CANCELLED', 'MM_TRADE_EXECUTED',
  ],
  Assets: ['ASSET_DEPOSIT', 'ASSET_WITHDRAWAL', 'DEPOSIT_REQUESTED', 'DEPOSIT_APPROVED', 'DEPOSIT_REJECTED'],
  'Orders and trades': ['ORDER_PLACED', 'ORDER_CANCELLED', 'ORDER_FILLED', 'TRADE_EXECUTED', 'TRADE_SETTLED'],
  People: [
    'USER_LOGIN', 'USER_LOGOUT', 'USER_LOGIN_FAILED', 'USER_CREATED', 'USER_UPDATED', 'USER_DELETED',
    'KYC_UPLOADED', 'KYC_APPROVED', 'KYC_REJECTED', 'KYC_DOWNLOADED',
  ],
  System: [
    'ENTITY_MODIFIED', 'CERTIFICATE_MODIFIED', 'SETTINGS_CHANGED', 'PRICE_UPDATED',
    'DATA_EXPORTED', 'DATA_ARCHIVED', 'DATA_RESTORED',
  ],
} as const satisfies Record<string, readonly ActionType[]>

type Listed = (typeof ACTION_TYPES)[keyof typeof ACTION_TYPES][number]
const everyActionIsListed: [Exclude<ActionType, Listed>] extends [never] ? true : never = true
void everyActionIsListed

export const ACTIONS: readonly ActionType[] = Object.values(ACTION_TYPES).flat()
export const ENTITY_TYPES = [
  'USER', 'SESSION', 'MARKET_MAKER', 'ORDER', 'TRADE', 'ASSET_TRANSACTION', 'DEPOSIT', 'KYC_DOCUMENT', 'CERTIFICATE', 'SETTINGS',
] as const satisfies readonly EntityType[]
export const TICKET_ID = /^TKT-\d{4}-\d{6,}$/

/** A query string as it stands in the address: one text per name. */
export type Search = Record<string, string | undefined>
export type QuerySearch = { id?: string | undefined; q?: string | undefined }
export type LoginSearch = { to?: string }

/** Take a query string apart. The last of a repeated name wins. */
export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text))
}

/** Put a query string together, with commas and colons left readable. */
export function stringifySearch(search: Search): string {
  const pairs = Object.entries(search).filter((pair): pair is [string, string] => Boolean(pair[1]))
  const text = new URLSearchParams(pairs).toString().replaceAll('%2C', ',').replaceAll('%3A', ':').replaceAll('%2F', '/')
  return text && `?${text}`
}

/** Keep the text of the named parameters; a route's links are then checked by name. */
export function only<Name extends string>(search: Record<string, unknown>, ...names: Name[]): { [key in Name]?: string } {
  const kept: { [key in Name]?: string } = {}
  for (const name of names) if (typeof search[name] === 'string') kept[name] = search[name]
  return kept
}

/** Keep whatever is text, known or not: a link that is passed on loses nothing. */
export function texts(search: Record<string, unknown>): Search {
  return Object.fromEntries(Object.entries(search).filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
}

/** Give the address to go to after signing in: a path of ours, never another site. */
export function returnPath(to: string | undefined): string {
  return to && /^\/(?![/\\])/.test(to) && !to.startsWith('/login') ? to : '/'
}

/** Read one of some values; another one is named as ignored. */
export function pick<Value extends string>(
  search: Search,
  name: string,
  values: readonly Value[],
  ignored: string[],
): Value | undefined {
  const text = search[name]
  const value = values.find((known) => known === text?.toUpperCase())
  if (text && value === undefined) ignored.push(`${name}=${text}`)
  return value
}
