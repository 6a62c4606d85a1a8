"""Redis flushed, set back, frozen, full, killed and started again while orders pour in, each twice: trading goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from api.app import database_name
from api.settings import Settings
from db import numbers
from db.unit import Pool
from tests.faults.market import Market, Told
from tests.redis_server import RedisServer, free_port
from tests.world import PLACE_ORDER

SEED = 20_261_206
PORTS = range(27_400, 27_500)
CLIENTS = 8
BETWEEN_S = 0.7  # so long orders pour in before, between and after the faults
AWAY_S = 1.0


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), free_port(PORTS))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def settings(settings: Settings, redis_server: RedisServer) -> Settings:
    """Put a Redis that may be harmed into the place of the one of all tests."""
    return settings.model_copy(update={"redis_url": redis_server.url})


async def flushed(server: RedisServer) -> None:
    server.command("FLUSHALL")


async def set_back(server: RedisServer) -> None:
    """Play a Redis that was restored from an old copy: it dispenses numbers that are tickets already."""
    keys = server.command("KEYS", "*lease:*")
    assert isinstance(keys, list)
    for key in keys:
        server.command("SET", key.decode(), "0")


async def frozen(server: RedisServer) -> None:
    server.freeze()
    await asyncio.sleep(AWAY_S)
    server.thaw()


async def out_of_memory(server: RedisServer) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(AWAY_S)
    server.command("CONFIG", "SET", "maxmemory", "0")


async def restarted(server: RedisServer) -> None:
    server.kill()
    server.start()


async def away(server: RedisServer) -> None:
    server.kill()
    await asyncio.sleep(AWAY_S)
    server.start()


FAULTS: tuple[Callable[[RedisServer], Awaitable[None]], ...] = (
    flushed,
    set_back,
    frozen,
    out_of_memory,
    restarted,
    away,
)


@pytest.fixture
async def closing_pool(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    monkeypatch.setattr(numbers, "CLOSE_AFTER_S", 0)
    assert settings.database_url is not None
    role = f"{database_name(settings.database_url)}_app"
    pool = await Pool.open(settings.database_url, role=role, size_max=1, name="closing")
    yield pool
    await pool.close()


async def test_no_order_is_refused_no_number_is_used_twice_and_gaps_are_voids(
    market: Market, redis_server: RedisServer, closing_pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    traders = await market.traders(CLIENTS, CEA="100000")
    is_over = asyncio.Event()
    before = await market.root_tickets()

    async def pour(number: int) -> list[Told]:
        rng, told = random.Random(SEED + number), []
        while not is_over.is_set():
            order = {"certificateType": "CEA", "side": "SELL", "quantity": "1", "price": f"30.{rng.randrange(100):02}"}
            told.append(await market.ask(number, PLACE_ORDER, traders[number].token, input=order))
        return told

    pouring = asyncio.gather(*map(pour, range(CLIENTS)))
    for fault in random.Random(SEED).sample(FAULTS * 2, 2 * len(FAULTS)):
        await asyncio.sleep(BETWEEN_S)
        await fault(redis_server)
    await asyncio.sleep(BETWEEN_S)
    is_over.set()
    answers = [told for answered in await pouring for told in answered]
    assert {told.code for told in answers} == {None}
    tickets = {told.ticket_id: told.code for told in answers}
    assert len(tickets) == len(answers), "each has a number of its own"
    assert await market.root_tickets() == before | tickets
    leases = await market.one_value("SELECT count(*) FROM ticket_leases")
    assert leases > 2, "Redis was missed"
    await numbers.close_old_leases(closing_pool)  # what a lost Redis forgot becomes voids, which `verify` looks at
    voids = await market.one_value("SELECT sum(hi - lo + 1) FROM ticket_voids")
    assert voids > 0
    with capsys.disabled():
        print(f"\n[Redis: {len(answers):,} orders, {leases} leases, {voids} numbers void]", end=" ")  # noqa: T201
