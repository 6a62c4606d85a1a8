import type { Loaded } from '../live/pages'
import { ask, type List } from './usePages'

const PAGE_ROWS = 100

/** Read a list to its end, telling how many rows are there so far. */
export async function everyRow<Row, Variables extends Record<string, unknown>, Data, Counted>(
  { query, read }: List<Row, Variables, Data, Counted>,
  variables: Variables,
  progress: (rows: number) => void,
): Promise<Loaded<readonly Row[]>> {
  const rows: Row[] = []
  let after: string | null = null
  for (;;) {
    const answer: Loaded<Data> = await ask(query, { ...variables, first: PAGE_ROWS, after })
    if ('problem' in answer) return answer
    const { nodes, pageInfo } = read(answer.value)
    rows.push(...nodes)
    progress(rows.length)
    if (!pageInfo.hasNextPage) return { value: rows }
    after = pageInfo.endCursor
  }
}
