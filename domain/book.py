"""The book of one certificate. Law: it holds what was applied to it, in price-time order, and decides nothing.

The same apply functions carry out a decision and bring a book that is behind up to date from the journal, so every
process holds the same book. Prices are integers of EUR cents, quantities integers of certificates.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from domain.money import CertificateType
from domain.records import record


class OrderSide(StrEnum):
    """Whether an order buys or sells certificates."""

    BUY = "BUY"
    SELL = "SELL"


BUY, SELL = OrderSide.BUY, OrderSide.SELL  # read through its class, a member costs a call each time


@dataclass(slots=True)
class Resting:
    """An order in the book. `remaining` is the only field that moves."""

    order_id: UUID
    holder_id: UUID
    market_maker_id: UUID | None
    side: OrderSide
    price: int
    remaining: int
    priority: int
    ticket_id: str


@record
class Fill:
    """A quantity taken from one resting order at its price; is_last: the resting order is full then."""

    resting: Resting
    quantity: int
    is_last: bool


@record
class LevelChange:
    """A level after an event. Units: price cents; quantity 0 means that the level is gone."""

    side: OrderSide
    price: int
    quantity: int
    order_count: int


@dataclass(slots=True, eq=False)
class Level:
    """The orders at one price by their priority, which is also the order in which they came."""

    side: OrderSide
    price: int
    quantity: int = 0
    orders: dict[int, Resting] = field(default_factory=dict)

    def as_change(self) -> LevelChange:
        """Return the level as it is now."""
        return LevelChange(self.side, self.price, self.quantity, len(self.orders))


class Side:
    """One side of a book: its levels by rank. The rank of a price is higher the better the price, on both sides."""

    __slots__ = ("levels", "ranks", "side", "sign")

    def __init__(self, side: OrderSide) -> None:
        self.side = side
        self.sign = 1 if side is BUY else -1
        self.ranks: list[int] = []  # ascending, so that the best level is the last one and goes without moving others
        self.levels: dict[int, Level] = {}

    def add_level(self, price: int) -> Level:
        """Add a level without orders."""
        level = self.levels[price] = Level(self.side, price)
        insort(self.ranks, self.sign * price)
        return level

    def remove_level(self, level: Level) -> None:
        """Remove a level whose last order is gone."""
        del self.levels[level.price]
        del self.ranks[bisect_left(self.ranks, self.sign * level.price)]

    def best(self) -> int | None:
        return self.sign * self.ranks[-1] if self.ranks else None

    def __iter__(self) -> Iterator[tuple[int, Level]]:
        """Yield (price in cents, level), best first."""
        for rank in reversed(self.ranks):
            price = self.sign * rank
            yield price, self.levels[price]


class Book:
    """All resting orders of one certificate, as of `sequence`."""

    def __init__(self, certificate_type: CertificateType, sequence: int, priority: int, last_price: int | None) -> None:
        self.certificate_type = certificate_type
        self.sequence = sequence
        self.priority = priority
        self.last_price = last_price
        self.bids, self.asks = Side(BUY), Side(SELL)
        self.sides = {BUY: self.bids, SELL: self.asks}
        self.orders: dict[UUID, Resting] = {}

    def rest(self, order: Resting) -> Level:
        """Put an order behind all others at its price; return its level."""
        side = self.bids if order.side is BUY else self.asks
        level = side.levels.get(order.price) or side.add_level(order.price)
        level.orders[order.priority] = order
        level.quantity += order.remaining
        self.orders[order.order_id] = order
        return level

    def fill(self, order_id: UUID, quantity: int) -> Fill:
        """Return what a trade of the journal takes from an order in the book."""
        resting = self.orders[order_id]
        return Fill(resting, quantity, quantity == resting.remaining)

    def apply_placed(self, newcomer: Resting | None, fills: Sequence[Fill]) -> list[LevelChange]:
        """Carry out one PLACED event; newcomer is what rests of the order, None when nothing does.

        Return the levels that it touched as they are afterwards.
        """
        changes = self._apply_fills(fills) if fills else []
        if newcomer is not None:
            changes.append(self.rest(newcomer).as_change())
        return changes

    def apply_cancelled(self, order_id: UUID) -> list[LevelChange]:
        """Carry out one CANCELLED event."""
        order = self.orders[order_id]
        side = self.bids if order.side is BUY else self.asks
        level = side.levels[order.price]
        level.quantity -= order.remaining
        order.remaining = 0
        self._leave(order, level, side)
        return [level.as_change()]

    def _apply_fills(self, fills: Sequence[Fill]) -> list[LevelChange]:
        """Take quantities from orders of one side, best level first, so that all fills of a level stand together."""
        first = fills[0].resting
        side = self.bids if first.side is BUY else self.asks
        level = side.levels[first.price]
        changes: list[LevelChange] = []
        for fill in fills:
            order, quantity = fill.resting, fill.quantity
            if order.price != level.price:
                changes.append(level.as_change())
                level = side.levels[order.price]
            order.remaining -= quantity
            level.quantity -= quantity
            if order.remaining == 0:
                self._leave(order, level, side)
        changes.append(level.as_change())
        self.last_price = level.price
        return changes

    def _leave(self, order: Resting, level: Level, side: Side) -> None:
        """Remove an order of which nothing is left, and its level when it was the last one there."""
        del self.orders[order.order_id]
        del level.orders[order.priority]
        if not level.orders:
            side.remove_level(level)
