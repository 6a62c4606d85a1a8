import { Button, Modal, Textarea } from '@mantine/core'
import { useState, type ReactNode } from 'react'
import { FormFailure } from '../ui/FormFailure'
import type { Failure } from './useSubmit'
import styles from './Office.module.css'

const REASON_CHARACTERS_MAX = 2_000 // the contract's

interface Props {
  opened: boolean
  close: () => void
  title: string
  confirm: string
  busy: boolean
  failure: Failure | undefined
  act: (reason: string) => void
  children: ReactNode
}

/** Ask why something is refused: the person concerned reads it. */
export function ReasonModal({ opened, close, title, ...content }: Props) {
  return (
    <Modal opened={opened} onClose={close} title={title} closeButtonProps={{ 'aria-label': 'Close' }}>
      <ReasonForm close={close} {...content} />
    </Modal>
  )
}

function ReasonForm({ close, confirm, busy, failure, act, children }: Omit<Props, 'opened' | 'title'>) {
  const [reason, setReason] = useState('')
  const [tried, setTried] = useState(false)
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault()
        setTried(true)
        if (reason.trim() !== '') act(reason.trim())
      }}
    >
      <FormFailure failure={failure} />
      {children}
      <Textarea
        label="Reason" autosize minRows={2} maxLength={REASON_CHARACTERS_MAX} data-autofocus value={reason}
        description="The person concerned reads this." inputWrapperOrder={['label', 'input', 'description', 'error']}
        error={tried && reason.trim() === '' ? 'Say why.' : undefined}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      <div className={styles.buttons}>
        <Button variant="default" onClick={close}>Keep waiting</Button>
        <Button type="submit" loading={busy}>{confirm}</Button>
      </div>
    </form>
  )
}
