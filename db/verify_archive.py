"""Verification of archives: whatever retention took out of the database lies in one of them, as its ticket binds it."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from db import evidence
from db.evidence import Connection
from db.keys import verifies
from db.laws import Law
from db.retention import LINES, MANIFEST, NOTE, batches_of, sha256_of
from domain import archives, notes
from domain.archives import Manifest
from domain.notes import NotANote, PublicKey
from domain.tickets import parse_ticket_id, ticket_id

Say: TypeAlias = Callable[[str], None]

BATCH_ROWS = 10_000
ARCHIVES = Law(
    "archives",
    "Each payload that is gone lies in an archive that the sealer's key signed, as its ticket binds it.",
    ("ticket_logs", "ticket_payloads", "payload_archives"),
    "",
)


class _Numbers:
    """A set of ticket numbers, a bit each: a million tickets are a hundred kilobytes."""

    def __init__(self) -> None:
        self._years: defaultdict[int, bytearray] = defaultdict(bytearray)

    def add(self, year: int, number: int) -> None:
        bits = self._years[year]
        if len(bits) <= number >> 3:
            bits.extend(bytes((number >> 3) + 1 - len(bits)))
        bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, key: tuple[int, int]) -> bool:
        bits = self._years[key[0]]
        return len(bits) > key[1] >> 3 and bool(bits[key[1] >> 3] & 1 << (key[1] & 7))


async def check_archives(connection: Connection, folder: Path, key: PublicKey | None, say: Say) -> str | None:
    """Hold each archive of a folder against the tickets; return the first thing that does not fit, in words."""
    known = {row["id"]: row for row in await connection.fetch("SELECT * FROM payload_archives ORDER BY before, id")}
    held = _Numbers()
    for path in _manifests(folder):
        try:
            manifest = _signed_manifest(path, key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{path.parent.name}: {error}"
        row = known.pop(manifest.id, None)
        if row is not None and row["manifest_sha256"] != manifest.sha256:
            return f"{path.parent.name}: ticket {row['ticket_id']} names another manifest"
        # An archive that no ticket names is what an interrupted run left; nothing was deleted for it.
        try:
            if wrong := await _check_files(connection, path.parent, manifest, held):
                return wrong
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            return f"{path.parent.name}: a file is damaged ({error})"
        say(f"        archives: {path.parent.name}, {manifest.payloads:,} payloads")
    async for year, number in _missing(connection):
        if (year, number) not in held:
            others = "".join(f"; the archive of ticket {row['ticket_id']} is not here" for row in known.values())
            return f"ticket {ticket_id(year, number)}: its payload is neither in the database nor in {folder}{others}"
    return None


def _manifests(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*/{MANIFEST}"))


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob(f"*{LINES}")}


def _signed_manifest(path: Path, key: PublicKey | None) -> Manifest:
    text = path.read_text(encoding="utf-8")
    manifest = archives.read_manifest(orjson.loads(text))
    if manifest.text != text:
        raise ValueError("the manifest is not written in its one way")
    note = notes.parse((path.parent / NOTE).read_text(encoding="utf-8"))
    if key is None or not archives.is_signed(note, manifest, key, verifies):
        raise NotANote(f"the manifest is not signed by {key or 'any key known here'}")
    return manifest


async def _check_files(connection: Connection, folder: Path, manifest: Manifest, held: _Numbers) -> str | None:
    named = {file.name for file in manifest.files}
    if extra := _files(folder) - named:
        return f"{folder.name}: the manifest does not name {min(extra)}"
    for file in manifest.files:
        path = folder / file.name
        if sha256_of(path) != file.sha256:
            return f"{folder.name}/{file.name} was changed: its hash is not that of the manifest"
        count = 0
        for batch in batches_of(path):
            count += len(batch)
            if wrong := await _check_batch(connection, batch, held):
                return f"{folder.name}/{file.name}: {wrong}"
        if count != file.payloads:
            return f"{folder.name}/{file.name} holds {count:,} payloads; the manifest says {file.payloads:,}"
    return None


async def _check_batch(connection: Connection, batch: list[dict[str, Any]], held: _Numbers) -> str | None:
    rows = await connection.fetch(
        "SELECT ticket_id, payload_hmac FROM ticket_logs WHERE ticket_id = ANY($1::text[])",
        [one["ticketId"] for one in batch],
    )
    bound = {row["ticket_id"]: row["payload_hmac"] for row in rows}
    for one, found in zip(batch, _hmacs(batch), strict=True):
        if bound.get(one["ticketId"]) != found:
            return f"ticket {one['ticketId']}: the archived payload is not the one that it binds"
        key = parse_ticket_id(one["ticketId"])
        assert key is not None, "a ticket of that id is there"
        held.add(*key)
    return None


def _hmacs(batch: list[dict[str, Any]]) -> Iterator[bytes]:
    for one in batch:
        parts = (one[part] for part in evidence.PARTS)
        texts = (orjson.dumps(part, option=orjson.OPT_SORT_KEYS).decode() for part in parts)
        yield hmac.digest(bytes.fromhex(one["salt"]), f"[{','.join(texts)}]".encode(), "sha256")


async def _missing(connection: Connection) -> Any:
    """Yield (year, number) of the tickets whose payload is gone."""
    after = (0, 0)
    while rows := await connection.fetch(
        "SELECT t.year, t.number FROM ticket_logs t WHERE (t.year, t.number) > ($1, $2) AND NOT EXISTS"
        " (SELECT FROM ticket_payloads p WHERE p.year = t.year AND p.number = t.number)"
        " ORDER BY t.year, t.number LIMIT $3",
        *after,
        BATCH_ROWS,
    ):
        for row in rows:
            yield row["year"], row["number"]
        after = (rows[-1]["year"], rows[-1]["number"])
