import { beforeEach, describe, expect, it } from 'vitest'
import { Tabs } from './tabs'

const START = { name: 'Start', query: '{ me { id } }', variables: '' }
const query = (name: string) => ({ name, query: `{ ${name} }`, variables: '' })

describe('open queries', () => {
  let tabs: Tabs
  const names = () => tabs.read().tabs.map(({ name }) => name)
  beforeEach(() => {
    tabs = new Tabs(START)
  })

  it('give way to another while nobody has changed them', () => {
    tabs.open(query('a'))
    expect([names(), tabs.active.name]).toEqual([['a'], 'a'])
  })

  it('stay when they were changed, until that is saved', () => {
    tabs.change(tabs.active.id, { query: '{ mine }' })
    tabs.open(query('a'))
    expect([names(), tabs.active.name]).toEqual([['Start', 'a'], 'a'])
    tabs.change(tabs.active.id, { query: '{ other }', opened: { query: '{ other }', variables: '' } })
    tabs.open(query('b'))
    expect(names()).toEqual(['Start', 'b'])
  })

  it('are found where they are open already', () => {
    tabs.change(tabs.active.id, { query: '{ mine }' })
    tabs.open(query('a'))
    tabs.open({ ...query('mine'), query: '{ mine }' })
    expect([names(), tabs.active.name]).toEqual([['Start', 'a'], 'Start'])
  })

  it('close to their neighbour, and the last one to a new one', () => {
    tabs.add()
    tabs.add()
    const [, middle, last] = tabs.read().tabs
    tabs.close(last?.id ?? '')
    expect(tabs.active.id).toBe(middle?.id)
    tabs.close(tabs.active.id)
    tabs.change(tabs.active.id, { query: '{ mine }' })
    tabs.close(tabs.active.id)
    expect([names(), tabs.active.query]).toEqual([['Start'], START.query])
  })

  it('are eight at most: an unchanged one makes room', () => {
    tabs.change(tabs.active.id, { query: '{ mine }' })
    for (let more = 0; more < 8; more += 1) tabs.add()
    expect(names()).toHaveLength(8)
    expect(tabs.read().tabs[0]?.query).toBe('{ mine }')
  })
})
