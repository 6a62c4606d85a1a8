"""Two attempts on two processes, one halted before each of its SQL statements in turn while the other runs.

Whatever the point, what comes of both is what comes of one after the other, in one of the two orders.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from db.unit import Answer
from domain.makers import MakerOutcome
from domain.money import Asset
from tests.db.books import assert_same_books, empty_books
from tests.db.gate import STATEMENTS_MAX, WAIT_SECONDS_MAX, Gate
from tests.db.invariants import assert_invariants
from tests.db.process import Process

KINDS = ("buy", "sell", "cancel", "withdraw", "deactivate")
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Act: TypeAlias = Callable[[Process], Awaitable[Answer[Any]]]


@pytest.fixture(scope="module", autouse=True)
async def _laws_hold_at_the_end(one: Process, database: str) -> AsyncIterator[None]:
    yield
    connection = await asyncpg.connect(database)
    await assert_invariants(connection)
    await connection.close()


# -------------------------------------------------------------------------------------------------------------- a stage


@dataclass(frozen=True)
class Stage:
    """Who plays: T has euros and certificates; U a bid of all its euros; M an ask of half its certificates."""

    trader: UUID
    bidder: UUID
    maker: MakerOutcome
    bid: UUID
    ask: UUID

    @classmethod
    async def built(cls, one: Process) -> Stage:
        trader, bidder, maker = await asyncio.gather(one.trader("1000", "10"), one.trader("500"), one.maker("20"))
        bid, ask = await one.place(bidder, "BUY", "10", "50.00"), await one.place(maker, "SELL", "10", "100.00")
        assert bid.outcome and ask.outcome
        return cls(trader, bidder, maker, bid.outcome.order.id, ask.outcome.order.id)

    def act(self, kind: str, other: str) -> Act:
        """Return an attempt of a kind, aimed at what the other kind touches too."""
        pair = {kind, other}
        if kind == "buy":  # T wants M's ask for all its euros; against a sale, to meet it
            price = "75.00" if pair == {"buy", "sell"} else "100.00"
            return lambda process: process.place(self.trader, "BUY", "10", price)
        if kind == "sell":  # T sells all its certificates to U's bid; M does, against those who touch M
            holder = self.maker if other in ("buy", "deactivate") else self.trader
            price = "75.00" if other == "buy" else "50.00"
            return lambda process: process.place(holder, "SELL", "10", price)
        if kind == "cancel":  # M's ask, unless U's bid is what the other one takes
            order_id, holder_id = (self.bid, self.bidder) if other == "sell" else (self.ask, None)
            return lambda process: process.cancel(order_id, holder_id)
        if kind == "deactivate":
            return lambda process: process.delete_maker(self.maker.maker.id)
        # What an order reserves; or all that M has, of which half is in its ask.
        holder_id, asset, amount = self.trader, Asset.EUR, "1000"
        if other == "sell":
            asset, amount = Asset.CEA, "10"
        elif other in ("cancel", "deactivate"):
            holder_id, asset, amount = self.maker.maker.user_id, Asset.CEA, "20"
        return lambda process: process.transact(holder_id, asset, amount, "WITHDRAWAL")

    async def outcome(self, owner: Owner) -> Mapping[str, Any]:
        """Return everything that is left of the three, in words that do not depend on who they are."""
        names = {self.trader: "T", self.bidder: "U", self.maker.maker.user_id: "M"}
        holders = list(names)
        balances = await owner.fetch(
            "SELECT holder_id, asset, available, locked FROM balances WHERE holder_id = ANY($1) AND seq > 0", holders
        )
        orders = await owner.fetch(
            "SELECT user_id, side, price, filled_quantity, status, cancel_reason FROM orders WHERE user_id = ANY($1)",
            holders,
        )
        trades = await owner.fetch(
            "SELECT buyer_id, seller_id, price, quantity FROM cash_market_trades WHERE buyer_id = ANY($1)", holders
        )
        return {
            "balances": sorted((names[row[0]], row[1], int(row[2]), int(row[3])) for row in balances),
            "orders": sorted((names[row[0]], row[1], str(row[2]), int(row[3]), *map(str, row[4:])) for row in orders),
            "trades": sorted((names[row[0]], names[row[1]], str(row[2]), int(row[3])) for row in trades),
        }


async def assert_sound(owner: Owner) -> None:
    """Check what may never be, at once; all the laws follow at the end."""
    row = await owner.fetchrow(
        "SELECT (SELECT count(*) FROM balances WHERE available < 0 OR locked < 0) AS negative,"
        " (SELECT max(price) FILTER (WHERE side = 'BUY') >= min(price) FILTER (WHERE side = 'SELL')"
        "  FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED')) AS crossed"
    )
    assert row is not None
    assert row["negative"] == 0
    assert row["crossed"] is not True


async def ended_or_waits(task: asyncio.Task[Any], owner: Owner) -> None:
    """Wait until an attempt has ended, or waits for a lock that the halted one holds."""
    while not task.done():
        waiting = await owner.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN"
            " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
        )
        if waiting:
            return


def outcome_of(answer: Answer[Any]) -> str:
    return answer.refusal.code if answer.refusal else "done"


async def played(
    one: Process, other: Process, owner: Owner, gate: Gate, kinds: tuple[str, str], halts_at: int | None
) -> tuple[bool, Mapping[str, Any]]:
    """Play a pair on a new stage; return whether the first was halted, and what came of both.

    halts_at: the statement of the first before which the second runs; None: one after the other.
    """
    await empty_books(one)
    stage = await Stage.built(one)
    first, second = stage.act(kinds[0], kinds[1]), stage.act(kinds[1], kinds[0])
    running = asyncio.ensure_future(first(one))
    gate.arm(halts_at, one.desk._task, running)
    was_halted = await gate.is_reached(running)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        following = asyncio.ensure_future(second(other))
        if was_halted:
            await ended_or_waits(following, owner)
        gate.opened.set()
        answers = await asyncio.gather(running, following)
    gate.arm(None)
    await assert_sound(owner)
    return was_halted, {
        "answers": dict(zip(("first", "second"), map(outcome_of, answers), strict=True)),
        **await stage.outcome(owner),
    }


def swapped(result: Mapping[str, Any]) -> Mapping[str, Any]:
    answers = result["answers"]
    return {**result, "answers": {"first": answers["second"], "second": answers["first"]}}


@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, KINDS)), ids="-".join)
async def test_what_two_attempts_come_to_is_what_they_come_to_one_after_the_other(
    one: Process, other: Process, owner: Owner, gate: Gate, kinds: tuple[str, str]
) -> None:
    forward = (await played(one, other, owner, gate, kinds, None))[1]
    backward = swapped((await played(one, other, owner, gate, (kinds[1], kinds[0]), None))[1])
    assert "done" in forward["answers"].values()
    seen = []
    for halts_at in range(1, STATEMENTS_MAX):
        was_halted, result = await played(one, other, owner, gate, kinds, halts_at)
        if not was_halted:
            break
        assert result in (forward, backward), f"halted before statement {halts_at}"
        seen.append(result)
    assert 3 < len(seen) < STATEMENTS_MAX - 1, "it was halted before each of its statements"
    assert backward in seen, "the second one came first at least once"
    assert gate.deadlocks == 0
    await assert_same_books(one, other)
