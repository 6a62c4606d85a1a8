import { describe, expect, it } from 'vitest'
import { differences } from './diff'
import { graphOf } from './graph'

describe('differences', () => {
  it('go down every path and say what became of it', () => {
    const before = { balances: { CEA: { available: '10000', locked: '0' } }, name: 'MM-Alpha', gone: 1 }
    const after = { balances: { CEA: { available: '9900', locked: '100' } }, name: 'MM-Alpha', order: { id: 'x', status: 'OPEN' } }
    expect(differences(before, after)).toEqual([
      { path: 'balances.CEA.available', before: '10000', after: '9900', kind: 'changed' },
      { path: 'balances.CEA.locked', before: '0', after: '100', kind: 'changed' },
      { path: 'name', before: 'MM-Alpha', after: 'MM-Alpha', kind: 'same' },
      { path: 'gone', before: 1, after: undefined, kind: 'removed' },
      { path: 'order.id', before: undefined, after: 'x', kind: 'added' },
      { path: 'order.status', before: undefined, after: 'OPEN', kind: 'added' },
    ])
  })

  it('know things in lists by their id, not by their place', () => {
    const changed = differences(
      { orders: [{ id: 'a', left: 1 }, { id: 'b', left: 2 }] },
      { orders: [{ id: 'b', left: 3 }, { id: 'c', left: 4 }] },
    ).filter(({ path, kind }) => path.endsWith('left') && kind !== 'same')
    expect(changed).toEqual([
      { path: 'orders.[a].left', before: 1, after: undefined, kind: 'removed' },
      { path: 'orders.[b].left', before: 2, after: 3, kind: 'changed' },
      { path: 'orders.[c].left', before: undefined, after: 4, kind: 'added' },
    ])
    expect(differences({ tags: ['a'] }, { tags: ['a', 'b'] })[1]).toMatchObject({ path: 'tags.[1]', kind: 'added' })
  })

  it('tell null from nothing, and nothing from everything', () => {
    expect(differences({ reason: null }, { reason: 'x' })).toEqual([{ path: 'reason', before: null, after: 'x', kind: 'changed' }])
    expect(differences(null, { a: {} })).toEqual([{ path: 'a', before: undefined, after: {}, kind: 'added' }])
    expect(differences(null, null)).toEqual([])
  })
})

describe('the graph of related tickets', () => {
  it('puts what followed after its causes, and what followed together on lanes', () => {
    const ticket = (n: number, ...causes: number[]) => ({
      ticketId: `TKT-2026-${n}`,
      relatedTicketIds: causes.map((cause) => `TKT-2026-${cause}`),
    })
    const graph = graphOf([ticket(1000003, 1, 2), ticket(2, 1), ticket(1), ticket(4, 1)])
    expect(graph.places.map(({ ticket: { ticketId }, column, lane }) => [ticketId, column, lane])).toEqual([
      ['TKT-2026-1', 0, 0],
      ['TKT-2026-2', 1, 0],
      ['TKT-2026-4', 1, 1],
      ['TKT-2026-1000003', 2, 0],
    ])
    expect(graph.edges).toHaveLength(4)
    expect([graph.columns, graph.lanes]).toEqual([3, 2])
  })
})
