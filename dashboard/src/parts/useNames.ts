import { useMemo } from 'react'
import { useAnswer } from '../client'
import { graphql } from '../graphql'
import type { Names } from '../tickets/text'

// The page of the contract, and the most active users: others are found by their id.
const NamesQuery = graphql(`
  query Names {
    marketMakers(first: 100) { nodes { id name } }
    ticketStats { byUser { user { id name } } }
  }
`)

/** Give the names that may be typed and shown in place of ids. */
export function useNames(): Names {
  const { data } = useAnswer(NamesQuery, {})
  return useMemo(
    () => ({
      mm: data?.marketMakers.nodes ?? [],
      user: data?.ticketStats.byUser.flatMap(({ user }) => user ?? []) ?? [],
    }),
    [data],
  )
}
