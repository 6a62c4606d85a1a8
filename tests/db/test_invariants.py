"""A seeded market of several thousand commands through two processes at once; then every law, from the rows."""

from __future__ import annotations

import asyncio
import random
import time
from uuid import UUID

import asyncpg
import pytest

from db.embedded import Servers
from domain.makers import MakerOutcome
from domain.money import Asset
from tests.db.invariants import assert_invariants
from tests.db.process import Process, process

COMMANDS = 3_000
TASKS = 24
SEED = 20_260_504


class Crowd:
    """Traders and makers who act at random, each task from its own seed."""

    def __init__(self, processes: list[Process], traders: list[UUID], makers: list[MakerOutcome]) -> None:
        self.processes = processes
        self.traders = traders
        self.makers = makers
        self.open: list[tuple[UUID, UUID | None]] = []
        self.keys: list[tuple[UUID, str, str, str, str]] = []
        self.replayed = self.done = self.refused = 0

    async def act(self, rng: random.Random) -> None:
        one = rng.choice(self.processes)
        draw = rng.random()
        if draw < 0.60:
            await self.place(one, rng)
        elif draw < 0.75 and self.open:
            order_id, holder_id = self.open.pop(rng.randrange(len(self.open)))
            await one.cancel(order_id, holder_id)
        elif draw < 0.80 and self.keys:
            trader, side, quantity, price, key = rng.choice(self.keys)
            answer = await one.place(trader, side, quantity, price, key)
            assert answer.is_replay
            self.replayed += 1
        elif draw < 0.985:
            kind = rng.choice(["DEPOSIT", "DEPOSIT", "WITHDRAWAL"])
            asset = rng.choice([Asset.EUR, Asset.CEA])
            moved = await one.transact(rng.choice(self.traders), asset, str(rng.randint(1, 5_000)), kind)
            self.refused += moved.refusal is not None
        else:
            self.makers.append(await one.maker("2000"))
            await one.delete_maker(self.makers.pop(0).maker.id)
        self.done += 1

    async def place(self, one: Process, rng: random.Random) -> None:
        price, quantity = f"{25 + rng.randint(-10, 10) / 100:.2f}", str(rng.randint(1, 80))
        if rng.random() < 0.2:
            maker = rng.choice(self.makers)
            answer = await one.place(maker, "SELL", quantity, price)
            holder = None
        else:
            holder = rng.choice(self.traders)
            key = f"key-{rng.getrandbits(64)}" if rng.random() < 0.3 else None
            side = rng.choice(["BUY", "SELL"])
            answer = await one.place(holder, side, quantity, price, key)
            if key:
                self.keys.append((holder, side, quantity, price, key))
        self.refused += answer.refusal is not None
        if answer.outcome and answer.outcome.order.status in ("OPEN", "PARTIALLY_FILLED"):
            self.open.append((answer.outcome.order.id, holder))


@pytest.fixture(scope="module")
async def crowd(servers: Servers, database: str) -> Crowd:
    """Let a crowd trade through two processes until it has done its commands."""
    redis_url = servers.urls.redis_url
    async with process(database, redis_url) as first, process(database, redis_url, admin_id=first.admin_id) as second:
        traders = [await first.trader("20000", "800") for _ in range(10)]
        crowd = Crowd([first, second], traders, [await first.maker("2000") for _ in range(3)])
        started = time.monotonic()

        async def one_task(number: int) -> None:
            rng = random.Random(SEED + number)
            for _ in range(COMMANDS // TASKS):
                await crowd.act(rng)

        await asyncio.gather(*(one_task(number) for number in range(TASKS)))
        print(f"\n{crowd.done} commands in {time.monotonic() - started:.1f} s")  # noqa: T201 - a figure for the log
    return crowd


async def test_every_law_holds_after_a_random_market(crowd: Crowd, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        report = await assert_invariants(connection)
        print(f"\nseed {SEED}: {report.rows}, {crowd.refused} refused, {crowd.replayed} replayed")  # noqa: T201 - as above
    finally:
        await connection.close()
    assert report.rows["cash_market_trades"] > COMMANDS / 20
    assert crowd.refused > COMMANDS / 100
    assert crowd.replayed > COMMANDS / 100
