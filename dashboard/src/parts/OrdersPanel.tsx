import { Button, SegmentedControl, Select } from '@mantine/core'
import { useMemo, useState } from 'react'
import { csvLine, save as saveFile } from '../csv'
import { formatInstant, formatPrice, formatQuantity, words } from '../format'
import type { RowsFeed, RowsView } from '../live/rows'
import { ORDER_STATUSES, OPEN_STATUSES, type OrderStatus } from '../marketPaths'
import { useZone } from '../preferences'
import { ConfirmPopover } from '../ui/Confirm'
import { DataTable, type Column } from '../ui/DataTable'
import { Icon } from '../ui/icons'
import { EmptyNote } from '../ui/Notes'
import { Panel } from '../ui/Page'
import { StateMark, type Tone } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import { CancelDialog } from './CancelDialog'
import type { OrderEntry } from './marketDocuments'
import styles from './OrdersPanel.module.css'
import { isOpen } from './useOrders'

interface Maker {
  id: string
  name: string
}

interface Props {
  title: string
  view: RowsView<OrderEntry>
  feed: RowsFeed<OrderEntry>
  statuses: readonly OrderStatus[]
  changeStatuses: (statuses: readonly OrderStatus[]) => void
  /** Market makers to choose one of; undefined where orders are one's own or of one maker. */
  makers?: readonly Maker[]
  makerId?: string | undefined
  changeMaker?: (id: string | undefined) => void
  /** Undefined: this person only reads. */
  cancel?: ((order: OrderEntry) => void) | undefined
  /** Whether all orders of the chosen market maker can be cancelled in one go. */
  cancelsAll?: boolean
  whose: 'maker' | 'own'
}

const TONES: Record<OrderStatus, Tone> = { OPEN: 'ok', PARTIALLY_FILLED: 'ok', FILLED: 'quiet', CANCELLED: 'quiet' }

/** List orders as they change; cancel one, some, or all of a market maker. */
export function OrdersPanel(props: Props) {
  const { title, view, feed, statuses, changeStatuses, makers, makerId, cancel, whose } = props
  const zone = useZone()
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [asked, setAsked] = useState<readonly OrderEntry[]>()
  const chosen = view.rows.filter((order) => selected.has(order.id) && isOpen(order))
  const mode = statuses.join() === OPEN_STATUSES.join() ? 'open' : 'all'
  const maker = makers?.find(({ id }) => id === makerId)
  const columns = useMemo(() => columnsOf(zone, whose, cancel), [zone, whose, cancel])
  const save = () => saveFile(`orders_${new Date().toISOString().slice(0, 10)}.csv`, [csvLine(HEADINGS), ...view.rows.map((row) => csvLine(cellsOf(row)))], CSV)

  return (
    <Panel label={title} className={styles.panel}>
      <div className={styles.head}>
        <h2 className={styles.title}>{title}</h2>
        <SegmentedControl
          size="xs"
          aria-label="Which orders"
          data={[{ value: 'open', label: 'Open' }, { value: 'all', label: 'All' }]}
          value={mode}
          onChange={(value) => changeStatuses(value === 'open' ? OPEN_STATUSES : ORDER_STATUSES)}
        />
        {makers && (
          <Select
            size="xs"
            w={170}
            aria-label="Market maker of the orders"
            placeholder="Every market maker"
            clearable
            searchable
            data={makers.map(({ id, name }) => ({ value: id, label: name }))}
            value={makerId ?? null}
            onChange={(id) => props.changeMaker?.(id ?? undefined)}
          />
        )}
        <Select
          size="xs"
          w={170}
          aria-label="Status of the orders"
          placeholder="Any status"
          clearable
          data={ORDER_STATUSES.map((status) => ({ value: status, label: words(status) }))}
          value={statuses.length === 1 ? (statuses[0] ?? null) : null}
          onChange={(status) => changeStatuses(status === null ? ORDER_STATUSES : [status])}
        />
        <span className={styles.space} />
        {cancel && chosen.length > 0 && (
          <Button size="xs" variant="default" onClick={() => setAsked(chosen)}>
            Cancel selected ({chosen.length})
          </Button>
        )}
        {cancel && props.cancelsAll && maker && (
          <Button size="xs" variant="default" onClick={() => setAsked([])}>
            Cancel all of {maker.name}
          </Button>
        )}
        <Button size="xs" variant="default" leftSection={<Icon name="download" size={14} />} onClick={save} disabled={view.rows.length === 0}>
          CSV
        </Button>
      </div>
      <DataTable
        label={title}
        columns={columns}
        rows={view.rows}
        keyOf={({ id }) => id}
        phase={view.phase}
        problem={view.problem}
        again={() => void feed.reload()}
        hasMore={view.hasMore}
        loadingMore={view.loadingMore}
        more={() => void feed.more()}
        toneOf={(order) => (order.status === 'CANCELLED' ? 'quiet' : undefined)}
        nameOf={(order) => `${order.side} ${order.remainingQuantity} ${order.certificateType}`}
        exportRows={save}
        {...(cancel && { selected, onSelect: setSelected, selectable: isOpen })}
        empty={
          <EmptyNote title={mode === 'open' ? 'No open orders' : 'No orders match'}>
            {mode === 'open' ? (
              <Button size="xs" variant="default" onClick={() => changeStatuses(ORDER_STATUSES)}>
                Show all orders
              </Button>
            ) : null}
          </EmptyNote>
        }
      />
      {asked && (
        <CancelDialog
          orders={asked}
          maker={asked.length === 0 ? maker : undefined}
          whose={whose}
          took={(order) => feed.put(order)}
          close={() => {
            setAsked(undefined)
            setSelected(new Set())
          }}
        />
      )}
    </Panel>
  )
}

function columnsOf(zone: 'utc' | 'local', whose: Props['whose'], cancel: Props['cancel']): readonly Column<OrderEntry>[] {
  return [
    { id: 'time', header: zone === 'utc' ? 'Time UTC' : 'Time', width: 216, card: 'start', cell: ({ createdAt }) => formatInstant(createdAt, zone) },
    ...(whose === 'maker'
      ? [{ id: 'maker', header: 'Market maker', card: 'title', isRowHeader: true, cell: ({ marketMaker }: OrderEntry) => marketMaker?.name ?? '—' } as const]
      : []),
    { id: 'cert', header: 'Cert', width: 58, cell: ({ certificateType }) => certificateType },
    { id: 'side', header: 'Side', width: 62, ...(whose === 'maker' && { from: 'wide' }), cell: ({ side }) => <span className={styles.side} data-side={side}>{side}</span> },
    { id: 'price', header: 'Price', width: 78, numeric: true, cell: ({ price }) => (price === null ? 'Market' : formatPrice(price)) },
    { id: 'quantity', header: 'Quantity', width: 88, numeric: true, from: 'widest', cell: ({ quantity }) => formatQuantity(quantity) },
    { id: 'filled', header: 'Filled', width: 110, numeric: true, cell: (order) => <Filled order={order} /> },
    {
      id: 'status', header: 'Status', width: 138, card: 'mark',
      cell: ({ status }) => <StateMark tone={TONES[status]}>{words(status)}</StateMark>,
    },
    { id: 'ticket', header: 'Ticket', width: 150, cell: ({ ticketId }) => <TicketLink id={ticketId} /> },
    ...(cancel ? [{ id: 'cancel', header: 'Cancel', width: 96, card: 'end', cell: (order: OrderEntry) => <CancelOne order={order} cancel={cancel} /> } as const] : []),
  ]
}

function Filled({ order: { filledQuantity, quantity } }: { order: OrderEntry }) {
  return (
    <span className={styles.filled}>
      {formatQuantity(filledQuantity)}/{formatQuantity(quantity)}
      <meter className={styles.meter} min={0} max={Number(quantity)} value={Number(filledQuantity)} aria-hidden="true" />
    </span>
  )
}

function CancelOne({ order, cancel }: { order: OrderEntry; cancel: (order: OrderEntry) => void }) {
  if (!isOpen(order)) return null
  const left = formatQuantity(order.remainingQuantity)
  const releases = order.side === 'SELL' ? ` Releases ${left} ${order.certificateType}.` : ' Releases the euros that it holds.'
  return (
    <ConfirmPopover
      target={(open) => (
        <Button size="compact-xs" variant="default" onClick={open} aria-label={`Cancel ${order.side} ${order.remainingQuantity} ${order.certificateType} at ${order.price ?? 'market'}`}>
          Cancel
        </Button>
      )}
      question={`Cancel ${left} of ${formatQuantity(order.quantity)} left @ ${formatPrice(order.price)}?${releases}`}
      confirm="Cancel the order"
      act={() => cancel(order)}
    />
  )
}

const CSV = 'text/csv;charset=utf-8'
const HEADINGS = [
  'created_at', 'order_id', 'market_maker', 'certificate_type', 'side', 'type', 'price', 'quantity', 'filled', 'status', 'ticket_id',
] as const

function cellsOf(order: OrderEntry): readonly string[] {
  return [
    order.createdAt, order.id, order.marketMaker?.name ?? '', order.certificateType, order.side, order.orderType, order.price ?? '',
    order.quantity, order.filledQuantity, order.status, order.ticketId,
  ]
}
