"""What every test shares: real servers, started once."""

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog

from api import logins
from api.app import services
from api.context import Services
from api.logins import Login
from api.settings import Settings
from db import embedded, migrate
from db.embedded import Servers
from tests.watching import second_process
from tests.world import Api, serving

# Tracebacks with every local variable, structlog's default, cost a second each.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
DROP_SECONDS_MAX = 20
GROUPS = ("app", "sealer", "retention", "analyst")
# How often a test is done again that waits for processes and a browser on a machine that others use; each is reported.
RERUNS = {"api": 1, "faults": 1, "dashboard": 2}
LIVE_SECONDS_MAX = 90  # a first start on two busy cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser last: Playwright keeps an event loop running, beside which no other test can run one."""
    items.sort(key=lambda item: "playwright" in getattr(item, "fixturenames", ()))
    for item in items:
        if reruns := RERUNS.get(item.path.parent.name):
            item.add_marker(pytest.mark.flaky(reruns=reruns))


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a place for embedded servers that their user can reach; pytest's own folders are closed to others."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)  # as root the servers run as another user
        path = Path(folder, "home")
        yield path
        embedded.erase(path)  # also ends what a test killed the owner of


@pytest.fixture
def port() -> int:
    """Find a free port for a program under test."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start one real PostgreSQL and one real Redis for the whole run; only the flush to disk is left out."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)
        path = Path(folder, "home")
        with embedded.start(path, print, durable=False) as running:
            yield running
        embedded.erase(path)


def urls_of(database: str, base: str) -> str:
    """Return the URL of another database on the same server."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"/{database}"))


async def drop_database(owner: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Drop a database with whoever is connected; an autovacuum worker is not ours to end, but soon gone by itself."""
    async with asyncio.timeout(DROP_SECONDS_MAX):
        while True:
            try:
                await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
                return
            except (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
                await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def fresh_database(servers: Servers) -> AsyncIterator[str]:
    """Make a migrated database and give its URL; drop it afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    async with owner_of(servers.urls.database_url) as owner:
        await owner.execute(f'CREATE DATABASE "{name}"')
    url = urls_of(name, servers.urls.database_url)
    try:
        await migrate.upgrade(url)
        yield url
    finally:
        async with owner_of(servers.urls.database_url) as owner:  # anew: a test may have killed the server meanwhile
            await drop_database(owner, name)
            for group in GROUPS:
                await owner.execute(f'DROP ROLE IF EXISTS "{name}_{group}"')


@contextlib.asynccontextmanager
async def owner_of(database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Connect as the owner for a while."""
    owner = await asyncpg.connect(database_url)
    try:
        yield owner
    finally:
        await owner.close()


@pytest.fixture(scope="module")
async def database(servers: Servers) -> AsyncIterator[str]:
    """Give each test file a database of its own; yield its URL."""
    async with fresh_database(servers) as url:
        yield url


@pytest.fixture(scope="module")
def settings(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give the settings of an API process on that database."""
    return Settings(
        CARBONDESK_HOME=tmp_path_factory.mktemp("home"),
        database_url=database,
        redis_url=servers.urls.redis_url,
        readers=0,  # tests/api/test_readers.py has some
    )


@pytest.fixture(scope="module")
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Serve the real application on a free port, with one admin; yield it."""
    async with serving(settings) as running:
        await running.create_admin()
        yield running


@pytest.fixture(scope="module")
async def other(api: Api, settings: Settings) -> AsyncIterator[Api]:
    """Serve a second process on the same database and Redis."""
    async with second_process(api, settings) as second:
        yield second


@pytest.fixture(scope="module")
async def desk_world(settings: Settings) -> AsyncIterator[Services]:
    """Open the services of a process without its door, for tests of the write path."""
    async with services(settings) as opened:
        yield opened


@dataclass(frozen=True)
class LiveServer:
    """The product as `make run` starts it, with its demo market."""

    url: str
    logins: list[Login]
    home: Path


@pytest.fixture(scope="session")
def live_server() -> Iterator[LiveServer]:
    """Run the whole product once for all browser tests: servers, demo, API and dashboard."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder, closing(socket()) as probe:
        Path(folder).chmod(0o711)
        home = Path(folder, "home")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {**os.environ, "CARBONDESK_HOME": str(home), "PORT": str(port), "DEMO": "1", "FLOW": "0"}
        for name in ("DATABASE_URL", "DATABASE_APP_URL", "REDIS_URL"):
            environment.pop(name, None)
        log = Path(folder, "run.log")
        with log.open("w", encoding="utf-8") as output:
            product = subprocess.Popen(
                [sys.executable, "-m", "api", "run"], env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(f"{url}/readyz", product, log)
            yield LiveServer(url, logins.read(home), home)
        finally:
            product.terminate()
            product.wait(LIVE_SECONDS_MAX)
            embedded.erase(home)


def _wait_ready(url: str, product: subprocess.Popen[bytes], log: Path) -> None:
    ends_at = time.monotonic() + LIVE_SECONDS_MAX
    while time.monotonic() < ends_at:
        assert product.poll() is None, log.read_text(encoding="utf-8")
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own server
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"not ready in {LIVE_SECONDS_MAX} s:\n{log.read_text(encoding='utf-8')}")
