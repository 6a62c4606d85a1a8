import { Link } from '@tanstack/react-router'
import styles from '../parts/Centre.module.css'
import { Brand } from '../ui/Brand'

/** Say that an address leads nowhere. */
export function NotFoundPage() {
  return (
    <main className={styles.centre}>
      <title>Not found · Carbon Desk</title>
      <Brand />
      <h1 className={styles.title}>There is no such page</h1>
      <p>
        The address may be mistyped or from another version. <Link to="/">Go to the desk</Link>
      </p>
    </main>
  )
}
