import { useMemo } from 'react'
import { desk } from '../client'
import { BalancesFeed, type Balance } from '../live/balances'
import { useStore } from '../live/store'
import { BalancesStream } from './makerDocuments'

const EVERY_MAKER = 'every market maker'

/** Follow the balances of one holder. Without one: one's own. */
export function useBalances(userId?: string): ReadonlyMap<string, Balance> {
  return useFeed(userId)
}

/** Follow the balances of all market makers. */
export function useMakerBalances(): ReadonlyMap<string, Balance> {
  return useFeed(EVERY_MAKER)
}

function useFeed(whose: string | undefined): ReadonlyMap<string, Balance> {
  const feed = useMemo(
    () =>
      new BalancesFeed((sink) =>
        desk.connection.follow(
          BalancesStream,
          () => (whose === EVERY_MAKER ? { marketMakers: true } : whose === undefined ? {} : { userId: whose }),
          { ...sink, next: ({ balances }) => sink.next(balances) },
        ),
      ),
    [whose],
  )
  return useStore(feed).balances
}
