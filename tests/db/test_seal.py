"""The sealer: each ticket and void once, late commits too, any number of sealers, and no sealing over what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from db import numbers
from db.embedded import Servers
from db.keys import KeyRefused, Signer, verifies
from db.seal import SealBroken
from domain import notes
from domain.merkle import Tree
from domain.money import Asset
from tests.conftest import fresh_database
from tests.db.conftest import Owner
from tests.db.process import Process, process
from tests.db.sealing import Sealing, sealing


@pytest.fixture
async def url(servers: Servers) -> AsyncIterator[str]:
    """Give each test a tree of its own."""
    async with fresh_database(servers) as made:
        yield made


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Owner]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def desk(url: str) -> AsyncIterator[Process]:
    async with process(url) as opened:
        yield opened


@pytest.fixture
async def seals(url: str, tmp_path: Path) -> AsyncIterator[Sealing]:
    async with sealing(url, tmp_path / "home") as opened:
        yield opened


async def assert_sealed_once(owner: Owner, seals: Sealing) -> int:
    """Every ticket and void is one leaf, the last checkpoint is signed and that of the leaves; return their number."""
    leaves = await owner.fetch("SELECT * FROM audit_leaves ORDER BY leaf_index")
    assert [row["leaf_index"] for row in leaves] == list(range(len(leaves)))
    found = [(row["kind"], row["year"], row["number"]) for row in leaves]
    there = [("ticket", *row) for row in await owner.fetch("SELECT year, number FROM ticket_logs")]
    there += [("void", *row) for row in await owner.fetch("SELECT year, lo FROM ticket_voids")]
    assert sorted(found) == sorted(there)
    tree = Tree()
    for row in leaves:
        tree.append(row["leaf_hash"])
    last = await owner.fetchrow("SELECT * FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
    assert last is not None
    assert (last["size"], last["root"]) == (tree.size, tree.root())
    note = notes.parse(last["note"])
    assert note.checkpoint == notes.Checkpoint(seals.signer.public.name, tree.size, tree.root())
    assert note.is_signed_by(seals.signer.public, verifies)
    return tree.size


async def test_tickets_and_voids_are_sealed_once(desk: Process, owner: Owner, seals: Sealing, url: str) -> None:
    trader, maker = await desk.trader("1000"), await desk.maker("100")
    await desk.place(maker, "SELL", "10", "25.00")
    await desk.place(trader, "BUY", "10", "25.00")
    first = await seals.seal()
    assert (first.tickets, first.voids, first.is_full, first.alarm) == (await desk.count("ticket_logs"), 0, False, None)
    assert (await seals.seal()).tickets == 0
    await desk.transact(trader, Asset.EUR, "1000000", "WITHDRAWAL")  # refused, and sealed like any other
    async with process(url) as late:
        await late.maker()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numbers, "CLOSE_AFTER_S", 0.0)
            assert await numbers.close_old_leases(late.desk_pool)
    second = await seals.seal()
    assert second.tickets >= 2
    assert second.voids == await desk.count("ticket_voids") > 0
    assert await assert_sealed_once(owner, seals) == first.tickets + second.tickets + second.voids
    lines = list(seals.witness.lines())
    assert [line.checkpoint.size for line in lines if line.checkpoint] == [first.size, second.size]


async def test_a_transaction_that_commits_late_is_sealed_later(desk: Process, owner: Owner, seals: Sealing) -> None:
    trader = await desk.trader("1000")
    holder = desk.pool
    async with holder.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.fetchval("SELECT pg_current_xact_id()")  # an early id that is still open
        await desk.transact(trader, Asset.EUR, "1")  # a later one that has committed
        waiting = await seals.seal()
        assert waiting.size < await desk.count("ticket_logs")
        await transaction.rollback()
    await seals.seal()
    assert await assert_sealed_once(owner, seals) == await desk.count("ticket_logs")


async def test_several_sealers_take_turns_and_each_keeps_the_whole_file(
    desk: Process, owner: Owner, seals: Sealing, url: str, tmp_path: Path
) -> None:
    other_home = tmp_path / "other"
    (other_home / "secrets").mkdir(parents=True)
    key = tmp_path / "home" / "secrets" / "seal.key"
    (other_home / "secrets" / "seal.key").write_bytes(key.read_bytes())
    (other_home / "secrets" / "seal.key").chmod(0o600)
    async with sealing(url, other_home) as other, sealing(url, tmp_path / "home") as twin:  # two of them at one home
        for _ in range(5):
            await desk.trader("10")
            await asyncio.gather(seals.seal(), other.seal(), twin.seal())
        await asyncio.gather(seals.seal(), other.seal())
        await assert_sealed_once(owner, seals)
        ours, theirs = list(seals.witness.lines()), list(other.witness.lines())
    assert [line.note for line in ours] == [line.note for line in theirs]
    assert len(ours) == await desk.count("audit_checkpoints") >= 5


async def test_the_running_sealer_seals_within_about_a_second_and_at_its_end(
    desk: Process, owner: Owner, seals: Sealing
) -> None:
    running = asyncio.create_task(seals.sealer.run())
    await desk.trader("10")
    for _ in range(40):
        await asyncio.sleep(0.1)
        if await desk.count("audit_leaves") == await desk.count("ticket_logs"):
            break
    assert await desk.count("audit_leaves") == await desk.count("ticket_logs")
    await desk.trader("10")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await assert_sealed_once(owner, seals)


async def test_a_ticket_that_was_changed_before_its_seal_stops_the_sealer(
    desk: Process, owner: Owner, seals: Sealing
) -> None:
    await desk.trader("10")
    answer = await desk.transact(await desk.trader("10"), Asset.EUR, "5")
    await owner.execute("ALTER TABLE asset_transactions DISABLE TRIGGER USER")
    await owner.execute("UPDATE asset_transactions SET notes = 'x' WHERE ticket_id = $1", answer.ticket_id)
    with pytest.raises(SealBroken, match=f"ticket {answer.ticket_id} is not sealed: its digest is "):
        await seals.seal()
    head = await owner.fetchrow("SELECT * FROM audit_head")
    assert head is not None
    assert answer.ticket_id in head["alarm"]
    assert head["size"] == await desk.count("ticket_logs") - 1  # whatever stood before it
    await desk.trader()  # what comes after it waits
    with pytest.raises(SealBroken, match=answer.ticket_id):
        await seals.seal()
    await owner.execute("UPDATE asset_transactions SET notes = NULL WHERE ticket_id = $1", answer.ticket_id)
    assert (await seals.seal()).alarm is None
    assert await owner.fetchval("SELECT alarm FROM audit_head") is None
    await assert_sealed_once(owner, seals)


async def test_another_key_does_not_seal_on(desk: Process, seals: Sealing, url: str, tmp_path: Path) -> None:
    await desk.trader("10")
    await seals.seal()
    await desk.trader("10")
    async with sealing(url, tmp_path / "other") as other:
        with pytest.raises(SealBroken, match="this tree is sealed by carbondesk/"):
            await other.seal()
    assert not list(other.witness.lines())
    assert (await seals.seal()).tickets > 0


async def test_a_database_that_went_back_is_not_sealed_on(desk: Process, owner: Owner, seals: Sealing) -> None:
    await desk.trader("10")
    first = await seals.seal()
    head = await owner.fetchrow("SELECT size, frontier, sealed_below::text FROM audit_head")
    assert head is not None
    await desk.trader("10")
    await seals.seal()
    for table in ("audit_leaves", "audit_checkpoints"):
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await owner.execute("DELETE FROM audit_leaves WHERE leaf_index >= $1", first.size)
    await owner.execute("DELETE FROM audit_checkpoints WHERE size > $1", first.size)
    await owner.execute(
        "UPDATE audit_head SET size = $1, frontier = $2, sealed_below = $3::text::xid8",
        head["size"], head["frontier"], head["sealed_below"],
    )  # fmt: skip
    with pytest.raises(SealBroken, match="restored from an old backup"):
        await seals.seal()


async def test_only_the_sealer_appends_and_nobody_changes(
    desk: Process, owner: Owner, seals: Sealing, url: str
) -> None:
    await desk.trader("10")
    await seals.seal()
    name = urlsplit(url).path.lstrip("/")
    statements = [
        "INSERT INTO audit_leaves VALUES (9999, 'ticket', 2026, 1, decode(repeat('00', 32), 'hex'))",
        "INSERT INTO audit_checkpoints (size, root, note) VALUES (9999, decode(repeat('00', 32), 'hex'), 'x')",
        "INSERT INTO audit_nodes VALUES (8, 9, decode(repeat('00', 32), 'hex'))",
        "UPDATE audit_head SET size = 0",
    ]
    changes = [
        "UPDATE audit_leaves SET number = 2", "DELETE FROM audit_checkpoints", "TRUNCATE audit_nodes",
        "DELETE FROM audit_head", "UPDATE audit_checkpoints SET note = ''", "TRUNCATE audit_leaves",
    ]  # fmt: skip
    for role in ("app", "retention", "analyst", "sealer"):
        for statement in changes if role == "sealer" else statements + changes:
            async with owner.transaction():
                await owner.execute(f'SET LOCAL ROLE "{name}_{role}"')
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with owner.transaction():
                        await owner.execute(statement)
    for statement in changes:  # not even the owner, as long as the triggers are on
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(statement)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first, second = Signer.of_home(tmp_path / "secrets"), Signer.of_home(tmp_path / "secrets")
    assert str(first.public) == str(second.public)
    path = tmp_path / "secrets" / "seal.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(KeyRefused, match="0600"):
        Signer.of_home(tmp_path / "secrets")
    path.chmod(0o600)
    path.write_text("x")
    with pytest.raises(KeyRefused, match="holds no key"):
        Signer.of_home(tmp_path / "secrets")
