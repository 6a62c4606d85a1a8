import { expect, it } from 'vitest'
import { areaOf, AREAS, PLACES } from './areas'

it('an address belongs to the area it lies below, and to no other', () => {
  expect(areaOf('/market-makers/$makerId')?.label).toBe('Market makers')
  expect(areaOf('/logging/tickets/$ticketId')?.label).toBe('Logging')
  expect(areaOf('/market-makers-of-old')).toBeUndefined()
  expect(areaOf('/')).toBeUndefined()
})

it('no two places are reached by the same keys', () => {
  const keys = [...PLACES, ...AREAS.filter(({ places }) => places)].map(({ key }) => key)
  expect(new Set(keys).size).toBe(keys.length)
})
