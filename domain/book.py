"""The book of one certificate. Law: it holds what was applied to it, in price-time order, and decides nothing.

The same apply functions carry out a decision and bring a book that is behind up to date from the journal, so every
process holds the same book. Prices are integers of EUR cents, quantities integers of certificates.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from domain.money import CertificateType


class OrderSide(StrEnum):
    """Whether an order buys or sells certificates."""

    BUY = "BUY"
    SELL = "SELL"


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


@dataclass(frozen=True, slots=True)
class Fill:
    """A quantity taken from one resting order at its price; is_last: the resting order is full then."""

    resting: Resting
    quantity: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A level after an event. Units: price cents; quantity 0 means that the level is gone."""

    side: OrderSide
    price: int
    quantity: int
    order_count: int


@dataclass(slots=True)
class Level:
    """The orders at one price, oldest first."""

    orders: OrderedDict[UUID, Resting] = field(default_factory=OrderedDict)
    quantity: int = 0


class Side:
    """One side of a book: levels by price, best first; bids are kept under their negated price."""

    def __init__(self, side: OrderSide) -> None:
        self.side = side
        self._sign = -1 if side is OrderSide.BUY else 1
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}

    def add(self, order: Resting) -> None:
        level = self._levels.get(order.price)
        if level is None:
            level = self._levels[order.price] = Level()
            insort(self._keys, self._sign * order.price)
        level.orders[order.order_id] = order
        level.quantity += order.remaining

    def take(self, order: Resting, quantity: int) -> None:
        """Lower a resting order; it leaves the book at 0, its level with the last order."""
        level = self._levels[order.price]
        order.remaining -= quantity
        level.quantity -= quantity
        if order.remaining == 0:
            del level.orders[order.order_id]
            if not level.orders:
                del self._levels[order.price]
                key = self._sign * order.price
                del self._keys[bisect_left(self._keys, key)]

    def best(self) -> int | None:
        return self._sign * self._keys[0] if self._keys else None

    def __iter__(self) -> Iterator[tuple[int, Level]]:
        """Yield (price in cents, level), best first."""
        for key in self._keys:
            price = self._sign * key
            yield price, self._levels[price]

    def level(self, price: int) -> Level | None:
        return self._levels.get(price)


class Book:
    """All resting orders of one certificate, as of `sequence`."""

    def __init__(self, certificate_type: CertificateType, sequence: int, priority: int, last_price: int | None) -> None:
        self.certificate_type = certificate_type
        self.sequence = sequence
        self.priority = priority
        self.last_price = last_price
        self.sides = {side: Side(side) for side in OrderSide}
        self.orders: dict[UUID, Resting] = {}

    def rest(self, order: Resting) -> None:
        self.orders[order.order_id] = order
        self.sides[order.side].add(order)

    def apply_fills(self, fills: list[tuple[UUID, int]]) -> list[LevelChange]:
        """Take quantities from resting orders; return the levels as they are afterwards."""
        touched: dict[tuple[OrderSide, int], None] = {}
        for order_id, quantity in fills:
            order = self.orders[order_id]
            self.sides[order.side].take(order, quantity)
            touched[order.side, order.price] = None
            self.last_price = order.price
            if order.remaining == 0:
                del self.orders[order_id]
        return [self.change(side, price) for side, price in touched]

    def apply_placed(self, newcomer: Resting | None, fills: list[tuple[UUID, int]]) -> list[LevelChange]:
        """Carry out one PLACED event; newcomer is what rests of the order, None when nothing does."""
        changes = self.apply_fills(fills)
        if newcomer is not None:
            self.rest(newcomer)
            changes.append(self.change(newcomer.side, newcomer.price))
        return changes

    def apply_cancelled(self, order_id: UUID) -> list[LevelChange]:
        """Carry out one CANCELLED event."""
        order = self.orders.pop(order_id)
        self.sides[order.side].take(order, order.remaining)
        return [self.change(order.side, order.price)]

    def change(self, side: OrderSide, price: int) -> LevelChange:
        level = self.sides[side].level(price)
        return LevelChange(side, price, level.quantity, len(level.orders)) if level else LevelChange(side, price, 0, 0)
