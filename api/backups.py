"""`carbondesk backup` and `carbondesk restore`: what an operator types before and after a disaster."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from api.console import Progress, RefusedError, who
from api.settings import Settings, load
from db import embedded

if TYPE_CHECKING:
    from db.backup import Manifest, Standing
    from db.unit import Units

# Beyond the last number that is known to be leased: half a minute of full load; the sealer tells once a second.
NUMBERS_MARGIN: Final = 100_000
CHECKPOINTS: Final = "checkpoints"
CONNECTIONS: Final = 3
TAGS: Final = ("cli",)

Say = Callable[[str], None]


def backup(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
) -> None:
    """Back the market up while it trades on: the database, as of one instant, and the checkpoints outside it."""
    from api.audit import AuditRefused, refusals_named
    from db.backup import BackupRefused

    settings = _with_url(load())
    say = Progress().say
    try:
        with refusals_named():
            asyncio.run(_back_up(settings, folder, say))
    except (BackupRefused, AuditRefused) as refusal:
        raise RefusedError(str(refusal)) from None


def restore(
    folder: Annotated[
        Path | None, typer.Argument(help="What `carbondesk backup` wrote; leave it out with --recovered.")
    ] = None,
    recovered: Annotated[
        bool, typer.Option("--recovered", help="The database was recovered already, to a point in time: take it up.")
    ] = False,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder with a copy of the checkpoints; else the one of CARBONDESK_HOME.")
    ] = None,
    past: Annotated[
        list[str] | None, typer.Option(help="The highest ticket that anybody has seen, where no checkpoints tell.")
    ] = None,
    new_tree: Annotated[
        bool, typer.Option("--new-tree", help="Begin a new tree of seals: sealed tickets are lost, or the key is.")
    ] = False,
) -> None:
    """Restore a backup into an empty database, or take up a recovered one. No ticket number is given out twice."""
    from api.audit import AuditRefused, refusals_named
    from db.backup import BackupRefused

    if (folder is None) is not recovered:
        raise RefusedError("name the folder of a backup, or say --recovered")
    settings = load()
    say = Progress().say
    with contextlib.ExitStack() as cleanup:
        try:
            settings = _with_url(settings)
        except embedded.NotRunningError:
            servers = cleanup.enter_context(
                embedded.start(settings.home, say, database_url=settings.database_url, redis_url=settings.redis_url)
            )
            settings = settings.model_copy(update={"database_url": servers.urls.database_url})
        try:
            with refusals_named():
                asyncio.run(_restore(settings, folder, checkpoints, _floors(past or []), say, new_tree=new_tree))
        except (BackupRefused, AuditRefused) as refusal:
            raise RefusedError(str(refusal)) from None


# ---------------------------------------------------------------------------------------------------- what they come to


async def _back_up(settings: Settings, folder: Path, say: Say) -> None:
    from db import backup
    from domain import stories
    from domain.archives import BackupOutcome
    from domain.tickets import ActionType

    assert settings.database_url is not None
    # The ticket comes first, so that it is in the backup.
    outcome = BackupOutcome(folder.name)
    ticket_id = await _leave_ticket(settings, "backup", ActionType.DATA_EXPORTED, outcome, stories.of_backup)
    manifest = await backup.back_up(settings.database_url, folder, settings.home / CHECKPOINTS, say)
    say(f"{folder}: {manifest.bytes:,} bytes, {manifest.tickets:,} tickets as of {manifest.made_at} ({ticket_id})")
    say("it holds everything but secrets/seal.key: keep both, in two places, and encrypt what leaves your hands")


async def _restore(
    settings: Settings,
    folder: Path | None,
    checkpoints: Path | None,
    past: Mapping[int, int],
    say: Say,
    *,
    new_tree: bool,
) -> None:
    """Load, look, decide, take up, and leave a ticket.

    Raises: BackupRefused.
    """
    from db import backup
    from db.unit import Pool
    from db.witness import Witness
    from domain import stories
    from domain.archives import RestoreOutcome
    from domain.tickets import ActionType, ticket_id

    assert settings.database_url is not None
    outside = Witness(_outside(settings, folder, checkpoints))
    manifest = None
    if folder is not None:
        manifest = backup.read_manifest(folder)
        _refuse_to_guess(manifest, outside, past, new_tree=new_tree)
        await backup.load(settings.database_url, folder, manifest, say)
    standing = await backup.stand(settings.database_url, outside, _key(settings))
    _decide(standing, outside, past, new_tree=new_tree)
    floors = _all_floors(manifest, standing, past)
    pool = await Pool.open(settings.database_url, role=None, size_max=1, name="restore")
    try:
        skipped = await backup.take_up(pool, floors, new_tree=new_tree)
        row = await pool.fetchrow("SELECT count(*) AS tickets FROM ticket_logs")
        assert row is not None
    finally:
        await pool.close()
    for old, new in backup.set_aside(settings.home, standing.tree_size) if new_tree else []:
        say(f"{old.name} is {new.name} now: keep it, it proves what was sealed before")
    outcome = RestoreOutcome(
        made_at=manifest.made_at if manifest else None,
        tickets=row["tickets"],
        lost=standing.lost,
        skipped={str(year): ticket_id(year, number) for year, number in skipped.items()},
        ended_key=standing.foreign if new_tree else None,
    )
    ticket = await _leave_ticket(settings, "restore", ActionType.DATA_RESTORED, outcome, stories.of_restore)
    for last in outcome.skipped.values():
        say(f"no number up to {last} is given out again")
    say(f"restored ({ticket}): start the market, then `carbondesk verify`")


def _outside(settings: Settings, folder: Path | None, checkpoints: Path | None) -> Path:
    """Choose the checkpoints that know the most: those named, those of the home, those of the backup."""
    from db.backup import BackupRefused

    if checkpoints is not None:
        if not checkpoints.is_dir():
            raise BackupRefused(f"there is no folder {checkpoints}")
        return checkpoints
    own = settings.home / CHECKPOINTS
    return own if own.is_dir() or folder is None else folder / CHECKPOINTS


def _key(settings: Settings) -> Any:
    from db.backup import SECRETS
    from db.keys import KeyRefused, Signer

    try:
        return Signer.of_home(settings.home / SECRETS, may_make=False).public
    except KeyRefused:
        return None


def _refuse_to_guess(manifest: "Manifest", outside: Any, past: Mapping[int, int], *, new_tree: bool) -> None:
    """Refuse before anything is loaded what would be refused after it.

    Raises: BackupRefused.
    """
    from db.backup import BackupRefused

    last = outside.last()
    if last is None and not past and manifest.tree_size:
        raise BackupRefused(
            f"there are no checkpoints in {outside.folder}, so nobody knows which numbers were given out after the "
            "backup: name a copy with --checkpoints, or the highest ticket that anybody has seen with --past"
        )
    lost = (last.checkpoint.size if last else 0) - manifest.tree_size
    if lost > 0 and not new_tree:
        raise BackupRefused(_loss(lost))


def _decide(standing: "Standing", outside: Any, past: Mapping[int, int], *, new_tree: bool) -> None:
    """Refuse what the operator must say himself.

    Raises: BackupRefused.
    """
    from db.backup import BackupRefused

    if standing.lost and not new_tree:
        raise BackupRefused(_loss(standing.lost))
    if standing.foreign and not new_tree:
        raise BackupRefused(
            f"this tree is sealed by {standing.foreign}, and secrets/seal.key here is another one or missing: put the "
            "right one there and say --recovered, or begin a new tree with --recovered --new-tree"
        )
    if new_tree and not standing.needs_new_tree:
        raise BackupRefused("nothing is lost and the key is here, so the tree goes on: leave --new-tree out")


def _loss(lost: int) -> str:
    return (
        f"the checkpoints outside know {lost:,} tickets and voids that this market would not have: they happened, and "
        "somebody may have seen them. Restore a later backup or recover to a later point; if there is none, --new-tree "
        "accepts the loss, records it and begins a new tree of seals"
    )


def _floors(past: list[str]) -> dict[int, int]:
    from domain.tickets import parse_ticket_id

    floors: dict[int, int] = {}
    for text in past:
        parsed = parse_ticket_id(text)
        if parsed is None:
            raise RefusedError(f"--past takes a ticket such as TKT-2026-000123, not {text!r}")
        floors[parsed[0]] = max(parsed[1], floors.get(parsed[0], 0))
    return floors


def _all_floors(manifest: "Manifest | None", standing: "Standing", past: Mapping[int, int]) -> dict[int, int]:
    """Return how far numbers may have been given out, by year, and a margin for what no line tells yet."""
    known = [manifest.leased if manifest else {}, standing.leased, past]
    years = {standing.year, *(year for one in known for year in one)}
    return {year: max(one.get(year, 0) for one in known) + NUMBERS_MARGIN for year in years}


async def _leave_ticket(settings: Settings, field: str, action: Any, outcome: Any, tell: Any) -> str:
    """Record what the operator did.

    Raises: BackupRefused.
    """
    from db import ids
    from db.backup import BackupRefused
    from db.outcomes import reader
    from domain.tickets import Attempt

    async def work(_write: Any) -> Any:
        return outcome

    attempt = Attempt(
        attempt_id=ids.new(),
        field=field,
        action_type=action,
        request={},
        started_at_ns=time.monotonic_ns(),
        user_agent=f"carbondesk cli, {who()}",
        tags=TAGS,
    )
    async with _units(settings) as units:
        answer = await units.run(attempt, work, tell, reader(type(outcome)))
    if answer.refusal:
        raise BackupRefused(f"{answer.refusal.message} ({answer.ticket_id})")
    return answer.ticket_id


@contextlib.asynccontextmanager
async def _units(settings: Settings) -> "AsyncIterator[Units]":
    """Open what one ticket needs, and no more."""
    from db import tickets
    from db.numbers import Numbers
    from db.spool import Spool
    from db.unit import Pool, Units

    assert settings.database_url is not None
    name = urlsplit(settings.database_url).path.lstrip("/")
    url = settings.database_app_url or settings.database_url
    pool = await Pool.open(url, role=f"{name}_app", size_max=CONNECTIONS, name="cli")
    try:
        numbers = Numbers(pool, None, name)  # from a lease of its own: this is one ticket
        yield Units(pool, numbers, tickets.store, lambda _notices: None, Spool(settings.home / "spool").keep)
        await numbers.stop()
    finally:
        await pool.close()


def _with_url(settings: Settings) -> Settings:
    """Name the embedded database where no URL replaces it.

    Raises: NotRunningError.
    """
    if settings.database_url is not None:
        return settings
    url = embedded.attach(settings.home, redis_url=settings.redis_url).database_url
    return settings.model_copy(update={"database_url": url})
