import { GraphQLError, Kind, parse, print, visit, type DocumentNode, type OperationDefinitionNode } from 'graphql'

/** What a document asks for, as far as running it needs to know. */
export interface Operation {
  type: 'query' | 'mutation' | 'subscription'
  name: string | undefined
  /** The names of its variables. */
  variables: readonly string[]
  document: DocumentNode
}

/**
 * Read the text of the editor: one operation, fragments beside it.
 * Raises: DocumentError in words for the reader.
 */
export function operationOf(text: string): Operation {
  let document: DocumentNode
  try {
    document = parse(text)
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
    const line = error.locations?.[0]?.line
    throw new DocumentError(line === undefined ? error.message : `Line ${line}: ${error.message}`)
  }
  const operations = document.definitions.filter((one): one is OperationDefinitionNode => one.kind === Kind.OPERATION_DEFINITION)
  const [operation] = operations
  if (!operation) throw new DocumentError('There is no operation in the document.')
  if (operations.length > 1) throw new DocumentError('There are several operations; keep one.')
  return {
    type: operation.operation,
    name: operation.name?.value,
    variables: (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value),
    document,
  }
}

/**
 * Read the variables: a JSON object, or nothing.
 * Raises: DocumentError.
 */
export function variablesOf(text: string): Record<string, unknown> {
  if (!text.trim()) return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new DocumentError(`Variables are not JSON: ${error instanceof Error ? error.message : ''}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DocumentError('Variables are a JSON object, such as { "first": 100 }.')
  return value as Record<string, unknown>
}

/** Write a document as it is usually written; one that cannot be read stays as it is. */
export function prettified(text: string): string {
  try {
    return `${print(parse(text))}\n`
  } catch {
    return text
  }
}

/** Say what a document lacks for all its pages to be fetched; undefined when nothing. */
export function pagingFault(text: string): string | undefined {
  let operation: Operation
  try {
    operation = operationOf(text)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  if (operation.type !== 'query') return 'Only queries have pages.'
  let used = false
  visit(operation.document, {
    Argument: ({ name, value }) => {
      if (name.value === 'after' && value.kind === Kind.VARIABLE && value.name.value === 'after') used = true
    },
  })
  if (!operation.variables.includes('after') || !used) return 'Declare $after: String and give it to the list: after: $after.'
  if (!/pageInfo\s*\{[^}]*\}/.test(text) || !/hasNextPage/.test(text) || !/endCursor/.test(text)) return 'Select pageInfo { hasNextPage endCursor }.'
  return undefined
}

export class DocumentError extends Error {}
