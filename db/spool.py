"""The spool: attempts that could not be recorded since no database answered, kept on disk until one does.

Each process appends to a file of its own under a lock, flushed to disk before the client hears of the failure. Whoever
finds a file, this process or the next one, writes its FAILED tickets (tag SPOOLED) and deletes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid4

import asyncpg
import structlog

from db import meters
from db.unit import LOST, Units
from domain.errors import Busy
from domain.tickets import ActionType, Attempt, Story, plain

INGEST_EVERY_S = 5.0
BYTES_MAX = 64 * 1024 * 1024  # about 100,000 attempts: an outage that long is known by then
TAG = "SPOOLED"
MESSAGE = "No database could be reached. Nothing was done."
log = structlog.get_logger(__name__)


class Spool:
    """Keep attempts on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{uuid4()}.jsonl"
        self._file: IO[str] | None = None
        self._turn = asyncio.Lock()

    async def keep(self, attempt: Attempt, story: Story) -> None:
        """Write an attempt down so that it survives a crash; where no disk takes it either, the log has it."""
        kept = _as_json(attempt, story)
        async with self._turn:
            try:
                await asyncio.to_thread(self._append, json.dumps(kept, ensure_ascii=False))
            except OSError as error:
                log.error("spool_unwritable", attempt=kept, error=repr(error))
                self._let_go()  # its last line may be torn

    def _append(self, line: str) -> None:
        if self._file is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
            self._path.chmod(0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        if self._file.tell() + len(line) > BYTES_MAX:
            log.error("spool_full", path=str(self._path))
            return
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        meters.SPOOLED.inc()

    async def ingest(self, units: Units) -> int:
        """Turn what lies in the spool into FAILED tickets; return how many were written."""
        written = 0
        async with self._turn:
            self._let_go()
            for path in sorted(self._folder.glob("*.jsonl")):
                with _locked(path) as lines:
                    for line in lines:
                        written += await _record(units, json.loads(line))
                    if lines:
                        path.unlink()
        return written

    def _let_go(self) -> None:
        """Close the own file, so that it can be read like any other; the next attempt opens a new one."""
        if self._file:
            file, self._file = self._file, None
            self._path = self._folder / f"{uuid4()}.jsonl"
            with contextlib.suppress(OSError):  # what the disk did not take is in the log
                file.close()

    async def watch(self, units: Units) -> None:
        """Ingest for as long as the process lives."""
        while True:
            try:
                if written := await self.ingest(units):
                    log.info("spool_ingested", tickets=written)
            except (*LOST, Busy, TimeoutError) as error:
                log.warning("spool_waits", error=repr(error))
            await asyncio.sleep(INGEST_EVERY_S)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[list[str]]:
    """Yield the whole lines of a file that no living process writes to; a torn last line was never acknowledged."""
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield []
            return
        yield [line for line in file.readlines() if line.endswith("\n")]


async def _record(units: Units, kept: dict[str, Any]) -> int:
    attempt, story = _read(kept)
    try:
        await units.fail(attempt, story, "INTERNAL", MESSAGE)
    except asyncpg.UniqueViolationError:
        return 0  # it had been recorded after all
    except asyncpg.IntegrityConstraintViolationError as error:
        # A line that no database will ever take must not hold up the others; the log is all that is left of it.
        log.error("spool_line_refused", attempt=kept, error=repr(error))
        return 0
    return 1


def _as_json(attempt: Attempt, story: Story) -> dict[str, Any]:
    return {
        "attempt_id": str(attempt.attempt_id),
        "field": attempt.field,
        "request": plain(attempt.request),
        "started_at_ns": attempt.started_at_ns,
        "user_id": str(attempt.user_id) if attempt.user_id else None,
        "session_id": str(attempt.session_id) if attempt.session_id else None,
        "ip_address": attempt.ip_address,
        "user_agent": attempt.user_agent,
        "tags": [*attempt.tags, TAG],
        "action_type": story.action_type.value,
        "summary": story.summary,
    }


def _read(kept: dict[str, Any]) -> tuple[Attempt, Story]:
    action = ActionType(kept["action_type"])
    attempt = Attempt(
        attempt_id=UUID(kept["attempt_id"]),
        field=kept["field"],
        action_type=action,
        request=kept["request"],
        started_at_ns=time.monotonic_ns(),  # the clock it was taken from may be of another boot
        user_id=UUID(kept["user_id"]) if kept["user_id"] else None,
        session_id=UUID(kept["session_id"]) if kept["session_id"] else None,
        ip_address=kept["ip_address"],
        user_agent=kept["user_agent"],
        tags=tuple(kept["tags"]),
    )
    return attempt, Story(action, kept["summary"])
