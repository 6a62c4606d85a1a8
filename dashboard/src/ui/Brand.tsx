import styles from './Brand.module.css'

/** Show whose desk this is. */
export function Brand() {
  return (
    <span className={styles.brand}>
      <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="7" fill="#0b5d6e" />
        <path d="M8 22V13M13 22V9M19 22v-7M24 22V11" stroke="#fff" strokeWidth="3" strokeLinecap="round" fill="none" />
      </svg>
      <span className={styles.name}>Carbon Desk</span>
    </span>
  )
}
