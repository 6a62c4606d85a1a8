"""The wire under a web socket: say at once whether the peer takes more, write without waiting, end what does not read.

ASGI only knows `send`, which waits. A feed with thousands of watchers wants to write to those who take it and pass over
those who do not, in one go and without a task for each. So the program serves sockets with `Protocol`, which is
uvicorn's own and hands its wire to the application; under any other server `AsgiWire` does the same by tasks.

A server closes a connection when what is buffered has been sent. To a peer that never reads that is never: whatever is
closed here is cut off after LINGER_S, and the close frame, which stands in the buffer, is all that can be done to tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

EXTENSION: Final = "carbondesk.wire"  # of the ASGI scope
LINGER_S: Final = 10.0  # for a peer that begins to read again, so that it learns why it was closed
SHORT_MAX, MEDIUM_MAX = 125, 0xFFFF  # lengths that RFC 6455 writes in one byte and in two
TEXT_FRAME: Final = 0x81  # FIN, opcode 1
GOING_AWAY: Final = 1001  # the server ends: clients come back by themselves, to another one
PING_TIMEOUT: Final = 1011  # uvicorn's code for a peer that did not answer a ping
_SHORT, _MEDIUM, _LONG = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")


def text_frame(message: bytes) -> bytes:
    """Put a whole text message into one unmasked frame, as servers send it."""
    length = len(message)
    if length <= SHORT_MAX:
        return _SHORT.pack(TEXT_FRAME, length) + message
    if length <= MEDIUM_MAX:
        return _MEDIUM.pack(TEXT_FRAME, SHORT_MAX + 1, length) + message
    return _LONG.pack(TEXT_FRAME, SHORT_MAX + 2, length) + message


def nothing() -> None:
    """Do nothing: nobody listens to the wire yet."""


class Wire(ABC):
    """What a socket is written to. `paused` and `resumed` are called when the peer stops taking more, and takes it."""

    def __init__(self) -> None:
        self.paused: Callable[[], None] = nothing
        self.resumed: Callable[[], None] = nothing

    @property
    @abstractmethod
    def is_writable(self) -> bool:
        """Tell whether the peer takes more now."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Tell whether anything written now may still arrive."""

    @abstractmethod
    def write(self, message: bytes) -> None:
        """Write a text message whether or not the peer takes more; never waits. What comes after the end is dropped."""

    @abstractmethod
    def end(self, code: int, reason: str) -> None:
        """Close at once, whatever is still unread: the close frame is put behind it, then the line is cut."""


class _ProtocolWire(Wire):
    """The wire of a connection that `Protocol` serves."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        self._protocol = protocol

    @property
    def is_writable(self) -> bool:
        return self._protocol.writable.is_set()

    @property
    def is_open(self) -> bool:
        protocol = self._protocol
        return not (protocol.close_sent or protocol.disconnected or protocol.transport.is_closing())

    def write(self, message: bytes) -> None:
        protocol = self._protocol
        if protocol.conn.state is State.OPEN and not protocol.close_sent and not protocol.disconnected:
            protocol.transport.write(text_frame(message))

    def end(self, code: int, reason: str) -> None:
        protocol = self._protocol
        if self.is_open and protocol.conn.state is State.OPEN:
            protocol.conn.send_close(code, reason)
            protocol.transport.write(b"".join(protocol.conn.data_to_send()))
            protocol.close_sent = True
            protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        protocol.cut_soon()


class Protocol(WebSocketsSansIOProtocol):
    """Uvicorn's web sockets, with a wire for the application, and no connection that outlives its end."""

    wire: Wire | None = None
    cut: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Run the application with a wire in its scope."""
        self.wire = self.scope["extensions"][EXTENSION] = _ProtocolWire(self)  # type: ignore[assignment]
        try:
            await super().run_asgi()
        finally:
            self.cut_soon()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.wire:
            self.wire.paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.wire:
            self.wire.resumed()

    def shutdown(self) -> None:
        """Say that this server is going away: uvicorn's own code, 1012, is not known to every client."""
        if self.handshake_complete and not self.close_sent and self.conn.state is State.OPEN:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY, "reason": "Going away"})
            self.conn.send_close(GOING_AWAY, "Going away")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.stop_keepalive()
            self.transport.close()
            self.cut_soon()
        else:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": PING_TIMEOUT, "reason": "keepalive ping timeout"}
        )
        self.cut_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.wire = None  # it holds us
        if self.cut:
            self.cut.cancel()

    def cut_soon(self) -> None:
        """Give the peer a moment to read what stands in the buffer, then cut the line."""
        if self.cut is None and not self.disconnected:
            self.cut = self.loop.call_later(LINGER_S, self.transport.abort)


class AsgiWire(Wire):
    """The wire under a server that is not ours: one message under way, by a task; who pauses is told so."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send
        self._waiting: list[dict[str, Any]] = []
        self._task: asyncio.Task[None] | None = None
        self._is_open = True

    @property
    def is_writable(self) -> bool:
        return self._task is None

    @property
    def is_open(self) -> bool:
        return self._is_open

    def write(self, message: bytes) -> None:
        self._put({"type": "websocket.send", "text": message.decode()})

    def end(self, code: int, reason: str) -> None:
        self._put({"type": "websocket.close", "code": code, "reason": reason})
        self._is_open = False
        if task := self._task:
            asyncio.get_running_loop().call_later(LINGER_S, task.cancel)

    def _put(self, message: dict[str, Any]) -> None:
        if not self._is_open:
            return
        self._waiting.append(message)
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="socket wire")
            self.paused()

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._send(self._waiting.pop(0))
        except OSError:
            self._is_open = False  # the connection was lost: whoever receives is told as well
        finally:
            self._task = None
            with contextlib.suppress(RuntimeError):  # the loop may have ended
                self.resumed()


def wire_of(scope: Scope, send: Send) -> Wire:
    """Return the wire of an accepted socket."""
    wire = (scope.get("extensions") or {}).get(EXTENSION)
    return wire if isinstance(wire, Wire) else AsgiWire(send)
