import type { Problem } from '../problem'

const ANSWER_MS_MAX = 10_000 // after this a person wants to know whether it happened
const ASK_AGAIN_MS = 1_500
const ASKED_MAX = 12 // about twenty seconds of asking; then the person decides

/** Why an action was refused; nothing was changed. */
export interface Refusal {
  code: string
  message: string
  field: string | null
  details?: unknown
}

/** What every mutation's payload has. */
export interface Payload {
  ticketId: string
  errors: readonly Refusal[]
}

/** What became of an attempt. */
export type Outcome<P extends Payload> =
  | { kind: 'done'; payload: P }
  | { kind: 'refused'; payload: P }
  /** Denied, or the server failed: nothing was done. */
  | { kind: 'failed'; problem: Problem }
  /** It did not leave this machine, or never came to an end: nothing was done so far. */
  | { kind: 'undone'; problem: Problem }
  /** Nobody could be asked whether it was done. */
  | { kind: 'unknown'; problem: Problem }

/** Send the attempt with its key; a server that had it before answers as it did then. */
export type Send<P> = () => Promise<{ payload: P } | { problem: Problem }>

/** Ask whether an attempt with the key has come to an end. */
export type AskEnd = () => Promise<{ ended: boolean } | { problem: Problem }>

interface Way<P extends Payload> {
  send: Send<P>
  /** Undefined when the mutation takes no key: then a lost answer stays unknown. */
  ask: AskEnd | undefined
  /** Told once, when the answer is late or lost. */
  checking: () => void
}

/**
 * Carry one attempt out and find out what became of it, also when its answer is late or lost.
 * The attempt is never sent a second time unless the server says that it has an answer to repeat.
 */
export async function carryOut<P extends Payload>({ send, ask, checking }: Way<P>): Promise<Outcome<P>> {
  const sent = send()
  const first = await Promise.race([sent, later(ANSWER_MS_MAX)])
  if (first && !isLost(first)) return outcomeOf(first)
  if (!ask) {
    const answer = await sent
    return isLost(answer) ? { kind: 'unknown', problem: answer.problem } : outcomeOf(answer)
  }

  checking()
  let answer: Awaited<ReturnType<Send<P>>> | undefined
  void sent.then((late) => (answer = late))
  let problem: Problem = LATE
  for (let asked = 0; asked < ASKED_MAX; asked += 1) {
    if (answer && !isLost(answer)) return outcomeOf(answer)
    const told = await ask()
    if ('problem' in told) problem = told.problem
    else if (told.ended) {
      const repeated = await send()
      if (!isLost(repeated)) return outcomeOf(repeated)
    } else if (answer) {
      return { kind: 'undone', problem: NOT_DONE } // its request is over, and the server knows of no end
    }
    await later(ASK_AGAIN_MS)
  }
  return { kind: 'unknown', problem }
}

function outcomeOf<P extends Payload>(answer: { payload: P } | { problem: Problem }): Outcome<P> {
  if ('problem' in answer) return { kind: 'failed', problem: answer.problem }
  return { kind: answer.payload.errors.length > 0 ? 'refused' : 'done', payload: answer.payload }
}

// Whether the server may have carried it out although we do not know its answer.
function isLost(answer: { payload: unknown } | { problem: Problem }): answer is { problem: Problem } {
  return 'problem' in answer && LOST.has(answer.problem.code)
}

const LOST = new Set(['SERVER_AWAY', 'SERVER_FAULT', 'TIMEOUT'])

const LATE: Problem = {
  code: 'TIMEOUT',
  message: 'The server does not answer.',
  ticketId: undefined,
  retryable: true,
}

const NOT_DONE: Problem = {
  code: 'NOT_DONE',
  message: 'It was not done. Try again; it cannot be done twice.',
  ticketId: undefined,
  retryable: true,
}

function later(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms))
}
