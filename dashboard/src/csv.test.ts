import { describe, expect, it } from 'vitest'
import { csvLine, csvOf, ndjsonOf, RecordCounter, tsvOf } from './csv'

describe('a file', () => {
  it('quotes what needs it, and defuses what a spreadsheet would run', () => {
    expect(csvLine(['a,b', 'say "x"', 'two\nlines', null, undefined, 7, true, { a: 1 }])).toBe(
      '"a,b","say ""x""","two\nlines",,,7,true,"{""a"":1}"\r\n',
    )
    expect(csvLine(['=1+1', '-2.50', '+3', '-x', '@a', '\tb'])).toBe("'=1+1,-2.50,+3,'-x,'@a,'\tb\r\n")
    expect(csvOf(['a', 'b'], [{ b: 2, a: 1 }, { a: 3 }])).toBe('a,b\r\n1,2\r\n3,\r\n')
    expect(ndjsonOf([{ a: 1 }, { a: null }])).toBe('{"a":1}\n{"a":null}\n')
    expect(tsvOf(['a', 'b'], [{ a: 'x\ty', b: '=1' }])).toBe("a\tb\nx y\t'=1")
  })

  it('is counted by records, however its bytes arrive', () => {
    const bytes = new TextEncoder().encode('a,b\r\n"one\r\n""two""",1\r\nx,2\r\n')
    const counter = new RecordCounter('csv')
    for (const byte of bytes) counter.add(Uint8Array.of(byte))
    expect(counter.rows).toBe(2)
    const lines = new RecordCounter('ndjson')
    lines.add(new TextEncoder().encode('{"a":"\\""}\n{}\n'))
    expect(lines.rows).toBe(2)
  })
})
