import { Button, Checkbox, SegmentedControl, Select } from '@mantine/core'
import type { ReactNode } from 'react'
import { product } from '../decimal'
import { formatPrice } from '../format'
import type { BookFeed, BookView } from '../live/book'
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
  view: BookView
  feed: BookFeed
  certificate: Certificate | undefined
  mine: ReadonlyMap<string, readonly OrderEntry[]>
  /** The order that was placed a moment ago. */
  placed?: string | undefined
  trades: readonly TradeEntry[]
  choose?: ((chosen: Chosen) => void) | undefined
  /** Shown in a book without orders. */
  first?: ReactNode
}

/** Show one live book with what chooses and steers it. */
export function BookPanel({ look, change, view, feed, certificate, mine, placed, trades, choose, first }: Props) {
  const { certificateType, rows, cumulative, isPaused } = look
  const tick = certificate?.tickSize ?? '0.01'
  const step = look.group ?? tick
  const steps = GROUPS.map((ticks) => trimmedPrice(product(tick, String(ticks))))
  const isEmpty = view.book !== null && view.book.bids.length === 0 && view.book.asks.length === 0 && view.phase === 'live'
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
          w={92}
          aria-label="Group prices by"
          data={[...new Set([...steps, trimmedPrice(step)])].map((value) => ({ value, label: formatPrice(value) }))}
          value={trimmedPrice(step)}
          allowDeselect={false}
          onChange={(value) => change({ group: value === null || value === trimmedPrice(tick) ? undefined : value })}
        />
        <SegmentedControl
          aria-label="Levels on each side"
          size="xs"
          data={BOOK_ROWS.map((count) => ({ value: String(count), label: `${count} rows` }))}
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
        <span className={styles.space} />
        <BookBadge view={view} isPaused={isPaused} name={label} />
      </div>
      {view.isUnstable && view.problem && <ProblemNote problem={view.problem} />}
      {view.problem && !view.isUnstable && view.book === null && !isLoading(view) && <ProblemNote problem={view.problem} />}
      {isEmpty && <EmptyNote title={`No orders yet for ${certificateType}`}>{first}</EmptyNote>}
      {!isEmpty && (
        <Ladder
          key={certificateType}
          view={view}
          rows={rows}
          step={step}
          cumulative={cumulative}
          mine={mine}
          placed={placed}
          trades={trades}
          label={label}
          choose={choose}
        />
      )}
    </Panel>
  )
}

function trimmedPrice(price: string): string {
  return price.replace(/(\.\d{2}\d*?)0+$/, '$1')
}
