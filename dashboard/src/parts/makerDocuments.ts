import { graphql, type FragmentOf } from '../graphql'

export const BalanceRow = graphql(`
  fragment BalanceRow on Balance {
    holderId
    marketMakerId
    asset
    available
    locked
    total
    seq
  }
`)

export const MakerRow = graphql(
  `
    fragment MakerRow on MarketMaker {
      id
      name
      description
      isActive
      createdAt
      user { id email }
      balances { ...BalanceRow }
      stats { openOrders trades soldQuantity proceeds lastTradeAt }
    }
  `,
  [BalanceRow],
)

export const MakersQuery = graphql(
  `
    query Makers($filter: MarketMakerFilter, $first: Int!, $after: String) {
      marketMakers(filter: $filter, first: $first, after: $after) {
        nodes { ...MakerRow }
        pageInfo { hasNextPage endCursor }
      }
    }
  `,
  [MakerRow],
)

export const MakerQuery = graphql(
  `
    query Maker($id: ID!) {
      marketMaker(id: $id) {
        ...MakerRow
        createdBy { id name }
        created: tickets(filter: { actionTypes: [MM_CREATED] }, orderBy: OLDEST, first: 1) { nodes { ticketId } }
      }
    }
  `,
  [MakerRow],
)

export const BalancesStream = graphql(
  `
    subscription Balances($userId: ID, $marketMakers: Boolean) {
      balances(userId: $userId, marketMakers: $marketMakers) { ...BalanceRow }
    }
  `,
  [BalanceRow],
)

export const MakerTickets = graphql(`
  subscription MakerTickets {
    tickets(filter: { hasMarketMaker: true, actionTypes: [MM_CREATED, MM_UPDATED, MM_DELETED] }) { ticketId }
  }
`)

export const CreateMarketMaker = graphql(
  `
    mutation CreateMarketMaker($input: CreateMarketMakerInput!) {
      createMarketMaker(input: $input) {
        ticketId
        errors { code message field details }
        marketMaker { ...MakerRow }
      }
    }
  `,
  [MakerRow],
)

export const UpdateMarketMaker = graphql(
  `
    mutation UpdateMarketMaker($id: ID!, $input: UpdateMarketMakerInput!) {
      updateMarketMaker(id: $id, input: $input) {
        ticketId
        errors { code message field details }
        marketMaker { ...MakerRow }
        cancelledOrders { id certificateType remainingQuantity }
      }
    }
  `,
  [MakerRow],
)

export const DeleteMarketMaker = graphql(
  `
    mutation DeleteMarketMaker($id: ID!) {
      deleteMarketMaker(id: $id) {
        ticketId
        errors { code message field details }
        marketMaker { ...MakerRow }
        cancelledOrders { id certificateType remainingQuantity }
      }
    }
  `,
  [MakerRow],
)

export const CreateTransaction = graphql(
  `
    mutation CreateTransaction($input: CreateTransactionInput!) {
      createTransaction(input: $input) {
        ticketId
        errors { code message field details }
        transaction { id amount balanceAfter }
        balance { ...BalanceRow }
      }
    }
  `,
  [BalanceRow],
)

export type MakerEntry = FragmentOf<typeof MakerRow>
