"""A write path without HTTP and GraphQL: `python -m bench.parts.alone` reads a plan and prints what it measured.

With one client, bare transactions of one row run in turn with the orders, on a connection of the desk's own pool.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import uvloop

from api import logs
from api.app import database_name, services, spare_collections
from api.settings import load
from bench.parts import orm, ticketless
from bench.parts.flow import Flow
from bench.parts.ground import attempt_of, place_of
from bench.parts.load import Tally
from db.unit import Pool
from domain.market import Cancel

SLICE_S = 0.25  # so long in turn: orders, then bare rows
CALIBRATION_CLIENTS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. holders: (resting, crossing) of each client.

    variant: desk, ticketed (the desk without bare rows beside it), ticketless, orm, or rows (bare transactions only).
    """

    variant: str
    holders: list[tuple[str, str]]
    seconds: float
    warm_up: float
    seed: int


class Trader:
    """One client: asks, waits, asks again."""

    def __init__(self, desk: Any, holders: tuple[str, str], seed: int, tally: Tally) -> None:
        self.desk, self.tally = desk, tally
        self.holders = [UUID(holder) for holder in holders]
        self.flow = Flow(seed)

    async def ask(self) -> float:
        """Make one attempt; return how long it took."""
        ask, tally = self.flow.next(), self.tally
        holder = self.holders[ask.is_taker]
        started = time.perf_counter()
        if ask.kind == "cancel":
            attempt = attempt_of(holder, "cancelOrder", {"id": ask.order_id})
            answer = await self.desk.submit(attempt, Cancel(ask.order_id, holder))
        else:
            attempt = attempt_of(holder, "placeOrder", {"input": ask.input})
            answer = await self.desk.submit(attempt, place_of(holder, ask.input))
        took = time.perf_counter() - started
        tally.answers += 1
        tally.kinds[ask.kind] += 1
        if answer.refusal:
            tally.refusals[answer.refusal.code.value] += 1
        elif ask.kind != "cancel":
            tally.placed += 1
            tally.trades += len(answer.outcome.trades)
            if ask.kind == "resting" and answer.outcome.order.status in {"OPEN", "PARTIALLY_FILLED"}:
                self.flow.rested(ask, str(answer.outcome.order.id))
        return took


async def one_row(pool: Pool) -> float:
    """Commit one row; return how long it took."""
    async with pool.acquire() as connection:
        started = time.perf_counter()
        async with connection.transaction():
            await connection.execute("INSERT INTO bench_rows (value) VALUES ($1)", "a row of some twenty bytes")
        return time.perf_counter() - started


async def run(plan: Plan) -> tuple[Tally, list[float]]:
    """Ask until the time is up; return also the latencies of the bare rows."""
    settings, tally, rows = load(), Tally(), list[float]()
    if plan.variant == "ticketless":
        ticketless.take_out()
    assert settings.database_url is not None
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(services(settings))
        desk: Any = ours.desk
        if plan.variant == "orm":
            role = f"{database_name(settings.database_url)}_app"
            desk = await stack.enter_async_context(orm.opened(settings.database_url, role, ours.units))
        spare_collections()
        traders = [Trader(desk, one, plan.seed * 1_000 + index, tally) for index, one in enumerate(plan.holders)]
        counts_from = time.perf_counter() + plan.warm_up
        ends_at = counts_from + plan.seconds

        async def trade(trader: Trader, until: float) -> None:
            while (now := time.perf_counter()) < until:
                took = await trader.ask()
                if now >= counts_from:
                    tally.latencies.append(took)

        async def commit(until: float) -> None:
            while (now := time.perf_counter()) < until:
                took = await one_row(ours.pool if plan.variant == "rows" else ours.desk._pool)
                if now >= counts_from:
                    rows.append(took)

        if plan.variant == "rows":
            await asyncio.gather(*(commit(ends_at) for _ in range(CALIBRATION_CLIENTS)))
        elif len(traders) == 1 and plan.variant == "desk":
            while time.perf_counter() < ends_at:
                await trade(traders[0], time.perf_counter() + SLICE_S)
                await commit(time.perf_counter() + SLICE_S)
        else:
            await asyncio.gather(*(trade(trader, ends_at) for trader in traders))
        tally.seconds = time.perf_counter() - counts_from
    return tally, rows


if __name__ == "__main__":
    logs.configure()
    tally, rows = uvloop.run(run(Plan(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(b"\n" + tally.encoded(rows))
