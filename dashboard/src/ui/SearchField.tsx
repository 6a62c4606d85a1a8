import { TextInput } from '@mantine/core'
import { useEffect, useState } from 'react'
import { Icon } from './icons'

const SETTLED_MS = 300

interface Props {
  label: string
  placeholder?: string
  value: string
  /** Told after a pause in typing, and at once with Enter: then it is meant as a step one can go back from. */
  change: (text: string, isStep: boolean) => void
}

/** Ask for a text to search by. */
export function SearchField({ label, placeholder, value, change }: Props) {
  const [text, setText] = useState(value)
  const [known, setKnown] = useState(value)
  if (value !== known) {
    setKnown(value) // the address changed by other means, such as Back
    setText(value)
  }
  useEffect(() => {
    if (text === known) return undefined
    const timer = setTimeout(() => {
      setKnown(text)
      change(text, false)
    }, SETTLED_MS)
    return () => clearTimeout(timer)
  }, [text, known, change])
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={placeholder ?? label}
      leftSection={<Icon name="find" size={16} />}
      leftSectionPointerEvents="none"
      data-search
      value={text}
      maxLength={64}
      onChange={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter') return
        setKnown(text)
        change(text, true)
      }}
    />
  )
}
