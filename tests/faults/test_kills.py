"""API processes and PostgreSQL killed with SIGKILL at random moments while clients trade: what was said is so."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import pytest

from db.embedded import Servers
from tests.faults.harm import (
    kill_api,
    kill_backend,
    kill_postgres,
    ready_again,
    servers_to_harm,
    until_accepting,
    until_revived,
)
from tests.faults.history import clients_of, trading
from tests.faults.market import Market
from tests.sizes import KILLS

SEED = 20_261_209
BETWEEN_S = (0.2, 0.9)  # trading between two kills


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with servers_to_harm() as running:
        yield running


async def test_an_api_process_killed_at_any_moment_loses_and_doubles_nothing(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, ready = random.Random(SEED), []
    async with trading(market, await clients_of(market, SEED)) as at_work:
        for number in range(KILLS.api):
            await asyncio.sleep(rng.uniform(*BETWEEN_S))
            child = market.served[number % len(market.served)].child
            await kill_api(child)
            child.start()
            ready.append(await ready_again(market, time.monotonic()))
        await at_work.answers_again(time.monotonic())
    with capsys.disabled():
        print(f"\n[{KILLS.api} API processes killed: {await at_work.check()}; ready in {max(ready):.1f} s]", end=" ")  # noqa: T201


async def test_postgresql_killed_at_any_moment_loses_and_doubles_nothing(
    market: Market, servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, ready, answered = random.Random(SEED + 1), [], []
    async with trading(market, await clients_of(market, SEED + 1)) as at_work:
        for number in range(KILLS.postgres):
            await asyncio.sleep(rng.uniform(*BETWEEN_S))
            if number % 3 == 1:
                await kill_backend(servers, market.api.database_url)
                await until_accepting(market.api.database_url)
            else:
                await kill_postgres(servers)
                await until_revived(servers)
            back = time.monotonic()
            ready.append(await ready_again(market, back))
            answered.append(await at_work.answers_again(back))
    with capsys.disabled():
        print(  # noqa: T201 - figures for the log
            f"\n[PostgreSQL killed {KILLS.postgres} times: {await at_work.check()}; after it was back: ready in"
            f" {max(ready):.1f} s, a new attempt answered in {max(answered):.1f} s]",
            end=" ",
        )
