import { Store } from './store'

export const NOTICES_MAX = 50
const SHOWN_MS = 8_000
const SHOWN_MAX = 4

export interface NoticeAction {
  label: string
  run: () => void
}

/** What somebody's action came to, as told in a corner of the screen and kept under the bell. */
export interface Notice {
  id: number
  at: number
  tone: 'ok' | 'fail' | 'info'
  title: string
  detail?: string | undefined
  ticketId?: string | undefined
  action?: NoticeAction | undefined
}

interface NoticesView {
  /** Newest first, at most 50. */
  kept: readonly Notice[]
  /** Those on the screen now, newest last. */
  shown: readonly Notice[]
  /** How many came since the list was last looked at. */
  unread: number
}

/** Keep the last fifty notices, and show a few of them for a while; failures stay until they are sent away. */
export class Notices extends Store<NoticesView> {
  #id = 0
  #timers = new Map<number, ReturnType<typeof setTimeout>>()

  constructor() {
    super({ kept: [], shown: [], unread: 0 })
  }

  readonly tell = (notice: Omit<Notice, 'id' | 'at'>): number => {
    const told: Notice = { ...notice, id: (this.#id += 1), at: Date.now() }
    const { kept, shown, unread } = this.read()
    // When there are too many, the oldest that is no failure makes room; failures make room only for failures.
    const crowd = [...shown, told]
    while (crowd.length > SHOWN_MAX) crowd.splice(Math.max(0, crowd.findIndex(({ tone }) => tone !== 'fail')), 1)
    this.set({ kept: [told, ...kept].slice(0, NOTICES_MAX), shown: crowd, unread: unread + 1 })
    this.leave(told.id)
    return told.id
  }

  /** Take a notice off the screen; it stays in the list. */
  readonly dismiss = (id: number): void => {
    this.stay(id)
    const { shown } = this.read()
    if (shown.some((notice) => notice.id === id)) {
      this.set({ ...this.read(), shown: shown.filter((notice) => notice.id !== id) })
    }
  }

  /** Keep a notice on the screen while somebody points at it. */
  readonly stay = (id: number): void => {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
  }

  /** Let a notice go after its time. */
  readonly leave = (id: number): void => {
    this.stay(id)
    const notice = this.read().shown.find((one) => one.id === id)
    if (notice && notice.tone !== 'fail') this.#timers.set(id, setTimeout(() => this.dismiss(id), SHOWN_MS))
  }

  readonly looked = (): void => {
    if (this.read().unread > 0) this.set({ ...this.read(), unread: 0 })
  }
}

export const notices = new Notices()
