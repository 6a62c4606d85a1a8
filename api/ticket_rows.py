"""Tickets as the rows of a file: read with one statement behind a cursor, far faster than through the schema.

What the cells hold and how JSON words them is what the schema says of a ticket; `tests/api/test_exports.py` compares.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, Text, and_, cast, select

import db.finding
from api.cells import csv_line
from db import tables
from db.read import Row, Snapshot
from domain.tickets import instant

ROWS_AT_ONCE = 200  # some milliseconds of this process

logs, payloads = tables.ticket_logs.c, tables.ticket_payloads.c
PAYLOADS: Mapping[str, str] = {
    "requestPayload": "request_payload",
    "responseData": "response_data",
    "beforeState": "before_state",
    "afterState": "after_state",
}


async def file_of(
    kind: str, snapshot: Snapshot, statement: Select[Any], *, sees_payloads: bool
) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a file."""
    written = csv_rows if kind == "csv" else json_lines
    if kind == "csv":
        yield csv_line([name for name, _ in fields(None, sees_payloads=sees_payloads)])
    async for rows in snapshot.stream(statement, ROWS_AT_ONCE):
        yield written(rows, sees_payloads=sees_payloads)


def statement_of(condition: ColumnElement[bool], *, is_newest_first: bool, sees_payloads: bool) -> Select[Any]:
    """Return the statement that reads the tickets of a condition."""
    users, makers = tables.users.c, tables.market_maker_clients.c
    columns = [*(column for column in tables.written(tables.ticket_logs)), users.name.label("user_name"),
               makers.name.label("maker_name")]  # fmt: skip
    whole = tables.ticket_logs.outerjoin(tables.users, users.id == logs.user_id).outerjoin(
        tables.market_maker_clients, makers.id == logs.market_maker_id
    )
    if sees_payloads:
        columns.append(users.email.label("user_email"))
        columns += [cast(payloads[name], Text).label(name) for name in PAYLOADS.values()]
        whole = whole.outerjoin(
            tables.ticket_payloads, and_(payloads.year == logs.year, payloads.number == logs.number)
        )
    key = db.finding.key_of(logs, is_newest_first=is_newest_first)
    order = [column.desc() if key.is_descending else column.asc() for column in key.columns]
    return select(*columns).select_from(whole).where(condition).order_by(*order)


def fields(row: Row | None, *, sees_payloads: bool) -> list[tuple[str, Any]]:
    """Return the cells of a ticket by their headings; of no row, the headings."""

    def of(name: str) -> Any:
        return None if row is None else row[name]

    cells = [
        ("ticketId", of("ticket_id")),
        ("timestamp", None if row is None else instant(row["timestamp"])),
        ("actionType", of("action_type")),
        ("status", of("status")),
        ("summary", of("summary")),
        ("errorCode", of("error_code")),
        ("errorMessage", of("error_message")),
        ("userId", of("user_id")),
        ("userName", of("user_name")),
        *([("userEmail", of("user_email"))] if sees_payloads else []),
        ("marketMakerId", of("market_maker_id")),
        ("marketMakerName", of("maker_name")),
        ("entityType", of("entity_type")),
        ("entityId", of("entity_id")),
        ("ipAddress", of("ip_address")),
        ("userAgent", of("user_agent")),
        ("sessionId", of("session_id")),
        ("durationMs", of("duration_ms")),
        ("relatedTicketIds", None if row is None else ";".join(row["related_ticket_ids"])),
        ("tags", None if row is None else ";".join(row["tags"])),
        ("digest", None if row is None else row["digest"].hex()),
    ]
    return cells + ([(heading, of(name)) for heading, name in PAYLOADS.items()] if sees_payloads else [])


def csv_rows(rows: Sequence[Row], *, sees_payloads: bool) -> bytes:
    """Write tickets as lines of CSV."""
    return b"".join(csv_line([value for _, value in fields(row, sees_payloads=sees_payloads)]) for row in rows)


def json_lines(rows: Sequence[Row], *, sees_payloads: bool) -> bytes:
    """Write tickets as lines of JSON, as the schema words them."""
    return b"".join(orjson.dumps(json_of(row, sees_payloads=sees_payloads)) + b"\n" for row in rows)


def json_of(row: Row, *, sees_payloads: bool) -> dict[str, Any]:
    user, maker = row["user_id"], row["market_maker_id"]
    email = {"email": row["user_email"]} if sees_payloads else {}
    ticket = {
        "ticketId": row["ticket_id"],
        "timestamp": instant(row["timestamp"]),
        "actionType": row["action_type"],
        "status": row["status"],
        "summary": row["summary"],
        "errorCode": row["error_code"],
        "errorMessage": row["error_message"],
        "user": user and {"id": str(user), "name": row["user_name"], **email},
        "marketMaker": maker and {"id": str(maker), "name": row["maker_name"]},
        "entityType": row["entity_type"],
        "entityId": row["entity_id"],
        "ipAddress": row["ip_address"],
        "userAgent": row["user_agent"],
        "sessionId": row["session_id"] and str(row["session_id"]),
        "durationMs": None if row["duration_ms"] is None else float(row["duration_ms"]),
        "relatedTicketIds": row["related_ticket_ids"],
        "tags": row["tags"],
        "digest": row["digest"].hex(),
    }
    if sees_payloads:
        ticket |= {heading: None if row[name] is None else orjson.Fragment(row[name])
                   for heading, name in PAYLOADS.items()}  # fmt: skip
    return ticket
