"""A disk that fills up under PostgreSQL while clients trade: nothing is acknowledged that is not there afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import db.servers
from db.embedded import Servers
from tests.faults.harm import ready_again, servers_to_harm, until_accepting
from tests.faults.history import clients_of, trading
from tests.faults.market import Market

SEED = 20_261_210
DISK_BYTES = 192 * 1024 * 1024  # two databases and the log of writes take most of it
LEFT_BYTES = 2 * 1024 * 1024
FULL_S = 2.0
FULL_S_MAX = 30.0  # until clients notice
SMALL = {"max_wal_size": "48MB", "min_wal_size": "32MB", "shared_buffers": "32MB"}
CLIENTS = 8


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """Mount a small disk in memory."""
    with TemporaryDirectory(prefix="carbondesk-disk-") as folder:
        Path(folder).chmod(0o711)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0711", "tmpfs", folder]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(
                f"a disk can only be filled where one can be mounted, which takes root: {mounted.stderr.strip()}"
            )
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def servers(disk: Path) -> Iterator[Servers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db.servers, "POSTGRES_OPTIONS", db.servers.POSTGRES_OPTIONS | SMALL)
        with servers_to_harm(disk / "home") as running:
            yield running


def fill(disk: Path) -> Path:
    """Take all but a little of what is left."""
    filler = disk / "filler"
    left = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - LEFT_BYTES)
    return filler


async def test_a_full_disk_acknowledges_nothing_that_is_lost(
    market: Market, servers: Servers, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with trading(market, await clients_of(market, SEED, CLIENTS)) as at_work:
        await at_work.answers_again(time.monotonic())
        filler = fill(disk)
        full_at = time.monotonic()
        while sum(one.unanswered for one in at_work.entries) < CLIENTS:
            assert time.monotonic() - full_at < FULL_S_MAX, "the disk did not become full"
            await asyncio.sleep(0.1)
        noticed = time.monotonic() - full_at
        await asyncio.sleep(FULL_S)
        filler.unlink()
        await asyncio.to_thread(servers.revive)  # where PostgreSQL gave up, as the supervisor does
        await until_accepting(market.api.database_url)
        back = time.monotonic()
        ready, answered = await ready_again(market, back), await at_work.answers_again(back)
    with capsys.disabled():
        print(  # noqa: T201 - figures for the log
            f"\n[disk full, noticed after {noticed:.1f} s: {await at_work.check()}; with room again: ready in"
            f" {ready:.1f} s, a new attempt answered in {answered:.1f} s]",
            end=" ",
        )
