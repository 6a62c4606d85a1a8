"""Backup, loss and restore with real servers: nothing is given out twice, and what was lost is known."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from api.backups import NUMBERS_MARGIN
from db import backup, embedded, migrate, verify
from db.backup import Manifest
from db.embedded import Servers
from db.keys import Signer
from db.verify_tree import Outside
from db.witness import Witness
from domain.tickets import parse_ticket_id
from tests.db.process import process
from tests.db.sealing import sealing
from tests.db.site import NAME, Site, clean, heir_of, site_of, trade


@pytest.fixture(scope="module")
def two_servers() -> Iterator[tuple[Servers, Servers]]:
    """Start two clusters, whose transactions are counted differently."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)
        homes = [Path(folder, name) for name in ("here", "there")]
        with (
            embedded.start(homes[0], print, durable=False) as here,
            embedded.start(homes[1], print, durable=False) as there,
        ):
            yield here, there
        for home in homes:
            embedded.erase(home)


@pytest.fixture(scope="module")
async def market(two_servers: tuple[Servers, Servers], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Give a market that has traded and was sealed."""
    site = site_of(two_servers[0], tmp_path_factory.mktemp("home"))
    await site.empty()
    # Far ahead of a fresh cluster, as an old one is.
    await site.sql("CREATE TABLE burn (n integer)")
    await site.sql("DO $$ BEGIN FOR i IN 1..20000 LOOP BEGIN INSERT INTO burn VALUES (i);"
                   " EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$")  # fmt: skip
    await site.sql("DROP TABLE burn")
    await migrate.upgrade(site.url)
    await trade(site, 5)
    return site


@dataclass(frozen=True)
class Made:
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def made(market: Site, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Back the market up."""
    folder = tmp_path_factory.mktemp("backups") / "first"
    done = market.carbondesk("backup", str(folder))
    assert done.returncode == 0, done.stderr
    return Made(folder, backup.read_manifest(folder))


def highest(rows: list[asyncpg.Record]) -> tuple[int, int]:
    return max((row["year"], row["number"]) for row in rows)


async def test_a_backup_says_what_it_holds_and_keeps_no_secret(market: Site, made: Made) -> None:
    assert made.manifest.database == NAME and made.manifest.tickets > 20
    assert made.manifest.tree_size > 0 and made.manifest.key == str(Witness(market.home / "checkpoints").key())
    (ticket,) = await market.sql("SELECT t.* FROM ticket_logs t WHERE 'backup' = ANY(tags) AND status = 'SUCCESS'")
    assert (ticket["action_type"], ticket["summary"]) == ("DATA_EXPORTED", "Backed up into first")
    assert "cli" in ticket["tags"] and ticket["user_agent"].startswith("carbondesk cli, ")
    assert sorted(path.name for path in made.folder.iterdir()) == ["checkpoints", "database.dump", "manifest.json"]
    assert made.folder.stat().st_mode & 0o077 == 0 or os.geteuid() == 0
    key = (market.home / "secrets" / "seal.key").read_text()
    assert all(key.strip().encode() not in path.read_bytes() for path in made.folder.rglob("*") if path.is_file())


async def test_a_backup_is_restored_on_another_server_and_the_market_goes_on(
    market: Site, made: Made, two_servers: tuple[Servers, Servers], tmp_path: Path
) -> None:
    there = heir_of(market, two_servers[1], tmp_path)
    await there.empty()
    before = await market.sql("SELECT year, number FROM ticket_logs")
    done = there.carbondesk("restore", str(made.folder))
    assert done.returncode == 0, done.stderr + done.stdout
    (ticket,) = await there.sql("SELECT * FROM ticket_logs WHERE action_type = 'DATA_RESTORED'")
    source = f"the backup of {made.manifest.made_at}"
    assert ticket["summary"] == f"Restored {made.manifest.tickets} tickets from {source}; 0 sealed ones are lost"
    year = ticket["year"]
    assert ticket["number"] > max(number for _, number in [highest(before)]) + NUMBERS_MARGIN / 2
    assert ticket["number"] == made.manifest.leased[year] + NUMBERS_MARGIN + 1
    async with sealing(there.url, there.home) as sealer:  # what waited for its seal is sealed, by the same tree
        await sealer.seal()
    await clean(there)
    await trade(there, 3)
    report = await clean(there)
    assert report.key == made.manifest.key
    guarded = await there.sql(
        "SELECT count(*) AS n FROM pg_trigger WHERE tgname LIKE 'append_only%' AND tgenabled <> 'A'"
    )
    assert guarded[0]["n"] == 0


async def test_what_was_lost_is_known_refused_and_recorded(
    market: Site, made: Made, two_servers: tuple[Servers, Servers], tmp_path: Path
) -> None:
    await trade(market, 4)  # after the backup: sealed, and then the server is gone
    seen = await market.sql("SELECT year, number FROM ticket_logs")
    leased = Witness(market.home / "checkpoints").leased()
    lost = Witness(market.home / "checkpoints").last_size() - made.manifest.tree_size
    assert lost > 10
    there = heir_of(market, two_servers[1], tmp_path)
    await there.empty()
    refused = there.carbondesk("restore", str(made.folder))
    assert refused.returncode == 1 and f"the checkpoints outside know {lost} tickets and voids" in refused.stderr
    assert await there.sql("SELECT FROM pg_tables WHERE schemaname = 'public'") == []
    # Whoever restores by other means is found by `verify`, and nothing is sealed over it.
    await backup.load(there.url, made.folder, made.manifest, print)
    report = await verify.run(there.url, lambda _: None, Outside.at(Witness(there.home / "checkpoints")))
    found = {one.law.name: one.found for one in report.breaks}
    assert "or an old backup was restored" in found["outside"]
    # A recovery is taken up the same way; the operator accepts the loss.
    still = there.carbondesk("restore", "--recovered")
    assert still.returncode == 1 and "--new-tree accepts the loss" in still.stderr
    done = there.carbondesk("restore", "--recovered", "--new-tree")
    assert done.returncode == 0, done.stderr
    (ticket,) = await there.sql(
        "SELECT year, number, after_state FROM ticket_logs JOIN ticket_payloads USING (year, number)"
        " WHERE action_type = 'DATA_RESTORED'"
    )
    year, number = highest(seen)
    assert (ticket["year"], ticket["number"]) == (year, leased[year] + NUMBERS_MARGIN + 1) and ticket["number"] > number
    told = json.loads(ticket["after_state"])["restore"]
    assert told["sealedLost"] == str(lost) or told["sealedLost"] == lost
    assert parse_ticket_id(told["numbersSkippedTo"][str(year)]) == (year, ticket["number"] - 1)
    # The old tree is kept beside; the new one has a key of its own and verifies.
    kept = sorted(path.name for path in there.home.iterdir())
    assert f"checkpoints.until-{made.manifest.tree_size}" in kept
    assert (there.home / "secrets" / f"seal.key.until-{made.manifest.tree_size}").is_file()
    async with sealing(there.url, there.home) as sealer:
        await sealer.seal()
    report = await clean(there)
    assert report.key not in {None, made.manifest.key}
    # No number that the lost market gave out is given out again.
    await trade(there, 2)
    after = await there.sql("SELECT year, number FROM ticket_logs WHERE number > (SELECT number FROM ticket_logs"
                            " WHERE action_type = 'DATA_RESTORED')")  # fmt: skip
    assert after and not {tuple(row) for row in after} & {tuple(row) for row in seen}
    await clean(there)


async def test_what_cannot_be_restored_says_why_and_changes_nothing(
    made: Made, two_servers: tuple[Servers, Servers], tmp_path: Path
) -> None:
    nobody = site_of(two_servers[1], tmp_path / "home")  # without checkpoints
    await nobody.empty()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("manifest.json", "database.dump"):
        (damaged / name).write_bytes((made.folder / name).read_bytes())
    without = nobody.carbondesk("restore", str(damaged))
    assert "nobody knows which numbers were given out after the backup" in without.stderr
    (damaged / "database.dump").write_bytes((made.folder / "database.dump").read_bytes()[:-1] + b"x")
    changed = nobody.carbondesk("restore", str(damaged))
    assert "is not what was written" in changed.stderr
    misnamed = nobody.carbondesk("restore", str(damaged), "--past", "TKT-26-1")
    assert "--past takes a ticket such as TKT-2026-000123" in misnamed.stderr
    neither = nobody.carbondesk("restore")
    assert "name the folder of a backup, or say --recovered" in neither.stderr
    for refused in (without, changed, misnamed, neither):
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1 and "Traceback" not in refused.stderr
    assert await nobody.sql("SELECT FROM pg_tables WHERE schemaname = 'public'") == []
    await nobody.sql("CREATE TABLE there_already ()")
    full = nobody.carbondesk("restore", str(made.folder))
    assert full.returncode == 1 and "is not empty" in full.stderr


async def test_the_highest_ticket_that_anybody_saw_stands_in_for_checkpoints(
    made: Made, two_servers: tuple[Servers, Servers], tmp_path: Path
) -> None:
    nobody = site_of(two_servers[1], tmp_path / "home")
    await nobody.empty()
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("manifest.json", "database.dump"):
        (bare / name).write_bytes((made.folder / name).read_bytes())
    year = max(made.manifest.leased)
    done = nobody.carbondesk("restore", str(bare), "--past", f"TKT-{year}-5000000", "--new-tree")
    assert done.returncode == 0, done.stderr
    assert f"no number up to TKT-{year}-{5_000_000 + NUMBERS_MARGIN} is given out again" in done.stdout
    async with sealing(nobody.url, nobody.home) as sealer:
        await sealer.seal()
    assert str(Signer.of_home(nobody.home / "secrets").public) == (await clean(nobody)).key


async def test_a_restore_beside_a_running_market_is_refused(market: Site) -> None:
    async with process(market.url):
        refused = await asyncio.to_thread(market.carbondesk, "restore", "--recovered")
    assert refused.returncode == 1 and "stop every API process and sealer first" in refused.stderr
