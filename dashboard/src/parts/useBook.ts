import { useEffect, useMemo } from 'react'
import { desk } from '../client'
import { graphql } from '../graphql'
import { BookFeed, DEPTH, type BookView } from '../live/book'
import { useStore } from '../live/store'
import type { CertificateType } from '../paths'
import { streamAges } from './streamAges'

const OrderBook = graphql(`
  subscription OrderBook($certificateType: CertificateType!, $depth: Int!) {
    orderBook(certificateType: $certificateType, depth: $depth) {
      certificateType
      sequence
      bids { price quantity orderCount cumulativeQuantity }
      asks { price quantity orderCount cumulativeQuantity }
      bestBid
      bestAsk
      spread
      lastPrice
      checksum
      at
    }
  }
`)

/** Follow one certificate's book for as long as the component shows it. */
export function useBook(certificateType: CertificateType): BookView {
  const feed = useMemo(
    () =>
      new BookFeed((sink) =>
        desk.connection.follow(OrderBook, () => ({ certificateType, depth: DEPTH }), {
          ...sink,
          next: ({ orderBook }) => sink.next(orderBook),
        }),
      ),
    [certificateType],
  )
  const view = useStore(feed)

  const staleSince = view.phase === 'stale' ? view.receivedAt : null
  useEffect(() => {
    streamAges.report(staleSince)
    return () => streamAges.report(null)
  }, [staleSince])

  return view
}
