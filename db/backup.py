"""Backup and restore: a dump with a manifest and the checkpoints outside; a restored market taken into service.

Law: a ticket number that anybody may have seen is never given out again. What was issued after the backup is known from
outside only: each line of the checkpoints says how far numbers were leased. A restore goes a good way past that.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from db import numbers
from db.keys import KEY_FILE
from db.place import make_folder, postgres_program, write_private
from db.transaction import Connection
from db.unit import CONNECT_TIMEOUT_S, Pool, snapshot
from db.witness import Witness
from domain.notes import PublicKey

FORMAT = 1
MANIFEST, DUMP, CHECKPOINTS, SECRETS = "manifest.json", "database.dump", "checkpoints", "secrets"
PATIENCE_S = 4 * 3_600.0  # for one statement over everything
TREE_TABLES = ("audit_leaves", "audit_nodes", "audit_checkpoints")
LAST_WORDS_MAX = 500
OURS = "carbondesk-%"

Say: TypeAlias = Callable[[str], None]


class BackupRefused(Exception):
    """Say why this cannot be backed up or restored, and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. leased: the last number that could be out when it was made, by year."""

    made_at: str
    database: str
    revision: str
    tickets: int
    leased: Mapping[int, int]
    tree_size: int
    checkpoint: str | None
    key: str | None
    sha256: str
    bytes: int

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "madeAt": self.made_at,
            "database": self.database,
            "revision": self.revision,
            "tickets": self.tickets,
            "leased": {str(year): number for year, number in self.leased.items()},
            "treeSize": self.tree_size,
            "checkpoint": self.checkpoint,
            "key": self.key,
            "sha256": self.sha256,
            "bytes": self.bytes,
        }


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a backup, whose dump must be the one that was written.

    Raises: BackupRefused.
    """
    try:
        read = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if read["format"] != FORMAT:
            raise BackupRefused(f"{folder} is of format {read['format']}: this program reads {FORMAT}")
        names = ("database", "revision", "tickets", "checkpoint", "key", "sha256", "bytes")
        manifest = Manifest(
            made_at=read["madeAt"],
            leased={int(year): number for year, number in read["leased"].items()},
            tree_size=read["treeSize"],
            **{name: read[name] for name in names},
        )
        with (folder / DUMP).open("rb") as dump:
            found = hashlib.file_digest(dump, "sha256").hexdigest()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupRefused(f"{folder} is no backup that can be read: {error}") from None
    if found != manifest.sha256:
        raise BackupRefused(f"{folder / DUMP} is not what was written: it is damaged, or was changed")
    return manifest


# ----------------------------------------------------------------------------------------------------------- backing up


async def back_up(database_url: str, folder: Path, checkpoints: Path, say: Say) -> Manifest:
    """Write a backup into a new folder: one instant of the database, while the market trades on.

    Raises: BackupRefused.
    """
    unfinished = _begin(folder)
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        async with snapshot(connection):
            instant = await connection.fetchval("SELECT pg_export_snapshot()")
            what = await connection.fetchrow(_WHAT)
            assert what is not None, "the row of audit_head is there"
            leased = await numbers.leased(connection)
            say(f"dumping {what['tickets']:,} tickets and everything else of {what['database']}")
            dump = ["--format=custom", "--no-owner", f"--snapshot={instant}", f"--file={unfinished / DUMP}"]
            await asyncio.to_thread(_run, "pg_dump", database_url, dump)
        return _finish(unfinished, folder, checkpoints, what, leased)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finally:
        await connection.close()


def _begin(folder: Path) -> Path:
    """Make a folder of another name: there is never half a backup.

    Raises: BackupRefused.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    for path in (folder, unfinished):
        if path.exists():
            raise BackupRefused(f"{path} exists already: each backup is a folder of its own")
    return make_folder(unfinished, mode=0o700)


def _finish(
    unfinished: Path, folder: Path, checkpoints: Path, what: asyncpg.Record, leased: Mapping[int, int]
) -> Manifest:
    """Add the checkpoints and the manifest, bring it all to the disk, and give it its name."""
    if checkpoints.is_dir():  # copied after the dump: what is outside is never behind what is inside
        shutil.copytree(checkpoints, unfinished / CHECKPOINTS)
    (unfinished / DUMP).chmod(0o600)
    with (unfinished / DUMP).open("rb") as dump:
        os.fsync(dump.fileno())
        sha256 = hashlib.file_digest(dump, "sha256").hexdigest()
        size = dump.tell()
    manifest = Manifest(
        made_at=what["made_at"],
        database=what["database"],
        revision=what["revision"],
        tickets=what["tickets"],
        leased=leased,
        tree_size=what["size"],
        checkpoint=what["note"],
        key=what["key"],
        sha256=sha256,
        bytes=size,
    )
    write_private(unfinished / MANIFEST, json.dumps(manifest.as_json(), indent=2) + "\n")
    unfinished.replace(folder)
    return manifest


_WHAT = """
SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at,
       current_database()::text AS database, (SELECT version_num FROM alembic_version) AS revision,
       (SELECT count(*) FROM ticket_logs) AS tickets, h.size, h.key,
       (SELECT note FROM audit_checkpoints WHERE size = h.size) AS note
FROM audit_head h"""


# ------------------------------------------------------------------------------------------------------------ restoring


async def load(database_url: str, folder: Path, manifest: Manifest, say: Say) -> None:
    """Fill an empty database from a backup, all or nothing.

    Raises: BackupRefused.
    """
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        name = await connection.fetchval("SELECT current_database()::text")
        if name != manifest.database:
            raise BackupRefused(
                f"this is a backup of a database named {manifest.database}, after which its roles are named; "
                f"DATABASE_URL names {name}: create one with the same name"
            )
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        if tables:
            raise BackupRefused(f"the database {name} is not empty: a backup is restored into a new one")
        for group in ("app", "sealer", "retention", "analyst"):
            await connection.execute(_GROUP.format(role=f"{name}_{group}"))
    finally:
        await connection.close()
    say(f"restoring {manifest.tickets:,} tickets and everything else, as of {manifest.made_at}")
    restore = ["--no-owner", "--exit-on-error", "--single-transaction"]
    await asyncio.to_thread(_run, "pg_restore", database_url, [*restore, str(folder / DUMP)])


_GROUP = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE "{role}" NOLOGIN; END IF;
    IF NOT pg_has_role(current_user, '{role}', 'MEMBER') OR current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE format('GRANT %I TO %I', '{role}', current_user);
    END IF;
END $$"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is outside beside a database as it is. lost: leaves that the checkpoints know and the tree does not have.

    year: of the database's clock; leased: how far numbers were leased, as far as anybody outside knows; foreign: the
    key that sealed the tree, where the key here is another one.
    """

    year: int
    tree_size: int
    lost: int
    leased: Mapping[int, int]
    foreign: str | None

    @property
    def needs_new_tree(self) -> bool:
        return self.lost > 0 or self.foreign is not None


async def stand(database_url: str, witness: Witness, key: PublicKey | None) -> Standing:
    """Hold a database that was restored or recovered against what is outside.

    Raises: BackupRefused.
    """
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        await _refuse_company(connection)
        head = await connection.fetchrow(
            "SELECT size, key, extract(year FROM clock_timestamp() AT TIME ZONE 'UTC')::integer AS year FROM audit_head"
        )
        assert head is not None, "the row of audit_head is there"
        line = witness.last()
        outside = line.checkpoint.size if line and line.checkpoint else 0
        lost = max(outside - head["size"], 0)
        if line and line.checkpoint and not lost:
            note = await connection.fetchval("SELECT note FROM audit_checkpoints WHERE size = $1", outside)
            if note != line.note:
                raise BackupRefused(f"{line.place} of the checkpoints outside is not of this market")
    finally:
        await connection.close()
    sealed_by = head["key"]
    is_foreign = sealed_by is not None and (key is None or sealed_by != str(key))
    return Standing(head["year"], head["size"], lost, witness.leased(), sealed_by if is_foreign else None)


async def _refuse_company(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Refuse to work on a database that others work on.

    Raises: BackupRefused.
    """
    others = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name LIKE $1",
        OURS,
    )
    if others:
        raise BackupRefused(f"{others} connections of a running carbondesk: stop every API process and sealer first")


async def take_up(pool: Pool, floors: Mapping[int, int], *, new_tree: bool) -> dict[int, int]:
    """Make a restored or recovered database fit for service, as its owner; return the last number skipped, by year.

    Its open leases are closed, numbers up to the floors are void, transactions that a new server has not come to yet
    are renamed, and with new_tree the tree of seals begins anew.
    Locks: everything that is written to.
    """
    async with pool.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on")  # all rows are read
        await numbers.close_all(connection)
        skipped = await numbers.skip(connection, floors)
        await _rename_transactions(connection)
        if new_tree:
            await _unguarded(connection, TREE_TABLES, f"TRUNCATE {', '.join(TREE_TABLES)}")
            await connection.execute("UPDATE audit_head SET size = 0, frontier = ''::bytea, key = NULL, alarm = NULL")
        await connection.execute("UPDATE audit_head SET sealed_below = '0'")
    return skipped


async def _rename_transactions(connection: Connection) -> None:
    """Let rows whose transaction this server has not come to yet be of this one: a dump brings them from elsewhere.

    Digests do not cover transactions; what sealer and live tail wait for would otherwise not come for a long time.
    """
    renamed = "UPDATE {} SET txid = pg_current_xact_id() WHERE txid >= pg_snapshot_xmin(pg_current_snapshot())"
    for table in ("ticket_logs", "ticket_voids"):
        ahead = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {table} WHERE txid > pg_current_xact_id())"  # noqa: S608 - our own tables
        )
        if ahead:
            await _unguarded(connection, (table,), renamed.format(table))


async def _unguarded(connection: Connection, tables: Sequence[str], statement: str) -> None:
    """Run a statement that append-only tables refuse; only their owner can."""
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await connection.execute(statement, timeout=PATIENCE_S)
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for row in await connection.fetch(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname LIKE 'append_only%'", table
        ):
            await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {row['tgname']}")


def set_aside(home: Path, tree_size: int) -> list[tuple[Path, Path]]:
    """Put the key and the checkpoints of a tree that ends here beside those of the next one; return what went where."""
    moved = []
    for old in (home / SECRETS / KEY_FILE, home / CHECKPOINTS):
        if old.exists():
            new = old.with_name(f"{old.name}.until-{tree_size}")
            if new.exists():
                raise BackupRefused(f"{new} is in the way: move it to a safe place first")
            moved.append((old, new))
    for old, new in moved:
        old.replace(new)
    return moved


def _run(program: str, database_url: str, arguments: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs; the password is in its environment, where only this user sees it.

    Raises: BackupRefused with its last words.
    """
    parts = urlsplit(database_url)
    login = parts.username or ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    place = f"{login}@{host}" + (f":{parts.port}" if parts.port else "")
    url = urlunsplit(parts._replace(netloc=place))
    environment = os.environ | {"PGAPPNAME": program, "PGOPTIONS": "-c statement_timeout=0 -c lock_timeout=0"}
    if parts.password:
        environment["PGPASSWORD"] = unquote(parts.password)
    path = postgres_program(program)
    if path is None:
        raise BackupRefused(f"{program} is not there: install the client programs of PostgreSQL")
    done = subprocess.run(
        [path, f"--dbname={url}", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupRefused(f"{program} failed: {done.stderr.strip()[-LAST_WORDS_MAX:]}")
