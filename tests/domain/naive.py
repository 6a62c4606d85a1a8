"""A book that anyone can check by eye: one list of orders, sorted anew for each order that comes in."""

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
    """trades: (resting order, quantity, price). refused: the order did nothing; cut: why its rest was thrown away."""

    trades: list[tuple[Name, int, int]]
    rested: int = 0
    refused: str | None = None
    cut: str | None = None


class NaiveBook(Generic[Name, Holder]):
    """Price first, then arrival; an order that would meet its own holder's order goes no further."""

    def __init__(self) -> None:
        self.orders: list[NaiveOrder[Name, Holder]] = []
        self.arrivals = 0

    def place(
        self,
        name: Name,
        holder: Holder,
        side: str,
        price: int | None,
        quantity: int,
        force: str = "GTC",
        *,
        cash: int | None = None,
        lot: int = 1,
        band: tuple[int, int] | None = None,
    ) -> NaiveResult[Name]:
        """Carry out one order. price None: at market, within the band; a purchase at market spends the cash at most."""
        meets: list[tuple[NaiveOrder[Name, Holder], int]] = []
        left, stop = quantity, None
        for best in self.against(side):
            if not left:
                break
            if price is not None and (best.price > price if side == "BUY" else best.price < price):
                break
            if price is None and band and (best.price > band[1] if side == "BUY" else best.price < band[0]):
                stop = "PRICE_BAND"
                break
            if best.holder == holder:
                stop = "SELF_TRADE"
                break
            taken = min(left, best.left)
            if price is None and side == "BUY" and cash is not None:
                while taken * best.price > cash:  # whole lots, as many as the cash pays
                    stop, taken = "CASH_EXHAUSTED", (taken - 1) // lot * lot
                cash -= taken * best.price
            if taken:
                meets.append((best, taken))
                left -= taken
            if stop:
                break
        rests = price is not None and force == "GTC"
        if stop == "CASH_EXHAUSTED" and (force == "FOK" or not meets):
            return NaiveResult([], refused="INSUFFICIENT_BALANCE")
        if stop == "SELF_TRADE" and not meets:
            return NaiveResult([], refused="SELF_TRADE")
        if left and (force == "FOK" or not (meets or rests)):
            return NaiveResult([], refused="NO_LIQUIDITY")
        trades = [(best.name, taken, best.price) for best, taken in meets]
        for best, taken in meets:
            best.left -= taken
        self.orders = [one for one in self.orders if one.left]
        self.arrivals += 1
        if not left:
            return NaiveResult(trades)
        if stop or price is None or force == "IOC":
            return NaiveResult(trades, cut=stop or ("MARKET_REMAINDER" if price is None else "IOC_REMAINDER"))
        self.orders.append(NaiveOrder(name, holder, side, price, left, self.arrivals))
        return NaiveResult(trades, rested=left)

    def against(self, side: str) -> list[NaiveOrder[Name, Holder]]:
        """Return what an order of this side would meet, first to trade first."""
        sign = 1 if side == "BUY" else -1
        others = (one for one in self.orders if one.side != side)
        return sorted(others, key=lambda one: (sign * one.price, one.arrival))

    def cancel(self, name: Name) -> int:
        """Take an order out; return what was left of it."""
        order = next(one for one in self.orders if one.name == name)
        self.orders.remove(order)
        return order.left

    def left(self) -> dict[Name, int]:
        return {one.name: one.left for one in self.orders}

    def queue(self, side: str) -> list[tuple[int, Name, int]]:
        """Return one side as (price, order, left), first to trade first."""
        mine = self.against("SELL" if side == "BUY" else "BUY")
        return [(one.price, one.name, one.left) for one in mine]

    def levels(self) -> Levels:
        found: Levels = {}
        for one in self.orders:
            quantity, orders = found.get((one.side, one.price), (0, 0))
            found[one.side, one.price] = (quantity + one.left, orders + 1)
        return found
