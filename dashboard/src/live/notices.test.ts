import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Notices, NOTICES_MAX } from './notices'

describe('notices', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('go after eight seconds, unless somebody points at them', () => {
    const told = new Notices()
    const id = told.tell({ tone: 'ok', title: 'Order placed' })
    vi.advanceTimersByTime(7_000)
    told.stay(id)
    vi.advanceTimersByTime(60_000)
    expect(told.read().shown).toHaveLength(1)
    told.leave(id)
    vi.advanceTimersByTime(8_000)
    expect(told.read().shown).toHaveLength(0)
    expect(told.read().kept.map(({ title }) => title)).toEqual(['Order placed'])
  })

  it('of failures stay until they are sent away, and make room last', () => {
    const told = new Notices()
    const failed = told.tell({ tone: 'fail', title: 'Order not placed' })
    for (let at = 0; at < 6; at += 1) told.tell({ tone: 'ok', title: `${at}` })
    expect(told.read().shown.map(({ title }) => title)).toEqual(['Order not placed', '3', '4', '5'])
    vi.advanceTimersByTime(600_000)
    expect(told.read().shown.map(({ title }) => title)).toEqual(['Order not placed'])
    told.dismiss(failed)
    expect(told.read().shown).toEqual([])
  })

  it('are kept to the last fifty, newest first', () => {
    const told = new Notices()
    for (let at = 0; at < NOTICES_MAX + 5; at += 1) told.tell({ tone: 'ok', title: `${at}` })
    const { kept, unread } = told.read()
    expect([kept.length, kept[0]?.title, kept.at(-1)?.title, unread]).toEqual([50, '54', '5', 55])
    told.looked()
    expect(told.read().unread).toBe(0)
  })
})
