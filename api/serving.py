"""How one process serves, and how it leaves: nobody's order is lost, and a load balancer learns of it first.

Told to end, a process says so at /readyz (503) and asks each client to come by another connection, for DRAIN_S, while
it works as before. Then it stops listening, closes sockets as going away (1001), answers what it has begun, and ends.
"""

from __future__ import annotations

import time
from types import FrameType
from typing import TYPE_CHECKING, Final

import uvicorn

from api.transport import Protocol

if TYPE_CHECKING:
    from socket import socket

    from api.guard import Guard

SHUTDOWN_GRACE_S: Final = 10  # for requests in flight; the supervisor waits longer
KEEP_ALIVE_S: Final = 5
WS_BYTES_MAX: Final = 262_144  # one message of a client: the largest document plus its variables


class Server(uvicorn.Server):
    """Uvicorn, which leaves slowly; a second request to end hurries it."""

    def __init__(self, config: uvicorn.Config, guard: Guard, drain_s: float) -> None:
        """Take whom to tell, and for how long to go on."""
        super().__init__(config)
        self._guard = guard
        self._drain_s = drain_s
        self._leave_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave; a signal handler, so it only takes notes."""
        self._guard.is_leaving = True
        if self._leave_at is None and self.started:
            self._leave_at = time.monotonic() + self._drain_s
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Leave when it is time."""
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(guard: Guard, listener: socket, drain_s: float, keep_alive_s: int = KEEP_ALIVE_S) -> None:
    """Serve until told to end; a connection without a request is kept for keep_alive_s."""
    config = uvicorn.Config(
        guard,
        loop="uvloop",
        http="httptools",
        ws=Protocol,
        ws_max_size=WS_BYTES_MAX,
        ws_per_message_deflate=False,  # costs more CPU per event than the bytes are worth
        proxy_headers=False,  # a header must not choose the address that tickets record
        server_header=False,
        access_log=False,  # tickets and metrics say more
        log_config=None,  # `api.logs` has configured them
        log_level="warning",
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )
    Server(config, guard, drain_s).run(sockets=[listener])
