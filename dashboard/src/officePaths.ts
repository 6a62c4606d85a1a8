import type { introspection } from './graphql-env'
import { CERTIFICATE_TYPES, pick, type CertificateType } from './paths'

type Enum<Name extends 'UserRole' | 'KycStatus' | 'DepositStatus' | 'TradeStatus'> = introspection['types'][Name]['enumValues']

export const ROLES = ['ADMIN', 'ANALYST', 'TRADER', 'MARKET_MAKER'] as const satisfies readonly Enum<'UserRole'>[]
export const SIGN_IN_ROLES = ['TRADER', 'ANALYST', 'ADMIN'] as const satisfies readonly Enum<'UserRole'>[]
export const KYC_STATUSES = ['PENDING', 'APPROVED', 'REJECTED', 'NONE'] as const satisfies readonly Enum<'KycStatus'>[]
export const DEPOSIT_STATUSES = ['PENDING', 'APPROVED', 'REJECTED'] as const satisfies readonly Enum<'DepositStatus'>[]
export const TRADE_STATUSES = ['EXECUTED', 'SETTLED'] as const satisfies readonly Enum<'TradeStatus'>[]
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i
const DAY = /^\d{4}-\d{2}-\d{2}$/

export const USERS_NAMES = ['q', 'role', 'active', 'kyc', 'user', 'new'] as const
export const KYC_NAMES = ['status', 'q', 'user'] as const
export const DEPOSITS_NAMES = ['status', 'from', 'to'] as const
export const TRADES_NAMES = ['status', 'cert', 'mm', 'from', 'to'] as const
type Named<Names extends readonly string[]> = { [name in Names[number]]?: string | undefined }
export type UsersSearch = Named<typeof USERS_NAMES>
export type KycSearch = Named<typeof KYC_NAMES>
export type DepositsSearch = Named<typeof DEPOSITS_NAMES>
export type TradesSearch = Named<typeof TRADES_NAMES>

/** Read what an address of the list of users asks for; what makes no sense is named, never obeyed. */
export function readUsersSearch(search: UsersSearch) {
  const ignored: string[] = []
  const active = pick(search, 'active', ['TRUE', 'FALSE'] as const, ignored)
  const role = pick(search, 'role', ROLES, ignored)
  const kycStatus = pick(search, 'kyc', KYC_STATUSES, ignored)
  const filter = {
    ...(search.q?.trim() && { search: search.q.trim() }),
    ...(role && { role }),
    ...(kycStatus && { kycStatus }),
    ...(active && { isActive: active === 'TRUE' }),
  }
  return { filter, user: uuid(search, 'user', ignored), creating: search.new === 'user', ignored }
}

/** Read what an address of the identity checks asks for: those that wait, when it does not say. */
export function readKycSearch(search: KycSearch) {
  const ignored: string[] = []
  const kycStatus = pick(search, 'status', KYC_STATUSES, ignored) ?? 'PENDING'
  const filter = { kycStatus, role: 'TRADER' as const, ...(search.q?.trim() && { search: search.q.trim() }) }
  return { filter, user: uuid(search, 'user', ignored), ignored }
}

/** Read what an address of the deposits asks for: those that wait, when it does not say; `all` means all. */
export function readDepositsSearch(search: DepositsSearch) {
  const ignored: string[] = []
  const status = pick(search, 'status', [...DEPOSIT_STATUSES, 'ALL'] as const, ignored) ?? 'PENDING'
  const filter = { ...(status !== 'ALL' && { statuses: [status] }), ...days(search, ignored) }
  return { filter, status, ignored }
}

/** Read what an address of the trades asks for: those that wait for the registry, when it does not say. */
export function readTradesSearch(search: TradesSearch) {
  const ignored: string[] = []
  const status = pick(search, 'status', [...TRADE_STATUSES, 'ALL'] as const, ignored) ?? 'EXECUTED'
  const certificateType: CertificateType | undefined = pick(search, 'cert', CERTIFICATE_TYPES, ignored)
  const marketMakerId = uuid(search, 'mm', ignored)
  const filter = {
    ...(status !== 'ALL' && { status }),
    ...(certificateType && { certificateType }),
    ...(marketMakerId && { marketMakerId }),
    ...days(search, ignored),
  }
  return { filter, status, certificateType, marketMakerId, ignored }
}

// Days of UTC, both included: `to` ends with its last instant.
function days(search: { from?: string | undefined; to?: string | undefined }, ignored: string[]) {
  const dateFrom = instantOf(search.from, 0)
  const dateTo = instantOf(search.to, 1)
  if (search.from && !dateFrom) ignored.push(`from=${search.from}`)
  if (search.to && !dateTo) ignored.push(`to=${search.to}`)
  return { ...(dateFrom && { dateFrom }), ...(dateTo && { dateTo }) }
}

function instantOf(day: string | undefined, daysLater: number): string | undefined {
  if (!day || !DAY.test(day)) return undefined
  const date = new Date(`${day}T00:00:00Z`)
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== day) return undefined
  date.setUTCDate(date.getUTCDate() + daysLater)
  return date.toISOString()
}

function uuid<Name extends string>(search: { [name in Name]?: string | undefined }, name: Name, ignored: string[]): string | undefined {
  const text = search[name]
  if (!text) return undefined
  if (UUID.test(text)) return text.toLowerCase()
  ignored.push(`${name}=${text}`)
  return undefined
}
