"""The pure engine against the public engines of PyPI, on one seeded stream of orders and cancels.

    make bench NAME=engine [ARGS="--seconds 1 --rounds 3"]

Every engine runs the same stream in turn, from an empty book, until its time is up; rounds are interleaved and the
first is dropped. Before anything is timed all engines must have made the same fills. Ours pays for what the others do
not do: the checks of tick, lot, band, role, KYC and cash, self-trade prevention, and the level changes of the journal.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median
from typing import TypeAlias
from uuid import UUID, uuid4

import pyorderbook
from lightmatchingengine.lightmatchingengine import LightMatchingEngine
from lightmatchingengine.lightmatchingengine import Side as LightSide

from bench.parts.figures import Figure, conclude, noise, ratios, spread
from domain import market
from domain.book import Book, OrderSide, Resting
from domain.market import Cancel, Certificate, Order, OrderStatus, OrderType, Party, Place, TimeInForce
from domain.money import CertificateType

EVENTS = 20_000
SEED = 20261122
MIDDLE = 2_500  # cents
LEVELS = 20  # a side
QUANTITY_MAX = 20
HOLDERS = 1_000
RESTING, CROSSING = 0.50, 0.35  # the rest are cancels
ROUNDS, SECONDS = 6, 5.0
CEA = CertificateType.CEA
RULES = Certificate(CEA, "China Emission Allowance", None, Decimal("0.01"), Decimal(1), Decimal("25.00"), False)
BAND = market.band(RULES, Decimal(50))
CASH = 10**15

Fill: TypeAlias = tuple[int, int, int, int]  # resting, incoming, quantity, price
Fills: TypeAlias = "list[Fill] | None"


@dataclass(frozen=True, slots=True)
class Event:
    """A new order, or a cancel of an earlier one when price is None. key: its place among the orders."""

    key: int
    side: OrderSide
    price: int | None
    quantity: int


def stream() -> list[Event]:
    """Return a stream that cancels only what still rests, so that every engine can follow it."""
    chance = random.Random(SEED)
    resting: dict[int, tuple[OrderSide, int, int]] = {}  # side, price, left
    events: list[Event] = []
    key = 0
    while len(events) < EVENTS:
        dice, side = chance.random(), chance.choice(list(OrderSide))
        if dice >= RESTING + CROSSING and resting:
            gone = chance.choice(list(resting))
            events.append(Event(gone, resting.pop(gone)[0], None, 0))
            continue
        away = chance.randint(1, LEVELS)
        if dice < RESTING:
            price = MIDDLE - away if side is OrderSide.BUY else MIDDLE + away
        else:
            price = MIDDLE + away if side is OrderSide.BUY else MIDDLE - away
        event = Event(key, side, price, chance.randint(1, QUANTITY_MAX))
        events.append(event)
        _match(resting, event, price)
        key += 1
    return events


def _match(resting: dict[int, tuple[OrderSide, int, int]], event: Event, limit: int) -> None:
    """Follow an order by hand: keys rise with time, so (price, key) is price-time priority."""
    sign = 1 if event.side is OrderSide.BUY else -1
    left = event.quantity
    others = sorted(
        (sign * price, key) for key, (side, price, _) in resting.items()
        if side is not event.side and sign * price <= sign * limit
    )  # fmt: skip
    for _, key in others:
        side, price, there = resting[key]
        taken = min(left, there)
        left -= taken
        if taken == there:
            del resting[key]
        else:
            resting[key] = (side, price, there - taken)
        if left == 0:
            return
    resting[event.key] = (event.side, limit, left)


# --------------------------------------------------------------------------------------------------------- the engines

Run: TypeAlias = Callable[[Sequence[Event]], Fills]


def ours(events: Sequence[Event], *, is_noted: bool = False) -> Fills:
    """Decide and apply, as the desk does between loading and storing."""
    parties = [Party(uuid4(), None, "Trader", True, True) for _ in range(HOLDERS)]
    stand_in = _order()
    book = Book(CEA, 0, 0, None)
    ids: list[UUID] = []
    fills: list[Fill] = []
    prices = {event.price: Decimal(event.price).scaleb(-2) for event in events if event.price is not None}
    quantities = [Decimal(quantity) for quantity in range(QUANTITY_MAX + 1)]
    for event in events:
        party = parties[event.key % HOLDERS]
        if event.price is None:
            object.__setattr__(stand_in, "id", ids[event.key])  # the row that the desk has loaded
            object.__setattr__(stand_in, "user_id", party.holder_id)
            resting = market.cancel(Cancel("", party.holder_id), stand_in, book)
            book.sequence += 1
            book.apply_cancelled(resting.order_id)
            continue
        request = Place(
            party.holder_id, None, CEA, event.side, OrderType.LIMIT, TimeInForce.GTC, prices[event.price],
            quantities[event.quantity],
        )  # fmt: skip
        terms = market.terms(request, RULES, BAND)
        placement = market.place(book, terms, party, RULES, CASH, 0, BAND)
        order_id = uuid4()
        ids.append(order_id)
        book.sequence += 1
        book.priority += 1
        newcomer = None
        if placement.rested:
            newcomer = Resting(
                order_id, party.holder_id, None, event.side, event.price, placement.rested, book.priority, ""
            )
        if is_noted:
            fills += [
                (ids.index(one.resting.order_id), event.key, one.quantity, one.resting.price) for one in placement.fills
            ]
        book.apply_placed(newcomer, [(one.resting.order_id, one.quantity) for one in placement.fills])
    return fills


def _order() -> Order:
    now = datetime.now(UTC)
    return Order(
        uuid4(), uuid4(), None, CEA, OrderSide.BUY, OrderType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(1),
        Decimal(0), Decimal(0), OrderStatus.OPEN, None, 1, now, now, "TKT-2026-000001",
    )  # fmt: skip


def light(events: Sequence[Event], *, is_noted: bool = False) -> Fills:
    """Run lightmatchingengine; it numbers orders itself, from 1."""
    engine = LightMatchingEngine()
    fills: list[Fill] = []
    for event in events:
        if event.price is None:
            engine.cancel_order(event.key + 1, "CEA")
            continue
        side = LightSide.BUY if event.side is OrderSide.BUY else LightSide.SELL
        order, trades = engine.add_order("CEA", event.price, event.quantity, side)
        if is_noted:
            fills += [
                (one.order_id - 1, event.key, one.trade_qty, one.trade_price)
                for one in trades
                if one.order_id != order.order_id  # each fill is told from both sides
            ]
    return fills


def python_book(events: Sequence[Event], *, is_noted: bool = False) -> Fills:
    """Run pyorderbook; it cancels by the order object."""
    book = pyorderbook.Book()
    orders: list[pyorderbook.Order] = []
    fills: list[Fill] = []
    for event in events:
        if event.price is None:
            book.cancel(orders[event.key])
            continue
        make = pyorderbook.bid if event.side is OrderSide.BUY else pyorderbook.ask
        order = make("CEA", event.price, event.quantity)
        orders.append(order)
        blotter = book.match(order)
        if is_noted:
            keys = {one.id: key for key, one in enumerate(orders)}
            fills += [
                (keys[one.standing_order_id], event.key, one.fill_quantity, int(one.fill_price))
                for one in blotter.trades
            ]
    return fills


ENGINES = {"carbondesk": ours, "lightmatchingengine": light, "pyorderbook": python_book}
GOALS = {"lightmatchingengine": 3.0, "pyorderbook": 6.0}


def speed(run: Run, events: Sequence[Event], seconds: float) -> float:
    """Run the stream again and again; return events a second."""
    gc.collect()
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        run(events)
        count += len(events)
    return count / elapsed


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of each engine in each round")
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    given = asked.parse_args()
    logging.disable(logging.INFO)  # pyorderbook turns logging on when it is imported
    events = stream()
    proof = events[: EVENTS // 10]  # noting fills down looks keys up the slow way
    noted = {name: run(proof, is_noted=True) for name, run in ENGINES.items()}
    assert all(fills == noted["carbondesk"] for fills in noted.values()), "the engines do not agree on the fills"
    print(
        f"{len(events):,} events; {len(noted['carbondesk'] or ())} fills of the first {len(proof):,} equal in all engines"
    )
    speeds: dict[str, list[float]] = {name: [] for name in ENGINES}
    for turn in range(given.rounds):
        for name in sorted(ENGINES, key=lambda _: random.random()):
            measured = speed(ENGINES[name], events, given.seconds)
            if turn:
                speeds[name].append(measured)
    for name, rounds in speeds.items():
        print(f"measure: {name} {median(rounds):,.0f} events/s, noise {noise(rounds):.0%}")
    found = {name: ratios(speeds["carbondesk"], speeds[name]) for name in GOALS}
    for name, values in found.items():
        print(f"measure: carbondesk / {name} {spread(values)}")
    return conclude([Figure(f"engine/{name}", median(found[name]), ">=", goal) for name, goal in GOALS.items()])


if __name__ == "__main__":
    sys.exit(main())
