"""The checkpoints outside the database: one JSON line each in files that are only appended to.

Whoever restores an old backup, cuts off the end of the trail or signs another tree with another key is found by these
lines, as long as he cannot change them too: copy them to where the owner of the database has no rights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.place import make_folder
from domain.notes import Checkpoint, NotANote, PublicKey, parse
from domain.tickets import instant

KEY_FILE = "public.key"
SUFFIX = ".jsonl"
LINE_BYTES_MAX = 4_096
TAIL_BYTES = 4 * LINE_BYTES_MAX
MODE_LINES = 0o644  # nothing here is secret, and the more people copy it the better


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read. place: file and line, for people; note is None when it cannot be read."""

    place: str
    note: str | None
    checkpoint: Checkpoint | None


class Witness:
    """The files of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
        return (
            None if not files else next((line for line in reversed(_lines(files[-1], TAIL_BYTES)) if line.note), None)
        )

    def lines(self) -> Iterator[Line]:
        """Yield every line from the first one on."""
        for path in self._files():
            yield from _lines(path)

    def append(self, notes: Sequence[tuple[datetime, str]]) -> None:
        """Write notes behind the others, a file a month, and bring them to the disk."""
        months: dict[str, list[str]] = {}
        for at, note in notes:
            line = json.dumps({"at": instant(at), "note": note}, ensure_ascii=False)
            months.setdefault(instant(at)[:7], []).append(line + "\n")
        for month, lines in sorted(months.items()):
            _append(make_folder(self.folder) / f"{month}{SUFFIX}", "".join(lines))

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))


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


def _lines(path: Path, tail_bytes: int | None = None) -> list[Line]:
    """Read a file, or its last lines. A torn line, the beginning of the whole one after it, is none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - tail_bytes) if tail_bytes else 0)
        texts = file.read().decode(errors="replace").split("\n")
    if start:
        texts = texts[1:]
    found = []
    for number, text in enumerate(texts, 1):
        following = texts[number] if number < len(texts) else None
        is_torn = following is None or (following.startswith(text) and following != text)
        if not is_torn:
            found.append(_line(path.name if start else f"{path.name}:{number}", text))
    return found


def _line(place: str, text: str) -> Line:
    try:
        note = json.loads(text)["note"]
        return Line(place, note, parse(note).checkpoint)
    except (ValueError, TypeError, KeyError, NotANote):
        return Line(place, None, None)
