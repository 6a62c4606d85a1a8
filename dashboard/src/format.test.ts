import { describe, expect, it } from 'vitest'
import {
  formatAge,
  formatAmount,
  formatDelta,
  formatDuration,
  formatEur,
  formatInstant,
  formatPrice,
  formatQuantity,
  formatTime,
  plain,
  words,
} from './format'

const THIN = '\u202f'

describe('figures', () => {
  it('have thin thousands and the places of their asset', () => {
    expect(formatEur('1250000')).toBe(`1${THIN}250${THIN}000.00${THIN}EUR`)
    expect(formatEur('25.5')).toBe(`25.50${THIN}EUR`)
    expect(formatQuantity('10000')).toBe(`10${THIN}000`)
    expect(formatAmount('100.00', 'CEA')).toBe('100')
    expect(formatPrice('25.50')).toBe('25.50')
  })

  it('are never rounded', () => {
    expect(formatPrice('25.4951')).toBe('25.4951')
    expect(formatQuantity('999999999999')).toBe(`999${THIN}999${THIN}999${THIN}999`)
  })

  it('have a true minus, and a plus only in changes', () => {
    expect(formatAmount('-1234.5', 'EUR')).toBe(`\u22121${THIN}234.50`)
    expect(formatDelta('100')).toBe('+100')
    expect(formatDelta('-100.00')).toBe('\u2212100.00')
    expect(formatDelta('0.00')).toBe('0.00')
  })

  it('say nothing where there is nothing', () => {
    expect([formatPrice(null), formatQuantity(undefined), formatDuration(null)]).toEqual(['—', '—', '—'])
  })

  it('are copied plain', () => {
    expect(plain(`\u22121${THIN}234.50${THIN}EUR`)).toBe('-1234.50 EUR')
  })
})

describe('time', () => {
  it('is UTC with Z, to the millisecond', () => {
    expect(formatInstant('2026-01-19T14:03:22.114987Z')).toBe('2026-01-19 14:03:22.114Z')
    expect(formatInstant('2026-01-19T15:03:22+01:00')).toBe('2026-01-19 14:03:22.000Z')
    expect(formatTime('2026-01-19T14:03:22Z')).toBe('14:03:22Z')
  })

  it('has an offset when local', () => {
    expect(formatTime('2026-01-19T14:03:22Z', 'local')).toMatch(/^\d\d:\d\d:\d\d[+\u2212]\d\d:\d\d$/)
  })

  it('has an age', () => {
    expect([0, 59_999, 60_000, 7_200_000, 200_000_000].map(formatAge)).toEqual(
      ['0 s', '59 s', '1 min', '2 h', '2 d'].map((text) => text.replace(' ', THIN)),
    )
  })
})

it('names of the schema become words', () => {
  expect(words('MM_ORDER_PLACED')).toBe('MM order placed')
  expect(words('KYC_APPROVED')).toBe('KYC approved')
  expect(words('USER_LOGIN_FAILED')).toBe('User login failed')
})
