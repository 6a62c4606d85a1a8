import type { AnyVariables, TypedDocumentNode } from '@urql/core'
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { desk } from '../client'
import { graphql } from '../graphql'
import { carryOut, type Outcome, type Payload, type Refusal } from '../live/attempt'
import { notices, type NoticeAction } from '../live/notices'
import { problemOf, type Problem } from '../problem'

const Attempt = graphql(`
  query Attempt($key: String!, $mutation: String!) {
    attempt(idempotencyKey: $key, mutation: $mutation) { ticketId status }
  }
`)

/** What a toast says when it was done. */
export interface Told {
  title: string
  detail?: string | undefined
  action?: NoticeAction | undefined
}

type PayloadAt<Data, Field extends keyof Data> = NonNullable<Data[Field]> & Payload

interface Way<Data, Variables extends AnyVariables, Field extends keyof Data> {
  document: TypedDocumentNode<Data, Variables>
  /** The root field, such as `placeMarketOrder`. */
  field: Field & string
  /** Whether its input takes an idempotency key, so that one can ask whether it happened. */
  keyed: boolean
  /** What to tell when it was done; undefined says nothing. */
  done: (payload: PayloadAt<Data, Field>) => Told | undefined
  /** What was wanted, for failures: "Order not placed". */
  failed: string
}

export interface Submit<Variables, P extends Payload> {
  /** Carry the attempt out; while one is under way, nothing else is. */
  submit: (variables: (key: string) => Variables) => Promise<Outcome<P> | undefined>
  busy: boolean
  /** The answer is late or lost and the server is asked whether it happened. */
  checking: boolean
  /** What the last attempt came to, unless it was done. */
  failure: Failure | undefined
  /** The refusal that concerns a field of the form. */
  errorOf: (field: string) => string | undefined
  /** Forget the last failure, as the form has changed. */
  clear: () => void
}

export interface Failure {
  message: string
  code: string
  ticketId: string | undefined
  refusals: readonly Refusal[]
}

/**
 * Send a mutation so that it happens once: one key per attempt, reused while its end is not known.
 * Its toast carries its ticket, done or not.
 */
export function useSubmit<Data, Variables extends AnyVariables, Field extends keyof Data>(
  way: Way<Data, Variables, Field>,
): Submit<Variables, PayloadAt<Data, Field>> {
  type P = PayloadAt<Data, Field>
  const [phase, setPhase] = useState<'idle' | 'busy' | 'checking'>('idle')
  const [failure, setFailure] = useState<Failure>()
  const locked = useRef(false)
  const pending = useRef<{ key: string; content: string }>(undefined)
  const newest = useRef(way)
  useLayoutEffect(() => {
    newest.current = way
  })

  const submit = useCallback(async (variables: (key: string) => Variables): Promise<Outcome<P> | undefined> => {
    if (locked.current) return undefined
    const { document, field, keyed, done, failed } = newest.current
    locked.current = true
    setPhase('busy')
    setFailure(undefined)
    try {
      const content = JSON.stringify(variables(''))
      if (pending.current?.content !== content) pending.current = { key: crypto.randomUUID(), content }
      const { key } = pending.current
      const outcome: Outcome<P> = navigator.onLine && (await desk.connection.reaches())
        ? await carryOut<P>({
            send: () => send(document, variables(key), field),
            ask: keyed ? () => askEnd(key, field) : undefined,
            checking: () => setPhase('checking'),
          })
        : { kind: 'undone', problem: OFFLINE }
      // Only an attempt of unknown end keeps its key; a press after an answer is a new attempt.
      if (outcome.kind !== 'unknown' && outcome.kind !== 'undone') pending.current = undefined
      if (outcome.kind === 'done') {
        const told = done(outcome.payload)
        if (told) notices.tell({ ...told, tone: 'ok', ticketId: outcome.payload.ticketId })
      } else {
        const found = failureOf(outcome, keyed)
        setFailure(found)
        notices.tell({ tone: 'fail', title: failed, detail: found.message, ticketId: found.ticketId })
      }
      return outcome
    } finally {
      locked.current = false
      setPhase('idle')
    }
  }, [])

  const clear = useCallback(() => setFailure(undefined), [])
  return useMemo(
    () => ({
      submit,
      busy: phase !== 'idle',
      checking: phase === 'checking',
      failure,
      errorOf: (field: string) => failure?.refusals.find((refusal) => refusal.field === field)?.message,
      clear,
    }),
    [submit, phase, failure, clear],
  )
}

async function send<Data, Variables extends AnyVariables, Field extends keyof Data>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  field: Field,
): Promise<{ payload: PayloadAt<Data, Field> } | { problem: Problem }> {
  const { data, error } = await desk.client.mutation(document, variables).toPromise()
  if (error) return { problem: problemOf(error) }
  const payload = data?.[field]
  return payload == null ? { problem: SILENT } : { payload: payload as PayloadAt<Data, Field> }
}

async function askEnd(key: string, mutation: string): Promise<{ ended: boolean } | { problem: Problem }> {
  const { data, error } = await desk.client
    .query(Attempt, { key, mutation }, { requestPolicy: 'network-only' })
    .toPromise()
  if (error) return { problem: problemOf(error) }
  return { ended: data?.attempt != null }
}

function failureOf(outcome: Exclude<Outcome<Payload>, { kind: 'done' }>, keyed: boolean): Failure {
  if (outcome.kind !== 'refused') {
    const { message, code, ticketId } = outcome.problem
    const doubt = `Whether it was done is not known. ${keyed ? 'Press again to find out; it cannot be done twice.' : 'Look before you try again.'}`
    return { message: outcome.kind === 'unknown' ? `${message} ${doubt}` : message, code, ticketId, refusals: [] }
  }
  const { errors, ticketId } = outcome.payload
  const [first] = errors
  return { message: first?.message ?? '', code: first?.code ?? '', ticketId, refusals: errors }
}

const OFFLINE: Problem = {
  code: 'OFFLINE',
  message: 'Offline, not sent. Nothing was done.',
  ticketId: undefined,
  retryable: true,
}

const SILENT: Problem = { code: 'INTERNAL', message: 'The server gave no answer.', ticketId: undefined, retryable: true }
