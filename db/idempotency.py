"""Idempotency keys: a repeated attempt is answered with what the first one did, and writes nothing.

A key is scoped to (actor, mutation field). It is looked up first and inserted last, in the attempt's own transaction:
of two attempts at once the second waits on the unique index, starts over and finds the first one's answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select

from db import tables
from domain import errors, people
from domain.tickets import Attempt, Draft, canonical

if TYPE_CHECKING:
    from db.read import Reader
    from db.transaction import Connection, Transaction
    from db.unit import Pool

CONSTRAINT = "idempotency_pkey"
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a key stands for."""

    input_hash: bytes
    ticket_id: str
    status: str
    outcome: Any


def check(key: str) -> str:
    """Return a key that may be used.

    Raises: InvalidInput.
    """
    if not 1 <= len(key) <= people.IDEMPOTENCY_KEY_LENGTH_MAX:
        raise errors.InvalidInput(
            f"An idempotency key has 1 to {people.IDEMPOTENCY_KEY_LENGTH_MAX} characters.", field="idempotencyKey"
        )
    return key


def same_input(kept: Kept, attempt: Attempt) -> Kept:
    """Return what is kept when it is for the same input.

    Raises: IdempotencyConflict.
    """
    if kept.input_hash != attempt.input_hash:
        raise errors.IdempotencyConflict(
            "This idempotency key was used with other input. Use a new key for a new attempt.",
            field="idempotencyKey",
            ticketId=kept.ticket_id,
        )
    return kept


async def find(connection: Connection, attempts: Iterable[Attempt]) -> dict[tuple[UUID, str, str], Kept]:
    """Return what the keys of these attempts stand for, by (actor, field, key)."""
    wanted = [key_of(attempt) for attempt in attempts if attempt.idempotency_key is not None]
    if not wanted:
        return {}
    actors, fields, keys = zip(*wanted, strict=True)
    rows = await connection.fetch(
        "SELECT i.actor_id, i.field, i.key, i.input_hash, i.ticket_id, i.status, i.outcome FROM idempotency i"
        " JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS k(actor_id, field, key) USING (actor_id, field, key)",
        list(actors),
        list(fields),
        list(keys),
    )
    return {
        (row["actor_id"], row["field"], row["key"]): Kept(
            row["input_hash"], row["ticket_id"], row["status"], json.loads(row["outcome"])
        )
        for row in rows
    }


async def look_up(reader: Reader, actor_id: UUID, field: str, key: str) -> Kept | None:
    """Return what one key stands for; None when no attempt with it has come to an end."""
    keys = tables.idempotency.c
    statement = select(keys.input_hash, keys.ticket_id, keys.status, keys.outcome).where(
        keys.actor_id == actor_id, keys.field == field, keys.key == key
    )
    rows = await reader.rows(statement)
    return Kept(**rows[0]) if rows else None


def key_of(attempt: Attempt) -> tuple[UUID, str, str]:
    """Return the scope of an attempt's key."""
    assert attempt.user_id is not None and attempt.idempotency_key is not None
    return attempt.user_id, attempt.field, attempt.idempotency_key


async def store(transaction: Transaction, drafts: Iterable[Draft], now: datetime) -> None:
    """Keep what the keyed attempts among these root tickets led to."""
    rows = [
        (
            *key_of(draft.attempt),
            draft.attempt.input_hash,
            draft.ticket_id,
            draft.status,
            canonical(draft.response),
            now,
        )
        for draft in drafts
        if draft.attempt.idempotency_key is not None
    ]
    await transaction.insert(tables.idempotency, rows)


async def forget_old(pool: Pool) -> None:
    """Delete keys that nobody repeats any more; their tickets stay."""
    await pool.fetch("DELETE FROM idempotency WHERE created_at < clock_timestamp() - $1::interval", KEPT)
