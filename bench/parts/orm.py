"""The rival: one SQLAlchemy ORM unit of work per order, as the textbook has it, on the same schema.

Equal on purpose: the market lock, the share lock on the ticket lease, every row (order, trades, ledger rows, balances,
book event, tickets and payloads with digests), the pure decisions of `domain`, the notices after commit, the refusals.
Different on purpose: each order is a transaction of its own, the other side of the book is read from the database, and
rows are loaded, changed and flushed as objects. It places and cancels for traders, which is what the flow asks for.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import Column, MetaData, Numeric, String, Table, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import registry

from db import market, tables
from db.batch import Command, Job
from db.migrate import sqlalchemy_url
from db.outcomes import as_json
from db.tickets import _log_row
from db.transaction import Notice
from db.unit import BY_KEY, STATEMENT_TIMEOUT_S, Answer, Refusal, Units
from domain import book as pure
from domain import ledger, money, stories
from domain import market as rules
from domain.book import Fill, LevelChange, OrderSide, Resting
from domain.errors import DomainError
from domain.ledger import Account, Move
from domain.market import Cancel, CancelReason, EventKind, OrderStatus, Party, Place
from domain.money import Asset, CertificateType
from domain.tickets import (
    Attempt,
    Draft,
    Payload,
    Story,
    canonical,
    digest,
    effect_line,
    hmac_of,
    instant,
    plain,
    write_up,
)

CONNECTIONS_MAX = 4  # the best of 2, 4 and 12: more only queue at the market lock
FRONT_ROWS_MAX = 64  # resting orders read ahead; the flow's orders fill against two on average, at most 20
OPEN = ("OPEN", "PARTIALLY_FILLED")
SALT_BYTES = 32
NO_TIME = datetime.min.replace(tzinfo=UTC)


class Entity:
    """What is mapped. Attributes are the columns of its table."""

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


class User(Entity): ...


class Certificate(Entity): ...


class Settings(Entity): ...


class Book(Entity): ...


class Order(Entity): ...


class Trade(Entity): ...


class BookEvent(Entity): ...


class Balance(Entity): ...


class LedgerRow(Entity): ...


class Lease(Entity): ...


class Ticket(Entity): ...


class TicketPayload(Entity): ...


MAPPED: dict[type[Entity], Table] = {
    User: tables.users,
    Certificate: tables.certificates,
    Book: tables.books,
    Order: tables.orders,
    Trade: tables.cash_market_trades,
    BookEvent: tables.book_events,
    Balance: tables.balances,
    LedgerRow: tables.asset_transactions,
    Lease: tables.ticket_leases,
    Ticket: tables.ticket_logs,
    TicketPayload: tables.ticket_payloads,
}
_registry = registry()
for _entity, _table in MAPPED.items():
    _names = [column.name for column in tables.written(_table)]
    _names += [] if _entity is not Lease else ["id", "closed_at"]
    _registry.map_imperatively(_entity, _table, include_properties=_names)
_registry.map_imperatively(
    Settings,
    Table("settings", MetaData(), Column("is_only", String, primary_key=True), Column("price_band_percent", Numeric)),
)


class OrmDesk:
    """Take commands one by one; looks like `db.desk.Desk` to the door."""

    def __init__(self, engine: AsyncEngine, units: Units) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._units = units

    async def submit(self, attempt: Attempt, command: Command) -> Answer[Any]:
        """Return the answer of a command once it is committed."""
        try:
            async with self._sessions() as session, session.begin():
                unit = Unit(session, self._units, attempt)
                outcome: Any = await (unit.place(command) if isinstance(command, Place) else unit.cancel(command))
            answer = Answer(unit.root.ticket_id, outcome)
        except DomainError as error:
            refusal = Refusal.of(error)
            async with self._sessions() as session, session.begin():
                unit = Unit(session, self._units, attempt)
                await unit.refuse(refusal, Job(attempt, command, None).failed_story)  # type: ignore[arg-type]
            answer = Answer(unit.root.ticket_id, refusal=refusal)
        self._units.publish([*unit.notices, Notice("tickets", {})])
        return answer


@asynccontextmanager
async def opened(database_url: str, role: str, units: Units) -> AsyncIterator[OrmDesk]:
    """Open the rival's pool, with the settings of the product's."""
    statement_timeout = str(int(STATEMENT_TIMEOUT_S * 1_000))
    settings = {"role": role, "statement_timeout": statement_timeout, "timezone": "UTC", "jit": "off", **BY_KEY}
    engine = create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        connect_args={"server_settings": settings},
    )
    try:
        yield OrmDesk(engine, units)
    finally:
        await engine.dispose()


class Unit:
    """One order or cancel, in one session."""

    def __init__(self, session: AsyncSession, units: Units, attempt: Attempt) -> None:
        self.session = session
        self.units = units
        self.attempt = attempt
        self.root = Draft(attempt, Story(attempt.action_type, attempt.field))
        self.drafts = [self.root]
        self.effects: dict[str, list[str]] = {}
        self.notices: list[Notice] = []
        self.last: list[Entity] = []  # rows that refer to others, added when those are flushed
        self.balances: dict[tuple[UUID, Asset], Balance] = {}
        self.now = NO_TIME

    # ------------------------------------------------------------------------------------------------------- loading

    async def lock_market(self, certificate_type: CertificateType | None) -> tuple[dict[str, Book], Any, Any]:
        """Take the market lock; return the books, the certificate and the band."""
        books = await self.session.scalars(
            select(Book).order_by(tables.books.c.certificate_type).with_for_update(key_share=True)
        )
        rows = (
            await self.session.execute(select(Certificate, Settings, func.clock_timestamp()).join(Settings, true()))
        ).all()
        self.now = rows[0][2]
        found = {row[0].certificate_type: row[0] for row in rows}
        certificate = found[certificate_type] if certificate_type else None
        return {book.certificate_type: book for book in books}, certificate, rows[0][1].price_band_percent

    async def draw(self, count: int) -> list[tuple[int, int]]:
        """Draw ticket numbers and share-lock their leases."""
        numbers = await self.units.numbers.draw(self.now.year, count)
        ids = {number.lease_id for number in numbers}
        await self.session.scalars(
            select(Lease.id)  # type: ignore[attr-defined]
            .where(tables.ticket_leases.c.id.in_(ids), tables.ticket_leases.c.closed_at.is_(None))
            .with_for_update(read=True)
        )
        return [(number.year, number.number) for number in numbers]

    async def lock_balances(self, keys: Iterable[tuple[UUID, Asset]]) -> None:
        """Lock and load balances; the flow's traders have them all."""
        wanted = {key for key in keys if key not in self.balances}
        if not wanted:
            return
        held = tables.balances.c
        rows = await self.session.scalars(
            select(Balance)
            .where(or_(*(and_(held.holder_id == holder, held.asset == asset.value) for holder, asset in wanted)))
            .order_by(held.holder_id, held.asset)
            .with_for_update(key_share=True)
        )
        self.balances |= {(row.holder_id, Asset(row.asset)): row for row in rows}

    def account(self, key: tuple[UUID, Asset]) -> Account:
        row, decimals = self.balances[key], money.DECIMALS[key[1]]
        available, locked = money.units(row.available, decimals), money.units(row.locked, decimals)
        assert available is not None and locked is not None
        return Account(row.holder_id, row.market_maker_id, key[1], available, locked, row.seq)

    # ------------------------------------------------------------------------------------------------------ placing

    async def place(self, command: Place) -> rules.PlacedOutcome:
        """Load, decide, store.

        Raises: DomainError.
        """
        assert command.holder_id is not None, "the flow trades for traders"
        books, row, percent = await self.lock_market(command.certificate_type)
        certificate = market.certificate_of(vars(row))
        limits = rules.band(certificate, percent)
        terms = rules.terms(command, certificate, limits)
        user = await self.session.get(User, command.holder_id)
        assert user is not None
        party = Party(user.id, None, "This account", user.is_active, user.kyc_status == "APPROVED")
        taken = (party.holder_id, terms.reserved_asset)
        await self.lock_balances([taken])
        before = self.account(taken)
        front = await self.front(terms)
        book = pure.Book(command.certificate_type, 0, 0, None)
        for order in front.values():
            book.rest(resting_of(order))
        placement = rules.place(book, terms, party, certificate, before.available, before.locked, limits)
        settles = [ledger.settle(terms, fill, party.holder_id, None) for fill in placement.fills]
        ticket_count = 1 + len(settles) + sum(fill.is_last for fill in placement.fills) + (placement.unfilled == 0)
        numbers = iter(await self.draw(ticket_count))
        self.root.number = next(numbers)
        head = books[command.certificate_type]
        head.sequence += 1
        head.priority += 1
        order = self.order(party, placement, head.priority)
        self.session.add(order)
        await self.session.flush()  # the journal and the trades refer to it
        self.note(Order, order)
        cut = ledger.release_cut(placement, party.holder_id, None)
        moves = [move for moves in settles for move in moves]
        await self.lock_balances([(move.holder_id, move.asset) for move in moves])
        self.move(ledger.lock(party.holder_id, None, placement), self.root, order.id)
        trades = [
            self.trade(order, front[fill.resting.order_id], fill, legs, head, position, numbers)
            for position, (fill, legs) in enumerate(zip(placement.fills, settles, strict=True))
        ]
        if placement.unfilled == 0:
            self.filled(order, self.drafts[-1], numbers)
        if cut:
            self.move(cut, self.root, order.id)
        await self.journal(head, EventKind.PLACED, order, terms.quantity, placement.rested,
                           {fill.resting.price for fill in placement.fills}, terms)  # fmt: skip
        stored = market.order_of(vars(order))
        outcome = rules.PlacedOutcome(stored, tuple(trades))
        self.root.story = replace(
            stories.of_placed(self.attempt.request, stored, None),
            before=stories.account_state(before),
            after={"order": stories.order_state(stored), **stories.account_state(self.account(taken))},
        )
        self.root.response = as_json(outcome)
        await self.write_tickets()
        return outcome

    async def front(self, terms: rules.Terms) -> dict[UUID, Order]:
        """Return the resting orders that this one may meet, in the order of priority."""
        held, is_buy = tables.orders.c, terms.side is OrderSide.BUY
        reach = held.price <= money.price(terms.price or 0) if is_buy else held.price >= money.price(terms.price or 0)
        rows = await self.session.scalars(
            select(Order)
            .where(
                held.certificate_type == terms.certificate_type.value,
                held.side == ("SELL" if is_buy else "BUY"),
                held.status.in_(OPEN),
                reach,
            )
            .order_by(held.price.asc() if is_buy else held.price.desc(), held.priority)
            .limit(FRONT_ROWS_MAX)
        )
        return {row.id: row for row in rows}

    def order(self, party: Party, placement: rules.Placement, priority: int) -> Order:
        terms = placement.terms
        status = OrderStatus.PARTIALLY_FILLED if placement.filled else OrderStatus.OPEN
        if placement.cut:
            status = OrderStatus.CANCELLED
        elif placement.unfilled == 0:
            status = OrderStatus.FILLED
        return Order(
            id=uuid4(),
            user_id=party.holder_id,
            market_maker_id=None,
            certificate_type=terms.certificate_type.value,
            side=terms.side.value,
            order_type=terms.order_type.value,
            time_in_force=terms.time_in_force.value,
            price=None if terms.price is None else money.price(terms.price),
            quantity=Decimal(terms.quantity),
            filled_quantity=Decimal(placement.filled),
            filled_notional=money.price(placement.cost),
            status=status.value,
            cancel_reason=placement.cut.value if placement.cut else None,
            priority=priority,
            created_at=self.now,
            updated_at=self.now,
            ticket_id=self.root.ticket_id,
        )

    def trade(
        self, order: Order, resting: Order, fill: Fill, legs: list[Move], head: Book, position: int, numbers: Any
    ) -> rules.Trade:
        """Write one trade: its row, its ticket, its legs, and what it does to the order that rested."""
        is_buy = order.side == "BUY"
        buy, sell = (order, resting) if is_buy else (resting, order)
        draft = Draft(self.attempt, self.root.story, is_root=False, number=next(numbers))
        row = Trade(
            id=uuid4(),
            certificate_type=order.certificate_type,
            sequence=head.sequence,
            position=position,
            price=money.price(fill.resting.price),
            quantity=Decimal(fill.quantity),
            buy_order_id=buy.id,
            sell_order_id=sell.id,
            buyer_id=buy.user_id,
            seller_id=sell.user_id,
            market_maker_id=sell.market_maker_id,
            taker_side=order.side,
            executed_at=self.now,
            ticket_id=draft.ticket_id,
        )
        self.session.add(row)
        self.note(Trade, row)
        trade = market.trade_of({**vars(row), "settled_at": None, "registry_reference": None})
        draft.story = stories.of_trade(trade)
        sides = (self.root, resting.ticket_id)
        draft.related = sides if is_buy else sides[::-1]
        self.drafts.append(draft)
        order_of = {order.user_id: order.id, resting.user_id: resting.id}
        for move in legs:
            self.move(move, draft, order_of[move.holder_id], row.id)
        resting.filled_quantity += fill.quantity
        resting.filled_notional += money.price(fill.quantity * fill.resting.price)
        resting.status = (OrderStatus.FILLED if fill.is_last else OrderStatus.PARTIALLY_FILLED).value
        resting.updated_at = self.now
        head.last_price = row.price
        if fill.is_last:
            self.filled(resting, draft, numbers)
        return trade

    def filled(self, order: Order, last: Draft, numbers: Any) -> None:
        story = stories.of_filled(order.id, order.market_maker_id, OrderSide(order.side), order.certificate_type)
        related = (order.ticket_id, last)
        self.drafts.append(Draft(self.attempt, story, is_root=False, related=related, number=next(numbers)))

    def move(self, move: Move, draft: Draft, order_id: UUID, trade_id: UUID | None = None) -> None:
        """Change a balance and write its ledger row."""
        key, asset = (move.holder_id, move.asset), move.asset
        after = ledger.apply(self.account(key), move)
        row = self.balances[key]
        row.available, row.locked = money.decimal(asset, after.available), money.decimal(asset, after.locked)
        row.seq = after.seq
        available_delta, locked_delta = move.deltas
        entry = LedgerRow(
            id=uuid4(),
            holder_id=move.holder_id,
            market_maker_id=move.market_maker_id,
            asset=asset.value,
            transaction_type=ledger.TYPE_OF_REASON[move.reason].value,
            reason=move.reason.value,
            amount=money.decimal(asset, move.signed_amount),
            available_delta=money.decimal(asset, available_delta),
            locked_delta=money.decimal(asset, locked_delta),
            balance_after=row.available,
            locked_after=row.locked,
            seq=after.seq,
            notes=None,
            order_id=order_id,
            trade_id=trade_id,
            created_by=self.attempt.user_id,
            created_at=self.now,
            ticket_id=draft.ticket_id,
        )
        self.last.append(entry)
        self.note(LedgerRow, entry)

    # ---------------------------------------------------------------------------------------------------- cancelling

    async def cancel(self, command: Cancel) -> rules.CancelledOutcome:
        """Load, decide, store.

        Raises: DomainError.
        """
        books, _, _ = await self.lock_market(None)
        row = await self.session.get(Order, UUID(command.order_id))
        book = None
        if row is not None:
            book = pure.Book(CertificateType(row.certificate_type), 0, 0, None)
            if row.status in OPEN:
                book.rest(resting_of(row))
        order = market.order_of(vars(row)) if row else None
        resting = rules.cancel(command, order, book)
        assert row is not None and order is not None
        (self.root.number,) = await self.draw(1)
        release = ledger.release(resting, order.certificate_type)
        key = (release.holder_id, release.asset)
        await self.lock_balances([key])
        before = self.account(key)
        self.move(release, self.root, row.id)
        row.status, row.cancel_reason = OrderStatus.CANCELLED.value, CancelReason.REQUESTED.value
        row.updated_at = self.now
        head = books[row.certificate_type]
        head.sequence += 1
        await self.journal(head, EventKind.CANCELLED, row, resting.remaining, 0, {resting.price}, None)
        cancelled = market.order_of(vars(row))
        outcome = rules.CancelledOutcome(cancelled)
        self.root.related = (order.ticket_id,)
        self.root.story = replace(
            stories.of_cancelled(self.attempt.request, order, is_maker=False),
            before={"order": stories.order_state(order), **stories.account_state(before)},
            after={"order": stories.order_state(cancelled), **stories.account_state(self.account(key))},
        )
        self.root.response = as_json(outcome)
        await self.write_tickets()
        return outcome

    async def refuse(self, refusal: Refusal, story: Story) -> None:
        """Write the FAILED ticket."""
        self.now = await self.session.scalar(select(func.clock_timestamp())) or self.now
        (self.root.number,) = await self.draw(1)
        self.root.story = story
        self.root.error_code, self.root.error_message = refusal.code, refusal.message
        self.root.response = {"errors": [refusal.as_json()]}
        await self.write_tickets()

    # ------------------------------------------------------------------------------------------------------- storing

    async def journal(
        self, head: Book, kind: EventKind, order: Order, quantity: int, rested: int, prices: set[int],
        terms: rules.Terms | None,
    ) -> None:  # fmt: skip
        """Write the book event, with the levels as they are now, and leave the notice."""
        await self.session.flush()
        levels = {("SELL" if order.side == "BUY" else "BUY", price) for price in prices} if terms else {
            (order.side, price) for price in prices}  # fmt: skip
        if rested and terms and terms.price is not None:
            levels.add((order.side, terms.price))
        changes = [market._wire(change) for change in await self.levels(order.certificate_type, levels)]
        event = BookEvent(
            certificate_type=order.certificate_type,
            sequence=head.sequence,
            kind=kind.value,
            order_id=order.id,
            price=order.price,
            quantity=Decimal(quantity),
            rested=Decimal(rested),
            priority=order.priority,
            level_changes=changes,
            created_at=self.now,
            ticket_id=self.root.ticket_id,
        )
        self.last.append(event)
        self.note(BookEvent, event)
        last_price = None if head.last_price is None else f"{money.eur(head.last_price):f}"
        message = {"certificateType": head.certificate_type, "sequence": head.sequence,
                   "previousSequence": head.sequence - 1, "changes": changes, "lastPrice": last_price,
                   "at": instant(self.now)}  # fmt: skip
        self.notices.append(Notice("book", message))

    async def levels(self, certificate_type: str, wanted: set[tuple[str, int]]) -> list[LevelChange]:
        """Add up the levels that this command touched."""
        if not wanted:
            return []
        held = tables.orders.c
        rows = await self.session.execute(
            select(held.side, held.price, func.sum(held.quantity - held.filled_quantity), func.count())
            .where(
                held.certificate_type == certificate_type,
                held.status.in_(OPEN),
                or_(*(and_(held.side == side, held.price == money.price(price)) for side, price in wanted)),
            )
            .group_by(held.side, held.price)
        )
        found = {(row[0], int(row[1] * 100)): (int(row[2]), row[3]) for row in rows}
        return [
            LevelChange(OrderSide(side), price, *found.get((side, price), (0, 0))) for side, price in sorted(wanted)
        ]

    def note(self, entity: type[Entity], row: Entity) -> None:
        """Note down what a ticket's digest covers."""
        table = MAPPED[entity]
        columns = tables.written(table)
        values = [getattr(row, columns[index].name) for index in tables.sealed(table)]
        if entity is BookEvent:
            values = [canonical(value) if isinstance(value, list) else value for value in values]
        self.effects.setdefault(row.ticket_id, []).append(effect_line(table.name, values))

    async def write_tickets(self) -> None:
        """Write tickets and payloads, last."""
        self.session.add_all(self.last)
        now_ns = time.monotonic_ns()
        names = [column.name for column in tables.written(tables.ticket_logs)]
        for draft in self.drafts:
            ticket = write_up(draft, self.now, now_ns)
            payload = Payload(
                salt=os.urandom(SALT_BYTES),
                request=plain(draft.attempt.request) if draft.is_root else None,
                response=plain(draft.response, items_max=None),
                before=plain(draft.story.before),
                after=plain(draft.story.after),
            )
            bound = hmac_of(payload)
            sealed = digest(ticket, bound, self.effects.get(ticket.ticket_id, []))
            values: dict[str, Any] = dict(zip(names, _log_row(ticket, sealed, bound), strict=True))
            values["related_ticket_ids"], values["tags"] = list(ticket.related_ticket_ids), list(ticket.tags)
            self.session.add(Ticket(**values))
            self.session.add(
                TicketPayload(
                    year=ticket.year,
                    number=ticket.number,
                    salt=payload.salt,
                    request_payload=payload.request,
                    response_data=payload.response,
                    before_state=payload.before,
                    after_state=payload.after,
                )
            )


def resting_of(order: Order) -> Resting:
    cents = money.units(order.price, money.PRICE_DECIMALS)
    assert cents is not None
    left = int(order.quantity - order.filled_quantity)
    side = OrderSide(order.side)
    return Resting(order.id, order.user_id, order.market_maker_id, side, cents, left, order.priority, order.ticket_id)
