import { useMemo } from 'react'
import { desk } from '../client'
import type { VariablesOf } from '../graphql'
import { RowsFeed, type RowsView } from '../live/rows'
import { useStore } from '../live/store'
import { problemOf } from '../problem'
import { MakersQuery, MakerTickets, type MakerEntry } from './makerDocuments'
import { onBack } from './useOrders'

type MakerFilter = NonNullable<VariablesOf<typeof MakersQuery>['filter']>

const PAGE_SIZE = 100
const REFRESH_MS = 300 // after the first of a burst of tickets

/** Follow the market makers that pass a filter, by name, read again whenever one was created or changed. */
export function useMakers(filter: MakerFilter): [RowsView<MakerEntry>, RowsFeed<MakerEntry>] {
  const feed = useMemo(() => feedOf(filter), [filter])
  return [useStore(feed), feed]
}

function feedOf(filter: MakerFilter): RowsFeed<MakerEntry> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const feed: RowsFeed<MakerEntry> = new RowsFeed<MakerEntry>({
    whole: true,
    load: async (after) => {
      const variables = { filter, first: PAGE_SIZE, after: after ?? null }
      const { data, error } = await desk.client.query(MakersQuery, variables, { requestPolicy: 'network-only' }).toPromise()
      if (error) return { problem: problemOf(error) }
      const { nodes, pageInfo } = (data as NonNullable<typeof data>).marketMakers
      return { rows: nodes, ...pageInfo }
    },
    follow: (sink) => {
      const stop = desk.connection.follow(MakerTickets, () => ({}), {
        ...sink,
        next: () => {
          timer ??= setTimeout(() => {
            timer = undefined
            void feed.reload()
          }, REFRESH_MS)
        },
      })
      return () => {
        stop()
        clearTimeout(timer)
        timer = undefined
      }
    },
    back: onBack,
    isNewer: (a, b) => a.name.localeCompare(b.name) < 0,
    belongs: () => true,
    replaces: () => true,
  })
  return feed
}
