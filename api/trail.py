"""The live tail of tickets: every ticket once, in an order in which nothing can come too late.

One reader per distinct filter and process asks the database, woken by notices and at least once a second. Tickets are
released in the order (txid, year, number) below the database's horizon, so a low number that commits late comes later
and is never lost. A notice only wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

import db.tickets
from api.events import Events, Keep, cancel
from db.read import Reader
from db.tickets import Place, Released, TicketFilter, TicketRecord

POLL_S = 1.0  # without any notice: Redis may be away
CATCH_UP_S = 0.05  # a woken reader looks again so soon: an older transaction may hold the horizon back
CATCH_UPS = 4  # times; after that the next notice or poll is soon enough
WAIT_S_MAX = 10.0  # a follower looks at least so often, whatever became of the reader
BATCH_MAX = 200  # tickets of one read
KEPT_MAX = 1_000  # tickets that a reader keeps for its slow followers; one further behind reads for itself
log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Tail:
    """The reader of one filter and those who follow it."""

    wanted: TicketFilter
    place: Place
    floor: Place  # everything behind this place and up to `place` is kept
    kept: deque[tuple[Place, TicketRecord]] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    followers: int = 0
    task: asyncio.Task[None] | None = None


class Trail:
    """Follow the tickets of a filter from now, or from after a ticket."""

    def __init__(self, events: Events, reader: Reader) -> None:
        self._events = events
        self._reader = reader
        self._tails: dict[str, _Tail] = {}
        self._opening = asyncio.Lock()

    async def stop(self) -> None:
        """End all readers; their followers end with them."""
        tails, self._tails = list(self._tails.values()), {}
        await cancel([tail.task for tail in tails if tail.task])
        for tail in tails:
            tail.task = None
            tail.moved.set()

    async def follow(self, wanted: TicketFilter, after: str | None) -> AsyncGenerator[TicketRecord, None]:
        """Yield each ticket of the filter that comes after a place: now, or that of a ticket.

        Raises: InvalidInput (filter), KeyError (no such ticket).
        """
        tail = await self._tail(wanted)
        try:
            place = await self._start(tail, after)
            while tail.task is not None:
                moved, known = tail.moved, tail.place  # taken before looking, so that nothing slips between
                part = await self._behind(tail, place)
                for position, record in part.items:
                    place = position
                    yield record
                place = max(place, part.place)
                if not part.items and not part.has_more:
                    place = max(place, known)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(WAIT_S_MAX):
                            await moved.wait()
        finally:
            self._leave(wanted, tail)

    async def _start(self, tail: _Tail, after: str | None) -> Place:
        if after is None:
            return tail.place
        place = await db.tickets.place_of(self._reader, after)
        if place is None:
            raise KeyError(after)
        return place

    async def _behind(self, tail: _Tail, place: Place) -> Released:
        """Return the next tickets of a follower: from memory, or from the database when he is further behind."""
        if place >= tail.floor:
            kept = [(position, record) for position, record in tail.kept if position > place]
            return Released(kept, place, has_more=False)
        return await db.tickets.released_since(self._reader, place, tail.wanted, BATCH_MAX)

    async def _tail(self, wanted: TicketFilter) -> _Tail:
        key = repr(wanted)
        async with self._opening:
            tail = self._tails.get(key)
            if tail is None:
                db.tickets.where(wanted)  # refuses a filter that is too large
                place = await db.tickets.horizon(self._reader)
                tail = self._tails[key] = _Tail(wanted, place, place)
                tail.task = asyncio.create_task(self._read(tail), name="ticket trail")
            tail.followers += 1
            return tail

    def _leave(self, wanted: TicketFilter, tail: _Tail) -> None:
        tail.followers -= 1
        if tail.followers == 0 and self._tails.get(repr(wanted)) is tail:
            del self._tails[repr(wanted)]
            if tail.task:
                tail.task.cancel()

    async def _read(self, tail: _Tail) -> None:
        """Keep a tail up to the horizon for as long as somebody follows."""
        with self._events.listen("tickets", keep=Keep.LATEST) as wake:
            looks = 0
            while True:
                try:
                    part = await db.tickets.released_since(self._reader, tail.place, tail.wanted, BATCH_MAX)
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("ticket_trail_waits", error=repr(error))
                    await asyncio.sleep(POLL_S)
                    continue
                for position, record in part.items:
                    if len(tail.kept) == KEPT_MAX:
                        tail.floor = tail.kept[0][0]
                    tail.kept.append((position, record))
                tail.place = part.place
                if part.items:
                    moved, tail.moved = tail.moved, asyncio.Event()
                    moved.set()
                if part.has_more:
                    continue
                looks = looks - 1 if looks else 0
                if await wake.get(CATCH_UP_S if looks else POLL_S) is not None:
                    looks = CATCH_UPS
