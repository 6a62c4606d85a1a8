"""Two processes on the database of a test file, and its owner; a file may open processes of its own instead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias

import asyncpg
import pytest

from db.embedded import Servers
from tests.db.gate import Gate, gate_of
from tests.db.process import Process, process

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module")
async def one(servers: Servers, database: str) -> AsyncIterator[Process]:
    async with process(database, servers.urls.redis_url) as opened:
        yield opened


@pytest.fixture(scope="module")
async def other(servers: Servers, database: str, one: Process) -> AsyncIterator[Process]:
    """Open a second process on the same database."""
    async with process(database, servers.urls.redis_url, admin_id=one.admin_id) as opened:
        yield opened


@pytest.fixture
async def owner(database: str) -> AsyncIterator[Owner]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def gate(one: Process) -> Iterator[Gate]:
    with gate_of(one) as standing:
        yield standing
