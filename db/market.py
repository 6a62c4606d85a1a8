"""The market in the database: its lock, the books in memory, and the rows of orders, trades and the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db import ledger, tables
from db.tables import Row
from db.transaction import Connection, Transaction, Write
from domain import ledger as law
from domain import money, stories
from domain.book import Book, LevelChange, OrderSide, Resting
from domain.market import CancelReason, Certificate, EventKind, Order, OrderStatus, OrderType, Party, TimeInForce, Trade
from domain.money import CertificateType
from domain.tickets import Draft, canonical, instant

_ORDER = tuple(column.name for column in tables.written(tables.orders))
_RULES = ("certificate_type", "name", "description", "tick_size", "lot_size", "reference_price", "is_halted")


def _base(columns: Iterable[str]) -> str:
    """Name columns for a record inside a row: it is read by basic types, so domains are cast to what they are over."""
    over = {"certificate_type": "text", "ticket_id": "text"} | dict.fromkeys(
        ("price", "quantity", "filled_quantity", "filled_notional", "last_price", "tick_size", "lot_size",
         "reference_price"), "numeric")  # fmt: skip
    return ", ".join(f"{name}::{over[name]}" if name in over else name for name in columns)


_FIND = f"""
SELECT clock_timestamp() AS now,
       ARRAY(SELECT ROW(sequence, priority, last_price::numeric, price_band_percent, {_base(_RULES)})
             FROM books JOIN certificates USING (certificate_type) CROSS JOIN settings) AS states,
       ARRAY(SELECT ROW(user_id, id, name, is_active) FROM market_maker_clients WHERE id = ANY($1::uuid[])) AS makers,
       ARRAY(SELECT ROW(id, is_active, kyc_status = 'APPROVED') FROM users WHERE id = ANY($2::uuid[])) AS traders,
       ARRAY(SELECT ROW({_base(_ORDER)}) FROM orders WHERE id = ANY($3::uuid[])) AS orders
"""  # noqa: S608 - names of our own columns

EVENTS_BEHIND_MAX = 10_000  # a book further behind is rebuilt from the open orders: that reads fewer rows


@dataclass(frozen=True, slots=True)
class BookState:
    """The row of a book under the market lock, with its certificate's rules."""

    certificate: Certificate
    sequence: int
    priority: int
    last_price: Decimal | None
    band_percent: Decimal | None


@dataclass(slots=True)
class OrderChange:
    """What a batch does to an order that was there before it. Units: quantity certificates, notional cents."""

    order_id: UUID
    quantity: int = 0
    notional: int = 0
    status: OrderStatus = OrderStatus.PARTIALLY_FILLED
    cancel_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the journal. Units: price cents, quantities certificates."""

    certificate_type: CertificateType
    sequence: int
    kind: EventKind
    order_id: UUID
    price: int | None
    quantity: int
    rested: int
    priority: int
    changes: tuple[LevelChange, ...]
    ticket_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """What decisions rest on, read under the market lock: books with their rules, and who and what was asked for."""

    states: dict[CertificateType, BookState]
    makers: dict[UUID, Party]
    traders: dict[UUID, Party]
    orders: dict[UUID, Order]


# The market lock: one for all books, since EUR balances are shared.
LOCK = "SELECT FROM books ORDER BY certificate_type FOR NO KEY UPDATE"


async def lock(transaction: Transaction) -> dict[CertificateType, BookState]:
    """Take the market lock and fix the transaction's time under it.

    Locks: all rows of `books` in order, FOR NO KEY UPDATE.
    """
    await transaction.connection.execute(LOCK)
    return (await find(transaction)).states


async def find(
    transaction: Transaction,
    *,
    makers: Iterable[UUID] = (),
    traders: Iterable[UUID] = (),
    orders: Iterable[UUID] = (),
) -> Found:
    """Read the market, these market makers, users who trade for themselves, and orders; fix the transaction's time.

    A statement of its own after LOCK: the snapshot of that one is older than its wait, and would show the rows and the
    clock as they were before the last holder of the lock changed them.
    """
    row = await transaction.connection.fetchrow(_FIND, list(makers), list(traders), list(orders))
    assert row is not None
    transaction.see_clock(row["now"])
    return Found(
        states={state.certificate.certificate_type: state for state in map(_state_of, row["states"])},
        makers={
            maker_id: Party(user_id, maker_id, name, active, True) for user_id, maker_id, name, active in row["makers"]
        },
        traders={user_id: Party(user_id, None, "This account", active, kyc) for user_id, active, kyc in row["traders"]},
        orders={values[0]: order_of(dict(zip(_ORDER, values, strict=True))) for values in row["orders"]},
    )


def _state_of(values: Sequence[Any]) -> BookState:
    sequence, priority, last_price, band_percent, *rules = values
    certificate = certificate_of(dict(zip(_RULES, rules, strict=True)))
    return BookState(certificate, sequence, priority, last_price, band_percent)


def certificate_of(row: Row) -> Certificate:
    """Read a stored certificate."""
    return Certificate(
        certificate_type=CertificateType(row["certificate_type"]),
        name=row["name"],
        description=row["description"],
        tick_size=money.eur(row["tick_size"]),
        lot_size=money.whole(row["lot_size"]),
        reference_price=None if row["reference_price"] is None else money.eur(row["reference_price"]),
        is_halted=row["is_halted"],
    )


class Books:
    """The books of this process; each is valid for the sequence that it carries, whoever moved the market on."""

    def __init__(self) -> None:
        self._books: dict[CertificateType, Book] = {}

    def forget(self) -> None:
        """Drop what may differ from the committed rows; the next use rebuilds it."""
        self._books.clear()

    async def up_to_date(
        self, connection: Connection, states: Mapping[CertificateType, BookState]
    ) -> dict[CertificateType, Book]:
        """Return the books as of the locked sequences: by the journal, or from the open orders when far behind."""
        for certificate_type, state in states.items():
            book = self._books.get(certificate_type)
            if book is None or not 0 <= state.sequence - book.sequence <= EVENTS_BEHIND_MAX:
                self._books[certificate_type] = await _rebuild(connection, state)
            elif book.sequence < state.sequence:
                await _catch_up(connection, book, state)
        return dict(self._books)


async def _rebuild(connection: Connection, state: BookState) -> Book:
    book = _head(state)
    rows = await connection.fetch(
        "SELECT id, user_id, market_maker_id, side, price, quantity - filled_quantity AS remaining, priority, ticket_id"
        " FROM orders WHERE certificate_type = $1 AND status IN ('OPEN', 'PARTIALLY_FILLED') ORDER BY priority",
        book.certificate_type,
    )
    for row in rows:
        book.rest(_resting(row["id"], row, int(row["remaining"])))
    return book


async def _catch_up(connection: Connection, book: Book, state: BookState) -> None:
    """Apply the events that other processes committed."""
    span = (book.certificate_type, book.sequence)
    events = await connection.fetch(
        "SELECT e.sequence, e.kind, e.order_id, e.rested, e.priority, o.user_id, o.market_maker_id, o.side, o.price,"
        " o.ticket_id FROM book_events e JOIN orders o ON o.id = e.order_id"
        " WHERE e.certificate_type = $1 AND e.sequence > $2 ORDER BY e.sequence",
        *span,
    )
    trades = await connection.fetch(
        "SELECT sequence, CASE taker_side WHEN 'BUY' THEN sell_order_id ELSE buy_order_id END AS resting_id, quantity"
        " FROM cash_market_trades WHERE certificate_type = $1 AND sequence > $2 ORDER BY sequence, position",
        *span,
    )
    fills: dict[int, list[tuple[UUID, int]]] = {}
    for trade in trades:
        fills.setdefault(trade["sequence"], []).append((trade["resting_id"], int(trade["quantity"])))
    for event in events:
        if event["kind"] == EventKind.CANCELLED:
            book.apply_cancelled(event["order_id"])
        else:
            newcomer = _resting(event["order_id"], event, int(event["rested"])) if event["rested"] else None
            taken = [book.fill(order_id, quantity) for order_id, quantity in fills.get(event["sequence"], ())]
            book.apply_placed(newcomer, taken)
        book.sequence = event["sequence"]
    assert book.sequence == state.sequence, "the journal has no gaps"
    book.priority = state.priority


def _resting(order_id: UUID, row: Row, remaining: int) -> Resting:
    return Resting(
        order_id=order_id,
        holder_id=row["user_id"],
        market_maker_id=row["market_maker_id"],
        side=OrderSide(row["side"]),
        price=_cents(row["price"]),
        remaining=remaining,
        priority=row["priority"],
        ticket_id=row["ticket_id"],
    )


def _rested(order: Order) -> Resting:
    assert order.price is not None, "only LIMIT orders rest"
    return Resting(
        order_id=order.id,
        holder_id=order.user_id,
        market_maker_id=order.market_maker_id,
        side=order.side,
        price=_cents(order.price),
        remaining=int(order.remaining_quantity),
        priority=order.priority,
        ticket_id=order.ticket_id,
    )


def _cents(price: Decimal) -> int:
    cents = money.units(price, money.PRICE_DECIMALS)
    assert cents is not None, "the table's scale check"
    return cents


# ------------------------------------------------------------------------------------------------------------- loading


async def open_orders_of(
    connection: Connection, holder_id: UUID, certificate_type: CertificateType | None = None
) -> list[Order]:
    """Return a holder's open orders, of all certificates or of one, oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM orders WHERE user_id = $1 AND status IN ('OPEN', 'PARTIALLY_FILLED')"
        " AND ($2::text IS NULL OR certificate_type = $2) ORDER BY certificate_type, priority",
        holder_id,
        certificate_type,
    )
    return [order_of(row) for row in rows]


def order_of(row: Row) -> Order:
    """Read a stored order."""
    return Order(
        id=row["id"],
        user_id=row["user_id"],
        market_maker_id=row["market_maker_id"],
        certificate_type=CertificateType(row["certificate_type"]),
        side=OrderSide(row["side"]),
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        price=None if row["price"] is None else money.eur(row["price"]),
        quantity=money.whole(row["quantity"]),
        filled_quantity=money.whole(row["filled_quantity"]),
        filled_notional=money.eur(row["filled_notional"]),
        status=OrderStatus(row["status"]),
        cancel_reason=row["cancel_reason"],
        priority=row["priority"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        ticket_id=row["ticket_id"],
    )


def trade_of(row: Row) -> Trade:
    """Read a stored trade, joined with its settlement."""
    return Trade(
        id=row["id"],
        certificate_type=CertificateType(row["certificate_type"]),
        sequence=row["sequence"],
        price=money.eur(row["price"]),
        quantity=money.whole(row["quantity"]),
        buy_order_id=row["buy_order_id"],
        sell_order_id=row["sell_order_id"],
        buyer_id=row["buyer_id"],
        seller_id=row["seller_id"],
        market_maker_id=row["market_maker_id"],
        taker_side=OrderSide(row["taker_side"]),
        executed_at=row["executed_at"],
        ticket_id=row["ticket_id"],
        settled_at=row["settled_at"],
        registry_reference=row["registry_reference"],
    )


# ---------------------------------------------------------------------------------------------------------- cancelling


async def cancel_open_orders(
    write: Write,
    states: Mapping[CertificateType, BookState],
    holder_id: UUID,
    reason: CancelReason,
    certificate_type: CertificateType | None = None,
) -> tuple[Order, ...]:
    """Cancel everything that a holder has in the books, or in one of them, one child ticket each.

    Locks: the caller holds the market lock; the holder's accounts.
    """
    orders = await open_orders_of(write.connection, holder_id, certificate_type)
    if not orders:
        return ()
    levels = await _levels(write.connection, orders)
    heads = {certificate: _head(state) for certificate, state in states.items()}
    releases = [law.release(_rested(order), order.certificate_type) for order in orders]
    accounts = await ledger.lock(write, {(move.holder_id, move.market_maker_id, move.asset) for move in releases})
    running = dict(accounts)
    numbers = iter(await write.draw(len(orders)))
    cancelled: list[Order] = []
    events: list[Event] = []
    postings: list[ledger.Posting] = []
    for order, release in zip(orders, releases, strict=True):
        after = replace(order, status=OrderStatus.CANCELLED, cancel_reason=reason, updated_at=write.now)
        key = release.holder_id, release.asset
        account = running[key]
        running[key] = law.apply(account, release)
        story = replace(
            stories.of_cancelled({}, order, is_maker=order.market_maker_id is not None),
            before={"order": stories.order_state(order), **stories.account_state(account)},
            after={"order": stories.order_state(after), **stories.account_state(running[key])},
        )
        draft = Draft(write.attempt, story, is_root=False, related=(order.ticket_id, write.root), number=next(numbers))
        write.drafts.append(draft)
        cancelled.append(after)
        events.append(_cancelled_event(order, levels, heads[order.certificate_type], draft))
        postings.append(ledger.Posting(release, draft, order.id, created_by=write.attempt.user_id))
    changes = [OrderChange(order.id, status=order.status, cancel_reason=order.cancel_reason) for order in cancelled]
    await store(write, placed=(), changed=changes, trades=(), events=events, books=heads)
    await ledger.post(write, accounts, postings)
    return tuple(cancelled)


def _head(state: BookState) -> Book:
    """Return a book without its orders, for its sequence to go on from."""
    last_price = None if state.last_price is None else _cents(state.last_price)
    return Book(state.certificate.certificate_type, state.sequence, state.priority, last_price)


def _cancelled_event(
    order: Order, levels: dict[tuple[CertificateType, OrderSide, int], LevelChange], head: Book, draft: Draft
) -> Event:
    """Take an order out of its level and write that into the journal."""
    resting = _rested(order)
    place = order.certificate_type, resting.side, resting.price
    levels[place] = _less(levels[place], resting)
    head.sequence += 1
    return Event(
        certificate_type=order.certificate_type,
        sequence=head.sequence,
        kind=EventKind.CANCELLED,
        order_id=order.id,
        price=resting.price,
        quantity=resting.remaining,
        rested=0,
        priority=resting.priority,
        changes=(levels[place],),
        ticket_id=draft.ticket_id,
    )


async def _levels(
    connection: Connection, orders: Sequence[Order]
) -> dict[tuple[CertificateType, OrderSide, int], LevelChange]:
    """Return the levels that these orders stand in."""
    rows = await connection.fetch(
        "SELECT o.certificate_type, o.side, o.price, sum(o.quantity - o.filled_quantity) AS quantity,"
        " count(*) AS orders"
        " FROM orders o WHERE o.status IN ('OPEN', 'PARTIALLY_FILLED') AND (o.certificate_type, o.side, o.price) IN"
        " (SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[])) GROUP BY 1, 2, 3",
        [order.certificate_type for order in orders],
        [order.side for order in orders],
        [order.price for order in orders],
    )
    return {
        (CertificateType(row["certificate_type"]), OrderSide(row["side"]), _cents(row["price"])): LevelChange(
            OrderSide(row["side"]), _cents(row["price"]), int(row["quantity"]), row["orders"]
        )
        for row in rows
    }


def _less(level: LevelChange, resting: Resting) -> LevelChange:
    return LevelChange(level.side, level.price, level.quantity - resting.remaining, level.order_count - 1)


# ------------------------------------------------------------------------------------------------------------- storing


async def store(
    transaction: Transaction,
    *,
    placed: Sequence[Order],
    changed: Sequence[OrderChange],
    trades: Sequence[tuple[int, Trade]],
    events: Sequence[Event],
    books: Mapping[CertificateType, Book],
) -> None:
    """Write what a batch decided: new orders, changed orders, (position, trade) rows, the journal and the books."""
    await transaction.insert(tables.orders, [_order_row(order) for order in placed])
    if changed:
        await transaction.write(
            "UPDATE orders o SET filled_quantity = o.filled_quantity + c.quantity,"
            " filled_notional = o.filled_notional + c.notional, status = c.status, cancel_reason = c.cancel_reason,"
            " updated_at = $6 FROM unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::text[], $5::text[])"
            " AS c(id, quantity, notional, status, cancel_reason) WHERE o.id = c.id",
            [change.order_id for change in changed],
            [Decimal(change.quantity) for change in changed],
            [money.price(change.notional) for change in changed],
            [change.status for change in changed],
            [change.cancel_reason for change in changed],
            transaction.now,
        )
    await transaction.insert(tables.cash_market_trades, [_trade_row(position, trade) for position, trade in trades])
    await transaction.insert(tables.book_events, [_event_row(event, transaction.now) for event in events])
    moved = {event.certificate_type for event in events}
    if moved:
        touched = [book for certificate_type, book in books.items() if certificate_type in moved]
        await transaction.write(
            "UPDATE books b SET sequence = n.sequence, priority = n.priority, last_price = n.last_price"
            " FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::numeric[])"
            " AS n(certificate_type, sequence, priority, last_price) WHERE b.certificate_type = n.certificate_type",
            [book.certificate_type for book in touched],
            [book.sequence for book in touched],
            [book.priority for book in touched],
            [None if book.last_price is None else money.price(book.last_price) for book in touched],
        )
        _tell(transaction, events, books)


def _order_row(order: Order) -> tuple[object, ...]:
    return (
        order.id,
        order.user_id,
        order.market_maker_id,
        order.certificate_type,
        order.side,
        order.order_type,
        order.time_in_force,
        order.price,
        order.quantity,
        order.priority,
        order.created_at,
        order.ticket_id,
        order.filled_quantity,
        order.filled_notional,
        order.status,
        order.cancel_reason,
        order.updated_at,
    )


def _trade_row(position: int, trade: Trade) -> tuple[object, ...]:
    return (
        trade.id,
        trade.certificate_type,
        trade.sequence,
        position,
        trade.price,
        trade.quantity,
        trade.buy_order_id,
        trade.sell_order_id,
        trade.buyer_id,
        trade.seller_id,
        trade.market_maker_id,
        trade.taker_side,
        trade.executed_at,
        trade.ticket_id,
    )


def _event_row(event: Event, now: datetime) -> tuple[object, ...]:
    return (
        event.certificate_type,
        event.sequence,
        event.kind,
        event.order_id,
        None if event.price is None else money.price(event.price),
        Decimal(event.quantity),
        Decimal(event.rested),
        event.priority,
        canonical([_wire(change) for change in event.changes]),
        now,
        event.ticket_id,
    )


def _wire(change: LevelChange) -> list[str | int]:
    """Write a level as it stands in the journal and in notices: [side, price, quantity, orders]."""
    return [change.side, f"{money.price(change.price):f}", str(change.quantity), change.order_count]


def _tell(transaction: Transaction, events: Sequence[Event], books: Mapping[CertificateType, Book]) -> None:
    """Leave one notice per book: the levels as they are after the batch."""
    for certificate_type in {event.certificate_type: None for event in events}:
        mine = [event for event in events if event.certificate_type is certificate_type]
        levels = {(change.side, change.price): change for event in mine for change in event.changes}
        book = books[certificate_type]
        transaction.tell(
            "book",
            {
                "certificateType": certificate_type.value,
                "sequence": mine[-1].sequence,
                "previousSequence": mine[0].sequence - 1,
                "changes": [_wire(change) for change in levels.values()],
                "lastPrice": None if book.last_price is None else f"{money.price(book.last_price):f}",
                "at": instant(transaction.now),
            },
        )


def level_changes(stored: str) -> list[list[Any]]:
    """Read the level changes of a stored event."""
    changes: list[list[Any]] = json.loads(stored)
    return changes
