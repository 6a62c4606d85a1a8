import { useEffect, useMemo, useState } from 'react'
import { useAnswer } from '../client'
import { graphql } from '../graphql'
import { startOf } from '../marketPaths'

const MINUTE_MS = 60_000

// One statement for all of them, from the counts by minute.
const MakerSuccess = graphql(`
  query MakerSuccess($from: DateTime!) {
    aggregateTickets(groupBy: [MARKET_MAKER], filter: { hasMarketMaker: true, dateFrom: $from }, first: 1000) {
      groups { marketMakerId count failedCount }
    }
  }
`)

export interface Success {
  count: number
  failed: number
}

/** Count what was tried for each market maker within the last 24 hours, anew each minute; undefined until it is known. */
export function useSuccess(): ReadonlyMap<string, Success> | undefined {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), MINUTE_MS)
    return () => clearInterval(timer)
  }, [])
  const { data } = useAnswer(MakerSuccess, { from: startOf('24h', now) ?? '' })
  return useMemo(
    () =>
      data &&
      new Map(data.aggregateTickets.groups.map(({ marketMakerId, count, failedCount }) => [marketMakerId ?? '', { count, failed: failedCount }])),
    [data],
  )
}
