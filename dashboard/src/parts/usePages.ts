import type { AnyVariables, TypedDocumentNode } from '@urql/core'
import { useEffect, useMemo, useRef } from 'react'
import { desk, session } from '../client'
import { PageFeed, type Connection, type Loaded, type PagesView } from '../live/pages'
import { useStore } from '../live/store'
import { problemOf } from '../problem'

/** A list of the API: any Relay connection. Declare it beside its documents, once: another object is another list. */
export interface List<Row, Variables, Data, Counted> {
  /** Takes `$first: Int!` and `$after: String` beside the variables. */
  query: TypedDocumentNode<Data, Variables & { first: number; after?: string | null }>
  read: (data: Data) => Connection<Row>
  /** Counts the same list in a query of its own, so that rows never wait for it. */
  total?: {
    query: TypedDocumentNode<Counted, Variables>
    read: (data: Counted) => { totalCount: number; totalCountIsExact: boolean }
  }
}

export type Pages<Row> = PagesView<Row> & Pick<PageFeed<Row>, 'more' | 'again' | 'update'>

/**
 * Read a list page by page for as long as the component shows it; again when the session was renewed.
 * Variables are compared by content; other ones begin the list anew.
 */
export function usePages<Row, Variables extends Record<string, unknown>, Data, Counted = never>(
  list: List<Row, Variables, Data, Counted>,
  variables: Variables,
): Pages<Row> {
  const key = JSON.stringify(variables)
  const feed = useMemo(() => {
    const asked = JSON.parse(key) as Variables
    const { query, read, total } = list
    return new PageFeed<Row>({
      load: async (first, after) => mapped(await ask(query, { ...asked, first, after }), read),
      count:
        total &&
        (async () =>
          mapped(await ask(total.query, asked), (data) => {
            const { totalCount, totalCountIsExact } = total.read(data)
            return { count: totalCount, isExact: totalCountIsExact }
          })),
    })
  }, [list, key])
  const view = useStore(feed)

  const state = useStore(session)
  const renewals = state.status === 'signed-in' ? state.renewals : 0
  const answered = useRef(renewals)
  useEffect(() => {
    if (answered.current === renewals) return
    answered.current = renewals
    void feed.again()
  }, [renewals, feed])

  return { ...view, more: feed.more, again: feed.again, update: feed.update }
}

/** Ask once, past the cache. */
export async function ask<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Loaded<Data>> {
  const { data, error } = await desk.client.query(query, variables, { requestPolicy: 'network-only' }).toPromise()
  return error ? { problem: problemOf(error) } : { value: data as Data }
}

function mapped<From, To>(answer: Loaded<From>, change: (value: From) => To): Loaded<To> {
  return 'problem' in answer ? answer : { value: change(answer.value) }
}
