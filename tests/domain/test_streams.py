"""Seeded streams and a state machine over every kind of order: both engines and the ledger together."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from uuid import uuid4

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain import errors, ledger, market
from domain.book import Book, OrderSide, Resting
from domain.errors import ErrorCode
from domain.ledger import Move, TransactionReason
from domain.market import CancelReason, OrderType, TimeInForce
from domain.money import Asset, CertificateType
from tests.domain.accounts import Accounts
from tests.domain.book_table import PLAIN, PLENTY, Table, id_of
from tests.sizes import PAPER, SECONDS_MAX, STREAM_COMMANDS

pytestmark = pytest.mark.timeout(SECONDS_MAX)

COST_COMMANDS = 20_000
STREAM_HOLDERS = 200
FORCES = ["gtc", "gtc", "ioc", "fok"]
LOTS = [1, 10]


# ------------------------------------------------------------------------------------------- streams against the naive


@dataclass
class Counted:
    """What came of a stream."""

    trades: int = 0
    cuts: int = 0
    refused: int = 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seeded_stream_is_the_same_on_both_books(seed: int) -> None:
    """Trades, cuts, refusals and level changes are compared after each command, whole queues and accounts at times."""
    rng, table, alive = random.Random(seed), Table(), list[str]()
    names = [f"{chr(65 + number // 26)}{chr(65 + number % 26)}" for number in range(STREAM_HOLDERS)]
    accounts = Accounts(names)
    for number, name in enumerate(names):
        accounts.deposit(name, Asset.EUR, 40_000_000 if number % 4 else 150_000)
        accounts.deposit(name, Asset.CEA, 20_000)
    seen_codes, counted = set[str](), Counted()
    for number in range(STREAM_COMMANDS):
        if number % 500 == 0:
            table.compare()
            accounts.check(table)
        if number % 50 == 0:
            table.step(rng.choice(["band none"] * 3 + ["band 24.97 25.03", "band 24.99 25.01"]), [])
            table.step(f"lot {rng.choice([1, 1, *LOTS])}", [])
        if alive and rng.random() < 0.25:
            name = alive.pop(rng.randrange(len(alive)))
            if id_of(name) in table.book.orders:
                accounts.cancel(table, table.book.orders[id_of(name)])
            else:
                assert table.cancel(name) == ["refused ORDER_NOT_OPEN status=FILLED"]
            continue
        name = f"{rng.choice(names)}{number}"
        price = None if rng.random() < 0.15 else 2_500 + rng.randint(-6, 6)
        quantity = rng.randint(1, 60) if rng.random() < 0.9 else rng.randint(100, 2_000)
        quantity += -quantity % int(table.certificate.lot_size)
        seen = accounts.place(table, rng.choice(list(OrderSide)), name, quantity, price, rng.choice(FORCES))
        counted.trades += sum(line.startswith("trade") for line in seen)
        counted.cuts += seen[-1].startswith("cut") if seen else 0
        counted.refused += table.refusal is not None
        if table.refusal:
            seen_codes.add(table.refusal.code)
        elif table.placement and table.placement.cut:
            seen_codes.add(table.placement.cut)
        if id_of(name) in table.book.orders:
            alive.append(name)
    table.compare()
    accounts.check(table)
    print(f"\nseed {seed}: {STREAM_COMMANDS} commands, {counted}")  # noqa: T201 - figures for the log
    assert counted.trades > STREAM_COMMANDS / 10, f"seed {seed}: hardly anything traded"
    assert seen_codes >= {
        "SELF_TRADE", "NO_LIQUIDITY", "INVALID_PRICE", "INSUFFICIENT_BALANCE", "IOC_REMAINDER", "MARKET_REMAINDER",
        "PRICE_BAND", "CASH_EXHAUSTED",
    }, seen_codes  # fmt: skip


def test_what_the_engine_costs() -> None:
    """Print microseconds per order of decision and book together; nothing is asserted."""
    rng = random.Random(3)
    book = Book(CertificateType.CEA, 0, 0, None)
    party = [market.Party(uuid4(), None, "", True, True) for _ in range(STREAM_HOLDERS)]
    asked = []
    for _ in range(COST_COMMANDS):
        side = rng.choice(list(OrderSide))
        price = 2_500 + (rng.randint(-12, 4) if side is OrderSide.BUY else rng.randint(-4, 12))
        terms = market.Terms(
            book.certificate_type, side, OrderType.LIMIT, TimeInForce.GTC, price, rng.randint(1, 60), 1
        )  # fmt: skip
        asked.append((rng.choice(party), uuid4(), price, terms))
    started = time.perf_counter()
    for who, order_id, price, terms in asked:
        try:
            placement = market.place(book, terms, who, PLAIN, PLENTY, 0)
        except errors.SelfTrade:
            continue
        book.priority += 1
        newcomer = Resting(order_id, who.holder_id, None, terms.side, price, placement.rested, book.priority, "")
        book.apply_placed(newcomer if placement.rested else None, placement.fills)
    microseconds = (time.perf_counter() - started) / COST_COMMANDS * 1e6
    print(f"\npure engine: {microseconds:.1f} µs per order")  # noqa: T201 - a figure for the log


# ---------------------------------------------------------------------------------- market and ledger, step by step

HOLDERS = ["A", "B", "C", "M"]
MAKER = "M"
BURST = 5  # orders of one random step
names = st.sampled_from(HOLDERS)
assets = st.sampled_from([Asset.EUR, Asset.CEA])
amounts = st.integers(1, 20_000)
sides = st.sampled_from(OrderSide)
prices = st.integers(95, 105)
quantities = st.integers(1, 200)
forces = st.sampled_from(["gtc", "ioc", "fok"])


class Paper(RuleBasedStateMachine):
    """A market on paper: accounts, orders and both books; after each step every law of the ledger holds."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.table.makers.add(MAKER)
        self.accounts = Accounts(HOLDERS)
        self.count = 0
        for name in HOLDERS:
            self.accounts.deposit(name, Asset.EUR, 30_000)
            self.accounts.deposit(name, Asset.CEA, 300)

    @rule(name=names, asset=assets, amount=amounts)
    def deposit(self, name: str, asset: Asset, amount: int) -> None:
        self.accounts.deposit(name, asset, amount)

    @rule(name=names, asset=assets, amount=amounts)
    def withdraw(self, name: str, asset: Asset, amount: int) -> None:
        account = self.accounts.of[id_of(name), asset]
        move = Move(id_of(name), None, asset, TransactionReason.WITHDRAWAL, amount)
        if amount > account.available:
            with pytest.raises(errors.InsufficientBalance):
                ledger.apply(account, move)
        else:
            self.accounts.move(move)
            self.accounts.made[asset] -= amount

    @rule(name=names, side=sides, price=prices, quantity=quantities)
    def place_limit(self, name: str, side: OrderSide, price: int, quantity: int) -> None:
        self.place(name, side, price, quantity, "gtc")

    @rule(name=names, side=sides, price=prices, quantity=quantities, force=forces)
    def place_limit_with_force(self, name: str, side: OrderSide, price: int, quantity: int, force: str) -> None:
        self.place(name, side, price, quantity, force)

    @rule(name=names, side=sides, quantity=quantities, force=forces)
    def place_market(self, name: str, side: OrderSide, quantity: int, force: str) -> None:
        self.place(name, side, None, quantity, force)

    @rule(seed=st.integers(0, 2**32))
    def place_some_at_random(self, seed: int) -> None:
        """Hypothesis likes small and equal figures; these are spread evenly, so that more of them meet."""
        rng = random.Random(seed)
        for _ in range(BURST):
            price = rng.choice([None, *range(95, 106)])
            self.place(rng.choice(HOLDERS), rng.choice(list(OrderSide)), price, rng.randint(1, 60), rng.choice(FORCES))
            self.table.compare()

    def place(self, name: str, side: OrderSide, price: int | None, quantity: int, force: str) -> None:
        """What the table does by hand says which refusal it must be; band and lot are shape, which it does not do."""
        self.count += 1
        table, lot = self.table, int(self.table.certificate.lot_size)
        before = len(self.accounts.moves)
        if self.count % 5:  # else it may be off the lot
            quantity = max(1, quantity // lot) * lot
        seen = self.accounts.place(table, side, f"{name}{self.count}", quantity, price, force)
        shape = None
        if price is not None and table.band and not table.band.lowest <= price <= table.band.highest:
            shape = ErrorCode.INVALID_PRICE
        elif quantity % lot:
            shape = ErrorCode.INVALID_QUANTITY
        code = table.refusal.code if table.refusal else None
        assert (code if code in (ErrorCode.INVALID_PRICE, ErrorCode.INVALID_QUANTITY) else None) == shape
        if table.placement:
            self.outcome_is_lawful(name, side, price, force, before, seen)
            event(f"cut {table.placement.cut}" if table.placement.cut else "traded or rests")
        else:
            assert len(self.accounts.moves) == before
            event(f"refused {code}")

    def outcome_is_lawful(
        self, name: str, side: OrderSide, price: int | None, force: str, before: int, seen: list[str]
    ) -> None:
        """Check what each kind of order promises, whatever the engines say."""
        placement = self.table.placement
        assert placement is not None
        lock, *others = self.accounts.moves[before:]
        assert lock.reason is TransactionReason.LOCK
        if price is None or force != "gtc":
            assert placement.rested == 0 and placement.fills, "only a LIMIT GTC order waits; others trade at once"
        if force == "fok":
            assert placement.unfilled == 0
        if price is None and side is OrderSide.BUY:
            assert lock.amount == placement.cost
            assert [move.reason for move in others].count(TransactionReason.RELEASE) == 0
        if self.table.band and price is None:
            limits = self.table.band
            worst = placement.fills[-1].resting.price
            assert worst <= limits.highest if side is OrderSide.BUY else worst >= limits.lowest
        if placement.cut is CancelReason.CASH_EXHAUSTED:
            assert (price, side) == (None, OrderSide.BUY)
            ask = self.table.book.sides[OrderSide.SELL].best()
            assert ask is not None
            assert self.accounts.account(name, side).available < ask * min(placement.unfilled, PLENTY)
        assert sum(line.startswith("trade") for line in seen) == len(placement.fills)

    @precondition(lambda self: self.table.book.orders)
    @rule(pick=st.integers(0, 10**6))
    def cancel(self, pick: int) -> None:
        resting = list(self.table.book.orders.values())[pick % len(self.table.book.orders)]
        self.accounts.cancel(self.table, resting)

    @rule(name=names)
    def deactivate(self, name: str) -> None:
        """Cancel all that a holder has in the book; he may not trade until he is active again."""
        for resting in [one for one in self.table.book.orders.values() if one.holder_id == id_of(name)]:
            self.accounts.cancel(self.table, resting)
        self.table.step(f"inactive {name}", [])

    @precondition(lambda self: self.table.inactive)
    @rule()
    def activate(self) -> None:
        self.table.step(f"active {min(self.table.inactive)}", [])

    @rule(limits=st.sampled_from(["none", "none", "0.97 1.03", "1.00 1.00", "0.90 1.10"]))
    def set_band(self, limits: str) -> None:
        self.table.step(f"band {limits}", [])

    @rule(lot=st.sampled_from(LOTS))
    def set_lot(self, lot: int) -> None:
        self.table.step(f"lot {lot}", [])

    @rule(name=names, side=sides, price=st.one_of(st.none(), prices), force=forces)
    def place_while_halted(self, name: str, side: OrderSide, price: int | None, force: str) -> None:
        self.table.step("halt", [])
        self.place(name, side, price, 10, force)
        assert self.table.placement is None
        self.table.step("resume", [])

    @invariant()
    def books_agree(self) -> None:
        self.table.compare()

    @invariant()
    def balances_are_true(self) -> None:
        self.accounts.check(self.table)


Paper.TestCase.settings = PAPER.settings
TestPaper = Paper.TestCase
