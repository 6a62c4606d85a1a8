import { graphql, type FragmentOf } from '../graphql'
import type { AssetName, Range, TransactionType } from '../marketPaths'
import type { List } from './usePages'

export const LedgerRow = graphql(`
  fragment LedgerRow on AssetTransaction {
    id
    asset
    transactionType
    reason
    amount
    balanceAfter
    lockedAfter
    notes
    ticketId
    createdAt
    createdBy { id name }
  }
`)

const MakerLedger = graphql(
  `
    query MakerLedger($id: ID!, $filter: TransactionFilter, $first: Int!, $after: String) {
      marketMaker(id: $id) {
        transactions(filter: $filter, first: $first, after: $after) {
          nodes { ...LedgerRow }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
  `,
  [LedgerRow],
)

const MakerLedgerCount = graphql(`
  query MakerLedgerCount($id: ID!, $filter: TransactionFilter) {
    marketMaker(id: $id) { transactions(filter: $filter, first: 1) { totalCount totalCountIsExact } }
  }
`)

const OwnLedger = graphql(
  `
    query OwnLedger($filter: TransactionFilter, $first: Int!, $after: String) {
      me {
        transactions(filter: $filter, first: $first, after: $after) {
          nodes { ...LedgerRow }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
  `,
  [LedgerRow],
)

const OwnLedgerCount = graphql(`
  query OwnLedgerCount($filter: TransactionFilter) {
    me { transactions(filter: $filter, first: 1) { totalCount totalCountIsExact } }
  }
`)

export type LedgerEntry = FragmentOf<typeof LedgerRow>

/** Which rows of a ledger. */
export interface LedgerFilter {
  asset?: AssetName
  transactionTypes?: TransactionType[]
  dateFrom?: string
}

interface Page {
  nodes: readonly LedgerEntry[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

const NO_PAGE: Page = { nodes: [], pageInfo: { hasNextPage: false, endCursor: null } }
const NO_COUNT = { totalCount: 0, totalCountIsExact: true }

/** The ledger of a market maker. */
export const makerLedger = {
  query: MakerLedger,
  read: (data) => data.marketMaker?.transactions ?? NO_PAGE,
  total: { query: MakerLedgerCount, read: (data) => data.marketMaker?.transactions ?? NO_COUNT },
} satisfies List<LedgerEntry, { id: string; filter?: LedgerFilter | null }, { marketMaker: { transactions: Page } | null }, { marketMaker: { transactions: typeof NO_COUNT } | null }>

/** One's own ledger. */
export const ownLedger = {
  query: OwnLedger,
  read: (data) => data.me?.transactions ?? NO_PAGE,
  total: { query: OwnLedgerCount, read: (data) => data.me?.transactions ?? NO_COUNT },
} satisfies List<LedgerEntry, { filter?: LedgerFilter | null }, { me: { transactions: Page } | null }, { me: { transactions: typeof NO_COUNT } | null }>

/** Say how far a range goes back. */
export const RANGE_WORDS: Record<Range, string> = { '24h': 'Last 24 hours', '7d': 'Last 7 days', '30d': 'Last 30 days' }
