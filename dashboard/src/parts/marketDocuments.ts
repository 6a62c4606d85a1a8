import { graphql, type FragmentOf, type ResultOf } from '../graphql'

export const OrderRow = graphql(`
  fragment OrderRow on Order {
    id
    certificateType
    side
    orderType
    timeInForce
    price
    quantity
    filledQuantity
    remainingQuantity
    averagePrice
    status
    cancelReason
    createdAt
    updatedAt
    ticketId
    marketMaker { id name }
  }
`)

export const TradeRow = graphql(`
  fragment TradeRow on Trade {
    id
    certificateType
    price
    quantity
    notional
    takerSide
    executedAt
    ticketId
  }
`)

export const OrdersQuery = graphql(
  `
    query Orders($filter: OrderFilter, $first: Int!, $after: String) {
      orders(filter: $filter, first: $first, after: $after) {
        nodes { ...OrderRow }
        pageInfo { hasNextPage endCursor }
      }
    }
  `,
  [OrderRow],
)

export const OrdersStream = graphql(
  `
    subscription OrdersStream($filter: OrderFilter) {
      orders(filter: $filter) { ...OrderRow }
    }
  `,
  [OrderRow],
)

export const TradesQuery = graphql(
  `
    query Trades($filter: TradeFilter, $first: Int!, $after: String) {
      trades(filter: $filter, first: $first, after: $after) {
        nodes { ...TradeRow }
        pageInfo { hasNextPage endCursor }
      }
    }
  `,
  [TradeRow],
)

export const TradesStream = graphql(
  `
    subscription TradesStream($certificateType: CertificateType) {
      trades(certificateType: $certificateType) { ...TradeRow }
    }
  `,
  [TradeRow],
)

export const CertificatesQuery = graphql(`
  query Certificates {
    certificates { certificateType name tickSize lotSize referencePrice isHalted }
  }
`)

export const PlaceMarketOrder = graphql(
  `
    mutation PlaceMarketOrder($input: PlaceMarketOrderInput!) {
      placeMarketOrder(input: $input) {
        ticketId
        errors { code message field details }
        order { ...OrderRow }
        trades { id price quantity notional ticketId }
      }
    }
  `,
  [OrderRow],
)

export const PlaceOrder = graphql(
  `
    mutation PlaceOrder($input: PlaceOrderInput!) {
      placeOrder(input: $input) {
        ticketId
        errors { code message field details }
        order { ...OrderRow }
        trades { id price quantity notional ticketId }
      }
    }
  `,
  [OrderRow],
)

export const CancelMarketOrder = graphql(
  `
    mutation CancelMarketOrder($id: ID!) {
      cancelMarketOrder(id: $id) {
        ticketId
        errors { code message field details }
        order { ...OrderRow }
      }
    }
  `,
  [OrderRow],
)

export const CancelOrder = graphql(
  `
    mutation CancelOrder($id: ID!) {
      cancelOrder(id: $id) {
        ticketId
        errors { code message field details }
        order { ...OrderRow }
      }
    }
  `,
  [OrderRow],
)

export const CancelAllMarketOrders = graphql(
  `
    mutation CancelAllMarketOrders($marketMakerId: ID!, $certificateType: CertificateType) {
      cancelAllMarketOrders(marketMakerId: $marketMakerId, certificateType: $certificateType) {
        ticketId
        errors { code message field details }
        cancelledOrders { ...OrderRow }
      }
    }
  `,
  [OrderRow],
)

export const CancelTickets = graphql(`
  query CancelTickets($ticketId: ID!) {
    ticket(ticketId: $ticketId) {
      relatedTickets { ticketId entityId actionType }
    }
  }
`)

export type OrderEntry = FragmentOf<typeof OrderRow>
export type TradeEntry = FragmentOf<typeof TradeRow>
export type Certificate = ResultOf<typeof CertificatesQuery>['certificates'][number]
