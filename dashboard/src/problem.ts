import type { CombinedError } from '@urql/core'

/** What went wrong, in the one form every screen shows. */
export interface Problem {
  code: string
  message: string
  ticketId: string | undefined
  /** Whether the same request may succeed later without the person changing anything. */
  retryable: boolean
}

/** What is read of a GraphQL error, be it off the socket or out of the client. */
interface WireError {
  message: string
  extensions?: Readonly<Record<string, unknown>> | undefined
}

const TRANSIENT = new Set(['INTERNAL', 'RATE_LIMITED', 'BUSY', 'SERVER_AWAY', 'SERVER_FAULT', 'TIMEOUT'])

const WORDS: Record<string, string> = {
  UNAUTHENTICATED: 'Your session has ended. Sign in again.',
  FORBIDDEN: 'Your role may not do this.',
  RATE_LIMITED: 'Too many requests. Wait a moment, then try again.',
  INTERNAL: 'The server failed. What happened is in the ticket.',
}

/** Turn an answer's failure into one problem: the transport's, or the first GraphQL error. */
export function problemOf(error: CombinedError): Problem {
  if (error.graphQLErrors.length > 0) return problemOfErrors(error.graphQLErrors)
  const status = (error.response as Response | undefined)?.status
  if (error.networkError?.name === 'TimeoutError') {
    return problem('TIMEOUT', 'The server did not answer in time.')
  }
  if (status === 429) return problem('RATE_LIMITED', WORDS.RATE_LIMITED)
  if (status !== undefined && status >= 500) return problem('SERVER_FAULT', `The server answered ${status}.`)
  if (status !== undefined) return problem('BAD_REQUEST', `The server refused the request (${status}).`)
  return problem('SERVER_AWAY', 'The server cannot be reached.')
}

/** Turn GraphQL errors into one problem; the first is the one that stopped the rest. */
export function problemOfErrors(errors: readonly WireError[]): Problem {
  const [first] = errors
  const code = textAt(first, 'code') ?? 'INTERNAL'
  return problem(code, WORDS[code] ?? first?.message, textAt(first, 'ticketId'))
}

function problem(code: string, message = 'The request failed.', ticketId?: string): Problem {
  return { code, message, ticketId, retryable: TRANSIENT.has(code) }
}

function textAt(error: WireError | undefined, key: string): string | undefined {
  const value = error?.extensions?.[key]
  return typeof value === 'string' ? value : undefined
}
