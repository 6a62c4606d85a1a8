"""The ground all variants run on: durable embedded servers, a seeded database copied for each run, API processes.

The copy keeps the name of the original, because the roles of a database are named after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import orjson
import redis.asyncio

from api import auth
from api.app import services
from api.settings import Settings
from bench.parts.flow import SEEDED_ORDERS, Flow
from db import embedded, migrate
from db.people import token_sha256
from db.unit import Answer
from domain.book import OrderSide
from domain.market import OrderType, Place, TimeInForce
from domain.money import CertificateType
from domain.tickets import ActionType, Attempt

CLIENTS_MAX = 64
SEEDERS = 4  # traders whose orders stand in the book before anybody asks
PLENTY = Decimal(10) ** 9
PORTS = range(25_000, 26_000)
READY_WAIT_S = 30.0
STOP_WAIT_S = 30.0
NAME, ORIGINAL = "bench", "bench_original"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where things are. tokens: (resting, crossing) of each client; holders: the same traders' ids."""

    home: Path
    database_url: str
    redis_url: str
    tokens: list[tuple[str, str]]
    holders: list[tuple[str, str]]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "CARBONDESK_HOME": str(self.home),
            "HOST": "127.0.0.1",
            "ADDRESS_SOCKETS_MAX": "100000",
            "SESSION_REQUESTS_PER_S": "100000",
            "ADDRESS_REQUESTS_PER_S": "100000",
        }


def named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextlib.asynccontextmanager
async def prepared() -> AsyncIterator[Ground]:
    """Start durable servers in a temporary home and seed the database that every run gets a copy of."""
    with TemporaryDirectory(prefix="carbondesk-bench-") as folder:
        home = reachable(folder)
        with embedded.start(home, lambda _: None, durable=True) as servers:
            owner = await asyncpg.connect(servers.urls.database_url)
            try:
                await owner.execute(f"CREATE DATABASE {NAME}")
                ground = Ground(home, named(servers.urls.database_url, NAME), servers.urls.redis_url, [], [])
                await migrate.upgrade(ground.database_url)
                await _seed(ground)
                await owner.execute(f"ALTER DATABASE {NAME} RENAME TO {ORIGINAL}")
                yield ground
            finally:
                await owner.close()
        embedded.erase(home)


def reachable(folder: str) -> Path:
    """Return a home in a temporary folder that the servers can reach: as root they run as another user."""
    Path(folder).chmod(0o711)
    return Path(folder, "home")


async def _seed(ground: Ground) -> None:
    """Make the traders with money, certificates and sessions, and a book with depth."""
    people = [uuid4() for _ in range(2 * CLIENTS_MAX + SEEDERS)]
    tokens = [auth.new_token() for _ in people]
    owner = await asyncpg.connect(ground.database_url)
    await owner.execute(
        "CREATE TABLE bench_rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text NOT NULL);"
        f' GRANT INSERT ON bench_rows TO "{NAME}_app"'
    )
    await owner.execute(
        "INSERT INTO users (id, email, name, role, password_hash, kyc_status, created_at, updated_at)"
        " SELECT id, id || '@bench.test', 'Trader', 'TRADER', 'x', 'APPROVED', now(), now()"
        " FROM unnest($1::uuid[]) AS id",
        people,
    )
    await owner.execute(
        "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at)"
        " SELECT gen_random_uuid(), id, token, now(), now(), now() + interval '1 day'"
        " FROM unnest($1::uuid[], $2::bytea[]) AS t(id, token)",
        people,
        [token_sha256(token) for token in tokens],
    )
    await owner.execute(
        "INSERT INTO balances (holder_id, asset, available, locked, seq)"
        " SELECT id, asset, $2, 0, 0 FROM unnest($1::uuid[]) AS id, unnest(ARRAY['CEA', 'EUA', 'EUR']) AS asset",
        people,
        PLENTY,
    )
    await owner.close()
    ground.tokens.extend((tokens[2 * index], tokens[2 * index + 1]) for index in range(CLIENTS_MAX))
    ground.holders.extend((str(people[2 * index]), str(people[2 * index + 1])) for index in range(CLIENTS_MAX))
    settings = Settings(CARBONDESK_HOME=ground.home, database_url=ground.database_url, redis_url=ground.redis_url)
    flow = Flow(0)
    async with services(settings) as ours:
        orders = {"BUY": 0, "SELL": 0}
        waiting: list[Coroutine[Any, Any, Answer[Any]]] = []
        while min(orders.values()) < SEEDED_ORDERS:
            ask = flow.next()
            if ask.kind == "resting" and orders[ask.side] < SEEDED_ORDERS:
                orders[ask.side] += 1
                holder = people[-1 - (len(waiting) % SEEDERS)]
                waiting.append(ours.desk.submit(attempt_of(holder, "placeOrder", {"input": ask.input}),
                                                place_of(holder, ask.input)))  # fmt: skip
        answers = await asyncio.gather(*waiting)
        assert all(answer.refusal is None for answer in answers)


def attempt_of(holder_id: UUID, name: str, request: dict[str, Any]) -> Attempt:
    """Return an attempt as the door makes it."""
    return Attempt(
        uuid4(), name, ActionType.ORDER_PLACED, request, time.monotonic_ns(), holder_id, None, "127.0.0.1", "bench"
    )


def place_of(holder_id: UUID, asked: dict[str, str]) -> Place:
    """Return the command of an input."""
    return Place(
        holder_id,
        None,
        CertificateType(asked["certificateType"]),
        OrderSide(asked["side"]),
        OrderType.LIMIT,
        TimeInForce.GTC,
        Decimal(asked["price"]),
        Decimal(asked["quantity"]),
    )


@contextlib.asynccontextmanager
async def fresh_database(ground: Ground) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Copy the seeded database; yield the owner's connection to the copy."""
    admin = await asyncpg.connect(named(ground.database_url, "postgres"))
    client = redis.asyncio.from_url(ground.redis_url)
    try:
        await _drop(admin)
        await admin.execute(f"CREATE DATABASE {NAME} TEMPLATE {ORIGINAL}")
        await client.flushdb()
        owner = await asyncpg.connect(ground.database_url)
        await owner.execute("UPDATE user_sessions SET last_seen_at = now()")
        await owner.execute("ANALYZE")
        try:
            yield owner
        finally:
            await owner.close()
    finally:
        await client.aclose()
        await admin.close()


async def _drop(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """Drop the last copy; autovacuum may be at work in it and cannot be ended by us."""
    ends_at = time.monotonic() + READY_WAIT_S
    while True:
        try:
            await admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
            return
        except (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
            if time.monotonic() > ends_at:
                raise
            await asyncio.sleep(0.1)


def free_port() -> int:
    """Return a port nobody has, drawn at random: another bench that starts now is unlikely to draw the same."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port in {PORTS}")


@contextlib.contextmanager
def serving(
    ground: Ground, arguments: Sequence[str], count: int = 1, probe: str = "/readyz", **variables: str
) -> Iterator[list[int]]:
    """Start API processes, wait until they answer, and end them afterwards; yield their ports."""
    with processes_of(ground, arguments, count, probe, **variables) as (_, ports):
        yield ports


@contextlib.contextmanager
def processes_of(
    ground: Ground, arguments: Sequence[str], count: int, probe: str, **variables: str
) -> Iterator[tuple[list[subprocess.Popen[bytes]], list[int]]]:
    """Do as `serving`; yield the processes too, for those who look at their memory and time."""
    processes: list[subprocess.Popen[bytes]] = []
    ports: list[int] = []
    try:
        for _ in range(count):
            port = free_port()
            filled = [argument.format(port=port) for argument in arguments]
            environment = {**ground.environment, "PORT": str(port), **variables}
            processes.append(subprocess.Popen([sys.executable, *filled], env=environment, stdout=subprocess.DEVNULL))
            ports.append(port)
            wait_ready(processes[-1], f"http://127.0.0.1:{port}{probe}")
        yield processes, ports
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(STOP_WAIT_S)


def wait_ready(process: subprocess.Popen[bytes], url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ends_at = time.monotonic() + READY_WAIT_S
    while time.monotonic() < ends_at:
        assert process.poll() is None, "the API did not start"
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(url, timeout=2):
            return
        time.sleep(0.05)
    raise AssertionError(f"not ready in {READY_WAIT_S} s")


def child(ground: Ground, module: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Run a module with a plan on its standard input; return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=orjson.dumps(plan),
        env=ground.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-4_000:]
    measured: dict[str, Any] = orjson.loads(done.stdout.rsplit(b"\n", 1)[-1])
    return measured
