import { graphql, type FragmentOf, type ResultOf } from '../graphql'

export const UserRow = graphql(`
  fragment UserRow on User {
    id
    name
    email
    role
    isActive
    kycStatus
    createdAt
  }
`)

export const UsersQuery = graphql(
  `
    query Users($filter: UserFilter, $first: Int!, $after: String) {
      users(filter: $filter, first: $first, after: $after) {
        nodes { ...UserRow }
        pageInfo { hasNextPage endCursor }
      }
    }
  `,
  [UserRow],
)

export const UsersTotal = graphql(`
  query UsersTotal($filter: UserFilter) {
    users(filter: $filter, first: 1) { totalCount totalCountIsExact }
  }
`)

export const UserQuery = graphql(
  `
    query User($id: ID!) {
      user(id: $id) {
        ...UserRow
        kycReason
        kycDocuments { id kind fileName contentType bytes sha256 uploadedAt ticketId }
        balances { asset available locked total }
        orders(filter: { statuses: [OPEN, PARTIALLY_FILLED] }, first: 1) { totalCount }
        deposits(first: 5) { nodes { id amount reference status createdAt ticketId } }
      }
      sessions(userId: $id) { id createdAt lastSeenAt expiresAt ipAddress userAgent isCurrent }
    }
  `,
  [UserRow],
)

export const CreateUser = graphql(`
  mutation CreateUser($input: CreateUserInput!) {
    createUser(input: $input) {
      ticketId
      errors { code message field details }
      user { id name role }
    }
  }
`)

export const UpdateUser = graphql(`
  mutation UpdateUser($id: ID!, $input: UpdateUserInput!) {
    updateUser(id: $id, input: $input) {
      ticketId
      errors { code message field details }
      user { id name role isActive }
      cancelledOrders { id }
      sessionsRevoked
    }
  }
`)

export const RevokeSessions = graphql(`
  mutation RevokeSessions($userId: ID, $sessionId: ID) {
    revokeSessions(userId: $userId, sessionId: $sessionId) {
      ticketId
      errors { code message field details }
      sessionsRevoked
    }
  }
`)

export const ApproveKyc = graphql(`
  mutation ApproveKyc($userId: ID!) {
    approveKyc(userId: $userId) {
      ticketId
      errors { code message field details }
      user { id name kycStatus }
    }
  }
`)

export const RejectKyc = graphql(`
  mutation RejectKyc($userId: ID!, $reason: String!) {
    rejectKyc(userId: $userId, reason: $reason) {
      ticketId
      errors { code message field details }
      user { id name kycStatus }
    }
  }
`)

export const DepositsQuery = graphql(`
  query Deposits($filter: DepositFilter, $first: Int!, $after: String) {
    deposits(filter: $filter, first: $first, after: $after) {
      nodes {
        id
        amount
        reference
        status
        reason
        createdAt
        decidedAt
        ticketId
        user { id name balances { asset available locked } }
        decidedBy { id name }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`)

export const DepositsTotal = graphql(`
  query DepositsTotal($filter: DepositFilter) {
    deposits(filter: $filter, first: 1) { totalCount totalCountIsExact }
  }
`)

export const ApproveDeposit = graphql(`
  mutation ApproveDeposit($id: ID!) {
    approveDeposit(id: $id) {
      ticketId
      errors { code message field details }
      deposit { id amount status }
    }
  }
`)

export const RejectDeposit = graphql(`
  mutation RejectDeposit($id: ID!, $reason: String!) {
    rejectDeposit(id: $id, reason: $reason) {
      ticketId
      errors { code message field details }
      deposit { id amount status }
    }
  }
`)

export const SettlementTradesQuery = graphql(`
  query SettlementTrades($filter: TradeFilter, $first: Int!, $after: String) {
    trades(filter: $filter, first: $first, after: $after) {
      nodes {
        id
        certificateType
        price
        quantity
        notional
        status
        executedAt
        settledAt
        registryReference
        ticketId
        buyer { id name }
        seller { id name }
        marketMaker { id name }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`)

export const SettlementTradesTotal = graphql(`
  query SettlementTradesTotal($filter: TradeFilter) {
    trades(filter: $filter, first: 1) { totalCount totalCountIsExact }
  }
`)

export const SettleTrades = graphql(`
  mutation SettleTrades($input: [SettleTradeInput!]!) {
    settleTrades(input: $input) {
      ticketId
      errors { code message field details }
      trades { id status registryReference settledAt }
    }
  }
`)

export const SettlementTickets = graphql(`
  query SettlementTickets($ticketId: ID!) {
    tickets(filter: { relatedTo: $ticketId, actionTypes: [TRADE_SETTLED] }, first: 100) {
      nodes { ticketId entityId status }
    }
  }
`)

export const SettingsQuery = graphql(`
  query Settings {
    certificates {
      certificateType
      name
      description
      tickSize
      lotSize
      referencePrice
      isHalted
      lastTrade { price executedAt }
    }
    settings { haltedCertificates priceBandPercent publicMarketData }
  }
`)

export const UpdateCertificate = graphql(`
  mutation UpdateCertificate($certificateType: CertificateType!, $input: UpdateCertificateInput!) {
    updateCertificate(certificateType: $certificateType, input: $input) {
      ticketId
      errors { code message field details }
      certificate { certificateType name }
    }
  }
`)

export const UpdatePrice = graphql(`
  mutation UpdatePrice($certificateType: CertificateType!, $price: Decimal!) {
    updatePrice(certificateType: $certificateType, price: $price) {
      ticketId
      errors { code message field details }
      certificate { certificateType referencePrice }
    }
  }
`)

export const UpdateSettings = graphql(`
  mutation UpdateSettings($input: UpdateSettingsInput!) {
    updateSettings(input: $input) {
      ticketId
      errors { code message field details }
      settings { haltedCertificates priceBandPercent publicMarketData }
    }
  }
`)

export type UserEntry = FragmentOf<typeof UserRow>
export type UserDetail = NonNullable<ResultOf<typeof UserQuery>['user']>
export type SessionEntry = ResultOf<typeof UserQuery>['sessions'][number]
export type DepositEntry = ResultOf<typeof DepositsQuery>['deposits']['nodes'][number]
export type TradeEntry = ResultOf<typeof SettlementTradesQuery>['trades']['nodes'][number]
export type CertificateEntry = ResultOf<typeof SettingsQuery>['certificates'][number]
export type SettingsEntry = ResultOf<typeof SettingsQuery>['settings']
