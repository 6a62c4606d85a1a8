"""What every test shares: real servers, started once."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from api.app import services
from api.context import Services
from api.settings import Settings
from db import embedded, migrate
from db.embedded import Servers
from tests.world import Api, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser last: Playwright keeps an event loop running, beside which no other test can run one."""
    items.sort(key=lambda item: "playwright" in getattr(item, "fixturenames", ()))


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a place for embedded servers that their user can reach; pytest's own folders are closed to others."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)  # as root the servers run as another user
        path = Path(folder, "home")
        yield path
        embedded.erase(path)  # also ends what a test killed the owner of


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


@pytest.fixture(scope="module")
async def database(servers: Servers) -> AsyncIterator[str]:
    """Give each test file a fresh migrated database; yield its URL."""
    name = f"test_{secrets.token_hex(6)}"
    owner = await asyncpg.connect(servers.urls.database_url)
    try:
        await owner.execute(f'CREATE DATABASE "{name}"')
        url = urls_of(name, servers.urls.database_url)
        await migrate.upgrade(url)
        yield url
        await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for group in ("app", "sealer", "retention", "analyst"):
            await owner.execute(f'DROP ROLE IF EXISTS "{name}_{group}"')
    finally:
        await owner.close()


@pytest.fixture(scope="module")
def settings(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give the settings of an API process on that database."""
    return Settings(
        CARBONDESK_HOME=tmp_path_factory.mktemp("home"), database_url=database, redis_url=servers.urls.redis_url
    )


@pytest.fixture(scope="module")
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Serve the real application on a free port, with one admin; yield it."""
    async with serving(settings) as running:
        await running.create_admin()
        yield running


@pytest.fixture(scope="module")
async def desk_world(settings: Settings) -> AsyncIterator[Services]:
    """Open the services of a process without its door, for tests of the write path."""
    async with services(settings) as opened:
        yield opened
