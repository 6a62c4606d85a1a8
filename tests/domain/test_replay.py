"""The replay of the journal: what follows from the rules passes, and each way to tell it differently is named."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from domain.book import Book, LevelChange, OrderSide, Resting
from domain.market import CancelReason, EventKind, OrderType, TimeInForce
from domain.money import CertificateType
from domain.replay import Entry, Replay, Taken
from tests.domain.naive import NaiveBook

ANN, BEN = UUID(int=1), UUID(int=2)
FIRST, SECOND, THIRD, TAKER = (UUID(int=number) for number in range(11, 15))
COMMANDS = 2_000
SELL, BUY = OrderSide.SELL, OrderSide.BUY


def placed(sequence: int, order_id: UUID, side: OrderSide, price: int | None, quantity: int) -> Entry:
    """Tell of an order that trades nothing and rests."""
    order_type = OrderType.MARKET if price is None else OrderType.LIMIT
    return Entry(sequence, EventKind.PLACED, order_id, ANN, side, order_type, TimeInForce.GTC, price, quantity,
                 quantity, sequence, None, (), (LevelChange(side, price or 0, quantity, 1),))  # fmt: skip


def with_three_asks() -> Replay:
    replay = Replay()
    assert replay.step(placed(1, FIRST, SELL, 2_000, 5)) is None
    second = replace(placed(2, SECOND, SELL, 2_000, 5), levels=(LevelChange(SELL, 2_000, 10, 2),))
    assert replay.step(second) is None
    assert replay.step(placed(3, THIRD, SELL, 2_010, 5)) is None
    return replay


def test_what_follows_from_the_rules_passes() -> None:
    replay = with_three_asks()
    assert replay.step(TAKES_SEVEN) is None
    assert replay.left == {SECOND: 3, THIRD: 5}
    assert (replay.sequence, replay.priority, replay.last_price) == (4, 4, 2_000)


TAKES_SEVEN = Entry(4, EventKind.PLACED, TAKER, BEN, BUY, OrderType.LIMIT, TimeInForce.GTC, 2_000, 7, 0, 4, None,
                    (Taken(FIRST, 2_000, 5), Taken(SECOND, 2_000, 2)), (LevelChange(SELL, 2_000, 3, 1),))  # fmt: skip
MARKET = replace(TAKES_SEVEN, order_type=OrderType.MARKET, price=None)
CANCEL = replace(TAKES_SEVEN, kind=EventKind.CANCELLED, order_id=SECOND, side=SELL, quantity=5, taken=(), price=2_000)


@pytest.mark.parametrize(("entry", "said"), [
    (replace(TAKES_SEVEN, sequence=5), "sequence 5 follows 3"),
    (replace(TAKES_SEVEN, priority=5), "priority 5 where 4 is next"),
    (replace(TAKES_SEVEN, price=None), "a LIMIT order without a price"),
    (replace(TAKES_SEVEN, taken=TAKES_SEVEN.taken[::-1]), "first in, first out gives"),
    (replace(TAKES_SEVEN, taken=TAKES_SEVEN.taken[:1]), "first in, first out gives"),
    (replace(TAKES_SEVEN, holder_id=ANN), "first in, first out gives none"),
    (replace(TAKES_SEVEN, rested=1), "1 rest; 0 should"),
    (replace(TAKES_SEVEN, levels=()), "levels none; the book has SELL 2000 cents: 3 in 1"),
    (replace(TAKES_SEVEN, levels=TAKES_SEVEN.levels * 2), "the book has SELL 2000 cents: 3 in 1"),
    (replace(MARKET, quantity=9, cancel_reason=CancelReason.PRICE_BAND), "in the middle of a level"),
    (replace(MARKET, quantity=9, holder_id=ANN, taken=(), cancel_reason=CancelReason.CASH_EXHAUSTED), "is refused"),
    (replace(MARKET, quantity=9, cancel_reason=CancelReason.MARKET_REMAINDER), "first in, first out gives"),
    (replace(CANCEL, order_id=TAKER), "is not in the book"),
    (replace(CANCEL, quantity=4), "4 @ 2000 cents are cancelled with 0 trades; 5 @ 2000 cents were left"),
])  # fmt: skip
def test_what_does_not_follow_is_said(entry: Entry, said: str) -> None:
    differs = with_three_asks().step(entry)
    assert differs is not None
    assert said in differs


def test_a_band_before_the_next_level_and_cash_within_a_level_are_believed() -> None:
    whole = (Taken(FIRST, 2_000, 5), Taken(SECOND, 2_000, 5))
    band = replace(MARKET, quantity=12, taken=whole, cancel_reason=CancelReason.PRICE_BAND,
                   levels=(LevelChange(SELL, 2_000, 0, 0),))  # fmt: skip
    assert with_three_asks().step(band) is None
    assert with_three_asks().step(replace(MARKET, quantity=12, cancel_reason=CancelReason.CASH_EXHAUSTED)) is None


def test_it_agrees_with_the_naive_book_and_the_real_one_on_a_random_stream() -> None:
    rng = random.Random(20_261_122)
    naive: NaiveBook[UUID, UUID] = NaiveBook()
    replay, book = Replay(), Book(CertificateType.CEA, 0, 0, None)
    people = [uuid4() for _ in range(5)]
    for sequence in range(1, COMMANDS):
        if naive.orders and rng.random() < 0.3:
            order = rng.choice(naive.orders)
            side = OrderSide(order.side)
            entry = Entry(sequence, EventKind.CANCELLED, order.name, order.holder, side, OrderType.LIMIT,
                          TimeInForce.GTC, order.price, order.left, 0, 0, None, (),
                          tuple(book.apply_cancelled(order.name)))  # fmt: skip
            naive.cancel(order.name)
        else:
            entry = random_order(rng, sequence, people, naive, book)
        assert replay.step(entry) is None
    assert replay.left == {one.name: one.left for one in naive.orders}
    assert replay.left == {order_id: order.remaining for order_id, order in book.orders.items()}
    assert replay.last_price == book.last_price


def random_order(
    rng: random.Random, sequence: int, people: list[UUID], naive: NaiveBook[UUID, UUID], book: Book
) -> Entry:
    """Carry out random orders in the naive book until one is not refused: that one is in the journal."""
    while True:
        order_id, side, quantity = uuid4(), rng.choice([BUY, SELL]), rng.randint(1, 30)
        holder = uuid4() if rng.random() < 0.5 else rng.choice(people)
        force = rng.choice([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
        price = rng.randint(90, 110) if force is TimeInForce.GTC or rng.random() < 0.5 else None
        cash = rng.randint(100, 3_000) if price is None and side is BUY else None
        band = None if price else (rng.randint(90, 99), rng.randint(101, 110))
        result = naive.place(order_id, holder, side.value, price, quantity, force.value, cash=cash, band=band)
        if not result.refused:
            break
    book.priority += 1
    rests = None
    if result.rested:
        assert price is not None
        rests = Resting(order_id, holder, None, side, price, result.rested, book.priority, "")
    levels = book.apply_placed(rests, [book.fill(name, taken) for name, taken, _ in result.trades])
    taken = tuple(Taken(name, at, quantity) for name, quantity, at in result.trades)
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    return Entry(sequence, EventKind.PLACED, order_id, holder, side, kind, force, price, quantity, result.rested,
                 book.priority, result.cut, taken, tuple(levels))  # fmt: skip
