import { describe, expect, it } from 'vitest'
import { each, folded, story, type LedgerMove } from './ledgerFolds'

const move = (id: string, ticketId: string, reason: string, amount: string, asset = 'CEA'): LedgerMove => ({
  id, ticketId, reason, amount, asset, transactionType: amount.startsWith('-') ? 'TRADE_DEBIT' : 'TRADE_CREDIT',
})
// Newest first; the rows of T1 and T2 lie between each other, as a batch writes them.
const ROWS = [
  move('e', 'T3', 'LOCK', '-5'),
  move('d', 'T2', 'SETTLE_IN', '1209.50', 'EUR'),
  move('c', 'T1', 'SETTLE_IN', '604.00', 'EUR'),
  move('b', 'T2', 'SETTLE_OUT', '100'),
  move('a', 'T1', 'SETTLE_OUT', '50'),
]

describe('rows that share a ticket', () => {
  it('are one line where their newest stands', () => {
    expect(folded(ROWS, new Set()).map(({ id, fold }) => [id, fold?.rows.length])).toEqual([['e', undefined], ['T2', 2], ['T1', 2]])
  })

  it('follow their line when it is opened, each row once', () => {
    const lines = folded(ROWS, new Set(['T2', 'T3']))
    expect(lines.map(({ id, isWithin }) => [id, isWithin])).toEqual([
      ['e', false], ['T2', false], ['d', true], ['b', true], ['T1', false],
    ])
    expect(lines[1]?.fold?.isOpened).toBe(true)
  })

  it('are told as money goes', () => {
    expect(story([ROWS[1], ROWS[3]] as LedgerMove[])).toBe('Settle out +100 CEA → Settle in +1\u202f209.50 EUR')
    expect(each([ROWS[1], ROWS[3]] as LedgerMove[], 'asset')).toEqual(['CEA', 'EUR'])
    const many = Array.from({ length: 6 }, (_, index) => move(String(index), 'T', 'LOCK', '-1'))
    expect(story(many)).toMatch(/ → 2 more$/)
    expect(each(many, 'reason')).toEqual(['LOCK'])
  })
})
