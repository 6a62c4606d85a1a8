"""Heavy documents take turns: executing one is work of an event loop, and takes memory.

One that costs more than HEAVY_POINTS_MIN waits until no other one runs, and the turn is kept afterwards in proportion
to the time that it took. In a process that also has the desk, what is left of its time is the market's; a reader
process (`api.readers`) rests too, since on a machine whose cores share their parts even the lowest priority slows all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from api.errors import Code, RequestError

HEAVY_POINTS_MIN: Final = 4_000  # about 20 ms
WAIT_S_MAX: Final = 15.0
WAITING_MAX: Final = 16
DESK_REST: Final = 4.0  # times the time of this thread that passed meanwhile: heavy documents take a fifth at most
READER_REST: Final = 2.0  # times the time that passed: PostgreSQL works for a reader a third of the time at most


class Turns:
    """One heavy document at a time."""

    def __init__(self, *, is_reader: bool = False) -> None:
        """Take whether the process only reads."""
        self._rest = READER_REST if is_reader else DESK_REST
        self._clock = time.monotonic if is_reader else time.thread_time
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def taken(self, points: int) -> AsyncIterator[bool]:
        """Wait for one's turn, if a document needs one; yield whether it does.

        Raises: RequestError (RATE_LIMITED: too many wait, or for too long).
        """
        if points <= HEAVY_POINTS_MIN:
            yield False
            return
        await self._wait()
        begun = self._clock()
        try:
            yield True
        finally:
            asyncio.get_running_loop().call_later((self._clock() - begun) * self._rest, self._turn.release)

    async def _wait(self) -> None:
        message = "Other heavy documents are being answered. Try again in a moment, or ask for less at once."
        if self._waiting >= WAITING_MAX:
            raise RequestError(message, Code.RATE_LIMITED, retryAfter=int(WAIT_S_MAX))
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self._turn.acquire()
        except TimeoutError:
            raise RequestError(message, Code.RATE_LIMITED, retryAfter=int(WAIT_S_MAX)) from None
        finally:
            self._waiting -= 1
