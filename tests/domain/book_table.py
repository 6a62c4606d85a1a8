"""Play a market that is written as text, on the real book and on the naive one side by side.

    sell A 100 @ 25.50            an order named A; its holder is the name without digits (A1 and A2 are both of A)
    buy U 40 @ 25.50
    trade A U 40 @ 25.50          resting order, incoming order; every trade of a command stands below it, in order
    rest A 60                     what is left of an order in the book; `gone A`: it is not there
    cut U 10                      this much of the command's order neither traded nor rests
    refused SELF_TRADE            the command did nothing
    cancel A

Before commands: `maker A`, `inactive A`, `no-kyc A`, `funds A 100` (units of what an order reserves; else plenty),
`tick 0.05`, `lot 10`, `halt`, `resume`. Lines may also be separated by ` / `.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid5

from domain import errors, market
from domain.market import (
    Book,
    Cancel,
    Certificate,
    OrderSide,
    OrderStatus,
    OrderType,
    Party,
    Place,
    Resting,
    TimeInForce,
)
from domain.money import CertificateType
from tests.domain.naive import NaiveBook

NAMESPACE = UUID("c0ffee00-0000-4000-8000-000000000000")
PLENTY = 10**18
NOW = datetime(2026, 5, 4, tzinfo=UTC)
PLAIN = Certificate(CertificateType.CEA, "China Emission Allowance", None, Decimal("0.01"), Decimal(1), None, False)
CHECKS = {"trade", "rest", "gone", "cut", "refused"}


def id_of(name: str) -> UUID:
    """Return the id that stands for a name."""
    return uuid5(NAMESPACE, name)


def holder_of(name: str) -> str:
    return name.rstrip("0123456789")


def cents(price: str) -> int:
    return int(Decimal(price) * 100)


class Table:
    """One book of CEA, played twice."""

    def __init__(self) -> None:
        self.book = Book(CertificateType.CEA, sequence=0, priority=0, last_price=None)
        self.naive: NaiveBook[str, str] = NaiveBook()
        self.certificate = PLAIN
        self.makers: set[str] = set()
        self.inactive: set[str] = set()
        self.without_kyc: set[str] = set()
        self.funds: dict[str, int] = {}
        self.names: dict[UUID, str] = {}

    def play(self, text: str) -> Table:
        """Carry out every command and compare what it does with the lines below it."""
        lines = [line.strip() for line in text.replace(" / ", "\n").splitlines() if line.strip()]
        index = 0
        while index < len(lines):
            command, index = lines[index], index + 1
            expected = []
            while index < len(lines) and lines[index].split()[0] in CHECKS:
                expected.append(lines[index])
                index += 1
            self.step(command, expected)
        return self

    def step(self, command: str, expected: list[str]) -> None:
        word, *rest = command.split()
        seen: list[str] = []
        match word:
            case "sell" | "buy":
                seen = self.place(OrderSide(word.upper()), rest[0], rest[1], rest[3])
            case "cancel":
                seen = self.cancel(rest[0])
            case _:
                self.prepare(word, rest)
        events = [line for line in expected if line.split()[0] in ("trade", "cut", "refused")]
        assert seen == events, f"{command}: {seen} instead of {events}"
        for kind, name, *left in (line.split() for line in expected):
            if kind == "rest":
                assert self.book.orders[id_of(name)].remaining == int(left[0]), f"after {command}: {name}"
            elif kind == "gone":
                assert id_of(name) not in self.book.orders, f"after {command}: {name}"
        self.compare()

    def prepare(self, word: str, rest: list[str]) -> None:
        match word:
            case "maker":
                self.makers.add(rest[0])
            case "inactive":
                self.inactive.add(rest[0])
            case "no-kyc":
                self.without_kyc.add(rest[0])
            case "funds":
                self.funds[rest[0]] = int(rest[1])
            case "tick":
                self.certificate = replace(self.certificate, tick_size=Decimal(rest[0]))
            case "lot":
                self.certificate = replace(self.certificate, lot_size=Decimal(rest[0]))
            case "halt" | "resume":
                self.certificate = replace(self.certificate, is_halted=word == "halt")
            case _:
                raise AssertionError(f"unknown line: {word}")

    def party(self, name: str) -> Party:
        holder = holder_of(name)
        return Party(
            id_of(holder),
            id_of(f"maker {holder}") if holder in self.makers else None,
            holder,
            holder not in self.inactive,
            holder not in self.without_kyc,
        )

    def place(self, side: OrderSide, name: str, quantity: str, price: str) -> list[str]:
        request = Place(
            holder_id=id_of(holder_of(name)),
            market_maker_id=None,
            certificate_type=CertificateType.CEA,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price=Decimal(price),
            quantity=Decimal(quantity),
        )
        try:
            terms = market.terms(request, self.certificate)
            funds = self.funds.get(holder_of(name), PLENTY)
            placement = market.place(self.book, terms, self.party(name), self.certificate, funds, 0)
        except errors.DomainError as error:
            if error.code is errors.ErrorCode.SELF_TRADE:
                assert self.naive.place(name, holder_of(name), side, cents(price), int(quantity)).fate == "REFUSED"
            return [f"refused {error.code}"]
        self.book.sequence += 1
        self.book.priority += 1
        order_id = id_of(name)
        self.names[order_id] = name
        newcomer = None
        if placement.rested:
            newcomer = Resting(
                order_id, id_of(holder_of(name)), None, side, terms.price, placement.rested, self.book.priority, ""
            )
        fills = [(fill.resting.order_id, fill.quantity) for fill in placement.fills]
        prices = [fill.resting.price for fill in placement.fills]
        changes = self.book.apply_placed(newcomer, fills)
        trades = [(self.names[order], quantity, price) for (order, quantity), price in zip(fills, prices, strict=True)]
        result = self.naive.place(name, holder_of(name), side, terms.price, terms.quantity)
        assert (result.trades, result.rested) == (trades, placement.rested)
        assert (result.fate == "CUT") == (placement.cut is not None)
        self.compare_changes(changes)
        seen = [f"trade {resting} {name} {taken} @ {at / 100:.2f}" for resting, taken, at in trades]
        return [*seen, f"cut {name} {placement.unfilled}"] if placement.cut else seen

    def cancel(self, name: str) -> list[str]:
        holder = id_of(holder_of(name))
        order = stored_order(id_of(name), holder) if id_of(name) in self.names else None
        try:
            resting = market.cancel(Cancel(str(id_of(name)), holder), order, self.book)
        except errors.DomainError as error:
            return [f"refused {error.code}"]
        left = resting.remaining
        self.book.sequence += 1
        self.compare_changes(self.book.apply_cancelled(resting.order_id), self.naive.cancel(name), left)
        return []

    def compare_changes(self, changes: list[market.LevelChange], naive_left: int = 0, left: int = 0) -> None:
        """Each level change must be the level as the naive book has it afterwards."""
        assert naive_left == left
        levels = self.naive.levels()
        for change in changes:
            assert levels.get((change.side, change.price), (0, 0)) == (change.quantity, change.order_count)

    def compare(self) -> None:
        """Both books hold the same queues and levels, and are not crossed."""
        for side in OrderSide:
            queue = [
                (price, self.names[resting.order_id], resting.remaining)
                for price, level in self.book.sides[side]
                for resting in level.orders.values()
            ]
            assert queue == self.naive.queue(side)
        levels = {
            (side.value, price): (level.quantity, len(level.orders))
            for side in OrderSide
            for price, level in self.book.sides[side]
        }
        assert levels == self.naive.levels()
        assert set(self.book.orders) == {id_of(name) for name in self.naive.left()}
        bid, ask = self.book.sides[OrderSide.BUY].best(), self.book.sides[OrderSide.SELL].best()
        assert bid is None or ask is None or bid < ask


def stored_order(order_id: UUID, user_id: UUID) -> market.Order:
    """Return an order as the database would, as far as a cancel looks at it."""
    return market.Order(
        order_id, user_id, None, CertificateType.CEA, OrderSide.SELL, OrderType.LIMIT, TimeInForce.GTC, Decimal(1),
        Decimal(1), Decimal(1), Decimal(1), OrderStatus.FILLED, None, 1, NOW, NOW, "TKT-2026-000001",
    )  # fmt: skip


def play(text: str) -> Table:
    """Play one table from an empty book."""
    return Table().play(text)
