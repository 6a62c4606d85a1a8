"""What a ticket's digest must be, computed from what is stored: the same for who seals, who verifies and who proves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import Column, LargeBinary, Table
from sqlalchemy.dialects.postgresql import JSONB

from db import tables, tickets
from db.unit import Connection as Lent
from domain.tickets import Payload, canonical, content, digest_of, effect_line, hmac_of

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | Lent"

# A ticket with its payload, which may be erased: salt is null then.
TICKETS = (
    "SELECT t.*, p.salt, p.request_payload, p.response_data, p.before_state, p.after_state FROM ticket_logs t"
    " LEFT JOIN ticket_payloads p USING (year, number)"
)
PARTS = ("request_payload", "response_data", "before_state", "after_state")
_SEALED: Mapping[Table, Sequence[Column[Any]]] = {
    table: [tables.written(table)[index] for index in tables.sealed(table)] for table in tables.EFFECTS
}


async def effects_of(connection: Connection, ticket_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of the rows that these tickets made, as they were hashed."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for table, columns in _SEALED.items():
        names = ", ".join(f'"{column.name}"' for column in columns)
        ticket_at = [column.name for column in columns].index("ticket_id")
        json_at = [index for index, column in enumerate(columns) if isinstance(column.type, JSONB)]
        bytes_at = [index for index, column in enumerate(columns) if isinstance(column.type, LargeBinary)]
        for row in await connection.fetch(
            f"SELECT {names} FROM {table.name} WHERE ticket_id = ANY($1::text[])",  # noqa: S608 - our own tables
            ticket_ids,
        ):
            values = list(row)
            for index in json_at:
                values[index] = canonical(json.loads(values[index]))
            for index in bytes_at:
                values[index] = f"\\x{values[index].hex()}"
            lines[row[ticket_at]].append(effect_line(table.name, values))
    return lines


def payload_of(row: asyncpg.Record) -> Payload | None:
    """Return a ticket's payload; None when it was erased."""
    if row["salt"] is None:
        return None
    return Payload(row["salt"], *(None if row[part] is None else json.loads(row[part]) for part in PARTS))


def content_of(row: asyncpg.Record, effects: list[str]) -> dict[str, Any]:
    """Return the canonical form of a stored ticket.

    Raises: ValueError when it holds a word that no ticket of ours has.
    """
    return content(tickets.record_of(row).ticket, row["payload_hmac"], effects)


def fault_of(row: asyncpg.Record, effects: list[str]) -> str | None:
    """Return how a stored ticket differs from its digest, in words; None when it does not."""
    payload = payload_of(row)
    if payload is not None and (bound := hmac_of(payload)) != row["payload_hmac"]:
        return f"it binds a payload of HMAC {row['payload_hmac'].hex()}; the one there has {bound.hex()}"
    try:
        found = digest_of(content_of(row, effects))
    except ValueError as error:
        return f"it holds what no ticket holds ({error})"
    if found != row["digest"]:
        return f"its digest is {row['digest'].hex()}; its rows give {found.hex()}"
    return None
