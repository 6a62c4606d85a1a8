import { useNavigate, useRouterState } from '@tanstack/react-router'
import { useCallback, useMemo } from 'react'
import type { Search } from '../paths'
import { PARAMETERS, readTickets, writeTickets, type Terms, type TicketsState } from './search'

export type Change = (part: Partial<Omit<TicketsState, 'ignored'>>, how?: { replace?: boolean }) => void

/** Read the state of a list from the address, and write it there: reload, Back and a copied link lead to the same. */
export function useTicketsState(locked: Terms): [TicketsState, Change] {
  const search = useRouterState({ select: ({ location }) => location.search })
  const navigate = useNavigate()
  const state = useMemo(() => readTickets(search, locked), [search, locked])
  const change = useCallback<Change>(
    (part, { replace = false } = {}) => {
      void navigate({
        to: '.',
        // Parameters that are not ours are kept as they are.
        search: ((old: Search) => ({ ...foreign(old), ...writeTickets({ ...readTickets(old, locked), ...part }, locked) })) as never,
        replace,
        resetScroll: false,
      })
    },
    [navigate, locked],
  )
  return [state, change]
}

const OURS: ReadonlySet<string> = new Set(PARAMETERS)

function foreign(search: Search): Search {
  return Object.fromEntries(Object.entries(search).filter(([name]) => !OURS.has(name)))
}
