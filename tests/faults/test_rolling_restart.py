"""Two replicas are replaced one after the other while sixteen clients trade: no order is lost, and none is doubled.

The clients are what a load balancer and a careful program are together: they ask a replica that says it is ready, with
an idempotency key for each intention, and repeat what was not answered. Whatever they repeat must have been safe to.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from api import supervisor
from api.settings import Settings
from api.supervisor import Child
from tests.faults.market import Market, asked, heads, market_of, told_of
from tests.world import PLACE_ORDER, Trader, environment

SEED = 41
CLIENTS = 16
DRAIN_S = 1.0
LOOK_S = 0.1  # how often the load balancer asks who is ready
BEFORE_S = 1.5  # of load before a replica goes, and after it is back
PAUSE_S = 0.02
RETRY_S = 0.05
TRIES_MAX = 200
END_S_MAX = 15.0
GOING_AWAY = 1001


@pytest.fixture(scope="module")
async def market(settings: Settings) -> AsyncIterator[Market]:
    """Serve one process beside the replicas, for the admin and for what checks the market afterwards."""
    async with market_of(settings, 1) as running:
        yield running


class Replica:
    """An API process on a port of its own, which is replaced as an orchestrator does it."""

    def __init__(self, settings: Settings) -> None:
        self.environment = environment(settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.base = f"http://127.0.0.1:{self.port}"
        self.is_ready = False

    async def start(self) -> None:
        """Come up; nobody else holds the port, as with a container of its own."""
        with supervisor.listen("127.0.0.1", self.port) as listener:
            self.child = Child("a replica", ["serve", "--supervised", str(listener.fileno())], self.environment,
                               listener.fileno())  # fmt: skip
            self.child.start()
        await asyncio.to_thread(supervisor.wait_ready, self.child, self.base)

    def stop(self) -> None:
        """End the process of now."""
        self.child.stop()

    async def replace(self) -> float:
        """Go away and come back; return how long going took."""
        process = self.child._process
        assert process is not None
        begun_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, END_S_MAX) == 0
        took_s = time.monotonic() - begun_at
        self.child.stop()  # its pipe
        await self.start()
        return took_s


@dataclass
class Load:
    """What the clients saw. told: outcomes by key; broken: requests without an answer; wrong: what must not be."""

    told: dict[str, str] = field(default_factory=dict)
    broken: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    wrong: list[str] = field(default_factory=list)
    by_replica: Counter[int] = field(default_factory=Counter)
    is_over: bool = False


async def balance(replicas: list[Replica], session: aiohttp.ClientSession) -> None:
    """Find out again and again who is ready, as a load balancer does."""
    while True:
        for replica in replicas:
            try:
                async with session.get(f"{replica.base}/readyz", timeout=aiohttp.ClientTimeout(1)) as answer:
                    replica.is_ready = answer.status == 200
            except (aiohttp.ClientError, TimeoutError):
                replica.is_ready = False
        await asyncio.sleep(LOOK_S)


async def trade(load: Load, replicas: list[Replica], session: aiohttp.ClientSession, trader: Trader, seed: int) -> None:
    """Place order after order, each until it is answered."""
    rng = random.Random(seed)
    side = "BUY" if seed % 2 else "SELL"
    while not load.is_over:
        key = str(uuid4())
        cents = 2_500 + rng.randrange(-20, 21)
        order = {"certificateType": "CEA", "side": side, "price": f"{cents / 100:.2f}",
                 "quantity": str(rng.randrange(1, 5)), "idempotencyKey": key}  # fmt: skip
        for _ in range(TRIES_MAX):
            ready = [replica for replica in replicas if replica.is_ready]
            if not ready:
                await asyncio.sleep(RETRY_S)
                continue
            replica = rng.choice(ready)
            try:
                body = asked(PLACE_ORDER, {"input": order})
                async with session.post(f"{replica.base}/graphql", data=body, headers=heads(trader.token)) as answer:
                    (told,) = told_of(await answer.json()).values()
            except aiohttp.ClientError as error:  # nobody knows whether it was done: the key finds out
                load.broken[type(error).__name__] += 1
            except AssertionError as fault:
                load.wrong.append(str(fault))
                return
            else:
                load.by_replica[replicas.index(replica)] += 1
                if told.code != "BUSY":
                    load.told[key] = told.ticket_id
                    break
                load.busy += 1
            await asyncio.sleep(RETRY_S)
        else:
            load.wrong.append(f"{key} was never answered")
        await asyncio.sleep(PAUSE_S)


async def watch(replica: Replica, closes: list[int]) -> None:
    """Hold a socket until it is closed; note the code."""
    url = replica.base.replace("http", "ws") + "/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket_:
        await socket_.send('{"type":"connection_init"}')
        await socket_.send('{"id":"1","type":"subscribe","payload":{"query":'
                           '"subscription { orderBook(certificateType: CEA) { sequence } }"}}')  # fmt: skip
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in socket_:
                pass
        closes.append(socket_.close_code or 0)


async def test_replicas_are_replaced_under_load_and_no_order_is_lost_or_doubled(
    market: Market, settings: Settings
) -> None:
    traders = await market.traders(CLIENTS, EUR="1000000", CEA="100000")
    replicas = [Replica(replace_drain(settings)) for _ in range(2)]
    load = Load()
    closes: list[int] = []
    left_s: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        for replica in replicas:
            await replica.start()
            stack.callback(replica.stop)
        looker = asyncio.create_task(balance(replicas, market.session))
        stack.callback(looker.cancel)
        clients = [
            asyncio.create_task(trade(load, replicas, market.session, trader, SEED + number))
            for number, trader in enumerate(traders)
        ]
        for client in clients:
            stack.callback(client.cancel)
        for replica in replicas:
            watcher = asyncio.create_task(watch(replica, closes))
            await asyncio.sleep(BEFORE_S)
            left_s.append(await replica.replace())
            await asyncio.wait_for(watcher, END_S_MAX)
            await asyncio.sleep(BEFORE_S)
        load.is_over = True
        await asyncio.gather(*clients)
    print(f"{len(load.told)} orders, {load.broken.total()} repeated, {load.busy} BUSY, left in {left_s}")  # noqa: T201
    assert load.wrong == []
    assert closes == [GOING_AWAY, GOING_AWAY]
    assert min(load.by_replica.values()) > CLIENTS and len(load.told) > 10 * CLIENTS
    # Each key is one order, with the ticket that its client was told; nothing else was placed.
    rows = await market.api.sql(
        "SELECT i.key, t.ticket_id, o.id FROM idempotency i JOIN ticket_logs t USING (ticket_id)"
        " LEFT JOIN orders o ON o.ticket_id = t.ticket_id WHERE i.field = 'placeOrder'"
    )
    assert {row["key"]: row["ticket_id"] for row in rows} == load.told
    assert len({row["id"] for row in rows}) == len(rows) == await market.one_value("SELECT count(*) FROM orders")
    # With a load balancer that looks and a replica that waits for it, nothing had to be repeated at all.
    assert load.broken.total() + load.busy == 0
    assert all(DRAIN_S <= one < END_S_MAX for one in left_s)


def replace_drain(settings: Settings) -> Settings:
    """Return the settings of a replica that a load balancer stands in front of."""
    return settings.model_copy(update={"drain_s": DRAIN_S})


async def test_without_a_load_balancer_what_breaks_off_is_found_by_its_key(market: Market, settings: Settings) -> None:
    """A replica that leaves at once, and clients who go on asking it: every broken request is repeated safely."""
    traders = await market.traders(CLIENTS, EUR="1000000", CEA="100000")
    before = await market.one_value("SELECT count(*) FROM orders")
    replicas = [Replica(settings), Replica(settings)]
    load = Load()
    async with contextlib.AsyncExitStack() as stack:
        for replica in replicas:
            await replica.start()
            stack.callback(replica.stop)
            replica.is_ready = True  # for ever, whatever it says
        clients = [
            asyncio.create_task(trade(load, replicas, market.session, trader, SEED + number))
            for number, trader in enumerate(traders)
        ]
        for client in clients:
            stack.callback(client.cancel)
        await asyncio.sleep(BEFORE_S)
        left_s = await replicas[0].replace()
        await asyncio.sleep(BEFORE_S)
        load.is_over = True
        await asyncio.gather(*clients)
    print(f"{len(load.told)} orders, {load.broken} repeated, left in {left_s:.1f} s")  # noqa: T201
    assert load.wrong == []
    assert load.broken.total() > 0
    assert await market.one_value("SELECT count(*) FROM orders") - before == len(load.told)
    tickets = await market.one_value(
        "SELECT count(DISTINCT ticket_id) FROM idempotency WHERE key = ANY($1::text[])", list(load.told)
    )
    assert tickets == len(set(load.told.values())) == len(load.told)
