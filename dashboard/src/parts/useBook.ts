import { useEffect, useMemo } from 'react'
import { desk } from '../client'
import { graphql } from '../graphql'
import { BookFeed, type BookEvent } from '../live/book'
import { usePart } from '../live/store'
import type { CertificateType } from '../paths'
import { streamAges } from './streamAges'

const HIDDEN_MS_MAX = 60_000 // a page that nobody sees needs no book

const OrderBookChanges = graphql(`
  subscription OrderBookChanges($certificateType: CertificateType!, $after: BigInt) {
    orderBookChanges(certificateType: $certificateType, afterSequence: $after) {
      __typename
      ... on OrderBookSnapshot {
        reason
        book {
          sequence
          checksum
          at
          bids { price quantity orderCount }
          asks { price quantity orderCount }
        }
      }
      ... on OrderBookDelta {
        sequence
        previousSequence
        checksum
        at
        changes { side price quantity orderCount }
      }
      ... on OrderBookHeartbeat { sequence at }
    }
  }
`)

/**
 * Follow one certificate's book for as long as the component shows it. What draws the book reads the feed itself: of a
 * whole page only that is drawn again ten times a second.
 */
export function useBook(certificateType: CertificateType): BookFeed {
  const feed = useMemo(
    () =>
      new BookFeed({
        follow: (after) => (sink) =>
          desk.connection.follow(OrderBookChanges, () => ({ certificateType, after: after() }), {
            ...sink,
            next: ({ orderBookChanges }) => sink.next(orderBookChanges as BookEvent),
          }),
        reconnect: () => desk.connection.renew(),
      }),
    [certificateType],
  )

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = () => {
      clearTimeout(timer)
      if (document.visibilityState === 'visible') feed.hide(false)
      else timer = setTimeout(() => feed.hide(true), HIDDEN_MS_MAX)
    }
    document.addEventListener('visibilitychange', look)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }, [feed])

  const staleSince = usePart(feed, ({ phase, freshAt }) => (phase === 'stale' ? freshAt : null))
  useEffect(() => {
    streamAges.report(staleSince)
    return () => streamAges.report(null)
  }, [staleSince])

  return feed
}
