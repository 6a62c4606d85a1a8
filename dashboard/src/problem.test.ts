import { CombinedError } from '@urql/core'
import { expect, it } from 'vitest'
import { problemOf, problemOfErrors } from './problem'

it('a GraphQL error gives its code and its ticket', () => {
  const error = { message: 'x', extensions: { code: 'FORBIDDEN', ticketId: 'TKT-2026-000009' } }
  expect(problemOfErrors([error])).toEqual({
    code: 'FORBIDDEN',
    message: 'Your role may not do this.',
    ticketId: 'TKT-2026-000009',
    retryable: false,
  })
})

it('a transport that failed is told apart from a server that failed', () => {
  const networkError = new TypeError('Failed to fetch')
  expect(problemOf(new CombinedError({ networkError }))).toMatchObject({ code: 'SERVER_AWAY', retryable: true })
  const response = new Response('', { status: 502 })
  expect(problemOf(new CombinedError({ networkError, response }))).toMatchObject({ code: 'SERVER_FAULT', retryable: true })
  const timeout = Object.assign(new Error('late'), { name: 'TimeoutError' })
  expect(problemOf(new CombinedError({ networkError: timeout }))).toMatchObject({ code: 'TIMEOUT', retryable: true })
})
