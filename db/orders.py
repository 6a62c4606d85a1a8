"""Orders, trades and books as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from db import tables
from db.market import certificate_of, order_of, trade_of
from db.read import Key, Page, Reader, Window, during, page
from domain import money
from domain.book import OrderSide
from domain.market import Certificate, Order, OrderStatus, Trade, TradeStatus
from domain.money import CertificateType

orders, trades, settlements = tables.orders.c, tables.cash_market_trades.c, tables.trade_settlements.c
# Rows of one commit share their time: what is drawn under the lock tells them apart, the id comes last.
ORDERS_NEWEST = Key((orders.created_at, orders.priority, orders.id), is_descending=True)
TRADES_NEWEST = Key((trades.executed_at, trades.sequence, trades.position, trades.id), is_descending=True)


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders; every condition given must hold. Windows are half-open [from, to)."""

    ids: Sequence[UUID] | None = None
    market_maker_id: UUID | None = None
    has_market_maker: bool | None = None
    user_id: UUID | None = None
    certificate_type: CertificateType | None = None
    side: OrderSide | None = None
    statuses: Sequence[OrderStatus] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """Which trades; every condition given must hold. Windows are half-open [from, to)."""

    ids: Sequence[UUID] | None = None
    order_id: UUID | None = None
    market_maker_id: UUID | None = None
    user_id: UUID | None = None
    certificate_type: CertificateType | None = None
    status: TradeStatus | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None


def orders_where(wanted: OrderFilter) -> Select[Any]:
    """Return the statement of a list of orders."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.ids is not None:
        conditions.append(orders.id.in_(wanted.ids))
    if wanted.market_maker_id is not None:
        conditions.append(orders.market_maker_id == wanted.market_maker_id)
    if wanted.has_market_maker is not None:
        conditions.append(
            orders.market_maker_id.is_not(None) if wanted.has_market_maker else orders.market_maker_id.is_(None)
        )
    if wanted.user_id is not None:
        conditions.append(orders.user_id == wanted.user_id)
    if wanted.certificate_type is not None:
        conditions.append(orders.certificate_type == wanted.certificate_type.value)
    if wanted.side is not None:
        conditions.append(orders.side == wanted.side.value)
    if wanted.statuses is not None:
        conditions.append(orders.status.in_([status.value for status in wanted.statuses]))
    conditions += during(orders.created_at, wanted.created_from, wanted.created_to)
    return select(tables.orders).where(*conditions)


def matches(order: Order, wanted: OrderFilter) -> bool:
    """Tell whether an order is one of a list, as `orders_where` does."""
    return (
        (wanted.ids is None or order.id in wanted.ids)
        and wanted.market_maker_id in (None, order.market_maker_id)
        and wanted.has_market_maker in (None, order.market_maker_id is not None)
        and wanted.user_id in (None, order.user_id)
        and wanted.certificate_type in (None, order.certificate_type)
        and wanted.side in (None, order.side)
        and (wanted.statuses is None or order.status in wanted.statuses)
        and (wanted.created_from is None or order.created_at >= wanted.created_from)
        and (wanted.created_to is None or order.created_at < wanted.created_to)
    )


def trades_where(wanted: TradeFilter) -> Select[Any]:
    """Return the statement of a list of trades with their settlement."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.ids is not None:
        conditions.append(trades.id.in_(wanted.ids))
    if wanted.order_id is not None:
        conditions.append(or_(trades.buy_order_id == wanted.order_id, trades.sell_order_id == wanted.order_id))
    if wanted.market_maker_id is not None:
        conditions.append(trades.market_maker_id == wanted.market_maker_id)
    if wanted.user_id is not None:
        conditions.append(or_(trades.buyer_id == wanted.user_id, trades.seller_id == wanted.user_id))
    if wanted.certificate_type is not None:
        conditions.append(trades.certificate_type == wanted.certificate_type.value)
    if wanted.status is not None:
        is_settled = settlements.trade_id.is_not(None)
        conditions.append(is_settled if wanted.status is TradeStatus.SETTLED else ~is_settled)
    conditions += during(trades.executed_at, wanted.date_from, wanted.date_to)
    return (
        select(tables.cash_market_trades, settlements.settled_at, settlements.registry_reference)
        .join(tables.trade_settlements, settlements.trade_id == trades.id, isouter=True)
        .where(*conditions)
    )


async def orders_page(reader: Reader, wanted: OrderFilter, window: Window) -> Page[Order]:
    """Return orders, newest first."""
    return await page(reader, orders_where(wanted), ORDERS_NEWEST, window, order_of)


async def trades_page(reader: Reader, wanted: TradeFilter, window: Window) -> Page[Trade]:
    """Return trades, newest first."""
    return await page(reader, trades_where(wanted), TRADES_NEWEST, window, trade_of)


async def orders_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, Order]:
    """Return orders by id."""
    return {row["id"]: order_of(row) for row in await reader.rows(orders_where(OrderFilter(ids=list(ids))))}


async def trades_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, Trade]:
    """Return trades by id."""
    return {row["id"]: trade_of(row) for row in await reader.rows(trades_where(TradeFilter(ids=list(ids))))}


async def certificates(reader: Reader) -> list[Certificate]:
    """Return the certificates of the market."""
    statement = select(tables.certificates).order_by(tables.certificates.c.certificate_type)
    return [certificate_of(row) for row in await reader.rows(statement)]


async def last_trades(reader: Reader) -> dict[CertificateType, Trade]:
    """Return the newest trade of each certificate that has one."""
    statement = trades_where(TradeFilter()).ext(distinct_on(trades.certificate_type))
    statement = statement.order_by(trades.certificate_type, trades.sequence.desc(), trades.position.desc())
    return {CertificateType(row["certificate_type"]): trade_of(row) for row in await reader.rows(statement)}


@dataclass(frozen=True, slots=True)
class Level:
    """One price of a book. Units: price EUR, quantity certificates."""

    side: OrderSide
    price: Decimal
    quantity: Decimal
    order_count: int


@dataclass(frozen=True, slots=True)
class BookRecord:
    """A whole book as committed, levels best first on each side."""

    certificate_type: CertificateType
    sequence: int
    last_price: Decimal | None
    at: datetime
    levels: tuple[Level, ...]


# One statement, hence one snapshot: the levels are exactly those of the sequence.
_BOOK = """
SELECT b.sequence, b.last_price, clock_timestamp() AS at, l.side, l.price, l.quantity, l.orders
FROM books b LEFT JOIN (
    SELECT certificate_type, side, price, sum(quantity - filled_quantity) AS quantity, count(*) AS orders
    FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED') AND certificate_type = :certificate_type
    GROUP BY certificate_type, side, price) AS l USING (certificate_type)
WHERE b.certificate_type = :certificate_type
ORDER BY l.side, CASE l.side WHEN 'BUY' THEN -l.price ELSE l.price END
"""


async def book(reader: Reader, certificate_type: CertificateType) -> BookRecord:
    """Return a whole book as of its newest sequence."""
    rows = await reader.sql(_BOOK, certificate_type=certificate_type.value)
    head = rows[0]
    return BookRecord(
        certificate_type=certificate_type,
        sequence=head["sequence"],
        last_price=None if head["last_price"] is None else money.eur(head["last_price"]),
        at=head["at"],
        levels=tuple(
            Level(OrderSide(row["side"]), money.eur(row["price"]), money.whole(row["quantity"]), row["orders"])
            for row in rows
            if row["side"] is not None
        ),
    )


async def sequences(reader: Reader) -> dict[CertificateType, int]:
    """Return the newest sequence of each book."""
    rows = await reader.rows(select(tables.books.c.certificate_type, tables.books.c.sequence))
    return {CertificateType(row["certificate_type"]): row["sequence"] for row in rows}
