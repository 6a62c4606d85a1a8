import { session } from '../client'
import { useStore } from '../live/store'
import type { Person } from '../session'

/** Give who is at the desk, also while their session waits to be renewed. */
export function usePerson(): Person | undefined {
  const state = useStore(session)
  return 'person' in state ? state.person : undefined
}
