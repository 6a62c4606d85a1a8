import type { introspection } from './graphql-env'

export type Role = introspection['types']['UserRole']['enumValues']

/**
 * What each role may do here: the one table that screens and navigation ask.
 * The server decides; this only keeps people from doors that are closed to them.
 */
const ALLOWED = {
  'market.read': ['ADMIN', 'ANALYST', 'TRADER'],
  'makers.read': ['ADMIN', 'ANALYST'],
  'tickets.read': ['ADMIN', 'ANALYST'],
  'payloads.read': ['ADMIN'],
  'trades.read': ['ADMIN', 'ANALYST'],
  'settings.read': ['ADMIN', 'ANALYST'],
  'people.read': ['ADMIN'],
  'operations.read': ['ADMIN'],
  'desk.write': ['ADMIN'],
  'own.trade': ['TRADER'],
  'query.run': ['ADMIN', 'ANALYST'],
} as const satisfies Record<string, readonly Role[]>

export type Permission = keyof typeof ALLOWED

/** Say whether a role has a permission. */
export function can(role: Role | undefined, permission: Permission): boolean {
  const roles: readonly Role[] = ALLOWED[permission]
  return role !== undefined && roles.includes(role)
}

/** Name the roles that have a permission, for the page that says what is missing. */
export function rolesThatCan(permission: Permission): readonly Role[] {
  return ALLOWED[permission]
}
