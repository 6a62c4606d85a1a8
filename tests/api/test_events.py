"""Notices survive every kind of Redis trouble: checked with a real Redis that is killed, frozen and cut."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broadcaster import Broadcast

from api import events as events_module
from api.events import (
    CHANNELS,
    LISTENER_MAX,
    RESYNC,
    RESYNC_TEXT,
    Events,
    Item,
    Keep,
    Listener,
    ListenerClosedError,
    RedisBackend,
)
from tests.redis_server import RedisServer, free_port

PORTS = range(22000, 22250)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, free_port(PORTS))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def events(redis: RedisServer) -> AsyncIterator[Events]:
    hub = Events(redis.url, "test")
    await hub.start()
    assert await hub.ready(2)
    yield hub
    await hub.stop()


@pytest.fixture
async def other(redis: RedisServer) -> AsyncIterator[Events]:
    """Stand for another API process on the same Redis."""
    hub = Events(redis.url, "test")
    await hub.start()
    assert await hub.ready(2)
    yield hub
    await hub.stop()


async def until(fact: Callable[[], bool], wait_s: float = 5.0) -> float:
    """Wait for a fact; return how long it took."""
    start = time.monotonic()
    while not fact():
        assert time.monotonic() - start < wait_s, "it did not happen in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - start


async def take(listener: Listener, count: int, wait_s: float = 5.0) -> list[Item]:
    async with asyncio.timeout(wait_s):
        return [await anext(listener) for _ in range(count)]


async def take_until(listener: Listener, wanted: Item, wait_s: float = 5.0) -> list[Item]:
    """Read until a certain item came; return everything that was read."""
    items: list[Item] = []
    async with asyncio.timeout(wait_s):
        while not items or items[-1] != wanted:
            items.append(await anext(listener))
    return items


def note(number: int) -> dict[str, Any]:
    return {"number": number}


async def test_the_first_subscriber_of_the_backend_hears_the_first_message(redis: RedisServer) -> None:
    async with Broadcast(backend=RedisBackend(redis.url)) as broadcast, broadcast.subscribe("a") as subscriber:
        await broadcast.publish("a", "first")
        async with asyncio.timeout(2):
            heard = [(await subscriber.get()).message, (await subscriber.get()).message]
    assert sorted(heard) == sorted(["first", RESYNC_TEXT])


async def test_two_first_subscribers_at_once_both_hear(redis: RedisServer) -> None:
    async def first_message(broadcast: Broadcast) -> str:
        async with broadcast.subscribe("a") as subscriber:
            while True:
                message: str = (await subscriber.get()).message
                if message != RESYNC_TEXT:
                    return message

    async with Broadcast(backend=RedisBackend(redis.url)) as broadcast:
        readers = [asyncio.create_task(first_message(broadcast)) for _ in range(2)]
        await asyncio.sleep(0)
        await broadcast.publish("a", "both")
        async with asyncio.timeout(2):
            assert await asyncio.gather(*readers) == ["both", "both"]


async def test_a_channel_can_be_left_and_taken_again(redis: RedisServer) -> None:
    async with Broadcast(backend=RedisBackend(redis.url)) as broadcast:
        for round_ in range(3):
            async with broadcast.subscribe("a") as subscriber, asyncio.timeout(2):
                await broadcast.publish("a", str(round_))
                while (await subscriber.get()).message != str(round_):
                    pass


async def test_publish_through_the_backend_says_when_redis_is_away(redis: RedisServer) -> None:
    backend = RedisBackend(redis.url)
    redis.kill()
    async with Broadcast(backend=backend) as broadcast:
        with pytest.raises(events_module.OUTAGE):
            await broadcast.publish("a", "lost")


async def test_the_backend_queue_is_bounded_and_says_resync(redis: RedisServer) -> None:
    backend = RedisBackend(redis.url, inbound_max=10)
    await backend.connect()
    await backend.subscribe("a")
    for number in range(100):
        await backend.publish("a", str(number))
    await until(lambda: backend.dropped > 80)
    await backend.publish("a", "last")
    await asyncio.sleep(0.1)
    assert backend.backlog <= 10
    heard = [(await backend.next_published()).message for _ in range(backend.backlog)]
    assert heard[0] == RESYNC_TEXT
    assert heard[-1] == "last"
    await backend.disconnect()


async def test_notices_of_both_processes_arrive_once_and_in_order(events: Events, other: Events) -> None:
    with events.listen("book") as here, other.listen("book") as there, other.listen("balances") as elsewhere:
        for number in range(300):
            events.publish("book", note(number))
        expected = [note(number) for number in range(300)]
        assert await take(here, 300) == expected
        assert await take(there, 300) == expected
        assert len(elsewhere) == 0
    assert events.counters.published == 300
    assert events.counters.dropped == 0


async def test_databases_do_not_hear_each_other(redis: RedisServer, events: Events) -> None:
    stranger = Events(redis.url, "another")
    await stranger.start()
    assert await stranger.ready(2)
    with events.listen("book") as listener:
        stranger.publish("book", note(1))
        await until(lambda: stranger.counters.received > len(CHANNELS))  # its own notice came back
        events.publish("book", note(2))
        assert await take(listener, 1) == [note(2)]
    await stranger.stop()


async def test_killed_and_restarted_redis_gives_resync_then_notices(
    redis: RedisServer, events: Events, other: Events
) -> None:
    with events.listen("book") as here, other.listen("book") as there:
        redis.kill()
        await until(lambda: not events.connected and not other.connected)
        redis.start()
        assert await take(here, 1, 5) == [RESYNC]
        assert await take(there, 1, 5) == [RESYNC]
        events.publish("book", note(1))
        assert (await take_until(there, note(1)))[-1] == note(1)
        assert (await take_until(here, note(1)))[-1] == note(1)
    assert events.counters.generation == 2


async def test_resync_comes_within_five_seconds_after_a_long_outage(redis: RedisServer, events: Events) -> None:
    with events.listen("book") as listener:
        redis.kill()
        await asyncio.sleep(6)  # long enough for the greatest wait between two tries
        redis.start()
        start = time.monotonic()
        assert await take(listener, 1, 5) == [RESYNC]
        assert time.monotonic() - start < 5


async def test_cut_connections_give_resync_and_lose_nothing_after_it(
    redis: RedisServer, events: Events, other: Events
) -> None:
    with other.listen("book") as listener:
        for kind in ("pubsub", "normal"):
            redis.command("CLIENT", "KILL", "TYPE", kind)
            await asyncio.sleep(0.02)
            await until(lambda: events.connected and other.connected)
            events.publish("book", {"after": kind})
            await take_until(listener, {"after": kind})
    assert events.counters.dropped == 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a silent connection up after 1 s instead of 10; ask for before the hubs."""
    monkeypatch.setattr(events_module, "PING_S", 0.2)
    monkeypatch.setattr(events_module, "SUSPECT_S", 0.5)
    monkeypatch.setattr(events_module, "DEAD_S", 1.0)


@pytest.mark.usefixtures("impatient")
async def test_frozen_redis_is_given_up_and_found_again(redis: RedisServer, events: Events, other: Events) -> None:
    with events.listen("book") as here, other.listen("book") as there:
        await asyncio.sleep(1.5)  # silence alone is no reason to give up
        assert events.counters.generation == other.counters.generation == 1
        redis.freeze()
        await until(lambda: not events.connected, 1)
        start = time.monotonic()
        events.publish("book", note(1))
        assert time.monotonic() - start < 0.05
        assert await take(here, 1, 2) == [note(1)]  # its own listeners need no Redis
        await asyncio.sleep(2)
        redis.thaw()
        assert RESYNC in await take_until(there, RESYNC)
        await asyncio.sleep(events_module.HOLD_S)
        events.publish("book", note(2))
        await take_until(there, note(2))
        await take_until(here, note(2))
    assert events.counters.generation == other.counters.generation == 2


async def test_a_short_freeze_loses_nothing(redis: RedisServer, events: Events, other: Events) -> None:
    with other.listen("book") as listener:
        redis.freeze()
        events.publish("book", note(1))
        await asyncio.sleep(0.5)
        redis.thaw()
        assert await take(listener, 1) == [note(1)]
    assert other.counters.generation == 1


async def test_publish_while_redis_is_away_never_raises_and_is_bounded(redis: RedisServer, events: Events) -> None:
    with events.listen("book") as listener:
        redis.kill()
        await until(lambda: not events.connected)
        start = time.monotonic()
        for number in range(events_module.OUTBOUND_MAX + 5_000):
            events.publish("book", note(number))
        assert time.monotonic() - start < 1
        assert events.counters.outbound == events_module.OUTBOUND_MAX
        await until(lambda: events.counters.outbound == 0)
        assert events.counters.dropped == events_module.OUTBOUND_MAX + 5_000
        assert len(listener) <= LISTENER_MAX
        assert await take(listener, 1) == [RESYNC]


async def test_others_hear_resync_for_notices_redis_did_not_take(
    events: Events, other: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The publisher alone loses Redis; the other process sees no loss of its own.
    monkeypatch.setattr(events, "_hold_until", time.monotonic() + 0.5)
    with events.listen("book") as here, other.listen("book") as there, other.listen("balances") as unconcerned:
        events.publish("book", note(1))
        assert await take(here, 1) == [note(1)]
        assert await take(there, 1) == [RESYNC]
        assert len(unconcerned) == 0
    assert other.counters.generation == 1


async def test_a_message_that_is_not_json_makes_readers_resync(events: Events) -> None:
    with events.listen("tickets") as listener:
        events.publish("tickets", {"no": object()})
        assert await take(listener, 1) == [RESYNC]
        events.publish("nowhere", note(1))
        events.publish("tickets", note(2))
        assert await take(listener, 1) == [note(2)]


async def test_a_slow_listener_is_bounded_and_told(events: Events) -> None:
    with events.listen("book", bound=10) as slow, events.listen("book") as quick:
        for number in range(50):
            events.publish("book", note(number))
        await take(quick, 50)
        assert len(slow) <= 10
        assert slow.overflows >= 1
        items = await take_until(slow, note(49))
        assert items[0] is RESYNC
        assert items[1:] == [note(number) for number in range(50 - len(items) + 1, 50)]


async def test_a_wake_up_keeps_the_newest_only_and_never_hides_a_resync(events: Events) -> None:
    with events.listen("tickets", keep=Keep.LATEST) as wake, events.listen("tickets") as each:
        for number in range(5):
            events.publish("tickets", note(number))
        await take(each, 5)
        assert len(wake) == 1
        assert await wake.get() == note(4)
        assert await wake.get(0.01) is None
        wake.offer(RESYNC)
        wake.offer(note(5))
        assert await wake.get() is RESYNC
        assert len(wake) == 0


async def test_a_hundred_thousand_unread_notices_stay_small(events: Events) -> None:
    with events.listen("book") as never_read:
        for _ in range(20):
            for number in range(5_000):
                events.publish("book", note(number))
            await until(lambda: events.counters.outbound == 0)
        assert len(never_read) <= LISTENER_MAX
    assert events.counters.dropped == 0


async def test_stop_sends_what_waits_and_leaves_no_task(redis: RedisServer, other: Events) -> None:
    before = asyncio.all_tasks()
    hub = Events(redis.url, "test")
    await hub.start()
    await hub.ready(2)
    listener = hub.listen("book")
    with other.listen("book") as there:
        hub.publish("book", note(1))
        await hub.stop()
        assert await take(there, 1) == [note(1)]
    async with asyncio.timeout(2):
        assert [item async for item in listener][-1:] in ([], [note(1)])
    with pytest.raises(ListenerClosedError):
        await listener.get()
    assert asyncio.all_tasks() == before
    assert hub.counters.listeners == 0
    await hub.stop()


@pytest.mark.parametrize("trouble", ["killed", "frozen", "never there"])
async def test_stop_in_trouble_is_quick_and_leaves_no_task(redis: RedisServer, trouble: str) -> None:
    before = asyncio.all_tasks()
    if trouble == "never there":
        redis.kill()
    hub = Events(redis.url, "test")
    await hub.start()
    assert await hub.ready(0.5) is (trouble != "never there")
    if trouble == "killed":
        redis.kill()
    elif trouble == "frozen":
        redis.freeze()
    hub.publish("book", note(1))
    start = time.monotonic()
    await hub.stop()
    assert time.monotonic() - start < 3
    assert asyncio.all_tasks() == before


async def test_a_dead_task_is_started_again(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    send, failures = events._send, 0

    async def fail_once(batch: Any) -> None:
        nonlocal failures
        if batch and not failures:
            failures += 1
            raise RuntimeError("a bug")
        await send(batch)

    monkeypatch.setattr(events, "_send", fail_once)
    with events.listen("book") as listener:
        events.publish("book", note(1))
        events.publish("book", note(2))
        assert await take(listener, 2) == [note(1), note(2)]
    assert failures == 1
