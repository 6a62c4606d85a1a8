/** What the drawing needs of a ticket. */
export interface Linked {
  ticketId: string
  relatedTicketIds: readonly string[]
}

export interface Place<Ticket> {
  ticket: Ticket
  column: number
  lane: number
}

export interface Graph<Ticket> {
  places: readonly Place<Ticket>[]
  /** From the cause to what followed. */
  edges: readonly { from: Place<Ticket>; to: Place<Ticket> }[]
  columns: number
  lanes: number
}

/**
 * Place tickets by what caused what: a column later than every cause, on the lane of the first cause where that is free.
 * Tickets point back in time only, so there is no circle; one that were there is cut.
 */
export function graphOf<Ticket extends Linked>(tickets: readonly Ticket[]): Graph<Ticket> {
  const ordered = [...tickets].sort((a, b) => compare(a.ticketId, b.ticketId))
  const places = new Map<string, Place<Ticket>>()
  const taken = new Set<string>()
  const edges: { from: Place<Ticket>; to: Place<Ticket> }[] = []
  for (const ticket of ordered) {
    const causes = ticket.relatedTicketIds.flatMap((id) => places.get(id) ?? [])
    const column = Math.max(-1, ...causes.map((cause) => cause.column)) + 1
    let lane = causes[0]?.lane ?? 0
    while (taken.has(`${column} ${lane}`)) lane += 1
    taken.add(`${column} ${lane}`)
    const place = { ticket, column, lane }
    places.set(ticket.ticketId, place)
    edges.push(...causes.map((from) => ({ from, to: place })))
  }
  const all = [...places.values()]
  return {
    places: all,
    edges,
    columns: Math.max(0, ...all.map(({ column }) => column + 1)),
    lanes: Math.max(0, ...all.map(({ lane }) => lane + 1)),
  }
}

// Numbers of one year may differ in length: the longer one is the later.
function compare(a: string, b: string): number {
  const [yearA = '', yearB = ''] = [a.slice(0, 8), b.slice(0, 8)]
  if (yearA !== yearB) return yearA < yearB ? -1 : 1
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}
