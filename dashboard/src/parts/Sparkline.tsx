import styles from './Sparkline.module.css'

/** Draw the course of a figure, without axes: the figure itself stands beside it. */
export function Sparkline({ values, tone }: { values: readonly number[]; tone?: 'fail' | undefined }) {
  if (values.length < 2) return null
  const most = Math.max(1, ...values)
  const points = values.map((value, index) => `${(index / (values.length - 1)) * 100},${28 - (value / most) * 26}`)
  return (
    <svg className={styles.line} viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true" data-tone={tone}>
      <polyline points={points.join(' ')} />
    </svg>
  )
}
