import type { introspection } from './graphql-env'

type Enum<Name extends 'CertificateType' | 'ActionType' | 'TicketStatus'> = introspection['types'][Name]['enumValues']
export type CertificateType = Enum<'CertificateType'>
export type ActionType = Enum<'ActionType'>
export type TicketStatus = Enum<'TicketStatus'>

export const CERTIFICATE_TYPES = ['CEA', 'EUA'] as const satisfies readonly CertificateType[]
export const TICKET_STATUSES = ['SUCCESS', 'FAILED'] as const satisfies readonly TicketStatus[]

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

const ACTIONS: readonly ActionType[] = Object.values(ACTION_TYPES).flat()
const TICKET_ID = /^TKT-\d{4}-\d{6,}$/

/** A query string as it stands in the address: one text per name. */
export type Search = Record<string, string | undefined>
export type TicketsSearch = { status?: string | undefined; action?: string | undefined; ticket?: string | undefined }
export type LoginSearch = { to?: string }

export interface TicketsState {
  status: TicketStatus | undefined
  actions: readonly ActionType[]
  ticket: string | undefined
  ignored: string[]
}

/** Read what an address of the ticket list asks for. */
export function readTicketsSearch(search: TicketsSearch): TicketsState {
  const ignored: string[] = []
  const named = search.action?.split(',').filter(Boolean) ?? []
  const actions = ACTIONS.filter((action) => named.includes(action))
  ignored.push(...named.filter((name) => !isAction(name)).map((name) => `action=${name}`))
  const ticket = search.ticket?.trim().toUpperCase()
  if (ticket !== undefined && !TICKET_ID.test(ticket)) ignored.push(`ticket=${search.ticket}`)
  return {
    status: pick(search, 'status', TICKET_STATUSES, ignored),
    actions,
    ticket: ticket !== undefined && TICKET_ID.test(ticket) ? ticket : undefined,
    ignored,
  }
}

/** Write a filter of the ticket list into an address; what is empty leaves no trace. */
export function writeTicketsFilter(filter: Pick<TicketsState, 'status' | 'actions'>): TicketsSearch {
  return {
    ...(filter.status && { status: filter.status }),
    ...(filter.actions.length > 0 && { action: filter.actions.join(',') }),
  }
}

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

function isAction(name: string): name is ActionType {
  return (ACTIONS as readonly string[]).includes(name)
}
