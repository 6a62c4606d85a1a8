import { Store } from '../live/store'
import type { OrderDraft } from '../orderCheck'

const EMPTY: OrderDraft = { side: 'SELL', kind: 'LIMIT', price: '', quantity: '' }

/** Keep the order that is being written while the page changes; it is never in the address and never stored. */
class DraftStore extends Store<OrderDraft> {
  constructor() {
    super(EMPTY)
  }

  readonly change = (part: Partial<OrderDraft>): void => this.set({ ...this.read(), ...part })
}

export const orderDraft = new DraftStore()
