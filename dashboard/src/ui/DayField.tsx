import { TextInput } from '@mantine/core'
import styles from './DayField.module.css'

interface Props {
  label: string
  /** Shown before the day: from, until. */
  word: string
  /** A day as YYYY-MM-DD, or nothing. */
  value: string | undefined
  change: (day: string | undefined) => void
}

/** Ask for a day of UTC with the browser's own calendar. */
export function DayField({ label, word, value, change }: Props) {
  return (
    <TextInput
      type="date"
      aria-label={`${label} (UTC)`}
      title={`${label} (UTC)`}
      w={200}
      leftSection={<span className={styles.word}>{word}</span>}
      leftSectionWidth={52}
      leftSectionPointerEvents="none"
      value={value ?? ''}
      onChange={(event) => change(event.currentTarget.value || undefined)}
    />
  )
}
