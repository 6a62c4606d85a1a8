import {
  Kind, isEnumType, isInputObjectType, isListType, isNonNullType, typeFromAST, type GraphQLInputType, type GraphQLSchema, type OperationDefinitionNode,
} from 'graphql'
import { operationOf } from './document'

/** What a variable, or a part of one, may be filled with. */
export interface Field {
  name: string
  /** As the schema writes it: `TicketStatus!`. */
  type: string
  description: string | undefined
  isRequired: boolean
  kind: 'text' | 'number' | 'choice' | 'choices' | 'texts' | 'json' | 'parts'
  /** Of `choice` and `choices`. */
  options: readonly string[]
  /** Of `parts`; asked for when it is opened, as inputs may hold themselves. */
  parts: () => readonly Field[]
}

const NUMBERS = new Set(['Int', 'Float', 'BigInt'])

/** Describe the variables of a document by the schema; nothing where either cannot be read. */
export function fieldsOf(schema: GraphQLSchema | undefined, text: string): readonly Field[] {
  if (!schema) return []
  try {
    const operation = operationOf(text).document.definitions.find((one): one is OperationDefinitionNode => one.kind === Kind.OPERATION_DEFINITION)
    return (operation?.variableDefinitions ?? []).flatMap(({ variable, type: node }) => {
      const type = typeFromAST(schema, node) as GraphQLInputType | undefined
      return type ? [fieldOf(variable.name.value, type, undefined)] : []
    })
  } catch {
    return []
  }
}

function fieldOf(name: string, type: GraphQLInputType, description: string | null | undefined): Field {
  const isRequired = isNonNullType(type)
  const given = isRequired ? type.ofType : type
  const inner = isListType(given) ? given.ofType : undefined
  const item = inner && (isNonNullType(inner) ? inner.ofType : inner)
  const base = { name, type: String(type), description: description ?? undefined, isRequired, options: [], parts: () => [] }
  if (item) {
    if (isEnumType(item)) return { ...base, kind: 'choices', options: item.getValues().map((value) => value.name) }
    return { ...base, kind: isInputObjectType(item) || isListType(item) || NUMBERS.has(String(item)) ? 'json' : 'texts' }
  }
  if (isEnumType(given)) return { ...base, kind: 'choice', options: given.getValues().map((value) => value.name) }
  if (isInputObjectType(given)) {
    return { ...base, kind: 'parts', parts: () => Object.values(given.getFields()).map((part) => fieldOf(part.name, part.type, part.description)) }
  }
  if (String(given) === 'Boolean') return { ...base, kind: 'choice', options: ['true', 'false'] }
  return { ...base, kind: NUMBERS.has(String(given)) ? 'number' : String(given) === 'JSON' ? 'json' : 'text' }
}

/** Write what a field holds as text, for its control. */
export function shownIn({ kind }: Field, value: unknown): string {
  if (value === undefined || value === null) return ''
  if (kind === 'texts' && Array.isArray(value)) return value.join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Read what was typed into a field; undefined leaves it out. What is no number stays text, for the server to refuse. */
export function readFrom({ kind, type }: Field, text: string): unknown {
  const plain = text.trim()
  if (plain === '') return undefined
  if (kind === 'texts') return plain.split(',').map((part) => part.trim()).filter(Boolean)
  if (kind === 'choice' && type.startsWith('Boolean')) return plain === 'true'
  if (kind === 'number') return Number.isSafeInteger(Number(plain)) || type.startsWith('Float') ? Number(plain) : plain
  if (kind !== 'json') return text
  try {
    return JSON.parse(plain)
  } catch {
    return text
  }
}

/** Put a value where a path leads, or take it away; what is empty then goes with it. */
export function withValue(values: Record<string, unknown>, [name, ...rest]: readonly string[], value: unknown): Record<string, unknown> {
  if (name === undefined) return values
  const { [name]: old, ...others } = values
  const inner = typeof old === 'object' && old !== null && !Array.isArray(old) ? (old as Record<string, unknown>) : {}
  const fresh = rest.length === 0 ? value : withValue(inner, rest, value)
  const isGone = fresh === undefined || (rest.length > 0 && Object.keys(fresh as object).length === 0)
  if (isGone) return others
  return name in values ? { ...values, [name]: fresh } : { ...others, [name]: fresh }
}
