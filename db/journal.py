"""The journal as watchers read it: what each command did, with every order as it stood right after it.

Events and trades are insert-only, and those of one book are numbered without gaps under the market lock. So what is
read after a sequence is the same for everybody and at any time: nothing is missed, nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from db import tables
from db.market import order_of, trade_of
from db.orders import Level, TradeFilter, trades_where
from db.read import Reader
from db.tables import Row
from domain import money
from domain.book import OrderSide
from domain.market import EventKind, Order, OrderStatus, Trade
from domain.money import CertificateType

events, trades = tables.book_events.c, tables.cash_market_trades.c


@dataclass(frozen=True, slots=True)
class Entry:
    """What one command did to a book: its trades in order, and each order it changed, its own first."""

    sequence: int
    at: datetime
    trades: tuple[Trade, ...]
    orders: tuple[Order, ...]


async def entries_after(reader: Reader, certificate_type: CertificateType, sequence: int, limit: int) -> list[Entry]:
    """Return the next entries of a book after a sequence, oldest first."""
    journal = await reader.rows(
        select(events.sequence, events.kind, events.order_id, events.rested, events.created_at)
        .where(events.certificate_type == certificate_type.value, events.sequence > sequence)
        .order_by(events.sequence)
        .limit(limit)
    )
    if not journal:
        return []
    last: int = journal[-1]["sequence"]
    assert last - sequence == len(journal), "the journal has no gaps"
    made = await reader.rows(
        trades_where(TradeFilter(certificate_type=certificate_type))
        .where(trades.sequence > sequence, trades.sequence <= last)
        .order_by(trades.sequence, trades.position)
    )
    fills: dict[int, list[Trade]] = {}
    for row in made:
        fills.setdefault(row["sequence"], []).append(trade_of(row))
    touched = {event["order_id"] for event in journal}
    touched |= {order_id for row in made for order_id in (row["buy_order_id"], row["sell_order_id"])}
    standing = await _orders_at(reader, certificate_type, sequence, touched)
    return [_entry(event, fills.get(event["sequence"], []), standing) for event in journal]


# The last word on each level counts: quantities are absolute.
_LEVELS_BETWEEN = """
WITH between AS MATERIALIZED (
    SELECT sequence, level_changes FROM book_events
    WHERE certificate_type = :certificate_type AND sequence > :after AND sequence <= :until
), last AS (
    SELECT DISTINCT ON (change->>0, (change->>1)::numeric)
           change->>0 AS side, change->>1 AS price, change->>2 AS quantity, (change->>3)::integer AS orders
    FROM between CROSS JOIN LATERAL jsonb_array_elements(level_changes) WITH ORDINALITY AS listed(change, place)
    ORDER BY change->>0, (change->>1)::numeric, sequence DESC, place DESC
)
SELECT (SELECT count(*) FROM between) AS events, last.* FROM (SELECT) AS always LEFT JOIN last ON true
"""


async def levels_between(
    reader: Reader, certificate_type: CertificateType, after: int, until: int
) -> list[Level] | None:
    """Return each level that was changed after one sequence up to another, as it was then; None: not all is stored."""
    rows = await reader.sql(_LEVELS_BETWEEN, certificate_type=certificate_type.value, after=after, until=until)
    if rows[0]["events"] != until - after:
        return None
    return [
        Level(
            OrderSide(row["side"]),
            money.eur(Decimal(row["price"])),
            money.whole(Decimal(row["quantity"])),
            row["orders"],
        )
        for row in rows
        if row["side"] is not None
    ]


# Trades never change: what an order had traded at a sequence is what it has now less the trades since.
_ORDERS_AT = """
SELECT o.*, coalesce(later.quantity, 0) AS later_quantity, coalesce(later.notional, 0) AS later_notional
FROM orders o LEFT JOIN (
    SELECT party.order_id, sum(t.quantity) AS quantity, sum(t.price * t.quantity) AS notional
    FROM cash_market_trades t CROSS JOIN LATERAL (VALUES (t.buy_order_id), (t.sell_order_id)) AS party(order_id)
    WHERE t.certificate_type = :certificate_type AND t.sequence > :sequence GROUP BY party.order_id
) AS later ON later.order_id = o.id
WHERE o.id = ANY(:ids)
"""


async def _orders_at(
    reader: Reader, certificate_type: CertificateType, sequence: int, ids: set[UUID]
) -> dict[UUID, Order]:
    """Return orders with what they had traded at a sequence; status and end are those of now, for `_entry` to date."""
    rows = await reader.sql(_ORDERS_AT, certificate_type=certificate_type.value, sequence=sequence, ids=list(ids))
    return {
        row["id"]: replace(
            order_of(row),
            filled_quantity=money.whole(row["filled_quantity"] - row["later_quantity"]),
            filled_notional=money.eur(row["filled_notional"] - row["later_notional"]),
        )
        for row in rows
    }


def _entry(event: Row, made: Sequence[Trade], standing: dict[UUID, Order]) -> Entry:
    """Carry one event out on the orders as they stood before it."""
    own: UUID = event["order_id"]
    met = [trade.sell_order_id if trade.buy_order_id == own else trade.buy_order_id for trade in made]
    for trade in made:
        for order_id in (trade.buy_order_id, trade.sell_order_id):
            order = standing[order_id]
            standing[order_id] = replace(
                order,
                filled_quantity=order.filled_quantity + trade.quantity,
                filled_notional=order.filled_notional + trade.notional,
            )
    is_out = event["kind"] == EventKind.CANCELLED or not event["rested"]
    changed = (
        _as_of(standing[order_id], event["created_at"], is_out=is_out and order_id == own)
        for order_id in dict.fromkeys((own, *met))
    )
    return Entry(event["sequence"], event["created_at"], tuple(made), tuple(changed))


def _as_of(order: Order, at: datetime, *, is_out: bool) -> Order:
    """Return an order as it stood after an event; is_out: the event left nothing of it in the book."""
    if not order.remaining_quantity:
        status = OrderStatus.FILLED
    elif is_out:
        status = OrderStatus.CANCELLED
    else:
        status = OrderStatus.PARTIALLY_FILLED if order.filled_quantity else OrderStatus.OPEN
    reason = order.cancel_reason if status is OrderStatus.CANCELLED else None
    return replace(order, status=status, cancel_reason=reason, updated_at=at)
