"""The checkpoints outside the database: one JSON line each in files that are only appended to.

Whoever restores an old backup, cuts off the end of the trail or signs another tree with another key is found by these
lines, as long as he cannot change them too: copy them to where the owner of the database has no rights.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from db.place import make_folder
from domain.notes import Checkpoint, PublicKey, parse
from domain.tickets import instant

KEY_FILE = "public.key"
SUFFIX = ".jsonl"
LINE_BYTES_MAX = 4_096
TAIL_BYTES = 4 * LINE_BYTES_MAX
NOTHING: Mapping[int, int] = MappingProxyType({})
MODE_LINES = 0o644  # nothing here is secret, and the more people copy it the better


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read. place: file and line, for people; note is None when it cannot be read."""

    place: str
    at: str | None
    note: str | None
    checkpoint: Checkpoint | None
    leased: Mapping[int, int] = field(default_factory=dict)


class Witness:
    """The files of one home."""

    def __init__(self, folder: Path, ends: Mapping[Path, int] | None = None) -> None:
        self.folder = folder
        self._ends = ends

    def key(self) -> PublicKey | None:
        """Return the public key that stands beside the lines.

        Raises: NotANote.
        """
        path = self.folder / KEY_FILE
        return PublicKey.parse(path.read_text(encoding="ascii")) if path.is_file() else None

    def introduce(self, key: PublicKey) -> None:
        """Put the public key beside the lines, once."""
        path = make_folder(self.folder) / KEY_FILE
        if not path.exists():
            _append(path, f"{key}\n")

    def last(self) -> Line | None:
        """Return the last whole line."""
        files = self._files()
        if not files:
            return None
        tail = list(_lines(files[-1], max(0, files[-1].stat().st_size - TAIL_BYTES)))
        return next((line for line in reversed(tail) if line.checkpoint), None)

    def last_size(self) -> int:
        """Return the size of the tree of the last line, 0 where there is none."""
        last = self.last()
        return last.checkpoint.size if last and last.checkpoint else 0

    def as_of_now(self) -> Witness:
        """Return these files as they end now: what a running sealer appends meanwhile is not read."""
        return Witness(self.folder, {path: path.stat().st_size for path in self._files()})

    def lines(self) -> Iterator[Line]:
        """Yield every line from the first one on."""
        for path in self._files():
            yield from _lines(path, end=self._ends.get(path) if self._ends is not None else None)

    def leased(self) -> dict[int, int]:
        """Return how far ticket numbers were leased when the last line was written, by year."""
        last = self.last()
        return dict(last.leased) if last else {}

    def append(self, notes: Sequence[tuple[int, datetime, str]], leased: Mapping[int, int] = NOTHING) -> None:
        """Write notes (size, instant, text) behind the others, a file a month, and bring them to the disk.

        leased: the last ticket number that may be out by now, by year; a restore goes on beyond it.

        Locks: the file of the public key, for another sealer of this home may be writing the same notes.
        """
        with (self.folder / KEY_FILE).open("rb") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            last = self.last_size()
            months: dict[str, list[str]] = {}
            for size, at, note in notes:
                if size > last:
                    known = {str(year): number for year, number in leased.items()}
                    line = json.dumps({"at": instant(at), "note": note, "leased": known}, ensure_ascii=False)
                    months.setdefault(instant(at)[:7], []).append(line + "\n")
            for month, lines in sorted(months.items()):
                _append(self.folder / f"{month}{SUFFIX}", "".join(lines))

    def _files(self) -> list[Path]:
        found = self._ends if self._ends is not None else self.folder.glob(f"*{SUFFIX}")
        return sorted(found)


def _append(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE_LINES)
    try:
        if os.geteuid() == 0:
            above = path.parent.stat()
            os.fchown(descriptor, above.st_uid, above.st_gid)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            text = "\n" + text  # what a crash cut short stays as it is, and a whole line follows
        data = text.encode()
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(path: Path, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """Read a part of a file. A torn line, the beginning of the whole one after it, is none."""
    with path.open("rb") as file:
        file.seek(start)
        if start:
            file.readline()
        number, before = 0, None
        while (end is None or file.tell() < end) and (raw := file.readline()).endswith(b"\n"):
            if before is not None and (before == raw or not raw.startswith(before[:-1])):
                yield _line(path.name if start else f"{path.name}:{number}", before)
            number, before = number + 1, raw
        if before is not None:
            yield _line(path.name if start else f"{path.name}:{number}", before)


def _line(place: str, text: bytes) -> Line:
    try:
        read = json.loads(text)
        leased = {int(year): int(number) for year, number in read.get("leased", {}).items()}
        return Line(place, str(read["at"]), read["note"], parse(read["note"]).checkpoint, leased)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Line(place, None, None, None)
