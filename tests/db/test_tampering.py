"""Tampering: whatever an owner of the database changes after the seal is found and named; honest tickets never are.

The owner here has no trigger and no constraint in his way, knows this program, and may recompute every hash. What he
has not is the sealer's key and the file outside the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from db import evidence, laws, numbers, tables, verify_tree
from db.embedded import Servers
from db.keys import Signer
from db.verify import DIGESTS, Report, check_digests, examine, verify
from db.verify_tree import Findings, Outside, check_tree
from db.witness import Witness
from domain import seals
from domain.merkle import Tree
from domain.notes import PublicKey
from domain.tickets import digest_of, ticket_id
from tests.conftest import drop_database, urls_of
from tests.db.conftest import Owner
from tests.db.process import process
from tests.db.sealing import sealing, settle, trade
from tests.db.test_verify import UNGUARDED

ROUNDS = 6  # of trading, each with a checkpoint of its own
OTHER_SEED = b"\x05" * 32


@dataclass
class Market:
    """A sealed market: its database, a backup of before the last round, what stands outside, its sealer's key."""

    url: str
    backup: str
    home: Path
    key: PublicKey

    def outside(self) -> Outside:
        return Outside.at(Witness(self.home / "checkpoints"))


@pytest.fixture(scope="module")
async def market(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """Trade and seal in turns, keep a backup of before the last round, and let go of the database."""
    home = tmp_path_factory.mktemp("sealer")
    base = await asyncpg.connect(urls_of("postgres", database))
    name = database.rpartition("/")[2]
    try:
        async with sealing(database, home) as seal:
            key = seal.signer.public
            for turn in range(ROUNDS):
                async with process(database) as one:  # a process each, so that leases are left behind
                    await one.maker()
                    holders = [await one.trader("20000", "800") for _ in range(2)]
                    await trade(one, holders, await one.maker("1000"), 20 + turn)
                    if turn == 1:
                        await settle(one)
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr(numbers, "CLOSE_AFTER_S", 0.0)
                        await numbers.close_old_leases(one.desk_pool)
                if turn == ROUNDS - 1:
                    await seal.pool.close()  # a database that somebody uses is not copied
                    await base.execute(f'CREATE DATABASE "{name}_backup" TEMPLATE "{name}"')
                    break
                await seal.seal()
        async with sealing(database, home) as seal:
            await seal.seal()
        yield Market(database, urls_of(f"{name}_backup", database), home, key)
    finally:
        await drop_database(base, f"{name}_backup")
        await base.close()


@contextlib.asynccontextmanager
async def copied(url: str, name: str) -> AsyncIterator[str]:
    """Give a copy of a database for an owner to do with as he likes."""
    base = await asyncpg.connect(urls_of("postgres", url))
    try:
        await base.execute(f'CREATE DATABASE "{name}" TEMPLATE "{url.rpartition("/")[2]}"')
        owner = await asyncpg.connect(urls_of(name, url))
        await owner.execute(UNGUARDED)
        await owner.close()
        yield urls_of(name, url)
    finally:
        await drop_database(base, name)
        await base.close()


@pytest.fixture(scope="module")
async def forger(market: Market) -> AsyncIterator[Owner]:
    """Connect as the owner of a copy, nothing in his way; each forgery is rolled back."""
    async with copied(market.url, f"{market.url.rpartition('/')[2]}_forged") as url:
        owner = await asyncpg.connect(url)
        yield owner
        await owner.close()


@contextlib.asynccontextmanager
async def undone(owner: Owner) -> AsyncIterator[None]:
    transaction = owner.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def looked_at(connection: Owner, outside: Outside) -> dict[str, str]:
    """Return what the digests and the tree have to say, by law: without the laws of the market, which say it too."""
    tree: Findings = await check_tree(connection, outside, lambda _: None)
    found = dict(tree.breaks)
    if wrong := await check_digests(connection, lambda _: None):
        found[DIGESTS.name] = wrong
    for law in (verify_tree.SEALED, laws.ERASED, laws.WRITTEN_ONCE, laws.SAME_TRANSACTION, laws.EFFECTS):
        if row := await connection.fetchrow(f"SELECT * FROM ({law.sql}) AS broken ORDER BY 1 LIMIT 1"):
            found[law.name] = ", ".join(map(str, row.values()))
    return found


async def silent(connection: Owner, outside: Outside) -> Report:
    return await verify(connection, lambda _: None, outside)


# ------------------------------------------------------------------------------------------------------- honest tickets


async def test_an_honest_market_is_clean(market: Market) -> None:
    owner = await asyncpg.connect(market.url)
    try:
        report = await silent(owner, market.outside())
        assert report.is_clean, report.breaks
        assert report.rows["audit_checkpoints"] == ROUNDS
        assert report.rows["audit_nodes"] >= 1
        assert report.rows["ticket_voids"] >= 1
        assert report.key == str(market.key)
        assert (await silent(owner, Outside())).is_clean  # also with nothing outside
    finally:
        await owner.close()


async def test_verifying_while_the_market_trades_and_the_sealer_seals_is_clean(
    market: Market, servers: Servers, tmp_path: Path
) -> None:
    name = f"{market.url.rpartition('/')[2]}_busy"
    shutil.copytree(market.home, tmp_path / "home")
    base = await asyncpg.connect(urls_of("postgres", market.url))
    url = urls_of(name, market.url)
    try:
        await base.execute(f'CREATE DATABASE "{name}" TEMPLATE "{market.url.rpartition("/")[2]}"')
        signer = Signer.of_home(tmp_path / "home" / "secrets")
        await base.execute(f'CREATE ROLE "{name}_app" IN ROLE "{market.url.rpartition("/")[2]}_app"')
        await base.execute(f'GRANT "{name}_app" TO CURRENT_USER')
        async with sealing(url, tmp_path / "home", signer) as seal, process(url) as one:
            running = asyncio.create_task(seal.sealer.run())
            maker = await one.maker("1000")
            holders = [await one.trader("20000", "800") for _ in range(2)]
            trading = asyncio.create_task(trade(one, holders, maker, 40))
            owner = await asyncpg.connect(url)
            for _ in range(3):
                report = await silent(owner, Outside.at(seal.witness))
                assert report.is_clean, report.breaks
            await trading
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            report = await silent(owner, Outside.at(seal.witness))
            assert report.is_clean, report.breaks
            assert report.rows["audit_leaves"] == report.rows["ticket_logs"] + report.rows["ticket_voids"]
            await owner.close()
    finally:
        await drop_database(base, name)
        await base.execute(f'DROP ROLE IF EXISTS "{name}_app"')
        await base.close()


# ---------------------------------------------------------------------------------------------------------- each column

OTHER_VALUE = {
    "Uuid": "gen_random_uuid()", "Text": "coalesce({c}, '') || 'x'", "Integer": "coalesce({c}, 0) + 1",
    "BigInteger": "coalesce({c}, 0) + 1000000", "Numeric": "coalesce({c}, 0) + 0.01", "Boolean": "NOT {c}",
    "DateTime": "coalesce({c}, now()) + interval '1 microsecond'", "ARRAY": "{c} || 'x'::text",
    "LargeBinary": "set_byte({c}, 31, get_byte({c}, 31) # 1)", "JSONB": "'{{\"x\": 1}}'", "Xid8": "'3'",
}  # fmt: skip
COVERED = (
    "ticket_logs", "ticket_payloads", "asset_transactions", "cash_market_trades", "trade_settlements", "book_events",
    "orders",
)  # fmt: skip
# Constants of a foreign key, and the transaction itself: no digest covers them, but the row's own transaction does.
BOUND_BY_TRANSACTION = {"txid", "ticket_status"}
NAME = {
    "ticket_logs": "ticket_id", "ticket_payloads": "'TKT-' || year || '-' || lpad(number::text, 6, '0')",
}  # fmt: skip
COLUMNS = [
    (name, column.name)
    for name in COVERED
    for column in tables.metadata.tables[name].columns
    if column.name != "search" and not column.info.get("mutable")
]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
async def test_a_changed_column_is_found_at_its_ticket(market: Market, forger: Owner, table: str, column: str) -> None:
    kind = type(tables.metadata.tables[table].columns[column].type).__name__
    name = NAME.get(table, "ticket_id")
    async with undone(forger):
        picked = await forger.fetchrow(f"SELECT ctid, {name} AS name FROM {table} ORDER BY 2 OFFSET 3 LIMIT 1")
        picked = picked or await forger.fetchrow(f"SELECT ctid, {name} AS name FROM {table}")
        assert picked is not None
        changed = OTHER_VALUE[kind].format(c=f'"{column}"')
        assert await forger.execute(f'UPDATE {table} SET "{column}" = {changed} WHERE ctid = $1', picked["ctid"]) == (
            "UPDATE 1"
        )
        found = await looked_at(forger, market.outside())
    by_digest = {key: said for key, said in found.items() if key in {"digests", "leaves", "erased"}}
    named = found if column in BOUND_BY_TRANSACTION else by_digest
    assert any(picked["name"] in said for said in named.values()), found


TREE_TABLES = ("audit_leaves", "audit_nodes", "audit_checkpoints", "ticket_voids")
TREE_COLUMNS = [
    (name, column.name)
    for name in TREE_TABLES
    for column in tables.metadata.tables[name].columns
    if (name, column.name) != ("ticket_voids", "txid")  # it only tells the sealer when to look
] + [("audit_head", "size"), ("audit_head", "frontier"), ("audit_head", "key")]


@pytest.mark.parametrize(("table", "column"), TREE_COLUMNS)
async def test_a_changed_column_of_the_tree_is_found(market: Market, forger: Owner, table: str, column: str) -> None:
    kind = type(tables.metadata.tables[table].columns[column].type).__name__
    async with undone(forger):
        changed = OTHER_VALUE[kind].format(c=f'"{column}"')
        change = f'UPDATE {table} SET "{column}" = {changed} WHERE ctid = (SELECT max(ctid) FROM {table})'
        assert await forger.execute(change) == "UPDATE 1"
        found = await looked_at(forger, market.outside())
    assert {"leaves", "checkpoints", "outside", "sealed"} & set(found), found


# --------------------------------------------------------------------------------------------------- tickets as a whole


async def some_tickets(owner: Owner, count: int, where: str = "true") -> list[asyncpg.Record]:
    """Pick sealed tickets that made no rows, so that nothing else of the market shows the forgery."""
    rows = await owner.fetch(
        f"SELECT year, number, ticket_id FROM ticket_logs WHERE status = 'FAILED' AND {where} ORDER BY number LIMIT $1",
        count,
    )
    assert len(rows) == count
    return rows


async def remove(owner: Owner, rows: Sequence[asyncpg.Record]) -> None:
    for row in rows:
        for table in ("ticket_payloads", "ticket_logs"):
            await owner.execute(f"DELETE FROM {table} WHERE year = $1 AND number = $2", row["year"], row["number"])


async def test_a_deleted_ticket_is_named(market: Market, forger: Owner) -> None:
    async with undone(forger):
        (gone,) = await some_tickets(forger, 1)
        await remove(forger, [gone])
        found = await looked_at(forger, market.outside())
    assert f"ticket {gone['ticket_id']} was sealed as leaf" in found["leaves"]
    assert found["leaves"].endswith("and is gone")


async def insert_forged(owner: Owner, number: int, txid: str) -> str:
    """Write a perfect ticket, digest and all, that never happened."""
    (model,) = await some_tickets(owner, 1)
    year = model["year"]
    forged = ticket_id(year, number)
    for table, more in (
        ("ticket_logs", {"ticket_id": forged, "attempt_id": None, "txid": txid}),
        ("ticket_payloads", {}),
    ):
        values = json.dumps({"number": number, **more})
        written = ", ".join(f'"{one.name}"' for one in tables.metadata.tables[table].columns if one.name != "search")
        await owner.execute(
            f"INSERT INTO {table} ({written}) SELECT {written} FROM jsonb_populate_record("
            f" (SELECT t FROM {table} t WHERE year = $1 AND number = $2), $3::jsonb)",
            year, model["number"], values,
        )  # fmt: skip
    await redigest(owner, forged)
    return forged


async def redigest(owner: Owner, wanted: str) -> None:
    """Recompute a ticket's digest from what it says now."""
    row = await owner.fetchrow(f"{evidence.TICKETS} WHERE t.ticket_id = $1", wanted)
    assert row is not None
    effects = (await evidence.effects_of(owner, [wanted])).get(wanted, [])
    digest = digest_of(evidence.content_of(row, effects))
    await owner.execute("UPDATE ticket_logs SET digest = $1 WHERE ticket_id = $2", digest, wanted)


async def test_an_inserted_ticket_is_named(market: Market, forger: Owner) -> None:
    async with undone(forger):
        void = await forger.fetchrow("SELECT * FROM ticket_voids LIMIT 1")
        assert void is not None
        forged = await insert_forged(forger, void["lo"], "5")
        found = await looked_at(forger, market.outside())
    assert forged in found["sealed"]
    assert "digests" not in found


async def test_swapped_and_renumbered_tickets_are_named(market: Market, forger: Owner) -> None:
    renumber = "UPDATE ticket_logs SET number = $2, ticket_id = $3 WHERE ticket_id = $1"
    async with undone(forger):
        one, two = await some_tickets(forger, 2)
        await forger.execute(renumber, one["ticket_id"], 0, "TKT-2026-000000")
        await forger.execute(renumber, two["ticket_id"], one["number"], one["ticket_id"])
        await forger.execute(renumber, "TKT-2026-000000", two["number"], two["ticket_id"])
        swapped = await looked_at(forger, market.outside())
        for ticket in (one, two):
            await redigest(forger, ticket["ticket_id"])
        redone = await looked_at(forger, market.outside())
    assert one["ticket_id"] in swapped["digests"]
    assert one["ticket_id"] in swapped["leaves"] and one["ticket_id"] in redone["leaves"]
    async with undone(forger):
        (one,) = await some_tickets(forger, 1)
        await forger.execute(renumber, one["ticket_id"], 999_999, ticket_id(one["year"], 999_999))
        await redigest(forger, ticket_id(one["year"], 999_999))
        moved = await looked_at(forger, market.outside())
    assert one["ticket_id"] in moved["leaves"]
    assert "TKT-2026-999999" in moved["sealed"] or str(one["year"]) != "2026"


async def test_swapped_payloads_and_salts_are_named(market: Market, forger: Owner) -> None:
    async with undone(forger):
        one, two = await some_tickets(forger, 2)
        swap = "UPDATE ticket_payloads SET number = $2 WHERE number = $1"
        for before, after in ((one["number"], 0), (two["number"], one["number"]), (0, two["number"])):
            await forger.execute(swap, before, after)
        found = await looked_at(forger, market.outside())
    assert f"ticket {one['ticket_id']}: it binds a payload of HMAC" in found["digests"]
    async with undone(forger):
        await forger.execute(
            "UPDATE ticket_payloads p SET salt = o.salt FROM ticket_payloads o WHERE p.number = $1 AND o.number = $2",
            one["number"], two["number"],
        )  # fmt: skip
        found = await looked_at(forger, market.outside())
    assert one["ticket_id"] in found["digests"]


async def test_a_payload_that_retention_did_not_take_is_missed(market: Market, forger: Owner) -> None:
    async with undone(forger):
        (one,) = await some_tickets(forger, 1)
        await forger.execute("DELETE FROM ticket_payloads WHERE number = $1", one["number"])
        found = await looked_at(forger, market.outside())
    assert one["ticket_id"] in found["erased"]


async def test_a_void_that_was_deleted_is_named(market: Market, forger: Owner) -> None:
    async with undone(forger):
        void = await forger.fetchrow("DELETE FROM ticket_voids WHERE (year, lo) IN (SELECT year, lo FROM ticket_voids"
                                     " LIMIT 1) RETURNING *")  # fmt: skip
        assert void is not None
        found = await looked_at(forger, market.outside())
        report = await examine(forger, lambda _: None, market.outside())
    assert f"void {ticket_id(void['year'], void['lo'])} was sealed as leaf" in found["leaves"]
    assert "numbers" in {one.law.name for one in report.breaks}


# -------------------------------------------------------------------------------------------------- the tree as a whole


async def cut_tail(owner: Owner, *, with_tree: bool) -> str:
    """Take away what came after the last checkpoint but one; with the tree, as if it had never been."""
    size = await owner.fetchval("SELECT size FROM audit_checkpoints ORDER BY size DESC OFFSET 1 LIMIT 1")
    tail = await owner.fetch(
        "SELECT t.year, t.number, t.ticket_id FROM audit_leaves l JOIN ticket_logs t USING (year, number)"
        " WHERE l.kind = 'ticket' AND l.leaf_index >= $1 ORDER BY leaf_index",
        size,
    )
    ids = [row["ticket_id"] for row in tail]
    for table in tables.EFFECTS:
        await owner.execute(f"DELETE FROM {table.name} WHERE ticket_id = ANY($1::text[])", ids)
    await remove(owner, tail)
    if with_tree:
        await owner.execute(
            "DELETE FROM ticket_voids v USING audit_leaves l WHERE l.kind = 'void' AND l.leaf_index >= $1"
            " AND (l.year, l.number) = (v.year, v.lo)",
            size,
        )
        await owner.execute("DELETE FROM audit_leaves WHERE leaf_index >= $1", size)
        await owner.execute("DELETE FROM audit_checkpoints WHERE size > $1", size)
        await reset_head(owner)
    return str(ids[0])


async def reset_head(owner: Owner) -> None:
    """Make head, nodes and roots fit the leaves."""
    await owner.execute("DELETE FROM audit_nodes")
    tree = Tree()
    sizes = {row["size"] for row in await owner.fetch("SELECT size FROM audit_checkpoints")}
    for row in await owner.fetch("SELECT leaf_hash FROM audit_leaves ORDER BY leaf_index"):
        tree.append(row["leaf_hash"])
        if tree.size in sizes:
            await owner.execute("UPDATE audit_checkpoints SET root = $1 WHERE size = $2", tree.root(), tree.size)
    await owner.executemany("INSERT INTO audit_nodes VALUES ($1, $2, $3)", tree.take_completed())
    await owner.execute("UPDATE audit_head SET size = $1, frontier = $2", tree.size, tree.frontier)


async def test_a_tail_that_was_cut_off_is_named(market: Market, forger: Owner) -> None:
    async with undone(forger):
        first = await cut_tail(forger, with_tree=False)
        found = await looked_at(forger, market.outside())
    assert first in found["leaves"]


async def test_a_tail_that_was_cut_off_with_its_checkpoints_is_known_outside(market: Market, forger: Owner) -> None:
    async with undone(forger):
        await cut_tail(forger, with_tree=True)
        inside = await looked_at(forger, Outside(key=market.key))
        found = await looked_at(forger, market.outside())
    assert inside == {}  # the database alone is consistent: this is what the file is for
    assert set(found) == {"outside"}
    assert "later tickets were cut off, or an old backup was restored" in found["outside"]


async def rewrite(owner: Owner) -> str:
    """Change a ticket and everything that can be recomputed without the key."""
    (one,) = await some_tickets(owner, 1)
    await owner.execute("UPDATE ticket_logs SET summary = 'nothing happened' WHERE ticket_id = $1", one["ticket_id"])
    await redigest(owner, one["ticket_id"])
    digest = await owner.fetchval("SELECT digest FROM ticket_logs WHERE ticket_id = $1", one["ticket_id"])
    await owner.execute(
        "UPDATE audit_leaves SET leaf_hash = $1 WHERE kind = 'ticket' AND number = $2",
        seals.ticket_leaf(one["ticket_id"], digest), one["number"],
    )  # fmt: skip
    await reset_head(owner)
    return str(one["ticket_id"])


async def test_hashes_that_were_recomputed_without_the_key_are_found(market: Market, forger: Owner) -> None:
    async with undone(forger):
        changed = await rewrite(forger)
        found = await looked_at(forger, market.outside())
    assert "digests" not in found and "leaves" not in found
    first, last = found["checkpoints"].split("between ticket ")[1].split(" and ticket ")
    assert first <= changed <= last[: len(first)]
    assert "its note says" in found["checkpoints"]
    assert changed >= found["outside"].split("between ticket ")[1][: len(first)]


async def test_a_tree_signed_anew_with_another_key_is_found(market: Market, tmp_path: Path) -> None:
    other = Signer(market.key.name, OTHER_SEED)
    async with copied(market.url, f"{market.url.rpartition('/')[2]}_anew") as url:
        owner = await asyncpg.connect(url)
        try:
            await rewrite(owner)
            for table in ("audit_leaves", "audit_nodes", "audit_checkpoints"):
                await owner.execute(f"DELETE FROM {table}")
            await owner.execute("UPDATE audit_head SET size = 0, frontier = '', sealed_below = '0', key = NULL")
            async with sealing(url, tmp_path, other) as seal:
                await seal.seal()
            by_file = await looked_at(owner, market.outside())
            by_key = await looked_at(owner, Outside(key=market.key))
            by_nothing = await looked_at(owner, Outside())
        finally:
            await owner.close()
    assert "the key outside is" in by_file["checkpoints"]
    assert "its root is" in by_file["outside"]
    assert "the key outside is" in by_key["checkpoints"]
    assert set(by_nothing) <= {"written-once", "same-transaction"}  # the database alone can be made to say anything


async def test_an_old_checkpoint_that_is_shown_again_is_found(market: Market, forger: Owner) -> None:
    async with undone(forger):
        await forger.execute(
            "UPDATE audit_checkpoints c SET note = o.note, root = o.root FROM audit_checkpoints o"
            " WHERE c.size = (SELECT max(size) FROM audit_checkpoints)"
            " AND o.size = (SELECT min(size) FROM audit_checkpoints)"
        )
        found = await looked_at(forger, market.outside())
    assert "the root that was signed is" in found["checkpoints"] or "its note says" in found["checkpoints"]
    async with undone(forger):
        await forger.execute("DELETE FROM audit_checkpoints WHERE size = (SELECT max(size) FROM audit_checkpoints)")
        found = await looked_at(forger, market.outside())
    assert "no checkpoint covers the leaves between ticket " in found["checkpoints"]
    assert "the database has no such checkpoint" in found["outside"]


async def test_a_checkpoint_of_leaves_that_do_not_exist_is_found(market: Market, forger: Owner) -> None:
    async with undone(forger):
        await forger.execute(
            "INSERT INTO audit_checkpoints SELECT size + 100, root, note, NULL FROM audit_checkpoints"
            " ORDER BY size DESC LIMIT 1"
        )
        found = await looked_at(forger, market.outside())
    assert "the tree ends with" in found["checkpoints"]


async def test_a_leaf_that_is_there_twice_is_found(market: Market, forger: Owner) -> None:
    async with undone(forger):
        await forger.execute(
            "UPDATE audit_leaves l SET kind = o.kind, number = o.number FROM audit_leaves o"
            " WHERE l.leaf_index = 9 AND o.leaf_index = 4"
        )
        found = await looked_at(forger, market.outside())
    assert set(found) >= {"leaves", "sealed"}


async def test_an_old_backup_that_was_restored_is_found(market: Market) -> None:
    owner = await asyncpg.connect(market.backup)
    try:
        inside = await silent(owner, Outside(key=market.key))
        found = await looked_at(owner, market.outside())
    finally:
        await owner.close()
    assert inside.is_clean, inside.breaks
    assert set(found) == {"outside"}
    assert "or an old backup was restored" in found["outside"]


# ----------------------------------------------------------------------------------------------------- the file outside


@pytest.mark.parametrize(("forgery", "said"), [
    ("garbled", "holds no checkpoint"), ("swapped", "leaves, after one of"), ("another root", "its root is"),
    ("another time", "it was made at"), ("twice", "leaves, after one of"),
])  # fmt: skip
async def test_a_line_that_is_not_of_this_tree_is_found(
    market: Market, forger: Owner, tmp_path: Path, forgery: str, said: str
) -> None:
    (file,) = (market.home / "checkpoints").glob("*.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines()
    if forgery == "garbled":
        lines[2] = lines[2][:-9]
    elif forgery == "swapped":
        lines[1], lines[2] = lines[2], lines[1]
    elif forgery == "twice":
        lines.insert(3, lines[1])
    elif forgery == "another time":
        lines[2] = lines[2].replace('{"at": "2', '{"at": "1', 1)
    else:
        size = json.loads(lines[2])["note"].split("\n")[1]
        other = Signer(market.key.name, OTHER_SEED).sign(int(size), b"\x01" * 32)
        lines[2] = json.dumps({"at": json.loads(lines[2])["at"], "note": other}, ensure_ascii=False)
    (tmp_path / file.name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    found = await looked_at(forger, Outside.at(Witness(tmp_path), market.key))
    assert said in found["outside"]
    assert set(found) == {"outside"}


async def test_a_file_that_misses_some_lines_or_was_cut_in_a_line_accuses_nobody(
    market: Market, forger: Owner, tmp_path: Path
) -> None:
    (file,) = (market.home / "checkpoints").glob("*.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [lines[0], lines[2], lines[3][:40], lines[3], lines[4][:50]]
    (tmp_path / file.name).write_text("\n".join(kept), encoding="utf-8")
    assert await looked_at(forger, Outside.at(Witness(tmp_path), market.key)) == {}


async def test_the_sealer_fills_the_file_up_after_a_crash_in_a_line(market: Market, tmp_path: Path) -> None:
    shutil.copytree(market.home, tmp_path / "home")
    (file,) = (tmp_path / "home" / "checkpoints").glob("*.jsonl")
    whole = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*whole[:-2], whole[-2][:70]]), encoding="utf-8")
    async with sealing(market.url, tmp_path / "home") as seal:
        await seal.seal()
        notes = [line.note for line in seal.witness.lines()]
    assert notes == [json.loads(line)["note"] for line in whole]
