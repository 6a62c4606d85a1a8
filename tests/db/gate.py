"""A gate before every SQL statement of one process: a test halts an attempt there, or strikes it down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from db.transaction import Connection
from db.unit import Pool
from tests.db.process import Process

STATEMENTS_MAX = 40  # of one attempt: it has about ten
WAIT_SECONDS_MAX = 10


@dataclass
class Gate:
    """Stops some tasks at their n-th statement; others pass, as those who fetch numbers for later do.

    seen: statements of these tasks so far. deadlocks: of any process, ever.
    """

    stops_at: int | None = None
    tasks: tuple[asyncio.Task[Any] | None, ...] = ()
    seen: int = 0
    deadlocks: int = 0
    connections: set[int] = field(default_factory=set)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, stops_at: int | None, *tasks: asyncio.Task[Any] | None) -> None:
        self.stops_at, self.tasks, self.seen = stops_at, tasks, 0
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def is_reached(self, running: asyncio.Future[Any]) -> bool:
        """Wait until the n-th statement is due; False when all has ended before."""
        reached = asyncio.create_task(self.reached.wait())
        waiting: list[asyncio.Future[Any]] = [running, reached]
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        return self.reached.is_set()

    async def pass_by(self, connection: Any) -> None:
        if self.stops_at is None or id(connection) not in self.connections:
            return
        if asyncio.current_task() not in self.tasks:
            return
        self.seen += 1
        if self.seen == self.stops_at:
            self.reached.set()
            await self.opened.wait()

    def _watch(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Know the connections of a pool while they are lent."""
        acquire = pool.acquire

        @contextlib.asynccontextmanager
        async def acquired() -> AsyncIterator[Connection]:
            async with acquire() as connection:
                inner = id(connection._con)  # type: ignore[attr-defined]  # not in the stubs
                self.connections.add(inner)
                try:
                    yield connection
                finally:
                    self.connections.discard(inner)

        monkeypatch.setattr(pool, "acquire", acquired)


@contextlib.contextmanager
def gate_of(one: Process) -> Iterator[Gate]:
    """Stand before every statement of a process."""
    gate = Gate()
    execute: Any = asyncpg.Connection.execute
    inner: Any = asyncpg.Connection._execute  # type: ignore[attr-defined]  # not in the stubs

    async def gated(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        if not arguments:  # with arguments it comes by below
            await gate.pass_by(self)
        return await execute(self, query, *arguments, **options)

    async def gated_inner(self: Any, *arguments: Any, **options: Any) -> Any:
        await gate.pass_by(self)
        try:
            return await inner(self, *arguments, **options)
        except asyncpg.DeadlockDetectedError:
            gate.deadlocks += 1
            raise

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(asyncpg.Connection, "execute", gated)
        monkeypatch.setattr(asyncpg.Connection, "_execute", gated_inner)
        for pool in (one.pool, one.desk_pool):
            gate._watch(pool, monkeypatch)
        yield gate
