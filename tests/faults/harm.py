"""What is done to servers and processes under test, and how it is seen that they are back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psutil

from api.supervisor import Child
from db import embedded
from db.embedded import Servers
from tests.faults.history import READY_AGAIN_S, patience
from tests.faults.market import Market

GONE_S_MAX = 10.0
BACK_S_MAX = 20.0  # for a server to recover; what is ours to answer for begins then
LOOK_S = 0.02


@contextlib.contextmanager
def servers_to_harm(home: Path | None = None) -> Iterator[Servers]:
    """Start durable servers of our own: whatever they acknowledge is on disk."""
    with contextlib.ExitStack() as stack:
        if home is None:
            folder = stack.enter_context(TemporaryDirectory(prefix="carbondesk-harm-"))
            Path(folder).chmod(0o711)  # as root the servers run as another user
            home = Path(folder, "home")
        try:
            with embedded.start(home, lambda _: None) as running:
                yield running
        finally:
            embedded.erase(home)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until_gone(pids: list[int]) -> None:
    async with asyncio.timeout(GONE_S_MAX):
        while not all(map(is_gone, pids)):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(LOOK_S)


async def kill_api(child: Child) -> None:
    """Kill an API process and wait until it is gone."""
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    async with asyncio.timeout(GONE_S_MAX):
        while child.exit_code() is None:  # noqa: ASYNC110 - its threads end one after the other
            await asyncio.sleep(LOOK_S)


async def kill_postgres(servers: Servers) -> None:
    """Kill the postmaster and all its backends at once, and wait until the last of them is gone."""
    head = psutil.Process(servers.pid("postgres"))
    pids = [head.pid, *(child.pid for child in head.children(recursive=True))]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await until_gone(pids)


async def kill_backend(servers: Servers, database_url: str) -> None:
    """Kill the backend of a desk: the postmaster ends all others and recovers by itself."""
    owner = await asyncpg.connect(database_url)
    pids: list[int] = await owner.fetchval(
        "SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'carbondesk-desk'"
    )
    os.kill(pids[0], signal.SIGKILL)
    with contextlib.suppress(Exception):  # it ends with all others
        await owner.close(timeout=1)
    await until_gone(pids)


async def until_revived(servers: Servers) -> None:
    """Start the killed server again, as the supervisor does."""
    async with asyncio.timeout(BACK_S_MAX):
        while not await asyncio.to_thread(servers.revive):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(LOOK_S)


async def until_accepting(database_url: str) -> None:
    """Wait until a database takes connections again."""
    async with asyncio.timeout(BACK_S_MAX):
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await (await asyncpg.connect(database_url, timeout=2)).close()
                return
            await asyncio.sleep(LOOK_S)


async def ready_again(market: Market, since: float, seconds: float = READY_AGAIN_S) -> float:
    """Wait until every process says that it is ready; return how long after `since` that was."""
    for served in market.served:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with market.session.get(served.url.replace("/graphql", "/readyz")) as response:
                    if response.status == 200:
                        break
            assert time.monotonic() - since < seconds * patience(), (
                f"{served.url} is not ready {seconds} s after its dependency"
            )
            await asyncio.sleep(LOOK_S)
    return time.monotonic() - since
