"""What a ticket's digest must be, computed from what is stored: the same for who seals, who verifies and who proves.

The database writes every value as the canonical text that was hashed, so that no value is read and written again here.
Nothing but the shape of that text is shared with the code that writes tickets.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
import orjson
from sqlalchemy import ARRAY, Column, DateTime, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from db import tables
from db.transaction import Connection as Lent
from domain.tickets import DIGEST_VERSION, Payload, effects_hash

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | Lent"

PARTS = ("request_payload", "response_data", "before_state", "after_state")
BOUND = ("digest", "payload_hmac")  # in the digest by another way than as a column
IMPLIED = ("year", "number")  # the ticket id is written from them
_INSTANT = """to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _text(column: Column[Any], alias: str) -> str:
    """Return the SQL of a column's canonical text; arrays and JSON come as they are."""
    name = f'{alias}."{column.name}"'
    kind = type(column.type)
    if issubclass(kind, Text | ARRAY | JSONB):
        return name
    if issubclass(kind, DateTime):
        return _INSTANT.format(c=name)
    return f"'\\x' || encode({name}, 'hex')" if issubclass(kind, LargeBinary) else f"{name}::text"


# A ticket as its digest covers it, with its payload, which may be erased: salt is null then.
_CONTENT = [column for column in tables.written(tables.ticket_logs) if column.name not in (*BOUND, *IMPLIED)]
_NAMES = [str(column.name) for column in _CONTENT]  # plain strings: orjson takes no others
_TEXTS = ", ".join(f'{_text(column, "t")} AS "{column.name}"' for column in _CONTENT)
TICKETS = (
    f"SELECT t.year, t.number, {_TEXTS}, t.digest, t.payload_hmac, t.txid, p.salt, p.request_payload, p.response_data,"  # noqa: S608 - our own tables
    " p.before_state, p.after_state FROM ticket_logs t LEFT JOIN ticket_payloads p USING (year, number)"
)
_EFFECTS: Mapping[Table, Sequence[Column[Any]]] = {
    table: [tables.written(table)[index] for index in tables.sealed(table)] for table in tables.EFFECTS
}


async def effects_of(connection: Connection, ticket_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of the rows that these tickets made, as they were hashed."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for table, columns in _EFFECTS.items():
        texts = ", ".join(_text(column, "e") for column in columns)
        ticket_at = [column.name for column in columns].index("ticket_id")
        name = str(table.name)
        json_at = [index for index, column in enumerate(columns) if isinstance(column.type, JSONB)]
        for row in await connection.fetch(
            f"SELECT {texts} FROM {table.name} e WHERE e.ticket_id = ANY($1::text[])",  # noqa: S608 - our own tables
            ticket_ids,
        ):
            values = list(row)
            for index in json_at:
                values[index] = _canonical(values[index])
            lines[values[ticket_at]].append(orjson.dumps([name, *values]).decode())
    return lines


def payload_of(row: asyncpg.Record) -> Payload | None:
    """Return a ticket's payload; None when it was erased."""
    if row["salt"] is None:
        return None
    return Payload(row["salt"], *(None if row[part] is None else orjson.loads(row[part]) for part in PARTS))


def content_of(row: asyncpg.Record, effects: list[str]) -> dict[str, Any]:
    """Return the canonical form of a stored ticket."""
    content = {name: row[name] for name in _NAMES}
    content["version"] = DIGEST_VERSION
    content["payload"] = row["payload_hmac"].hex()
    content["effects"] = effects_hash(effects)
    return content


def fault_of(row: asyncpg.Record, effects: list[str]) -> str | None:
    """Return how a stored ticket differs from its digest, in words; None when it does not."""
    if row["salt"] is not None:
        try:
            bound = bound_of(row)
        except ValueError as error:
            return f"it holds what no payload holds ({error})"
        if bound != row["payload_hmac"]:
            return f"it binds a payload of HMAC {row['payload_hmac'].hex()}; the one there has {bound.hex()}"
    found = hashlib.sha256(orjson.dumps(content_of(row, effects), option=orjson.OPT_SORT_KEYS)).digest()
    if found != row["digest"]:
        return f"its digest is {row['digest'].hex()}; its rows give {found.hex()}"
    return None


def bound_of(row: asyncpg.Record) -> bytes:
    """Return the HMAC of a stored payload.

    Raises: ValueError when it holds what no payload holds.
    """
    parts = ("null" if row[part] is None else _canonical(row[part]) for part in PARTS)
    return hmac.digest(row["salt"], f"[{','.join(parts)}]".encode(), "sha256")


def _canonical(stored: str) -> str:
    """Write stored JSON in its one way.

    Raises: ValueError for what only looks like it, such as a number that nobody wrote.
    """
    return orjson.dumps(orjson.loads(stored), option=orjson.OPT_SORT_KEYS).decode()
