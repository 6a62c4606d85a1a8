"""What the command line does for auditors: seal, verify, prove, check a proof, archive. `cli` only names the options.

Each function says what it does through `say` and raises what a person can put right; exit codes are `cli`'s.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from api.settings import Settings
from db import evidence, proofs, retention, seal, tickets
from db.keys import Signer, verifies
from db.numbers import Numbers
from db.read import Reader
from db.spool import Spool
from db.unit import CONNECT_TIMEOUT_S, Pool, Units, snapshot
from db.verify import Report
from db.verify import run as run_verify
from db.verify_tree import Outside
from db.witness import KEY_FILE, Witness
from domain import seals
from domain.notes import NotANote, PublicKey
from domain.seals import Proof
from domain.tickets import instant

SECRETS: Final = "secrets"
CHECKPOINTS: Final = "checkpoints"
ARCHIVE: Final = "archive"
UNIT_CONNECTIONS: Final = 3
PROOF_BYTES_MAX: Final = 16 * 1024 * 1024  # a ticket has some rows; a bundle beyond this is no bundle of ours

Say = Callable[[str], None]


class AuditRefused(Exception):
    """Say in one sentence why this cannot be done, and what to do."""


@contextlib.contextmanager
def refusals_named() -> Iterator[None]:
    """Turn what database and disk refuse into a sentence.

    Raises: AuditRefused.
    """
    from asyncpg import InterfaceError, PostgresError, UndefinedTableError

    try:
        yield
    except (OSError, PostgresError, InterfaceError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, UndefinedTableError):
            said += "; bring it to the newest schema with `carbondesk migrate`"
        raise AuditRefused(f"this could not be done: {said}") from None


async def seal_market(settings: Settings, say: Say, *, is_once: bool) -> None:
    """Seal for as long as the process lives, or what waits now.

    Raises: SealBroken, KeyRefused.
    """
    assert settings.database_url is not None
    role = f"{urlsplit(settings.database_url).path.lstrip('/')}_sealer"
    url = settings.database_sealer_url or settings.database_url
    signer, witness = Signer.of_home(settings.home / SECRETS), Witness(settings.home / CHECKPOINTS)
    pool = await Pool.open(url, role=role, size_max=seal.CONNECTIONS_MAX, name="seal")
    try:
        sealer = seal.Sealer(pool, signer, witness)
        if not is_once:
            await sealer.run()
        done = await sealer.seal_all(lambda one: say(f"{one.size:,} leaves are sealed"))
        say(f"sealed by {signer.public}; the checkpoints are in {witness.folder} ({done.size:,} leaves)")
    finally:
        await pool.close()


def verify_market(
    settings: Settings, url: str, say: Say, checkpoints: Path | None, public_key: str | None, archive: Path | None
) -> Report:
    """Recompute every law, with the checkpoints, the key and the archives that stand outside the database.

    Raises: AuditRefused.
    """
    folder = checkpoints or settings.home / CHECKPOINTS
    for given in (checkpoints, archive):
        if given and not given.is_dir():
            raise AuditRefused(f"there is no folder {given}")
    try:
        key = _public_key(public_key) if public_key else None
        outside = Outside.at(Witness(folder) if folder.is_dir() else None, key, archive)
    except NotANote as error:
        raise AuditRefused(f"the public key cannot be read: {error}") from None
    if outside.witness is None:
        say(f"no checkpoints outside the database ({folder} does not exist): a restored old backup would not be seen")
    return asyncio.run(run_verify(url, say, outside))


async def prove(settings: Settings, url: str, ticket_id: str, *, with_payload: bool) -> dict[str, Any]:
    """Return the bundle that proves a ticket.

    Raises: AuditRefused.
    """
    import asyncpg

    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        async with snapshot(connection):
            row = await connection.fetchrow(f"{evidence.TICKETS} WHERE t.ticket_id = $1", ticket_id)
            effects = (await evidence.effects_of(connection, [ticket_id])).get(ticket_id, [])
            named = await connection.fetchval("SELECT key FROM audit_head")
    finally:
        await connection.close()
    if row is None:
        raise AuditRefused(f"there is no ticket {ticket_id}")
    payload = evidence.payload_of(row)
    if with_payload and payload is None:
        raise AuditRefused(f"the payload of {ticket_id} was archived and erased: prove it without --with-payload")
    if fault := evidence.fault_of(row, effects):
        raise AuditRefused(f"ticket {ticket_id} cannot be proved, it was changed: {fault}")
    reader = Reader.open(url, role=None, size_max=1)
    try:
        found = await proofs.inclusion(reader, ticket_id)
    finally:
        await reader.close()
    if found is None:
        raise AuditRefused(f"{ticket_id} is not sealed yet: try again in a second, with the sealer running")
    key = Witness(settings.home / CHECKPOINTS).key() or PublicKey.parse(named)
    content = evidence.content_of(row, effects)
    shown = payload if with_payload else None
    return Proof(
        content, effects, found.leaf_index, found.tree_size, found.path, found.checkpoint, key, shown
    ).as_json()


async def archive_payloads(
    settings: Settings, older_than: timedelta, say: Say, advance: retention.Advance, *, is_dry: bool
) -> None:
    """Take payloads of old tickets into an archive, or say which.

    Raises: RetentionRefused, KeyRefused.
    """
    assert settings.database_url is not None
    name = urlsplit(settings.database_url).path.lstrip("/")
    url, role = settings.database_retention_url or settings.database_url, f"{name}_retention"
    async with contextlib.AsyncExitStack() as stack:
        reading = await retention.connect(url, role)
        stack.push_async_callback(reading.close)
        wanted = await retention.plan(reading, older_than)
        say(f"{wanted.payloads:,} payloads of sealed tickets are older than {instant(wanted.before)}")
        if is_dry or not wanted.payloads:
            say("nothing was changed")
            return
        signer = Signer.of_home(settings.home / SECRETS, may_make=False)
        deleting = await Pool.open(url, role=role, size_max=1, name="retention")
        stack.push_async_callback(deleting.close)
        app_url = settings.database_app_url or settings.database_url
        writing = await Pool.open(app_url, role=f"{name}_app", size_max=UNIT_CONNECTIONS, name="cli")
        stack.push_async_callback(writing.close)
        numbers = Numbers(writing, None, name)  # from a lease of its own: this is one ticket
        stack.push_async_callback(numbers.stop)
        spool = Spool(settings.home / "spool")
        units = Units(writing, numbers, tickets.store, lambda _notices: None, spool.keep)
        folder = settings.home / ARCHIVE
        done = await retention.run(retention.Archivist(reading, deleting, units, signer, folder), wanted, advance)
        say(f"{done.payloads:,} payloads, {done.first} to {done.last}, are in {folder} and no longer in the database")


def check_proof(path: Path, key: str | None, say: Say) -> bool:
    """Check a bundle with nothing but itself and a public key; say each step.

    Raises: AuditRefused.
    """
    bundle = _read_bundle(path)
    try:
        proof = seals.read_proof(bundle)
        trusted = _public_key(key) if key else proof.key
        broken = seals.broken_by(proof, bundle, trusted, verifies)
    except NotANote as error:
        raise AuditRefused(f"{path}: {error}") from None
    if broken:
        say(f"BROKEN  {proof.content['ticket_id']}: {broken}")
        return False
    say(f"ok      {proof.content['ticket_id']}, {proof.content['timestamp']}: {proof.content['summary']}")
    payload = "shown" if proof.payload else "bound"
    say(f"        digest {bundle['digest']}, {len(proof.effects)} rows, payload {payload}")
    say(f"        leaf {proof.leaf_index} of {proof.tree_size} that {trusted.name} signed")
    if key is None:
        say(f"        key {trusted}: taken from the file itself; compare it with the one you were given, or use --key")
    return True


def _read_bundle(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > PROOF_BYTES_MAX:
            raise AuditRefused(f"{path} is too large for a proof")
        bundle = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AuditRefused(f"{path} cannot be read: {error}") from None
    if not isinstance(bundle, dict):
        raise AuditRefused(f"{path} is no proof")
    return bundle


def _public_key(text_or_file: str) -> PublicKey:
    """Read a public key, or the file that holds one: key file, or the folder with the checkpoints.

    Raises: NotANote.
    """
    path = Path(text_or_file)
    if "+" not in text_or_file and path.is_dir():
        path /= KEY_FILE
    if "+" not in text_or_file and not path.is_file():
        raise NotANote(f"there is no file {path}")
    is_file = len(text_or_file) < 1_000 and path.is_file()
    return PublicKey.parse(path.read_text(encoding="utf-8") if is_file else text_or_file)
