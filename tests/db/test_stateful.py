"""A state machine through PostgreSQL: two processes by turns, every kind of order, each step equal to the paper market.

Each step compares the answer, the balances, the open orders and the book in memory; each run ends with every law.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from db import makers
from db.embedded import Servers
from db.unit import Answer
from domain import errors, ledger, market, money, stories
from domain.book import OrderSide
from domain.ledger import Move, TransactionReason
from domain.makers import MakerChange, MakerOutcome
from domain.market import TimeInForce
from domain.money import Asset
from tests.conftest import fresh_database
from tests.db.invariants import assert_invariants
from tests.db.process import CEA, Process, process
from tests.domain.accounts import Accounts
from tests.domain.book_table import Table, holder_of, id_of
from tests.sizes import DATABASE, SECONDS_MAX

T = TypeVar("T")
TRADERS = ["A", "B", "C"]
MAKER = "M"
HOLDERS = [*TRADERS, MAKER]
BURST = 8  # orders of one random step
REFERENCE = Decimal("1.00")  # the middle of all prices here; the band is a percentage of it
# A refusal's figures; what else it names (ids, names) differs on paper.
FIGURES = ("asset", "requested", "available", "locked", "offered", "lowest", "highest", "lotSize", "status", "side")


@dataclass
class World:
    """What all runs share: one database, two processes on it, and the loop that they live in."""

    loop: asyncio.AbstractEventLoop
    processes: list[Process] = field(default_factory=list)
    owner: Any = None
    steps: int = 0
    trades: int = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)


class Market(RuleBasedStateMachine):
    """The desk beside the paper market."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.run_id = uuid4()
        self.table = Table()
        self.table.makers.add(MAKER)
        self.accounts = Accounts(HOLDERS)
        self.turn = self.count = 0
        self.order_ids: dict[str, UUID] = {}
        self.keyed: list[tuple[str, tuple[Any, ...], Answer[Any]]] = []
        self.holders: dict[str, UUID | MakerOutcome] = {}
        self.world.run(self.begin())

    async def begin(self) -> None:
        """Make the people of this run, with something to trade, and put the rules back."""
        await self.decree("UPDATE settings SET price_band_percent = NULL")
        await self.decree(f"UPDATE certificates SET reference_price = {REFERENCE}, lot_size = 1, is_halted = false")
        one = self.process()
        self.holders = {name: await one.trader("300", "300") for name in TRADERS}
        self.holders[MAKER] = await one.maker("300")
        for name in HOLDERS:
            self.accounts.deposit(name, Asset.CEA, 300)
            if name != MAKER:
                self.accounts.deposit(name, Asset.EUR, 30_000)

    async def decree(self, statement: str) -> None:
        await self.world.owner.execute(statement)

    def process(self) -> Process:
        """Take the processes by turns, so that each has to catch up with the other."""
        self.turn += 1
        return self.world.processes[self.turn % len(self.world.processes)]

    def user_id(self, name: str) -> UUID:
        holder = self.holders[name]
        return holder.maker.user_id if isinstance(holder, MakerOutcome) else holder

    # ---------------------------------------------------------------------------------------------------------- steps

    @rule(
        name=st.sampled_from(TRADERS),
        asset=st.sampled_from([Asset.EUR, Asset.CEA]),
        kind=st.sampled_from([TransactionReason.DEPOSIT, TransactionReason.WITHDRAWAL]),
        amount=st.integers(1, 20_000),
    )
    def transact(self, name: str, asset: Asset, kind: TransactionReason, amount: int) -> None:
        holder = self.user_id(name)
        written = f"{money.decimal(asset, amount):f}"
        answer = self.world.run(self.process().transact(holder, asset, written, kind.value))
        move = Move(id_of(name), None, asset, kind, amount)
        try:
            ledger.apply(self.accounts.of[id_of(name), asset], move)
        except errors.InsufficientBalance as refusal:
            self.same_refusal(answer, refusal)
            return
        assert answer.outcome is not None
        self.accounts.move(move)
        self.accounts.made[asset] += amount if kind is TransactionReason.DEPOSIT else -amount

    @rule(
        name=st.sampled_from(HOLDERS),
        side=st.sampled_from(OrderSide),
        price=st.one_of(st.none(), st.integers(95, 105)),
        quantity=st.integers(1, 200),
        force=st.sampled_from(TimeInForce),
    )
    def place(self, name: str, side: OrderSide, price: int | None, quantity: int, force: TimeInForce) -> None:
        self.count += 1
        order = f"{name}{self.count}"
        limit = None if price is None else f"{price / 100:.2f}"
        key = f"{self.run_id}-{self.count}" if self.count % 2 else None
        asked = (self.holders[name], side.value, str(quantity), limit, key, CEA, force)
        answer = self.world.run(self.process().place(*asked))
        self.accounts.place(self.table, side, order, quantity, price, force.value.lower())
        if key:
            self.keyed.append((order, asked, answer))
        if self.table.refusal:
            event(f"refused {self.table.refusal.code}")
            self.same_refusal(answer, self.table.refusal)
            return
        placement, outcome = self.table.placement, answer.outcome
        assert placement is not None
        assert outcome is not None, f"{answer.refusal}; on paper {placement}"
        self.order_ids[order] = outcome.order.id
        resting = [self.order_ids[self.table.names[fill.resting.order_id]] for fill in placement.fills]
        taken = [
            (trade.sell_order_id if side is OrderSide.BUY else trade.buy_order_id, trade.price, int(trade.quantity))
            for trade in outcome.trades
        ]
        fills = [(money.price(fill.resting.price), fill.quantity) for fill in placement.fills]
        assert taken == [(order_id, *fill) for order_id, fill in zip(resting, fills, strict=True)]
        assert int(outcome.order.filled_quantity) == placement.filled
        assert outcome.order.cancel_reason == placement.cut
        assert (outcome.order.status == "CANCELLED") == (placement.cut is not None)
        self.world.trades += len(fills)
        event(f"cut {placement.cut}" if placement.cut else "traded" if fills else "rests")

    @rule(seed=st.integers(0, 2**32))
    def place_some_at_random(self, seed: int) -> None:
        """Hypothesis likes small and equal figures; these are spread evenly, so that more of them meet."""
        rng = random.Random(seed)
        for _ in range(BURST):
            price = rng.choice([None, *range(95, 106)])
            force = rng.choice([TimeInForce.GTC, *TimeInForce])
            self.place(rng.choice(HOLDERS), rng.choice(list(OrderSide)), price, rng.randint(1, 60), force)

    @precondition(lambda self: self.keyed)
    @rule(pick=st.integers(0, 10**6))
    def repeat_a_key(self, pick: int) -> None:
        """What was asked again under its key is answered as before and changes nothing."""
        _, asked, first = self.keyed[pick % len(self.keyed)]
        again = self.world.run(self.process().place(*asked))
        assert again.is_replay
        assert (again.ticket_id, again.outcome) == (first.ticket_id, first.outcome)
        assert (again.refusal and again.refusal.code) == (first.refusal and first.refusal.code)

    @precondition(lambda self: self.order_ids)
    @rule(pick=st.integers(0, 10**6))
    def cancel(self, pick: int) -> None:
        """Cancel any order that there ever was."""
        name = list(self.order_ids)[pick % len(self.order_ids)]
        holder = None if holder_of(name) == MAKER else self.user_id(holder_of(name))
        answer = self.world.run(self.process().cancel(self.order_ids[name], holder))
        resting = self.table.book.orders.get(id_of(name))
        if resting is None:
            assert answer.refusal is not None
            assert answer.refusal.code == "ORDER_NOT_OPEN"
        else:
            assert answer.outcome is not None
            assert answer.outcome.order.remaining_quantity == resting.remaining
            self.accounts.cancel(self.table, resting)

    @precondition(lambda self: MAKER not in self.table.inactive)
    @rule()
    def deactivate_the_maker(self) -> None:
        maker = self.holders[MAKER]
        assert isinstance(maker, MakerOutcome)
        answer = self.world.run(self.process().delete_maker(maker.maker.id))
        mine = [one for one in self.table.book.orders.values() if one.holder_id == id_of(MAKER)]
        assert answer.outcome is not None
        assert {order.id for order in answer.outcome.cancelled_orders} == {
            self.order_ids[self.table.names[one.order_id]] for one in mine
        }
        for resting in mine:
            self.accounts.cancel(self.table, resting)
        self.table.inactive.add(MAKER)

    @precondition(lambda self: MAKER in self.table.inactive)
    @rule()
    def activate_the_maker(self) -> None:
        maker = self.holders[MAKER]
        assert isinstance(maker, MakerOutcome)
        maker_id, change = str(maker.maker.id), MakerChange(is_active=True)
        work: Callable[[Any], Any] = lambda write: makers.update(write, maker_id, change)  # noqa: E731
        updated = self.process().run("updateMarketMaker", {}, work, stories.of_updated_maker, MakerOutcome)
        assert self.world.run(updated).outcome
        self.table.inactive.discard(MAKER)

    @rule(percent=st.sampled_from([None, None, Decimal(1), Decimal(3), Decimal(10)]))
    def set_band(self, percent: Decimal | None) -> None:
        self.world.run(self.decree(f"UPDATE settings SET price_band_percent = {percent or 'NULL'}"))
        self.table.band = market.band(replace(self.table.certificate, reference_price=REFERENCE), percent)

    @rule(lot=st.sampled_from([1, 1, 10]))
    def set_lot(self, lot: int) -> None:
        self.world.run(self.decree(f"UPDATE certificates SET lot_size = {lot}"))
        self.table.step(f"lot {lot}", [])

    @rule(name=st.sampled_from(HOLDERS), force=st.sampled_from(TimeInForce))
    def place_while_halted(self, name: str, force: TimeInForce) -> None:
        self.world.run(self.decree("UPDATE certificates SET is_halted = true"))
        self.table.step("halt", [])
        self.place(name, OrderSide.SELL, None, 10, force)
        assert self.table.refusal is not None
        self.world.run(self.decree("UPDATE certificates SET is_halted = false"))
        self.table.step("resume", [])

    def same_refusal(self, answer: Answer[Any], refusal: errors.DomainError) -> None:
        assert answer.refusal is not None, f"{answer.outcome}; on paper {refusal.code}"
        assert answer.refusal.code == refusal.code
        figures = {name: answer.refusal.details[name] for name in FIGURES if name in answer.refusal.details}
        assert figures == {name: refusal.details[name] for name in FIGURES if name in refusal.details}

    # ----------------------------------------------------------------------------------------------------------- laws

    @invariant()
    def paper_is_lawful(self) -> None:
        self.table.compare()
        self.accounts.check(self.table)

    @invariant()
    def rows_are_as_on_paper(self) -> None:
        self.world.steps += 1
        self.world.run(self.compare_rows())

    async def compare_rows(self) -> None:
        """Read the balances of everybody here and the open orders in their order of trading."""
        ids = {self.user_id(name): name for name in HOLDERS}
        balances = await self.world.owner.fetch("SELECT * FROM balances WHERE holder_id = ANY($1::uuid[])", list(ids))
        found = {(id_of(ids[row["holder_id"]]), Asset(row["asset"])): row for row in balances}
        for key, account in self.accounts.of.items():
            row = found.get(key)
            figures = (row["available"], row["locked"], row["seq"]) if row else (0, 0, 0)
            available, locked = (money.decimal(account.asset, figure) for figure in (account.available, account.locked))
            assert figures == (available, locked, account.seq)
        orders = await self.world.owner.fetch(
            "SELECT id, side, price, quantity - filled_quantity AS left FROM orders"
            " WHERE certificate_type = 'CEA' AND status IN ('OPEN', 'PARTIALLY_FILLED')"
            " ORDER BY CASE side WHEN 'BUY' THEN -price ELSE price END, priority"
        )
        names = {order_id: name for name, order_id in self.order_ids.items()}
        sequence = await self.world.owner.fetchval("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
        books = [one.desk._books._books[CEA] for one in self.world.processes if one.desk._books._books]
        current = [book for book in books if book.sequence == sequence]  # others catch up with their next command
        for side in OrderSide:
            queue = self.table.naive.queue(side)
            rows = [
                (int(row["price"] * 100), names[row["id"]], int(row["left"])) for row in orders if row["side"] == side
            ]
            assert rows == queue
            for book in current:
                assert [
                    (price, names[one.order_id], one.remaining)
                    for price, level in book.sides[side]
                    for one in level.orders.values()
                ] == queue

    def teardown(self) -> None:
        """Empty the book for the next run; then every law, from all the rows."""
        for resting in list(self.table.book.orders.values()):
            name = self.table.names[resting.order_id]
            holder = None if holder_of(name) == MAKER else self.user_id(holder_of(name))
            self.world.run(self.process().cancel(self.order_ids[name], holder))
        self.world.run(assert_invariants(self.world.owner))


async def open_world(world: World, servers: Servers, stack: contextlib.AsyncExitStack) -> None:
    """Open two processes on a database of their own."""
    url = await stack.enter_async_context(fresh_database(servers))
    redis_url = servers.urls.redis_url
    first = await stack.enter_async_context(process(url, redis_url))
    second = await stack.enter_async_context(process(url, redis_url, admin_id=first.admin_id))
    world.processes = [first, second]
    world.owner = await asyncpg.connect(url)
    stack.push_async_callback(world.owner.close)


@pytest.mark.timeout(SECONDS_MAX)
def test_a_random_market_is_the_same_in_postgresql_and_on_paper(servers: Servers) -> None:
    loop = asyncio.new_event_loop()  # of this test: the state machine's steps are no coroutines
    stack = contextlib.AsyncExitStack()
    world = Market.world = World(loop)
    try:
        loop.run_until_complete(open_world(world, servers, stack))
        run_state_machine_as_test(Market, settings=DATABASE.settings)
        print(f"\n{DATABASE}: {world.steps} steps, {world.trades} trades")  # noqa: T201 - figures for the log
    finally:
        loop.run_until_complete(stack.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
