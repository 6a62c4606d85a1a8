"""One batch of the desk, between market lock and commit: load, decide each command in order, store all at once.

Deciding moves the books in memory and the loaded accounts; tickets, trades and ledger rows are written up afterwards,
when their number is known and all ticket numbers can be drawn together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from db import idempotency, ids, ledger, market
from db.ledger import AccountKey, Posting
from db.outcomes import as_json, reader
from db.transaction import Transaction
from db.unit import NOT_KEPT, Answer, Refusal, Units, stored_answer
from domain import errors, money, people, stories
from domain import ledger as law
from domain import market as rules
from domain.book import Book, Fill, LevelChange, OrderSide, Resting
from domain.errors import DomainError
from domain.ledger import Account, Move
from domain.market import (
    Cancel,
    CancelledOutcome,
    CancelReason,
    EventKind,
    Order,
    OrderStatus,
    Party,
    Place,
    PlacedOutcome,
    Placement,
    Terms,
    Trade,
)
from domain.money import Asset, CertificateType
from domain.tickets import ActionType, Attempt, Draft, Story

Command: TypeAlias = Place | Cancel
UNTOLD = Story(ActionType.ENTITY_MODIFIED, "")  # until it is known what became of the command


@dataclass(eq=False, slots=True)
class Job:
    """A command waiting for its answer."""

    attempt: Attempt
    command: Command
    answer: asyncio.Future[Answer[Any]]

    @property
    def failed_story(self) -> Story:
        if isinstance(self.command, Place):
            return stories.of_placed(self.attempt.request, None)
        return stories.of_cancelled(self.attempt.request, None, is_maker=self.command.holder_id is None)

    def read_outcome(self, stored: Any) -> PlacedOutcome | CancelledOutcome:
        outcome_type: Any = PlacedOutcome if isinstance(self.command, Place) else CancelledOutcome
        outcome: PlacedOutcome | CancelledOutcome = reader(outcome_type)(stored)
        return outcome

    def succeed(self, answer: Answer[Any]) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(eq=False, slots=True)
class Step:
    """What a job came to. `replayed` is set instead of everything else when its key was settled before."""

    job: Job
    root: Draft
    outcome: PlacedOutcome | CancelledOutcome | None = None
    refusal: Refusal | None = None
    replayed: Answer[Any] | Step | None = None
    placed: Placed | None = None
    release: Posting | None = None

    def answer(self) -> Answer[Any]:
        if isinstance(self.replayed, Step):
            return replace(self.replayed.answer(), is_replay=True)
        if self.replayed:
            return self.replayed
        return Answer(self.root.ticket_id, self.outcome, self.refusal)


@dataclass(frozen=True, slots=True)
class Placed:
    """A placement carried out in memory, its trades still to be written up. settles: the moves of each fill."""

    order: Order
    party: Party
    placement: Placement
    sequence: int
    lock: Move
    settles: tuple[list[Move], ...]
    cut: Move | None
    before: Account
    after: Account

    @property
    def is_filled(self) -> bool:
        return self.placement.unfilled == 0

    @property
    def ticket_count(self) -> int:
        """One per trade, one per order that became full."""
        fills = self.placement.fills
        return len(fills) + sum(fill.is_last for fill in fills) + self.is_filled


class Batch:
    """The working state of one batch."""

    def __init__(self, transaction: Transaction, found: market.Found, books: Mapping[CertificateType, Book]) -> None:
        self.transaction = transaction
        self.states = found.states
        self.makers = found.makers
        self.traders = found.traders
        self.orders = found.orders
        self.books = books
        self.kept: dict[tuple[UUID, str, str], idempotency.Kept] = {}
        self.accounts: dict[AccountKey, Account] = {}  # as locked; of those who place or cancel
        self.running: dict[AccountKey, Account] = {}  # the same, moved by what was decided so far
        self.root_numbers: Iterator[tuple[int, int]] = iter(())
        self.by_key: dict[tuple[UUID, str, str], Step] = {}
        self.new_orders: dict[UUID, Order] = {}
        self.changed: dict[UUID, market.OrderChange] = {}
        self.trades: list[tuple[int, Trade]] = []
        self.events: list[market.Event] = []
        self.postings: list[Posting] = []
        self.children: list[Draft] = []

    @classmethod
    async def load(cls, transaction: Transaction, jobs: Sequence[Job], books: market.Books) -> Batch:
        """Read everything that the jobs' decisions rest on, inside a transaction that holds the market lock.

        Locks: the accounts that the jobs reserve from or release to.
        """
        connection = transaction.connection
        places = [job.command for job in jobs if isinstance(job.command, Place)]
        named = (people.uuid_or_none(command.market_maker_id) for command in places)
        cancelled = (people.uuid_or_none(job.command.order_id) for job in jobs if isinstance(job.command, Cancel))
        found = await market.find(
            transaction,
            makers={maker_id for maker_id in named if maker_id},
            traders={command.holder_id for command in places if command.holder_id},
            orders={order_id for order_id in cancelled if order_id},
        )
        batch = cls(transaction, found, await books.up_to_date(connection, found.states))
        batch.kept = await idempotency.find(connection, [job.attempt for job in jobs])
        wanted = [
            (party.holder_id, party.market_maker_id, _reserved_asset(command.side, command.certificate_type))
            for command in places
            if (party := batch.party(command))
        ] + [
            (order.user_id, order.market_maker_id, _reserved_asset(order.side, order.certificate_type))
            for order in batch.orders.values()
        ]
        batch.accounts = await ledger.lock(transaction, wanted)
        batch.running = dict(batch.accounts)
        batch.root_numbers = iter(await transaction.draw(len(jobs)))
        return batch

    def party(self, command: Place) -> Party | None:
        """Return whom a new order is for."""
        if command.holder_id is not None:
            return self.traders.get(command.holder_id)
        maker_id = people.uuid_or_none(command.market_maker_id)
        return self.makers.get(maker_id) if maker_id else None

    # ------------------------------------------------------------------------------------------------------- deciding

    def decide(self, job: Job) -> Step:
        """Decide one command on the state that its predecessors left, and carry it out in memory."""
        step = Step(job, Draft(job.attempt, UNTOLD))
        try:
            if self._replay(step):
                return step
            step.root.number = next(self.root_numbers)
            if isinstance(job.command, Place):
                step.placed = self._place(step, job.command)
            else:
                self._cancel(step, job.command)
        except DomainError as error:
            if step.root.number is None:
                step.root.number = next(self.root_numbers)
            step.refusal = Refusal.of(error)
            step.root.story = replace(job.failed_story, market_maker_id=self._maker_id(job.command))
            step.root.error_code, step.root.error_message = error.code, error.message
            step.root.response = {"errors": [step.refusal.as_json()]}
        return step

    def _maker_id(self, command: Command) -> UUID | None:
        """Return the market maker that a refused command was about, if there is one."""
        if isinstance(command, Place):
            party = self.party(command)
            return party.market_maker_id if party else None
        order_id = people.uuid_or_none(command.order_id)
        order = self.orders.get(order_id) if order_id else None
        return order.market_maker_id if order and command.holder_id is None else None

    def _replay(self, step: Step) -> bool:
        """Answer from an earlier attempt with the same key, stored or in this very batch.

        Raises: IdempotencyConflict.
        """
        attempt = step.job.attempt
        if attempt.idempotency_key is None:
            return False
        key = idempotency.key_of(attempt)
        if kept := self.kept.get(key):
            idempotency.same_input(kept, attempt)
            step.replayed = stored_answer(
                kept.ticket_id, kept.status, kept.outcome, step.job.read_outcome, is_replay=True
            )
        elif twin := self.by_key.get(key):
            first = idempotency.Kept(twin.job.attempt.input_hash, twin.root.ticket_id, "", None)
            idempotency.same_input(first, attempt)
            step.replayed = twin
        else:
            self.by_key[key] = step
        return step.replayed is not None

    def _place(self, step: Step, command: Place) -> Placed:
        state = self.states[command.certificate_type]
        book = self.books[command.certificate_type]
        limits = rules.band(state.certificate, state.band_percent)
        terms = rules.terms(command, state.certificate, limits)
        party = self.party(command)
        if party is None:
            raise errors.MarketMakerNotFound(
                "There is no such market maker.", field="marketMakerId", id=command.market_maker_id
            )
        before = self.running[party.holder_id, terms.reserved_asset]
        placement = rules.place(book, terms, party, state.certificate, before.available, before.locked, limits)
        lock = law.lock(party.holder_id, party.market_maker_id, placement)
        settles = tuple(law.settle(terms, fill, party.holder_id, party.market_maker_id) for fill in placement.fills)
        cut = law.release_cut(placement, party.holder_id, party.market_maker_id)
        for move in (lock, *(move for moves in settles for move in moves), *([cut] if cut else ())):
            self._move(move)
        book.sequence += 1
        book.priority += 1
        order = self._order(step, party, placement, book.priority)
        newcomer = _newcomer(order, terms, placement.rested) if placement.rested else None
        changes = book.apply_placed(newcomer, placement.fills)
        self.new_orders[order.id] = order
        for fill in placement.fills:
            self._fill(fill)
        self._journal(step, book, EventKind.PLACED, order, terms.price, terms.quantity, placement.rested, changes)
        after = self.running[party.holder_id, terms.reserved_asset]
        return Placed(order, party, placement, book.sequence, lock, settles, cut, before, after)

    def _move(self, move: Move) -> None:
        """Keep the loaded accounts up to date for the decisions to come."""
        key = (move.holder_id, move.asset)
        if key in self.running:
            self.running[key] = law.apply(self.running[key], move)

    def _cancel(self, step: Step, command: Cancel) -> None:
        order_id = people.uuid_or_none(command.order_id)
        order = self._as_it_stands(self.orders.get(order_id)) if order_id else None
        book = self.books[order.certificate_type] if order else None
        resting = rules.cancel(command, order, book)
        assert order is not None and book is not None
        release = law.release(resting, order.certificate_type)
        before = self.running[resting.holder_id, release.asset]
        self._move(release)
        after = self.running[resting.holder_id, release.asset]
        book.sequence += 1
        left = resting.remaining
        changes = book.apply_cancelled(order.id)
        change = self._change(order.id)
        change.status, change.cancel_reason = OrderStatus.CANCELLED, CancelReason.REQUESTED
        cancelled = replace(
            order,
            status=OrderStatus.CANCELLED,
            cancel_reason=CancelReason.REQUESTED,
            updated_at=self.transaction.now,
        )
        self._journal(step, book, EventKind.CANCELLED, order, resting.price, left, 0, changes)
        step.release = Posting(release, step.root, order.id, created_by=step.job.attempt.user_id)
        step.outcome = CancelledOutcome(cancelled)
        step.root.response = as_json(step.outcome)
        story = stories.of_cancelled(step.job.attempt.request, order, is_maker=order.market_maker_id is not None)
        step.root.story = replace(
            story,
            before={"order": stories.order_state(order), **stories.account_state(before)},
            after={"order": stories.order_state(cancelled), **stories.account_state(after)},
        )
        step.root.related = (order.ticket_id,)

    def _as_it_stands(self, order: Order | None) -> Order | None:
        """Return an order with what this batch did to it already."""
        change = self.changed.get(order.id) if order else None
        if order is None or change is None:
            return order
        return replace(
            order,
            filled_quantity=order.filled_quantity + change.quantity,
            filled_notional=order.filled_notional + money.price(change.notional),
            status=change.status,
            cancel_reason=change.cancel_reason,
        )

    def _change(self, order_id: UUID) -> market.OrderChange:
        return self.changed.setdefault(order_id, market.OrderChange(order_id))

    def _order(self, step: Step, party: Party, placement: Placement, priority: int) -> Order:
        """Return the new order as its own placement leaves it."""
        terms = placement.terms
        status = OrderStatus.PARTIALLY_FILLED if placement.filled else OrderStatus.OPEN
        if placement.cut:
            status = OrderStatus.CANCELLED
        elif placement.unfilled == 0:
            status = OrderStatus.FILLED
        return Order(
            id=ids.new(),
            user_id=party.holder_id,
            market_maker_id=party.market_maker_id,
            certificate_type=terms.certificate_type,
            side=terms.side,
            order_type=terms.order_type,
            time_in_force=terms.time_in_force,
            price=None if terms.price is None else money.price(terms.price),
            quantity=Decimal(terms.quantity),
            filled_quantity=Decimal(placement.filled),
            filled_notional=money.price(placement.cost),
            status=status,
            cancel_reason=placement.cut,
            priority=priority,
            created_at=self.transaction.now,
            updated_at=self.transaction.now,
            ticket_id=step.root.ticket_id,
        )

    def _fill(self, fill: Fill) -> None:
        """Note what a trade does to the order that rested."""
        resting = fill.resting
        status = OrderStatus.FILLED if fill.is_last else OrderStatus.PARTIALLY_FILLED
        notional = fill.quantity * resting.price
        if order := self.new_orders.get(resting.order_id):
            self.new_orders[order.id] = replace(
                order,
                filled_quantity=order.filled_quantity + fill.quantity,
                filled_notional=order.filled_notional + money.price(notional),
                status=status,
            )
            return
        change = self._change(resting.order_id)
        change.quantity += fill.quantity
        change.notional += notional
        change.status = status

    def _journal(
        self,
        step: Step,
        book: Book,
        kind: EventKind,
        order: Order,
        price: int | None,
        quantity: int,
        rested: int,
        changes: list[LevelChange],
    ) -> None:
        self.events.append(
            market.Event(
                certificate_type=book.certificate_type,
                sequence=book.sequence,
                kind=kind,
                order_id=order.id,
                price=price,
                quantity=quantity,
                rested=rested,
                priority=order.priority,
                changes=tuple(changes),
                ticket_id=step.root.ticket_id,
            )
        )

    # ------------------------------------------------------------------------------------------------------ writing up

    async def store(self, units: Units, steps: Sequence[Step]) -> None:
        """Write everything that was decided, tickets last; the server works on each part while the next is written up.

        One command alone goes in one statement: it would wait for three.

        Locks: the accounts of the other parties; only a holder of the market lock ever locks several.
        """
        transaction = self.transaction
        transaction.gathers = True
        counts = sum(step.placed.ticket_count for step in steps if step.placed)
        numbers = iter(await transaction.draw(counts))
        accounts = {**self.accounts, **await ledger.lock(transaction, self._others(steps))}
        for step in steps:
            if step.placed:
                self._write_up(step, step.placed, numbers)
            elif step.release:
                self.postings.append(step.release)
        await market.store(
            transaction,
            placed=list(self.new_orders.values()),
            changed=list(self.changed.values()),
            trades=self.trades,
            events=self.events,
            books=self.books,
        )
        if len(steps) > 1:
            await transaction.push()
        await ledger.post(transaction, accounts, self.postings)
        if len(steps) > 1:
            await transaction.push()
        roots = [step.root for step in steps if not step.replayed]
        keyed = [step.root for step in steps if not step.replayed and not _is_passing(step)]
        await units.write_tickets(transaction, [*roots, *self.children], keyed)

    def _others(self, steps: Sequence[Step]) -> set[tuple[UUID, UUID | None, Asset]]:
        """Return the accounts that trades move and that were not locked before deciding."""
        moves = (move for step in steps if step.placed for moves in step.placed.settles for move in moves)
        return {
            (move.holder_id, move.market_maker_id, move.asset)
            for move in moves
            if (move.holder_id, move.asset) not in self.accounts
        }

    def _write_up(self, step: Step, placed: Placed, numbers: Iterator[tuple[int, int]]) -> None:
        """Write the trades of one placement, their tickets, its ledger postings and its story."""
        attempt, order, placement = step.job.attempt, placed.order, placed.placement
        terms = placement.terms
        self.postings.append(Posting(placed.lock, step.root, order.id, created_by=attempt.user_id))
        trades: list[Trade] = []
        draft = step.root
        for position, (fill, moves) in enumerate(zip(placement.fills, placed.settles, strict=True)):
            resting = fill.resting
            draft = Draft(attempt, step.root.story, is_root=False, number=next(numbers))
            trade = self._trade(placed, fill, draft.ticket_id)
            draft.story = stories.of_trade(trade)
            sides = (step.root, resting.ticket_id)
            draft.related = sides if terms.side is OrderSide.BUY else sides[::-1]
            self.children.append(draft)
            trades.append(trade)
            self.trades.append((position, trade))
            order_of = {placed.party.holder_id: order.id, resting.holder_id: resting.order_id}
            self.postings += [
                Posting(move, draft, order_of[move.holder_id], trade.id, created_by=attempt.user_id) for move in moves
            ]
            if fill.is_last:
                story = stories.of_filled(
                    resting.order_id, resting.market_maker_id, resting.side, terms.certificate_type
                )
                related = (resting.ticket_id, draft)
                self.children.append(Draft(attempt, story, is_root=False, related=related, number=next(numbers)))
        if placed.is_filled:
            story = stories.of_filled(order.id, order.market_maker_id, order.side, terms.certificate_type)
            related = (step.root.ticket_id, draft)
            self.children.append(Draft(attempt, story, is_root=False, related=related, number=next(numbers)))
        if placed.cut:
            self.postings.append(Posting(placed.cut, step.root, order.id, created_by=attempt.user_id))
        step.outcome = PlacedOutcome(order, tuple(trades))
        step.root.response = as_json(step.outcome)
        maker_name = placed.party.name if placed.party.market_maker_id else None
        step.root.story = replace(
            stories.of_placed(attempt.request, order, maker_name),
            before=stories.account_state(placed.before),
            after={"order": stories.order_state(order), **stories.account_state(placed.after)},
        )

    def _trade(self, placed: Placed, fill: Fill, ticket_id: str) -> Trade:
        resting, terms = fill.resting, placed.placement.terms
        taker = (placed.order.id, placed.party.holder_id)
        maker = (resting.order_id, resting.holder_id)
        is_buy = terms.side is OrderSide.BUY
        (buy_order_id, buyer_id), (sell_order_id, seller_id) = (taker, maker) if is_buy else (maker, taker)
        return Trade(
            id=ids.new(),
            certificate_type=terms.certificate_type,
            sequence=placed.sequence,
            price=money.price(resting.price),
            quantity=Decimal(fill.quantity),
            buy_order_id=buy_order_id,
            sell_order_id=sell_order_id,
            buyer_id=buyer_id,
            seller_id=seller_id,
            market_maker_id=resting.market_maker_id if is_buy else placed.party.market_maker_id,
            taker_side=terms.side,
            executed_at=self.transaction.now,
            ticket_id=ticket_id,
        )


def _is_passing(step: Step) -> bool:
    return step.refusal is not None and step.refusal.code in NOT_KEPT


def _reserved_asset(side: OrderSide, certificate_type: CertificateType) -> Asset:
    return Asset.EUR if side is OrderSide.BUY else certificate_type.asset


def _newcomer(order: Order, terms: Terms, rested: int) -> Resting:
    """Return what of a new order comes to rest in the book."""
    assert terms.price is not None, "only LIMIT orders rest"
    return Resting(
        order_id=order.id,
        holder_id=order.user_id,
        market_maker_id=order.market_maker_id,
        side=terms.side,
        price=terms.price,
        remaining=rested,
        priority=order.priority,
        ticket_id=order.ticket_id,
    )
