import { TextInput } from '@mantine/core'
import { useState, type KeyboardEvent, type ReactNode, type Ref } from 'react'
import { readDecimal, sum, unitsOf } from '../decimal'
import { formatDecimal } from '../format'
import styles from './DecimalField.module.css'

interface Props {
  label: string
  /** A decimal of the API, or what was typed so far. */
  value: string
  change: (value: string) => void
  /** Decimals shown when nobody types. */
  places: number
  /** What the arrow keys add and take away. */
  step?: string | undefined
  unit?: string
  error?: ReactNode
  description?: ReactNode
  required?: boolean
  disabled?: boolean
  left?: () => void
  ref?: Ref<HTMLInputElement>
}

/**
 * Ask for a decimal and keep it as text from the keyboard to the API.
 * What is pasted as "1 000,50" or "1,000.50" becomes 1000.50 and is shown so that one sees how it was understood.
 */
export function DecimalField({ label, value, change, places, step, unit, error, description, required = false, disabled = false, left, ref }: Props) {
  // As it is being written; forgotten when the field is left, or when something else sets the value.
  const [written, setWritten] = useState<string>()
  const known = readDecimal(value)
  const isMine = written !== undefined && (readDecimal(written) ?? written) === value
  const add = (event: KeyboardEvent) => {
    if (!step || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return
    event.preventDefault()
    const next = sum(known ?? '0', event.key === 'ArrowUp' ? step : `-${step}`)
    if (unitsOf(next) > 0n) {
      setWritten(undefined)
      change(next)
    }
  }
  return (
    <TextInput
      ref={ref}
      label={label}
      value={isMine ? written : known === undefined ? value : formatDecimal(known, places)}
      inputMode="decimal"
      autoComplete="off"
      classNames={{ input: styles.input ?? '' }}
      rightSection={unit && <span className={styles.unit}>{unit}</span>}
      rightSectionWidth={unit ? 48 : undefined}
      rightSectionPointerEvents="none"
      required={required}
      withAsterisk={false}
      disabled={disabled}
      error={error}
      description={description}
      inputWrapperOrder={['label', 'input', 'description', 'error']}
      onBlur={() => {
        setWritten(undefined)
        left?.()
      }}
      onChange={(event) => {
        const text = event.currentTarget.value
        setWritten(text)
        change(readDecimal(text) ?? text)
      }}
      onPaste={(event) => {
        const pasted = readDecimal(event.clipboardData.getData('text'))
        if (pasted === undefined) return
        event.preventDefault()
        setWritten(undefined)
        change(pasted)
      }}
      onKeyDown={add}
    />
  )
}
