import { Store } from '../live/store'

/** Let the page that shows a live figure tell the shell since when that figure has been old. */
class StreamAges extends Store<{ staleSince: number | null }> {
  constructor() {
    super({ staleSince: null })
  }

  readonly report = (staleSince: number | null): void => {
    if (staleSince !== this.read().staleSince) this.set({ staleSince })
  }
}

export const streamAges = new StreamAges()
