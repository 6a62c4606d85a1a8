"""Streams as tests meet them: subscribe with `gql`, wait for events, and serve a second process to watch from."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from gql import GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from prometheus_client.parser import text_string_to_metric_families

from api.settings import Settings
from tests.world import Api, serving_apart

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


def figures_in(text: str) -> dict[str, int]:
    """Read what a process counts, without what is told apart by labels."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {one.name.removeprefix("carbondesk_"): int(one.value) for one in samples if not one.labels}


async def until(event: Any, condition: Any) -> Any:
    """Wait for the first event for which the condition holds."""
    async with asyncio.timeout(EVENT_SECONDS_MAX):
        while not condition(found := await event()):
            pass
    return found


async def until_true(fact: Callable[[], bool], seconds: float = EVENT_SECONDS_MAX) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not fact():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


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
    async with serving_apart(settings, "the second API") as served:
        second = Api(served.url, api.database_url)
        second.admin_email, second.admin_token = api.admin_email, api.admin_token
        yield second
