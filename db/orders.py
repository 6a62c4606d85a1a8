"""Orders, trades and books as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Numeric, Select, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import distinct_on

from db import filters, tables
from db.filters import Filter, Term, at_least, at_most, before, either, equal, one_of, present
from db.lists import Listing
from db.market import certificate_of, order_of, trade_of
from db.read import Key, Reader
from domain import money
from domain.book import OrderSide
from domain.market import Certificate, Order, OrderStatus, OrderType, TimeInForce, Trade, TradeStatus
from domain.money import CertificateType

orders, trades, settlements = tables.orders.c, tables.cash_market_trades.c, tables.trade_settlements.c


# -------------------------------------------------------------------------------------------------------------- orders


class OrdersBy(Enum):
    """The order of a list of orders."""

    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    CHANGED = "CHANGED"
    PRICE_HIGHEST = "PRICE_HIGHEST"
    PRICE_LOWEST = "PRICE_LOWEST"
    LARGEST = "LARGEST"
    SMALLEST = "SMALLEST"


@dataclass(frozen=True, slots=True)
class OrderFilter(Filter):
    """Which orders; every condition given must hold. Windows are half-open [from, to), figures from min to max."""

    ids: Sequence[UUID] | None = None
    market_maker_id: UUID | None = None
    market_maker_ids: Sequence[UUID] | None = None
    has_market_maker: bool | None = None
    user_id: UUID | None = None
    user_ids: Sequence[UUID] | None = None
    certificate_type: CertificateType | None = None
    side: OrderSide | None = None
    order_type: OrderType | None = None
    times_in_force: Sequence[TimeInForce] | None = None
    statuses: Sequence[OrderStatus] | None = None
    cancel_reasons: Sequence[str] | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    quantity_min: Decimal | None = None
    quantity_max: Decimal | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None


ORDER_TERMS = {
    "ids": one_of(orders.id),
    "market_maker_id": equal(orders.market_maker_id),
    "market_maker_ids": one_of(orders.market_maker_id),
    "has_market_maker": present(orders.market_maker_id),
    "user_id": equal(orders.user_id),
    "user_ids": one_of(orders.user_id),
    "certificate_type": equal(orders.certificate_type),
    "side": equal(orders.side),
    "order_type": equal(orders.order_type),
    "times_in_force": one_of(orders.time_in_force),
    "statuses": one_of(orders.status),
    "cancel_reasons": one_of(orders.cancel_reason),
    "price_min": at_least(orders.price),
    "price_max": at_most(orders.price),
    "quantity_min": at_least(orders.quantity),
    "quantity_max": at_most(orders.quantity),
    "created_from": at_least(orders.created_at),
    "created_to": before(orders.created_at),
    "updated_from": at_least(orders.updated_at),
    "updated_to": before(orders.updated_at),
}


def orders_where(wanted: OrderFilter) -> Select[Any]:
    """Return the statement of a list of orders.

    Raises: InvalidInput.
    """
    return select(tables.orders).where(filters.where(wanted, ORDER_TERMS))


def matches(order: Order, wanted: OrderFilter) -> bool:
    """Tell whether an order is one of a list, as `orders_where` does."""
    return filters.fits(wanted, ORDER_TERMS, order)


# Rows of one commit share their time: what is drawn under the lock tells them apart, the id comes last.
_PLACED = (orders.created_at, orders.priority, orders.id)
_LIMIT = func.coalesce(orders.price, literal_column("0::numeric", Numeric))  # a MARKET order has none
ORDERS: Listing[OrderFilter, Order] = Listing(
    orders_where,
    {
        OrdersBy.NEWEST: Key(_PLACED, is_descending=True),
        OrdersBy.OLDEST: Key(_PLACED, is_descending=False),
        OrdersBy.CHANGED: Key((orders.updated_at, orders.priority, orders.id), is_descending=True),
        OrdersBy.PRICE_HIGHEST: Key((_LIMIT, *_PLACED), is_descending=True),
        OrdersBy.PRICE_LOWEST: Key((_LIMIT, *_PLACED), is_descending=False),
        OrdersBy.LARGEST: Key((orders.quantity, *_PLACED), is_descending=True),
        OrdersBy.SMALLEST: Key((orders.quantity, *_PLACED), is_descending=False),
    },
    order_of,
)
ORDERS_OF_MAKER, ORDERS_OF_USER = (orders.market_maker_id,), (orders.user_id,)


# -------------------------------------------------------------------------------------------------------------- trades


class TradesBy(Enum):
    """The order of a list of trades."""

    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    PRICE_HIGHEST = "PRICE_HIGHEST"
    PRICE_LOWEST = "PRICE_LOWEST"
    LARGEST = "LARGEST"
    SMALLEST = "SMALLEST"


@dataclass(frozen=True, slots=True)
class TradeFilter(Filter):
    """Which trades; every condition given must hold. Windows are half-open [from, to), figures from min to max."""

    ids: Sequence[UUID] | None = None
    order_id: UUID | None = None
    market_maker_id: UUID | None = None
    market_maker_ids: Sequence[UUID] | None = None
    has_market_maker: bool | None = None
    user_id: UUID | None = None
    buyer_ids: Sequence[UUID] | None = None
    seller_ids: Sequence[UUID] | None = None
    certificate_type: CertificateType | None = None
    taker_side: OrderSide | None = None
    status: TradeStatus | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    quantity_min: Decimal | None = None
    quantity_max: Decimal | None = None
    notional_min: Decimal | None = None
    notional_max: Decimal | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None

    def parties(self) -> set[UUID | None]:
        """Return whom it asks about by name, in any of its branches; None: parties that it does not name."""
        asked: set[UUID | None] = set()
        for part in self.every():
            asked |= {*(part.buyer_ids or ()), *(part.seller_ids or ())}
            asked |= {part.user_id} - {None}
            if not OF_PARTIES.isdisjoint(part.asked()):
                asked.add(None)
        return asked


# Conditions that tell about parties who are not named in them: an order's holder, a market maker.
OF_PARTIES = frozenset({"order_id", "market_maker_id", "market_maker_ids", "has_market_maker"})
NOTIONAL: ColumnElement[Any] = trades.price * trades.quantity
_IS_SETTLED = exists(select(literal_column("1")).where(settlements.trade_id == trades.id)).correlate(
    tables.cash_market_trades
)
TRADE_TERMS = {
    "ids": one_of(trades.id),
    "order_id": either(equal(trades.buy_order_id), equal(trades.sell_order_id)),
    "market_maker_id": equal(trades.market_maker_id),
    "market_maker_ids": one_of(trades.market_maker_id),
    "has_market_maker": present(trades.market_maker_id),
    "user_id": either(equal(trades.buyer_id), equal(trades.seller_id)),
    "buyer_ids": one_of(trades.buyer_id),
    "seller_ids": one_of(trades.seller_id),
    "certificate_type": equal(trades.certificate_type),
    "taker_side": equal(trades.taker_side),
    "status": Term(
        lambda status: _IS_SETTLED if status is TradeStatus.SETTLED else ~_IS_SETTLED,
        lambda trade, status: trade.status is status,
    ),
    "price_min": at_least(trades.price),
    "price_max": at_most(trades.price),
    "quantity_min": at_least(trades.quantity),
    "quantity_max": at_most(trades.quantity),
    "notional_min": at_least(NOTIONAL, "notional"),
    "notional_max": at_most(NOTIONAL, "notional"),
    "date_from": at_least(trades.executed_at),
    "date_to": before(trades.executed_at),
}


def trades_where(wanted: TradeFilter) -> Select[Any]:
    """Return the statement of a list of trades with their settlement.

    Raises: InvalidInput.
    """
    return (
        select(tables.cash_market_trades, settlements.settled_at, settlements.registry_reference)
        .join(tables.trade_settlements, settlements.trade_id == trades.id, isouter=True)
        .where(filters.where(wanted, TRADE_TERMS))
    )


def is_one_of(trade: Trade, wanted: TradeFilter) -> bool:
    """Tell whether a trade is one of a list, as `trades_where` does."""
    return filters.fits(wanted, TRADE_TERMS, trade)


_MADE = (trades.executed_at, trades.sequence, trades.position, trades.id)
TRADES: Listing[TradeFilter, Trade] = Listing(
    trades_where,
    {
        TradesBy.NEWEST: Key(_MADE, is_descending=True),
        TradesBy.OLDEST: Key(_MADE, is_descending=False),
        TradesBy.PRICE_HIGHEST: Key((trades.price, *_MADE), is_descending=True),
        TradesBy.PRICE_LOWEST: Key((trades.price, *_MADE), is_descending=False),
        TradesBy.LARGEST: Key((NOTIONAL, *_MADE), is_descending=True),
        TradesBy.SMALLEST: Key((NOTIONAL, *_MADE), is_descending=False),
    },
    trade_of,
)
TRADES_OF_MAKER = (trades.market_maker_id,)
TRADES_OF_ORDER = (trades.buy_order_id, trades.sell_order_id)  # an order has one side
TRADES_OF_USER = (trades.buyer_id, trades.seller_id)  # nobody trades with himself


# --------------------------------------------------------------------------------------------------------------- by id


async def orders_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, Order]:
    """Return orders by id."""
    statement = select(tables.orders).where(orders.id.in_(list(ids)))
    return {row["id"]: order_of(row) for row in await reader.rows(statement)}


async def trades_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, Trade]:
    """Return trades by id."""
    statement = trades_where(TradeFilter()).where(trades.id.in_(list(ids)))
    return {row["id"]: trade_of(row) for row in await reader.rows(statement)}


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
