import { Select } from '@mantine/core'
import type { MakerEntry } from './makerDocuments'

interface Props {
  makers: readonly MakerEntry[]
  value: string | undefined
  change: (id: string | undefined) => void
  error?: string | undefined
  disabled: boolean
}

/** Choose a market maker by a part of its name; inactive ones are named as such. */
export function MakerSelect({ makers, value, change, error, disabled }: Props) {
  return (
    <Select
      label="Market maker"
      placeholder={disabled ? 'Loading…' : 'Choose one'}
      searchable
      clearable={false}
      allowDeselect={false}
      disabled={disabled}
      data-holder
      nothingFoundMessage="No market maker has this name"
      data={makers.map(({ id, name, isActive }) => ({ value: id, label: isActive ? name : `${name} (inactive)` }))}
      value={value ?? null}
      onChange={(id) => change(id ?? undefined)}
      error={error}
    />
  )
}
