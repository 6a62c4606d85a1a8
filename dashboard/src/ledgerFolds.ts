import { formatDelta, words } from './format'

/** What of a ledger row matters for folding. */
export interface LedgerMove {
  id: string
  asset: string
  transactionType: string
  reason: string
  amount: string
  ticketId: string
}

/** A line of a ledger: a row, or several that one ticket wrote. */
export type LedgerLine<Row extends LedgerMove> =
  | { id: string; row: Row; isWithin: boolean; fold: undefined }
  | { id: string; row: Row; isWithin: false; fold: { rows: readonly Row[]; isOpened: boolean } }

const STEPS_SHOWN = 4

/**
 * Fold rows that share a ticket into one line, where the newest of them stands; an opened one is followed by its rows.
 * Rows come newest first, and those of one ticket need not be neighbours.
 */
export function folded<Row extends LedgerMove>(rows: readonly Row[], opened: ReadonlySet<string>): readonly LedgerLine<Row>[] {
  const byTicket = new Map<string, Row[]>()
  for (const row of rows) {
    const together = byTicket.get(row.ticketId)
    if (together) together.push(row)
    else byTicket.set(row.ticketId, [row])
  }
  return [...byTicket.values()].flatMap((together): LedgerLine<Row>[] => {
    const [newest] = together
    if (!newest) return []
    if (together.length === 1) return [{ id: newest.id, row: newest, isWithin: false, fold: undefined }]
    const isOpened = opened.has(newest.ticketId)
    const fold = { id: newest.ticketId, row: newest, isWithin: false, fold: { rows: together, isOpened } } as const
    return [fold, ...(isOpened ? together.map((row) => ({ id: row.id, row, isWithin: true, fold: undefined })) : [])]
  })
}

/** Say what the rows of one ticket did: "Settle out +40 CEA → Settle in +1 020.00 EUR". */
export function story(rows: readonly LedgerMove[]): string {
  const steps = inTurn(rows).map(({ reason, amount, asset }) => `${words(reason)} ${formatDelta(amount)} ${asset}`)
  const rest = steps.length - STEPS_SHOWN
  return [...steps.slice(0, STEPS_SHOWN), ...(rest > 0 ? [`${rest} more`] : [])].join(' → ')
}

/** List what several rows have in one field, each once. */
export function each<Row extends LedgerMove>(rows: readonly Row[], field: 'asset' | 'transactionType' | 'reason'): string[] {
  return [...new Set(inTurn(rows).map((row) => row[field]))]
}

// One ticket writes its rows at one instant; they are told as money goes: first what is given, then what comes.
function inTurn<Row extends LedgerMove>(rows: readonly Row[]): Row[] {
  return rows.toSorted((a, b) => TURNS.indexOf(a.reason) - TURNS.indexOf(b.reason))
}

const TURNS = ['DEPOSIT', 'LOCK', 'SETTLE_OUT', 'SETTLE_IN', 'RELEASE', 'WITHDRAWAL']
