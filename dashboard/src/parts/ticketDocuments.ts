import { graphql, type FragmentOf, type ResultOf } from '../graphql'

export const TicketRow = graphql(`
  fragment TicketRow on Ticket {
    ticketId
    timestamp
    actionType
    status
    summary
    errorCode
    user { id name }
    marketMaker { id name }
    entityType
    entityId
    ipAddress
    durationMs
    tags
  }
`)

export const TicketsQuery = graphql(
  `
    query Tickets($filter: TicketFilter, $orderBy: TicketOrder, $first: Int!, $after: String) {
      tickets(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
        nodes { ...TicketRow }
        pageInfo { hasNextPage endCursor }
      }
    }
  `,
  [TicketRow],
)

export const TicketsStream = graphql(
  `
    subscription TicketStream($filter: TicketFilter, $after: ID) {
      tickets(filter: $filter, after: $after) { ...TicketRow }
    }
  `,
  [TicketRow],
)

/** How many, exactly, and when: what stands over a list. */
export const TicketVolume = graphql(`
  query TicketVolume($filter: TicketFilter, $timeZone: String!) {
    ticketStats(filter: $filter, timeZone: $timeZone) {
      totalActions
      failedCount
      actionsOverTime { from to successCount failedCount }
    }
  }
`)

/** Values of filters with how often they occur. */
export const TicketFacets = graphql(`
  query TicketFacets($filter: TicketFilter) {
    ticketStats(filter: $filter) {
      byActionType { actionType count failedCount }
      byErrorCode { errorCode count lastAt }
      byUser { count failedCount user { id name } }
    }
  }
`)

export const TicketQuery = graphql(
  `
    query Ticket($ticketId: ID!) {
      ticket(ticketId: $ticketId) {
        ...TicketRow
        errorMessage
        requestPayload
        responseData
        beforeState
        afterState
        userAgent
        sessionId
        digest
        sealedAt
        relatedTicketIds
      }
    }
  `,
  [TicketRow],
)

export const RelatedTickets = graphql(`
  query RelatedTickets($ticketId: ID!, $depth: Int!) {
    ticket(ticketId: $ticketId) {
      relatedTickets(depth: $depth) { ticketId timestamp actionType status summary relatedTicketIds }
    }
  }
`)

export const TicketProofQuery = graphql(`
  query TicketProof($ticketId: ID!) {
    ticketProof(ticketId: $ticketId) { ticketId leafIndex treeSize leafHash path checkpoint }
  }
`)

export type TicketEntry = FragmentOf<typeof TicketRow>
export type TicketDetail = NonNullable<ResultOf<typeof TicketQuery>['ticket']>
export type RelatedTicket = NonNullable<ResultOf<typeof RelatedTickets>['ticket']>['relatedTickets'][number]
export type VolumeBar = ResultOf<typeof TicketVolume>['ticketStats']['actionsOverTime'][number]
