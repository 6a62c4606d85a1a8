import { rowsOf, withoutHollow, type Row } from './rows'

export interface Answer {
  data: unknown
  errors: readonly { message: string; extensions?: Record<string, unknown> }[]
  /** From sending to the last byte. */
  tookMs: number
  /** The answer as it came. */
  body: unknown
}

/** Run a document over HTTP, as any program would. Raises: TypeError (the server is away), AbortError. */
export async function run(query: string, variables: Record<string, unknown>, signal: AbortSignal): Promise<Answer> {
  const startedAt = performance.now()
  const response = await fetch('/graphql', {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json, application/json' },
    body: JSON.stringify({ query, variables }),
    signal,
  })
  const body = (await response.json()) as { data?: unknown; errors?: Answer['errors'] }
  return { data: body.data ?? null, errors: body.errors ?? [], tookMs: performance.now() - startedAt, body }
}

export interface Pages {
  rows: readonly Row[]
  columns: readonly string[]
  pages: number
  /** Why it ended: everything is here, the cap was reached, somebody stopped it, or an answer was refused. */
  end: 'whole' | 'capped' | 'stopped' | 'failed'
  failure: string | undefined
}

/**
 * Follow `endCursor` until the list ends, the cap is reached, or somebody stops it; what was read until then is kept.
 * A server that is busy is asked again after a while.
 */
export async function fetchPages(
  ask: (after: string | null) => Promise<Answer>,
  cap: number,
  signal: AbortSignal,
  progress: (rows: number, pages: number) => void,
): Promise<Pages> {
  const rows: Row[] = []
  const columns = new Set<string>()
  let after: string | null = null
  let pages = 0
  const state = (end: Pages['end'], failure?: string): Pages => ({ rows, columns: withoutHollow([...columns], rows), pages, end, failure })
  for (;;) {
    if (signal.aborted) return state('stopped')
    let answer: Answer
    try {
      answer = await ask(after)
    } catch (error) {
      return signal.aborted ? state('stopped') : state('failed', error instanceof Error ? error.message : String(error))
    }
    const [error] = answer.errors
    if (error) return state('failed', error.message)
    const found = rowsOf(answer.data)
    rows.push(...found.rows.slice(0, cap - rows.length))
    found.columns.forEach((column) => columns.add(column))
    pages += 1
    if (!found.page?.hasNextPage || found.page.endCursor === null) return state('whole')
    if (found.page.endCursor === after) return state('failed', 'The list did not go on: its cursor stayed the same.')
    if (rows.length >= cap) return state('capped')
    after = found.page.endCursor
    progress(rows.length, pages)
  }
}
