import { TextInput } from '@mantine/core'

interface Props {
  label: string
  /** A day as YYYY-MM-DD, or nothing. */
  value: string | undefined
  change: (day: string | undefined) => void
}

/** Ask for a day of UTC with the browser's own calendar. */
export function DayField({ label, value, change }: Props) {
  return (
    <TextInput
      type="date"
      aria-label={`${label} (UTC)`}
      title={`${label} (UTC)`}
      w={150}
      value={value ?? ''}
      onChange={(event) => change(event.currentTarget.value || undefined)}
    />
  )
}
