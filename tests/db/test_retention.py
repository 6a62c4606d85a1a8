"""Retention: what leaves lies in a signed archive; tickets, digests, leaves and proofs stand as before."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from db import evidence, idempotency, proofs, retention
from db.embedded import Servers
from db.read import Reader
from db.retention import Archivist, Plan, RetentionRefused
from db.unit import Pool
from db.verify import Report, verify
from db.verify_archive import ARCHIVES
from db.verify_tree import Outside
from domain import merkle, notes
from domain.archives import ArchiveOutcome
from tests.conftest import fresh_database
from tests.db.conftest import Owner
from tests.db.process import Process, process
from tests.db.sealing import Sealing, sealing, trade

NOW = timedelta(0)


@dataclass
class Kept:
    """A sealed market whose payloads were archived, but for those of the last tickets."""

    url: str
    one: Process
    seals: Sealing
    owner: Owner
    folder: Path
    outcome: ArchiveOutcome

    async def verified(self, folder: Path | None = None) -> Report:
        await self.seals.seal()
        return await verify(self.owner, lambda _: None, Outside.at(self.seals.witness, archive=folder or self.folder))


async def archive(url: str, one: Process, seals: Sealing, folder: Path, wanted: Plan | None = None) -> ArchiveOutcome:
    """Run retention as the command does, on tickets of any age."""
    role = f"{urlsplit(url).path.lstrip('/')}_retention"
    reading = await retention.connect(url, role)
    deleting = await Pool.open(url, role=role, size_max=1, name="retention")
    try:
        wanted = wanted or await retention.plan(reading, NOW)
        archivist = Archivist(reading, deleting, one.units, seals.signer, folder)
        return await retention.run(archivist, wanted, lambda _stage, _done, _total: None)
    finally:
        await deleting.close()
        await reading.close()


@pytest.fixture(scope="module")
async def kept(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    home = tmp_path_factory.mktemp("home")
    async with fresh_database(servers) as url, process(url) as one, sealing(url, home) as seals:
        owner = await asyncpg.connect(url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retention, "OLDER_THAN_MIN", NOW)
            patch.setattr(retention, "BATCH_ROWS", 7)
            patch.setattr(retention, "FILE_ROWS_MAX", 35)
            await trade(one, [await one.trader("20000", "800") for _ in range(2)], await one.maker("1000"), 20)
            await seals.seal()
            await one.maker()  # not sealed: its payload stays
            outcome = await archive(url, one, seals, home / "archive")
            yield Kept(url, one, seals, owner, home / "archive", outcome)
        await owner.close()


async def test_payloads_leave_and_everything_still_verifies(kept: Kept) -> None:
    tickets = await kept.one.count("ticket_logs")
    left = await kept.owner.fetch(
        "SELECT t.action_type FROM ticket_payloads JOIN ticket_logs t USING (year, number) ORDER BY number"
    )
    assert [row["action_type"] for row in left] == ["MM_CREATED", "DATA_ARCHIVED"]
    assert kept.outcome.payloads == tickets - 2
    report = await kept.verified()
    assert report.is_clean, report.breaks
    assert report.laws == 39


async def test_it_leaves_a_ticket_of_nobody(kept: Kept) -> None:
    row = await kept.owner.fetchrow("SELECT * FROM ticket_logs WHERE action_type = 'DATA_ARCHIVED'")
    assert row is not None
    assert (row["status"], row["user_id"], row["tags"]) == ("SUCCESS", None, ["retention", "cli"])
    assert row["summary"].startswith(f"Archived {kept.outcome.payloads} payloads, TKT-")
    named = await kept.owner.fetchrow("SELECT * FROM payload_archives")
    assert named is not None
    assert (named["ticket_id"], named["payloads"]) == (row["ticket_id"], kept.outcome.payloads)
    assert named["manifest_sha256"].hex() == kept.outcome.manifest_sha256


async def test_the_archive_holds_what_was_there(kept: Kept) -> None:
    (folder,) = kept.folder.iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["payloads"] == kept.outcome.payloads
    assert len(manifest["files"]) > 1
    texts = [gzip.decompress((folder / file["name"]).read_bytes()).decode() for file in manifest["files"]]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    assert [line["ticketId"] for line in lines] == sorted(line["ticketId"] for line in lines)
    assert len(lines) == manifest["payloads"]
    assert any(line["request_payload"] for line in lines)
    assert notes.parse(manifest["checkpoint"]).checkpoint.size == manifest["treeSize"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


async def test_an_archived_ticket_is_still_proved(kept: Kept) -> None:
    await kept.seals.seal()
    row = await kept.owner.fetchrow(f"{evidence.TICKETS} WHERE t.ticket_id = $1", kept.outcome.first)
    assert row is not None
    assert evidence.payload_of(row) is None
    assert (
        evidence.fault_of(row, (await evidence.effects_of(kept.owner, [row["ticket_id"]])).get(row["ticket_id"], []))
        is None
    )
    reader = Reader.open(kept.url, role=None, size_max=1)
    try:
        found = await proofs.inclusion(reader, kept.outcome.first)
    finally:
        await reader.close()
    assert found is not None
    root = notes.parse(found.checkpoint).checkpoint.root
    assert merkle.proves_inclusion(found.leaf_hash, found.leaf_index, found.tree_size, found.path, root)


@pytest.mark.parametrize(("damage", "said"), [
    ("a byte", "was changed: its hash is not that of the manifest"), ("a file", "a file is damaged"),
    ("manifest", "is not signed by"), ("all", "its payload is neither in the database nor in"),
    ("a file more", "the manifest does not name"),
])  # fmt: skip
async def test_a_damaged_archive_is_found(kept: Kept, tmp_path: Path, damage: str, said: str) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(kept.folder, copy)
    (folder,) = copy.iterdir()
    file = folder / "payloads-0001.ndjson.gz"
    if damage == "a byte":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "a file":
        file.unlink()
    elif damage == "manifest":
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace(kept.outcome.first, kept.outcome.last))
    elif damage == "a file more":
        shutil.copy(file, folder / "payloads-9999.ndjson.gz")
    else:
        shutil.rmtree(folder)
    report = await kept.verified(copy)
    assert {one.law for one in report.breaks} == {ARCHIVES}
    assert said in report.breaks[0].found


async def test_a_payload_that_is_not_the_bound_one_is_not_archived(kept: Kept, tmp_path: Path) -> None:
    await kept.one.maker()
    await kept.seals.seal()
    await kept.owner.execute("ALTER TABLE ticket_payloads DISABLE TRIGGER append_only")
    before = await kept.owner.fetchrow("SELECT * FROM ticket_payloads ORDER BY number DESC LIMIT 1")
    assert before is not None
    update = "UPDATE ticket_payloads SET after_state = $1 WHERE number = $2"
    await kept.owner.execute(update, '{"x": 1}', before["number"])
    count = await kept.one.count("ticket_payloads")
    with pytest.raises(RetentionRefused, match="is not the one that it binds"):
        await archive(kept.url, kept.one, kept.seals, tmp_path / "archive")
    assert await kept.one.count("ticket_payloads") == count
    await kept.owner.execute(update, before["after_state"], before["number"])
    await kept.owner.execute("ALTER TABLE ticket_payloads ENABLE ALWAYS TRIGGER append_only")


async def test_a_second_run_takes_the_rest(kept: Kept) -> None:
    await kept.seals.seal()
    again = await archive(kept.url, kept.one, kept.seals, kept.folder)
    assert again.payloads >= 2
    assert await kept.one.count("ticket_payloads") == 1  # of the second run's own ticket
    report = await kept.verified()
    assert {one.law.name for one in report.breaks} <= {"same-transaction"}, report.breaks  # the test above rewrote one


async def test_young_payloads_and_unsealed_markets_are_refused(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "OLDER_THAN_MIN", idempotency.KEPT)  # as it is, whatever the fixture set
    async with fresh_database(servers) as url, process(url) as one, sealing(url, tmp_path) as seals:
        reading = await retention.connect(url, f"{urlsplit(url).path.lstrip('/')}_retention")
        try:
            await one.maker()
            with pytest.raises(RetentionRefused, match="nothing is sealed yet"):
                await retention.plan(reading, timedelta(days=31))
            await seals.seal()
            with pytest.raises(RetentionRefused, match="at least 30 days"):
                await retention.plan(reading, timedelta(days=29))
            wanted = await retention.plan(reading, timedelta(days=31))
            assert wanted.payloads == 0
            with pytest.raises(RetentionRefused, match="no payload is older"):
                await archive(url, one, seals, tmp_path / "archive", wanted)
            assert not (tmp_path / "archive").exists()
        finally:
            await reading.close()
