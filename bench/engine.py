"""The pure engine against the public engines of PyPI, on one seeded stream of orders and cancels.

    make bench NAME=engine [ARGS="--seconds 1 --rounds 3"]

Every engine runs the same stream in turn, from an empty book, until its time is up; rounds are interleaved and the
first is dropped. Before anything is timed all engines must have made the same fills. There is a goal for each peer on
each book, since the answer depends on the book: lightmatchingengine looks at every price of a side with each order, so
it is at its best where few prices are in use. With ticks of 0.01 EUR and prices of 25 to 80 EUR a market
looks more like the deep book than like the thin one.

Ours pays for what the others do not do: role, KYC, halt and cash, self-trade prevention, the band, and the level
changes of the journal. `checked` also pays for turning a request of Decimals into terms on the certificate's grid.
Inputs stand ready before the time runs, for all: figures, ids, and for ours who asks and the stored order of a cancel.
Terms are made within it, as the peers make their orders.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from statistics import median
from typing import TypeAlias
from uuid import UUID, uuid4

import pyorderbook
from lightmatchingengine.lightmatchingengine import LightMatchingEngine
from lightmatchingengine.lightmatchingengine import Side as LightSide

from bench.parts.figures import Figure, conclude, noise, ratios, spread
from domain import market
from domain.book import Book, OrderSide, Resting
from domain.market import Cancel, Certificate, Order, OrderStatus, OrderType, Party, Place, Terms, TimeInForce
from domain.money import CertificateType

EVENTS = 20_000
SEED = 20261122
MIDDLE = 5_000  # cents
QUANTITY_MAX = 20
RESTING, CROSSING = 0.50, 0.35  # the rest are cancels
ROUNDS, SECONDS = 6, 5.0
BOOKS = {"thin": (0, 20), "usual": (2_000, 40), "deep": (20_000, 250)}  # orders at the start, levels a side
CEA = CertificateType.CEA
RULES = Certificate(CEA, "China Emission Allowance", None, Decimal("0.01"), Decimal(1), Decimal("50.00"), False)
BAND = market.band(RULES, Decimal(50))
CASH = 10**15
HOLDERS = 64  # of each side
LIMIT, GTC = OrderType.LIMIT, TimeInForce.GTC

Fill: TypeAlias = tuple[int, int, int, int]  # resting, incoming, quantity, price


@dataclass(frozen=True, slots=True)
class Event:
    """A new order, or a cancel of an earlier one when price is 0. key: its place among the orders."""

    key: int
    side: OrderSide
    price: int
    quantity: int


@cache
def stream(name: str) -> list[Event]:
    """Return a stream that cancels only what still rests, so that every engine can follow it."""
    start, levels = BOOKS[name]
    chance = random.Random(SEED)
    follower = LightMatchingEngine()
    live: dict[int, OrderSide] = {}
    events: list[Event] = []
    key = 0
    while len(events) < start + EVENTS:
        dice, side = chance.random(), chance.choice(list(OrderSide))
        if len(events) < start:
            dice = 0.0
        if dice >= RESTING + CROSSING and live:
            gone = chance.choice(list(live)[:: 1 + len(live) // 100])  # a sample is enough
            events.append(Event(gone, live.pop(gone), 0, 0))
            follower.cancel_order(gone + 1, "CEA")
            continue
        away = chance.randint(1, levels) * (1 if side is OrderSide.SELL else -1)
        price = MIDDLE + away if dice < RESTING else MIDDLE - away
        event = Event(key, side, price, chance.randint(1, QUANTITY_MAX))
        events.append(event)
        order, trades = follower.add_order("CEA", price, event.quantity, LIGHT_SIDES[side])
        known = follower.order_books["CEA"].order_id_map
        for trade in trades:
            if trade.order_id != order.order_id and not known[trade.order_id].leaves_qty:
                live.pop(trade.order_id - 1)
        if order.leaves_qty:
            live[key] = side
        key += 1
    return events


LIGHT_SIDES = {OrderSide.BUY: LightSide.BUY, OrderSide.SELL: LightSide.SELL}


# --------------------------------------------------------------------------------------------------------- the engines

Run: TypeAlias = Callable[[str], list[Fill]]  # by the name of the book


@dataclass(frozen=True, slots=True)
class Given:
    """What the desk has loaded when it decides an event: who asks, the order's id, and of a cancel the stored order."""

    party: Party
    order_id: UUID
    cancel: Cancel | None = None
    stored: Order | None = None


@cache
def given(name: str) -> list[Given]:
    """Return what comes to our engine from outside, as the peers are given figures, ids and order objects.

    Nobody both buys and sells: the peers have no self-trade prevention, so ours must never have to act.
    """
    people = {side: [Party(uuid4(), None, "Trader", True, True) for _ in range(HOLDERS)] for side in OrderSide}
    orders: dict[int, Given] = {}
    found: list[Given] = []
    for event in stream(name):
        if event.price:
            orders[event.key] = one = Given(people[event.side][event.key % HOLDERS], uuid4())
        else:
            party, order_id = orders[event.key].party, orders[event.key].order_id
            cancel, stored = Cancel(str(order_id), party.holder_id), _stored(order_id, party.holder_id)
            one = Given(party, order_id, cancel, stored)
        found.append(one)
    return found


def _stored(order_id: UUID, holder_id: UUID) -> Order:
    now = datetime.now(UTC)
    return Order(
        order_id, holder_id, None, CEA, OrderSide.BUY, OrderType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(1),
        Decimal(0), Decimal(0), OrderStatus.OPEN, None, 1, now, now, "TKT-2026-000001",
    )  # fmt: skip


@cache
def request_of(side: OrderSide, price: int, quantity: int) -> Place:
    """Return what the door hands over."""
    figures = Decimal(price).scaleb(-2), Decimal(quantity)
    return Place(UUID(int=0), None, CEA, side, OrderType.LIMIT, TimeInForce.GTC, *figures)


def ours(name: str, *, is_checked: bool = False, is_noted: bool = False) -> list[Fill]:
    """Decide and apply, as the desk does between loading and storing."""
    book = Book(CEA, 0, 0, None)
    fills: list[Fill] = []
    keys: dict[UUID, int] = {}
    for event, loaded in zip(stream(name), given(name), strict=True):
        party = loaded.party
        if loaded.cancel is not None:
            resting = market.cancel(loaded.cancel, loaded.stored, book)
            book.sequence += 1
            book.apply_cancelled(resting.order_id)
            continue
        if is_checked:
            terms = market.terms(request_of(event.side, event.price, event.quantity), RULES, BAND)
        else:
            terms = Terms(CEA, event.side, LIMIT, GTC, event.price, event.quantity, 1)
        placement = market.place(book, terms, party, RULES, CASH, 0, BAND)
        book.sequence += 1
        book.priority += 1
        newcomer = None
        if rested := placement.rested:
            newcomer = Resting(
                loaded.order_id, party.holder_id, None, event.side, event.price, rested, book.priority, ""
            )
        book.apply_placed(newcomer, placement.fills)
        if is_noted:
            keys[loaded.order_id] = event.key
            fills += [
                (keys[one.resting.order_id], event.key, one.quantity, one.resting.price) for one in placement.fills
            ]
    return fills


def light(name: str, *, is_noted: bool = False) -> list[Fill]:
    """Run lightmatchingengine; it numbers orders itself, from 1."""
    engine = LightMatchingEngine()
    fills: list[Fill] = []
    for event in stream(name):
        if not event.price:
            engine.cancel_order(event.key + 1, "CEA")
            continue
        order, trades = engine.add_order("CEA", event.price, event.quantity, LIGHT_SIDES[event.side])
        if is_noted:
            fills += [
                (one.order_id - 1, event.key, one.trade_qty, one.trade_price)
                for one in trades
                if one.order_id != order.order_id  # each fill is told from both sides
            ]
    return fills


def python_book(name: str, *, is_noted: bool = False) -> list[Fill]:
    """Run pyorderbook; it cancels by the order object."""
    book = pyorderbook.Book()
    orders: list[pyorderbook.Order] = []
    keys: dict[UUID, int] = {}
    fills: list[Fill] = []
    for event in stream(name):
        if not event.price:
            book.cancel(orders[event.key])
            continue
        make = pyorderbook.bid if event.side is OrderSide.BUY else pyorderbook.ask
        order = make("CEA", event.price, event.quantity)
        orders.append(order)
        blotter = book.match(order)
        if is_noted:
            keys[order.id] = event.key
            fills += [
                (keys[one.standing_order_id], event.key, one.fill_quantity, int(one.fill_price))
                for one in blotter.trades
            ]
    return fills


ENGINES: dict[str, Run] = {
    "carbondesk": ours,
    "carbondesk checked": partial(ours, is_checked=True),
    "lightmatchingengine": light,
    "pyorderbook": python_book,
}
GOALS = {"lightmatchingengine": 3.0, "pyorderbook": 6.0}


def speed(run: Run, name: str, seconds: float) -> float:
    """Run the stream again and again; return events a second of this process's CPU time.

    The engines only compute, so what others do on the machine need not count as the time of one of them.
    """
    gc.collect()
    gc.freeze()  # what was there before is nobody's litter: no engine pays for looking through it
    count, started = 0, time.process_time()
    while (elapsed := time.process_time() - started) < seconds:
        run(name)
        count += len(stream(name))
    return count / elapsed


def compared(name: str, seconds: float, rounds: int) -> dict[str, float]:
    """Run one stream on all engines; print what they did and return ours over each peer's."""
    events = stream(name)
    noted = [run(name, is_noted=True) for run in (ours, light, python_book)]
    assert noted[0] == noted[1] == noted[2], "the engines do not agree on the fills"
    print(f"{name} book: {BOOKS[name][0]:,} orders first, {BOOKS[name][1]} levels a side;"
          f" {len(events):,} events, {len(noted[0]):,} fills, equal in all engines")  # fmt: skip
    speeds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for turn in range(rounds):
        for engine in random.sample(list(ENGINES), len(ENGINES)):
            measured = speed(ENGINES[engine], name, seconds)
            if turn:
                speeds[engine].append(measured)
    for engine, values in speeds.items():
        print(f"measure: {name}: {engine} {median(values):,.0f} events/s, noise {noise(values):.0%}")
    found = {peer: ratios(speeds["carbondesk"], speeds[peer]) for peer in GOALS}
    for peer, values in found.items():
        print(f"measure: {name}: carbondesk / {peer} {spread(values)}")
    return {peer: median(values) for peer, values in found.items()}


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of each engine in each round")
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    given = asked.parse_args()
    logging.disable(logging.INFO)  # pyorderbook turns logging on when it is imported
    found = {name: compared(name, given.seconds, given.rounds) for name in BOOKS}
    return conclude(
        [
            Figure(f"engine/{peer}@{name}", found[name][peer], ">=", goal)
            for name in BOOKS
            for peer, goal in GOALS.items()
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
