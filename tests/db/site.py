"""A market's site: a server of its own, a database on it, and the program as its operator runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from db import verify
from db.embedded import Servers
from db.verify_tree import Outside
from db.witness import Witness
from domain.money import Asset
from tests.db.process import process
from tests.db.sealing import sealing

NAME = "desk"


@dataclass
class Site:
    """A server of its own with a database, and the home of whoever runs the market on it."""

    servers: Servers
    url: str
    home: Path

    def carbondesk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as the operator does."""
        environment = {**os.environ, "CARBONDESK_HOME": str(self.home), "DATABASE_URL": self.url,
                       "REDIS_URL": self.servers.urls.redis_url, "COLUMNS": "200"}  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "api", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    async def sql(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    async def empty(self) -> None:
        """Make the database anew."""
        owner = await asyncpg.connect(self.servers.urls.database_url)
        try:
            await owner.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
            await owner.execute(f"CREATE DATABASE {NAME}")
        finally:
            await owner.close()


def site_of(servers: Servers, home: Path) -> Site:
    parts = urlsplit(servers.urls.database_url)
    return Site(servers, urlunsplit(parts._replace(path=f"/{NAME}")), home)


def heir_of(site: Site, servers: Servers, folder: Path) -> Site:
    """Return a site on another server with the key and the checkpoints of one that is gone."""
    shutil.copytree(site.home, folder / "home")
    return site_of(servers, folder / "home")


async def trade(site: Site, orders: int) -> None:
    """Leave orders, trades and refusals, sealed."""
    async with process(site.url) as one, sealing(site.url, site.home) as sealer:
        seller, buyer = await one.trader(cea="1000"), await one.trader(eur="100000")
        for number in range(orders):
            await one.place(seller, "SELL", "2", f"25.{number:02}")
            await one.place(buyer, "BUY", "1", f"25.{number:02}")
            await one.transact(buyer, Asset.EUR, "1")
        await sealer.seal()


async def clean(site: Site) -> verify.Report:
    report = await verify.run(site.url, lambda _: None, Outside.at(Witness(site.home / "checkpoints")))
    assert report.is_clean, [str(one) for one in report.breaks]
    return report


def superuser_url(servers: Servers, database: str) -> str:
    """Return the URL of the server's superuser, whom the application never uses."""
    for server in servers._running:
        if server.name == "postgres":
            parts = urlsplit(database)
            return f"postgresql://postgres:{server.passwords.postgres}@{parts.hostname}:{parts.port}{parts.path}"
    raise AssertionError("no PostgreSQL here")
