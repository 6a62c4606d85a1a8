/** What became of one path of a state. */
export interface Difference {
  path: string
  before: unknown
  after: unknown
  kind: 'added' | 'removed' | 'changed' | 'same'
}

const MISSING = Symbol('missing')

/** Compare what an action found with what it left: every path, in the order of the states; lists of things by their id. */
export function differences(before: unknown, after: unknown): Difference[] {
  const old = flattened(before)
  const fresh = flattened(after)
  return [...new Set([...old.keys(), ...fresh.keys()])].map((path) => {
    const from = old.has(path) ? old.get(path) : MISSING
    const to = fresh.has(path) ? fresh.get(path) : MISSING
    const kind = from === MISSING ? 'added' : to === MISSING ? 'removed' : same(from, to) ? 'same' : 'changed'
    return { path, before: from === MISSING ? undefined : from, after: to === MISSING ? undefined : to, kind }
  })
}

function flattened(state: unknown): Map<string, unknown> {
  const found = new Map<string, unknown>()
  const walk = (value: unknown, path: string) => {
    const inner = entriesOf(value)
    if (inner === undefined || (inner.length === 0 && path !== '')) found.set(path, value)
    else for (const [name, part] of inner) walk(part, path === '' ? name : `${path}.${name}`)
  }
  if (state !== null && state !== undefined) walk(state, '')
  return found
}

// What is inside a value by name; a list of things with an id is named by these, so that an inserted one moves no other.
function entriesOf(value: unknown): [string, unknown][] | undefined {
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value
    const ids = items.map((item) => (isRecord(item) && typeof item.id === 'string' ? item.id : undefined))
    const byId = ids.every((id) => id !== undefined) && new Set(ids).size === ids.length
    return items.map((item, index) => [byId ? `[${ids[index]}]` : `[${index}]`, item])
  }
  return isRecord(value) ? Object.entries(value) : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
