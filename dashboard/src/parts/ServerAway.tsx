import { useRouter } from '@tanstack/react-router'
import { useEffect } from 'react'
import { session } from '../client'
import { useStore } from '../live/store'
import { Brand } from '../ui/Brand'
import { ProblemNote } from '../ui/Notes'
import styles from './Centre.module.css'

const RETRY_MS = 3_000

/** Wait for a server that does not answer, and go on by itself when it does. */
export function ServerAway() {
  const state = useStore(session)
  const router = useRouter()

  useEffect(() => {
    const timer = setInterval(() => void enter(), RETRY_MS)
    return () => clearInterval(timer)

    async function enter() {
      const { status } = await session.load()
      if (status !== 'unreachable') await router.invalidate()
    }
  }, [router])

  if (state.status !== 'unreachable') return null
  return (
    <main className={styles.centre}>
      <title>Server away · Carbon Desk</title>
      <Brand />
      <h1 className={styles.title}>Waiting for the server</h1>
      <ProblemNote problem={state.problem} again={() => void session.load().then(() => router.invalidate())} />
      <p className={styles.hint}>This page goes on by itself as soon as the server answers.</p>
    </main>
  )
}
