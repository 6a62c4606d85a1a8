import type { RefObject } from 'react'
import { useKeys } from '../keyboard'
import type { BookFeed } from '../live/book'
import type { BookLook } from './BookPanel'
import type { OrderFormHandle } from './OrderForm'

interface Props {
  look: BookLook
  change: (part: Partial<BookLook>) => void
  feed: BookFeed
  form: RefObject<OrderFormHandle | null>
}

/** Bind the keys of a book that is looked at, beside a form or alone. */
export function useBookKeys({ look, change, feed, form }: Props): void {
  const pause = () => {
    feed.pause(!look.isPaused)
    change({ isPaused: !look.isPaused })
  }
  useKeys('Order book', [
    { keys: '1', does: 'Book of CEA', run: () => change({ certificateType: 'CEA' }) },
    { keys: '2', does: 'Book of EUA', run: () => change({ certificateType: 'EUA' }) },
    { keys: 'Space', does: look.isPaused ? 'Let the book go on' : 'Keep the book still', run: pause },
    { keys: 'b', does: 'To the best prices', run: toTouch },
    { keys: 's', does: 'To the order form', run: () => form.current?.focus() },
    { keys: '+', does: 'One tick more', run: () => form.current?.nudge(1) },
    { keys: '-', does: 'One tick less', run: () => form.current?.nudge(-1) },
    { keys: 'B', does: 'Say the best prices', run: () => form.current?.say() },
  ])
}

function toTouch(): void {
  document.querySelector<HTMLButtonElement>('[data-place="ask0"], [data-place="bid0"]')?.focus()
}
