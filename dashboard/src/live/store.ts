import { useSyncExternalStore } from 'react'

/** Hold one immutable value outside React and tell listeners when it is replaced. */
export class Store<T> {
  #value: T
  readonly #listeners = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  readonly read = (): T => this.#value

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.watched()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.unwatched()
    }
  }

  protected set(value: T): void {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const listener of this.#listeners) listener()
  }

  /** Called when the first listener arrives. */
  protected watched(): void {}

  /** Called when the last listener has gone. */
  protected unwatched(): void {}
}

/** Read a part of a store in a component, which is drawn again only when that part is another one. */
export function usePart<T, Part>(store: Pick<Store<T>, 'read' | 'subscribe'>, part: (value: T) => Part): Part {
  return useSyncExternalStore(store.subscribe, () => part(store.read()))
}

/** Read a store in a component. */
export function useStore<T>(store: Pick<Store<T>, 'read' | 'subscribe'>): T {
  return useSyncExternalStore(store.subscribe, store.read)
}
