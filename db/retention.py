"""Retention: payloads of old, sealed tickets go into an archive, are read back, and only then leave the database.

Tickets, digests, leaves and every row that names a ticket stay for ever. The order is: write the archive; leave a
ticket, with the row that allows each payload to be missing; delete what the archive holds. Whatever interrupts this
leaves payloads that the next run archives once more, never one that is nowhere.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import orjson

from db import evidence, idempotency, tables
from db.evidence import Connection
from db.keys import Signer
from db.outcomes import reader
from db.place import make_folder, write_private
from db.transaction import Write
from db.unit import CONNECT_TIMEOUT_S, Pool, Units
from domain import stories
from domain.archives import ArchiveFile, ArchiveOutcome, Manifest, note_text
from domain.tickets import ActionType, Attempt, instant, parse_ticket_id

OLDER_THAN_MIN = idempotency.KEPT  # an attempt that may still be repeated is answered from its payload
BATCH_ROWS = 2_000
FILE_ROWS_MAX = 100_000  # some hundred megabytes before compression
MANIFEST, NOTE, LINES = "manifest.json", "manifest.note", ".ndjson.gz"
TAG = "cli"
FIELD = "retention"

Advance: TypeAlias = Callable[[str, int, int], None]
"""Tell how far a stage is: (stage, done, all)."""


class RetentionRefused(Exception):
    """Say why nothing is archived, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be archived: payloads of tickets before an instant that the newest checkpoint covers."""

    before: datetime
    tree_size: int
    checkpoint: str
    payloads: int
    key: str | None


@dataclass(frozen=True, slots=True)
class Archivist:
    """What retention needs: where it reads and deletes, where its ticket is written, and who signs the manifest.

    reading: a connection of the role `_retention`; deleting: a pool of it; units: those of the application.
    """

    reading: Connection
    deleting: Pool
    units: Units
    signer: Signer
    folder: Path


async def connect(url: str, role: str) -> asyncpg.Connection[asyncpg.Record]:
    """Connect for reading as the role, for as long as it takes."""
    settings = {"application_name": "carbondesk-retention", "role": role, "timezone": "UTC", "jit": "off",
                "default_transaction_read_only": "on"}  # fmt: skip
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)


async def plan(connection: Connection, older_than: timedelta) -> Plan:
    """Return what a run would archive.

    Raises: RetentionRefused.
    """
    if older_than < OLDER_THAN_MIN:
        raise RetentionRefused(f"payloads are kept for at least {OLDER_THAN_MIN.days} days")
    last = await connection.fetchrow("SELECT size, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
    if last is None:
        raise RetentionRefused("nothing is sealed yet, and only what is sealed can leave: start `carbondesk seal`")
    before = await connection.fetchval("SELECT clock_timestamp() - $1::interval", older_than)
    payloads = await connection.fetchval(
        f"SELECT count(*) FROM ({_OLD}) AS old",  # noqa: S608 - our own statement
        before, last["size"], 0, 0, None,
    )  # fmt: skip
    return Plan(before, last["size"], last["note"], payloads, await connection.fetchval("SELECT key FROM audit_head"))


async def run(archivist: Archivist, wanted: Plan, advance: Advance) -> ArchiveOutcome:
    """Archive and delete what was planned.

    Raises: RetentionRefused.
    """
    if not wanted.payloads:
        raise RetentionRefused(f"no payload is older than {instant(wanted.before)}")
    if wanted.key != str(archivist.signer.public):
        raise RetentionRefused(f"this tree is sealed by {wanted.key}; the key here is {archivist.signer.public}")
    archive_id = uuid4()
    folder = make_folder(
        make_folder(archivist.folder) / f"{instant(wanted.before)[:10]}-{archive_id.hex[:8]}", mode=0o700
    )
    files = [file async for file in _write_files(archivist.reading, wanted, folder, advance)]
    manifest = Manifest(archive_id, wanted.before, wanted.tree_size, wanted.checkpoint, files)
    write_private(folder / MANIFEST, manifest.text)
    write_private(folder / NOTE, archivist.signer.sign_text(note_text(manifest.id, manifest.sha256)))
    outcome = await _leave_ticket(archivist.units, manifest)
    done = 0
    for file in files:
        for keys in keys_of(folder / file.name, file.sha256):
            done += await _delete(archivist.deleting, keys)
            advance("deleting", done, wanted.payloads)
    return outcome


async def _write_files(
    connection: Connection, wanted: Plan, folder: Path, advance: Advance
) -> AsyncIterator[ArchiveFile]:
    """Write payloads, file by file; each is on disk before it is named."""
    after: tuple[int, int] = (0, 0)
    done = 0
    for number in itertools.count(1):
        path = folder / f"payloads-{number:04d}{LINES}"
        first = last = None
        count = 0
        with _open(path) as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
            while count < FILE_ROWS_MAX and (rows := await connection.fetch(
                _OLD, wanted.before, wanted.tree_size, *after, BATCH_ROWS
            )):  # fmt: skip
                packed.write(b"".join(_line(row) for row in rows))
                first, last = first or rows[0]["ticket_id"], rows[-1]["ticket_id"]
                after, count = (rows[-1]["year"], rows[-1]["number"]), count + len(rows)
                advance("archiving", done + count, wanted.payloads)
        if not count or first is None or last is None:
            path.unlink()
            return
        _flush(path)
        yield ArchiveFile(path.name, count, first, last, sha256_of(path))
        done += count


def _open(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _flush(path: Path) -> None:
    for one in (path, path.parent):
        descriptor = os.open(one, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _line(row: asyncpg.Record) -> bytes:
    if evidence.bound_of(row) != row["payload_hmac"]:
        raise RetentionRefused(
            f"the payload of ticket {row['ticket_id']} is not the one that it binds: `carbondesk verify` says more"
        )
    content = {
        "ticketId": row["ticket_id"],
        "payloadHmac": row["payload_hmac"].hex(),
        "salt": row["salt"].hex(),
        **{part: None if row[part] is None else orjson.loads(row[part]) for part in evidence.PARTS},
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


async def _leave_ticket(units: Units, manifest: Manifest) -> ArchiveOutcome:
    outcome = ArchiveOutcome(
        manifest.id, manifest.payloads, manifest.before, manifest.files[0].first, manifest.files[-1].last,
        manifest.tree_size, manifest.sha256.hex(),
    )  # fmt: skip
    attempt = Attempt(
        attempt_id=uuid4(),
        field=FIELD,
        action_type=ActionType.DATA_ARCHIVED,
        request={"before": instant(manifest.before), "archive": str(manifest.id)},
        started_at_ns=time.monotonic_ns(),
        tags=(TAG,),
    )

    async def work(write: Write) -> ArchiveOutcome:
        row = (manifest.id, manifest.tree_size, manifest.before, manifest.payloads, manifest.sha256, write.ticket_id)
        await write.insert(tables.payload_archives, [row])
        return outcome

    answer = await units.run(attempt, work, stories.of_archive, reader(ArchiveOutcome))
    if answer.refusal:
        raise RetentionRefused(f"{answer.refusal.message} ({answer.ticket_id})")
    return outcome


async def _delete(pool: Pool, keys: Sequence[tuple[int, int]]) -> int:
    async with pool.transaction() as connection:
        done = await connection.execute(
            "DELETE FROM ticket_payloads p USING unnest($1::integer[], $2::bigint[]) AS k(year, number)"
            " WHERE p.year = k.year AND p.number = k.number",
            [year for year, _ in keys],
            [number for _, number in keys],
        )
    return int(done.rpartition(" ")[2])


# ------------------------------------------------------------------------------------------------ reading an archive


def sha256_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def batches_of(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the payloads of a file, some thousand at a time.

    Raises: OSError, EOFError, ValueError when it is damaged.
    """
    with gzip.open(path, "rb") as lines:
        batch = []
        for line in lines:
            batch.append(orjson.loads(line))
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch


def keys_of(path: Path, sha256: str) -> Iterator[list[tuple[int, int]]]:
    """Yield (year, number) of the payloads of a file, which must be the one that was written.

    Raises: RetentionRefused.
    """
    if sha256_of(path) != sha256:
        raise RetentionRefused(f"{path} is not what was written: its payloads stay in the database")
    for batch in batches_of(path):
        keys = [parse_ticket_id(one["ticketId"]) for one in batch]
        yield [key for key in keys if key]


_OLD = """
SELECT t.year, t.number, t.ticket_id::text, t.payload_hmac, p.salt, p.request_payload, p.response_data, p.before_state,
       p.after_state
FROM ticket_payloads p JOIN ticket_logs t USING (year, number)
JOIN audit_leaves l ON l.kind = 'ticket' AND l.year = t.year AND l.number = t.number
WHERE t."timestamp" < $1 AND l.leaf_index < $2 AND (t.year, t.number) > ($3, $4)
ORDER BY t.year, t.number LIMIT $5"""
