import { expect, it } from 'vitest'
import { can, rolesThatCan, type Permission, type Role } from './can'

const ROLES: readonly Role[] = ['ADMIN', 'ANALYST', 'TRADER', 'MARKET_MAKER']

it.each<[Permission, readonly Role[]]>([
  ['market.read', ['ADMIN', 'ANALYST', 'TRADER']],
  ['makers.read', ['ADMIN', 'ANALYST']],
  ['tickets.read', ['ADMIN', 'ANALYST']],
  ['payloads.read', ['ADMIN']],
  ['trades.read', ['ADMIN', 'ANALYST']],
  ['settings.read', ['ADMIN', 'ANALYST']],
  ['people.read', ['ADMIN']],
  ['operations.read', ['ADMIN']],
  ['desk.write', ['ADMIN']],
  ['own.trade', ['TRADER']],
  ['query.run', ['ADMIN', 'ANALYST']],
])('%s belongs to %j and nobody else', (permission, allowed) => {
  expect(ROLES.filter((role) => can(role, permission))).toEqual(allowed)
  expect(rolesThatCan(permission)).toEqual(allowed)
  expect(can(undefined, permission)).toBe(false)
})
