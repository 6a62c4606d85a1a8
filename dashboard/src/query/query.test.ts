import { readFileSync } from 'node:fs'
import { buildSchema, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { operationOf, pagingFault, prettified, variablesOf } from './document'
import { EXAMPLES } from './examples'
import { rowsOf } from './rows'
import { fetchPages, type Answer } from './run'
import { packed, unpacked } from './share'
import { snippet } from './snippets'

const schema = buildSchema(readFileSync(new URL('../../../schema.graphql', import.meta.url), 'utf8'))

describe('the examples', () => {
  it('are twelve, each with a name of its own, and all fit the schema', () => {
    expect(new Set(EXAMPLES.map(({ name }) => name)).size).toBe(12)
    for (const { name, query, variables } of EXAMPLES) {
      expect(validate(schema, parse(query)).map(({ message }) => `${name}: ${message}`)).toEqual([])
      const declared = operationOf(query).variables
      expect(Object.keys(variablesOf(variables)).every((given) => declared.includes(given))).toBe(true)
    }
  })
})

describe('rows of an answer', () => {
  it('are the nodes of its connection, flattened, in the order of their fields', () => {
    const found = rowsOf({
      marketMaker: { name: 'A', orders: { nodes: [{ id: 1, user: { name: 'x' } }, { id: 2, user: null, tags: ['a'] }], pageInfo: { hasNextPage: true, endCursor: 'c' } } },
    })
    expect(found.rows).toEqual([{ id: 1, 'user.name': 'x' }, { id: 2, user: null, tags: ['a'] }])
    expect(found.columns).toEqual(['id', 'user.name', 'tags'])
    expect([found.path, found.page]).toEqual(['marketMaker.orders', { hasNextPage: true, endCursor: 'c' }])
  })

  it('are edges, a list, or the answer itself where there is no connection', () => {
    expect(rowsOf({ tickets: { edges: [{ node: { id: 1 }, cursor: 'c' }] } }).rows).toEqual([{ id: 1 }])
    expect(rowsOf({ certificates: [{ name: 'a' }] }).rows).toEqual([{ name: 'a' }])
    expect(rowsOf({ me: { name: 'a' } }).rows).toEqual([{ 'me.name': 'a' }])
    expect(rowsOf(null).rows).toEqual([])
  })
})

describe('a document', () => {
  it('is one operation', () => {
    expect(operationOf('query A($first: Int!) { me { id } }')).toMatchObject({ type: 'query', name: 'A', variables: ['first'] })
    expect(() => operationOf('{ me ')).toThrow(/^Line 1: /)
    expect(() => operationOf('query A { me { id } } query B { me { id } }')).toThrow('There are several operations; keep one.')
    expect(operationOf('mutation { logout { ticketId } }').type).toBe('mutation')
    expect(prettified('{me{id}}')).toBe('{\n  me {\n    id\n  }\n}\n')
    expect(prettified('{ me ')).toBe('{ me ')
  })

  it('says what it lacks for all its pages', () => {
    expect(pagingFault('{ tickets { nodes { id } } }')).toContain('$after: String')
    expect(pagingFault('query($after: String) { tickets(after: $after) { nodes { id } } }')).toContain('pageInfo')
    expect(pagingFault('query($after: String) { tickets(after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }')).toBeUndefined()
    expect(pagingFault('mutation { logout { ticketId } }')).toBe('Only queries have pages.')
  })

  it('takes a JSON object as variables', () => {
    expect(variablesOf(' ')).toEqual({})
    expect(variablesOf('{"a":1}')).toEqual({ a: 1 })
    for (const wrong of ['[1]', '7', '{a}']) expect(() => variablesOf(wrong)).toThrow()
  })
})

describe('all pages', () => {
  const answer = (numbers: number[], endCursor: string | null): Answer => ({
    data: { list: { nodes: numbers.map((n) => ({ n })), pageInfo: { hasNextPage: endCursor !== null, endCursor } } },
    errors: [],
    tookMs: 1,
    body: null,
  })
  const three = (after: string | null) => Promise.resolve(after === null ? answer([1, 2], 'a') : after === 'a' ? answer([3, 4], 'b') : answer([5], null))

  it('are fetched to the end, each row once', async () => {
    const seen: number[] = []
    const pages = await fetchPages(three, 100, new AbortController().signal, (rows) => seen.push(rows))
    expect(pages).toMatchObject({ end: 'whole', pages: 3, columns: ['n'] })
    expect(pages.rows.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5])
    expect(seen).toEqual([2, 4])
  })

  it('end at the cap, when stopped, and at a refusal, and keep what was read', async () => {
    expect(await fetchPages(three, 3, new AbortController().signal, () => undefined)).toMatchObject({ end: 'capped', rows: [{ n: 1 }, { n: 2 }, { n: 3 }] })
    const abort = new AbortController()
    expect(await fetchPages(three, 100, abort.signal, () => abort.abort())).toMatchObject({ end: 'stopped', rows: [{ n: 1 }, { n: 2 }] })
    const refused = (after: string | null) => Promise.resolve(after === null ? answer([1], 'a') : { ...answer([], null), errors: [{ message: 'Too complex.' }] })
    expect(await fetchPages(refused, 100, new AbortController().signal, () => undefined)).toMatchObject({ end: 'failed', failure: 'Too complex.', rows: [{ n: 1 }] })
    const stuck = () => Promise.resolve(answer([1], 'a'))
    expect((await fetchPages(stuck, 100, new AbortController().signal, () => undefined)).end).toBe('failed')
  })
})

describe('a shared query', () => {
  it('comes back from its address, and nothing else does', async () => {
    const draft = { query: EXAMPLES[0]?.query ?? '', variables: '{ "first": 1, "note": "Ärger" }' }
    const text = await packed(draft)
    expect(text).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(await unpacked(text)).toEqual(draft)
    expect(await unpacked('not a query')).toBeUndefined()
    await expect(packed({ query: Array.from({ length: 40_000 }, (_, n) => (n * 2_654_435_761) % 9_973).join(), variables: '' })).rejects.toThrow(RangeError)
  })
})

describe('a program', () => {
  it('carries the query and its variables, and no token', () => {
    for (const language of ['curl', 'python', 'polars'] as const) {
      const code = snippet(language, 'http://desk.example', 'query A { me { id } }', { first: 1 })
      expect(code).toContain('http://desk.example/graphql')
      expect(code).toContain('me { id }')
      expect(code).toContain('"first":1')
      expect(code).toMatch(/TOKEN/)
    }
  })
})
