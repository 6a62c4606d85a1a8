/** A value within a JSON value, and how jq would get it: `.input.items[0].price`. */
export interface Leaf {
  path: string
  value: unknown
}

const PLAIN_NAME = /^[A-Za-z_]\w*$/

/** Find the leaves whose path or value has a text, whatever its case; the first `most` of them, and how many there are. */
export function leavesWith(value: unknown, text: string, most: number): { leaves: readonly Leaf[]; total: number } {
  const wanted = text.trim().toLowerCase()
  const leaves: Leaf[] = []
  let total = 0
  const walk = (part: unknown, path: string) => {
    const inner = entriesOf(part)
    if (inner?.length) {
      for (const [step, one] of inner) walk(one, path + step)
    } else if (path.toLowerCase().includes(wanted) || written(part).toLowerCase().includes(wanted)) {
      total += 1
      if (leaves.length < most) leaves.push({ path: path || '.', value: part })
    }
  }
  if (wanted) walk(value, '')
  return { leaves, total }
}

/** Write a leaf as it reads: texts without quotation marks. */
export function written(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function entriesOf(value: unknown): [string, unknown][] | undefined {
  if (Array.isArray(value)) return (value as unknown[]).map((item, index) => [`[${index}]`, item])
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).map(([name, item]) => [PLAIN_NAME.test(name) ? `.${name}` : `.${JSON.stringify(name)}`, item])
}
