import { initGraphQLTada } from 'gql.tada'
import type { introspection } from './graphql-env'

/**
 * Type each GraphQL document from schema.graphql.
 * Decimal stays text: money never passes through a JavaScript number.
 */
export const graphql = initGraphQLTada<{
  introspection: introspection
  scalars: { ID: string; Decimal: string; DateTime: string; JSON: unknown; BigInt: number }
  disableMasking: true
}>()

export type { FragmentOf, ResultOf, VariablesOf } from 'gql.tada'
