"""Recovery to a point in time, as docs/operations.md tells it: base backup, archived log, a market taken up again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psutil
import pytest

from db import embedded, migrate, verify
from db.embedded import Servers
from db.place import postgres_program
from db.verify_tree import Outside
from db.witness import Witness
from tests.db.sealing import sealing
from tests.db.site import Site, clean, site_of, superuser_url, trade

STOP_S_MAX = 60
ARCHIVE_S_MAX = 60
TICKETS = "SELECT year, number FROM ticket_logs"


@dataclass
class Archive:
    """A server whose log of writes is kept elsewhere, and what it takes to bring it back."""

    servers: Servers
    folder: Path

    @property
    def data(self) -> Path:
        return self.servers.folder("postgres")

    @property
    def superuser(self) -> str:
        return superuser_url(self.servers, self.servers.urls.database_url)

    async def sql(self, *statements: str) -> list[asyncpg.Record]:
        """Run statements as the superuser and return the rows of the last one."""
        connection = await asyncpg.connect(self.superuser)
        try:
            return [await connection.fetch(statement) for statement in statements][-1]
        finally:
            await connection.close()

    def own(self, path: Path, like: Path) -> None:
        """Give files to the owner of another: PostgreSQL runs as a user of its own where tests are root."""
        owner = like.stat()
        for one in (path, *path.rglob("*")):
            os.chown(one, owner.st_uid, owner.st_gid)

    def stop(self) -> None:
        """Stop PostgreSQL in good order; its last log is archived first."""
        server = psutil.Process(self.servers.pid("postgres"))
        server.send_signal(signal.SIGINT)
        until = time.monotonic() + STOP_S_MAX
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until, "PostgreSQL does not stop"
            time.sleep(0.05)

    def start(self) -> None:
        """Start PostgreSQL again over whatever data folder is there."""
        until = time.monotonic() + STOP_S_MAX
        while not self.servers.revive():
            assert time.monotonic() < until, "PostgreSQL does not start"
            time.sleep(0.05)

    async def keep(self) -> None:
        """Turn archiving on, with the settings of the operator's page."""
        self.folder.mkdir()
        self.own(self.folder, like=self.data)
        await self.sql(
            "ALTER SYSTEM SET wal_level = replica",
            "ALTER SYSTEM SET archive_mode = on",
            f"ALTER SYSTEM SET archive_command = 'test ! -f {self.folder}/%f && cp %p {self.folder}/%f'",
        )
        self.stop()
        self.start()

    def base(self, folder: Path) -> Path:
        """Take a base backup."""
        program = postgres_program("pg_basebackup")
        assert program is not None
        subprocess.run(
            [program, f"--dbname={self.superuser}", f"--pgdata={folder}",
             "--format=tar", "--gzip", "--checkpoint=fast"],
            check=True, timeout=100,
        )  # fmt: skip
        return folder

    async def flush(self) -> None:
        """Wait until everything written so far is in the archive."""
        (row,) = await self.sql("SELECT pg_walfile_name(pg_switch_wal())")
        until = time.monotonic() + ARCHIVE_S_MAX
        while not (self.folder / row[0]).exists():
            assert time.monotonic() < until, "the log is not archived"
            await asyncio.sleep(0.05)

    def recover(self, base: Path, *settings: str) -> None:
        """Put the base backup in the place of the data, and let PostgreSQL replay the archive."""
        self.stop()
        shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        for name, place in (("base.tar.gz", self.data), ("pg_wal.tar.gz", self.data / "pg_wal")):
            with tarfile.open(base / name) as packed:
                packed.extractall(place, filter="data")
        (self.data / "recovery.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as configuration:
            print(f"restore_command = 'cp {self.folder}/%f %p'", *settings, sep="\n", file=configuration)
        self.own(self.data, like=self.folder)
        self.start()


@pytest.fixture
def archive() -> Iterator[Archive]:
    """Start a server of its own, which these tests stop, destroy and bring back."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder, "home")
        with embedded.start(home, print) as servers:
            yield Archive(servers, Path(folder, "archive"))
        embedded.erase(home)


@pytest.fixture
async def market(archive: Archive, tmp_path: Path) -> Site:
    """Give an empty market on the server whose log is kept."""
    await archive.keep()
    site = site_of(archive.servers, tmp_path / "home")
    await site.empty()
    await migrate.upgrade(site.url)
    return site


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the folder of a base backup."""
    return tmp_path_factory.mktemp("backups") / "base"


async def sealed_clean(market: Site) -> None:
    """Seal what waits for it, and find nothing broken."""
    async with sealing(market.url, market.home) as sealer:
        await sealer.seal()
    await clean(market)


async def test_a_market_that_burnt_down_is_brought_back_to_its_last_commit(
    archive: Archive, market: Site, base: Path
) -> None:
    await trade(market, 3)
    archive.base(base)
    await trade(market, 3)  # after the base backup: only the archived log has it
    before = await market.sql(TICKETS)
    await archive.flush()

    archive.recover(base)
    assert await market.sql(TICKETS) == before
    done = market.carbondesk("restore", "--recovered")
    assert done.returncode == 0, done.stderr + done.stdout
    await sealed_clean(market)
    await trade(market, 2)
    await clean(market)


async def test_an_earlier_moment_costs_what_came_after_it_and_says_so(
    archive: Archive, market: Site, base: Path
) -> None:
    archive.base(base)
    await trade(market, 3)
    sealed = Witness(market.home / "checkpoints").last_size()
    (moment,) = await archive.sql("SELECT clock_timestamp()::text")
    before = await market.sql(TICKETS)
    await trade(market, 3)
    gone = set(await market.sql(TICKETS)) - set(before)
    lost = Witness(market.home / "checkpoints").last_size() - sealed
    await archive.flush()

    archive.recover(base, f"recovery_target_time = '{moment[0]}'", "recovery_target_action = promote")
    assert await market.sql(TICKETS) == before
    report = await verify.run(market.url, lambda _: None, Outside.at(Witness(market.home / "checkpoints")))
    assert "outside" in {one.law.name for one in report.breaks}
    refused = market.carbondesk("restore", "--recovered")
    assert refused.returncode == 1 and f"the checkpoints outside know {lost} tickets and voids" in refused.stderr
    done = market.carbondesk("restore", "--recovered", "--new-tree")
    assert done.returncode == 0, done.stderr + done.stdout
    await sealed_clean(market)
    await trade(market, 2)
    given = set(await market.sql(TICKETS)) - set(before)
    assert given and not given & gone
    await clean(market)
