import type { Problem } from '../problem'
import type { Follow } from './connection'
import { Store } from './store'

const PUBLISH_MS = 200

/** What a holder has of an asset. */
export interface Balance {
  holderId: string
  marketMakerId: string | null
  asset: 'CEA' | 'EUA' | 'EUR'
  available: string
  locked: string
  total: string
  /** Goes up with each change of this balance. */
  seq: number
}

export interface BalancesView {
  /** By holder and asset. */
  balances: ReadonlyMap<string, Balance>
  problem: Problem | null
}

/** Keep balances as they are committed; the stream begins with the current ones, also after a break. */
export class BalancesFeed extends Store<BalancesView> {
  readonly #follow: Follow<Balance>
  readonly #known = new Map<string, Balance>()
  #stop: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(follow: Follow<Balance>) {
    super({ balances: new Map(), problem: null })
    this.#follow = follow
  }

  protected override watched(): void {
    this.#stop = this.#follow({
      next: (balance) => this.put(balance),
      down: (problem) => this.set({ ...this.read(), problem: problem ?? null }),
    })
  }

  protected override unwatched(): void {
    this.#stop?.()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Take a balance, unless a newer one is known. */
  readonly put = (balance: Balance): void => {
    const key = balanceKey(balance.holderId, balance.asset)
    const known = this.#known.get(key)
    if (known && known.seq > balance.seq) return
    this.#known.set(key, balance)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.set({ balances: new Map(this.#known), problem: null })
    }, PUBLISH_MS)
  }
}

/** Name a balance. */
export function balanceKey(holderId: string, asset: string): string {
  return `${holderId} ${asset}`
}
