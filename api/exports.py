"""Exports: every row of a list as a file, streamed from one snapshot, itself a ticket before the first byte.

    GET /export/tickets.csv|.ndjson               tickets, with everything a role may see of them
        ?filter=…    a TicketFilter as JSON
        ?orderBy=…   NEWEST or OLDEST
    GET, POST /export/query.csv|.ndjson|.parquet  the one list that a query asks for, with all its pages
        query, variables, operationName as for /graphql; by GET as parameters, variables as JSON
        pages        ALL, or ONE: the page that the query asks for

CSV is RFC 4180 in UTF-8 with a header; cells that a spreadsheet would run are defused. NDJSON has one JSON object a
line, worded as in the schema. Nothing is cut off: `X-Row-Count` announces how many rows follow, and a file with fewer
is not whole.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, cast
from urllib.parse import parse_qsl
from uuid import uuid4

import structlog
from graphql import GraphQLError, GraphQLInputType
from graphql.utilities import coerce_input_value, validate_input_value
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.types.arguments import convert_argument
from strawberry.types.graphql import OperationType

import db.finding
from api import cells, ticket_rows
from api.cells import MEDIA_TYPES, Row
from api.context import Context
from api.enums import TicketOrder, UserRole
from api.errors import Code, RequestError, Schema, presented_error, wrapped
from api.filters import TicketFilter
from api.http import JSON_TYPE, KIB, STATUS_BY_CODE, TICKET_HEADER, read_body, require_json, require_same_origin
from api.origin import Credential, credential_of, without_cookies
from api.policy import Policy, refusal
from api.questions import Page, Question, question_of
from api.scalars import escaped, unstorable
from api.wire import Asked, asked_of, decoded, encoded
from db import tables
from db.outcomes import reader as outcome_reader
from db.read import PAGE_SIZE_MAX, Snapshot, is_overdue
from db.transaction import Write
from db.unit import BUSY_MESSAGE
from domain import stories
from domain.errors import DomainError, ErrorCode
from domain.tickets import REDACTED, ActionType, Attempt, ExportOutcome, Story

EXPORTS_MAX = 2  # at once, of one process; each holds a connection and a snapshot
STATEMENT_TIMEOUT_S = 120.0  # for counting, and for each part of the file
FILE_SECONDS_MAX = 3_600.0  # a snapshot that lives longer keeps the database from tidying up
STALL_SECONDS_MAX = 60.0  # a client that does not read
QUERY_CHARACTERS_MAX = 32 * 1024
BODY_BYTES_MAX = 64 * KIB  # a document and its variables; the ticket holds both
PARAMETERS: Final = frozenset({"filter", "orderBy"})
QUERY_PARAMETERS: Final = frozenset({"query", "variables", "operationName", "pages"})
ALL_PAGES, ONE_PAGE = "ALL", "ONE"
FILES: Final = {  # by path: the kinds of file, and the methods that get one
    "tickets": (frozenset({"csv", "ndjson"}), ("GET",)),
    "query": (frozenset(MEDIA_TYPES), ("GET", "POST")),
}
COUNT_HEADER: Final = "X-Row-Count"
NEXT_HEADER: Final = "X-Has-Next-Page"  # there is more than the page, or the groups, that were asked for
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tickets as they are asked for."""

    tickets: db.tickets.TicketFilter
    is_newest_first: bool


@dataclass(frozen=True, slots=True)
class File:
    """A file that is ready to be sent."""

    kind: str
    ticket_id: str
    count: int
    parts: AsyncGenerator[bytes, None]
    has_next: bool = False

    async def sent(self, send: Send) -> None:
        """Send it, as fast as it is read.

        Raises: TimeoutError, and what reading raises. A file that cannot be sent whole ends without its end, so that
        the client notices.
        """
        headers = {
            "content-type": MEDIA_TYPES[self.kind],
            "content-disposition": f'attachment; filename="{self.ticket_id}.{self.kind}"',
            "cache-control": "no-store",
            COUNT_HEADER.lower(): str(self.count),
            TICKET_HEADER.lower(): self.ticket_id,
            **({NEXT_HEADER.lower(): "true"} if self.has_next else {}),
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with asyncio.timeout(FILE_SECONDS_MAX), aclosing(self.parts) as parts:
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            async for part in parts:
                async with asyncio.timeout(STALL_SECONDS_MAX):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class Exports:
    """The ASGI application below /export."""

    def __init__(
        self,
        schema: Schema,
        context: Callable[[Request, Response], Awaitable[Context]],
        admit: Callable[[Request], None],
    ) -> None:
        """Take the schema, what makes the context of a request, and what charges it before anything is read."""
        self.schema = schema
        self.context = context
        self.admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        request = Request(scope, receive)
        async with AsyncExitStack() as stack:
            try:
                file = await self._opened(request, stack)
            except ClientDisconnect:
                return
            except GraphQLError as error:
                await _refused(error, request)(scope, receive, send)
            except Exception as error:  # the last resort is to say so and to log it
                await _refused(wrapped(error), request)(scope, receive, send)
            else:
                await _until_gone(file.sent(send), receive)

    async def _opened(self, request: Request, stack: AsyncExitStack) -> File:
        """Do everything but sending: who asks, what for, how many rows, and the ticket that says so.

        Raises: RequestError, Fault, ClientDisconnect.
        """
        self.admit(request)
        name, kind, kinds, methods = _file(request)
        if kind not in kinds:
            raise RequestError("There is no such export.", Code.BAD_REQUEST, 404)
        if request.method not in methods:
            raise RequestError(f"This export is served by {' and '.join(methods)}.", Code.BAD_REQUEST, 405)
        credential = credential_of(request)
        if credential is Credential.COOKIE:
            require_same_origin(request)
        if credential is Credential.BEARER:
            request = Request(without_cookies(request.scope), request.receive)
        context = await self.context(request, Response())
        if denied := refusal(Policy.SIGNED_IN, context.caller):
            raise denied
        return await (self._tickets if name == "tickets" else self._rows)(request, context, kind, stack)

    # ---------------------------------------------------------------------------------------------------------- tickets

    async def _tickets(self, request: Request, context: Context, kind: str, stack: AsyncExitStack) -> File:
        attempt = _attempt(context, "exportTickets", {"format": kind, **_given(context, request.url.query)})
        tell = stories.of_exported
        if denied := refusal(Policy.READER, context.caller):
            await _record(context, attempt, tell, Code.FORBIDDEN, denied.message)
        sees_payloads = context.has_role(UserRole.ADMIN)
        try:
            wanted = self._wanted(request.url.query, sees_payloads=sees_payloads)
            condition = await db.finding.exported(context.reader, wanted.tickets)
        except (GraphQLError, DomainError) as error:
            await _record(context, attempt, tell, Code.BAD_REQUEST, error.message)
        snapshot = await _snapshot(context, attempt, tell, stack)
        count = await _counted(context, attempt, snapshot, condition)
        ticket_id = await _recorded_done(context, attempt, tell, ExportOutcome(kind, count))
        statement = ticket_rows.statement_of(
            condition, is_newest_first=wanted.is_newest_first, sees_payloads=sees_payloads
        )
        parts = ticket_rows.file_of(kind, snapshot, statement, sees_payloads=sees_payloads)
        return File(kind, ticket_id, count, parts)

    def _wanted(self, query: str, *, sees_payloads: bool) -> Wanted:
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
        return Wanted(wanted.inner(sees_payloads=sees_payloads), order == TicketOrder.NEWEST.value)

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

    # -------------------------------------------------------------------------------------------------- rows of a query

    async def _rows(self, request: Request, context: Context, kind: str, stack: AsyncExitStack) -> File:
        attempt, tell = _attempt(context, "exportQuery", {"format": kind}), stories.of_rows_exported
        try:
            asked, is_whole = await _asked(request)
            question = question_of(self.schema._schema, asked, PAGE_SIZE_MAX, is_whole=is_whole)
        except GraphQLError as error:  # what is no query is not recorded: it may hold a password
            await _record_error(context, attempt, tell, error)
        is_whole = is_whole and question.is_connection  # a plain list has one page
        attempt = replace(attempt, request={"format": kind, **_request_of(context, question, is_whole=is_whole)})
        snapshot = await _snapshot(context, attempt, tell, stack)
        reading = Reading(self.schema, question, context, snapshot)
        try:
            count = await reading.count() if is_whole else 0
            page = await reading.page(None) if is_whole else await reading.asked()
        except GraphQLError as error:
            await _record_error(context, attempt, tell, error)
        if not is_whole:
            count = len(page.rows)
        ticket_id = await _recorded_done(context, attempt, tell, ExportOutcome(kind, count))
        pages = reading.pages(page, count) if is_whole else _only(page)
        parts = cells.file_of(kind, question.columns, pages)
        return File(kind, ticket_id, count, parts, has_next=page.has_next and not is_whole)


@dataclass(frozen=True, slots=True)
class Reading:
    """The pages of a question, all of one instant, each asked for as /graphql would be, with the caller's rights."""

    schema: Schema
    question: Question
    context: Context
    snapshot: Snapshot

    async def count(self) -> int:
        """Count the rows of all pages.

        Raises: GraphQLError.
        """
        return self.question.count_of(await self._answered(self.question.counting, {}))

    async def asked(self) -> Page:
        """Return the page that the document asks for.

        Raises: GraphQLError.
        """
        return self.question.page_of(await self._answered(self.question.document, {}))

    async def page(self, cursor: str | None) -> Page:
        """Return the page after a cursor, as large as a page may be.

        Raises: GraphQLError.
        """
        return self.question.page_of(await self._answered(self.question.paging, {self.question.after: cursor}))

    async def pages(self, page: Page, count: int) -> AsyncIterator[Sequence[Row]]:
        """Yield the rows of a first page and of all that follow.

        Raises: GraphQLError, RuntimeError (other rows than were counted).
        """
        found = len(page.rows)
        yield page.rows
        while page.has_next:
            page = await self.page(page.end)
            found += len(page.rows)
            yield page.rows
        if found != count:
            raise RuntimeError(f"{found} rows of {self.question.name} were read and {count} announced")

    async def _answered(self, document: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
        services = replace(self.context.services, reader=self.snapshot, analysts=self.snapshot)
        result = await self.schema.execute(
            document,
            variable_values={**self.question.variables, **more},
            context_value=replace(self.context, reading=services, is_of_one_instant=True),
            operation_name=self.question.operation_name,
            allowed_operation_types=(OperationType.QUERY,),
        )
        if result.errors:
            raise result.errors[0]
        assert result.data is not None
        return cast("Mapping[str, Any]", result.data)


async def _only(page: Page) -> AsyncIterator[Sequence[Row]]:
    yield page.rows


async def _asked(request: Request) -> tuple[Asked, bool]:
    """Read a query, and whether all its pages are wanted.

    Raises: RequestError, ClientDisconnect.
    """
    if request.method == "GET":
        data = _query_parameters(request.url.query)
    else:
        require_json(request.headers)
        try:
            data = decoded(await read_body(request, BODY_BYTES_MAX))
        except json.JSONDecodeError as error:
            raise RequestError(f"The body is not valid JSON: {error}.") from None
    asked = asked_of(data)
    pages = data.get("pages", ALL_PAGES)
    if pages not in (ALL_PAGES, ONE_PAGE):
        raise RequestError(f"pages is {ALL_PAGES} or {ONE_PAGE}.", field="pages")
    if unknown := sorted(data.keys() - QUERY_PARAMETERS):
        raise RequestError(f"An export takes {', '.join(sorted(QUERY_PARAMETERS))}; {unknown[0][:80]} is none of them.")
    return asked, pages == ALL_PAGES


def _query_parameters(query: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=len(QUERY_PARAMETERS))
        given: dict[str, Any] = dict(pairs)
        is_once = len(given) == len(pairs)
        if given.get("variables"):
            given["variables"] = decoded(given["variables"])
        else:
            given.pop("variables", None)
    except (ValueError, UnicodeError):
        raise RequestError("The parameters of the URL are not UTF-8, not JSON or too many.") from None
    if len(query) > QUERY_CHARACTERS_MAX or not is_once:
        raise RequestError(
            f"Give each parameter once, and {QUERY_CHARACTERS_MAX:,} characters together; POST takes more."
        )
    return given


def _misfit(error: GraphQLError, path: list[str | int]) -> NoReturn:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    raise RequestError(f"filter{place}: {error.message}", field="filter")


# ---------------------------------------------------------------------------------------------------------- the attempt

Tell = Callable[[Mapping[str, Any], ExportOutcome | None], Story]


def _attempt(context: Context, field: str, request: Mapping[str, Any]) -> Attempt:
    assert context.caller is not None
    return Attempt(
        attempt_id=uuid4(),
        field=field,
        action_type=ActionType.DATA_EXPORTED,
        request=request,
        started_at_ns=time.monotonic_ns(),
        user_id=context.caller.user.id,
        session_id=context.caller.session.id,
        ip_address=context.ip_address,
        user_agent=context.user_agent,
    )


def _given(context: Context, query: str) -> dict[str, Any]:
    """Return the parameters of an export of tickets as its ticket holds them."""
    given = parse_qsl(query[:QUERY_CHARACTERS_MAX], keep_blank_values=True)
    return {name: escaped(_recorded(context, value)) for name, value in given if name in PARAMETERS}


def _request_of(context: Context, question: Question, *, is_whole: bool) -> dict[str, Any]:
    """Return a query as the ticket of its export holds it."""
    return {
        "list": question.name,
        "pages": ALL_PAGES if is_whole else ONE_PAGE,
        "operationName": question.operation_name,
        "document": _without_secrets(context, question.document),
        "variables": _recorded(context, encoded(dict(question.variables)).decode()),
    }


def _recorded(context: Context, text: str) -> Any:
    try:
        return decoded(_without_secrets(context, text))
    except json.JSONDecodeError:
        return _without_secrets(context, text)


def _without_secrets(context: Context, text: str) -> str:
    return REDACTED if any(secret in text for secret in context.secrets) else text


async def _record(
    context: Context, attempt: Attempt, tell: Tell, code: str, message: str, status: int | None = None
) -> NoReturn:
    """Write the FAILED ticket of an export and refuse it.

    Raises: RequestError, always.
    """
    units = context.services.units
    ticket_id = await units.shielded(units.record(attempt, tell(attempt.request, None), code, message))
    told = Code(code) if code in Code.__members__ else Code.RATE_LIMITED
    raise RequestError(message, told, status, ticketId=ticket_id)


async def _record_error(context: Context, attempt: Attempt, tell: Tell, error: GraphQLError) -> NoReturn:
    """Write the FAILED ticket of what the schema refused.

    Raises: RequestError, always.
    """
    worded = presented_error(error)
    status = error.status if isinstance(error, RequestError) else None
    await _record(context, attempt, tell, worded["extensions"]["code"], worded["message"], status)


async def _recorded_done(context: Context, attempt: Attempt, tell: Tell, outcome: ExportOutcome) -> str:
    """Write the ticket of an export that is about to be sent.

    Raises: RequestError (busy), Fault.
    """

    async def work(write: Write) -> ExportOutcome:
        return outcome

    units = context.services.units
    answer = await units.shielded(units.run(attempt, work, tell, outcome_reader(ExportOutcome)))
    if answer.refusal:  # only ever because there was no room
        raise RequestError(answer.refusal.message, Code.RATE_LIMITED, 503, ticketId=answer.ticket_id)
    return answer.ticket_id


async def _snapshot(context: Context, attempt: Attempt, tell: Tell, stack: AsyncExitStack) -> Snapshot:
    """Open the snapshot that a file is written from.

    Raises: RequestError (busy).
    """
    try:
        return await stack.enter_async_context(context.services.exporter.snapshot())
    except NoConnectionError:
        message = f"{EXPORTS_MAX} exports run already. {BUSY_MESSAGE}"
        await _record(context, attempt, tell, ErrorCode.BUSY, message, 503)


async def _counted(context: Context, attempt: Attempt, snapshot: Snapshot, condition: ColumnElement[bool]) -> int:
    """Count the tickets of a file.

    Raises: RequestError (not counted in time).
    """
    counting = select(func.count().label("rows")).select_from(tables.ticket_logs).where(condition)
    try:
        (row,) = await snapshot.rows(counting)
    except DBAPIError as error:
        if not is_overdue(error):
            raise
        message = f"Counting took longer than {STATEMENT_TIMEOUT_S:.0f} s. Narrow the filter."
        await _record(context, attempt, stories.of_exported, Code.TOO_COMPLEX, message)
    found: int = row["rows"]
    return found


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


def _file(request: Request) -> tuple[str, str, frozenset[str], tuple[str, ...]]:
    """Return name and kind of a file, and which kinds of it there are and which methods get them."""
    name, _, kind = request.url.path.removeprefix("/export/").partition(".")
    return name, kind, *FILES.get(name, (frozenset[str](), ()))


def _refused(error: GraphQLError, request: Request) -> Response:
    """Word a refusal as GraphQL words one."""
    worded = presented_error(error)
    status = getattr(error, "status", None) or STATUS_BY_CODE[Code(worded["extensions"]["code"])]
    headers = {"Cache-Control": "no-store"}
    if status == 405:
        headers["Allow"] = ", ".join(_file(request)[3])
    if retry_after_s := worded["extensions"].get("retryAfter"):
        headers["Retry-After"] = str(retry_after_s)
    if ticket_id := worded["extensions"].get("ticketId"):
        headers[TICKET_HEADER] = str(ticket_id)
    return Response(encoded({"errors": [worded]}), status, headers, f"{JSON_TYPE}; charset=utf-8")
