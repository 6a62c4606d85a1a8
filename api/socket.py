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
from typing import Any, Final, Generic, TypeVar

import structlog
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.exceptions import ConnectionRejectionError
from strawberry.schema import BaseSchema
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from api.errors import Code, RequestError, is_request_error, presented, wrapped
from api.origin import from_this_site, without_cookies
from api.wire import Asked, asked_of, decoded, encoded

log = structlog.get_logger(__name__)

PROTOCOL: Final = "graphql-transport-ws"
INIT_SECONDS_MAX: Final = 5.0  # a socket without a caller is worth nothing
SEND_SECONDS_MAX: Final = 20.0  # the peer has not read for this long: megabytes of frames wait for it
OPERATIONS_MAX: Final = 32  # at once on one socket
TASKS_MAX: Final = 2 * OPERATIONS_MAX  # with those that were completed and still clean up
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
INIT_TWICE: Final = 4429

CallerT = TypeVar("CallerT")
ContextT = TypeVar("ContextT")
Connect = Callable[[WebSocket, dict[str, Any]], Awaitable[CallerT]]
"""Once per socket, with the payload of connection_init ({} when absent): returns the caller, raises to refuse."""

SocketContext = Callable[[WebSocket, CallerT], Awaitable[ContextT]]
"""Once per operation: nothing, above all no loader, is shared among operations."""

ACCEPTED_OPERATIONS: Final = frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION})


class CloseError(Exception):
    """End the conversation with a close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StalledError(Exception):
    """The peer stopped reading."""


async def serve_socket(
    schema: BaseSchema,
    connect: Connect[CallerT],
    socket_context: SocketContext[CallerT, ContextT],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
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
        await Socket(schema, websocket, connect, socket_context).serve()
    except* StalledError:
        log.warning("socket stalled", client=websocket.client)


class Socket(Generic[CallerT, ContextT]):
    """One accepted socket and the operations that run on it."""

    def __init__(
        self,
        schema: BaseSchema,
        websocket: WebSocket,
        connect: Connect[CallerT],
        socket_context: SocketContext[CallerT, ContextT],
    ) -> None:
        self.schema = schema
        self.websocket = websocket
        self.connect = connect
        self.socket_context = socket_context
        self.operations: dict[str, asyncio.Task[None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.group = asyncio.TaskGroup()

    async def serve(self) -> None:
        """Talk until either side closes; every generator has run its `finally` when this returns.

        Raises: ExceptionGroup of StalledError.
        """
        async with self.group:
            try:
                caller = await self.connected()
                while True:
                    await self.handle(await self.received(), caller)
            except CloseError as closing:
                await self.close(closing.code, closing.reason)
            except WebSocketDisconnect:
                pass
            except StalledError:
                raise
            except Exception:
                log.exception("socket failed")
                await self.close(FAULT, "Internal error")
            finally:
                for task in self.tasks:
                    task.cancel()

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

    async def connected(self) -> CallerT:
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
            caller = await self.connect(self.websocket, payload)
        except (ConnectionRejectionError, PermissionError):
            raise CloseError(FORBIDDEN, "Forbidden") from None
        except Exception as error:
            raise refusal_of(error) from None
        await self.send({"type": "connection_ack"})
        return caller

    async def handle_early(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            payload_of(message)
            await self.send({"type": "pong"})
        elif message["type"] != "pong":
            raise CloseError(UNAUTHORIZED, "Unauthorized: send connection_init first")

    async def handle(self, message: dict[str, Any], caller: CallerT) -> None:
        """Do what one message asks.

        Raises: CloseError.
        """
        match message["type"]:
            case "subscribe":
                await self.subscribe(id_of(message), asked_in(message), caller)
            case "complete":
                if task := self.operations.pop(id_of(message), None):
                    task.cancel()
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

    async def subscribe(self, operation_id: str, asked: Asked, caller: CallerT) -> None:
        """Start an operation."""
        if operation_id in self.operations:
            raise CloseError(ID_IN_USE, f"Subscriber for {operation_id} already exists")
        if len(self.operations) >= OPERATIONS_MAX or len(self.tasks) >= TASKS_MAX:
            full = RequestError(
                f"A socket runs at most {OPERATIONS_MAX} operations at once; complete one first.", Code.RATE_LIMITED
            )
            await self.send({"id": operation_id, "type": "error", "payload": presented([full])})
            return
        task = self.group.create_task(self.run(operation_id, asked, caller))
        self.operations[operation_id] = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, operation_id: str, asked: Asked, caller: CallerT) -> None:
        """Run one operation to its end and say how it ended.

        Raises: StalledError.
        """
        try:
            errors: list[GraphQLError] = []
            try:
                errors = await self.streamed(operation_id, asked, caller)
            except (WebSocketDisconnect, StalledError):
                raise
            except Exception as error:
                errors = [wrapped(error)]  # whatever it is, the watcher must hear of it
            finally:
                # Free before the last message, as the client may use the id again upon it; a client that
                # sent `complete` may have done so already.
                if self.operations.get(operation_id) is asyncio.current_task():
                    del self.operations[operation_id]
            if errors:
                await self.send({"id": operation_id, "type": "error", "payload": presented(errors)})
            else:
                await self.send({"id": operation_id, "type": "complete"})
        except WebSocketDisconnect:
            pass  # the conversation ends by itself

    async def streamed(self, operation_id: str, asked: Asked, caller: CallerT) -> list[GraphQLError]:
        """Send every result of an operation; return the errors that ended it, if any did.

        Raises: StalledError, WebSocketDisconnect.
        """
        context = await self.socket_context(self.websocket, caller)
        stream = await self.schema.stream(
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
                # Without data and without a path: refused, or the generator itself failed.
                if is_request_error(result.data, result.errors):
                    return list(result.errors or ())
                payload: dict[str, Any] = {"data": result.data}
                if result.errors:
                    payload["errors"] = presented(result.errors)
                if result.extensions:
                    payload["extensions"] = result.extensions
                await self.send({"id": operation_id, "type": "next", "payload": payload})
                # A generator that always has the next event never waits. Without this it would starve the
                # loop, and uvloop, which writes between two rounds, would never tell us that the peer is slow.
                await asyncio.sleep(0)
        return []

    # --- sending

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message as text: browsers' clients cannot read binary frames.

        Raises: StalledError, WebSocketDisconnect.
        """
        text = encoded(message).decode()
        if self.websocket.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnect
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.websocket.send_text(text)
        except TimeoutError:
            raise StalledError from None

    async def close(self, code: int, reason: str) -> None:
        """Close the socket unless it is closed.

        Raises: StalledError.
        """
        if self.websocket.application_state is not WebSocketState.CONNECTED:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.websocket.close(code, cut_reason(reason))
        except TimeoutError:
            raise StalledError from None
        except WebSocketDisconnect:
            pass


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
