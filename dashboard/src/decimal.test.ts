import { describe, expect, it } from 'vitest'
import { difference, isDecimal, middle, ratio, textOf, unitsOf } from './decimal'

describe('decimals', () => {
  it('are exact where numbers are not', () => {
    expect(difference('0.10', '0.30')).toBe('0.20')
    expect(difference('999999999999.99', '1000000000000.00')).toBe('0.01')
    expect(difference('10000', '9900')).toBe('-100')
  })

  it('are read only as the API writes them', () => {
    expect(['1', '-1.50', '0.00000001'].every(isDecimal)).toBe(true)
    expect(['', 'NaN', '1e3', '1,0', '.5', 5, null].some(isDecimal)).toBe(false)
    expect(() => unitsOf('NaN')).toThrow(RangeError)
  })

  it('round half away from zero and never write minus zero', () => {
    expect(textOf(unitsOf('2.345'), 2)).toBe('2.35')
    expect(textOf(unitsOf('-2.345'), 2)).toBe('-2.35')
    expect(textOf(unitsOf('-0.001'), 2)).toBe('0.00')
  })

  it('have a middle and a ratio', () => {
    expect(middle('25.49', '25.51')).toBe('25.50')
    expect(middle('25.49', '25.50')).toBe('25.495')
    expect(ratio('1', '4')).toBe(0.25)
    expect(ratio('1', '0')).toBe(0)
  })
})
