"""Clients under faults: each attempt has an idempotency key and is repeated until it is answered.

A history says what was acknowledged. Afterwards the rows must be that and nothing else: no acknowledged attempt lost,
no effect that no answer told of, no ticket number given to two attempts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from tests.faults.market import TRANSACT, Market, Told, asked, heads, told_of
from tests.world import PLACE_ORDER, Trader

CLIENTS = 16
PLENTY = {"EUR": "10000000", "CEA": "1000000"}
ANSWER_S_MAX = 12.0  # then a client gives the connection up and asks again
AGAIN_S = 0.1
NEWEST = 100  # attempts of a client that are looked at
SETTLE_S_MAX = 45.0
READY_AGAIN_S = 5.0
MIDDLE, AWAY = 2_500, 8  # cents
WITHDRAWAL_SHARE = 0.25  # units of work; the rest are orders, of which half trade
REFUSALS = {"SELF_TRADE", "NO_LIQUIDITY"}  # that these clients may come to, whatever happens
WITHOUT_OUTCOME = {"INTERNAL", "BUSY"}  # of tickets of tries that came to nothing


def patience() -> float:
    """Return how much longer things may take while others use this machine too: processes that wait, for each core."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass
class Entry:
    """One attempt: what was asked under which key, how often no answer came, and what it came to in the end."""

    key: str
    document: str
    token: str
    asked: dict[str, str]
    first_sent_at: float
    unanswered: int = 0
    told: Told | None = None
    told_at: float = 0.0


@dataclass
class Client:
    """Asks, repeats until there is an answer, and asks the next thing."""

    market: Market
    trader: Trader
    number: int
    seed: int
    history: list[Entry] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)  # tickets of BUSY
    pause_s: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def next(self) -> Entry:
        """Draw what is asked next."""
        key = f"{self.trader.id[:8]} {len(self.history):06}"
        if self.rng.random() < WITHDRAWAL_SHARE:
            asked = {"userId": self.trader.id, "asset": "EUR", "transactionType": "WITHDRAWAL", "amount": "1"}
            document, token = TRANSACT, self.market.api.admin_token
        else:
            cents = MIDDLE + self.rng.randint(-AWAY, AWAY)
            side = self.rng.choice(["BUY", "SELL"])
            asked = {"certificateType": "CEA", "side": side, "price": f"{cents / 100:.2f}", "quantity": "1"}
            document, token = PLACE_ORDER, self.trader.token
        return Entry(key, document, token, asked | {"idempotencyKey": key}, time.monotonic())

    async def run(self, is_over: asyncio.Event) -> None:
        """Go on until it is over; the last attempt is settled too."""
        while not is_over.is_set():
            entry = self.next()
            self.history.append(entry)
            await self.settle(entry)
            if self.pause_s:
                await asyncio.sleep(self.pause_s)

    async def settle(self, entry: Entry) -> None:
        """Ask at one process after the other until the key is answered."""
        ends_at, at = time.monotonic() + SETTLE_S_MAX, self.number
        while True:
            told = await self.send(at, entry)
            if told and told.code != "BUSY":
                assert told.code is None or told.code in REFUSALS, (self.seed, entry.key, told)
                entry.told, entry.told_at = told, time.monotonic()
                return
            if told:
                self.busy.append(told.ticket_id)
            else:
                entry.unanswered += 1
            assert time.monotonic() < ends_at, f"seed {self.seed}: {entry.key} has no answer after {SETTLE_S_MAX} s"
            await asyncio.sleep(AGAIN_S)
            at += 1

    async def send(self, at: int, entry: Entry) -> Told | None:
        """Send an attempt once; None when it is not known what became of it."""
        market, variables = self.market, {"input": entry.asked}
        url = market.served[at % len(market.served)].url
        try:
            async with market.session.post(
                url, data=asked(entry.document, variables), headers=heads(entry.token),
                timeout=aiohttp.ClientTimeout(ANSWER_S_MAX),
            ) as response:  # fmt: skip
                body: dict[str, Any] = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        if "errors" in body:
            codes = {error["extensions"]["code"] for error in body["errors"]}
            assert codes <= {*WITHOUT_OUTCOME, "RATE_LIMITED"}, (self.seed, body)  # the last: no look at the session
            return None
        (told,) = told_of(body).values()
        return told


@dataclass
class Trading:
    """Clients at work."""

    market: Market
    clients: list[Client]
    began_at: float
    roots_before: dict[str, str | None]

    @property
    def entries(self) -> list[Entry]:
        return [entry for client in self.clients for entry in client.history]

    async def answers_again(self, since: float, seconds: float = READY_AGAIN_S) -> float:
        """Wait until each process has answered an attempt that was first sent since then; return how long it took."""
        served = len(self.market.served)
        while True:
            done: dict[int, float] = {}
            for client in self.clients:
                for one in client.history[-NEWEST:]:
                    if one.told and one.first_sent_at >= since and not one.unanswered:
                        at = client.number % served
                        done[at] = min(one.told_at, done.get(at, one.told_at))
            if len(done) == served:
                return max(done.values()) - since
            assert time.monotonic() - since < seconds * patience(), f"no attempt was answered within {seconds} s"
            await asyncio.sleep(0.02)

    async def check(self) -> str:
        """Hold the rows against the history; return its figures in words."""
        market, roots = self.market, await self.market.root_tickets()
        entries, busy = self.entries, [ticket_id for client in self.clients for ticket_id in client.busy]
        told: dict[str, str | None] = {}
        for entry in entries:
            assert entry.told, entry
            assert entry.told.ticket_id not in told, f"{entry.told.ticket_id} was given to two attempts: {entry}"
            told[entry.told.ticket_id] = entry.told.code
        lost = {ticket_id for ticket_id, code in told.items() if roots.get(ticket_id, "none") != code}
        assert not lost, f"acknowledged and not there: {sorted(lost)}"
        assert {roots.get(ticket_id) for ticket_id in busy} <= {"BUSY"}
        rest = {ticket_id: code for ticket_id, code in roots.items() if ticket_id not in self.roots_before | told}
        assert set(rest.values()) <= WITHOUT_OUTCOME, f"done and not told of: {rest}"
        rows = await market.api.sql(
            "SELECT id::text, ticket_id, side, price, quantity FROM orders WHERE user_id = ANY($1::uuid[])",
            [client.trader.id for client in self.clients],
        )
        placed = [entry for entry in entries if entry.told and not entry.told.code and entry.document == PLACE_ORDER]
        assert sorted(map(_order_row, rows)) == sorted(map(_order_told, placed))
        moved = await market.api.sql(
            "SELECT ticket_id, amount FROM asset_transactions"
            " WHERE reason = 'WITHDRAWAL' AND holder_id = ANY($1::uuid[])",
            [client.trader.id for client in self.clients],
        )
        withdrawn = [one.told.ticket_id for one in entries if one.told and one.document == TRANSACT]
        assert Counter(row["ticket_id"] for row in moved) == Counter(withdrawn)
        assert {row["amount"] for row in moved} <= {-1}
        unknown = sum(1 for entry in entries if entry.unanswered)
        replayed = sum(1 for entry in entries if entry.told and entry.told.is_replay)
        return (
            f"{len(entries):,} attempts acknowledged and there; {unknown} with an unknown outcome settled by their key,"
            f" {replayed} of which had been done; {len(busy)} times BUSY"
        )


def _order_row(row: Any) -> tuple[str, ...]:
    return row["id"], row["ticket_id"], row["side"], f"{row['price']:.2f}", f"{row['quantity']:f}"


def _order_told(entry: Entry) -> tuple[str, ...]:
    assert entry.told
    order = entry.told.payload["order"]
    return order["id"], entry.told.ticket_id, entry.asked["side"], entry.asked["price"], entry.asked["quantity"]


async def clients_of(market: Market, seed: int, count: int = CLIENTS, pause_s: float = 0.0) -> list[Client]:
    traders = await market.traders(count, **PLENTY)
    return [
        Client(market, trader, number, seed * 100 + number, pause_s=pause_s) for number, trader in enumerate(traders)
    ]


@contextlib.asynccontextmanager
async def trading(market: Market, clients: Sequence[Client]) -> AsyncIterator[Trading]:
    """Let clients trade; afterwards every attempt has an answer, and the rows are what was answered."""
    before, is_over = await market.root_tickets(), asyncio.Event()
    at_work = Trading(market, list(clients), time.monotonic(), before)
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run(is_over))
        try:
            yield at_work
        finally:
            is_over.set()
