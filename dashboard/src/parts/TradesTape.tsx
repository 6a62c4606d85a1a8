import { formatPrice, formatQuantity, formatTime } from '../format'
import type { RowsView } from '../live/rows'
import { useZone } from '../preferences'
import { ProblemNote } from '../ui/Notes'
import type { TradeEntry } from './marketDocuments'
import styles from './TradesTape.module.css'

/** List the newest trades of a certificate, newest first; which side came second is said by word and colour. */
export function TradesTape({ view, label, shown }: { view: RowsView<TradeEntry>; label: string; shown: number }) {
  const zone = useZone()
  if (view.problem && view.rows.length === 0) return <ProblemNote problem={view.problem} />
  return (
    <div className={styles.scroller} tabIndex={0} role="region" aria-label={label}>
      <table className={styles.tape} aria-busy={view.phase === 'loading'}>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Taker</th>
            <th scope="col">Price</th>
            <th scope="col">Quantity</th>
          </tr>
        </thead>
        <tbody>
          {view.rows.slice(0, shown).map((trade) => (
            <tr key={trade.id} data-side={trade.takerSide}>
              <td>{formatTime(trade.executedAt, zone)}</td>
              <td>{trade.takerSide === 'BUY' ? 'Buy' : 'Sell'}</td>
              <td className={styles.price}>{formatPrice(trade.price)}</td>
              <td>{formatQuantity(trade.quantity)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {view.phase === 'ready' && view.rows.length === 0 && <p className={styles.none}>No trades yet.</p>}
    </div>
  )
}
