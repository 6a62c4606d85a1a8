import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { formatCount, words } from '../format'
import { TICKET_ID } from '../paths'
import { KEYS, type Key, type Terms, type TicketsState } from '../tickets/search'
import { EXAMPLES, parseText, writeText, type Names } from '../tickets/text'
import { Icon } from '../ui/icons'
import styles from './SearchBox.module.css'

const APPLY_MS = 300 // after the last key, as one step that Back does not go through
const SUGGESTIONS_MAX = 12

export interface Suggested {
  value: string
  label: string
  count?: number | undefined
}
export type Values = Partial<Record<Key, readonly Suggested[]>>

interface Props {
  state: Pick<TicketsState, 'terms' | 'words'>
  locked: Terms
  names: Names
  values: Values
  change: (part: Pick<TicketsState, 'terms' | 'words'>, how: { replace: boolean }) => void
  openTicket: (ticketId: string) => void
}

interface Suggestion {
  text: string
  label: string
  hint: string
}

/** Take the filter as text: keys with values, phrases, words. Chips, menus and address show the same state. */
export function SearchBox({ state, locked, names, values, change, openTicket }: Props) {
  const id = useId()
  const field = useRef<HTMLInputElement>(null)
  const mirror = useRef<HTMLDivElement>(null)
  const [draft, setDraft] = useState<string>()
  const [caret, setCaret] = useState(0)
  const [active, setActive] = useState(-1)
  const [closed, setClosed] = useState(true)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const text = draft ?? writeText(state, names, locked)
  const { faults } = useMemo(() => parseText(text, names), [text, names])
  const suggestions = draft === undefined || closed ? [] : suggestionsAt(text, caret, values, locked)
  useEffect(() => () => clearTimeout(timer.current), [])

  const apply = (typed: string, replace: boolean) => {
    clearTimeout(timer.current)
    if (TICKET_ID.test(typed.trim().toUpperCase())) return // opened by Enter; a list of one is no help
    const parsed = parseText(typed, names)
    change({ terms: { ...parsed.terms, ...locked }, words: parsed.words }, { replace })
  }
  const type = (typed: string, at: number) => {
    setDraft(typed)
    setCaret(at)
    setActive(-1)
    setClosed(false)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => apply(typed, true), APPLY_MS)
  }
  const choose = ({ text: chosen }: Suggestion) => {
    const [start, end] = tokenAt(text, caret)
    const next = text.slice(0, start) + chosen + text.slice(end)
    const at = start + chosen.length
    type(next, at)
    requestAnimationFrame(() => field.current?.setSelectionRange(at, at))
  }
  const press = (event: KeyboardEvent) => {
    const chosen = suggestions[active]
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const step = event.key === 'ArrowDown' ? 1 : -1
      if (suggestions.length > 0) setActive((active + step + suggestions.length + (active < 0 && step < 0 ? 1 : 0)) % suggestions.length)
      else setClosed(false)
    } else if (event.key === 'Enter' && chosen) choose(chosen)
    else if (event.key === 'Enter') {
      setClosed(true)
      const ticket = text.trim().toUpperCase()
      if (TICKET_ID.test(ticket)) {
        setDraft(undefined)
        field.current?.blur()
        openTicket(ticket)
      } else apply(text, false)
    } else if (event.key === 'Escape' && suggestions.length > 0) setClosed(true)
    else if (event.key === 'Escape') field.current?.blur()
    else return
    event.preventDefault()
  }

  return (
    <div className={styles.box}>
      <div className={styles.frame}>
        <Icon name="find" size={16} />
        <div className={styles.line}>
          <div ref={mirror} className={styles.mirror} aria-hidden="true">
            {marked(text, faults)}
          </div>
          <input
            ref={field}
            data-search
            className={styles.input}
            type="text"
            role="combobox"
            aria-label="Search tickets"
            aria-autocomplete="list"
            aria-expanded={suggestions.length > 0}
            aria-controls={`${id}-list`}
            aria-activedescendant={active >= 0 && suggestions[active] ? `${id}-${active}` : undefined}
            aria-invalid={faults.length > 0}
            aria-describedby={faults.length > 0 ? `${id}-faults` : undefined}
            placeholder="TKT-…, words, key:value"
            autoComplete="off"
            spellCheck={false}
            value={text}
            onChange={(event) => type(event.currentTarget.value, event.currentTarget.selectionStart ?? event.currentTarget.value.length)}
            onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
            onScroll={(event) => mirror.current && (mirror.current.scrollLeft = event.currentTarget.scrollLeft)}
            onFocus={() => setDraft(text)}
            onBlur={() => {
              if (draft !== undefined && draft !== writeText(state, names, locked)) apply(draft, false)
              setClosed(true)
              if (faults.length === 0) setDraft(undefined)
            }}
            onKeyDown={press}
          />
        </div>
      </div>
      <ul id={`${id}-list`} role="listbox" aria-label="Suggestions" className={styles.list} hidden={suggestions.length === 0}>
        {suggestions.map((suggestion, index) => (
          <li
            key={suggestion.text}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === active}
            className={styles.option}
            onPointerDown={(event) => {
              event.preventDefault() // the field keeps the focus
              choose(suggestion)
            }}
          >
            <code>{suggestion.label}</code> <span>{suggestion.hint}</span>
          </li>
        ))}
      </ul>
      {faults.length > 0 && (
        <ul id={`${id}-faults`} className={styles.faults} role="status">
          {faults.map(({ start, message }) => (
            <li key={start}>{message}</li>
          ))}
        </ul>
      )}
    </div>
  )
}

function marked(text: string, faults: ReturnType<typeof parseText>['faults']) {
  const parts = []
  let end = 0
  for (const fault of faults) {
    parts.push(text.slice(end, fault.start), <u key={fault.start}>{text.slice(fault.start, fault.end)}</u>)
    end = fault.end
  }
  parts.push(text.slice(end))
  return parts
}

// Where the token under the caret begins and ends; blanks within quotes belong to it.
function tokenAt(text: string, caret: number): [number, number] {
  let start = 0
  let quoted = false
  for (let at = 0; at < caret; at += 1) {
    if (text[at] === '"') quoted = !quoted
    else if (text[at] === ' ' && !quoted) start = at + 1
  }
  const rest = text.slice(caret).search(quoted ? /"|$/ : / |$/)
  return [start, caret + rest]
}

function suggestionsAt(text: string, caret: number, values: Values, locked: Terms): Suggestion[] {
  const [start] = tokenAt(text, caret)
  const typed = text.slice(start, caret)
  const match = /^(-?)([a-z]*)(?:(:)(.*,)?"?([^",]*))?$/i.exec(typed)
  if (!match) return []
  const [, minus = '', name = '', colon, before = '', begun = ''] = match
  if (!colon) {
    return KEYS.filter((key) => !locked[key] && key.startsWith(name.toLowerCase())).map((key) => ({
      text: `${minus}${key}:`,
      label: `${minus}${key}:`,
      hint: EXAMPLES[key],
    }))
  }
  const key = KEYS.find((known) => known === name.toLowerCase())
  if (!key || locked[key]) return []
  return (values[key] ?? [])
    .filter(({ value, label }) => [value, label].some((one) => one.toLowerCase().includes(begun.toLowerCase())))
    .slice(0, SUGGESTIONS_MAX)
    .map(({ value, label, count }) => ({
      text: `${minus}${key}:${before}${/[\s,]/.test(value) ? `"${value}"` : value} `,
      label: value,
      hint: [label === value ? words(value) : label, count === undefined ? '' : formatCount(count)].filter(Boolean).join(' · '),
    }))
}
