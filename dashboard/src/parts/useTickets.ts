import { useMemo } from 'react'
import { desk } from '../client'
import { useStore } from '../live/store'
import { PAGE_SIZE, TicketFeed, type TicketsView } from '../live/tickets'
import { filterOf, type TicketsState } from '../tickets/search'
import { TicketsQuery, TicketsStream, type TicketEntry } from './ticketDocuments'
import { ask } from './usePages'

export type Narrowed = Pick<TicketsState, 'terms' | 'tagMode' | 'words' | 'range' | 'order'>

/**
 * Follow the tickets that a state asks for, for as long as the component shows them; states are compared by content.
 * A relative window begins when the list was last read: `view.readAt`, which counts and exports must use too.
 */
export function useTickets(state: Narrowed): [TicketsView<TicketEntry>, TicketFeed<TicketEntry>] {
  const { terms, tagMode, words, range, order } = state
  const key = JSON.stringify({ terms, tagMode, words, range, order })
  const feed = useMemo(() => {
    const asked = JSON.parse(key) as Narrowed
    return new TicketFeed<TicketEntry>({
      load: async (after, readAt) => {
        const variables = { filter: filterOf(asked, readAt), orderBy: asked.order, first: PAGE_SIZE, after: after ?? null }
        const answer = await ask(TicketsQuery, variables)
        if ('problem' in answer) return answer
        const { nodes, pageInfo } = answer.value.tickets
        return { page: { rows: nodes, endCursor: pageInfo.endCursor, hasNextPage: pageInfo.hasNextPage } }
      },
      follow:
        asked.order === 'NEWEST'
          ? (readAt, resumeAfter) => (sink) =>
              desk.connection.follow(TicketsStream, () => ({ filter: filterOf(asked, readAt), after: resumeAfter() ?? null }), {
                ...sink,
                next: ({ tickets }) => sink.next(tickets),
              })
          : undefined,
    })
  }, [key])
  return [useStore(feed), feed]
}
