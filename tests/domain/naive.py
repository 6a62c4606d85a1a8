"""A book that anyone can check by eye: one list of orders, searched for the best one before each trade."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Holder = TypeVar("Holder", bound=Hashable)
Levels = dict[tuple[str, int], tuple[int, int]]  # (side, price) → (quantity, orders)


@dataclass
class NaiveOrder(Generic[Name, Holder]):
    """An order that waits. arrival: its place in the queue of its price."""

    name: Name
    holder: Holder
    side: str
    price: int
    left: int
    arrival: int


@dataclass(frozen=True)
class NaiveResult(Generic[Name]):
    """trades: (resting order, quantity, price). fate: of what did not trade."""

    trades: list[tuple[Name, int, int]]
    rested: int
    fate: str  # FILLED, RESTS, CUT or REFUSED


class NaiveBook(Generic[Name, Holder]):
    """Price first, then arrival; an order that would meet its own holder's order goes no further."""

    def __init__(self) -> None:
        self.orders: list[NaiveOrder[Name, Holder]] = []
        self.arrivals = 0

    def place(self, name: Name, holder: Holder, side: str, price: int, quantity: int) -> NaiveResult[Name]:
        trades: list[tuple[Name, int, int]] = []
        while quantity and (best := self.best_against(side, price)):
            if best.holder == holder:
                if trades:
                    self.arrivals += 1
                return NaiveResult(trades, 0, "CUT" if trades else "REFUSED")
            taken = min(quantity, best.left)
            trades.append((best.name, taken, best.price))
            best.left -= taken
            quantity -= taken
            if best.left == 0:
                self.orders.remove(best)
        self.arrivals += 1
        if quantity:
            self.orders.append(NaiveOrder(name, holder, side, price, quantity, self.arrivals))
        return NaiveResult(trades, quantity, "RESTS" if quantity else "FILLED")

    def best_against(self, side: str, limit: int) -> NaiveOrder[Name, Holder] | None:
        sign = 1 if side == "BUY" else -1
        others = [one for one in self.orders if one.side != side and sign * one.price <= sign * limit]
        return min(others, key=lambda one: (sign * one.price, one.arrival), default=None)

    def cancel(self, name: Name) -> int:
        """Take an order out; return what was left of it."""
        order = next(one for one in self.orders if one.name == name)
        self.orders.remove(order)
        return order.left

    def left(self) -> dict[Name, int]:
        return {one.name: one.left for one in self.orders}

    def queue(self, side: str) -> list[tuple[int, Name, int]]:
        """Return one side as (price, order, left), first to trade first."""
        sign = 1 if side == "SELL" else -1
        mine = sorted((one for one in self.orders if one.side == side), key=lambda one: (sign * one.price, one.arrival))
        return [(one.price, one.name, one.left) for one in mine]

    def levels(self) -> Levels:
        found: Levels = {}
        for one in self.orders:
            quantity, orders = found.get((one.side, one.price), (0, 0))
            found[one.side, one.price] = (quantity + one.left, orders + 1)
        return found
