import { Modal } from '@mantine/core'
import { session } from '../client'
import { useStore } from '../live/store'
import { SignInForm } from './SignInForm'

/** Ask to sign in again over the page, so that nothing on it is lost. */
export function ExpiredDialog() {
  const state = useStore(session)
  return (
    <Modal
      opened={state.status === 'expired'}
      onClose={() => undefined}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      centered
      title="Your session has ended"
    >
      <p style={{ marginBottom: 14 }}>Sign in again to go on where you were.</p>
      <SignInForm email={state.status === 'expired' ? (state.person.email ?? undefined) : undefined} done={() => undefined} />
    </Modal>
  )
}
