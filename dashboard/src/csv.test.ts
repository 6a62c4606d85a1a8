import { expect, it } from 'vitest'
import { csvOf } from './csv'

it('CSV quotes what needs it and disarms formulas, but leaves numbers alone', () => {
  const rows = [['-100', '=SUM(A1)', 'a "b", c'], ['-1.50', '@x', 'two\nlines'], ['', '-', '+1']]
  expect(csvOf(['amount', 'note', 'text'], rows)).toBe(
    'amount,note,text\r\n-100,\'=SUM(A1),"a ""b"", c"\r\n-1.50,\'@x,"two\nlines"\r\n,\'-,\'+1\r\n',
  )
})
