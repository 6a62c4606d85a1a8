"""KYC in the database: documents, which are only ever inserted, and the decisions about them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from db import ids, market, tables, users
from db.read import Reader
from db.tables import Row
from db.transaction import Write
from domain import errors, kyc
from domain.kyc import KycDocument, KycOutcome, NewDocument
from domain.people import KycStatus, User, reason, uuid_or_none
from domain.tickets import effect_line

_FIELDS = ("id", "user_id", "kind", "file_name", "content_type", "size_bytes", "sha256", "uploaded_at", "ticket_id")
assert (
    tuple(tables.written(tables.kyc_documents)[index].name for index in tables.sealed(tables.kyc_documents)) == _FIELDS
)


def document_of(row: Row) -> KycDocument:
    """Read a stored document without its bytes."""
    return KycDocument(**{name: row[name] for name in _FIELDS})


async def upload(write: Write, user_id: UUID, new: NewDocument) -> KycOutcome:
    """Store a document of a user, who then waits for a decision.

    Raises: InvalidInput, AlreadyDecided.
    Locks: the user. Not the market: neither before nor after may he trade.
    """
    before = await users.lock(write, str(user_id))
    count = await write.connection.fetchval("SELECT count(*) FROM kyc_documents WHERE user_id = $1", user_id)
    after = kyc.upload(before, count)
    values = (
        ids.new(),
        user_id,
        new.kind,
        new.file_name,
        new.content_type,
        len(new.content),
        new.sha256,
        write.now,
        write.ticket_id,
    )
    # Not through `write.insert`, which would write five megabytes as text: the bytes go as they are.
    write.effects[write.ticket_id].append(effect_line(tables.kyc_documents.name, values))
    await write.connection.execute(
        f"INSERT INTO kyc_documents ({', '.join(_FIELDS)}, content)"  # noqa: S608 - our own columns
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *values,
        new.content,
    )
    await _store(write, after)
    return KycOutcome(after, before, KycDocument(*values))


async def approve(write: Write, user_id: str) -> KycOutcome:
    """Let a user trade.

    Raises: UserNotFound, AlreadyDecided.
    """
    return await _decide(write, user_id, KycStatus.APPROVED, None)


async def reject(write: Write, user_id: str, why: str) -> KycOutcome:
    """Keep a user from trading until he uploads another document; he reads the reason.

    Raises: InvalidInput, UserNotFound, AlreadyDecided.
    """
    return await _decide(write, user_id, KycStatus.REJECTED, reason(why))


async def _decide(write: Write, user_id: str, status: KycStatus, why: str | None) -> KycOutcome:
    """Decide under the market lock, since this changes the right to trade; then the user is locked."""
    await market.lock(write)
    before = await users.lock(write, user_id, field="userId")
    after = kyc.decide(before, status, why)
    await _store(write, after)
    return KycOutcome(after, before)


async def _store(write: Write, after: User) -> None:
    await write.connection.execute(
        "UPDATE users SET kyc_status = $2, kyc_reason = $3, updated_at = $4 WHERE id = $1",
        after.id,
        after.kyc_status,
        after.kyc_reason,
        write.now,
    )


async def content(write: Write, document_id: str) -> tuple[KycDocument, bytes]:
    """Return a document with its bytes, inside the transaction that records who took it.

    Raises: NotFound.
    """
    row = await write.connection.fetchrow("SELECT * FROM kyc_documents WHERE id = $1", uuid_or_none(document_id))
    if row is None:
        raise errors.NotFound("There is no such document.", field="id", id=document_id)
    return document_of(row), row["content"]


# ------------------------------------------------------------------------------------------------------------- reading


async def documents_of(reader: Reader, user_ids: Iterable[UUID]) -> dict[UUID, list[KycDocument]]:
    """Return the documents of users, newest first, without their bytes."""
    columns = tables.kyc_documents.c
    statement = (
        select(*(columns[name] for name in _FIELDS))
        .where(columns.user_id.in_(list(user_ids)))
        .order_by(columns.uploaded_at.desc(), columns.id)
    )
    found: dict[UUID, list[KycDocument]] = {}
    for row in await reader.rows(statement):
        found.setdefault(row["user_id"], []).append(document_of(row))
    return found
