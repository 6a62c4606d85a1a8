"""Streams as tests meet them: subscribe with `gql`, wait for events, and serve a second process to watch from."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from gql import GraphQLRequest
from gql.transport.exceptions import TransportQueryError

from api.settings import Settings
from tests.world import Api

ROOT = Path(__file__).parents[1]
START_SECONDS_MAX = 30
EVENT_SECONDS_MAX = 10


@contextlib.asynccontextmanager
async def following(session: Any, document: str, **variables: Any) -> AsyncIterator[Any]:
    """Subscribe at once; yield a function that waits for the next event, or raises what ended the stream."""
    stream = session.subscribe(GraphQLRequest(document, variable_values=variables))
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def pump() -> None:
        try:
            async for event in stream:
                (value,) = event.values()
                events.put_nowait(value)
        except TransportQueryError as error:
            events.put_nowait(error)

    async def next_event() -> Any:
        async with asyncio.timeout(EVENT_SECONDS_MAX):
            event = await events.get()
        if isinstance(event, Exception):
            raise event
        return event

    task = asyncio.create_task(pump())
    try:
        yield next_event
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(event: Any, condition: Any) -> Any:
    """Wait for the first event for which the condition holds."""
    async with asyncio.timeout(EVENT_SECONDS_MAX):
        while not condition(found := await event()):
            pass
    return found


async def none_within(event: Any, seconds: float) -> bool:
    """Tell whether no event comes within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event()
    except TimeoutError:
        return True
    return False


@contextlib.asynccontextmanager
async def second_process(api: Api, settings: Settings) -> AsyncIterator[Api]:
    """Serve the application once more on the same database and Redis, as a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "CARBONDESK_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "api.app:serve_app", "--factory", "--port", str(port), "--log-level",
        "warning", cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_SECONDS_MAX), httpx.AsyncClient() as client:
            while True:
                assert process.returncode is None, "the second process ended"
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
        second = Api(f"http://127.0.0.1:{port}/graphql", api.database_url)
        second.admin_email, second.admin_token = api.admin_email, api.admin_token
        yield second
    finally:
        process.terminate()
        await process.wait()
