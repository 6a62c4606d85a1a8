"""Tickets in the database: written in bulk inside the transaction of their deeds, read by keyset."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
)

from db import filters, search, tables
from db.filters import Filter
from db.read import Reader, during
from db.search import Columns
from db.tables import Row
from db.transaction import Transaction
from domain import tickets
from domain.tickets import (
    ActionType,
    Draft,
    EntityType,
    Payload,
    Ticket,
    TicketStatus,
    Written,
    canonical,
    plain,
    written,
)

SALT_BYTES = 32


async def store(transaction: Transaction, drafts: Sequence[Draft]) -> None:
    """Write tickets and payloads, two statements for any number; the last thing a transaction does.

    Locks: none but the key-shares of its foreign keys.
    """
    salts = os.urandom(SALT_BYTES * len(drafts))
    now_ns = time.monotonic_ns()
    logs, payloads = [], []
    for index, draft in enumerate(drafts):
        ticket = tickets.write_up(draft, transaction.now, now_ns)
        story = draft.story
        texts = (
            canonical(plain(draft.attempt.request)) if draft.is_root else None,
            written(draft.response, items_max=None),  # what a lost attempt is answered with: whole
            written(story.before),
            written(story.after),
        )
        payload = Written(salts[index * SALT_BYTES : (index + 1) * SALT_BYTES], texts)
        bound = tickets.hmac_of(payload)
        digest = tickets.digest(ticket, bound, transaction.effects.get(ticket.ticket_id, []))
        logs.append(_log_row(ticket, digest, bound))
        payloads.append((ticket.year, ticket.number, payload.salt, *payload.texts))
    await transaction.insert(tables.ticket_logs, logs)
    await transaction.insert(tables.ticket_payloads, payloads)


def _log_row(ticket: tickets.Ticket, digest: bytes, payload_hmac: bytes) -> tuple[object, ...]:
    """Return the row in the order of `tables.ticket_logs`."""
    return (
        ticket.year,
        ticket.number,
        ticket.ticket_id,
        ticket.timestamp,
        ticket.action_type,
        ticket.status,
        ticket.summary,
        ticket.error_code,
        ticket.error_message,
        ticket.user_id,
        ticket.market_maker_id,
        ticket.entity_type,
        ticket.entity_id,
        ticket.ip_address,
        ticket.user_agent,
        ticket.session_id,
        ticket.duration_ms,
        tables.text_array(ticket.related_ticket_ids),
        tables.text_array(ticket.tags),
        ticket.attempt_id,
        digest,
        payload_hmac,
    )


# ------------------------------------------------------------------------------------------------------------- reading

logs = tables.ticket_logs.c
EQUALS = ("user_id", "market_maker_id", "entity_type", "entity_id", "ip_address", "session_id")
SCAN_MAX = 20_000  # tickets that one read of the stream looks at
RELATED_MAX = 50  # tickets of one neighbourhood; a cancel-all has more children than anybody reads


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """A ticket as stored, without its payloads."""

    ticket: Ticket
    digest: bytes
    payload_hmac: bytes


@dataclass(frozen=True, slots=True)
class TicketFilter(Filter):
    """Which tickets; every condition given must hold. The window is half-open [from, to)."""

    date_from: datetime | None = None
    date_to: datetime | None = None
    action_types: Sequence[ActionType] | None = None
    status: TicketStatus | None = None
    user_id: UUID | None = None
    user_ids: Sequence[UUID] | None = None
    market_maker_id: UUID | None = None
    market_maker_ids: Sequence[UUID] | None = None
    has_market_maker: bool | None = None
    entity_type: EntityType | None = None
    entity_id: str | None = None
    tags: Sequence[str] | None = None
    needs_all_tags: bool = False
    search: str | None = None
    ip_address: str | None = None
    session_id: UUID | None = None
    related_to: str | None = None
    error_codes: Sequence[str] | None = None
    duration_ms_min: Decimal | None = None
    duration_ms_max: Decimal | None = None
    searches_payloads: bool = False  # whether `search` looks into payloads too: of ADMIN


def where(wanted: TicketFilter, at: Columns = logs) -> ColumnElement[bool]:
    """Return the condition of a filter: the same for lists, live tail, statistics and exports.

    at: the columns to ask, of `ticket_logs` or of whatever has columns of the same names.
    Raises: InvalidInput (nested too deep, too large, a search of too many words).
    """
    filters.check(wanted)
    return filters.composed(wanted, lambda part: _conditions(part, at))


def _conditions(wanted: TicketFilter, at: Columns) -> list[ColumnElement[bool]]:
    asked = {name: getattr(wanted, name) for name in EQUALS}
    conditions: list[ColumnElement[bool]] = [at[name] == value for name, value in asked.items() if value is not None]
    if wanted.status is not None:  # written out: there is an index of the FAILED ones
        conditions.append(at.status == literal_column(f"'{wanted.status.value}'"))
    if wanted.date_from is not None or wanted.date_to is not None:
        conditions += during(at.timestamp, wanted.date_from, wanted.date_to)
    for name, values in (("action_type", wanted.action_types), ("error_code", wanted.error_codes)):
        if values is not None:
            conditions.append(at[name].in_([str(value) for value in values]))
    for name, ids in (("user_id", wanted.user_ids), ("market_maker_id", wanted.market_maker_ids)):
        if ids is not None:
            conditions.append(at[name].in_(ids))
    if wanted.duration_ms_min is not None:
        conditions.append(at.duration_ms >= wanted.duration_ms_min)
    if wanted.duration_ms_max is not None:
        conditions.append(at.duration_ms <= wanted.duration_ms_max)
    if wanted.has_market_maker is not None:
        is_makers = at.market_maker_id.is_not(None)
        conditions.append(is_makers if wanted.has_market_maker else ~is_makers)
    if wanted.tags:
        tags = cast(list(wanted.tags), ARRAY(Text))
        conditions.append(at.tags.bool_op("@>" if wanted.needs_all_tags else "&&")(tags))
    if wanted.related_to is not None:
        conditions.append(points_to(wanted.related_to, at) | is_pointed_to_by(wanted.related_to, at))
    if found := search.parsed(wanted.search or ""):
        places = [search.in_ticket(found, at), search.is_named(found, at)]
        conditions.append(or_(*places, *([search.in_payload(found, at)] if wanted.searches_payloads else [])))
    return conditions


def points_to(ticket_id: str, at: Columns = logs) -> ColumnElement[bool]:
    """Return the condition that a ticket points back to one."""
    is_named: ColumnElement[bool] = at.related_ticket_ids.bool_op("@>")(cast([ticket_id], ARRAY(Text)))
    return is_named


def is_pointed_to_by(ticket_id: str, at: Columns = logs) -> ColumnElement[bool]:
    """Return the condition that one points back to a ticket."""
    one = tables.ticket_logs.alias()
    named = select(func.unnest(one.c.related_ticket_ids)).where(one.c.ticket_id == ticket_id).correlate(None)
    is_named: ColumnElement[bool] = at.ticket_id.in_(named)
    return is_named


def record_of(row: Row) -> TicketRecord:
    """Read a stored ticket."""
    ticket = Ticket(
        year=row["year"],
        number=row["number"],
        timestamp=row["timestamp"],
        action_type=ActionType(row["action_type"]),
        status=TicketStatus(row["status"]),
        summary=row["summary"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        user_id=row["user_id"],
        market_maker_id=row["market_maker_id"],
        entity_type=None if row["entity_type"] is None else EntityType(row["entity_type"]),
        entity_id=row["entity_id"],
        ip_address=row["ip_address"],
        user_agent=row["user_agent"],
        session_id=row["session_id"],
        duration_ms=row["duration_ms"],
        related_ticket_ids=tuple(row["related_ticket_ids"]),
        tags=tuple(row["tags"]),
        attempt_id=row["attempt_id"],
    )
    return TicketRecord(ticket, row["digest"], row["payload_hmac"])


async def tickets_by_id(reader: Reader, ticket_ids: Iterable[str]) -> dict[str, TicketRecord]:
    """Return tickets by ticket id."""
    statement = select(tables.ticket_logs).where(logs.ticket_id.in_(list(ticket_ids)))
    return {row["ticket_id"]: record_of(row) for row in await reader.rows(statement)}


async def payloads_by_id(reader: Reader, ticket_ids: Iterable[str]) -> dict[str, Payload]:
    """Return the payloads of tickets; one that was erased is missing."""
    payloads = tables.ticket_payloads.c
    statement = (
        select(logs.ticket_id, *payloads)
        .join(tables.ticket_payloads, and_(payloads.year == logs.year, payloads.number == logs.number))
        .where(logs.ticket_id.in_(list(ticket_ids)))
    )
    return {
        row["ticket_id"]: Payload(
            row["salt"], row["request_payload"], row["response_data"], row["before_state"], row["after_state"]
        )
        for row in await reader.rows(statement)
    }


_RELATED = """
WITH RECURSIVE near(root, ticket_id, step) AS (
    SELECT root, root, 0 FROM unnest(CAST(:roots AS text[])) AS root
    UNION SELECT near.root, other.ticket_id, near.step + 1 FROM near
    JOIN ticket_logs one ON one.ticket_id = near.ticket_id
    CROSS JOIN LATERAL (
        SELECT unnest(one.related_ticket_ids) AS ticket_id
        UNION (SELECT t.ticket_id FROM ticket_logs t WHERE t.related_ticket_ids @> ARRAY[one.ticket_id::text]
               LIMIT :most)) AS other
    WHERE near.step < :depth)
SELECT roots.root, t.* FROM unnest(CAST(:roots AS text[])) AS roots(root) CROSS JOIN LATERAL (
    SELECT l.* FROM ticket_logs l WHERE l.ticket_id <> roots.root
    AND l.ticket_id IN (SELECT near.ticket_id FROM near WHERE near.root = roots.root)
    ORDER BY l.year, l.number LIMIT :most) AS t
ORDER BY roots.root, t.year, t.number
"""


async def related(reader: Reader, ticket_ids: Sequence[str], depth: int) -> dict[str, list[TicketRecord]]:
    """Return the tickets within so many steps of each, in both directions, oldest first, at most RELATED_MAX."""
    found: dict[str, list[TicketRecord]] = {}
    for row in await reader.sql(_RELATED, roots=list(ticket_ids), depth=depth, most=RELATED_MAX):
        found.setdefault(row["root"], []).append(record_of(row))
    return found


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a ticket stands in the order of the live stream; txid 0 stands before every ticket."""

    txid: int
    year: int
    number: int


async def place_of(reader: Reader, ticket_id: str) -> Place | None:
    """Return the place of a ticket in the stream."""
    rows = await reader.sql(
        "SELECT txid::text AS txid, year, number FROM ticket_logs WHERE ticket_id = :ticket_id", ticket_id=ticket_id
    )
    return Place(int(rows[0]["txid"]), rows[0]["year"], rows[0]["number"]) if rows else None


async def horizon(reader: Reader) -> Place:
    """Return the place that every ticket not yet released stands behind."""
    (row,) = await reader.sql("SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS txid")
    return Place(int(row["txid"]), 0, 0)


@dataclass(frozen=True, slots=True)
class Released:
    """A part of the stream: what a filter lets through of it, where it ends, and whether more is there already."""

    items: Sequence[tuple[Place, TicketRecord]]
    place: Place
    has_more: bool


async def released_since(reader: Reader, place: Place, wanted: TicketFilter, limit: int) -> Released:
    """Return tickets behind a place in stream order, none of which a later commit can precede.

    Only transactions below the snapshot's xmin are shown: all of them have ended, so a low number that commits late
    is not lost but comes later. One read looks at SCAN_MAX tickets, so a filter that fits few is no slow statement.
    """
    txid: ColumnElement[int] = literal_column("ticket_logs.txid")
    order = (txid, logs.year, logs.number)
    scanned = (
        select(
            tables.ticket_logs,
            cast(txid, Text).label("place_txid"),
            func.row_number().over(order_by=order).label("nth"),
        )
        .where(
            text("ticket_logs.txid < pg_snapshot_xmin(pg_current_snapshot())"),
            text(
                "(ticket_logs.txid, ticket_logs.year, ticket_logs.number)"
                " > (CAST(CAST(:after_txid AS text) AS xid8), :after_year, :after_number)"
            ).bindparams(after_txid=str(place.txid), after_year=place.year, after_number=place.number),
        )
        .order_by(*order)
        .limit(SCAN_MAX)
        .subquery("scanned")
    )
    fits = where(wanted, scanned.c)
    rows = await reader.rows(
        select(scanned, fits.label("fits"))
        .where(or_(fits, scanned.c.nth == SCAN_MAX))
        .order_by(scanned.c.nth)
        .limit(limit)
    )
    found = [(Place(int(row["place_txid"]), row["year"], row["number"]), row) for row in rows]
    return Released(
        items=[(position, record_of(row)) for position, row in found if row["fits"]],
        place=found[-1][0] if found else place,
        has_more=len(found) == limit or (bool(found) and found[-1][1]["nth"] == SCAN_MAX),
    )
