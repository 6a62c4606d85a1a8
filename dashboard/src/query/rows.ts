/** A row of a table: values by their dotted path. */
export type Row = Readonly<Record<string, unknown>>

export interface Found {
  rows: readonly Row[]
  /** Every path that a row has, in the order in which they were met. */
  columns: readonly string[]
  /** Where the list stands in the answer, such as `tickets` or `marketMaker.orders`. */
  path: string
  /** Where the page ends, when the list is a connection and this was asked for. */
  page: { hasNextPage: boolean; endCursor: string | null } | undefined
}

/**
 * Find the list in an answer and write its items as rows: the nodes of a connection, else the first list, else the
 * answer itself as one row. Objects are flattened; lists within a row stay as they are.
 */
export function rowsOf(data: unknown): Found {
  const found = connectionIn(data, []) ?? listIn(data, [])
  const items = found?.items ?? (isRecord(data) ? [data] : [])
  const rows = items.map((item) => (isRecord(item) ? flat(item) : { value: item }))
  const columns = withoutHollow([...new Set(rows.flatMap((row) => Object.keys(row)))], rows)
  return { rows, columns, path: found?.path.join('.') ?? '', page: found?.page }
}

/** Leave out columns of objects that are only ever missing: `user` where there is `user.name` already. */
export function withoutHollow(columns: readonly string[], rows: readonly Row[]): string[] {
  return columns.filter(
    (column) => !columns.some((other) => other.startsWith(`${column}.`)) || rows.some((row) => row[column] != null),
  )
}

interface At {
  items: readonly unknown[]
  path: string[]
  page: Found['page']
}

function connectionIn(value: unknown, path: string[]): At | undefined {
  if (!isRecord(value)) return undefined
  const items = Array.isArray(value.nodes)
    ? (value.nodes as unknown[])
    : Array.isArray(value.edges)
      ? (value.edges as unknown[]).map((edge) => (isRecord(edge) && 'node' in edge ? edge.node : edge))
      : undefined
  if (items) return { items, path, page: pageOf(value.pageInfo) }
  for (const [name, inner] of Object.entries(value)) {
    const found = connectionIn(inner, [...path, name])
    if (found) return found
  }
  return undefined
}

function listIn(value: unknown, path: string[]): At | undefined {
  if (Array.isArray(value)) return { items: value, path, page: undefined }
  if (!isRecord(value)) return undefined
  for (const [name, inner] of Object.entries(value)) {
    const found = listIn(inner, [...path, name])
    if (found) return found
  }
  return undefined
}

function pageOf(value: unknown): Found['page'] {
  if (!isRecord(value) || typeof value.hasNextPage !== 'boolean' || value.endCursor === undefined) return undefined
  return { hasNextPage: value.hasNextPage, endCursor: typeof value.endCursor === 'string' ? value.endCursor : null }
}

function flat(item: Record<string, unknown>, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(item).flatMap(([name, value]): [string, unknown][] =>
      isRecord(value) ? Object.entries(flat(value, `${prefix}${name}.`)) : [[`${prefix}${name}`, value]],
    ),
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
