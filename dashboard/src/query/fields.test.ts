import { buildSchema } from 'graphql'
import { describe, expect, it } from 'vitest'
import { fieldsOf, readFrom, shownIn, withValue, type Field } from './fields'

const schema = buildSchema(`
  scalar BigInt
  enum Status { DONE FAILED }
  input Filter { "Which." status: Status, statuses: [Status!], tags: [String!], inner: Filter, ranks: [Rank!], isOpen: Boolean }
  input Rank { by: String! }
  type Query { list(filter: Filter, first: Int!, after: String, seq: BigInt): [Int!] }
`)
const fields = fieldsOf(schema, 'query($filter: Filter, $first: Int!, $after: String, $seq: BigInt) { list(filter: $filter, first: $first, after: $after, seq: $seq) }')
const part = (name: string) => fields[0]?.parts().find((field) => field.name === name) as Field

describe('the variables of a document', () => {
  it('are fields by their types', () => {
    expect(fields.map(({ name, type, kind, isRequired }) => [name, type, kind, isRequired])).toEqual([
      ['filter', 'Filter', 'parts', false], ['first', 'Int!', 'number', true], ['after', 'String', 'text', false], ['seq', 'BigInt', 'number', false],
    ])
    expect(fields[0]?.parts().map(({ name, kind }) => [name, kind])).toEqual([
      ['status', 'choice'], ['statuses', 'choices'], ['tags', 'texts'], ['inner', 'parts'], ['ranks', 'json'], ['isOpen', 'choice'],
    ])
    expect(part('status')).toMatchObject({ options: ['DONE', 'FAILED'], description: 'Which.' })
    expect(part('inner').parts()).toHaveLength(6)
  })

  it('are none where the document or a type is not known', () => {
    expect(fieldsOf(undefined, '{ list }')).toEqual([])
    expect(fieldsOf(schema, 'query($a: Int {')).toEqual([])
    expect(fieldsOf(schema, 'query($a: Nowhere) { list }')).toEqual([])
  })

  it('are read as what they are, and shown again', () => {
    const [, first, after, seq] = fields as [Field, Field, Field, Field]
    expect([readFrom(first, ' 50 '), readFrom(first, 'many'), readFrom(seq, '9007199254740993')]).toEqual([50, 'many', '9007199254740993'])
    expect([readFrom(after, ' x '), readFrom(after, '')]).toEqual([' x ', undefined])
    expect(readFrom(part('tags'), 'a, b,')).toEqual(['a', 'b'])
    expect([readFrom(part('isOpen'), 'false'), readFrom(part('status'), 'DONE')]).toEqual([false, 'DONE'])
    expect([readFrom(part('ranks'), '[{"by":"x"}]'), readFrom(part('ranks'), '[')]).toEqual([[{ by: 'x' }], '['])
    expect([shownIn(part('tags'), ['a', 'b']), shownIn(first, 50), shownIn(after, undefined), shownIn(part('isOpen'), false)]).toEqual(['a, b', '50', '', 'false'])
  })

  it('are put where they belong, and leave nothing empty behind', () => {
    const values = { filter: { status: 'DONE' }, first: 5 }
    expect(Object.keys(withValue(values, ['filter', 'tags'], ['a']))).toEqual(['filter', 'first'])
    expect(withValue(values, ['filter', 'inner', 'status'], 'FAILED')).toEqual({ filter: { status: 'DONE', inner: { status: 'FAILED' } }, first: 5 })
    expect(withValue(values, ['filter', 'status'], undefined)).toEqual({ first: 5 })
    expect(withValue({}, ['filter', 'inner', 'status'], undefined)).toEqual({})
  })
})
