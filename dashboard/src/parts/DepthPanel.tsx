import { formatEur, formatQuantity } from '../format'
import type { BookFeed } from '../live/book'
import { usePart } from '../live/store'
import { Panel } from '../ui/Page'
import { DepthChart } from './DepthChart'
import styles from './DepthPanel.module.css'
import type { Certificate } from './marketDocuments'

/** Draw the depth of a book beside the rules of its certificate. */
export function DepthPanel({ feed, certificate }: { feed: BookFeed; certificate: Certificate | undefined }) {
  const book = usePart(feed, (view) => view.book)
  return (
    <Panel label="Depth and rules" className={styles.panel}>
      <h2 className={styles.title}>{certificate?.name ?? 'Depth'}</h2>
      <DepthChart book={book} />
      <dl className={styles.facts}>
        <div>
          <dt>Reference price</dt>
          <dd>{formatEur(certificate?.referencePrice)}</dd>
        </div>
        <div>
          <dt>Tick</dt>
          <dd>{formatEur(certificate?.tickSize)}</dd>
        </div>
        <div>
          <dt>Lot</dt>
          <dd>{formatQuantity(certificate?.lotSize)}</dd>
        </div>
      </dl>
    </Panel>
  )
}
