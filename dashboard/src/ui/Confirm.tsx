import { Button, Modal, Popover, TextInput } from '@mantine/core'
import { useState, type ReactNode } from 'react'
import styles from './Confirm.module.css'

interface PopoverProps {
  /** The button that asks; the caller's own, told how to open. */
  target: (open: () => void) => ReactNode
  question: ReactNode
  confirm: string
  keep?: string
  busy?: boolean
  act: () => void
}

/** Ask once, beside the button that was pressed. The safe answer has the focus. */
export function ConfirmPopover({ target, question, confirm, keep = 'Keep', busy = false, act }: PopoverProps) {
  const [opened, setOpened] = useState(false)
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus returnFocus withArrow withRoles={false} shadow="md">
      <Popover.Target>{target(() => setOpened(true))}</Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Confirm" className={styles.popover}>
        <p>{question}</p>
        <div className={styles.buttons}>
          <Button size="xs" variant="default" data-autofocus onClick={() => setOpened(false)}>
            {keep}
          </Button>
          <Button
            size="xs"
            className={styles.danger ?? ''}
            loading={busy}
            onClick={() => {
              setOpened(false)
              act()
            }}
          >
            {confirm}
          </Button>
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}

interface ModalProps {
  opened: boolean
  close: () => void
  title: string
  confirm: string
  keep?: string
  /** What must be typed before the button works; undefined asks for nothing. */
  typed?: string | undefined
  busy?: boolean
  /** After it was done: only the way out is left. */
  over?: boolean
  act: () => void
  children: ReactNode
}

/** Ask once, with what will happen in full; for what is large, with a name to be typed. */
export function ConfirmModal({ opened, close, ...content }: ModalProps) {
  return (
    <Modal opened={opened} onClose={close} title={content.title} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <ConfirmContent close={close} {...content} />
    </Modal>
  )
}

function ConfirmContent({ close, confirm, keep = 'Keep', typed, busy = false, over = false, act, children }: Omit<ModalProps, 'opened' | 'title'>) {
  const [text, setText] = useState('')
  const ready = typed === undefined || text.trim() === typed
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault()
        if (ready && !over) act()
      }}
    >
      {children}
      {typed !== undefined && !over && (
        <TextInput
          label={`Type ${typed} to confirm`}
          value={text}
          autoComplete="off"
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <div className={styles.buttons}>
        <Button variant="default" data-autofocus={typed === undefined || undefined} onClick={close}>
          {over ? 'Close' : keep}
        </Button>
        {!over && (
          <Button type="submit" className={styles.danger ?? ''} loading={busy} disabled={!ready}>
            {confirm}
          </Button>
        )}
      </div>
    </form>
  )
}
