"""Ticket numbers: drawn once in all processes together, whatever Redis forgets; each is a ticket, a void or held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest
import redis.asyncio

from db import numbers
from db.numbers import OWN_LEASE_SIZE, SHARED_LEASE_SIZE, SUB_BLOCK_SIZE, Number, Numbers, close_old_leases
from db.transaction import Transaction
from domain.money import Asset
from tests.db.invariants import assert_invariants
from tests.db.process import Process, process
from tests.redis_server import RedisServer, free_port

PORTS = range(28_700, 28_760)
AT_ONCE = 40
YEAR = 2_031  # numbers that are drawn without a ticket, in a year of their own
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(Path(tmp_path_factory.mktemp("redis")), free_port(PORTS))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
async def one(redis_server: RedisServer, database: str) -> AsyncIterator[Process]:
    async with process(database, redis_server.url) as opened:
        yield opened


@pytest.fixture(scope="module")
async def other(redis_server: RedisServer, database: str, one: Process) -> AsyncIterator[Process]:
    async with process(database, redis_server.url, admin_id=one.admin_id) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    yield
    await assert_invariants(owner)


async def drawn(source: Numbers, count: int, year: int = YEAR) -> list[int]:
    return [one.number for one in await source.draw(year, count)]


async def key_of(one: Process) -> str:
    """Return the Redis key of the shared lease that a process draws this year's numbers from."""
    return one.numbers._prefix + one.numbers._shared[await this_year(one)].key


async def this_year(one: Process) -> int:
    rows = await one.pool.fetch("SELECT extract(year FROM clock_timestamp() AT TIME ZONE 'UTC')::int AS year")
    year: int = rows[0]["year"]
    return year


async def deposits(one: Process, count: int) -> list[str]:
    """Make tickets; none may be refused."""
    trader = await one.trader()
    made: list[str] = []
    while len(made) < count:  # all wait for one account: more at once would be BUSY on a slow machine
        size = min(AT_ONCE, count - len(made))
        answers = await asyncio.gather(*(one.transact(trader, Asset.CEA, "1") for _ in range(size)))
        assert all(answer.outcome for answer in answers)
        made += [answer.ticket_id for answer in answers]
    return made


# ------------------------------------------------------------------------------------------------------------ leases


async def test_two_processes_never_draw_the_same_number(one: Process, other: Process) -> None:
    sizes = [1, 3, 64, 65, 200, 1]
    parts = await asyncio.gather(*(drawn(source.numbers, size) for size in sizes for source in (one, other)))
    found = [number for part in parts for number in part]
    assert len(set(found)) == len(found) == 2 * sum(sizes)


async def test_a_draw_may_be_larger_than_a_lease(one: Process) -> None:
    found = await drawn(one.numbers, 2 * SHARED_LEASE_SIZE + 5)
    assert len(set(found)) == 2 * SHARED_LEASE_SIZE + 5


async def test_leases_follow_one_another_without_a_gap(one: Process, owner: Owner) -> None:
    await drawn(one.numbers, 1)
    rows = await owner.fetch("SELECT lo, hi FROM ticket_leases WHERE year = $1 ORDER BY lo", YEAR)
    assert rows[0]["lo"] == 1
    assert all(after["lo"] == before["hi"] + 1 for before, after in pairwise(rows))


async def test_many_processes_that_lease_at_once_all_get_one(database: str) -> None:
    async with process(database, None) as spare:
        sources = [Numbers(spare.desk_pool, None, "x") for _ in range(6)]
        parts = await asyncio.gather(*(drawn(source, 10, 2_032) for source in sources))
        assert len({number for part in parts for number in part}) == 60
        for source in sources:
            await source.stop()


async def test_each_year_counts_for_itself(one: Process) -> None:
    """At the turn of the year both years are drawn for a while, by transactions of either."""
    found: dict[int, list[int]] = {2_040: [], 2_041: []}
    for turn in range(12):
        year = 2_040 + turn % 2 if turn < 8 else 2_041
        found[year] += await drawn(one.numbers, 7, year)
    assert min(found[2_040]) == min(found[2_041]) == 1
    for numbers_of_year in found.values():
        assert len(set(numbers_of_year)) == len(numbers_of_year)


async def test_a_transaction_of_a_year_draws_only_numbers_of_it(one: Process) -> None:
    async with one.pool.transaction() as connection:
        transaction = Transaction(connection, one.numbers)
        await transaction.look_at_clock()
        transaction.now = transaction.now.replace(year=2_042)
        assert {year for year, _ in await transaction.draw(100)} == {2_042}


# ------------------------------------------------------------------------------------------------------------- Redis


async def test_redis_flushed_costs_a_lease_and_no_number_twice(one: Process, redis_server: RedisServer) -> None:
    before = await drawn(one.numbers, 100)
    redis_server.command("FLUSHALL")
    after = await drawn(one.numbers, 200)
    assert not set(before) & set(after)
    assert len(await deposits(one, 100)) == 100


async def test_a_deleted_key_costs_a_lease_and_no_number_twice(one: Process, redis_server: RedisServer) -> None:
    before = await drawn(one.numbers, 100)
    redis_server.command("DEL", one.numbers._prefix + one.numbers._shared[YEAR].key)
    after = await drawn(one.numbers, 200)
    assert not set(before) & set(after)


@pytest.mark.parametrize("value", ["0", "-1", "-40", "-100000", "not a number"])
async def test_a_counter_that_was_set_back_never_leads_to_a_refusal_or_a_duplicate(
    one: Process, other: Process, redis_server: RedisServer, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis restored from an old copy dispenses again what was used: the unique key notices, the work is repeated."""
    monkeypatch.setattr(numbers, "SUB_BLOCK_SIZE", 8)  # so that no number of retries gets past what was used
    first = await deposits(one, 200)
    redis_server.command("SET", await key_of(one), value)
    for source in (one, other):
        source.numbers._blocks.clear()
    found = first + await deposits(one, 150) + await deposits(other, 150)
    assert len(set(found)) == len(found) == 500
    one.numbers._redis_retry_at = other.numbers._redis_retry_at = 0.0


async def test_a_counter_that_was_set_back_stops_no_order(
    one: Process, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in a batch of the desk, where roots and children draw."""
    monkeypatch.setattr(numbers, "SUB_BLOCK_SIZE", 8)
    trader, buyer = await one.trader(cea="100000"), await one.trader("1000000")
    await deposits(one, 300)
    redis_server.command("SET", await key_of(one), "0")
    one.numbers._blocks.clear()
    answers = await asyncio.gather(*(one.place(trader, "SELL", "2", "25.50") for _ in range(40)))
    answers += await asyncio.gather(*(one.place(buyer, "BUY", "3", "25.50") for _ in range(20)))
    assert all(answer.outcome for answer in answers)


async def test_without_redis_a_process_leases_for_itself_and_returns(
    one: Process, redis_server: RedisServer, owner: Owner
) -> None:
    before = await drawn(one.numbers, 10)
    redis_server.kill()
    one.numbers._blocks.clear()
    started = time.monotonic()
    alone = await drawn(one.numbers, SUB_BLOCK_SIZE)
    assert time.monotonic() - started < 1.0
    assert len(await deposits(one, 50)) == 50
    own = await owner.fetchval("SELECT count(*) FROM ticket_leases WHERE year = $1 AND NOT is_shared", YEAR)
    assert own >= 1
    redis_server.start()
    one.numbers._redis_retry_at = 0.0
    one.numbers._blocks.clear()
    again = await drawn(one.numbers, 10)
    assert len({*before, *alone, *again}) == 20 + SUB_BLOCK_SIZE
    assert YEAR in one.numbers._shared


async def test_a_frozen_redis_delays_nobody_for_long(one: Process, redis_server: RedisServer) -> None:
    one.numbers._blocks.clear()
    redis_server.freeze()
    try:
        started = time.monotonic()
        for _ in range(5):
            await drawn(one.numbers, OWN_LEASE_SIZE)
        assert time.monotonic() - started < 1.0, "one time-out, then the breaker"
    finally:
        redis_server.thaw()
        one.numbers._redis_retry_at = 0.0


# ------------------------------------------------------------------------------------------------------------- voids


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases be closed as soon as a newer one exists."""
    monkeypatch.setattr(numbers, "CLOSE_AFTER_S", 0.0)


async def newer(one: Process, year: int) -> None:
    """Replace the leases of a year."""
    await one.numbers._lease(year, 10, is_shared=True)
    await one.numbers._lease(year, 10, is_shared=False)


@pytest.mark.usefixtures("at_once")
async def test_voids_cover_exactly_the_gaps(one: Process, owner: Owner) -> None:
    """Tickets here and there in a lease: its closing records each other number once."""
    year = await this_year(one)
    for _ in range(4):
        await deposits(one, 5)
        await one.numbers.draw(year, 7)  # drawn and never used, as by a transaction that was rolled back
    await newer(one, year)
    assert await close_old_leases(one.pool) >= 1
    wrong = await owner.fetch(
        "SELECT n FROM ticket_leases l CROSS JOIN LATERAL generate_series(l.lo, l.hi) AS n"
        " WHERE l.closed_at IS NOT NULL AND (SELECT count(*) FROM ticket_logs t WHERE t.year = l.year AND t.number = n)"
        " + (SELECT count(*) FROM ticket_voids v WHERE v.year = l.year AND n BETWEEN v.lo AND v.hi) <> 1"
    )
    assert wrong == []
    await deposits(one, 5)  # numbers of the closed lease that were in memory are burnt, not used


@pytest.mark.usefixtures("at_once")
async def test_a_lease_in_use_is_not_closed(one: Process, owner: Owner) -> None:
    """An open transaction holds a number that nobody can see yet: the closer passes by, and comes again."""
    year = 2_043
    async with one.pool.transaction() as connection:
        transaction = Transaction(connection, one.numbers)
        await transaction.look_at_clock()
        transaction.now = transaction.now.replace(year=year)
        ((_, number),) = await transaction.draw(1)
        (lease_id,) = transaction._leases
        await newer(one, year)
        await close_old_leases(one.pool)
        assert await owner.fetchval("SELECT closed_at FROM ticket_leases WHERE id = $1", lease_id) is None
    await close_old_leases(one.pool)
    assert await owner.fetchval("SELECT closed_at FROM ticket_leases WHERE id = $1", lease_id) is not None
    assert await owner.fetchval(
        "SELECT count(*) FROM ticket_voids WHERE year = $1 AND $2::bigint BETWEEN lo AND hi", year, number
    )


@pytest.mark.usefixtures("at_once")
async def test_a_number_of_a_closed_lease_is_never_used(one: Process, owner: Owner) -> None:
    year = 2_044
    held = await one.numbers.draw(year, 1)
    await newer(one, year)
    assert await close_old_leases(one.pool) >= 1
    async with one.pool.transaction() as connection:
        transaction = Transaction(connection, one.numbers)
        await transaction.look_at_clock()
        transaction.now = transaction.now.replace(year=year)
        found = await transaction.draw(100)
    leases = await owner.fetch("SELECT lo, hi FROM ticket_leases WHERE year = $1 AND closed_at IS NULL", year)
    assert all(any(row["lo"] <= number <= row["hi"] for row in leases) for _, number in found)
    assert (year, held[0].number) not in found


@pytest.mark.usefixtures("at_once")
async def test_two_closers_share_the_work(one: Process, other: Process, owner: Owner) -> None:
    for _ in range(5):
        await newer(one, 2_045)
    closed = await asyncio.gather(close_old_leases(one.pool), close_old_leases(other.pool))
    assert sum(closed) >= 8
    assert await close_old_leases(one.pool) == 0


@pytest.mark.usefixtures("at_once")
async def test_closing_while_tickets_are_written_loses_none(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "SHARED_LEASE_SIZE", 64)
    one.numbers._shared.clear()
    one.numbers._blocks.clear()
    is_over = False

    async def closing() -> int:
        count = 0
        while not is_over:
            count += await close_old_leases(one.pool)
            await asyncio.sleep(0.005)
        return count

    closer = asyncio.create_task(closing())
    found = [ticket for _ in range(6) for ticket in await deposits(one, 40)]
    is_over = True
    assert await closer >= 2
    assert len(set(found)) == 240


# ----------------------------------------------------------------------------------------------------- past 999,999


@pytest.mark.usefixtures("at_once")
async def test_numbers_grow_past_six_digits(servers: object, one: Process, owner: Owner) -> None:
    """The counter of this year is moved by a lease that ends at 999,990; every number below it is void."""
    year = await this_year(one)
    last = await owner.fetchval("SELECT max(hi) FROM ticket_leases WHERE year = $1", year)
    await one.numbers._lease(year, 999_990 - last, is_shared=False)
    await newer(one, year)
    one.numbers.burn(set(await owner.fetchval("SELECT array_agg(id) FROM ticket_leases")))
    await close_old_leases(one.pool)
    ids = sorted(await deposits(one, 60), key=lambda text: int(text[9:]))
    assert int(ids[0][9:]) > 999_990
    assert ids[-1] > f"TKT-{year}-1000000"
    rows = await owner.fetch("SELECT number, ticket_id FROM ticket_logs ORDER BY year, number DESC LIMIT 60")
    assert [row["ticket_id"] for row in rows] == ids[::-1]


async def test_a_failed_prefetch_is_only_a_delay(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from db import unit

    monkeypatch.setattr(unit, "ACQUIRE_TIMEOUT_S", 0.05)
    async with process(database, None) as spare:
        await spare.numbers.draw(2_046, OWN_LEASE_SIZE - 40)
        async with spare.desk_pool.acquire(), spare.desk_pool.acquire():
            assert len(await spare.numbers.draw(2_046, 20)) == 20  # starts to fetch ahead, without a connection
            assert spare.numbers._refill is not None
            await asyncio.wait([spare.numbers._refill])
            assert spare.numbers._refill.exception() is None
        assert len(await spare.numbers.draw(2_046, 100)) == 100


async def test_a_number_names_its_lease(one: Process) -> None:
    (number,) = await one.numbers.draw(YEAR, 1)
    assert isinstance(number, Number)
    assert number.lease_id > 0
    assert isinstance(one.numbers._redis, redis.asyncio.Redis)
