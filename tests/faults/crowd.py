"""Watchers by the dozen: bare sockets that keep what they are told, reconnect as clients do, or do not read at all."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket as sockets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.socket import PROTOCOL
from tests.faults.market import Market, Told
from tests.ladders import CHANGES, Follower, books_of
from tests.watching import figures_in
from tests.world import CANCEL_ORDER, PLACE_ORDER, Trader

WAIT_S_MAX = 10.0
BACK_S = 0.2  # before a watcher connects again
BOOKS = """subscription($type: CertificateType!) { orderBook(certificateType: $type, depth: 1000) {
  sequence checksum bids { price quantity orderCount } asks { price quantity orderCount } } }"""
TRADES = "subscription { trades { id } }"
ORDERS = "subscription { orders { id status filledQuantity updatedAt } }"
BALANCES = "subscription($id: ID) { balances(userId: $id) { asset available locked seq } }"
TICKETS = "subscription($after: ID) { tickets(after: $after) { ticketId } }"


async def opened(url: str, token: str = "", receive_bytes_max: int | None = None) -> ClientConnection:
    """Open an acknowledged socket; with so small a buffer that what is not read comes back to the server soon."""
    address = urlsplit(url)
    raw = sockets.socket()
    raw.setblocking(False)
    if receive_bytes_max:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_bytes_max)
    await asyncio.get_running_loop().sock_connect(raw, (address.hostname, address.port))
    connection = await connect(
        url.replace("http", "ws", 1), sock=raw, subprotocols=[PROTOCOL],  # type: ignore[list-item]
        compression=None, max_size=None, max_queue=None if receive_bytes_max is None else 1, close_timeout=1,
    )  # fmt: skip
    payload = {"Authorization": f"Bearer {token}"} if token else {}
    await connection.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
    assert orjson.loads(await connection.recv()) == {"type": "connection_ack"}
    return connection


async def subscribe(connection: ClientConnection, document: str, operation_id: str = "1", **variables: Any) -> None:
    asked = {"id": operation_id, "type": "subscribe", "payload": {"query": document, "variables": variables}}
    await connection.send(orjson.dumps(asked).decode())


@dataclass
class Watcher:
    """Watches one stream, for ever; takes each event, and comes back when its socket is lost."""

    url: str
    document: str
    token: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    losses: int = 0
    connection: ClientConnection | None = None
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, TimeoutError):
                self.connection = await opened(self.url, self.token)
                await subscribe(self.connection, self.document, **self.again())
                self.is_ready.set()
                async for text in self.connection:
                    message = orjson.loads(text)
                    assert message["type"] == "next", message
                    assert "errors" not in message["payload"], message
                    ((_, event),) = message["payload"]["data"].items()
                    self.take(event)
            self.losses += 1
            await asyncio.sleep(BACK_S)

    def again(self) -> dict[str, Any]:
        """Return the variables of the next subscription."""
        return self.variables

    def take(self, event: Any) -> None:
        self.events.append(event)


@dataclass
class BookFollower(Watcher):
    """Keeps a book by its changes; resumes where it was."""

    follower: Follower = field(default_factory=Follower)
    heard: list[tuple[int, float]] = field(default_factory=list)  # sequences of the database not reached yet, and when
    behind_s: float = 0.0  # the longest time between hearing of a sequence and reaching it

    def again(self) -> dict[str, Any]:
        return {"type": "CEA", "after": self.follower.sequence}

    def take(self, event: Any) -> None:
        self.follower.take(event)
        now = time.monotonic()
        if event["__typename"] == "OrderBookHeartbeat":
            self.heard.append((self.follower.known, now))
        reached = self.follower.sequence or 0
        self.behind_s = max([self.behind_s, *(now - at for known, at in self.heard if known <= reached)])
        self.heard = [(known, at) for known, at in self.heard if known > reached]


@dataclass
class TicketFollower(Watcher):
    """Resumes after the last ticket."""

    def again(self) -> dict[str, Any]:
        return {"after": self.events[-1]["ticketId"]} if self.events else {}


def book_follower(url: str) -> BookFollower:
    return BookFollower(url, CHANGES)


@contextlib.asynccontextmanager
async def watching(*watchers: Watcher) -> Any:
    """Let watchers watch; a watcher that was told something impossible ends the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watcher.run()) for watcher in watchers]
        async with asyncio.timeout(WAIT_S_MAX):
            for watcher in watchers:
                await watcher.is_ready.wait()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
    for watcher in watchers:
        if watcher.connection:
            watcher.connection.transport.abort()


async def within(seconds: float, fact: Callable[[], bool], what: str) -> float:
    """Wait until something is so; return how long it took."""
    begun = time.monotonic()
    while not fact():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def sequence_of(market: Market, certificate: str = "CEA") -> int:
    sequence: int = await market.one_value("SELECT sequence FROM books WHERE certificate_type = $1", certificate)
    return sequence


async def journal(market: Market) -> dict[int, str]:
    """Return the book of CEA after each event that the database has."""
    rows = await market.api.sql(
        "SELECT sequence, level_changes FROM book_events WHERE certificate_type = 'CEA' ORDER BY sequence"
    )
    return books_of([{"sequence": row["sequence"], "changes": orjson.loads(row["level_changes"])} for row in rows])


async def metrics(market: Market, at: int) -> dict[str, int]:
    """Return what a process counts."""
    async with market.session.get(market.served[at].url.replace("/graphql", "/metrics")) as response:
        return figures_in(await response.text())


async def left_nothing(market: Market, before: list[dict[str, int]]) -> None:
    """Wait until each process has as many sockets, subscriptions, executions and tasks as before."""
    names = ("sockets", "subscriptions", "executions", "tasks")
    ends_at = time.monotonic() + WAIT_S_MAX
    while True:
        now = [await metrics(market, at) for at in range(len(market.served))]
        counts = [[one[name] for name in names] for one in now]
        was = [[one[name] for name in names] for one in before]
        if all(max(map(int.__sub__, mine, theirs)) <= 0 for mine, theirs in zip(counts, was, strict=True)):
            return
        assert time.monotonic() < ends_at, f"{names}: {counts}, before {was}"
        await asyncio.sleep(0.1)


@dataclass
class Flow:
    """Random commands of a trader who never meets himself: one rests below and above the middle, the other crosses."""

    market: Market
    trader: Trader
    seed: int
    first: int = 0  # whose process is asked first
    open_orders: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    async def command(self, number: int) -> None:
        """Place or cancel at one of the processes."""
        at, rng = self.first + number, self.rng
        if self.open_orders and rng.random() < 0.3:
            told = await self.market.ask(
                at, CANCEL_ORDER, self.trader.token, id=self.open_orders.pop(rng.randrange(len(self.open_orders)))
            )
        else:
            side = rng.choice(("BUY", "SELL"))
            away = rng.randrange(-2, 25)
            cents = 2_500 - away if side == "BUY" else 2_500 + away
            order = {"certificateType": "CEA", "side": side, "price": f"{cents / 100:.2f}",
                     "quantity": str(rng.randrange(1, 9))}  # fmt: skip
            told = await self.market.ask(at, PLACE_ORDER, self.trader.token, input=order)
            placed = told.payload["order"]
            if placed and placed["status"] in {"OPEN", "PARTIALLY_FILLED"}:
                self.open_orders.append(placed["id"])
        if told.code is None:
            self.told.append(told)
        else:
            self.refused.append(told.code)

    async def run(self, count: int, pause_s: float = 0.0) -> None:
        for number in range(count):
            await self.command(number)
            if pause_s:
                await asyncio.sleep(pause_s)

    async def run_on(self, pause_s: float) -> None:
        """Go on until cancelled; a request that a fault broke off is made anew by the next command."""
        number = 0
        while True:
            number += 1
            with contextlib.suppress(aiohttp.ClientError, AssertionError):
                await self.command(number)
            await asyncio.sleep(pause_s)


def rss(pid: int | None) -> int:
    """Return the resident bytes of a process."""
    import psutil

    return int(psutil.Process(pid).memory_info().rss)
