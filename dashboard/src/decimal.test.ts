import { describe, expect, it } from 'vitest'
import { compare, difference, isDecimal, isMultiple, middle, product, ratio, readDecimal, shareOf, sum, textOf, unitsOf } from './decimal'

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

describe('what people write', () => {
  it.each([
    ['25.5', '25.5'],
    ['25,5', '25.5'],
    ['1 000,50', '1000.50'],
    ['1,000.50', '1000.50'],
    ['1.000,50', '1000.50'],
    ['1\u202f000', '1000'],
    ["1'000'000", '1000000'],
    ['1,000', '1000'],
    ['1.000.000', '1000000'],
    [' 007.50 ', '7.50'],
    ['0.125', '0.125'],
    ['\u22125', '-5'],
  ])('%j is %s', (written, read) => {
    expect(readDecimal(written)).toBe(read)
  })

  it.each(['', '.', '5.', '.5', '1e3', 'NaN', '1.000', '12,34,56', '1,00,0', '1 000 x', '1.2.3', '0,1,2', '1,000,50'])(
    '%j is refused rather than guessed',
    (written) => {
      expect(readDecimal(written)).toBeUndefined()
    },
  )
})

describe('reckoning', () => {
  it('is exact', () => {
    expect(sum('0.1', '0.25')).toBe('0.35')
    expect(sum('10', '-0.01')).toBe('9.99')
    expect(product('25.55', '100')).toBe('2555.00')
    expect(product('9999999999.99', '3')).toBe('29999999999.97')
    expect(compare('10', '9.99')).toBe(1)
    expect(compare('1.50', '1.5')).toBe(0)
  })

  it('takes a share down to the lot', () => {
    expect(shareOf('9900', 25n, '1')).toBe('2475')
    expect(shareOf('9999', 50n, '10')).toBe('4990')
    expect(shareOf('3', 25n, '1')).toBe('0')
  })

  it('knows what lies on a grid', () => {
    expect(isMultiple('25.55', '0.01')).toBe(true)
    expect(isMultiple('25.555', '0.01')).toBe(false)
    expect(isMultiple('15', '10')).toBe(false)
  })
})
