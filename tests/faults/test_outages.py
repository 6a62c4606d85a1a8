"""Redis and PostgreSQL that go away while a market is watched: trading, watching, and being right again soon after.

Each test has servers and two processes of its own. Its watchers keep their books through all of it; what they show is a
book that was committed, and how old it is can be seen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from db import embedded, migrate
from tests.faults.crowd import (
    BookFollower,
    Flow,
    book_follower,
    journal,
    left_nothing,
    metrics,
    sequence_of,
    watching,
    within,
)
from tests.faults.harm import until_revived
from tests.faults.market import Market, market_of
from tests.redis_server import RedisServer, free_port
from tests.sizes import CROWD

SEED = 20_261_126
PORTS = range(23_700, 23_800)
RIGHT_AGAIN_S = 5.0
BEHIND_S_MAX = 3.0  # without Redis: two looks at the database
BEAT_S_MAX = 2.5  # heartbeats come each second, on a busy machine too
WATCHERS = 6


@asynccontextmanager
async def watched(market: Market) -> AsyncIterator[tuple[list[BookFollower], list[Flow]]]:
    """Let followers watch both processes while traders trade at both; afterwards all is as it was."""
    before = [await metrics(market, at) for at in range(2)]
    traders = await market.traders(4, CEA="100000", EUR="100000000")
    flows = [Flow(market, trader, SEED + number, number) for number, trader in enumerate(traders)]
    followers = [book_follower(market.served[number % 2].url) for number in range(WATCHERS)]
    async with watching(*followers):
        yield followers, flows
    truth = await journal(market)
    for one in followers:
        assert one.follower.books == {sequence: truth[sequence] for sequence in one.follower.books}
    await left_nothing(market, before)


async def right(market: Market, followers: list[BookFollower], seconds: float) -> float:
    """Wait until every book is that of the database."""
    end = await sequence_of(market)
    return await within(seconds, lambda: all(one.follower.sequence == end for one in followers), "right again")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, free_port(PORTS))
    server.start()
    yield server
    server.kill()


async def test_redis_killed_flushed_frozen_and_started_again_is_not_noticed_by_trading(
    market: Market, redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    took: dict[str, float] = {}
    worst: dict[str, float] = {}
    settings = market.settings.model_copy(update={"redis_url": redis.url})
    async with market_of(settings, 2) as apart, watched(apart) as (followers, flows):

        async def stage(name: str, change: Callable[[], object], seconds: float, bound: float) -> None:
            """Change something, trade for so long, and be right within a bound."""
            change()
            begun = time.monotonic()
            beats = [one.follower.heartbeats for one in followers]
            while time.monotonic() - begun < seconds:
                await asyncio.gather(*(flow.run(2) for flow in flows))
            took[name] = await right(apart, followers, bound)
            passed = time.monotonic() - begun
            worst[name] = max(one.behind_s for one in followers)
            for one in followers:
                one.behind_s = 0.0
            assert worst[name] <= bound, f"{name}: a follower knew for {worst[name]:.1f} s that it was behind"
            for one, beat in zip(followers, beats, strict=True):
                assert one.follower.heartbeats - beat >= int(passed / BEAT_S_MAX), name

        await stage("with Redis", lambda: None, 1.0, RIGHT_AGAIN_S)
        await stage("killed", redis.kill, 3.0, BEHIND_S_MAX)
        await stage("started again", redis.start, 2.0, RIGHT_AGAIN_S)
        await stage("flushed", lambda: redis.command("FLUSHALL"), 1.0, RIGHT_AGAIN_S)
        await stage("frozen", redis.freeze, CROWD.frozen_s, BEHIND_S_MAX)
        await stage("thawed", redis.thaw, 2.0, RIGHT_AGAIN_S)
        refused = {code for flow in flows for code in flow.refused}
        assert refused <= {"SELF_TRADE", "NO_LIQUIDITY", "ORDER_NOT_OPEN", "INSUFFICIENT_BALANCE"}
        assert all(one.losses == 0 for one in followers)  # no socket was lost for Redis
    with capsys.disabled():
        told = ", ".join(f"{name} {took[name]:.2f} s (at worst {worst[name]:.2f} s behind)" for name in took)
        print(f"\n[right again after: {told}]", end=" ")  # noqa: T201


async def test_postgresql_restarted_leaves_every_watcher_right_and_saying_how_old_its_book_is(
    market: Market, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with embedded.start(home, lambda _: None) as servers:
        await migrate.upgrade(servers.urls.database_url)
        settings = market.settings.model_copy(
            update={"database_url": servers.urls.database_url, "redis_url": servers.urls.redis_url}
        )
        async with market_of(settings, 2) as apart:
            async with watched(apart) as (followers, flows):
                await asyncio.gather(*(flow.run(10) for flow in flows))
                await right(apart, followers, RIGHT_AGAIN_S)
                trading = [asyncio.create_task(flow.run_on(0.02)) for flow in flows]
                await asyncio.sleep(0.5)
                os.kill(servers.pid("postgres"), signal.SIGKILL)
                await asyncio.sleep(1.5)
                stood = [(one.follower.at, one.follower.heartbeats) for one in followers]
                await asyncio.sleep(2.5)
                for one, (at, beats) in zip(followers, stood, strict=True):
                    assert one.follower.at == at  # the database said nothing since,
                    assert one.follower.heartbeats > beats  # and that is told
                await until_revived(servers)
                back = time.monotonic()
                await asyncio.sleep(1.0)
                for task in trading:
                    task.cancel()
                await asyncio.gather(*trading, return_exceptions=True)
                took = await right(apart, followers, RIGHT_AGAIN_S)
                await within(
                    RIGHT_AGAIN_S, lambda: all(one.follower.at > stood[0][0] for one in followers), "fresh again"
                )
                assert all(one.losses == 0 for one in followers)
            await apart.is_left_quiet()
            await apart.verify()
    with capsys.disabled():
        print(f"\n[right {took:.2f} s after trading ended, {time.monotonic() - back:.1f} s after the start]", end=" ")  # noqa: T201
