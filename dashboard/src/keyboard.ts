import { useEffect, useRef } from 'react'
import { Store } from './live/store'

const SEQUENCE_MS_MAX = 1_200 // `g`, then `m`: what comes later is a key of its own
const SINGLE_KEYS = 'carbondesk.single-keys'
const OWN_KEYS = 'carbondesk.keys'

/** What a key does on the page that is open. */
export interface Binding {
  /** As `KeyboardEvent.key` names it, with `mod+`, `shift+` before it; two with a blank between for a sequence. */
  keys: string
  does: string
  run: () => void
}

interface Group {
  title: string
  /** Whether it is meant inside a dialog; the others rest while one is open. */
  inDialog: boolean
  bindings: readonly Binding[]
  run: (keys: string) => void
}

export interface KeyboardState {
  groups: readonly Group[]
  /** Whether single keys are obeyed. They can be switched off (WCAG 2.1.4); keys with Ctrl always are. */
  singleKeys: boolean
  /** Keys that this person has chosen, by the key that they stand for. */
  own: Readonly<Record<string, string>>
}

/** Know what keys do now, and do it. What was bound last is asked first. */
class Keyboard extends Store<KeyboardState> {
  #first: { key: string; at: number } | undefined

  constructor() {
    super({ groups: [], singleKeys: recall(SINGLE_KEYS) !== 'off', own: recalledOwn() })
    document.addEventListener('keydown', (event) => this.#pressed(event))
  }

  add(group: Group): () => void {
    this.set({ ...this.read(), groups: [...this.read().groups, group] })
    return () => this.set({ ...this.read(), groups: this.read().groups.filter((known) => known !== group) })
  }

  readonly setSingleKeys = (singleKeys: boolean): void => {
    this.set({ ...this.read(), singleKeys })
    keep(SINGLE_KEYS, singleKeys ? 'on' : 'off')
  }

  /** Say which key does what `keys` stand for. */
  readonly keyFor = (keys: string): string => this.read().own[keys] ?? keys

  /** Let another key do what `keys` stand for; undefined: the usual one again. */
  readonly choose = (keys: string, key: string | undefined): void => {
    const own = Object.fromEntries([...Object.entries(this.read().own).filter(([known]) => known !== keys), ...(key ? [[keys, key] as const] : [])])
    this.set({ ...this.read(), own })
    keep(OWN_KEYS, JSON.stringify(own))
  }

  /** Name what a key does here already, alone or as the first of two; undefined when it is free. */
  readonly takenBy = (key: string): string | undefined =>
    this.read().groups.flatMap(({ bindings }) => bindings).find(({ keys }) => this.keyFor(keys).split(' ')[0] === key)?.does

  #pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || ['Shift', 'Control', 'Alt', 'Meta'].includes(event.key)) return
    const key = nameOf(event)
    const withMod = key.startsWith('mod+')
    if (!withMod && (!this.read().singleKeys || isTaken(event))) return
    const first = this.#first && Date.now() - this.#first.at <= SEQUENCE_MS_MAX ? this.#first.key : undefined
    this.#first = undefined
    const dialogIsOpen = document.querySelector('[role=dialog][aria-modal=true]') !== null
    const groups = this.read().groups.filter(({ inDialog }) => inDialog || !dialogIsOpen || withMod)
    for (const keys of first === undefined ? [key] : [`${first} ${key}`, key]) {
      for (const group of groups.toReversed()) {
        const binding = group.bindings.find((one) => this.keyFor(one.keys) === keys)
        if (!binding) continue
        event.preventDefault()
        group.run(binding.keys)
        return
      }
    }
    if (groups.some(({ bindings }) => bindings.some(({ keys }) => this.keyFor(keys).startsWith(`${key} `)))) {
      this.#first = { key, at: Date.now() }
    }
  }
}

export const keyboard = new Keyboard()

/** Bind keys while a component is shown; `title` heads them in the list that `?` shows. */
export function useKeys(title: string, bindings: readonly Binding[], { on = true, inDialog = false } = {}): void {
  const latest = useRef(bindings)
  useEffect(() => {
    latest.current = bindings
  })
  const signature = bindings.map(({ keys, does }) => `${keys}\t${does}`).join('\n')
  useEffect(() => {
    if (!on) return undefined
    return keyboard.add({
      title,
      inDialog,
      bindings: latest.current,
      run: (keys) => latest.current.find((binding) => binding.keys === keys)?.run(),
    })
  }, [title, signature, on, inDialog])
}

/** Write keys for people: `mod+Enter` → Ctrl Enter. */
export function keysForPeople(keys: string): string[] {
  return keys.split(/[ +](?=.)/).map((key, index, all) => NAMES[key] ?? (all[0] === 'mod' && index > 0 ? key.toUpperCase() : key))
}

const NAMES: Record<string, string> = {
  mod: 'Ctrl', shift: 'Shift', ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc',
}

function nameOf(event: KeyboardEvent): string {
  const key = event.key === ' ' ? 'Space' : event.key
  const alt = event.altKey ? 'alt+' : ''
  const shift = event.shiftKey && key.length > 1 ? 'shift+' : ''
  if (!event.ctrlKey && !event.metaKey) return alt + shift + key
  return `mod+${alt}${shift}${key.length === 1 ? key.toLowerCase() : key}`
}

const FIELDS = 'input:not([type=checkbox],[type=radio],[type=button],[type=submit]), textarea, select, [contenteditable=true], [role=textbox]'
const MOVERS = '[role=radiogroup], [role=listbox], [role=menu], [role=tablist], [role=slider], [type=radio]'
const PRESSED = 'a, button, summary, [role=button], [role=switch], [type=checkbox]'

// Whether the element under the keys means something by this key itself.
function isTaken(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : document.body
  if (target.closest(FIELDS)) return true
  if (event.key.startsWith('Arrow') || event.key === 'Home' || event.key === 'End') return target.closest(MOVERS) !== null
  if (event.key === 'Enter' || event.key === ' ') return target.closest(PRESSED) !== null
  return false
}

function recall(name: string): string | null {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

function recalledOwn(): Record<string, string> {
  try {
    const read = (JSON.parse(recall(OWN_KEYS) ?? '{}') ?? {}) as Record<string, unknown>
    return Object.fromEntries(Object.entries(read).filter((one): one is [string, string] => typeof one[1] === 'string'))
  } catch {
    return {}
  }
}

function keep(name: string, text: string): void {
  try {
    localStorage.setItem(name, text)
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}
