"""The spool: what could not be recorded is recorded as soon as a database answers, once."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import structlog

from api.context import Services
from db.spool import Spool
from domain.tickets import ActionType, Attempt, Story

STORY = Story(ActionType.MM_CREATED, "Create market maker: refused")


def attempt(name: str) -> Attempt:
    return Attempt(
        attempt_id=uuid4(),
        field="createMarketMaker",
        action_type=ActionType.MM_CREATED,
        request={"input": {"name": name}},
        started_at_ns=time.monotonic_ns(),
        ip_address="127.0.0.1",
    )


async def tickets_of(world: Services, attempt_id: UUID) -> list[Any]:
    return await world.pool.fetch(
        "SELECT status, error_code, tags, ip_address FROM ticket_logs WHERE attempt_id = $1", attempt_id
    )


async def test_a_kept_attempt_becomes_one_failed_ticket_and_leaves_no_file(
    desk_world: Services, tmp_path: Path
) -> None:
    spool, lost = Spool(tmp_path / "spool"), attempt("MM-Lost")
    await spool.keep(lost, STORY)
    (file,) = (tmp_path / "spool").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert await spool.ingest(desk_world.units) == 1
    (ticket,) = await tickets_of(desk_world, lost.attempt_id)
    assert (ticket["status"], ticket["error_code"], ticket["tags"]) == ("FAILED", "INTERNAL", ["SPOOLED"])
    assert ticket["ip_address"] == "127.0.0.1"
    assert list((tmp_path / "spool").iterdir()) == []
    assert await spool.ingest(desk_world.units) == 0


async def test_an_attempt_that_was_recorded_after_all_is_not_recorded_twice(
    desk_world: Services, tmp_path: Path
) -> None:
    spool, lost = Spool(tmp_path / "spool"), attempt("MM-Twice")
    await desk_world.units.fail(lost, STORY, "INTERNAL", "The connection to the database was lost.")
    await spool.keep(lost, STORY)
    assert await spool.ingest(desk_world.units) == 0
    assert len(await tickets_of(desk_world, lost.attempt_id)) == 1
    assert list((tmp_path / "spool").iterdir()) == []


async def test_the_file_of_a_living_process_is_left_alone_and_a_torn_line_is_dropped(
    desk_world: Services, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "spool", attempt("MM-Whole")
    other = Spool(folder)
    await other.keep(whole, STORY)
    assert await Spool(folder).ingest(desk_world.units) == 0  # `other` still holds its lock
    other._let_go()
    (file,) = folder.iterdir()
    with file.open("a", encoding="utf-8") as torn:
        torn.write('{"attempt_id": "')
    assert await Spool(folder).ingest(desk_world.units) == 1
    assert len(await tickets_of(desk_world, whole.attempt_id)) == 1


async def test_where_no_disk_takes_it_the_attempt_is_logged_and_the_next_one_is_kept(
    desk_world: Services, tmp_path: Path
) -> None:
    folder, lost, kept = tmp_path / "spool", attempt("MM-No-Room"), attempt("MM-Room")
    spool = Spool(folder)
    folder.write_text("no folder", encoding="utf-8")
    with structlog.testing.capture_logs() as logged:
        await spool.keep(lost, STORY)
    assert [(one["event"], one["attempt"]["attempt_id"]) for one in logged] == [
        ("spool_unwritable", str(lost.attempt_id))
    ]
    folder.unlink()
    await spool.keep(kept, STORY)
    assert await spool.ingest(desk_world.units) == 1
    assert len(await tickets_of(desk_world, kept.attempt_id)) == 1
