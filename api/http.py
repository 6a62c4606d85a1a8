"""Serve GraphQL over HTTP as the GraphQL-over-HTTP draft asks, and hand web sockets to `api.socket`.

    POST  application/json             queries and mutations; a session cookie counts with proof of the same origin
    GET   ?query=…                     queries; a session cookie never counts
    web socket  graphql-transport-ws   queries and subscriptions

Whatever arrives, the answer is JSON in the shape of GraphQL: `errors` with `extensions.code`, and for
`application/graphql-response+json` a status that says the same. Nothing is batched, nothing is rendered.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Generic, Protocol
from urllib.parse import parse_qsl

from graphql import GraphQLError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.schema import Schema
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from api.errors import Code, RequestError, is_handed_over, is_request_error, presented, presented_error, wrapped
from api.fanout import Fanout
from api.origin import Credential, credential_of, from_this_site, without_cookies
from api.presence import Presence, Visit
from api.socket import CallerT, Connect, ContextT, Elsewhere, House, SocketContext, serve_socket
from api.wire import Asked, asked_of, decoded, encoded

KIB: Final = 1024
BODY_BYTES_MAX_ANONYMOUS: Final = 256 * KIB
BODY_BYTES_MAX_SIGNED_IN: Final = 8 * KIB * KIB  # a scanned document in base64
BODY_SECONDS_MAX: Final = 10.0  # a body that trickles in holds memory and a connection
PARAMETERS_MAX: Final = 16  # of a GET; four have a meaning

JSON_TYPE: Final = "application/json"
RESPONSE_TYPE: Final = "application/graphql-response+json"
TICKET_HEADER: Final = "X-Ticket-ID"

OPERATIONS_BY_METHOD: Final = {
    "GET": frozenset({OperationType.QUERY}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION}),
}
STATUS_BY_CODE: Final = {
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.BAD_REQUEST: 400,
    Code.TOO_COMPLEX: 400,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL: 500,
}

DIGITS_MAX: Final = 20  # of a length that is read


class Gate(Protocol):
    """What the application knows of who may send how much."""

    def admit(self, request: Request) -> None:
        """Charge a request before anything of it is read; raises RequestError (RATE_LIMITED)."""

    def room(self, request: Request) -> AbstractAsyncContextManager[None]:
        """Hold room for a large body of somebody who is signed in; raises RequestError."""


HttpContext = Callable[[Request, Response], Awaitable[ContextT]]


# --- reading


def require_same_origin(request: Request) -> None:
    """Refuse a cookie that another site may have made the browser send.

    Raises: RequestError (403).
    """
    of_this_site = from_this_site(request)
    if of_this_site is None:
        raise RequestError(
            "A session cookie is accepted together with an Origin or Sec-Fetch-Site header of this site; "
            "programs use Authorization: Bearer.",
            Code.FORBIDDEN,
            403,
        )
    if not of_this_site:
        raise RequestError("Requests with a session cookie are accepted from this site only.", Code.FORBIDDEN, 403)


async def read_body(request: Request, bytes_max: int, enlarge: Callable[[], Awaitable[int]] | None = None) -> bytes:
    """Read a body of bounded size in bounded time; `enlarge` is asked once, when it turns out larger, for a new bound.

    Raises: RequestError (413, 408, and what `enlarge` raises), ClientDisconnect.
    """
    chunks: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            announced = request.headers.get("content-length", "0")
            expected = int(announced[:DIGITS_MAX]) if announced.isdecimal() else sys.maxsize
            stream = request.stream()
            while True:
                if max(length, expected) > bytes_max and enlarge:
                    bytes_max, enlarge = await enlarge(), None
                if max(length, expected) > bytes_max:
                    raise too_large(bytes_max)
                chunk = await anext(stream, None)
                if chunk is None:
                    return b"".join(chunks)
                length += len(chunk)
                chunks.append(chunk)
    except TimeoutError:
        raise RequestError(
            f"The body did not arrive within {BODY_SECONDS_MAX:.0f} seconds.", Code.BAD_REQUEST, 408
        ) from None


def too_large(bytes_max: int) -> RequestError:
    return RequestError(f"The body is larger than {bytes_max:,} bytes.", Code.BAD_REQUEST, 413, limit=bytes_max)


def require_json(headers: Headers) -> None:
    """Refuse bodies that are not UTF-8 JSON by their own account.

    Raises: RequestError (415).
    """
    media_type, *parameters = [part.strip() for part in headers.get("content-type", "").split(";")]
    pairs = (parameter.lower().partition("=") for parameter in parameters)
    charsets = {value.strip('" ') for name, _, value in pairs if name.strip() == "charset"}
    if media_type.lower() != JSON_TYPE or not charsets <= {"utf-8", "utf8"}:
        raise RequestError(f"Send the operation as {JSON_TYPE} in UTF-8.", Code.BAD_REQUEST, 415)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError("Send the body without content encoding.", Code.BAD_REQUEST, 415)


def asked_by_get(query_string: bytes) -> Asked:
    """Read an operation from the parameters of a GET.

    Raises: RequestError.
    """
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
        data: dict[str, Any] = dict(pairs)
        for name in ("variables", "extensions"):
            data[name] = decoded(data[name]) if data.get(name) else None
    except (ValueError, UnicodeError):
        raise RequestError("The parameters of the URL are not UTF-8, not JSON or too many.") from None
    return asked_of(data)


def answer_type(accept: str) -> str:
    """Choose the media type of the answer: what the client likes best of the two, else application/json."""
    best, best_quality = JSON_TYPE, 0.0
    for choice in accept.split(","):
        name, *parameters = [part.strip().lower() for part in choice.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if name in {JSON_TYPE, RESPONSE_TYPE} and quality > best_quality:
            best, best_quality = name, quality
    return best


# --- answering


class GraphQLView(Generic[CallerT, ContextT]):
    """The ASGI application behind /graphql."""

    def __init__(
        self,
        schema: Schema,
        *,
        context: HttpContext[ContextT],
        connect: Connect[CallerT],
        socket_context: SocketContext[CallerT, ContextT],
        gate: Gate | None = None,
        fanout: Fanout | None = None,
        enter: Callable[[WebSocket], Visit] | None = None,
        elsewhere: Elsewhere[ContextT] | None = None,
    ) -> None:
        """Take the schema and what only the application knows.

        `context` makes the context of one HTTP operation; cookies set on the response given to it are sent.
        `connect` and `socket_context`: see `api.socket`. Without a fan-out each subscription runs by itself; without
        `enter`, which counts a socket in, nobody is looked after. An operation that ends with HandedOver is answered
        `elsewhere`.
        """
        self.schema = schema
        self.context = context
        self.gate = gate
        self.elsewhere = elsewhere
        alone = Presence()
        self.house = House(
            schema,
            connect,
            socket_context,
            fanout or Fanout(schema),
            enter or (lambda websocket: alone.enter(websocket.client.host if websocket.client else "")),
            elsewhere,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                response = await self.answered(scope, receive)
            except ClientDisconnect:
                return
            await response(scope, receive, send)
        else:
            await serve_socket(self.house, scope, receive, send)

    async def answered(self, scope: Scope, receive: Receive) -> Response:
        """Answer one HTTP request, whatever happens."""
        request = Request(scope, receive)
        media_type = answer_type(request.headers.get("accept", ""))
        try:
            return await self.executed(request, media_type)
        except ClientDisconnect:
            raise
        except InvalidOperationTypeError as error:
            # The only refusal here with a status of its own: a mutation that came by GET.
            status = 405 if request.method == "GET" and error.operation_type is OperationType.MUTATION else 400
            return refusal(wrapped(error), media_type, status)
        except GraphQLError as error:
            return refusal(error, media_type)
        except CannotGetOperationTypeError as error:
            return refusal(wrapped(error), media_type, 400 if media_type == RESPONSE_TYPE else 200)
        except Exception as error:  # the last resort is to say so and to log it
            return refusal(wrapped(error), media_type)

    async def executed(self, request: Request, media_type: str) -> Response:
        """Read, run and answer one operation.

        Raises: GraphQLError, ClientDisconnect.
        """
        if self.gate:
            self.gate.admit(request)
        operations = OPERATIONS_BY_METHOD.get(request.method)
        if operations is None:
            raise RequestError("GraphQL is served by GET and POST.", Code.BAD_REQUEST, 405)
        credential = credential_of(request)
        async with AsyncExitStack() as held:
            if request.method == "GET":
                asked, body = asked_by_get(request.scope["query_string"]), b""
            else:
                require_json(request.headers)
                if credential is Credential.COOKIE:
                    require_same_origin(request)
                body = await self.read(request, credential, held)
                asked = asked_of(json_of(body))
            if request.method == "GET" or credential is Credential.BEARER:
                request = Request(without_cookies(request.scope), request.receive)
            sub_response = Response()
            context = await self.context(request, sub_response)
            if self.elsewhere and self.elsewhere.takes_all_of(context, asked.query):
                return await self.elsewhere.answer(request, body)
            result = await self.schema.execute(
                asked.query,
                variable_values=asked.variables,
                context_value=context,
                operation_name=asked.operation_name,
                operation_extensions=asked.extensions,
                allowed_operation_types=operations,
            )
            if self.elsewhere and is_handed_over(result.errors):
                return await self.elsewhere.answer(request, body)
            return answer(result, media_type, sub_response)

    async def read(self, request: Request, credential: Credential, held: AsyncExitStack) -> bytes:
        """Read a body within the bounds of who sends it; what it takes room for is held until `held` ends.

        Raises: RequestError, ClientDisconnect.
        """

        async def enlarge() -> int:
            if self.gate:
                await held.enter_async_context(self.gate.room(request))
            return BODY_BYTES_MAX_SIGNED_IN

        is_nobody = credential is Credential.NONE
        return await read_body(request, BODY_BYTES_MAX_ANONYMOUS, None if is_nobody else enlarge)


def json_of(body: bytes) -> Any:
    """Decode a body.

    Raises: RequestError.
    """
    try:
        return decoded(body)
    except json.JSONDecodeError as error:
        raise RequestError(f"The body is not valid JSON: {error}.") from None


def answer(result: ExecutionResult, media_type: str, sub_response: Response) -> Response:
    """Word the outcome of an operation, with the headers that were set while it ran."""
    errors = result.errors or []
    body: dict[str, Any] = {}
    status = 200
    if is_request_error(result.data, errors):
        body["errors"] = presented(errors)
        codes = [Code(error["extensions"]["code"]) for error in body["errors"]]
        if media_type == RESPONSE_TYPE or codes[0] is Code.INTERNAL:
            status = STATUS_BY_CODE[codes[0]]
    else:
        body["data"] = result.data
        if errors:
            body["errors"] = presented(errors)
    if result.extensions:
        body["extensions"] = result.extensions
    response = Response(encoded(body), sub_response.status_code if sub_response.status_code != 200 else status)
    finish(response, media_type)
    tickets = (result.extensions or {}).get("tickets")
    if tickets:
        response.headers[TICKET_HEADER] = ",".join(str(ticket) for ticket in tickets.values())
    response.background = sub_response.background
    own = {b"content-length", b"content-type"}
    response.raw_headers.extend(header for header in sub_response.raw_headers if header[0] not in own)
    return response


def refusal(error: GraphQLError, media_type: str, status: int | None = None) -> Response:
    """Word a request that was refused before its operation ran."""
    worded = presented_error(error)
    if status is None:
        status = getattr(error, "status", None) or STATUS_BY_CODE[Code(worded["extensions"]["code"])]
    response = Response(encoded({"errors": [worded]}), status)
    finish(response, media_type)
    if status == 405:
        response.headers["Allow"] = "GET, POST"
    if retry_after_s := worded["extensions"].get("retryAfter"):
        response.headers["Retry-After"] = str(retry_after_s)
    if status in {408, 413, 429}:
        response.headers["Connection"] = "close"  # the rest of the body is not wanted
    return response


def finish(response: Response, media_type: str) -> None:
    response.headers["Content-Type"] = f"{media_type}; charset=utf-8"
    response.headers["Cache-Control"] = "no-store"
