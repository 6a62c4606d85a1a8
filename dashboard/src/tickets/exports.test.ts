import { describe, expect, it } from 'vitest'
import { fileNameOf } from './exports'
import { viewsIn } from './views'

const NOW = Date.parse('2026-01-20T14:03:22.114Z')

describe('a file', () => {
  it('is named by its window and what narrows it', () => {
    const range = { from: '2026-01-19T00:00:00.000Z', to: '2026-01-20T00:00:00.000Z' }
    expect(fileNameOf({ range, terms: { status: [{ text: 'FAILED', excluded: false }] } }, NOW)).toBe('tickets_2026-01-19T00Z_2026-01-20T00Z_failed')
    expect(fileNameOf({ range: {}, terms: {} }, NOW)).toBe('tickets_first_2026-01-20T140322Z')
  })
})

describe('views from a file', () => {
  it('lead into the log and nowhere else', () => {
    const good = { name: 'Failed', path: '/logging/failed?last=24h' }
    const text = JSON.stringify([good, { name: 'x', path: 'https://evil.example' }, { name: 'y', path: '//evil.example/logging/a' }, { name: '', path: '/logging/tickets' }, null, 7])
    expect(viewsIn(text)).toEqual([good])
    expect(() => viewsIn('{}')).toThrow(SyntaxError)
    expect(() => viewsIn('no')).toThrow(SyntaxError)
  })
})
