import { ratio } from '../decimal'
import { formatAmount } from '../format'
import type { AssetName } from '../marketPaths'
import styles from './BalanceBars.module.css'

interface Balance {
  asset: AssetName
  available: string
  locked: string
  total: string
}

/** Show what is available and what is locked of each asset, as figures and as a bar. */
export function BalanceBars({ balances }: { balances: readonly Balance[] }) {
  return (
    <div className={styles.balances}>
      {balances.map(({ asset, available, locked, total }) => (
        <section key={asset} className={styles.balance} aria-label={`Balance of ${asset}`}>
          <h2 className={styles.asset}>{asset}</h2>
          <p className={styles.total}>{formatAmount(total, asset)}</p>
          <div className={styles.bar} aria-hidden="true">
            <span style={{ width: `${ratio(available, total) * 100}%` }} />
            <span className={styles.locked} style={{ width: `${ratio(locked, total) * 100}%` }} />
          </div>
          <dl className={styles.facts}>
            <div>
              <dt>Available</dt>
              <dd>{formatAmount(available, asset)}</dd>
            </div>
            <div>
              <dt>Locked in orders</dt>
              <dd>{formatAmount(locked, asset)}</dd>
            </div>
          </dl>
        </section>
      ))}
    </div>
  )
}
