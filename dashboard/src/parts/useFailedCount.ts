import { useEffect, useState } from 'react'
import { desk, useAnswer } from '../client'
import { graphql } from '../graphql'

const WINDOW_MS = 24 * 60 * 60 * 1_000
const REFRESH_MS = 60_000 // what grows older than a day leaves the count
const SOON_MS = 2_000 // after the first of a burst of failures

const FailedCount = graphql(`
  query FailedCount($from: DateTime!) {
    ticketStats(filter: { status: FAILED, dateFrom: $from }) { failedCount }
  }
`)

const FailedTickets = graphql(`
  subscription FailedTickets {
    tickets(filter: { status: FAILED }) { ticketId }
  }
`)

/** Count what failed in the last 24 hours, renewed as it fails; undefined until it is known. */
export function useFailedCount(): number | undefined {
  const [from, setFrom] = useState(aDayAgo)
  const { data } = useAnswer(FailedCount, { from })
  const known = data?.ticketStats.failedCount
  const [shown, setShown] = useState(known)
  if (known !== undefined && known !== shown) setShown(known)

  useEffect(() => {
    let soon: ReturnType<typeof setTimeout> | undefined
    const again = () => {
      soon = undefined
      setFrom(aDayAgo())
    }
    const every = setInterval(again, REFRESH_MS)
    const stop = desk.connection.follow(FailedTickets, () => ({}), {
      next: () => (soon ??= setTimeout(again, SOON_MS)),
      down: () => undefined,
    })
    return () => {
      stop()
      clearTimeout(soon)
      clearInterval(every)
    }
  }, [])
  return shown
}

function aDayAgo(): string {
  return new Date(Date.now() - WINDOW_MS).toISOString()
}
