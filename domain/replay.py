"""Replay of the journal. Law: whoever reads it from its start comes to the same trades, levels and book.

This is a second matcher, on purpose not the one of `domain.market`: it shares no line of code with what it examines.
Prices are integers of EUR cents, quantities integers of certificates.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from uuid import UUID

from domain.book import LevelChange, OrderSide
from domain.market import CancelReason, EventKind, OrderType, TimeInForce

# Where these two stop a MARKET order is not in the journal: it tells neither the band nor the cash of that moment.
UNTOLD = (CancelReason.PRICE_BAND, CancelReason.CASH_EXHAUSTED)


@dataclass(frozen=True, slots=True)
class Taken:
    """One trade as the resting order sees it."""

    order_id: UUID
    price: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal, with its order and its trades in the order of their positions. price: None for MARKET."""

    sequence: int
    kind: EventKind
    order_id: UUID
    holder_id: UUID
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    price: int | None
    quantity: int
    rested: int
    priority: int
    cancel_reason: str | None  # of the order as it stands today; one that was cut when it was placed never lost it
    taken: tuple[Taken, ...]
    levels: tuple[LevelChange, ...]


@dataclass(slots=True)
class _Waiting:
    order_id: UUID
    holder_id: UUID
    price: int
    left: int


@dataclass(slots=True)
class _Level:
    orders: OrderedDict[UUID, _Waiting] = field(default_factory=OrderedDict)  # oldest first
    quantity: int = 0


class _Side:
    """One side: a heap of prices, best first; a price whose level is gone is dropped when it comes to the top."""

    def __init__(self, side: OrderSide) -> None:
        self.side = side
        self.sign = -1 if side is OrderSide.BUY else 1
        self.prices: list[int] = []
        self.levels: dict[int, _Level] = {}

    def first(self) -> _Waiting | None:
        """Return the order that trades next: the best price, then the oldest."""
        while self.prices:
            level = self.levels.get(self.sign * self.prices[0])
            if level:
                return next(iter(level.orders.values()))
            heappop(self.prices)
        return None

    def add(self, order: _Waiting) -> None:
        if order.price not in self.levels:
            self.levels[order.price] = _Level()
            heappush(self.prices, self.sign * order.price)
        level = self.levels[order.price]
        level.orders[order.order_id] = order
        level.quantity += order.left

    def lower(self, order: _Waiting, quantity: int) -> None:
        level = self.levels[order.price]
        order.left -= quantity
        level.quantity -= quantity
        if not order.left:
            del level.orders[order.order_id]
            if not level.orders:
                del self.levels[order.price]

    def as_told(self, price: int) -> LevelChange:
        level = self.levels.get(price) or _Level()
        return LevelChange(self.side, price, level.quantity, len(level.orders))


class Replay:
    """The book of one certificate, read from its journal."""

    def __init__(self) -> None:
        self.sequence = 0
        self.priority = 0
        self.last_price: int | None = None
        self._sides = {side: _Side(side) for side in OrderSide}
        self._orders: dict[UUID, _Waiting] = {}
        self._touched: set[tuple[OrderSide, int]] = set()

    @property
    def left(self) -> dict[UUID, int]:
        """What is left of each order in the book."""
        return {order_id: order.left for order_id, order in self._orders.items()}

    def step(self, entry: Entry) -> str | None:
        """Carry out one entry; return what it tells differently from the rules, or None. After that nothing fits."""
        self._touched.clear()
        if entry.sequence != self.sequence + 1:
            return f"sequence {entry.sequence} follows {self.sequence}"
        self.sequence = entry.sequence
        differs = self._cancel(entry) if entry.kind is EventKind.CANCELLED else self._place(entry)
        return differs or self._tell(entry)

    def _cancel(self, entry: Entry) -> str | None:
        order = self._orders.pop(entry.order_id, None)
        if order is None:
            return f"order {entry.order_id} is cancelled and is not in the book"
        if (entry.price, entry.quantity, entry.rested, entry.taken) != (order.price, order.left, 0, ()):
            return (
                f"{entry.quantity} @ {entry.price} cents are cancelled with {len(entry.taken)} trades;"
                f" {order.left} @ {order.price} cents were left"
            )
        self._touched.add((entry.side, order.price))
        self._sides[entry.side].lower(order, order.left)
        return None

    def _place(self, entry: Entry) -> str | None:
        if (entry.price is None) is (entry.order_type is OrderType.LIMIT):
            return f"a {entry.order_type} order {'without' if entry.price is None else 'with'} a price"
        self.priority += 1
        if entry.priority != self.priority:
            return f"priority {entry.priority} where {self.priority} is next"
        is_untold = entry.order_type is OrderType.MARKET and entry.cancel_reason in UNTOLD
        wanted = sum(one.quantity for one in entry.taken) if is_untold else entry.quantity
        taken = self._take(entry, wanted)
        if taken != entry.taken:
            return f"trades {_trades(entry.taken)}; first in, first out gives {_trades(taken)}"
        left = entry.quantity - sum(one.quantity for one in taken)
        rests, differs = self._fate(entry, left)
        if differs:
            return differs
        if entry.rested != rests:
            return f"{entry.rested} rest; {rests} should"
        if rests:
            assert entry.price is not None, "only LIMIT orders rest"
            order = _Waiting(entry.order_id, entry.holder_id, entry.price, rests)
            self._orders[entry.order_id] = order
            self._sides[entry.side].add(order)
            self._touched.add((entry.side, entry.price))
        return None

    def _next_against(self, entry: Entry) -> _Waiting | None:
        """Return the order that this one would trade with next, whoever's it is."""
        other = self._sides[OrderSide.SELL if entry.side is OrderSide.BUY else OrderSide.BUY]
        first = other.first()
        if first and entry.price is not None and other.sign * first.price > other.sign * entry.price:
            return None
        return first

    def _take(self, entry: Entry, wanted: int) -> tuple[Taken, ...]:
        taken = []
        while wanted and (first := self._next_against(entry)) and first.holder_id != entry.holder_id:
            quantity = min(wanted, first.left)
            side = OrderSide.SELL if entry.side is OrderSide.BUY else OrderSide.BUY
            self._touched.add((side, first.price))
            self._sides[side].lower(first, quantity)
            if not first.left:
                del self._orders[first.order_id]
            taken.append(Taken(first.order_id, first.price, quantity))
            self.last_price = first.price
            wanted -= quantity
        return tuple(taken)

    def _fate(self, entry: Entry, left: int) -> tuple[int, str | None]:
        """Return what should rest of an order, and what is wrong with how the rest was cut."""
        if not left:
            return 0, None
        following = self._next_against(entry)
        is_limit = entry.order_type is OrderType.LIMIT
        if is_limit and entry.time_in_force is TimeInForce.GTC and following is None:
            return left, None
        if entry.time_in_force is TimeInForce.FOK or not entry.taken:
            return 0, f"{left} of {entry.quantity} did not trade; such an order is refused"
        if not is_limit and entry.cancel_reason in UNTOLD:
            return 0, _untold_stop(entry, following)
        if following is not None:  # the walk only stops before an order of one's own
            reason = CancelReason.SELF_TRADE
        else:
            reason = CancelReason.IOC_REMAINDER if is_limit else CancelReason.MARKET_REMAINDER
        return 0, None if entry.cancel_reason == reason else f"cut as {entry.cancel_reason}; it was {reason}"

    def _tell(self, entry: Entry) -> str | None:
        levels = {(side, price): self._sides[side].as_told(price) for side, price in self._touched}
        told = {(level.side, level.price): level for level in entry.levels}
        if told == levels and len(entry.levels) == len(levels):
            return None
        return f"levels {_levels(entry.levels)}; the book has {_levels(levels.values())}"


def _untold_stop(entry: Entry, following: _Waiting | None) -> str | None:
    """Say what speaks against a stop by band or cash: something must be left to stop before."""
    if following is None:
        return f"cut as {entry.cancel_reason}; the other side was used up"
    if entry.cancel_reason == CancelReason.PRICE_BAND:
        return "cut as PRICE_BAND in the middle of a level" if following.price == entry.taken[-1].price else None
    if entry.side is OrderSide.SELL or following.holder_id == entry.holder_id:
        return f"cut as CASH_EXHAUSTED; a {entry.side} before order {following.order_id} is not"
    return None


def _trades(taken: tuple[Taken, ...]) -> str:
    return ", ".join(f"{one.quantity} @ {one.price} cents with {one.order_id}" for one in taken) or "none"


def _levels(levels: Iterable[LevelChange]) -> str:
    told = sorted(levels, key=lambda level: (level.side, level.price))
    return ", ".join(f"{one.side} {one.price} cents: {one.quantity} in {one.order_count}" for one in told) or "none"
