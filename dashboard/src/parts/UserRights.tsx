import { Button, PasswordInput, Select, TextInput } from '@mantine/core'
import { useState } from 'react'
import { formatCount, words } from '../format'
import type { VariablesOf } from '../graphql'
import { SIGN_IN_ROLES } from '../officePaths'
import { ConfirmModal } from '../ui/Confirm'
import { Section } from '../ui/Facts'
import { FormFailure } from '../ui/FormFailure'
import { PASSWORD_CHARACTERS_MIN } from './CreateUserModal'
import { UpdateUser, type UserDetail } from './officeDocuments'
import { usePerson } from './usePerson'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

type Change = VariablesOf<typeof UpdateUser>['input']
type Asked = 'role' | 'activity' | 'password'

interface Props {
  user: UserDetail
  sessions: number
  changed: () => void
}

/** Change what a user is and may do; what follows from it is said before it is done. */
export function UserRights({ user, sessions, changed }: Props) {
  const [name, setName] = useState(user.name)
  const [role, setRole] = useState(user.role)
  const [password, setPassword] = useState('')
  const [asked, setAsked] = useState<Asked>()
  const isMe = usePerson()?.id === user.id
  const { submit, busy, failure, errorOf, clear } = useSubmit({
    document: UpdateUser,
    field: 'updateUser',
    keyed: false,
    done: ({ user: after, cancelledOrders, sessionsRevoked }) => ({
      title: 'User changed',
      detail: [
        after && `${after.name}, ${words(after.role)}, ${after.isActive ? 'active' : 'inactive'}`,
        cancelledOrders.length > 0 && `${cancelledOrders.length} orders cancelled`,
        sessionsRevoked && `${sessionsRevoked} sessions ended`,
      ].filter(Boolean).join(' · '),
    }),
    failed: 'User not changed',
  })
  const send = async (input: Change) => {
    const outcome = await submit(() => ({ id: user.id, input }))
    if (outcome?.kind !== 'done') return
    setAsked(undefined)
    setPassword('')
    changed()
  }
  const close = () => {
    setAsked(undefined)
    clear()
  }
  const signsOut = isMe ? 'It ends your own session too.' : `It ends ${counted(sessions, 'session')}.`
  if (user.role === 'MARKET_MAKER') {
    return <p className={styles.note}>This account holds the balances of a market maker and never signs in. It is changed under Market makers.</p>
  }
  return (
    <Section title="Rights">
      {asked === undefined && <FormFailure failure={failure} />}
      <div className={styles.row}>
        <TextInput label="Name" value={name} maxLength={64} onChange={(event) => setName(event.currentTarget.value)} error={errorOf('name')} />
        <Button variant="default" disabled={busy || name.trim() === '' || name.trim() === user.name} onClick={() => void send({ name: name.trim() })}>
          Save name
        </Button>
      </div>
      <div className={styles.row}>
        <Select
          label="Role" data={SIGN_IN_ROLES.map((one) => ({ value: one, label: words(one) }))} value={role} allowDeselect={false}
          onChange={(chosen) => setRole(chosen as typeof role)}
        />
        <Button variant="default" disabled={busy || role === user.role} onClick={() => setAsked('role')}>
          Change role…
        </Button>
      </div>
      {!isMe && (
        <div className={styles.row}>
          <PasswordInput
            label="New password" value={password} maxLength={128} autoComplete="new-password"
            visibilityToggleButtonProps={{ 'aria-label': 'Show the password' }}
            error={errorOf('password')} onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Button variant="default" disabled={busy || password.length < PASSWORD_CHARACTERS_MIN} onClick={() => setAsked('password')}>
            Set password…
          </Button>
        </div>
      )}
      <div className={styles.buttons}>
        {user.isActive ? (
          <Button variant="default" className={styles.danger ?? ''} onClick={() => setAsked('activity')}>Deactivate…</Button>
        ) : (
          <Button loading={busy} onClick={() => void send({ isActive: true })}>Activate</Button>
        )}
      </div>

      <ConfirmModal opened={asked === 'role'} close={close} title="Change the role" confirm={`Make ${words(role).toLowerCase()}`} busy={busy} act={() => void send({ role })}>
        <FormFailure failure={failure} />
        <p>
          {user.name} becomes {words(role)} instead of {words(user.role)}. {signsOut} A role is kept while there are open orders or
          balances: {counted(user.orders.totalCount, 'open order')} now.
        </p>
      </ConfirmModal>
      <ConfirmModal opened={asked === 'password'} close={close} title="Set a new password" confirm="Set password" busy={busy} act={() => void send({ password })}>
        <FormFailure failure={failure} />
        <p>
          The old password of {user.name} stops working. {signsOut} Tell the new one by another way than the address; it is never recorded.
        </p>
      </ConfirmModal>
      <ConfirmModal opened={asked === 'activity'} close={close} title="Deactivate" confirm="Deactivate" typed={user.name} busy={busy} act={() => void send({ isActive: false })}>
        <FormFailure failure={failure} />
        <p>
          {user.name} leaves the market: {counted(user.orders.totalCount, 'open order')} cancelled in the same commit, what they reserved
          released, {counted(sessions, 'session')} ended. History and balances stay, and it can be taken back with Activate.
        </p>
      </ConfirmModal>
    </Section>
  )
}

function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}
