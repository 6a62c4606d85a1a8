import { Store } from '../live/store'
import type { Draft } from './share'

/** A query that is open. */
export interface Tab extends Draft {
  id: string
  name: string
  /** As it was opened or saved; what differs was typed since and is never thrown away by opening another. */
  opened: Draft
}

export interface TabsState {
  tabs: readonly [Tab, ...Tab[]]
  activeId: string
}

const KEY = 'carbondesk.query-tabs'
const TABS_MAX = 8

/** Keep the open queries for as long as the browser's tab lives, wherever in the desk one goes meanwhile. */
export class Tabs extends Store<TabsState> {
  readonly #start: Draft & { name: string }

  constructor(start: Draft & { name: string }) {
    super(recalled() ?? alone(tabOf(start)))
    this.#start = start
  }

  get active(): Tab {
    const { tabs, activeId } = this.read()
    return tabs.find(({ id }) => id === activeId) ?? tabs[0]
  }

  /** Change what a query holds, or what it is called. */
  readonly change = (id: string, part: Partial<Pick<Tab, 'query' | 'variables' | 'name' | 'opened'>>): void => {
    this.#keep({ ...this.read(), tabs: mapped(this.read().tabs, (tab) => (tab.id === id ? { ...tab, ...part } : tab)) })
  }

  /** Open a query: where it is open already, else in place of one that nobody has changed, else beside it. */
  readonly open = (chosen: Draft & { name: string }): void => {
    const { tabs } = this.read()
    const there = tabs.find((tab) => isSame(tab, chosen))
    if (there) return this.#keep({ tabs, activeId: there.id })
    const active = this.active
    const tab = tabOf(chosen)
    if (isSame(active, active.opened)) return this.#keep({ tabs: mapped(tabs, (one) => (one === active ? tab : one)), activeId: tab.id })
    this.#add(tab)
  }

  readonly add = (): void => this.#add(tabOf({ ...this.#start, name: 'New query' }))

  readonly activate = (activeId: string): void => this.#keep({ ...this.read(), activeId })

  /** Close a query; the last one gives way to a new one. */
  readonly close = (id: string): void => {
    const { tabs, activeId } = this.read()
    const at = tabs.findIndex((tab) => tab.id === id)
    const [first, ...rest] = tabs.filter((tab) => tab.id !== id)
    if (!first) return this.#keep(alone(tabOf(this.#start)))
    const left: TabsState['tabs'] = [first, ...rest]
    this.#keep({ tabs: left, activeId: activeId === id ? (left[Math.max(0, at - 1)] ?? first).id : activeId })
  }

  // The oldest that nobody has changed makes room, if there are many.
  #add(tab: Tab): void {
    const { tabs } = this.read()
    const spare = tabs.length < TABS_MAX ? undefined : (tabs.find((one) => isSame(one, one.opened)) ?? tabs[0])
    const [first = tab, ...rest] = [...tabs.filter((one) => one !== spare), tab]
    this.#keep({ tabs: [first, ...rest], activeId: tab.id })
  }

  #keep(state: TabsState): void {
    this.set(state)
    try {
      sessionStorage.setItem(KEY, JSON.stringify(state))
    } catch {
      // Storage may be forbidden; what is open then lasts as long as the page.
    }
  }
}

function tabOf({ name, query, variables }: Draft & { name: string }): Tab {
  return { id: crypto.randomUUID(), name, query, variables, opened: { query, variables } }
}

function alone(tab: Tab): TabsState {
  return { tabs: [tab], activeId: tab.id }
}

function isSame(one: Draft, other: Draft): boolean {
  return one.query === other.query && one.variables === other.variables
}

function mapped([first, ...rest]: TabsState['tabs'], change: (tab: Tab) => Tab): TabsState['tabs'] {
  return [change(first), ...rest.map(change)]
}

function recalled(): TabsState | undefined {
  try {
    const read = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Partial<TabsState> | null
    const [first, ...rest] = (read?.tabs ?? []).filter(isTab)
    return first && { tabs: [first, ...rest], activeId: read?.activeId ?? first.id }
  } catch {
    return undefined
  }
}

function isTab(tab: Partial<Tab>): boolean {
  return [tab.id, tab.name, tab.query, tab.variables, tab.opened?.query, tab.opened?.variables].every((text) => typeof text === 'string')
}
