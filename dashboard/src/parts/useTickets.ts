import { useMemo } from 'react'
import { desk } from '../client'
import type { VariablesOf } from '../graphql'
import { useStore } from '../live/store'
import { PAGE_SIZE, TicketFeed, type TicketsView } from '../live/tickets'
import { problemOf } from '../problem'
import { TicketsQuery, TicketsStream, type TicketEntry } from './ticketDocuments'

export type TicketFilter = NonNullable<VariablesOf<typeof TicketsQuery>['filter']>

/** Follow the tickets that pass a filter for as long as the component shows them. The filter must be stable. */
export function useTickets(filter: TicketFilter): [TicketsView<TicketEntry>, TicketFeed<TicketEntry>] {
  const feed = useMemo(
    () =>
      new TicketFeed<TicketEntry>({
        load: async (after) => {
          const variables = { filter, first: PAGE_SIZE, after: after ?? null }
          const { data, error } = await desk.client
            .query(TicketsQuery, variables, { requestPolicy: 'network-only' })
            .toPromise()
          if (error) return { problem: problemOf(error) }
          const { nodes, pageInfo } = (data as NonNullable<typeof data>).tickets
          return { page: { rows: nodes, endCursor: pageInfo.endCursor, hasNextPage: pageInfo.hasNextPage } }
        },
        follow: (resumeAfter) => (sink) =>
          desk.connection.follow(TicketsStream, () => ({ filter, after: resumeAfter() ?? null }), {
            ...sink,
            next: ({ tickets }) => sink.next(tickets),
          }),
      }),
    [filter],
  )
  return [useStore(feed), feed]
}
