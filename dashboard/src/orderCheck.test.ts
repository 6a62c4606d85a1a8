import { describe, expect, it } from 'vitest'
import { wholeOf } from './live/levels'
import { balanceChanged, checkOrder, shareOfAvailable, type OrderDraft, type OrderWorld } from './orderCheck'

const level = (price: string, quantity: string) => ({ price, quantity, orderCount: 1 })
const WORLD: OrderWorld = {
  certificateType: 'CEA',
  tickSize: '0.01',
  lotSize: '1',
  levels: wholeOf({ bids: [level('25.49', '138')], asks: [level('25.51', '89'), level('25.55', '682')] }),
  balance: { available: '9900', locked: '100' },
}
const draft = (part: Partial<OrderDraft>): OrderDraft => ({ side: 'SELL', kind: 'LIMIT', price: '25.55', quantity: '100', ...part })
const errorsOf = (part: Partial<OrderDraft>, world = WORLD) => checkOrder(draft(part), world).errors
const spaces = (text: string) => text.replaceAll('\u202f', ' ')

describe('an order that is written', () => {
  it('is told what it comes to and who stands before it', () => {
    expect(checkOrder(draft({}), WORLD)).toMatchObject({
      price: '25.55',
      quantity: '100',
      errors: {},
      warnings: [],
      notional: '2555.00',
      ahead: '771',
      reserves: { asset: 'CEA', amount: '100' },
    })
  })

  it.each([
    [{ price: '' }, { price: 'Enter a price above 0.' }],
    [{ price: '0' }, { price: 'Enter a price above 0.' }],
    [{ price: 'abc' }, { price: 'Write a number such as 25.50.' }],
    [{ price: '25.555' }, { price: 'Price must be a multiple of 0.01.' }],
    [{ quantity: '1.000' }, { quantity: 'Write thousands without a point: 1000.' }],
    [{ quantity: '' }, { quantity: 'Enter a quantity above 0.' }],
    [{ quantity: '1.5' }, { quantity: 'Quantity must be a multiple of 1.' }],
    [{ kind: 'MARKET' as const, price: 'abc' }, {}],
  ])('%j is answered with %j', (part, errors) => {
    expect(errorsOf(part)).toEqual(errors)
  })

  it('for more than is available says how much there is and what is locked', () => {
    const { quantity } = errorsOf({ quantity: '10000' })
    expect(spaces(quantity ?? '')).toBe('Only 9 900 CEA available; 100 is locked in orders.')
  })

  it('to buy reserves euros', () => {
    const world = { ...WORLD, balance: { available: '1000.00', locked: '0.00' } }
    expect(checkOrder(draft({ side: 'BUY', price: '25.40', quantity: '39' }), world)).toMatchObject({ errors: {}, reserves: { asset: 'EUR', amount: '990.60' } })
    expect(spaces(errorsOf({ side: 'BUY', price: '25.40', quantity: '40' }, world).quantity ?? '')).toBe('Only 1 000.00 EUR available.')
  })

  it('that would match now, or lies far off, or is large, has to be agreed to', () => {
    expect(checkOrder(draft({ price: '25.49' }), WORLD).warnings).toEqual(['Would match now: 100 @ 25.49'])
    expect(spaces(checkOrder(draft({ price: '30' }), WORLD).warnings.join())).toBe('17.65 % above mid 25.50. Check the price.')
    expect(checkOrder(draft({ quantity: '4951' }), WORLD).warnings).toEqual(['More than half of what is available would be sold.'])
    expect(checkOrder(draft({ quantity: '4950' }), WORLD).warnings).toEqual([])
  })

  it('takes a share of what is available, on the lot', () => {
    expect(shareOfAvailable(25n, draft({}), WORLD)).toBe('2475')
    expect(shareOfAvailable(100n, draft({}), { ...WORLD, lotSize: '1000' })).toBe('9000')
    const euros = { ...WORLD, balance: { available: '1000.00', locked: '0.00' } }
    expect(shareOfAvailable(100n, draft({ side: 'BUY', price: '25.40' }), euros)).toBe('39')
    expect(shareOfAvailable(100n, draft({ side: 'BUY', price: '' }), euros)).toBeUndefined()
  })
})

describe('a refusal for want of certificates', () => {
  it('says what there is now, and only of what is sold', () => {
    expect(balanceChanged({ code: 'INSUFFICIENT_BALANCE', details: { asset: 'CEA', available: '9400' } })).toBe(
      'Balance changed while you typed: now 9\u202f400 CEA. Nothing was placed.',
    )
    expect(balanceChanged({ code: 'INSUFFICIENT_BALANCE', details: { asset: 'EUR', available: '1' } })).toBeUndefined()
    expect(balanceChanged({ code: 'INVALID_PRICE', details: { asset: 'CEA', available: '1' } })).toBeUndefined()
    expect(balanceChanged({ code: 'INSUFFICIENT_BALANCE', details: null })).toBeUndefined()
  })
})
