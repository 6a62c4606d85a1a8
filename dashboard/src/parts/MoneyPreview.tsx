import { difference, unitsOf } from '../decimal'
import { formatAmount, formatDelta, type Asset } from '../format'
import styles from './MoneyPreview.module.css'

interface Props {
  label: string
  asset: Asset
  before: string
  after: string
}

/** Show what a figure will become before anything is sent. */
export function MoneyPreview({ label, asset, before, after }: Props) {
  const change = difference(before, after)
  return (
    <p className={styles.preview} data-below-zero={unitsOf(after) < 0n || undefined}>
      <span className={styles.label}>{label}</span> {formatAmount(before, asset)} → <b>{formatAmount(after, asset)}</b> {asset}{' '}
      <span className={styles.change}>({formatDelta(change)})</span>
    </p>
  )
}
