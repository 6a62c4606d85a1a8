import { useMediaQuery } from '@mantine/hooks'
import { useCallback, useMemo, useState } from 'react'
import type { Column } from './DataTable'

const SHARING_PX_MIN = 120 // of a column that shares what is left

/** Measure how wide a list may be, in pixels. */
export function useRoom() {
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

/** Say of each column whether it is shown: all that are not hidden and have room, or a place on a card. */
export function useShown<Row>(columns: readonly Column<Row>[], hidden: ReadonlySet<string> | undefined, room: number): Record<string, boolean> {
  const cards = useMediaQuery('(max-width: 767px)', false, { getInitialValueInEffect: false })
  return useMemo(() => {
    const wanted = columns.filter(({ id }) => !hidden?.has(id))
    const kept = cards ? wanted.filter(({ card }) => card !== 'none') : fitting(wanted, room)
    return Object.fromEntries(columns.map((column) => [column.id, kept.includes(column)]))
  }, [columns, hidden, cards, room])
}

/** Add up what columns need at least. */
export function narrowestOf<Row>(columns: readonly Column<Row>[]): number {
  return columns.reduce((total, { width = SHARING_PX_MIN }) => total + width, 0)
}

/** Leave out columns until the others fit: the last of the `widest` first, those without a mark never. */
export function fitting<Row>(columns: readonly Column<Row>[], room: number): readonly Column<Row>[] {
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
