"""One market for all processes: books caught up by the journal, rules and rights as committed, readers never misled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from db import market
from db.unit import Answer
from domain.errors import ErrorCode
from tests.db.books import assert_same_books, empty_books, rebuilt
from tests.db.invariants import assert_invariants
from tests.db.process import CEA, Process

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    await empty_books(one)
    yield
    await assert_invariants(owner)


async def test_a_process_that_is_behind_catches_up_by_the_journal(
    one: Process, other: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partial fills, sweeps, cuts and cancels of the other process, then a maker deactivated by a unit of work."""
    rng = random.Random(11)
    traders, maker = [await one.trader("1000000", "10000") for _ in range(4)], await one.maker("1000")
    await one.place(traders[0], "SELL", "1", "30.00")
    await other.place(traders[0], "SELL", "1", "30.00")
    held = one.desk._books._books[CEA]
    open_orders: list[tuple[UUID, UUID | None]] = []
    for _ in range(150):
        if open_orders and rng.random() < 0.25:
            await other.cancel(*open_orders.pop(rng.randrange(len(open_orders))))
            continue
        holder: Any = rng.choice([*traders, maker])
        side = "SELL" if holder is maker else rng.choice(["BUY", "SELL"])
        answer = await other.place(holder, side, str(rng.randint(1, 30)), f"{25 + rng.randint(-4, 4) / 100:.2f}")
        if answer.outcome:
            open_orders.append((answer.outcome.order.id, None if holder is maker else holder))
    deleted = await other.delete_maker(maker.maker.id)
    assert deleted.outcome is not None
    assert held.sequence < (await rebuilt(one))[CEA].sequence
    await assert_same_books(one, other)
    assert one.desk._books._books[CEA] is held, "it was brought up to date, not rebuilt"
    monkeypatch.setattr(market, "EVENTS_BEHIND_MAX", 2)
    for _ in range(4):
        await other.place(traders[1], "SELL", "1", "31.00")
    await assert_same_books(one, other)
    assert one.desk._books._books[CEA] is not held, "too far behind: it was rebuilt"


@pytest.mark.parametrize("change", ["is_halted = true", "tick_size = 0.05"])
async def test_a_rule_that_changed_while_the_desk_waited_for_the_market_is_seen(
    one: Process, owner: Owner, change: str
) -> None:
    """The lock was held by whoever changed the certificate: the batch behind it must not decide on the old rules."""
    trader = await one.trader(cea="1000")
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT * FROM books ORDER BY certificate_type FOR NO KEY UPDATE")
    waiting = asyncio.create_task(one.place(trader, "SELL", "1", "25.51"))
    async with asyncio.timeout(1):
        while not await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    await owner.execute(f"UPDATE certificates SET {change} WHERE certificate_type = 'CEA'")
    await transaction.commit()
    answer = await waiting
    await owner.execute("UPDATE certificates SET is_halted = false, tick_size = 0.01")
    assert answer.refusal is not None
    assert answer.refusal.code in (ErrorCode.MARKET_HALTED, ErrorCode.INVALID_PRICE)


async def test_a_maker_deactivated_while_the_desk_waited_is_refused(one: Process, other: Process) -> None:
    for _ in range(8):
        maker = await one.maker("100")
        answers: list[Answer[Any]] = await asyncio.gather(
            *(one.place(maker, "SELL", "1", "40.00") for _ in range(4)),
            other.delete_maker(maker.maker.id),
            *(other.place(maker, "SELL", "1", "40.00") for _ in range(4)),
        )
        codes = {answer.refusal.code for answer in answers if answer.refusal}
        assert codes <= {ErrorCode.MARKET_MAKER_INACTIVE}
        rows = await one.pool.fetch(
            "SELECT count(*) AS n FROM orders WHERE market_maker_id = $1 AND status = 'OPEN'", maker.maker.id
        )
        assert rows[0]["n"] == 0
        balance = await one.pool.fetchrow(
            "SELECT available, locked FROM balances WHERE holder_id = $1", maker.maker.user_id
        )
        assert balance is not None
        assert (balance["available"], balance["locked"]) == (100, 0)


async def test_readers_see_one_total_and_no_crossed_book_during_trading(
    one: Process, other: Process, owner: Owner
) -> None:
    """Jepsen's bank: whoever sums up all balances in one snapshot, at any moment, finds what was deposited."""
    traders = [await one.trader("100000", "1000") for _ in range(4)]
    total = await owner.fetchval("SELECT sum(available + locked) FROM balances WHERE asset = 'EUR'")
    is_over = False

    async def read() -> int:
        reads = 0
        while not is_over:
            row = await owner.fetchrow(
                "SELECT (SELECT sum(available + locked) FROM balances WHERE asset = 'EUR') AS total,"
                " (SELECT count(*) FROM balances WHERE available < 0 OR locked < 0) AS negative,"
                " (SELECT max(price) FILTER (WHERE side = 'BUY') < min(price) FILTER (WHERE side = 'SELL')"
                "  FROM orders WHERE certificate_type = 'CEA' AND status IN ('OPEN', 'PARTIALLY_FILLED')) AS apart"
            )
            assert row is not None
            assert (row["total"], row["negative"]) == (total, 0)
            assert row["apart"] is not False
            reads += 1
        return reads

    async def trade(number: int) -> None:
        rng = random.Random(number)
        for _ in range(15):
            price, side = f"{25 + rng.randint(-3, 3) / 100:.2f}", rng.choice(["BUY", "SELL"])
            await (one, other)[number % 2].place(rng.choice(traders), side, str(rng.randint(1, 20)), price)

    reading = asyncio.create_task(read())
    await asyncio.gather(*map(trade, range(16)))
    is_over = True
    assert await reading > 20


async def test_notices_are_contiguous_and_come_after_the_commit(one: Process) -> None:
    trader = await one.trader("100000", "1000")
    await one.place(trader, "SELL", "1", "35.00")
    one.notices.clear()
    await asyncio.gather(*(one.place(trader, "SELL", "1", "35.00") for _ in range(10)))
    await one.place(trader, "BUY", "1", "20.00")
    books = [notice.message for notice in one.notices if notice.channel == "book"]
    assert all(b["previousSequence"] == a["sequence"] for a, b in pairwise(books))
    head = await one.pool.fetchrow("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
    assert head is not None
    assert books[-1]["sequence"] == head["sequence"]
    assert books[-1]["changes"] == [["BUY", "20.00", "1", 1]]
