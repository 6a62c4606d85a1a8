import { getRouteApi, useRouter } from '@tanstack/react-router'
import { SignInForm } from '../parts/SignInForm'
import styles from '../parts/Centre.module.css'
import { returnPath } from '../paths'
import { Brand } from '../ui/Brand'

const route = getRouteApi('/login')

/** Sign in, then go to where one wanted to go. */
export function LoginPage() {
  const { to } = route.useSearch()
  const router = useRouter()
  return (
    <main className={styles.centre}>
      <title>Sign in · Carbon Desk</title>
      <Brand />
      <div className={styles.card}>
        <h1 className={styles.title} style={{ margin: '0 0 18px' }}>
          Sign in
        </h1>
        <SignInForm done={() => router.history.replace(returnPath(to))} />
      </div>
      <p className={styles.hint}>
        Running it yourself? <code>make run</code> prints the logins it created.
      </p>
    </main>
  )
}
