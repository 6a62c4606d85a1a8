import { stringifyDocument } from '@urql/core'
import type { TadaDocumentNode } from 'gql.tada'
import type { GraphQLFormattedError } from 'graphql'
import { createClient, MessageType, type Client } from 'graphql-ws'
import { problemOfErrors, type Problem } from '../problem'
import { Store } from './store'

const KEEP_ALIVE_MS = 5_000 // a dead socket shows within KEEP_ALIVE_MS + PONG_MS
const PONG_MS = 5_000
const IDLE_CLOSE_MS = 10_000 // a change of page must not cost a handshake
const BACKOFF_FIRST_MS = 500
const BACKOFF_MAX_MS = 15_000
const REACH_MS_MAX = 2_000 // how long a press of a button waits for a socket that is coming back
const OFFLINE_AFTER_MS = 10_000 // until then a restart of the server is only "Reconnecting"

const CLOSE_NORMAL = 1000
const CLOSE_UNAUTHORIZED = 4401
const CLOSE_FORBIDDEN = 4403 // also: the session ended while the socket was open

export type ConnectionState =
  | { phase: 'idle' }
  | { phase: 'connecting' }
  | { phase: 'live'; latencyMs: number | null }
  | { phase: 'reconnecting' | 'offline'; since: number; attempt: number; retryAt: number | null }

/** Where a stream's events go. */
export interface Sink<Data> {
  next: (data: Data) => void
  /** The stream broke and is tried again (`problem` undefined: the transport), or was refused for good. */
  down: (problem: Problem | undefined, retrying: boolean) => void
}

/** Follow a subscription until the returned function is called. */
export type Follow<Data> = (sink: Sink<Data>) => () => void

/**
 * Carry every subscription over one socket and bring all of them back after a failure, for ever.
 * Retrying is done here and not by graphql-ws, because each attempt needs fresh variables (where to resume)
 * and some close codes that the library takes as final only mean that the server restarted or the session ended.
 */
export class Connection extends Store<ConnectionState> {
  readonly #client: Client
  readonly #waiting = new Set<() => void>()
  readonly #onDenied: () => void
  #attempt = 0
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #pongTimer: ReturnType<typeof setTimeout> | undefined
  #pingedAt = 0
  #downSince: number | null = null

  constructor(url: string, onDenied: () => void) {
    super({ phase: 'idle' })
    this.#onDenied = onDenied
    this.#client = createClient({
      url,
      retryAttempts: 0,
      keepAlive: KEEP_ALIVE_MS,
      lazyCloseTimeout: IDLE_CLOSE_MS,
      on: {
        connecting: () => this.#connecting(),
        connected: () => this.#connected(),
        message: (message) => {
          if (message.type === MessageType.Next || message.type === MessageType.Pong) this.#attempt = 0
        },
        ping: (received) => {
          if (!received) this.#pinged()
        },
        pong: (received) => {
          if (received) this.#ponged()
        },
        closed: (event) => this.#closed((event as CloseEvent).code),
      },
    })
    addEventListener('online', () => this.retryNow())
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.retryNow()
    })
  }

  /** Follow one subscription; `variables` is asked again at each attempt. */
  follow<Data, Variables extends Record<string, unknown>>(
    document: TadaDocumentNode<Data, Variables>,
    variables: () => Variables,
    sink: Sink<Data>,
  ): () => void {
    let stopped = false
    let unsubscribe: (() => void) | undefined
    const query = stringifyDocument(document)

    const start = (): void => {
      this.#waiting.delete(start)
      let ended = false
      const end = (errors?: readonly GraphQLFormattedError[]): void => {
        if (stopped || ended) return
        ended = true
        const problem = errors && problemOfErrors(errors)
        const retrying = problem === undefined || problem.retryable || problem.code === 'UNAUTHENTICATED'
        sink.down(problem, retrying)
        if (problem?.code === 'UNAUTHENTICATED') this.#onDenied()
        if (retrying) this.#retryLater(start)
      }
      unsubscribe = this.#client.subscribe<Data>(
        { query, variables: variables() },
        {
          next: ({ data, errors }) => {
            if (stopped || ended) return
            if (errors) end(errors)
            else if (data) sink.next(data)
          },
          error: (reason) => end(Array.isArray(reason) ? (reason as GraphQLFormattedError[]) : undefined),
          complete: () => end(),
        },
      )
    }

    start()
    return () => {
      stopped = true
      this.#waiting.delete(start)
      unsubscribe?.()
    }
  }

  /** Try at once what waits for its next attempt. */
  readonly retryNow = (): void => {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = undefined
    for (const start of [...this.#waiting]) start()
  }

  /** Tell whether there is a connection; one that is down is tried at once and awaited for a moment. */
  async reaches(): Promise<boolean> {
    if (!this.#isDown()) return true
    this.retryNow()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(end, REACH_MS_MAX)
      const stop = this.subscribe(() => {
        if (!this.#isDown()) end()
      })
      function end(): void {
        clearTimeout(timer)
        stop()
        resolve()
      }
    })
    return !this.#isDown()
  }

  /** Open a new socket, because who asks has changed. */
  renew(): void {
    this.#attempt = 0
    this.#client.terminate()
    this.retryNow()
  }

  #isDown(): boolean {
    const { phase } = this.read()
    return phase === 'offline' || phase === 'reconnecting'
  }

  #retryLater(start: () => void): void {
    this.#waiting.add(start)
    if (this.#retryTimer !== undefined) return
    const wait = backoffMs(this.#attempt)
    this.#attempt += 1
    this.#retryTimer = setTimeout(this.retryNow, wait)
    if (this.read().phase !== 'live') this.#setDown(Date.now() + wait)
  }

  #connecting(): void {
    if (this.#downSince === null) this.set({ phase: 'connecting' })
    else this.#setDown(null)
  }

  #connected(): void {
    this.#downSince = null
    this.set({ phase: 'live', latencyMs: null })
  }

  #closed(code: number): void {
    clearTimeout(this.#pongTimer)
    if (code === CLOSE_UNAUTHORIZED || code === CLOSE_FORBIDDEN) this.#onDenied()
    if (code === CLOSE_NORMAL) this.set({ phase: 'idle' }) // our own close: nobody follows anything
    else this.#setDown(null)
  }

  #setDown(retryAt: number | null): void {
    this.#downSince ??= Date.now()
    const phase = Date.now() - this.#downSince >= OFFLINE_AFTER_MS ? 'offline' : 'reconnecting'
    this.set({ phase, since: this.#downSince, attempt: this.#attempt, retryAt })
  }

  #pinged(): void {
    this.#pingedAt = performance.now()
    clearTimeout(this.#pongTimer)
    this.#pongTimer = setTimeout(() => this.#client.terminate(), PONG_MS)
  }

  #ponged(): void {
    clearTimeout(this.#pongTimer)
    const latencyMs = Math.round(performance.now() - this.#pingedAt)
    if (this.read().phase === 'live') this.set({ phase: 'live', latencyMs })
  }
}

/** Give the wait before an attempt: doubling to a ceiling, with jitter so that watchers do not return as one. */
export function backoffMs(attempt: number, random = Math.random()): number {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10))
  return full / 2 + (full / 2) * random
}
