import { Button, Checkbox, SegmentedControl, Select } from '@mantine/core'
import type { ReactNode } from 'react'
import { product } from '../decimal'
import { formatPrice } from '../format'
import type { BookFeed, BookView } from '../live/book'
import { usePart } from '../live/store'
import { BOOK_ROWS, GROUPS } from '../marketPaths'
import { CERTIFICATE_TYPES, type CertificateType } from '../paths'
import { Icon } from '../ui/icons'
import { EmptyNote, ProblemNote } from '../ui/Notes'
import { Panel } from '../ui/Page'
import { BookBadge } from './BookBadge'
import styles from './BookPanel.module.css'
import { isLoading, Ladder, type Chosen } from './Ladder'
import type { Certificate, OrderEntry, TradeEntry } from './marketDocuments'

/** How a book is looked at. */
export interface BookLook {
  certificateType: CertificateType
  rows: (typeof BOOK_ROWS)[number]
  group: string | undefined
  cumulative: boolean
  isPaused: boolean
}

interface Props {
  look: BookLook
  change: (part: Partial<BookLook>) => void
  feed: BookFeed
  certificate: Certificate | undefined
  mine: ReadonlyMap<string, readonly OrderEntry[]>
  trades: readonly TradeEntry[]
  choose?: ((chosen: Chosen) => void) | undefined
  /** Shown in a book without orders. */
  first?: ReactNode
}

/** Show one live book with what chooses and steers it. */
export function BookPanel({ look, change, feed, certificate, mine, trades, choose, first }: Props) {
  const { certificateType, rows, cumulative, isPaused } = look
  const isEmpty = usePart(feed, ({ phase, book }) => phase === 'live' && book !== null && book.bids.length === 0 && book.asks.length === 0)
  const problem = usePart(feed, problemOfFeed)
  const tick = certificate?.tickSize ?? '0.01'
  const step = look.group ?? tick
  const steps = GROUPS.map((ticks) => trimmedPrice(product(tick, String(ticks))))
  const label = `${certificateType} order book`
  return (
    <Panel className={styles.panel}>
      <div className={styles.controls}>
        <SegmentedControl
          size="xs"
          aria-label="Certificate"
          data={[...CERTIFICATE_TYPES]}
          value={certificateType}
          onChange={(value) => change({ certificateType: value })}
        />
        <Select
          size="xs"
          w={80}
          aria-label="Group prices by"
          data={[...new Set([...steps, trimmedPrice(step)])].map((value) => ({ value, label: formatPrice(value) }))}
          value={trimmedPrice(step)}
          allowDeselect={false}
          onChange={(value) => change({ group: value === null || value === trimmedPrice(tick) ? undefined : value })}
        />
        <SegmentedControl
          aria-label="Levels on each side"
          size="xs"
          data={BOOK_ROWS.map((count, index) => ({ value: String(count), label: index < BOOK_ROWS.length - 1 ? String(count) : `${count} rows` }))}
          value={String(rows)}
          onChange={(value) => change({ rows: value === '10' ? 10 : 20 })}
        />
        <Checkbox size="xs" label="Cumulative" checked={cumulative} onChange={(event) => change({ cumulative: event.currentTarget.checked })} />
        <Button
          size="compact-xs"
          variant="default"
          aria-pressed={isPaused}
          leftSection={<Icon name={isPaused ? 'play' : 'pause'} size={13} />}
          onClick={() => {
            feed.pause(!isPaused)
            change({ isPaused: !isPaused })
          }}
        >
          {isPaused ? 'Go on' : 'Pause'}
        </Button>
        <BookBadge feed={feed} isPaused={isPaused} name={label} />
      </div>
      {problem && <ProblemNote problem={problem} />}
      {isEmpty && <EmptyNote title={`No orders yet for ${certificateType}`}>{first}</EmptyNote>}
      {!isEmpty && (
        <Ladder
          key={certificateType}
          feed={feed}
          rows={rows}
          step={step}
          cumulative={cumulative}
          mine={mine}
          trades={trades}
          label={label}
          choose={choose}
        />
      )}
    </Panel>
  )
}

// What is to be said of it: that too much gets lost, or why there is no book at all.
function problemOfFeed(view: BookView): BookView['problem'] {
  return view.isUnstable || (view.book === null && !isLoading(view)) ? view.problem : null
}

function trimmedPrice(price: string): string {
  return price.replace(/(\.\d{2}\d*?)0+$/, '$1')
}
