"""The laws of the market, checked from the rows: `assert_invariants(connection)` ends any test that writes.

Everything is read in one snapshot. The names L1, B4, T3 … are those under which the laws were agreed on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB

from db import tables, tickets
from domain import money
from domain.tickets import Payload, canonical, digest, effect_line
from tests.domain.naive import NaiveBook

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
LIMIT = 3  # rows of a broken law that are shown

# Each statement returns the rows that break its law.
LAWS: Mapping[str, str] = {
    "L1 balance = sum of deltas": """
        SELECT * FROM (SELECT holder_id, asset, sum(available_delta) AS a, sum(locked_delta) AS l, count(*) AS n
                       FROM asset_transactions GROUP BY 1, 2) AS s
        FULL JOIN balances b USING (holder_id, asset)
        WHERE (b.available, b.locked, b.seq) IS DISTINCT FROM (coalesce(s.a, 0), coalesce(s.l, 0), coalesce(s.n, 0))""",
    "L1 locked = reserve of open orders": """
        SELECT * FROM (SELECT user_id AS holder_id, CASE side WHEN 'BUY' THEN 'EUR' ELSE certificate_type END AS asset,
                              sum((quantity - filled_quantity) * CASE side WHEN 'BUY' THEN price ELSE 1 END) AS reserved
                       FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED') GROUP BY 1, 2) AS o
        FULL JOIN (SELECT holder_id, asset::text AS asset, locked FROM balances) AS b USING (holder_id, asset)
        WHERE coalesce(o.reserved, 0) IS DISTINCT FROM coalesce(b.locked, 0)""",
    "L2 nothing below 0, nothing NaN": """
        SELECT * FROM balances WHERE NOT (available >= 0 AND locked >= 0 AND available < 'NaN' AND locked < 'NaN')""",
    "L3 running figures have no gap": """
        SELECT * FROM (SELECT *, lag(seq, 1, 0::bigint) OVER w AS seq0, lag(balance_after, 1, 0::numeric) OVER w AS a0,
                              lag(locked_after, 1, 0::numeric) OVER w AS l0
                       FROM (SELECT holder_id, asset, seq, balance_after::numeric, locked_after::numeric,
                                    available_delta, locked_delta FROM asset_transactions) AS t
                       WINDOW w AS (PARTITION BY holder_id, asset ORDER BY seq)) AS r
        WHERE seq <> seq0 + 1 OR balance_after <> a0 + available_delta OR locked_after <> l0 + locked_delta""",
    "L4 what exists was deposited": """
        SELECT asset, sum(available_delta + locked_delta) AS exists,
               sum(available_delta) FILTER (WHERE reason IN ('DEPOSIT', 'WITHDRAWAL')) AS made
        FROM asset_transactions GROUP BY asset
        HAVING sum(available_delta + locked_delta)
               <> coalesce(sum(available_delta) FILTER (WHERE reason IN ('DEPOSIT', 'WITHDRAWAL')), 0)""",
    "L4 each trade moves and mints nothing": """
        SELECT trade_id, asset FROM asset_transactions WHERE trade_id IS NOT NULL
        GROUP BY 1, 2 HAVING sum(available_delta + locked_delta) <> 0""",
    "L5 each trade has exactly its legs": """
        SELECT t.id FROM (
            SELECT t.id, t.certificate_type::text AS certificate, t.quantity::numeric AS q,
                   t.quantity * t.price AS cost, t.quantity * (b.price - t.price) AS better,
                   t.buyer_id, t.seller_id, t.buy_order_id, t.sell_order_id
            FROM cash_market_trades t JOIN orders b ON b.id = t.buy_order_id) AS t
        JOIN LATERAL (SELECT
            count(*) AS n,
            count(*) FILTER (WHERE reason = 'SETTLE_OUT' AND holder_id = t.seller_id AND asset = t.certificate
                             AND locked_delta = -t.q AND order_id = t.sell_order_id) AS given,
            count(*) FILTER (WHERE reason = 'SETTLE_IN' AND holder_id = t.buyer_id AND asset = t.certificate
                             AND available_delta = t.q AND order_id = t.buy_order_id) AS taken,
            count(*) FILTER (WHERE reason = 'SETTLE_OUT' AND holder_id = t.buyer_id AND asset = 'EUR'
                             AND locked_delta = -t.cost AND order_id = t.buy_order_id) AS paid,
            count(*) FILTER (WHERE reason = 'SETTLE_IN' AND holder_id = t.seller_id AND asset = 'EUR'
                             AND available_delta = t.cost AND order_id = t.sell_order_id) AS earned,
            count(*) FILTER (WHERE reason = 'RELEASE' AND holder_id = t.buyer_id AND asset = 'EUR'
                             AND available_delta = t.better AND order_id = t.buy_order_id) AS released
            FROM asset_transactions a WHERE a.trade_id = t.id) AS a ON true
        WHERE t.better < 0 OR (n, given, taken, paid, earned, released)
            <> (4 + (t.better > 0)::int, 1, 1, 1, 1, (t.better > 0)::int)""",
    "L5 no trade without legs": """
        SELECT id FROM cash_market_trades t
        WHERE NOT EXISTS (SELECT FROM asset_transactions a WHERE a.trade_id = t.id)""",
    "L6 effects carry the transaction of their ticket": """
        SELECT e.* FROM (
            SELECT ticket_id, xmin::text::bigint AS xid, 'asset_transactions' AS of FROM asset_transactions
            UNION ALL SELECT ticket_id, xmin::text::bigint, 'cash_market_trades' FROM cash_market_trades
            UNION ALL SELECT ticket_id, xmin::text::bigint, 'book_events' FROM book_events
            UNION ALL SELECT t.ticket_id, p.xmin::text::bigint, 'ticket_payloads' FROM ticket_payloads p
                      JOIN ticket_logs t USING (year, number)) AS e
        JOIN ticket_logs t USING (ticket_id)
        WHERE e.xid <> t.txid::text::bigint % 4294967296 OR (t.status <> 'SUCCESS' AND e.of <> 'ticket_payloads')""",
    "L7 immutable rows were never touched": """
        SELECT relname, n_tup_upd, n_tup_del FROM pg_stat_user_tables
        WHERE relname IN ('asset_transactions', 'cash_market_trades', 'trade_settlements', 'book_events', 'ticket_logs',
                          'ticket_payloads', 'ticket_voids') AND n_tup_upd + n_tup_del > 0""",
    "B1 fills are trades and status follows": """
        SELECT o.id FROM orders o LEFT JOIN (
            SELECT order_id, sum(quantity) AS q, sum(quantity * price) AS n FROM (
                SELECT buy_order_id AS order_id, quantity, price FROM cash_market_trades
                UNION ALL SELECT sell_order_id, quantity, price FROM cash_market_trades) AS legs GROUP BY 1) AS t
        ON t.order_id = o.id
        WHERE o.filled_quantity <> coalesce(t.q, 0) OR o.filled_notional <> coalesce(t.n, 0)
           OR o.status <> CASE WHEN o.cancel_reason IS NOT NULL THEN 'CANCELLED' WHEN o.filled_quantity = 0 THEN 'OPEN'
                               WHEN o.filled_quantity < o.quantity THEN 'PARTIALLY_FILLED' ELSE 'FILLED' END""",
    "B2 no book is crossed": """
        SELECT certificate_type FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED') GROUP BY 1
        HAVING max(price) FILTER (WHERE side = 'BUY') >= min(price) FILTER (WHERE side = 'SELL')""",
    "B3 prices lie between the limits and are the resting order's": """
        SELECT t.id FROM cash_market_trades t
        JOIN orders b ON b.id = t.buy_order_id JOIN orders s ON s.id = t.sell_order_id
        WHERE NOT (s.price <= t.price AND t.price <= b.price) OR t.buyer_id = t.seller_id OR b.user_id <> t.buyer_id
           OR s.user_id <> t.seller_id OR b.side <> 'BUY' OR s.side <> 'SELL'
           OR t.price <> CASE t.taker_side WHEN 'BUY' THEN s.price ELSE b.price END
           OR t.market_maker_id IS DISTINCT FROM s.market_maker_id""",
    "B3 makers sell": "SELECT id FROM orders WHERE market_maker_id IS NOT NULL AND side <> 'SELL'",
    "B3 who may not trade has no open order": """
        SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id
        LEFT JOIN market_maker_clients m ON m.id = o.market_maker_id
        WHERE o.status IN ('OPEN', 'PARTIALLY_FILLED') AND (NOT u.is_active OR NOT coalesce(m.is_active, true))""",
    "B5 sequences and priorities have no gap": """
        SELECT b.certificate_type, b.sequence, b.priority FROM books b LEFT JOIN LATERAL (
            SELECT count(*) AS n, coalesce(max(sequence), 0) AS last, count(*) FILTER (WHERE kind = 'PLACED') AS placed,
                   coalesce(max(priority) FILTER (WHERE kind = 'PLACED'), 0) AS newest
            FROM book_events e WHERE e.certificate_type = b.certificate_type) AS e ON true
        WHERE NOT (b.sequence = e.n AND b.sequence = e.last AND b.priority = e.placed AND b.priority = e.newest)""",
    "B5 each order was placed once and priority follows sequence": """
        SELECT * FROM (SELECT o.id, e.priority, lag(e.priority, 1, 0::bigint) OVER (PARTITION BY e.certificate_type
                              ORDER BY e.sequence) AS before
                       FROM orders o
                       FULL JOIN (SELECT * FROM book_events WHERE kind = 'PLACED') AS e ON e.order_id = o.id) AS p
        WHERE id IS NULL OR priority IS DISTINCT FROM before + 1""",
    "T1 a failure has no effect and no second ticket": """
        SELECT t.ticket_id FROM ticket_logs t WHERE status = 'FAILED' AND attempt_id IS NULL""",
    "T3 the number is of the year of the clock": """
        SELECT ticket_id FROM ticket_logs WHERE year <> extract(year FROM "timestamp" AT TIME ZONE 'UTC')""",
    "T3 every number stands in one lease": """
        SELECT t.ticket_id FROM ticket_logs t
        WHERE (SELECT count(*) FROM ticket_leases l WHERE l.year = t.year AND t.number BETWEEN l.lo AND l.hi) <> 1""",
    "T3 a closed lease holds tickets and voids, nothing else and nothing twice": """
        SELECT l.id, l.lo, l.hi FROM ticket_leases l
        LEFT JOIN LATERAL (SELECT count(*) AS n FROM ticket_logs t
                           WHERE t.year = l.year AND t.number BETWEEN l.lo AND l.hi) AS t ON true
        LEFT JOIN LATERAL (SELECT coalesce(sum(v.hi - v.lo + 1), 0) AS n FROM ticket_voids v
                           WHERE v.lease_id = l.id) AS v ON true
        WHERE t.n + v.n <> CASE WHEN l.closed_at IS NULL THEN t.n ELSE l.hi - l.lo + 1 END""",
    "T3 no ticket is void": """
        SELECT t.ticket_id FROM ticket_voids v
        JOIN ticket_logs t ON t.year = v.year AND t.number BETWEEN v.lo AND v.hi""",
    "T5 relations exist and point back": """
        SELECT t.ticket_id, r.id FROM ticket_logs t CROSS JOIN LATERAL unnest(t.related_ticket_ids) AS r(id)
        LEFT JOIN ticket_logs o ON o.ticket_id = r.id
        WHERE o.ticket_id IS NULL OR o.timestamp > t.timestamp OR o.ticket_id = t.ticket_id""",
    "T5 a trade is related to both orders": """
        SELECT t.id FROM cash_market_trades t
        JOIN orders b ON b.id = t.buy_order_id JOIN orders s ON s.id = t.sell_order_id
        JOIN ticket_logs l ON l.ticket_id = t.ticket_id
        WHERE l.related_ticket_ids <> ARRAY[b.ticket_id::text, s.ticket_id::text] OR l.entity_id <> t.id::text""",
    "T5 each full order has one ticket that says so": """
        SELECT o.id FROM orders o WHERE (o.status = 'FILLED')::int
            <> (SELECT count(*) FROM ticket_logs t
                WHERE t.entity_id = o.id::text AND t.action_type = 'ORDER_FILLED')""",
    "T7 each ticket has one payload": """
        SELECT ticket_id FROM ticket_logs FULL JOIN ticket_payloads USING (year, number)
        WHERE salt IS NULL OR digest IS NULL""",
}


@dataclass(frozen=True)
class Counted:
    """What there was to check."""

    tickets: int
    orders: int
    trades: int
    entries: int


async def assert_invariants(connection: Connection, *, but: Collection[str] = ()) -> Counted:
    """Check every law in one snapshot, but those whose names are given; return how much there was to check."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for law, statement in LAWS.items():
            if law.split()[0] in but:
                continue
            broken = await connection.fetch(statement)
            assert not broken, f"{law}: broken by {len(broken)} rows, such as {[dict(row) for row in broken[:LIMIT]]}"
        await assert_replay(connection)
        wrong = await wrong_digests(connection)
        assert not wrong, f"T7: the digests of {len(wrong)} tickets do not match their rows, such as {wrong[:LIMIT]}"
        count: Callable[[str], Any] = lambda table: connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: E731
        return Counted(
            await count("ticket_logs"),
            await count("orders"),
            await count("cash_market_trades"),
            await count("asset_transactions"),
        )


# ---------------------------------------------------------------------------------------------- B4: first in first out


async def assert_replay(connection: Connection) -> None:
    """Feed the journal to the naive book: the same trades, rests, levels and final queues must come out."""
    for row in await connection.fetch("SELECT certificate_type, last_price FROM books"):
        certificate = row["certificate_type"]
        events = await connection.fetch(
            "SELECT e.*, o.user_id, o.side, o.quantity AS ordered FROM book_events e JOIN orders o ON o.id = e.order_id"
            " WHERE e.certificate_type = $1 ORDER BY e.sequence",
            certificate,
        )
        trades: defaultdict[int, list[tuple[UUID, int, int]]] = defaultdict(list)
        last_price = None
        for trade in await connection.fetch(
            "SELECT *, CASE taker_side WHEN 'BUY' THEN sell_order_id ELSE buy_order_id END AS resting"
            " FROM cash_market_trades WHERE certificate_type = $1 ORDER BY sequence, position",
            certificate,
        ):
            trades[trade["sequence"]].append((trade["resting"], int(trade["quantity"]), cents(trade["price"])))
            last_price = trade["price"]
        assert row["last_price"] == last_price, f"{certificate}: last price"
        book: NaiveBook[UUID, UUID] = NaiveBook()
        for event in events:
            _replay(book, event, trades[event["sequence"]])
        rows = await connection.fetch(
            "SELECT id, side, price, quantity - filled_quantity AS left FROM orders WHERE certificate_type = $1"
            " AND status IN ('OPEN', 'PARTIALLY_FILLED') ORDER BY priority",
            certificate,
        )
        assert book.left() == {one["id"]: int(one["left"]) for one in rows}, f"{certificate}: the final book"


def _replay(book: NaiveBook[UUID, UUID], event: asyncpg.Record, trades: list[tuple[UUID, int, int]]) -> None:
    where = f"{event['certificate_type']} {event['sequence']}"
    before = book.levels()
    if event["kind"] == "CANCELLED":
        assert book.cancel(event["order_id"]) == event["quantity"], where
        assert not trades, where
    else:
        assert event["quantity"] == event["ordered"], where
        result = book.place(
            event["order_id"], event["user_id"], event["side"], cents(event["price"]), int(event["quantity"])
        )
        assert (result.trades, result.rested) == (trades, event["rested"]), where
    after = book.levels()
    moved = {level for level in before.keys() | after.keys() if before.get(level) != after.get(level)}
    told = {
        (side, cents(Decimal(price))): (int(quantity), orders)
        for side, price, quantity, orders in json.loads(event["level_changes"])
    }
    assert told == {level: after.get(level, (0, 0)) for level in moved}, f"{where}: level changes"


def cents(price: Any) -> int:
    whole = money.units(price, 2)
    assert whole is not None
    return whole


# --------------------------------------------------------------------------------------------------------- T7: digests


async def wrong_digests(connection: Connection, ticket_ids: Sequence[str] | None = None) -> list[str]:
    """Recompute the digests of tickets (None: all) from the stored rows; return the tickets that differ."""
    effects: defaultdict[str, list[str]] = defaultdict(list)
    for table in tables.EFFECTS:
        columns = [tables.written(table)[index] for index in tables.sealed(table)]
        names = ", ".join(f'"{column.name}"' for column in columns)
        for row in await connection.fetch(
            f"SELECT {names} FROM {table.name} WHERE $1::text[] IS NULL OR ticket_id = ANY($1)", ticket_ids
        ):
            effects[row["ticket_id"]].append(effect_line(table.name, _values(table, columns, row)))
    wrong = []
    for row in await connection.fetch(
        "SELECT * FROM ticket_logs JOIN ticket_payloads USING (year, number)"
        " WHERE $1::text[] IS NULL OR ticket_id = ANY($1)",
        ticket_ids,
    ):
        record = tickets.record_of(row)
        parts = ("request_payload", "response_data", "before_state", "after_state")
        payload = Payload(row["salt"], *(None if row[part] is None else json.loads(row[part]) for part in parts))
        if digest(record.ticket, payload, effects[row["ticket_id"]]) != record.digest:
            wrong.append(row["ticket_id"])
    return wrong


def _values(table: Table, columns: Sequence[Any], row: asyncpg.Record) -> list[Any]:
    return [
        canonical(json.loads(row[column.name])) if isinstance(column.type, JSONB) else row[column.name]
        for column in columns
    ]
