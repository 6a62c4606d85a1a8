import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Problem } from '../problem'
import { carryOut, type Payload } from './attempt'

const payload = (errors: Payload['errors'] = []): { payload: Payload } => ({ payload: { ticketId: 'TKT-2026-000001', errors } })
const lost = (code: string): { problem: Problem } => ({
  problem: { code, message: 'lost', ticketId: undefined, retryable: true },
})
const never = () => new Promise<never>(() => undefined)

describe('an attempt', () => {
  let checking: number
  const told = () => (checking += 1)
  beforeEach(() => {
    checking = 0
    vi.useFakeTimers()
  })
  afterEach(() => vi.useRealTimers())

  it('that is answered is asked about no further', async () => {
    const ask = vi.fn()
    const done = await carryOut({ send: () => Promise.resolve(payload()), ask, checking: told })
    expect(done).toEqual({ kind: 'done', ...payload() })
    const refusal = { code: 'INSUFFICIENT_BALANCE', message: 'x', field: 'quantity' }
    const refused = await carryOut({ send: () => Promise.resolve(payload([refusal])), ask, checking: told })
    expect(refused.kind).toBe('refused')
    expect([ask.mock.calls.length, checking]).toEqual([0, 0])
  })

  it('that was denied has failed, and is not asked about', async () => {
    const ask = vi.fn()
    const outcome = await carryOut({ send: () => Promise.resolve(lost('FORBIDDEN')), ask, checking: told })
    expect(outcome).toMatchObject({ kind: 'failed', problem: { code: 'FORBIDDEN' } })
    expect(ask).not.toHaveBeenCalled()
  })

  it('without an answer in ten seconds is looked up, and its answer fetched with the same key', async () => {
    const send = vi.fn().mockImplementationOnce(never).mockImplementationOnce(() => Promise.resolve(payload()))
    const ask = vi.fn().mockResolvedValueOnce({ ended: false }).mockResolvedValueOnce({ ended: true })
    const outcome = carryOut({ send, ask, checking: told })
    await vi.advanceTimersByTimeAsync(9_999)
    expect([checking, ask.mock.calls.length]).toEqual([0, 0])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await outcome).toEqual({ kind: 'done', ...payload() })
    expect([checking, send.mock.calls.length, ask.mock.calls.length]).toEqual([1, 2, 2])
  })

  it('whose request was cut off and of which the server knows nothing was not done', async () => {
    const send = vi.fn().mockResolvedValue(lost('SERVER_AWAY'))
    const outcome = await carryOut({ send, ask: () => Promise.resolve({ ended: false }), checking: told })
    expect(outcome).toMatchObject({ kind: 'undone', problem: { code: 'NOT_DONE' } })
    expect(send).toHaveBeenCalledTimes(1)
  })

  it('is never sent again while nobody can be asked', async () => {
    const send = vi.fn().mockResolvedValue(lost('SERVER_AWAY'))
    const outcome = carryOut({ send, ask: () => Promise.resolve(lost('SERVER_AWAY')), checking: told })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await outcome).toMatchObject({ kind: 'unknown', problem: { code: 'SERVER_AWAY' } })
    expect(send).toHaveBeenCalledTimes(1)
  })

  it('whose late answer comes while it is looked up is over', async () => {
    const send = () => new Promise<{ payload: Payload }>((resolve) => setTimeout(() => resolve(payload()), 12_000))
    const ask = vi.fn().mockResolvedValue({ ended: false })
    const outcome = carryOut({ send, ask, checking: told })
    await vi.advanceTimersByTimeAsync(14_000)
    expect(await outcome).toEqual({ kind: 'done', ...payload() })
  })

  it('without a key stays unknown when its answer is lost', async () => {
    const outcome = await carryOut({ send: () => Promise.resolve(lost('TIMEOUT')), ask: undefined, checking: told })
    expect(outcome.kind).toBe('unknown')
  })
})
