"""Play a market that is written as text, on the real book and on the naive one side by side.

    sell A 100 @ 25.50            an order named A; its holder is the name without digits (A1 and A2 are both of A)
    buy U 40 @ 25.50 ioc          or fok; without a word it waits in the book
    buy U 40 market               at market; or market fok
    trade A U 40 @ 25.50          resting order, incoming order; every trade of a command stands below it, in order
    cut U 10 IOC_REMAINDER        this much of the command's order neither traded nor rests, and why
    refused SELF_TRADE            the command did nothing; figures that it was decided on may follow: available=9.99
    rest A 60                     what is left of an order in the book; `gone A`: it is not there
    locks U 1020.00               what the command's order reserved before it traded
    cancel A

Before commands: `maker A`, `inactive A`, `active A`, `no-kyc A`, `funds A 100` (smallest units of what an order
reserves, available to each order that follows; else plenty), `tick 0.05`, `lot 10`, `band 24.00 26.00`, `band none`,
`halt`, `resume`. Lines may also be separated by ` / `.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid5

from domain import errors, market, money
from domain.book import Book, LevelChange, OrderSide, Resting
from domain.market import Band, Cancel, Certificate, OrderStatus, OrderType, Party, Place, Placement, Terms, TimeInForce
from domain.money import CertificateType
from tests.domain.naive import NaiveBook

NAMESPACE = UUID("c0ffee00-0000-4000-8000-000000000000")
PLENTY = 10**18
PLAIN = Certificate(CertificateType.CEA, "China Emission Allowance", None, Decimal("0.01"), Decimal(1), None, False)
DEEDS = {"trade", "cut", "refused"}
CHECKS = DEEDS | {"rest", "gone", "locks"}


def id_of(name: str) -> UUID:
    """Return the id that stands for a name."""
    return uuid5(NAMESPACE, name)


def holder_of(name: str) -> str:
    return name.rstrip("0123456789")


def cents(price: str) -> int:
    return int(Decimal(price) * 100)


class Table:
    """One book of CEA, played twice. placement, refusal: what the last order came to, one of them None."""

    def __init__(self) -> None:
        self.book = Book(CertificateType.CEA, sequence=0, priority=0, last_price=None)
        self.naive: NaiveBook[str, str] = NaiveBook()
        self.certificate = PLAIN
        self.band: Band | None = None
        self.makers: set[str] = set()
        self.inactive: set[str] = set()
        self.without_kyc: set[str] = set()
        self.funds: dict[str, int] = {}
        self.locked: dict[str, int] = {}
        self.names: dict[UUID, str] = {}
        self.placement: Placement | None = None
        self.refusal: errors.DomainError | None = None

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
        match word, rest:
            case (("sell" | "buy"), [name, quantity, "market", *force]):
                seen = self.place(OrderSide(word.upper()), name, quantity, None, *force)
            case (("sell" | "buy"), [name, quantity, "@", price, *force]):
                seen = self.place(OrderSide(word.upper()), name, quantity, price, *force)
            case "cancel", [name]:
                seen = self.cancel(name)
            case _:
                self.prepare(word, rest)
        deeds = [line for line in expected if line.split()[0] in DEEDS]
        is_same = len(seen) == len(deeds) and all(map(_says, seen, deeds))
        assert is_same, f"{command}: {seen} instead of {deeds}"
        for kind, name, *figures in (line.split() for line in expected if line not in deeds):
            if kind == "rest":
                assert self.book.orders[id_of(name)].remaining == int(figures[0]), f"after {command}: {name}"
            elif kind == "gone":
                assert id_of(name) not in self.book.orders, f"after {command}: {name}"
            else:
                assert self.placement
                locked = money.decimal(self.placement.terms.reserved_asset, self.placement.reserve)
                assert f"{locked:f}" == figures[0], f"{command} locks {locked}"
        self.compare()

    def prepare(self, word: str, rest: list[str]) -> None:
        match word:
            case "maker":
                self.makers.add(rest[0])
            case "inactive":
                self.inactive.add(rest[0])
            case "active":
                self.inactive.discard(rest[0])
            case "no-kyc":
                self.without_kyc.add(rest[0])
            case "funds":
                self.funds[rest[0]] = int(rest[1])
            case "tick":
                self.certificate = replace(self.certificate, tick_size=Decimal(rest[0]))
            case "lot":
                self.certificate = replace(self.certificate, lot_size=Decimal(rest[0]))
            case "band":
                self.band = None if rest == ["none"] else Band(*map(cents, rest))
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

    def place(self, side: OrderSide, name: str, quantity: str, price: str | None, force: str = "gtc") -> list[str]:
        """Place an order on both books (price None: at market); return what it did, in the words of a table."""
        request = Place(
            holder_id=id_of(holder_of(name)),
            market_maker_id=None,
            certificate_type=CertificateType.CEA,
            side=side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            time_in_force=TimeInForce(force.upper()),
            price=None if price is None else Decimal(price),
            quantity=Decimal(quantity),
        )
        self.placement = self.refusal = None
        try:
            terms = market.terms(request, self.certificate, self.band)
        except errors.DomainError as refusal:
            return self._refused(refusal)
        funds, locked = self.funds.get(holder_of(name), PLENTY), self.locked.get(holder_of(name), 0)
        code = self.wrong_before_matching(name, terms, funds)
        result = None
        if code is None:
            band = (self.band.lowest, self.band.highest) if self.band else None
            result = self.naive.place(
                name, holder_of(name), side, terms.price, terms.quantity, terms.time_in_force,
                cash=funds, lot=terms.lot, band=band,
            )  # fmt: skip
            code = result.refused
        try:
            placement = market.place(self.book, terms, self.party(name), self.certificate, funds, locked, self.band)
        except errors.DomainError as refusal:
            return self._refused(refusal, must_be=code or "accepted")
        assert result is not None and code is None, f"{name}: {code} by hand"
        self.placement = placement
        trades = self.apply(name, placement)
        assert (trades, placement.rested, placement.cut) == (result.trades, result.rested, result.cut)
        seen = [f"trade {resting} {name} {taken} @ {at / 100:.2f}" for resting, taken, at in trades]
        return [*seen, f"cut {name} {placement.unfilled} {placement.cut}"] if placement.cut else seen

    def wrong_before_matching(self, name: str, terms: Terms, funds: int) -> str | None:
        """Return by hand the first refusal that does not depend on the book."""
        holder = holder_of(name)
        is_maker, is_active = holder in self.makers, holder not in self.inactive
        if terms.side is OrderSide.SELL:
            needed = terms.quantity
        else:
            needed = 0 if terms.price is None else terms.quantity * terms.price
        wrongs = [
            ("SIDE_NOT_ALLOWED", is_maker and terms.side is OrderSide.BUY),
            ("MARKET_MAKER_INACTIVE", is_maker and not is_active),
            ("USER_INACTIVE", not is_maker and not is_active),
            ("KYC_REQUIRED", not is_maker and holder in self.without_kyc),
            ("MARKET_HALTED", self.certificate.is_halted),
            ("INSUFFICIENT_BALANCE", needed > funds),
        ]
        return next((code for code, applies in wrongs if applies), None)

    def apply(self, name: str, placement: Placement) -> list[tuple[str, int, int]]:
        """Carry out a placement on the real book; return its trades by name."""
        terms, party = placement.terms, self.party(name)
        assert placement.filled == sum(fill.quantity for fill in placement.fills)
        assert placement.cost == sum(fill.quantity * fill.resting.price for fill in placement.fills)
        self.book.sequence += 1
        self.book.priority += 1
        self.names[id_of(name)] = name
        newcomer = None
        if placement.rested:
            assert terms.price is not None
            newcomer = Resting(
                id_of(name), party.holder_id, party.market_maker_id, terms.side, terms.price, placement.rested,
                self.book.priority, "",
            )  # fmt: skip
        self.compare_changes(self.book.apply_placed(newcomer, placement.fills))
        assert [fill.is_last for fill in placement.fills] == [fill.resting.remaining == 0 for fill in placement.fills]
        return [(self.names[one.resting.order_id], one.quantity, one.resting.price) for one in placement.fills]

    def _refused(self, refusal: errors.DomainError, must_be: str | None = None) -> list[str]:
        assert must_be in (None, refusal.code), f"{refusal.code} {refusal.details}, by hand {must_be}"
        self.refusal = refusal
        figures = "".join(f" {name}={figure}" for name, figure in refusal.details.items())
        return [f"refused {refusal.code}{figures}"]

    def cancel(self, name: str) -> list[str]:
        holder = id_of(holder_of(name))
        order = stored_order(id_of(name), holder) if id_of(name) in self.names else None
        try:
            resting = market.cancel(Cancel(str(id_of(name)), holder), order, self.book)
        except errors.DomainError as refusal:
            return self._refused(refusal)
        left = resting.remaining
        self.book.sequence += 1
        changes = self.book.apply_cancelled(resting.order_id)
        assert self.naive.cancel(name) == left
        self.compare_changes(changes)
        return []

    def compare_changes(self, changes: list[LevelChange]) -> None:
        """Each level change must be the level as the naive book has it afterwards."""
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


def _says(seen: str, expected: str) -> bool:
    """Compare a deed with its line; of a refusal the line may leave figures out."""
    return seen == expected or (seen.startswith("refused") and set(expected.split()) <= set(seen.split()))


def stored_order(order_id: UUID, user_id: UUID) -> market.Order:
    """Return an order as the database would, as far as a cancel looks at it."""
    now = datetime.min.replace(tzinfo=UTC)
    return market.Order(
        order_id, user_id, None, CertificateType.CEA, OrderSide.SELL, OrderType.LIMIT, TimeInForce.GTC, Decimal(1),
        Decimal(1), Decimal(1), Decimal(1), OrderStatus.FILLED, None, 1, now, now, "TKT-2026-000001",
    )  # fmt: skip


def play(text: str) -> Table:
    """Play one table from an empty book."""
    return Table().play(text)
