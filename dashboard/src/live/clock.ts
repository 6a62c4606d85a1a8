import { Store, useStore } from './store'

const TICK_MS = 1000

/** Tell the time once a second, for clocks and ages, while anybody looks. */
class Clock extends Store<number> {
  #timer: ReturnType<typeof setTimeout> | undefined

  protected override watched(): void {
    this.#tick()
  }

  protected override unwatched(): void {
    clearTimeout(this.#timer)
  }

  // Each tick aims at the next full second, so that the clock never skips one.
  #tick(): void {
    const now = Date.now()
    this.set(now)
    this.#timer = setTimeout(() => this.#tick(), TICK_MS - (now % TICK_MS))
  }
}

const clock = new Clock(Date.now())

/** Give the current time in milliseconds, renewed each second. */
export function useNow(): number {
  return useStore(clock)
}
