import { expect, it } from 'vitest'
import { successShare } from './success'

it('is the part that was done, and whole only when nothing failed', () => {
  expect(successShare(0, 0)).toBe('\u2014')
  expect(successShare(77, 1)).toBe('98.7')
  expect(successShare(100_000, 1)).toBe('99.9')
  expect(successShare(7, 0)).toBe('100.0')
  expect(successShare(3, 3)).toBe('0.0')
})
