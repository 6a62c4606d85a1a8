import { Button, Modal, PasswordInput, Select, TextInput } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { words } from '../format'
import { SIGN_IN_ROLES } from '../officePaths'
import { FormFailure } from '../ui/FormFailure'
import { CreateUser } from './officeDocuments'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

export const PASSWORD_CHARACTERS_MIN = 15 // the contract's
const EMAIL = /^\S+@\S+\.\S+$/
const ROLE_WORDS: Record<(typeof SIGN_IN_ROLES)[number], string> = {
  TRADER: 'trades for his own account, once his identity check is approved',
  ANALYST: 'reads the market, orders, trades and tickets, without emails, payloads and documents',
  ADMIN: 'runs the desk and may do everything here',
}

interface Props {
  opened: boolean
  close: () => void
  created: () => void
  show: (userId: string) => void
}

/** Create somebody who signs in. */
export function CreateUserModal({ opened, close, ...content }: Props) {
  return (
    <Modal opened={opened} onClose={close} title="New user" closeButtonProps={{ 'aria-label': 'Close' }}>
      <CreateUserForm close={close} {...content} />
    </Modal>
  )
}

interface Draft {
  email: string
  name: string
  role: (typeof SIGN_IN_ROLES)[number]
  password: string
}

function CreateUserForm({ close, created, show }: Omit<Props, 'opened'>) {
  const [draft, setDraft] = useState<Draft>({ email: '', name: '', role: 'TRADER', password: '' })
  const [tried, setTried] = useState(false)
  const { submit, busy, failure, errorOf } = useSubmit({
    document: CreateUser,
    field: 'createUser',
    keyed: false,
    done: ({ user }) => ({
      title: 'User created',
      detail: user ? `${user.name}, ${words(user.role)}` : undefined,
      action: user ? { label: 'Open', run: () => show(user.id) } : undefined,
    }),
    failed: 'User not created',
  })
  const missing = tried ? check(draft) : {}
  const set = (part: Partial<Draft>) => setDraft({ ...draft, ...part })
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTried(true)
    if (Object.keys(check(draft)).length > 0) return
    const outcome = await submit(() => ({ input: { ...draft, email: draft.email.trim(), name: draft.name.trim() } }))
    if (outcome?.kind !== 'done') return
    created()
    close()
  }
  return (
    <form className={styles.form} onSubmit={(event) => void send(event)} noValidate>
      <FormFailure failure={failure} />
      <TextInput
        label="Name" required withAsterisk={false} value={draft.name} maxLength={64} autoComplete="off" data-autofocus
        onChange={(event) => set({ name: event.currentTarget.value })} error={missing.name ?? errorOf('name')}
      />
      <TextInput
        label="Email" type="email" required withAsterisk={false} value={draft.email} autoComplete="off"
        onChange={(event) => set({ email: event.currentTarget.value })} error={missing.email ?? errorOf('email')}
      />
      <Select
        label="Role" data={SIGN_IN_ROLES.map((role) => ({ value: role, label: words(role) }))} value={draft.role} allowDeselect={false}
        description={`${words(draft.role)}: ${ROLE_WORDS[draft.role]}.`} inputWrapperOrder={['label', 'input', 'description', 'error']}
        onChange={(role) => set({ role: role as Draft['role'] })}
      />
      <PasswordInput
        label="First password" required withAsterisk={false} value={draft.password} autoComplete="new-password" maxLength={128}
        description={`At least ${PASSWORD_CHARACTERS_MIN} characters. Tell it by another way than the address; it is never recorded.`}
        inputWrapperOrder={['label', 'input', 'description', 'error']} visibilityToggleButtonProps={{ 'aria-label': 'Show the password' }}
        onChange={(event) => set({ password: event.currentTarget.value })} error={missing.password ?? errorOf('password')}
      />
      <div className={styles.buttons}>
        <Button variant="default" onClick={close}>Cancel</Button>
        <Button type="submit" loading={busy}>Create user</Button>
      </div>
    </form>
  )
}

function check({ name, email, password }: Draft): { name?: string; email?: string; password?: string } {
  return {
    ...(name.trim() === '' && { name: 'Enter a name.' }),
    ...(!EMAIL.test(email.trim()) && { email: 'Enter a valid email address.' }),
    ...(password.length < PASSWORD_CHARACTERS_MIN && { password: `Enter at least ${PASSWORD_CHARACTERS_MIN} characters.` }),
  }
}
