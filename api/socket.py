"""Serve operations over a web socket: the subprotocol graphql-transport-ws, strictly, and no other.

A session cookie is only seen by the application when the browser says that the page is of this site; a page
of another site is refused the handshake (403). Mutations are refused: they would be cancelled with the socket.

A stream that fails ends with an `error` frame, never with `complete`: a watcher must not take a fault for the
end. The other streams of the socket live on.

Source: PROTOCOL.md of enisdenjo/graphql-ws, which also fixes the close codes.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.exceptions import ConnectionRejectionError
from strawberry.schema import Schema
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from api.errors import Code, RequestError, WordedError, is_handed_over, is_request_error, presented, wrapped
from api.fanout import Fanout, Seat, Watch
from api.fanout import payload_of as result_of
from api.origin import from_this_site, without_cookies
from api.presence import Visit
from api.transport import Wire, nothing, wire_of
from api.wire import Asked, asked_of, decoded, encoded
from domain.people import Caller

log = structlog.get_logger(__name__)

PROTOCOL: Final = "graphql-transport-ws"
INIT_SECONDS_MAX: Final = 5.0  # a socket without a caller is worth nothing
SEND_SECONDS_MAX: Final = 20.0  # the peer has not read for this long: megabytes of frames wait for it
TASKS_PER_OPERATION: Final = 2  # with those that were completed and still clean up
MESSAGE_CHARACTERS_MAX: Final = 256 * 1024
ID_CHARACTERS_MAX: Final = 128
REASON_BYTES_MAX: Final = 123  # of a close frame, RFC 6455

MESSAGE_TOO_BIG: Final = 1009
FAULT: Final = 1011
TRY_AGAIN_LATER: Final = 1013  # the one fault code after which clients come back by themselves
BAD_MESSAGE: Final = 4400
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
BAD_SUBPROTOCOL: Final = 4406
INIT_TIMEOUT: Final = 4408
ID_IN_USE: Final = 4409
STALLED: Final = 4420
INIT_TWICE: Final = 4429
TOO_MANY: Final = 4429  # the protocol's code for too many of something: its clients do not come back by themselves

DATA: Final = b'{"data":'  # how an answer over HTTP begins when its operation was executed

CallerT = TypeVar("CallerT")
ContextT = TypeVar("ContextT")
ContextT_contra = TypeVar("ContextT_contra", contravariant=True)
Connect = Callable[[WebSocket, dict[str, Any]], Awaitable[CallerT]]
"""Once per socket, with the payload of connection_init ({} when absent): returns the caller, raises to refuse."""

SocketContext = Callable[[WebSocket, CallerT, Seat | None], Awaitable[ContextT]]
"""Once per operation: nothing, above all no loader, is shared among operations. A seat: its execution may be shared."""

ACCEPTED_OPERATIONS: Final = frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION})


class CloseError(Exception):
    """End the conversation with a close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Elsewhere(Protocol[ContextT_contra]):
    """Other processes that answer queries."""

    def takes_all_of(self, context: ContextT_contra, query: str) -> bool:
        """Tell whether a document is theirs before anybody has read it."""

    async def answer(self, request: Request, body: bytes) -> Response:
        """Answer a request; raises RequestError."""

    async def result(self, websocket: WebSocket, context: ContextT_contra, asked: Asked) -> bytes:
        """Return the answer, as over HTTP, to what was asked on a socket; raises RequestError."""


@dataclass(frozen=True, slots=True)
class House(Generic[CallerT, ContextT]):
    """What all sockets of a process share."""

    schema: Schema
    connect: Connect[CallerT]
    socket_context: SocketContext[CallerT, ContextT]
    fanout: Fanout
    enter: Callable[[WebSocket], Visit]  # raises RequestError (RATE_LIMITED)
    elsewhere: Elsewhere[ContextT] | None = None  # answers operations that end with HandedOver


async def serve_socket(house: House[CallerT, ContextT], scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one web socket from handshake to close."""
    websocket = WebSocket(scope, receive, send)
    of_this_site = from_this_site(websocket)
    if of_this_site is False:
        log.warning("socket refused", origin=websocket.headers.get("origin"), host=websocket.headers.get("host"))
        await websocket.close()  # before it was accepted: the handshake is answered with 403
        return
    if of_this_site is None:
        websocket = WebSocket(without_cookies(scope), receive, send)
    if PROTOCOL not in scope["subprotocols"]:
        await websocket.accept()
        await websocket.close(BAD_SUBPROTOCOL, f"The subprotocol is {PROTOCOL}")
        return
    await websocket.accept(PROTOCOL)
    try:
        visit = house.enter(websocket)
    except RequestError as full:
        await websocket.close(TOO_MANY, cut_reason(full.message))
        return
    try:
        await Socket(house, websocket, wire_of(scope, send), visit).serve()
    finally:
        visit.leave()


class Socket(Generic[CallerT, ContextT]):
    """One accepted socket and the operations that run on it."""

    def __init__(self, house: House[CallerT, ContextT], websocket: WebSocket, wire: Wire, visit: Visit) -> None:
        self.house = house
        self.websocket = websocket
        self.wire = wire
        self.visit = visit
        self.caller: CallerT | None = None
        self.operations: dict[str, asyncio.Task[None] | Watch] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.group = asyncio.TaskGroup()
        self.room: asyncio.Event | None = None  # while the peer takes no more
        self.stalls: asyncio.TimerHandle | None = None
        self.is_over = False
        self.is_writable = wire.is_writable
        self.write: Callable[[bytes], None] = (
            wire.write
        )  # of a text message, which browsers' clients can read; never waits

    async def serve(self) -> None:
        """Talk until either side closes; every generator has run its `finally` when this returns."""
        self.wire.paused, self.wire.resumed = self.paused, self.resumed
        async with self.group:
            try:
                await self.connected()
                while True:
                    await self.handle(await self.received())
            except CloseError as closing:
                await self.close(closing.code, closing.reason)
            except WebSocketDisconnect:
                pass
            except Exception:
                log.exception("socket failed")
                await self.close(FAULT, "Internal error")
            finally:
                self.finish()

    def finish(self) -> None:
        """Let go of everything; nothing is written any more."""
        self.is_over, self.is_writable = True, False
        self.wire.paused = self.wire.resumed = nothing
        if self.stalls:
            self.stalls.cancel()
        if self.room:
            self.room.set()
        for task in self.tasks:
            task.cancel()
        for operation in self.operations.values():
            if isinstance(operation, Watch):
                operation.leave()
        self.operations.clear()

    # --- messages

    async def received(self) -> dict[str, Any]:
        """Read one message.

        Raises: CloseError, WebSocketDisconnect.
        """
        frame = await self.websocket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame["code"])
        text = frame.get("text")
        if text is None:
            raise CloseError(BAD_MESSAGE, "Messages are text")
        if len(text) > MESSAGE_CHARACTERS_MAX:
            raise CloseError(MESSAGE_TOO_BIG, f"Messages have at most {MESSAGE_CHARACTERS_MAX} characters")
        try:
            message = decoded(text)
        except json.JSONDecodeError:
            raise CloseError(BAD_MESSAGE, "Messages are JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise CloseError(BAD_MESSAGE, "Messages are JSON objects with a type")
        return message

    async def connected(self) -> None:
        """Wait for connection_init and find out who calls.

        Raises: CloseError, WebSocketDisconnect.
        """
        try:
            async with asyncio.timeout(INIT_SECONDS_MAX):
                while (message := await self.received())["type"] != "connection_init":
                    await self.handle_early(message)
        except TimeoutError:
            raise CloseError(INIT_TIMEOUT, "Connection initialisation timeout") from None
        payload = payload_of(message)
        try:
            self.caller = await self.house.connect(self.websocket, payload)
        except (ConnectionRejectionError, PermissionError):
            raise CloseError(FORBIDDEN, "Forbidden") from None
        except Exception as error:
            raise refusal_of(error) from None
        try:
            self.visit.sign_in(self.caller, self)
        except RequestError as full:
            raise CloseError(TOO_MANY, full.message) from None
        await self.send({"type": "connection_ack"})

    async def handle_early(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            payload_of(message)
            await self.send({"type": "pong"})
        elif message["type"] != "pong":
            raise CloseError(UNAUTHORIZED, "Unauthorized: send connection_init first")

    async def handle(self, message: dict[str, Any]) -> None:
        """Do what one message asks.

        Raises: CloseError.
        """
        match message["type"]:
            case "subscribe":
                await self.subscribe(id_of(message), asked_in(message))
            case "complete":
                if operation := self.operations.pop(id_of(message), None):
                    end(operation)
            case "ping":
                payload_of(message)
                await self.send({"type": "pong"})
            case "pong":
                payload_of(message)
            case "connection_init":
                raise CloseError(INIT_TWICE, "Too many initialisation requests")
            case unknown:
                raise CloseError(BAD_MESSAGE, f"Unknown message type {unknown!r}")

    # --- operations

    async def subscribe(self, operation_id: str, asked: Asked) -> None:
        """Start an operation."""
        if operation_id in self.operations:
            raise CloseError(ID_IN_USE, f"Subscriber for {operation_id} already exists")
        bound = self.visit.presence.bounds.subscriptions
        if len(self.operations) >= bound or len(self.tasks) >= TASKS_PER_OPERATION * bound:
            full = RequestError(f"A socket runs at most {bound} operations at once; complete one first.",
                                Code.RATE_LIMITED)  # fmt: skip
            await self.send({"id": operation_id, "type": "error", "payload": presented([full])})
            return
        task = self.group.create_task(self.run(operation_id, asked))
        self.operations[operation_id] = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, operation_id: str, asked: Asked) -> None:
        """Run one operation to its end and say how it ended, unless it goes on as a watch."""
        try:
            errors: list[GraphQLError] = []
            try:
                if self.house.fanout.is_shared(asked):
                    begun = await self.house.fanout.open(self, operation_id, asked, self.context)
                    if isinstance(begun, Watch):
                        self.operations[operation_id] = begun
                        return
                    errors = begun
                else:
                    errors = await self.streamed(operation_id, asked)
            except WebSocketDisconnect:
                raise
            except Exception as error:
                errors = [wrapped(error)]  # whatever it is, the watcher must hear of it
            finally:
                # Free before the last message, as the client may use the id again upon it; a client that
                # sent `complete` may have done so already.
                if self.operations.get(operation_id) is asyncio.current_task():
                    del self.operations[operation_id]
            await self.send(last_message(operation_id, errors))
        except WebSocketDisconnect:
            pass  # the conversation ends by itself

    async def context(self, seat: Seat | None) -> ContextT:
        """Make the context of one operation."""
        return await self.house.socket_context(self.websocket, self.caller, seat)  # type: ignore[arg-type]

    async def streamed(self, operation_id: str, asked: Asked) -> list[GraphQLError]:
        """Send every result of an operation; return the errors that ended it, if any did.

        Raises: WebSocketDisconnect.
        """
        context, elsewhere = await self.context(None), self.house.elsewhere
        if elsewhere and elsewhere.takes_all_of(context, asked.query):
            return await self.sent_on(elsewhere, context, operation_id, asked)
        stream = await self.house.schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            operation_extensions=asked.extensions,
            allowed_operation_types=ACCEPTED_OPERATIONS,
        )
        async with aclosing(stream):
            async for result in stream:
                assert isinstance(result, ExecutionResult)  # incremental delivery is off
                if elsewhere and is_handed_over(result.errors):
                    return await self.sent_on(elsewhere, context, operation_id, asked)
                # Without data and without a path: refused, or the generator itself failed.
                if is_request_error(result.data, result.errors):
                    return list(result.errors or ())
                await self.send_next(operation_id, result_of(result))
                # A generator that always has the next event never waits. Without this it would starve the
                # loop, and uvloop, which writes between two rounds, would never tell us that the peer is slow.
                await asyncio.sleep(0)
        return []

    async def sent_on(
        self, elsewhere: Elsewhere[ContextT], context: ContextT, operation_id: str, asked: Asked
    ) -> list[GraphQLError]:
        """Let another process answer a query; return as `streamed`."""
        result = await elsewhere.result(self.websocket, context, asked)
        if not result.startswith(DATA):
            return [WordedError(error) for error in decoded(result)["errors"]]
        await self.send_next(operation_id, result)
        return []

    async def send_next(self, operation_id: str, result: bytes) -> None:
        await self.room_to_send()
        self.write(b'{"id":' + encoded(operation_id) + b',"type":"next","payload":' + result + b"}")

    def ended(self, watch: Watch, errors: list[GraphQLError]) -> None:
        """Say that a watch is over. Short, and one for each operation: sent whether or not the peer takes more."""
        if self.operations.get(watch.operation_id) is watch:
            del self.operations[watch.operation_id]
            self.write(encoded(last_message(watch.operation_id, errors)))

    # --- who asks

    def looked_up(self, caller: Caller | None, *, is_public: bool) -> None:
        """End what the caller may not see any more: with the socket, or, where market data go on, one by one."""
        before: Any = self.caller
        if self.is_over:
            return
        if before is None:
            if not is_public:
                self.expel(lambda _: True, RequestError("Market data are for those who sign in.", Code.UNAUTHENTICATED))
        elif caller is None:
            self.caller = None
            self.visit.sign_out()
            ended = RequestError("This session has ended. Sign in again.", Code.UNAUTHENTICATED)
            self.expel(lambda watch: watch.is_private or not is_public, ended)
        elif caller.user.role is not before.user.role:
            self.caller = caller  # type: ignore[assignment]  # what is looked up is what connected
            changed = RequestError("Your role has changed. Connect again.", Code.FORBIDDEN)
            self.expel(lambda watch: watch.is_private, changed)

    def expel(self, is_forbidden: Callable[[Watch], bool], error: RequestError) -> None:
        """End what is forbidden, and every operation that runs for this socket alone."""
        staying = [one for one in self.operations.values() if isinstance(one, Watch) and not is_forbidden(one)]
        if not staying:
            self.group.create_task(self.close(FORBIDDEN, error.message))
            return
        for operation_id, operation in tuple(self.operations.items()):
            if operation not in staying:
                del self.operations[operation_id]
                end(operation)
                self.write(encoded(last_message(operation_id, [error])))

    # --- sending

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message when the peer takes it.

        Raises: WebSocketDisconnect.
        """
        await self.room_to_send()
        self.write(encoded(message))

    async def room_to_send(self) -> None:
        """Wait until the peer takes more; a stalled one is closed meanwhile.

        Raises: WebSocketDisconnect.
        """
        while self.room and not self.is_over:
            await self.room.wait()
        if self.is_over or not self.wire.is_open:
            raise WebSocketDisconnect

    def paused(self) -> None:
        """The peer takes no more: what is watched stays where it is."""
        self.is_writable = False
        if self.room is None:
            self.room = asyncio.Event()
            self.stalls = asyncio.get_running_loop().call_later(SEND_SECONDS_MAX, self.stalled)

    def resumed(self) -> None:
        """The peer takes more again: what is watched goes on to now."""
        if self.stalls:
            self.stalls.cancel()
        if self.room:
            self.room.set()
            self.room = None
        self.is_writable = not self.is_over
        for operation in tuple(self.operations.values()):
            if isinstance(operation, Watch):
                operation.pump()

    def stalled(self) -> None:
        """Close a socket whose peer reads nothing; megabytes of frames wait for it in the kernel."""
        log.warning("socket stalled", client=self.websocket.client)
        self.finish()
        self.wire.end(STALLED, f"Nothing was read for {SEND_SECONDS_MAX:.0f} seconds")

    async def close(self, code: int, reason: str) -> None:
        """Close the socket unless it is closed; a peer that takes no more is not waited for."""
        if self.websocket.application_state is not WebSocketState.CONNECTED or not self.wire.is_open:
            return
        if not self.is_writable:
            self.wire.end(code, cut_reason(reason))
            return
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.websocket.close(code, cut_reason(reason))
        except (TimeoutError, WebSocketDisconnect):
            self.wire.end(code, cut_reason(reason))


def end(operation: asyncio.Task[None] | Watch) -> None:
    """End an operation without a word: whoever asked for that knows."""
    if isinstance(operation, Watch):
        operation.leave()
    else:
        operation.cancel()


def last_message(operation_id: str, errors: list[GraphQLError]) -> dict[str, Any]:
    """Say how an operation ended."""
    if errors:
        return {"id": operation_id, "type": "error", "payload": presented(errors)}
    return {"id": operation_id, "type": "complete"}


def payload_of(message: dict[str, Any]) -> dict[str, Any]:
    """Read an optional payload.

    Raises: CloseError.
    """
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise CloseError(BAD_MESSAGE, f"The payload of {message['type']} is an object")
    return payload or {}


def id_of(message: dict[str, Any]) -> str:
    """Read the id of an operation.

    Raises: CloseError.
    """
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= ID_CHARACTERS_MAX:
        raise CloseError(BAD_MESSAGE, f"The id of {message['type']} is a string of 1 to {ID_CHARACTERS_MAX} characters")
    return operation_id


def asked_in(message: dict[str, Any]) -> Asked:
    """Read the operation of a subscribe message.

    Raises: CloseError.
    """
    try:
        return asked_of(message.get("payload"))
    except RequestError as error:
        raise CloseError(BAD_MESSAGE, error.message) from None


def refusal_of(error: Exception) -> CloseError:
    """Close a socket whose caller was refused for good (4403) or could not be looked up just now (1013)."""
    worded = presented([wrapped(error)])[0]
    if worded["extensions"]["code"] in {Code.INTERNAL, Code.RATE_LIMITED}:
        return CloseError(TRY_AGAIN_LATER, worded["message"])
    return CloseError(FORBIDDEN, worded["message"])


def cut_reason(reason: str) -> str:
    return reason.encode("utf-8", "replace")[:REASON_BYTES_MAX].decode("utf-8", "ignore")
