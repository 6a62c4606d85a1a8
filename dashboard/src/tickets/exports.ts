import { csvLine, RecordCounter, save } from '../csv'
import { endsOf, type Range } from './range'
import type { TicketFilter, TicketsState } from './search'

/** A file of tickets: `shown` holds the columns that the table shows, the others hold everything one may see. */
export type ExportKind = 'csv' | 'ndjson' | 'shown'

export interface ExportResult {
  rows: number
  expected: number
  ticketId: string | undefined
  fileName: string
}

/** A column of the table as the file names it, read from a line of the server's NDJSON. */
export interface ExportColumn {
  heading: string
  read: (ticket: Readonly<Record<string, unknown>>) => unknown
}

/**
 * Fetch a file whole, count its rows as they arrive, and hand it to the browser.
 * Raises: ExportError with the server's words; AbortError.
 */
export async function exportTickets(
  asked: { kind: ExportKind; filter: TicketFilter; state: Pick<TicketsState, 'range' | 'terms' | 'order'>; columns: readonly ExportColumn[] },
  progress: (rows: number, expected: number) => void,
  signal: AbortSignal,
): Promise<ExportResult> {
  const { kind, filter, state, columns } = asked
  const served = kind === 'csv' ? 'csv' : 'ndjson'
  const query = new URLSearchParams({ filter: JSON.stringify(filter), orderBy: state.order })
  const response = await fetch(`/export/tickets.${served}?${query}`, { credentials: 'same-origin', signal })
  if (!response.ok || !response.body) throw new ExportError(await refusalOf(response))
  const expected = Number(response.headers.get('X-Row-Count') ?? 0)
  const counter = new RecordCounter(served)
  const parts: BlobPart[] = kind === 'shown' ? [csvLine(columns.map(({ heading }) => heading))] : []
  const lines = kind === 'shown' ? new Lines((line) => parts.push(csvLine(cellsOf(line, columns)))) : undefined
  const reader = response.body.getReader()
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    counter.add(chunk.value)
    if (lines) lines.add(chunk.value)
    else parts.push(chunk.value)
    progress(counter.rows, expected)
  }
  const fileName = `${fileNameOf(state, Date.now())}.${kind === 'ndjson' ? 'ndjson' : 'csv'}`
  save(fileName, parts, kind === 'ndjson' ? 'application/x-ndjson' : 'text/csv')
  return { rows: counter.rows, expected, ticketId: response.headers.get('X-Ticket-ID') ?? undefined, fileName }
}

/** Name a file by what is in it: tickets_2026-01-19T00Z_2026-01-20T00Z_failed. */
export function fileNameOf(state: { range: Range; terms: TicketsState['terms'] }, now: number): string {
  const { from, to } = endsOf(state.range, now)
  const write = (iso: string) => iso.replace(/:00\.\d+Z$|\.\d+Z$/, 'Z').replace(/:00Z$/, 'Z').replaceAll(':', '')
  const parts = ['tickets', from ? write(from) : 'first', write(to ?? new Date(now).toISOString())]
  if (state.terms.status?.some(({ text, excluded }) => text === 'FAILED' && !excluded)) parts.push('failed')
  if (state.terms.mm) parts.push('mm')
  return parts.join('_')
}

export class ExportError extends Error {}

// Text of bytes line by line, whatever their cut.
class Lines {
  readonly #decoder = new TextDecoder()
  readonly #line: (line: string) => void
  #rest = ''

  constructor(line: (line: string) => void) {
    this.#line = line
  }

  add(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n')
    this.#rest = lines.pop() ?? ''
    lines.forEach(this.#line)
  }
}

function cellsOf(line: string, columns: readonly ExportColumn[]): unknown[] {
  const ticket = JSON.parse(line) as Record<string, unknown>
  return columns.map(({ read }) => read(ticket))
}

async function refusalOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined)
  const message = (body as { errors?: { message?: string }[] } | undefined)?.errors?.[0]?.message
  return message ?? `The server answered ${response.status}.`
}
