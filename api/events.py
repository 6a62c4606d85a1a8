"""Carry notices between processes through Redis: a signal to look, never the truth itself.

One rule holds on every channel: after a RESYNC a listener has read the truth from the database, and
from there it hears every notice, in the order of Redis, until the next RESYNC says that some may be missing.

Notices reach the listeners of their own process through Redis too, so that all processes hear one order.
Only a notice that Redis did not take is handed to the listeners of this process directly: they would
otherwise wait for the poll, and nobody else can hear it anyway. Around an outage a notice may therefore
come twice; notices carry sequences or only wake a reader, so a repeat changes nothing.
"""

import asyncio
import contextlib
import enum
import logging
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Self, TypeAlias

import orjson
from broadcaster import Broadcast, Event
from broadcaster._backends.base import BroadcastBackend
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

CHANNELS: Final = ("book", "tickets", "balances")

# The wait before a lost connection is tried again doubles between these two; with the upper one a
# watcher is right again within 5 s after Redis came back.
BACKOFF_S_MIN: Final = 0.1
BACKOFF_S_MAX: Final = 4.0
STEADY_S: Final = 5.0  # a run that lasted this long was healthy: the next wait starts small again
CONNECT_S_MAX: Final = 2.0  # a frozen server accepts the socket and answers nothing
PING_S: Final = 2.0  # a silent connection is asked for a sign of life this often
SUSPECT_S: Final = 5.0  # two pings unanswered: reported as not connected
DEAD_S: Final = 10.0  # then it is given up and made anew
PUBLISH_S_MAX: Final = 1.0  # one pipeline; beyond it the notices are older than the polls
SETTLE_S_MAX: Final = 0.3  # of it for subscriptions on their way; a lost reader must not stop a publisher
HOLD_S: Final = 1.0  # after a failed pipeline, so that a frozen Redis does not delay local listeners
FLUSH_S_MAX: Final = 1.0  # what is waiting at stop
POLL_S: Final = 0.01  # how often start and stop look at a state that has no event

INBOUND_MAX: Final = 10_000  # notices between Redis and the fan-out, about 10 MB of large ones
OUTBOUND_MAX: Final = 10_000  # notices waiting for Redis, some seconds of full trading
PIPELINE_MAX: Final = 256  # notices in one round trip
LISTENER_MAX: Final = 1_000  # notices one listener may lag behind

assert BACKOFF_S_MIN < BACKOFF_S_MAX < 5
assert PING_S * 2 < SUSPECT_S < DEAD_S
assert len(CHANNELS) < PIPELINE_MAX <= OUTBOUND_MAX <= INBOUND_MAX

RESYNC_TEXT: Final = "RESYNC"  # on the wire; every other message is a JSON object
OUTAGE: Final = (RedisError, OSError, TimeoutError)  # OSError holds the built-in ConnectionError


class Signal(enum.Enum):
    """Mark what is not a message."""

    RESYNC = RESYNC_TEXT


RESYNC: Final = Signal.RESYNC
Message: TypeAlias = Mapping[str, Any]
Item: TypeAlias = Message | Signal


class Keep(enum.Enum):
    """Say what a listener that lags behind still needs."""

    EACH = "EACH"  # every message in order; beyond the bound one RESYNC stands for all of them
    LATEST = "LATEST"  # one wake-up: the newest message, or RESYNC when one was among those passed over


class ListenerClosedError(Exception):
    """Say that the listener was closed."""


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run work for ever: log how it ended, wait, start it again."""
    pause, reported = BACKOFF_S_MIN, False
    while True:
        started = time.monotonic()
        try:
            await work()
            log.error("%s ended by itself; it starts again", name)
        except* OUTAGE as outage:
            # The first line of an outage is enough; the connection says when it stands again.
            log.log(logging.DEBUG if reported else logging.WARNING, "%s: %s", name, _causes(outage))
            reported = True
        except* Exception:
            log.exception("%s failed; it starts again", name)
        if time.monotonic() - started >= STEADY_S:
            pause, reported = BACKOFF_S_MIN, False
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads processes, guards nothing)
        pause = min(pause * 2, BACKOFF_S_MAX)


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End tasks and wait until they are gone."""
    ending = set(tasks)
    while ending:  # a library that swallows a cancellation is asked again
        for task in ending:
            task.cancel()
        _, ending = await asyncio.wait(ending, timeout=PING_S)


def _causes(group: BaseExceptionGroup[BaseException]) -> str:
    return "; ".join(
        _causes(cause) if isinstance(cause, BaseExceptionGroup) else f"{type(cause).__name__}: {cause}"
        for cause in group.exceptions
    )


class RedisBackend(BroadcastBackend):
    """Keep broadcaster's subscriptions alive on Redis across every kind of loss.

    Each channel hears a RESYNC when Redis has confirmed its subscription, at first and after each
    reconnect: what was published before may be missing, what follows is not.
    """

    def __init__(self, url: str, *, inbound_max: int = INBOUND_MAX) -> None:
        # Retries are off: a retry inside redis-py would hide the loss of messages between two connections.
        self._pool: ConnectionPool = ConnectionPool.from_url(
            url,
            protocol=2,
            client_name="carbondesk-events",
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_S_MAX,
            socket_timeout=None,  # redis-py would use asyncio.wait_for, which on Python 3.11 can swallow a cancellation
            health_check_interval=0,
        )
        self._redis = Redis(connection_pool=self._pool)
        self._inbound: asyncio.Queue[Event] = asyncio.Queue(inbound_max)
        self._wanted: set[str] = set()
        self._confirmed: set[str] = set()
        self._changed = asyncio.Event()  # wanted is not what was asked for
        self._standing = asyncio.Event()  # every wanted channel is confirmed on the connection of now
        self._trying = False  # a connection stands or is being made
        self._live = False  # it stands
        self._heard = -math.inf
        self._task: asyncio.Task[None] | None = None
        self.generation = 0
        self.dropped = 0

    @property
    def connected(self) -> bool:
        """Tell whether every channel is subscribed and Redis gave a sign of life lately."""
        return self._standing.is_set() and time.monotonic() - self._heard < SUSPECT_S

    @property
    def backlog(self) -> int:
        """Count the notices read from Redis and not yet taken."""
        return self._inbound.qsize()

    async def connect(self) -> None:
        """Start the reader; Redis itself may come later."""
        self._trying = True
        self._task = asyncio.create_task(supervise("redis events", self._session), name="redis events")

    async def disconnect(self) -> None:
        """End the reader and close every connection."""
        if self._task is not None:
            await cancel([self._task])
            self._task = None
        await self._redis.aclose()
        await self._pool.aclose()

    async def subscribe(self, channel: str) -> None:
        """Want a channel.

        Nothing is awaited: two first subscribers at once would otherwise overwrite each other in broadcaster.
        """
        self._wanted.add(channel)
        self._settle()

    async def unsubscribe(self, channel: str) -> None:
        """Want a channel no more."""
        self._wanted.discard(channel)
        self._settle()

    async def publish(self, channel: str, message: Any) -> None:
        """Publish one message; raises when Redis does not take it."""
        await self.publish_all([(channel, message)])

    async def publish_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Publish messages in order with one round trip.

        Raises: redis.RedisError | OSError | TimeoutError
        """
        async with asyncio.timeout(PUBLISH_S_MAX):
            if self._wanted and self._trying:  # who subscribed here before hears what is published after
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SETTLE_S_MAX):
                        await self._standing.wait()
            pipeline = self._redis.pipeline(transaction=False)
            for channel, message in messages:
                pipeline.publish(channel, message)
            await pipeline.execute()

    async def next_published(self) -> Event:
        """Wait for the next message."""
        return await self._inbound.get()

    # One connection from its first byte to its loss.
    async def _session(self) -> None:
        self._trying = True
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await connection.connect()  # type: ignore[no-untyped-call]
            self.generation += 1
            self._live, self._heard = True, time.monotonic()
            self._settle()
            log.info("redis events: connected, generation %d", self.generation)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(connection), name="redis events read")
                tasks.create_task(self._write(connection), name="redis events write")
        finally:
            self._trying = self._live = False
            self._confirmed.clear()
            self._standing.clear()
            await connection.disconnect(nowait=True)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            frame = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._heard = time.monotonic()
            match frame:
                case [b"message", bytes(channel), bytes(data)]:
                    self._offer(Event(channel.decode(), data.decode(errors="replace")))
                case [b"subscribe", bytes(channel), _]:
                    self._confirmed.add(channel.decode())
                    self._offer(Event(channel.decode(), RESYNC_TEXT))
                    self._settle()
                case [b"unsubscribe", bytes(channel), _]:
                    self._confirmed.discard(channel.decode())
                    self._settle()

    async def _write(self, connection: AbstractConnection) -> None:
        asked: set[str] = set()
        while True:
            self._changed.clear()
            more, fewer = self._wanted - asked, asked - self._wanted
            asked = set(self._wanted)
            silent = time.monotonic() - self._heard
            if silent >= DEAD_S:
                raise TimeoutError(f"no sign of life for {silent:.0f} s")
            async with asyncio.timeout(DEAD_S):
                if more:
                    await connection.send_command("SUBSCRIBE", *sorted(more), check_health=False)
                if fewer:
                    await connection.send_command("UNSUBSCRIBE", *sorted(fewer), check_health=False)
                if silent >= PING_S:
                    await connection.send_command("PING", check_health=False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_S):
                    await self._changed.wait()

    def _settle(self) -> None:
        self._changed.set()
        if self._live and self._wanted <= self._confirmed:
            self._standing.set()
        else:
            self._standing.clear()

    def _offer(self, event: Event) -> None:
        if not self._inbound.full():
            self._inbound.put_nowait(event)
            return
        while not self._inbound.empty():
            self._inbound.get_nowait()
            self.dropped += 1
        self.dropped += 1
        log.warning("redis events: more than %d messages not taken; every channel resyncs", self._inbound.maxsize)
        for channel in sorted(self._wanted):
            self._inbound.put_nowait(Event(channel, RESYNC_TEXT))


class Listener:
    """Hold what one reader of a channel has not taken yet.

    One task at a time reads it. Use as a context manager, so that it leaves the hub.
    """

    def __init__(self, keep: Keep, bound: int, leave: Callable[["Listener"], None]) -> None:
        self._keep = keep
        self._bound = bound
        self._leave = leave
        self._items: deque[Item] = deque()
        self._filled = asyncio.Event()
        self._closed = False
        self.overflows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        try:
            item = await self.get()
        except ListenerClosedError:
            raise StopAsyncIteration from None
        assert item is not None
        return item

    def __len__(self) -> int:
        return len(self._items)

    async def get(self, wait_s: float | None = None) -> Item | None:
        """Take the next message or RESYNC; None when none came in time.

        Raises: ListenerClosedError
        """
        while not self._items:
            if self._closed:
                raise ListenerClosedError
            self._filled.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._filled.wait()
            except TimeoutError:
                if not self._items:
                    return None
        return self._items.popleft()

    def offer(self, item: Item) -> None:
        """Put an item for the reader; never waits."""
        if self._keep is Keep.LATEST:
            if not (self._items and self._items[0] is RESYNC):  # a RESYNC says more than any message
                self._items.clear()
                self._items.append(item)
        elif item is RESYNC or len(self._items) >= self._bound:
            self.overflows += item is not RESYNC
            self._items.clear()
            self._items.append(RESYNC)
        else:
            self._items.append(item)
        self._filled.set()

    def close(self) -> None:
        """Leave the hub; what is waiting can still be read."""
        if not self._closed:
            self._closed = True
            self._filled.set()
            self._leave(self)


@dataclass(frozen=True, slots=True)
class Counters:
    """Count what the hub did since its start."""

    generation: int  # connections to Redis so far
    published: int  # taken by Redis
    dropped: int  # not taken by Redis: handed to this process only, or refused by a full queue
    received: int
    inbound_dropped: int  # read from Redis and thrown away for a RESYNC
    outbound: int  # waiting now
    listeners: int


class Events:
    """Publish notices and fan them out to the listeners of this process."""

    def __init__(self, redis_url: str, database: str, *, channels: Sequence[str] = CHANNELS) -> None:
        self._prefix = f"carbondesk:{database}:"
        self._backend = RedisBackend(redis_url)
        self._broadcast = Broadcast(backend=self._backend)
        self._listeners: dict[str, set[Listener]] = {channel: set() for channel in channels}
        self._outbound: deque[tuple[str, str]] = deque()
        self._waiting = asyncio.Event()
        self._owed: set[str] = set()  # channels on which other processes missed a notice
        self._hold_until = -math.inf
        self._tasks: list[asyncio.Task[None]] = []
        self._running = False
        self._published = self._dropped = self._received = 0

    @property
    def connected(self) -> bool:
        """Tell whether notices of other processes arrive."""
        return self._backend.connected

    @property
    def counters(self) -> Counters:
        """Count for the metrics page."""
        return Counters(
            generation=self._backend.generation,
            published=self._published,
            dropped=self._dropped,
            received=self._received,
            inbound_dropped=self._backend.dropped,
            outbound=len(self._outbound),
            listeners=sum(map(len, self._listeners.values())),
        )

    async def start(self) -> None:
        """Start all tasks; Redis may come later."""
        assert not self._running, "the hub was started twice"
        self._running = True
        await self._broadcast.connect()
        self._spawn("events out", self._drain)
        for channel in self._listeners:
            self._spawn(f"events {channel}", partial(self._pump, channel))

    async def stop(self) -> None:
        """Send what is waiting, end every listener and task, close the connections."""
        if not self._running:
            return
        self._running = False
        deadline = time.monotonic() + FLUSH_S_MAX
        while self._outbound and self.connected and time.monotonic() < deadline:  # noqa: ASYNC110 (once in a life)
            await asyncio.sleep(POLL_S)
        await cancel(self._tasks)
        self._tasks.clear()
        for listener in [listener for group in self._listeners.values() for listener in group]:
            listener.close()
        await self._broadcast.disconnect()
        await asyncio.sleep(0)  # broadcaster cancels its own task without waiting for it

    async def ready(self, wait_s: float) -> bool:
        """Wait until notices of other processes arrive, or the time is over."""
        deadline = time.monotonic() + wait_s
        while not self.connected and time.monotonic() < deadline:  # noqa: ASYNC110 (once in a life)
            await asyncio.sleep(POLL_S)
        return self.connected

    def publish(self, channel: str, message: dict[str, Any]) -> None:
        """Send a notice to all listeners of all processes; never waits, never raises.

        Call after the commit only. A notice that cannot be sent is counted: its readers poll as well.
        """
        if channel not in self._listeners:
            log.error("a notice for the unknown channel %r", channel)
            self._dropped += 1
            return
        try:
            text = orjson.dumps(message).decode()
        except TypeError:  # orjson.JSONEncodeError is one
            log.exception("a notice on %r is not JSON; its readers resync", channel)
            text = RESYNC_TEXT
        if len(self._outbound) >= OUTBOUND_MAX:
            self._dropped += 1
            self._owed.add(channel)
            return
        self._outbound.append((channel, text))
        self._waiting.set()

    def listen(self, channel: str, *, keep: Keep = Keep.EACH, bound: int = LISTENER_MAX) -> Listener:
        """Hear a channel from now on."""
        listener = Listener(keep, bound, self._listeners[channel].discard)
        self._listeners[channel].add(listener)
        if not self._running:
            listener.close()
        return listener

    def _spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(supervise(name, work), name=name))

    async def _pump(self, channel: str) -> None:
        async with self._broadcast.subscribe(self._prefix + channel) as subscriber:
            while True:
                self._deliver(channel, (await subscriber.get()).message)
                self._received += 1

    async def _drain(self) -> None:
        while True:
            if not self._outbound:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HOLD_S if self._owed else None):
                        await self._waiting.wait()
            self._waiting.clear()
            await self._send([])  # a RESYNC that is owed waits for no further notice
            while batch := list(islice(self._outbound, PIPELINE_MAX)):
                await self._send(batch)
                for _ in batch:
                    self._outbound.popleft()

    async def _send(self, batch: Sequence[tuple[str, str]]) -> None:
        if not batch and not self._owed:
            return
        if time.monotonic() >= self._hold_until:
            owed = set(self._owed)
            texts = [*((channel, RESYNC_TEXT) for channel in sorted(owed)), *batch]
            try:
                await self._backend.publish_all([(self._prefix + channel, text) for channel, text in texts])
            except OUTAGE as outage:
                log.debug("events out: %s", outage)
                self._hold_until = time.monotonic() + HOLD_S
            else:
                self._published += len(batch)
                self._owed -= owed
                return
        self._dropped += len(batch)
        for channel, text in batch:
            self._owed.add(channel)
            self._deliver(channel, text)

    def _deliver(self, channel: str, text: str) -> None:
        item: Item = RESYNC
        if text != RESYNC_TEXT and self._listeners[channel]:
            try:
                item = orjson.loads(text)
            except orjson.JSONDecodeError:
                log.error("a message on %r is not JSON; its readers resync", channel)
        for listener in self._listeners[channel]:
            listener.offer(item if isinstance(item, dict) else RESYNC)
