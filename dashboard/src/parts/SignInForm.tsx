import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useId, useRef, useState, type SubmitEvent } from 'react'
import { session } from '../client'
import type { SignInFailure } from '../session'
import { Icon } from '../ui/icons'
import styles from './SignInForm.module.css'

interface Props {
  /** Known when a session is renewed. */
  email?: string | undefined
  done: () => void
}

const EMAIL = /^\S+@\S+$/

/** Ask for email and password and sign in. */
export function SignInForm({ email: known, done }: Props) {
  const [email, setEmail] = useState(known ?? '')
  const [password, setPassword] = useState('')
  const [failure, setFailure] = useState<SignInFailure>()
  const [busy, setBusy] = useState(false)
  const emailInput = useRef<HTMLInputElement>(null)
  const passwordInput = useRef<HTMLInputElement>(null)
  const failureId = useId()

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const missing = check(email, password)
    if (missing) {
      setFailure(missing)
      ;(missing.field === 'email' ? emailInput : passwordInput).current?.focus()
      return
    }
    setBusy(true)
    const refused = await session.signIn(email.trim(), password)
    setBusy(false)
    setFailure(refused)
    if (!refused) done()
    else if (refused.code === 'INVALID_CREDENTIALS') passwordInput.current?.select()
  }

  const errorOf = (field: string) => (failure?.field === field && LOCAL === failure.code ? failure.message : undefined)
  return (
    <form className={styles.form} onSubmit={(event) => void submit(event)} noValidate aria-describedby={failureId}>
      <div id={failureId} role="alert" className={styles.failure} hidden={!failure || failure.code === LOCAL}>
        {failure && failure.code !== LOCAL && (
          <>
            <Icon name="warning" /> <span>{say(failure)}</span>
          </>
        )}
      </div>
      <TextInput
        ref={emailInput}
        label="Email"
        type="email"
        autoComplete="username"
        autoFocus={known === undefined}
        required
        value={email}
        onChange={(event) => setEmail(event.currentTarget.value)}
        error={errorOf('email')}
      />
      <PasswordInput
        ref={passwordInput}
        label="Password"
        autoComplete="current-password"
        autoFocus={known !== undefined}
        data-autofocus={known !== undefined || undefined}
        required
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
        error={errorOf('password')}
        visibilityToggleButtonProps={{ 'aria-label': 'Show the password' }}
      />
      <Button type="submit" loading={busy} fullWidth mt={4}>
        Sign in
      </Button>
    </form>
  )
}

const LOCAL = 'LOCAL' // found here, before anything was sent

function check(email: string, password: string): SignInFailure | undefined {
  const at = (field: string, message: string) => ({ code: LOCAL, message, field, ticketId: undefined })
  if (!EMAIL.test(email.trim())) return at('email', 'Enter your email address.')
  if (password === '') return at('password', 'Enter your password.')
  return undefined
}

function say({ code, message }: SignInFailure): string {
  switch (code) {
    case 'INVALID_CREDENTIALS':
      return 'Email or password is wrong.'
    case 'TOO_MANY_ATTEMPTS':
    case 'RATE_LIMITED':
      return `Too many attempts. ${message}`
    case 'SERVER_AWAY':
      return 'The server cannot be reached. Nothing was sent; try again.'
    default:
      return message
  }
}
