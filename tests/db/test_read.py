"""Connections for reading: who takes turns has one at a time, and who finds none in time is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import TimeoutError as NoConnectionError

import db.read
from api.settings import Settings
from db.read import Reader
from tests.watching import until_true

CONNECTIONS = 3
NAP = "SELECT pg_sleep(0.05)"


@pytest.fixture
async def reader(settings: Settings) -> AsyncIterator[Reader]:
    assert settings.database_url
    opened = Reader.open(settings.database_url, role=None, size_max=CONNECTIONS)
    yield opened
    await opened.close()


async def test_statements_and_snapshots_in_turn_use_one_connection_at_a_time(reader: Reader) -> None:
    async def instant() -> None:
        async with reader.in_turn.snapshot() as snapshot:
            await snapshot.in_turn.sql(NAP)

    await asyncio.gather(*(reader.in_turn.sql(NAP) for _ in range(6)), instant(), instant())
    assert reader.figures("read").open == 1
    await asyncio.gather(*(reader.sql(NAP) for _ in range(6)))
    assert reader.figures("read").open == CONNECTIONS


async def test_in_turn_a_statement_that_fails_keeps_nobody_waiting(reader: Reader) -> None:
    failed = await asyncio.gather(*(reader.in_turn.sql("SELECT 1/0") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(one, Exception) for one in failed)
    assert len(await reader.in_turn.sql("SELECT 1")) == 1


async def test_a_server_takes_one_of_its_cores_only_where_it_is_told_so(settings: Settings) -> None:
    assert settings.database_url
    found = []
    for is_parallel in (True, False):
        opened = Reader.open(settings.database_url, role=None, size_max=1, is_parallel=is_parallel)
        ((workers,),) = await opened.sql("SHOW max_parallel_workers_per_gather")
        found.append(int(workers))
        await opened.close()
    assert found[0] > 0 == found[1]


async def test_who_finds_no_connection_in_time_is_told(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    naps = [asyncio.create_task(reader.sql("SELECT pg_sleep(2)")) for _ in range(CONNECTIONS)]
    await until_true(lambda: reader.figures("read").used == CONNECTIONS)
    monkeypatch.setattr(db.read, "POOL_TIMEOUT_S", 0.05)
    with pytest.raises(NoConnectionError):
        await reader.sql("SELECT 1")
    await asyncio.gather(*naps)
