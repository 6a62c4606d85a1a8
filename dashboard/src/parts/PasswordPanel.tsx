import { Button, PasswordInput } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { desk } from '../client'
import { FormFailure } from '../ui/FormFailure'
import { Panel } from '../ui/Page'
import { ChangePassword } from './accountDocuments'
import styles from './Form.module.css'
import { useSubmit } from './useSubmit'

const LENGTH_MIN = 15
const LENGTH_MAX = 128

/** Change one's own password; every other session ends with it. */
export function PasswordPanel() {
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const [again, setAgain] = useState('')
  const [touched, setTouched] = useState(false)
  const { submit, ...attempt } = useSubmit({
    document: ChangePassword,
    field: 'changePassword',
    keyed: false,
    failed: 'Password not changed',
    done: ({ sessionsRevoked }) => ({ title: 'Password changed', detail: `${Math.max(0, (sessionsRevoked ?? 1) - 1)} other sessions were ended` }),
  })
  const errors = {
    current: current === '' ? 'Enter your password so far.' : undefined,
    next: [...next].length < LENGTH_MIN ? `Enter at least ${LENGTH_MIN} characters.` : [...next].length > LENGTH_MAX ? `At most ${LENGTH_MAX} characters.` : undefined,
    again: again === next ? undefined : 'Not the same as above.',
  }
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTouched(true)
    if (errors.current || errors.next || errors.again) return
    const outcome = await submit(() => ({ input: { currentPassword: current, newPassword: next } }))
    if (outcome?.kind !== 'done') return
    setCurrent('')
    setNext('')
    setAgain('')
    setTouched(false)
    desk.connection.renew() // this browser has a new session now
  }
  const shown = (field: keyof typeof errors) => (touched ? errors[field] : undefined)
  const toggle = { visibilityToggleButtonProps: { 'aria-label': 'Show the password' } }
  return (
    <Panel label="Password" className={styles.narrow}>
      <form className={styles.form} noValidate onSubmit={(event) => void send(event)} aria-label="Change the password">
        <FormFailure failure={attempt.failure} />
        <PasswordInput
          label="Password so far"
          autoComplete="current-password"
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
          error={attempt.errorOf('currentPassword') ?? shown('current')}
          {...toggle}
        />
        <PasswordInput
          label="New password"
          description={`${LENGTH_MIN} to ${LENGTH_MAX} characters`}
          autoComplete="new-password"
          value={next}
          onChange={(event) => setNext(event.currentTarget.value)}
          error={attempt.errorOf('newPassword') ?? shown('next')}
          {...toggle}
        />
        <PasswordInput
          label="New password again"
          autoComplete="new-password"
          value={again}
          onChange={(event) => setAgain(event.currentTarget.value)}
          error={shown('again')}
          {...toggle}
        />
        <Button type="submit" loading={attempt.busy}>
          Change password
        </Button>
        <p className={styles.hint}>All your sessions end, also on other devices; this one goes on with a new one.</p>
      </form>
    </Panel>
  )
}
