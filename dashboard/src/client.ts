import { cacheExchange, Client, fetchExchange, mapExchange, type AnyVariables, type TypedDocumentNode } from '@urql/core'
import { useCallback, useEffect, useRef } from 'react'
import { useQuery } from 'urql'
import { Connection } from './live/connection'
import { useStore } from './live/store'
import { problemOf, type Problem } from './problem'
import { Session } from './session'

const REQUEST_MS_MAX = 15_000 // after this a person wants to know, not to wait

/** What a desk talks through: one HTTP client and one socket. */
export interface Desk {
  client: Client
  connection: Connection
}

const client = new Client({
  url: '/graphql',
  preferGetMethod: false, // with a cookie the server answers POST only
  requestPolicy: 'cache-and-network', // show at once what was known, then what is true
  fetchOptions: { credentials: 'same-origin' },
  fetch: (input, init) => fetch(input, { ...init, signal: deadline(init?.signal) }),
  exchanges: [
    mapExchange({
      onError: (error) => {
        if (problemOf(error).code === 'UNAUTHENTICATED') denied()
      },
    }),
    cacheExchange,
    fetchExchange,
  ],
})

const socketUrl = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/graphql`

export const desk: Desk = { client, connection: new Connection(socketUrl, denied) }
export const session = new Session(desk)

function denied(): void {
  void session.denied()
}

function deadline(signal: AbortSignal | null | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(REQUEST_MS_MAX)
  return signal ? AbortSignal.any([signal, timeout]) : timeout
}

export interface Answer<Data> {
  data: Data | undefined
  problem: Problem | undefined
  /** Whether a request is under way, with or without older data to show meanwhile. */
  fetching: boolean
  again: () => void
}

/** Ask a query and ask again after the session was renewed. */
export function useAnswer<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  pause = false,
): Answer<Data> {
  const [{ data, error, fetching, stale }, execute] = useQuery({ query, variables, pause })
  const state = useStore(session)
  const renewals = state.status === 'signed-in' ? state.renewals : 0
  const answered = useRef(renewals)
  const again = useCallback(() => execute({ requestPolicy: 'network-only' }), [execute])

  useEffect(() => {
    if (answered.current === renewals) return
    answered.current = renewals
    again()
  }, [renewals, again])

  return {
    data,
    problem: error && problemOf(error),
    fetching: fetching || stale,
    again,
  }
}
