"""Exports: every ticket of a filter as a file, streamed from one snapshot, itself a ticket before the first byte.

    GET /export/tickets.csv      RFC 4180, UTF-8, with a header; cells that a spreadsheet would run are defused
    GET /export/tickets.ndjson   one JSON object a line, fields named as in the schema
        ?filter=…    a TicketFilter as JSON
        ?orderBy=…   NEWEST or OLDEST

Nothing is cut off: `X-Row-Count` announces how many rows follow, and a file with fewer is not whole.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast
from urllib.parse import parse_qsl
from uuid import uuid4

import orjson
import structlog
from graphql import GraphQLError, GraphQLInputType
from graphql.utilities import coerce_input_value, validate_input_value
from sqlalchemy import ColumnElement, Select, Text, and_, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.types.arguments import convert_argument

import db.finding
from api.context import Context
from api.enums import TicketOrder, UserRole
from api.errors import Code, RequestError, Schema, presented_error, wrapped
from api.filters import TicketFilter
from api.http import JSON_TYPE, STATUS_BY_CODE, TICKET_HEADER, require_same_origin
from api.origin import Credential, credential_of, without_cookies
from api.policy import Policy, refusal
from api.scalars import escaped, unstorable
from api.wire import decoded, encoded
from db import tables
from db.outcomes import reader as outcome_reader
from db.read import Row, Snapshot, is_overdue
from db.transaction import Write
from db.unit import BUSY_MESSAGE
from domain import stories
from domain.errors import DomainError, ErrorCode
from domain.tickets import REDACTED, ActionType, Attempt, ExportOutcome, instant

EXPORTS_MAX = 2  # at once, of one process; each holds a connection and a snapshot
COUNT_TIMEOUT_S = 120  # for counting, and for each part of the file
FILE_SECONDS_MAX = 3_600.0  # a snapshot that lives longer keeps the database from tidying up
STALL_SECONDS_MAX = 60.0  # a client that does not read
ROWS_AT_ONCE = 200  # some milliseconds of this process
QUERY_CHARACTERS_MAX = 32 * 1024
PARAMETERS: Final = frozenset({"filter", "orderBy"})
COUNT_HEADER: Final = "X-Row-Count"
MEDIA_TYPES: Final = {"csv": "text/csv; charset=utf-8; header=present", "ndjson": "application/x-ndjson; charset=utf-8"}
RUNS_IN_SPREADSHEETS: Final = frozenset("=+-@\t\r\x00")
NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
log = structlog.get_logger(__name__)

logs, payloads = tables.ticket_logs.c, tables.ticket_payloads.c
PAYLOADS: Mapping[str, str] = {
    "requestPayload": "request_payload",
    "responseData": "response_data",
    "beforeState": "before_state",
    "afterState": "after_state",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An export as it is asked for."""

    wanted: db.tickets.TicketFilter
    is_newest_first: bool


class Exports:
    """The ASGI application below /export."""

    def __init__(self, schema: Schema, context: Callable[[Request, Response], Awaitable[Context]]) -> None:
        """Take the schema, whose filter this is, and what makes the context of a request."""
        self.schema = schema
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        request = Request(scope, receive)
        async with AsyncExitStack() as stack:
            try:
                file = await self._opened(request, stack)
            except GraphQLError as error:
                await _refused(error)(scope, receive, send)
            except Exception as error:  # the last resort is to say so and to log it
                await _refused(wrapped(error))(scope, receive, send)
            else:
                await _until_gone(file.sent(send), receive)

    async def _opened(self, request: Request, stack: AsyncExitStack) -> File:
        """Do everything but sending: who asks, what for, how many rows, and the ticket that says so.

        Raises: RequestError, Fault.
        """
        _, _, kind = request.url.path.rpartition("/tickets.")
        if kind not in MEDIA_TYPES or request.url.path != f"/export/tickets.{kind}":
            raise RequestError("There is no such export.", Code.BAD_REQUEST, 404)
        if request.method != "GET":
            raise RequestError("Exports are served by GET.", Code.BAD_REQUEST, 405)
        credential = credential_of(request)
        if credential is Credential.COOKIE:
            require_same_origin(request)
        if credential is Credential.BEARER:
            request = Request(without_cookies(request.scope), request.receive)
        context = await self.context(request, Response())
        if denied := refusal(Policy.READER, context.caller):
            if context.caller is None:
                raise denied
            await _record(context, _attempt(context, kind, request.url.query), Code.FORBIDDEN, denied.message)
        attempt = _attempt(context, kind, request.url.query)
        sees_payloads = context.has_role(UserRole.ADMIN)
        try:
            asked = self._asked(request.url.query, sees_payloads=sees_payloads)
            condition = await db.finding.exported(context.reader, asked.wanted)
        except GraphQLError as error:
            await _record(context, attempt, Code.BAD_REQUEST, error.message)
        except DomainError as error:
            await _record(context, attempt, Code.BAD_REQUEST, error.message)
        snapshot, count = await _counted(context, attempt, condition, stack)

        async def work(write: Write) -> ExportOutcome:
            return ExportOutcome(kind, count)

        units = context.services.units
        answer = await units.shielded(
            units.run(attempt, work, stories.of_exported, outcome_reader(ExportOutcome))
        )  # fmt: skip
        if answer.refusal:  # only ever because there was no room
            raise RequestError(answer.refusal.message, Code.RATE_LIMITED, 503, ticketId=answer.ticket_id)
        statement = _statement(condition, asked, sees_payloads=sees_payloads)
        return File(kind, answer.ticket_id, count, snapshot, statement, sees_payloads)

    def _asked(self, query: str, *, sees_payloads: bool) -> Asked:
        """Read the parameters. One that has no meaning is refused: a filter that is misspelt must not be no filter.

        Raises: GraphQLError.
        """
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=len(PARAMETERS))
        except (ValueError, UnicodeError):
            raise RequestError("The parameters of the URL are not UTF-8 or too many.") from None
        given = dict(pairs)
        if len(query) > QUERY_CHARACTERS_MAX or len(given) < len(pairs) or not given.keys() <= PARAMETERS:
            raise RequestError(
                f"An export takes filter and orderBy, each once, {QUERY_CHARACTERS_MAX:,} characters together."
            )
        order = given.get("orderBy", TicketOrder.NEWEST.value)
        if order not in TicketOrder.__members__:
            raise RequestError("orderBy is NEWEST or OLDEST.", field="orderBy")
        wanted = TicketFilter()
        if given.get("filter"):
            wanted = self._filter(given["filter"])
        return Asked(wanted.inner(sees_payloads=sees_payloads), order == TicketOrder.NEWEST.value)

    def _filter(self, text: str) -> TicketFilter:
        """Read a TicketFilter as a variable of GraphQL is read.

        Raises: GraphQLError.
        """
        try:
            value = decoded(text)
        except json.JSONDecodeError as error:
            raise RequestError(f"filter is not valid JSON: {error}.", field="filter") from None
        if fault := unstorable(value):
            raise RequestError(f"filter refused {fault}.", field="filter")
        kind = cast("GraphQLInputType", self.schema._schema.type_map["TicketFilter"])
        validate_input_value(value, kind, _misfit)
        coerced = coerce_input_value(value, kind)
        converter = self.schema.schema_converter
        return cast(
            "TicketFilter",
            convert_argument(coerced, TicketFilter, converter.scalar_registry, self.schema.config) or TicketFilter(),
        )


def _misfit(error: GraphQLError, path: list[str | int]) -> NoReturn:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    raise RequestError(f"filter{place}: {error.message}", field="filter")


# --------------------------------------------------------------------------------------------------------- the attempt


def _attempt(context: Context, kind: str, query: str) -> Attempt:
    assert context.caller is not None
    given = {name: value for name, value in parse_qsl(query[:QUERY_CHARACTERS_MAX], keep_blank_values=True)
             if name in PARAMETERS}  # fmt: skip
    request = {"format": kind, **{name: escaped(_recorded(context, value)) for name, value in given.items()}}
    return Attempt(
        attempt_id=uuid4(),
        field="exportTickets",
        action_type=ActionType.DATA_EXPORTED,
        request=request,
        started_at_ns=time.monotonic_ns(),
        user_id=context.caller.user.id,
        session_id=context.caller.session.id,
        ip_address=context.ip_address,
        user_agent=context.user_agent,
    )


def _recorded(context: Context, text: str) -> Any:
    if any(secret in text for secret in context.secrets):
        return REDACTED
    try:
        return decoded(text)
    except json.JSONDecodeError:
        return text


async def _record(context: Context, attempt: Attempt, code: str, message: str, status: int | None = None) -> NoReturn:
    """Write the FAILED ticket of an export and refuse it.

    Raises: RequestError, always.
    """
    units = context.services.units
    story = stories.of_exported(attempt.request, None)
    ticket_id = await units.shielded(units.record(attempt, story, code, message))
    told = Code(code) if code in Code.__members__ else Code.RATE_LIMITED
    raise RequestError(message, told, status, ticketId=ticket_id)


async def _counted(
    context: Context, attempt: Attempt, condition: ColumnElement[bool], stack: AsyncExitStack
) -> tuple[Snapshot, int]:
    """Open the snapshot that the file is written from and count its rows.

    Raises: RequestError (busy; not counted in time).
    """
    try:
        snapshot = await stack.enter_async_context(
            context.services.exporter.snapshot(statement_timeout_s=COUNT_TIMEOUT_S)
        )
        (row,) = await snapshot.rows(
            select(func.count().label("rows")).select_from(tables.ticket_logs).where(condition)
        )
    except NoConnectionError:
        await _record(context, attempt, ErrorCode.BUSY, f"{EXPORTS_MAX} exports run already. {BUSY_MESSAGE}", 503)
    except DBAPIError as error:
        if not is_overdue(error):
            raise
        message = f"Counting took longer than {COUNT_TIMEOUT_S} s. Narrow the filter."
        await _record(context, attempt, Code.TOO_COMPLEX, message)
    return snapshot, row["rows"]


def _statement(condition: ColumnElement[bool], asked: Asked, *, sees_payloads: bool) -> Select[Any]:
    users, makers = tables.users.c, tables.market_maker_clients.c
    columns = [*(column for column in tables.written(tables.ticket_logs)), users.name.label("user_name"),
               makers.name.label("maker_name")]  # fmt: skip
    whole = tables.ticket_logs.outerjoin(tables.users, users.id == logs.user_id).outerjoin(
        tables.market_maker_clients, makers.id == logs.market_maker_id
    )
    if sees_payloads:
        columns.append(users.email.label("user_email"))
        columns += [sql_cast(payloads[name], Text).label(name) for name in PAYLOADS.values()]
        whole = whole.outerjoin(
            tables.ticket_payloads, and_(payloads.year == logs.year, payloads.number == logs.number)
        )
    key = db.finding.key_of(logs, is_newest_first=asked.is_newest_first)
    order = [column.desc() if key.is_descending else column.asc() for column in key.columns]
    return select(*columns).select_from(whole).where(condition).order_by(*order)


# ------------------------------------------------------------------------------------------------------------ the file


@dataclass(frozen=True, slots=True)
class File:
    """A file that is ready to be sent."""

    kind: str
    ticket_id: str
    count: int
    snapshot: Snapshot
    statement: Select[Any]
    sees_payloads: bool

    async def sent(self, send: Send) -> None:
        """Send it, as fast as it is read.

        Raises: TimeoutError. A file that cannot be sent whole ends without its end, so that the client notices.
        """
        headers = {
            "content-type": MEDIA_TYPES[self.kind],
            "content-disposition": f'attachment; filename="{self.ticket_id}.{self.kind}"',
            "cache-control": "no-store",
            COUNT_HEADER.lower(): str(self.count),
            TICKET_HEADER.lower(): self.ticket_id,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with asyncio.timeout(FILE_SECONDS_MAX):
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            async for chunk in self._chunks():
                async with asyncio.timeout(STALL_SECONDS_MAX):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _chunks(self) -> AsyncIterator[bytes]:
        written = csv_rows if self.kind == "csv" else json_lines
        if self.kind == "csv":
            yield csv_line([name for name, _ in fields(None, sees_payloads=self.sees_payloads)])
        async for rows in self.snapshot.stream(self.statement, ROWS_AT_ONCE):
            yield written(rows, sees_payloads=self.sees_payloads)


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


def csv_line(values: Sequence[Any]) -> bytes:
    """Write a line: RFC 4180, with CR LF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([defused("" if value is None else str(value)) for value in values])
    return line.getvalue().encode()


def defused(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula; a number is none."""
    if cell[:1] in RUNS_IN_SPREADSHEETS and cell and not NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


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


# ------------------------------------------------------------------------------------------------------------- the wire


async def _until_gone(sending: Awaitable[None], receive: Receive) -> None:
    """Send until it is done or the client has gone; then the snapshot and its cursor are closed."""
    work = asyncio.ensure_future(sending)
    leaving = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        work.cancel()
        leaving.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refused(error: GraphQLError) -> Response:
    """Word a refusal as GraphQL words one."""
    worded = presented_error(error)
    status = getattr(error, "status", None) or STATUS_BY_CODE[Code(worded["extensions"]["code"])]
    headers = {"Cache-Control": "no-store", **({"Allow": "GET"} if status == 405 else {})}
    if ticket_id := worded["extensions"].get("ticketId"):
        headers[TICKET_HEADER] = str(ticket_id)
    return Response(encoded({"errors": [worded]}), status, headers, f"{JSON_TYPE}; charset=utf-8")
