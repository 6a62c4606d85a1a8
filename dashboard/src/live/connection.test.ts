import { expect, it } from 'vitest'
import { backoffMs } from './connection'

it('waits twice as long after each failure, up to a quarter of a minute, with jitter', () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000])
  expect(backoffMs(0, 0)).toBe(250)
})
