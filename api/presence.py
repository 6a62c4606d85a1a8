"""Who is here by web socket: bounds on how many may come, and a look every few seconds at who may still stay.

A socket lives for hours; a session ends, a role is taken away, an operator closes the market data to strangers. So all
sessions with an open socket are looked up together every LOOK_S, with what is public, and each socket is told what it
is now. The bounds are those of one process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

import structlog

from api.errors import Code, RequestError
from domain.people import Caller

LOOK_S: Final = 2.0
LOOK_S_MAX: Final = 2.0  # for one look; beyond it the next one is soon
PROMISE_S: Final = 5.0  # after which no stream shows what its watcher may not see any more
assert LOOK_S + LOOK_S_MAX < PROMISE_S

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one client may hold open at a time, in one process."""

    subscriptions: int = 32  # operations on one socket
    sockets_per_session: int = 16
    sockets_per_address: int = 64  # of those who have not signed in


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the database found: who still holds the sessions asked for, and whether market data are public."""

    callers: Mapping[UUID, Caller]
    is_public: bool


Look: TypeAlias = Callable[[list[UUID]], Awaitable[Seen]]


class Guest(Protocol):
    """A socket, as far as it is looked after."""

    def looked_up(self, caller: Caller | None, *, is_public: bool) -> None:
        """Learn who the caller is now."""


@dataclass(eq=False, slots=True)
class Visit:
    """One open socket."""

    presence: Presence
    address: str
    guest: Guest | None = None
    caller: Caller | None = None
    _counted: Hashable = field(default=None)

    def sign_in(self, caller: Any, guest: Any) -> None:
        """Count the socket for a session from now on, where there is one; have it looked after.

        Raises: RequestError (RATE_LIMITED).
        """
        if isinstance(caller, Caller):
            self.presence._count(self, caller.session.id, self.presence.bounds.sockets_per_session, "for one session")
            self.caller = caller
        self.guest = guest

    def sign_out(self) -> None:
        """Be nobody from now on; counted as before, since it is the same client."""
        self.caller = None

    def leave(self) -> None:
        """The socket is closed."""
        self.presence._leave(self)


class Presence:
    """All open sockets of a process."""

    def __init__(self, bounds: Bounds | None = None, look: Look | None = None) -> None:
        """Without a look nobody is ever told anything."""
        self.bounds = bounds or Bounds()
        self._look = look
        self._visits: set[Visit] = set()
        self._counts: Counter[Hashable] = Counter()

    @property
    def sockets(self) -> int:
        """Count the open sockets."""
        return len(self._visits)

    def enter(self, address: str) -> Visit:
        """Let a socket in.

        Raises: RequestError (RATE_LIMITED).
        """
        visit = Visit(self, address)
        self._count(visit, address, self.bounds.sockets_per_address, "from one address without a session")
        self._visits.add(visit)
        return visit

    async def watch(self) -> None:
        """Look after everybody, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once; when the database does not answer, everybody stays what he was: nothing new reaches him either."""
        assert self._look is not None
        sessions = list({visit.caller.session.id for visit in self._visits if visit.caller})
        try:
            async with asyncio.timeout(LOOK_S_MAX):
                seen = await self._look(sessions)
        except Exception as error:  # whatever the driver raises: looked at again in a moment
            log.warning("presence_unknown", error=repr(error))
            return
        asked = set(sessions)
        for visit in tuple(self._visits):
            if visit.guest and (visit.caller is None or visit.caller.session.id in asked):
                caller = seen.callers.get(visit.caller.session.id) if visit.caller else None
                visit.guest.looked_up(caller, is_public=seen.is_public)

    def _count(self, visit: Visit, key: Hashable, bound: int, whose: str) -> None:
        if self._counts[key] >= bound:
            raise RequestError(f"At most {bound} sockets {whose}; close one first.", Code.RATE_LIMITED)
        self._uncount(visit)
        self._counts[key] += 1
        visit._counted = key

    def _uncount(self, visit: Visit) -> None:
        if visit._counted is not None:
            self._counts[visit._counted] -= 1
            if not self._counts[visit._counted]:
                del self._counts[visit._counted]
            visit._counted = None

    def _leave(self, visit: Visit) -> None:
        self._uncount(visit)
        self._visits.discard(visit)
