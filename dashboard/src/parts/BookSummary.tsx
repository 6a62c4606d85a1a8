import { formatCount, formatEur, formatInstant, formatPrice, formatQuantity, NOTHING } from '../format'
import type { BookView } from '../live/book'
import { useZone } from '../preferences'
import { Panel } from '../ui/Page'
import { DepthChart } from './DepthChart'
import styles from './BookSummary.module.css'

export interface Certificate {
  name: string
  tickSize: string
  lotSize: string
  referencePrice: string | null
}

/** Sum a book up: the touch, the depth, the certificate, and whether the feed can be trusted. */
export function BookSummary({ view, certificate }: { view: BookView; certificate: Certificate | undefined }) {
  const { book } = view
  const zone = useZone()
  return (
    <div className={styles.column} data-phase={view.phase}>
      <Panel label="Best prices" className={styles.touch}>
        <Touch side="bid" label="Best bid" price={book?.bestBid} quantity={book?.bids[0]?.quantity} />
        <Touch side="ask" label="Best ask" price={book?.bestAsk} quantity={book?.asks[0]?.quantity} />
      </Panel>
      <Panel label="Depth" className={styles.panel}>
        <h2 className={styles.title}>Depth</h2>
        <DepthChart book={book} />
        <dl className={styles.facts}>
          <Fact term="Bid quantity">{formatQuantity(book?.bids.at(-1)?.cumulativeQuantity)}</Fact>
          <Fact term="Ask quantity">{formatQuantity(book?.asks.at(-1)?.cumulativeQuantity)}</Fact>
        </dl>
      </Panel>
      <Panel label="Certificate" className={styles.panel}>
        <h2 className={styles.title}>{certificate?.name ?? 'Certificate'}</h2>
        <dl className={styles.facts}>
          <Fact term="Last price">{formatEur(book?.lastPrice)}</Fact>
          <Fact term="Reference price">{formatEur(certificate?.referencePrice)}</Fact>
          <Fact term="Tick">{formatEur(certificate?.tickSize)}</Fact>
          <Fact term="Lot">{formatQuantity(certificate?.lotSize)}</Fact>
        </dl>
      </Panel>
      <Panel label="Feed" className={styles.panel}>
        <h2 className={styles.title}>Feed</h2>
        <dl className={styles.facts}>
          <Fact term="Sequence">{book ? formatCount(book.sequence) : NOTHING}</Fact>
          <Fact term="Book of">{book ? formatInstant(book.at, zone) : NOTHING}</Fact>
          <Fact term="Checksum">{checksumState(view)}</Fact>
          <Fact term="Books received">{formatCount(view.events)}</Fact>
          <Fact term="Thrown away">{formatCount(view.faults)}</Fact>
        </dl>
      </Panel>
    </div>
  )
}

function checksumState({ book, problem }: BookView): string {
  if (problem?.code === 'BOOK_CONTRADICTION') return '✕ contradicted, asking again'
  return book ? '✓ verified' : NOTHING
}

interface TouchProps {
  side: 'bid' | 'ask'
  label: string
  price: string | null | undefined
  quantity: string | undefined
}

function Touch({ side, label, price, quantity }: TouchProps) {
  return (
    <div className={styles.side} data-side={side}>
      <div className={styles.label}>{label}</div>
      <div className={styles.price}>{formatPrice(price)}</div>
      <div className={styles.label}>{quantity === undefined ? 'nobody' : `${formatQuantity(quantity)} there`}</div>
    </div>
  )
}

function Fact({ term, children }: { term: string; children: string }) {
  return (
    <div className={styles.fact}>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  )
}
