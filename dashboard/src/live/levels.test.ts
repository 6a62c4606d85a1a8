import { describe, expect, it } from 'vitest'
import { crc32 } from './crc32'
import { changed, checksumOf, isCrossed, matchOf, NO_LEVELS, queueAhead, rungsOf, wholeOf, type SentLevel } from './levels'

const level = (price: string, quantity: string): SentLevel => ({ price, quantity, orderCount: 1 })
const BOOK = wholeOf({
  bids: [level('25.49', '138'), level('25.48', '303'), level('25.41', '10')],
  asks: [level('25.51', '89'), level('25.55', '682'), level('25.70', '393')],
})

describe('the checksum', () => {
  it('is CRC-32 as IEEE 802.3 defines it', () => {
    expect(crc32('123456789')).toBe(0xcbf43926)
    expect(crc32('')).toBe(0)
  })

  it('covers the best ten of each side as the contract writes them', () => {
    const side = Array.from({ length: 12 }, (_, at) => level(`1.${at}`, '1'))
    const ten = side.slice(0, 10)
    const text = ten.map(({ price }) => `b:${price}:1;`).join('') + ten.map(({ price }) => `a:${price}:1;`).join('')
    expect(checksumOf({ bids: side, asks: side })).toBe(crc32(text))
  })
})

describe('changes', () => {
  it('set, add and remove levels, best first on both sides', () => {
    const after = changed(BOOK, [
      { side: 'BUY', ...level('25.49', '0') },
      { side: 'BUY', ...level('25.50', '7') },
      { side: 'BUY', ...level('25.40', '1') },
      { side: 'SELL', ...level('25.55', '600') },
      { side: 'SELL', ...level('25.505', '3') },
      { side: 'SELL', ...level('26.00', '4') },
      { side: 'SELL', ...level('99.00', '0') },
    ])
    expect(after.bids.map(({ price, quantity }) => `${price}:${quantity}`)).toEqual(['25.50:7', '25.48:303', '25.41:10', '25.40:1'])
    expect(after.asks.map(({ price, quantity }) => `${price}:${quantity}`)).toEqual([
      '25.505:3', '25.51:89', '25.55:600', '25.70:393', '26.00:4',
    ])
    expect(BOOK.bids).toHaveLength(3) // what was published stays as it was
  })

  it('lead to the same book as a naive one, ten thousand times', () => {
    let seed = 7
    const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below
    const naive = { BUY: new Map<string, string>(), SELL: new Map<string, string>() }
    let levels = NO_LEVELS
    for (let step = 0; step < 10_000; step += 1) {
      const side = random(2) ? 'BUY' : 'SELL'
      const price = (side === 'BUY' ? 20 + random(40) / 10 : 25 + random(40) / 10).toFixed(2)
      const quantity = String(random(4) * 10)
      levels = changed(levels, [{ side, price, quantity, orderCount: 1 }])
      if (quantity === '0') naive[side].delete(price)
      else naive[side].set(price, quantity)
    }
    const sorted = (side: 'BUY' | 'SELL') => [...naive[side]].sort(([a], [b]) => (side === 'BUY' ? Number(b) - Number(a) : Number(a) - Number(b)))
    expect(levels.bids.map(({ price, quantity }) => [price, quantity])).toEqual(sorted('BUY'))
    expect(levels.asks.map(({ price, quantity }) => [price, quantity])).toEqual(sorted('SELL'))
  })

  it('that cross the book are seen', () => {
    expect(isCrossed(BOOK)).toBe(false)
    expect(isCrossed(changed(BOOK, [{ side: 'BUY', ...level('25.51', '1') }]))).toBe(true)
    expect(isCrossed(NO_LEVELS)).toBe(false)
  })
})

describe('the rows of the ladder', () => {
  it('add up from the touch', () => {
    expect(rungsOf(BOOK, 'ask', '0.01', 20).map(({ price, quantity, total }) => [price, quantity, total])).toEqual([
      ['25.51', '89', '89'],
      ['25.55', '682', '771'],
      ['25.70', '393', '1164'],
    ])
  })

  it('group asks upwards and bids downwards, so that no row promises too much', () => {
    expect(rungsOf(BOOK, 'ask', '0.10', 20).map(({ price, quantity, orders }) => [price, quantity, orders])).toEqual([
      ['25.60', '771', 2],
      ['25.70', '393', 1],
    ])
    expect(rungsOf(BOOK, 'bid', '0.10', 20).map(({ price, quantity, prices }) => [price, quantity, prices])).toEqual([
      ['25.40', '451', ['25.49', '25.48', '25.41']],
    ])
  })

  it('are never more than asked for, and the last one is whole', () => {
    expect(rungsOf(BOOK, 'bid', '0.05', 1)).toMatchObject([{ price: '25.45', quantity: '441' }])
  })

  it('mark what is far larger than the rest', () => {
    const book = wholeOf({ bids: [], asks: [level('1', '10'), level('2', '10'), level('3', '51'), level('4', '50')] })
    expect(rungsOf(book, 'ask', '0.01', 20).map(({ isLarge }) => isLarge)).toEqual([false, false, false, false])
    const more = wholeOf({ bids: [], asks: [level('1', '10'), level('2', '10'), level('3', '51')] })
    expect(rungsOf(more, 'ask', '0.01', 20).map(({ isLarge }) => isLarge)).toEqual([false, false, true])
  })
})

describe('an order beside the book', () => {
  it('matches what is as good as its limit, at the prices of those who wait', () => {
    expect(matchOf(BOOK, 'SELL', '25.48', '200')).toEqual({ quantity: '200', average: '25.49', worst: '25.48', notional: '5097.38' })
    expect(matchOf(BOOK, 'SELL', '25.50', '200')).toBeUndefined()
    expect(matchOf(BOOK, 'BUY', null, '100')).toEqual({ quantity: '100', average: '25.51', worst: '25.55', notional: '2551.44' })
  })

  it('waits behind better prices and behind its own', () => {
    expect(queueAhead(BOOK, 'SELL', '25.55')).toBe('771')
    expect(queueAhead(BOOK, 'SELL', '25.50')).toBe('0')
    expect(queueAhead(BOOK, 'BUY', '25.48')).toBe('441')
  })
})
