"""Archives of payloads. Law: what retention takes out was sealed before, lies in an archive whole, and still verifies.

An archive is a folder: lines of JSON, compressed, one payload each; a manifest that says what they are; a note in which
the sealer's key signs the hash of the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.notes import Note, PublicKey, Verifies
from domain.tickets import canonical, instant

FORMAT = "carbondesk-archive/1"
TITLE = "carbondesk archive"  # never the first line of a checkpoint, whose origin is the key's name


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file of an archive."""

    name: str
    payloads: int
    first: str
    last: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds: the payloads of sealed tickets older than `before`, and the tree that sealed them."""

    id: UUID
    before: datetime
    tree_size: int
    checkpoint: str
    files: Sequence[ArchiveFile]

    @property
    def payloads(self) -> int:
        return sum(file.payloads for file in self.files)

    @property
    def text(self) -> str:
        """Write it in its one way."""
        content = {
            "format": FORMAT,
            "id": str(self.id),
            "before": instant(self.before),
            "treeSize": self.tree_size,
            "checkpoint": self.checkpoint,
            "payloads": self.payloads,
            "first": self.files[0].first,
            "last": self.files[-1].last,
            "files": [
                {"name": one.name, "payloads": one.payloads, "first": one.first, "last": one.last, "sha256": one.sha256}
                for one in self.files
            ],
        }
        return canonical(content) + "\n"

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


@dataclass(frozen=True, slots=True)
class ArchiveOutcome:
    """What a run of retention came to: the archive, and its manifest's hash in hex."""

    id: UUID
    payloads: int
    before: datetime
    first: str
    last: str
    tree_size: int
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class BackupOutcome:
    """What a backup holds: its folder's name."""

    name: str


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """What a restore came to.

    made_at: of the backup, None after a recovery; lost: sealed tickets and voids that the checkpoints outside know and
    this market no longer has; skipped: the last ticket number that is not given out again, by year; key: of the tree
    that ended, where a new one begins.
    """

    made_at: str | None
    tickets: int
    lost: int
    skipped: dict[str, str]
    ended_key: str | None


def note_text(archive_id: UUID, manifest_sha256: bytes) -> str:
    """Return what the sealer's key signs of an archive."""
    return f"{TITLE}\n{archive_id}\n{manifest_sha256.hex()}\n"


def read_manifest(content: Mapping[str, Any]) -> Manifest:
    """Read what `Manifest.text` wrote.

    Raises: KeyError, TypeError, ValueError when it is no such thing.
    """
    if content["format"] != FORMAT:
        raise ValueError(f"this is no manifest of the format {FORMAT}")
    files = [
        ArchiveFile(str(one["name"]), int(one["payloads"]), str(one["first"]), str(one["last"]), str(one["sha256"]))
        for one in content["files"]
    ]
    if not files or any("/" in one.name for one in files):
        raise ValueError("an archive has files, and they stand beside the manifest")
    before = datetime.fromisoformat(content["before"])
    return Manifest(UUID(content["id"]), before, int(content["treeSize"]), str(content["checkpoint"]), files)


def is_signed(note: Note, manifest: Manifest, key: PublicKey, verifies: Verifies) -> bool:
    """Tell whether a note is that of this manifest, signed by this key."""
    return note.text == note_text(manifest.id, manifest.sha256) and note.is_signed_by(key, verifies)
