import type { Draft } from './share'

export interface Example extends Draft {
  name: string
}

/** Queries to start from. A test validates each against the schema and runs it on a real server. */
export const EXAMPLES: readonly Example[] = [
  {
    name: 'Failed actions',
    query: `query FailedActions($first: Int!, $after: String) {
  tickets(filter: { status: FAILED }, first: $first, after: $after) {
    nodes { ticketId timestamp actionType errorCode summary user { name } marketMaker { name } }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: '{ "first": 100 }',
  },
  {
    name: 'Tickets in a window',
    query: `query TicketsInWindow($filter: TicketFilter, $first: Int!, $after: String) {
  tickets(filter: $filter, orderBy: OLDEST, first: $first, after: $after) {
    nodes { ticketId timestamp actionType status summary durationMs tags }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: '{ "first": 100, "filter": { "dateFrom": "2026-01-01T00:00:00Z", "actionTypes": ["MM_ORDER_PLACED", "ORDER_PLACED"] } }',
  },
  {
    name: 'Actions by day',
    query: `query ActionsByDay($timeZone: String!) {
  ticketStats(bucket: DAY, timeZone: $timeZone) {
    actionsOverTime { from to successCount failedCount }
  }
}`,
    variables: '{ "timeZone": "Europe/Berlin" }',
  },
  {
    name: 'Failures by reason',
    query: `query FailuresByReason {
  ticketStats(filter: { status: FAILED }) {
    byErrorCode { errorCode count lastAt }
  }
}`,
    variables: '',
  },
  {
    name: 'Who is most active',
    query: `query MostActive {
  ticketStats {
    byUser { count failedCount user { id name role } }
  }
}`,
    variables: '',
  },
  {
    name: 'What an order led to',
    query: `query Story($search: String!) {
  tickets(filter: { search: $search }, first: 1) {
    nodes {
      ticketId summary
      relatedTickets(depth: 3) { ticketId timestamp actionType status summary }
    }
  }
}`,
    variables: '{ "search": "SELL" }',
  },
  {
    name: 'Balances of market makers',
    query: `query MakerBalances($first: Int!, $after: String) {
  marketMakers(first: $first, after: $after) {
    nodes {
      name isActive
      cea: balance(asset: CEA) { available locked total }
      eua: balance(asset: EUA) { available locked total }
      eur: balance(asset: EUR) { available locked total }
    }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: '{ "first": 50 }',
  },
  {
    name: 'What market makers sold',
    query: `query MakerSales {
  marketMakers(first: 50) {
    nodes { name stats { openOrders trades soldQuantity proceeds lastTradeAt } }
  }
}`,
    variables: '',
  },
  {
    name: 'Ledgers of market makers',
    query: `query MakerLedgers {
  marketMakers(first: 10) {
    nodes {
      name
      transactions(first: 20) { nodes { createdAt asset transactionType reason amount balanceAfter lockedAfter ticketId } }
    }
  }
}`,
    variables: '',
  },
  {
    name: 'Open orders',
    query: `query OpenOrders($first: Int!, $after: String) {
  orders(filter: { statuses: [OPEN, PARTIALLY_FILLED] }, first: $first, after: $after) {
    nodes { id createdAt certificateType side price quantity remainingQuantity status marketMaker { name } user { name } ticketId }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: '{ "first": 100 }',
  },
  {
    name: 'Trades',
    query: `query Trades($first: Int!, $after: String) {
  trades(first: $first, after: $after) {
    nodes { id executedAt certificateType price quantity notional status ticketId }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: '{ "first": 100 }',
  },
  {
    name: 'Book depth',
    query: `query BookDepth {
  orderBook(certificateType: CEA, depth: 20) {
    sequence bestBid bestAsk lastPrice
    asks { price quantity orderCount }
  }
}`,
    variables: '',
  },
]
