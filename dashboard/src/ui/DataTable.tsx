import { Button, Skeleton } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { columnVisibilityFeature, tableFeatures, useTable, type ColumnDef } from '@tanstack/react-table'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type CSSProperties, type MouseEvent, type ReactNode, type RefObject } from 'react'
import { formatCount } from '../format'
import { useKeys, type Binding } from '../keyboard'
import type { Problem } from '../problem'
import { Icon } from './icons'
import { ProblemNote } from './Notes'
import styles from './DataTable.module.css'

const SKELETON_ROWS = 12
const VIRTUAL_ROWS_MIN = 120 // fewer are all in the document: the browser's own search and printing find them
const ROW_PX = 37
const CARD_PX = 92
const OVERSCAN_ROWS = 12
const SHARING_PX_MIN = 120 // of a column that shares what is left
const CHOOSE_PX = 40
const ROWS_LEFT_MIN = 15 // when fewer remain below, the next page is fetched
const features = tableFeatures({ columnVisibilityFeature })

export interface Column<Row> {
  id: string
  /** Its heading, also the label of its line on a card. */
  header: string
  cell: (row: Row) => ReactNode
  /** A heading above several neighbours. */
  group?: string
  /** In pixels; columns without one share what is left, and have at least SHARING_PX_MIN. */
  width?: number
  numeric?: boolean
  /** Names the row, for those who hear it. */
  isRowHeader?: boolean
  /** Whether the list can be sorted by it: by the server, which then sorts all of it. */
  sortable?: boolean
  /** Left out where there is no room for all: the last of the `widest` first, those without never. */
  from?: 'wide' | 'widest'
  /** Its place when rows become cards, below 768 px; `line` has a label before it. */
  card?: 'title' | 'mark' | 'start' | 'end' | 'whole' | 'line' | 'none'
}

export interface Sort {
  id: string
  descending: boolean
}

interface Props<Row> {
  label: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  keyOf: (row: Row) => string
  phase: 'loading' | 'ready' | 'failed'
  /** Rows are kept while a problem is shown above them. */
  problem?: Problem | null | undefined
  again?: (() => void) | undefined
  /** Shown in place of no rows: why there are none, and what would make some. */
  empty: ReactNode
  hasMore?: boolean
  loadingMore?: boolean
  more?: (() => void) | undefined
  /** Of all pages, for `aria-rowcount`; unknown when not given. */
  rowCount?: number | undefined
  hidden?: ReadonlySet<string>
  sort?: Sort | undefined
  onSort?: (sort: Sort) => void
  /** Keys of chosen rows; without `onSelect` there is nothing to choose. */
  selected?: ReadonlySet<string>
  onSelect?: (selected: ReadonlySet<string>) => void
  selectable?: (row: Row) => boolean
  /** How a row is named to those who choose it by ear. */
  nameOf?: (row: Row) => string
  open?: (row: Row) => void
  /** The row that is open elsewhere, as in a drawer. */
  current?: string | undefined
  toneOf?: (row: Row) => 'fail' | 'warn' | 'quiet' | undefined
  /** Rows that have just arrived. */
  fresh?: ReadonlySet<string>
  /** The key `e`. */
  exportRows?: (() => void) | undefined
}

/**
 * Show a list: pages that follow by themselves, sorting, choosing, cards on a telephone, and keys:
 * `/` search (the field marked `data-search`), `j` `k` or arrows move, Enter open, `x` choose, `e` export, `r` refresh.
 */
export function DataTable<Row>(props: Props<Row>) {
  const { columns, rows, keyOf, phase, problem, again, hasMore = false, loadingMore = false, more } = props
  const [frame, room] = useRoom()
  const shown = useShown(columns, props.hidden, props.onSelect ? room - CHOOSE_PX : room)
  const definitions = useMemo(() => definitionsOf(columns), [columns])
  const byId = useMemo(() => new Map(columns.map((column) => [column.id, column])), [columns])
  const data = useMemo(() => [...rows], [rows])
  const table = useTable<typeof features, Row & object>({
    features,
    data: data as (Row & object)[],
    columns: definitions,
    getRowId: keyOf,
    state: { columnVisibility: shown },
  })
  const visible = columns.filter(({ id }) => shown[id] !== false)
  const model = table.getRowModel().rows
  const [body, virtual] = useVirtualRows(model.length)
  const items = virtual?.getVirtualItems()
  const first = items?.[0]
  const last = items?.at(-1)
  const before = first ? first.start - (virtual?.options.scrollMargin ?? 0) : 0
  const after = last && virtual ? virtual.getTotalSize() - (last.end - virtual.options.scrollMargin) : 0
  const drawn = items ? items.flatMap(({ index }) => model[index] ?? []) : model
  const { active, setActive, move } = useActiveRow(model.length, body, virtual?.scrollToIndex)

  const lastIndex = last?.index
  useEffect(() => {
    if (lastIndex !== undefined && lastIndex >= model.length - ROWS_LEFT_MIN && hasMore && !loadingMore && !problem) more?.()
  }, [lastIndex, model.length, hasMore, loadingMore, problem, more])
  const end = useEndInSight(hasMore && !loadingMore && !problem ? more : undefined)

  const activeRow = active === undefined ? undefined : model[active]?.original
  const toggle = (row: Row) => {
    if (!props.onSelect || props.selectable?.(row) === false) return
    const next = new Set(props.selected)
    if (!next.delete(keyOf(row))) next.add(keyOf(row))
    props.onSelect(next)
  }
  useKeys('List', [
    { keys: '/', does: 'Search', run: () => document.querySelector<HTMLElement>('[data-search]')?.focus() },
    { keys: 'j', does: 'Next row', run: () => move(1) },
    { keys: 'k', does: 'Row before', run: () => move(-1) },
    ...optional('x', 'Choose the row', props.onSelect && (() => activeRow && toggle(activeRow))),
    ...optional('e', 'Export', props.exportRows),
    ...optional('r', 'Read again', again),
  ])

  if (phase === 'ready' && rows.length === 0 && !problem) return <>{props.empty}</>
  const selectable = props.onSelect ? rows.filter((row) => props.selectable?.(row) !== false) : []
  const everySelected = selectable.length > 0 && selectable.every((row) => props.selected?.has(keyOf(row)))
  const width = visible.length + (props.onSelect ? 1 : 0)
  const narrowest = narrowestOf(visible) + (props.onSelect ? CHOOSE_PX : 0)
  const [top, ...lower] = table.getHeaderGroups()
  return (
    <>
      {problem && (
        <div className={styles.problem}>
          <ProblemNote problem={problem} {...(again && { again })} />
        </div>
      )}
      <div ref={frame} className={styles.frame} data-scrolls={narrowest > room || undefined}>
        <table
          className={styles.table}
          style={{ '--narrowest': `${narrowest}px` } as CSSProperties}
          aria-label={props.label}
          aria-busy={phase === 'loading'}
          aria-rowcount={props.rowCount === undefined ? (hasMore ? -1 : model.length + 1) : props.rowCount + 1}
        >
          <colgroup>
            {props.onSelect && <col style={{ width: CHOOSE_PX }} />}
            {visible.map(({ id, width }) => (
              <col key={id} style={width === undefined ? undefined : { width }} />
            ))}
          </colgroup>
          <thead>
            {[top, ...lower].map((group, level, groups) => (
              <tr key={group?.id} aria-rowindex={level === 0 ? 1 : undefined}>
                {level === 0 && props.onSelect && (
                  <th scope="col" rowSpan={groups.length}>
                    <input
                      type="checkbox"
                      className={styles.check}
                      aria-label="Choose all rows"
                      checked={everySelected}
                      onChange={() => props.onSelect?.(new Set(everySelected ? [] : selectable.map(keyOf)))}
                    />
                  </th>
                )}
                {group?.headers.map((header) => {
                  const column = byId.get(header.column.id)
                  if (level > 0 && header.column.depth === 0) return null // it spans both rows already
                  if (!column) {
                    return (
                      <th key={header.id} scope="colgroup" colSpan={header.colSpan} className={styles.group}>
                        {String(header.column.columnDef.header)}
                      </th>
                    )
                  }
                  return (
                    <Heading key={header.id} column={column} rowSpan={header.column.depth === 0 ? groups.length : 1} sort={props.sort} onSort={props.onSort} />
                  )
                })}
              </tr>
            ))}
          </thead>
          <tbody ref={body}>
            {phase === 'loading' && rows.length === 0 && <SkeletonRows columns={width} />}
            {before > 0 && (
              <tr aria-hidden="true" className={styles.space}>
                <td colSpan={width} style={{ height: before }} />
              </tr>
            )}
            {drawn.map((row) => (
              <TableRow
                key={row.id}
                id={row.id}
                index={row.index}
                row={row.original}
                columns={visible}
                active={row.index === (active ?? 0)}
                setActive={setActive}
                move={move}
                measure={virtual?.measureElement}
                toggle={props.onSelect && toggle}
                table={props}
              />
            ))}
            {after > 0 && (
              <tr aria-hidden="true" className={styles.space}>
                <td colSpan={width} style={{ height: after }} />
              </tr>
            )}
          </tbody>
        </table>
      </div>
      {hasMore && (
        <div className={styles.more} ref={end}>
          <Button variant="default" size="xs" loading={loadingMore} onClick={() => more?.()}>
            Load more
          </Button>
          <span className={styles.count}>{formatCount(rows.length)} loaded</span>
        </div>
      )}
    </>
  )
}

function optional(keys: string, does: string, run: (() => void) | undefined): Binding[] {
  return run ? [{ keys, does, run }] : []
}

interface RowProps<Row> {
  id: string
  index: number
  row: Row
  columns: readonly Column<Row>[]
  active: boolean
  setActive: (index: number) => void
  move: (step: number) => void
  measure: ((node: HTMLTableRowElement | null) => void) | undefined
  toggle: ((row: Row) => void) | undefined
  table: Props<Row>
}

function TableRow<Row>({ id, index, row, columns, active, setActive, move, measure, toggle, table }: RowProps<Row>) {
  const press = (event: MouseEvent) => {
    const onControl = (event.target as Element).closest('a, button, input, label') !== null
    if (!onControl && document.getSelection()?.isCollapsed !== false) table.open?.(row)
  }
  return (
    <tr
      ref={measure}
      data-index={index}
      aria-rowindex={index + 2}
      className={styles.row}
      data-opens={table.open !== undefined || undefined}
      data-tone={table.toneOf?.(row)}
      data-fresh={table.fresh?.has(id) || undefined}
      aria-selected={table.current === id || table.selected?.has(id) || undefined}
      tabIndex={active ? 0 : -1}
      onFocus={() => setActive(index)}
      onClick={press}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return
        if (event.key === 'ArrowDown') move(1)
        else if (event.key === 'ArrowUp') move(-1)
        else if (event.key === 'Enter' && table.open) table.open(row)
        else return
        event.preventDefault()
      }}
    >
      {toggle && (
        <td className={styles.choose} data-card="none">
          {table.selectable?.(row) !== false && (
            <input
              type="checkbox"
              className={styles.check}
              aria-label={`Choose ${table.nameOf?.(row) ?? id}`}
              checked={table.selected?.has(id) ?? false}
              onChange={() => toggle(row)}
            />
          )}
        </td>
      )}
      {columns.map((column) => {
        const Cell = column.isRowHeader ? 'th' : 'td'
        return (
          <Cell
            key={column.id}
            {...(column.isRowHeader && { scope: 'row' })}
            data-card={column.card ?? 'line'}
            data-label={column.header}
            data-numeric={column.numeric || undefined}
          >
            {column.cell(row)}
          </Cell>
        )
      })}
    </tr>
  )
}

interface HeadingProps<Row> {
  column: Column<Row>
  rowSpan: number
  sort: Sort | undefined
  onSort: ((sort: Sort) => void) | undefined
}

function Heading<Row>({ column, rowSpan, sort, onSort }: HeadingProps<Row>) {
  const sorted = sort?.id === column.id ? sort : undefined
  return (
    <th
      scope="col"
      rowSpan={rowSpan}
      data-numeric={column.numeric || undefined}
      aria-sort={sorted ? (sorted.descending ? 'descending' : 'ascending') : undefined}
    >
      {column.sortable && onSort ? (
        <button
          type="button"
          className={styles.sort}
          onClick={() => onSort({ id: column.id, descending: sorted ? !sorted.descending : true })}
        >
          {column.header}
          {sorted && <Icon name={sorted.descending ? 'down' : 'up'} size={13} />}
        </button>
      ) : (
        column.header
      )}
    </th>
  )
}

function SkeletonRows({ columns }: { columns: number }) {
  return Array.from({ length: SKELETON_ROWS }, (_, row) => (
    <tr key={row} aria-hidden="true" className={styles.skeleton}>
      <td colSpan={columns}>
        <Skeleton height={12} width={`${90 - ((row * 17) % 40)}%`} />
      </td>
    </tr>
  ))
}

// How wide the list may be, in pixels.
function useRoom() {
  const [room, setRoom] = useState(Infinity)
  const frame = useCallback((node: HTMLElement | null) => {
    if (!node) return undefined
    const measure = () => setRoom(node.clientWidth)
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(node)
    return () => observer.disconnect()
  }, [])
  return [frame, room] as const
}

function useShown<Row>(columns: readonly Column<Row>[], hidden: ReadonlySet<string> | undefined, room: number): Record<string, boolean> {
  const cards = useMediaQuery('(max-width: 767px)', false, { getInitialValueInEffect: false })
  return useMemo(() => {
    const wanted = columns.filter(({ id }) => !hidden?.has(id))
    const kept = cards ? wanted.filter(({ card }) => card !== 'none') : fitting(wanted, room)
    return Object.fromEntries(columns.map((column) => [column.id, kept.includes(column)]))
  }, [columns, hidden, cards, room])
}

function narrowestOf<Row>(columns: readonly Column<Row>[]): number {
  return columns.reduce((total, { width = SHARING_PX_MIN }) => total + width, 0)
}

function fitting<Row>(columns: readonly Column<Row>[], room: number): readonly Column<Row>[] {
  const kept = [...columns]
  for (const level of ['widest', 'wide'] as const) {
    while (narrowestOf(kept) > room) {
      const last = kept.findLastIndex(({ from }) => from === level)
      if (last < 0) break
      kept.splice(last, 1)
    }
  }
  return kept
}

type Definition<Row> = ColumnDef<typeof features, Row & object>

function definitionsOf<Row>(columns: readonly Column<Row>[]): Definition<Row>[] {
  const definitions: Definition<Row>[] = []
  let open: { group: string; leaves: Definition<Row>[] } | undefined
  for (const { id, header, group } of columns) {
    const leaf: Definition<Row> = { id, header }
    if (group === undefined) {
      open = undefined
      definitions.push(leaf)
    } else if (open?.group === group) open.leaves.push(leaf)
    else {
      open = { group, leaves: [leaf] }
      definitions.push({ id: `group ${group}`, header: group, columns: open.leaves })
    }
  }
  return definitions
}

// Rows beyond the window are not in the document once there are many; the page itself scrolls.
function useVirtualRows(count: number) {
  const body = useRef<HTMLTableSectionElement>(null)
  const [top, setTop] = useState(0)
  const cards = useMediaQuery('(max-width: 767px)', false, { getInitialValueInEffect: false })
  const isVirtual = count >= VIRTUAL_ROWS_MIN
  useLayoutEffect(() => {
    if (body.current) setTop(Math.round(body.current.getBoundingClientRect().top + scrollY))
  }, [count, isVirtual])
  const virtual = useWindowVirtualizer<HTMLTableRowElement>({
    count: isVirtual ? count : 0,
    estimateSize: () => (cards ? CARD_PX : ROW_PX),
    overscan: OVERSCAN_ROWS,
    scrollMargin: top,
  })
  return [body, isVirtual ? virtual : undefined] as const
}

function useActiveRow(
  count: number,
  body: RefObject<HTMLTableSectionElement | null>,
  scrollTo: ((index: number) => void) | undefined,
) {
  const [active, setActive] = useState<number>()
  const move = (step: number) => {
    if (count === 0) return
    const next = Math.max(0, Math.min(count - 1, active === undefined ? 0 : active + step))
    setActive(next)
    const focus = (tries: number) => {
      const row = body.current?.querySelector<HTMLElement>(`tr[data-index="${next}"]`)
      if (row) row.focus()
      else if (tries > 0) requestAnimationFrame(() => focus(tries - 1))
    }
    if (!body.current?.querySelector(`tr[data-index="${next}"]`)) scrollTo?.(next)
    focus(10)
  }
  return { active: active === undefined ? undefined : Math.min(active, Math.max(0, count - 1)), setActive, move }
}

// Fetches the next page shortly before its place comes into sight.
function useEndInSight(reached: (() => void) | undefined) {
  const latest = useRef(reached)
  useEffect(() => {
    latest.current = reached
  })
  return (node: Element | null) => {
    if (!node) return undefined
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting && scrollY > 0) latest.current?.()
      },
      { rootMargin: '0px 0px 200px 0px' },
    )
    observer.observe(node)
    return () => observer.disconnect()
  }
}
