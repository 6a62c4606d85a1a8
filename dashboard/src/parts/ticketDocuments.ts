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
    durationMs
    tags
  }
`)

export const TicketsQuery = graphql(
  `
    query Tickets($filter: TicketFilter, $first: Int!, $after: String) {
      tickets(filter: $filter, first: $first, after: $after) {
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

export const TicketQuery = graphql(
  `
    query Ticket($ticketId: ID!) {
      ticket(ticketId: $ticketId) {
        ...TicketRow
        errorMessage
        requestPayload
        responseData
        changes { path before after }
        ipAddress
        userAgent
        sessionId
        relatedTickets { ticketId timestamp actionType status summary }
      }
    }
  `,
  [TicketRow],
)

export type TicketEntry = FragmentOf<typeof TicketRow>
export type TicketDetail = NonNullable<ResultOf<typeof TicketQuery>['ticket']>
