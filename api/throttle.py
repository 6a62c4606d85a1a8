"""Slow guessing down before a password is hashed: by account, by address, and by both together.

A few failures are free. Each further one opens a window, twice as long as the last, in which nobody hashes anything:
whoever asks is told when to come again. No window is longer than a minute and none is kept for long, so nobody is
locked out. The window of an account as a whole does not hold for addresses it was signed in from before: a crowd of
strangers cannot keep out its owner. An email address that nobody has is treated alike, so that nothing is learnt.

What is refused in a window leaves no ticket of its own. It is answered with the ticket of the failure that opened the
window, is counted, and the count is written in one ticket when the window is over: one a minute for an account.

All of it is this process's own memory, bounded: it works when Redis does not, and N processes allow N times as much.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

import structlog

from db import ids
from db.unit import Fault, Units
from domain import people, stories
from domain.errors import DomainError, InvalidCredentials, TooManyAttempts
from domain.tickets import ActionType, Attempt

log = structlog.get_logger(__name__)

FORGET_S: Final = 900.0  # without a failure: what was counted is forgotten
TRACKED_MAX: Final = 20_000  # of each kind, some 10 MB in all; two hash threads need minutes to fill that
WAITING_MAX: Final = 100  # logins that wait for a hash thread at once, some 3 s of work; more are refused
TICKET_EVERY_S: Final = 60.0  # above the limit, for one account or address
TICKET_WAIT_S: Final = 5.0  # for the ticket of the failure that opened the window, which is being written
SETTLE_EVERY_S: Final = 1.0
KNOWN_FOR_S: Final = 60.0  # how long it is remembered where an account was signed in from
WAITING_S: Final = 3
EVERYBODY: Final = b"everybody"  # the record of logins refused because too many others wait
NETWORK_BITS: Final = 64  # of IPv6: what one customer of a provider has

Known: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""email → addresses that its owner was signed in from."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures are free, and how long a window becomes. Units: seconds."""

    free: int
    window_s_max: int


PAIR: Final = Limit(5, 60)  # an account from one address: slips of the finger are free
ACCOUNT: Final = Limit(10, 30)  # an account from anywhere; shorter, as strangers can open it
ADDRESS: Final = Limit(50, 60)  # an address for whatever account: an office of people who forgot
assert PAIR.free < ACCOUNT.free < ADDRESS.free <= WAITING_MAX
assert max(limit.window_s_max for limit in (PAIR, ACCOUNT, ADDRESS)) <= TICKET_EVERY_S < FORGET_S


class GuessRefused(Exception):
    """A refused login. ticket_id: it is counted and answered with this one; None: it gets one, and `told` is told."""

    def __init__(
        self, refusal: DomainError, ticket_id: str | None = None, told: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.ticket_id = ticket_id
        self.told = told


@dataclass(slots=True)
class Track:
    """Failures of one account, address or pair. pending: under way, and failures until they turn out otherwise."""

    limit: Limit
    failures: int = 0
    pending: int = 0
    failed_at: float = -math.inf
    ends_at: float = -math.inf

    def wait_s(self, now: float) -> int | None:
        """Return in how many seconds the next guess is due; None: now."""
        if now < self.ends_at:
            return math.ceil(self.ends_at - now)
        if now - self.failed_at > FORGET_S:
            self.failures = 0
        # Beyond what is free one at a time.
        return 1 if self.pending and self.failures + self.pending >= self.limit.free else None

    def fail(self, now: float) -> None:
        self.failures += 1
        self.failed_at = now
        if (beyond := self.failures - self.limit.free) >= 0:
            self.ends_at = now + min(2 ** min(beyond, 16), self.limit.window_s_max)


@dataclass(slots=True)
class Record:
    """What tickets say of one account or address."""

    email: str | None = None
    address: str | None = None
    ticket: asyncio.Future[str | None] | None = None
    """Of the newest failure that has one: the one that opened the window, when there is a window."""

    expected: int = 0  # tickets that are being written
    refused: int = 0
    refused_from: float = 0.0
    ends_at: float = -math.inf
    written_at: float = -math.inf  # the last ticket above the limit
    known: frozenset[str] = frozenset()
    known_at: float = -math.inf

    def give_up(self) -> None:
        """Let those who wait for a ticket get one of their own when nobody has failed after all."""
        if self.ticket is not None and not self.ticket.done() and not self.expected:
            self.ticket.set_result(None)
            self.ticket = None


@dataclass(slots=True)
class Kind:
    """Tracks of one kind, those that failed last kept."""

    limit: Limit
    tracks: OrderedDict[bytes, Track] = field(default_factory=OrderedDict)

    def find(self, key: bytes) -> Track:
        track = self.tracks.get(key)
        if track is None:
            track = self.tracks[key] = Track(self.limit)
            if len(self.tracks) > TRACKED_MAX:
                self.tracks.popitem(last=False)
        else:
            self.tracks.move_to_end(key)
        return track


class Guess:
    """One password that may be hashed."""

    def __init__(self, throttle: Throttle, tracks: tuple[Track, ...], record: Record) -> None:
        self._throttle = throttle
        self._tracks = tracks
        self._record = record

    def right(self) -> None:
        """Forget what this address got wrong with this account."""
        pair = self._tracks[0]
        pair.failures, pair.ends_at = 0, -math.inf

    def wrong(self, refusal: InvalidCredentials) -> GuessRefused:
        """Count a failure; return how to refuse it."""
        now, record = self._throttle.clock(), self._record
        for track in self._tracks:
            track.fail(now)
        record.ends_at = max(record.ends_at, *(track.ends_at for track in self._tracks[:2]))
        if any(track.failures > track.limit.free for track in self._tracks[:2]):
            ticket_id = record.ticket.result() if record.ticket and record.ticket.done() else None
            if ticket_id and now - record.written_at < TICKET_EVERY_S:
                self._throttle.count(record, now)
                return GuessRefused(refusal, ticket_id)
            record.written_at = now
        return GuessRefused(refusal, None, self._throttle.expect(record))


class Throttle:
    """Guesses at passwords, as this process has seen them."""

    def __init__(self, known: Known, clock: Callable[[], float] = time.monotonic) -> None:
        """Take where accounts were signed in from, and a clock that never goes back."""
        self.clock = clock
        self._known = known
        self._waiting = 0
        self._pairs, self._accounts, self._addresses = Kind(PAIR), Kind(ACCOUNT), Kind(ADDRESS)
        self._records: OrderedDict[bytes, Record] = OrderedDict()
        self._owing: dict[int, Record] = {}  # with refusals that no ticket tells yet

    @contextlib.asynccontextmanager
    async def guess(self, email: str, password: str, address: str | None) -> AsyncIterator[Guess]:
        """Let a password be hashed to compare it with an account's, or refuse it.

        Raises: GuessRefused (TooManyAttempts).
        """
        name, place = email.strip().lower(), network_of(address)
        shown = name[: people.EMAIL_LENGTH_MAX] if "@" in name and password.lower() not in name else None
        account, where = _key("account", name), _key("address", place)
        tracks = (
            self._pairs.find(_key("pair", name, place)),
            self._accounts.find(account),
            self._addresses.find(where),
        )
        record = self._record(account, Record(email=shown))
        now = self.clock()
        waits = [track.wait_s(now) for track in tracks]
        if waits[1] and not waits[0] and not waits[2] and await self._is_known(record, name, place):
            waits[1] = None
        if any(waits):
            is_of_place = waits[2] and not waits[0] and not waits[1]
            refused = self._record(where, Record(address=place)) if is_of_place else record
            ends = [track.ends_at for track, wait_s in zip(tracks, waits, strict=True) if wait_s]
            refused.ends_at = max(refused.ends_at, *ends)
            await self._refuse(refused, max(wait_s or 0 for wait_s in waits))
        if self._waiting >= WAITING_MAX:
            await self._refuse(self._record(EVERYBODY, Record()), WAITING_S)
        if record.ticket is None:
            record.ticket = asyncio.get_running_loop().create_future()  # of this one, should it fail
        self._waiting += 1
        for track in tracks:
            track.pending += 1
        try:
            yield Guess(self, tracks, record)
        finally:
            self._waiting -= 1
            for track in tracks:
                track.pending -= 1
            if not tracks[1].pending:
                record.give_up()

    async def _is_known(self, record: Record, name: str, place: str) -> bool:
        now = self.clock()
        if now - record.known_at > KNOWN_FOR_S:
            record.known_at = now  # first: a flood waits for nobody, and asks once
            record.known = frozenset(map(network_of, await self._known(name)))
        return place in record.known

    async def _refuse(self, record: Record, wait_s: int) -> None:
        """Refuse with the ticket that opened the window, or with one of its own where there is none.

        Raises: GuessRefused.
        """
        refusal = TooManyAttempts(
            f"Too many failed sign-ins. Try again in {wait_s} {'second' if wait_s == 1 else 'seconds'}.",
            retryAfter=wait_s,
        )
        ticket_id = None
        if record.ticket:
            with contextlib.suppress(TimeoutError):
                ticket_id = await asyncio.wait_for(asyncio.shield(record.ticket), TICKET_WAIT_S)
        if ticket_id is None:
            raise GuessRefused(refusal, None, self.expect(record))
        self.count(record, self.clock())
        raise GuessRefused(refusal, ticket_id)

    def _record(self, key: bytes, fresh: Record) -> Record:
        record = self._records.setdefault(key, fresh)
        self._records.move_to_end(key)
        if len(self._records) > 2 * TRACKED_MAX:
            self._records.popitem(last=False)
        return record

    def expect(self, record: Record) -> Callable[[str], None]:
        """Let those who are refused wait for the ticket that is about to be written; return what takes it."""
        if record.ticket is None or record.ticket.done():
            record.ticket = asyncio.get_running_loop().create_future()
        expected = record.ticket
        record.expected += 1

        def take(ticket_id: str) -> None:
            record.expected -= 1
            if not expected.done():
                expected.set_result(ticket_id)

        return take

    def count(self, record: Record, now: float) -> None:
        if not record.refused:
            record.refused_from = now
        record.refused += 1
        self._owing[id(record)] = record

    # --- tickets

    async def watch(self, units: Units) -> None:
        """Write the counts of windows that are over, for as long as this process lives."""
        while True:
            await asyncio.sleep(SETTLE_EVERY_S)
            await self.settle(units)

    async def settle(self, units: Units, *, is_end: bool = False) -> None:
        """Write one ticket for each account or address whose window is over, or has been told of long ago."""
        now = self.clock()
        for record in list(self._owing.values()):
            is_over = now >= record.ends_at or now - record.refused_from >= TICKET_EVERY_S
            if is_end or (is_over and now - record.written_at >= TICKET_EVERY_S):
                count, record.refused, record.written_at = record.refused, 0, now
                del self._owing[id(record)]
                await self._write(units, record, count)

    async def _write(self, units: Units, record: Record, count: int) -> None:
        told = record.ticket.result() if record.ticket and record.ticket.done() else None
        request = {"email": record.email, "address": record.address, "refused": count, "window": told}
        attempt = Attempt(
            attempt_id=ids.new(),
            field="login",
            action_type=ActionType.USER_LOGIN_FAILED,
            request={name: value for name, value in request.items() if value is not None},
            started_at_ns=time.monotonic_ns(),
            ip_address=record.address if record.address and "/" not in record.address else None,
        )
        message = f"{count:,} {'login' if count == 1 else 'logins'} refused after too many failures."
        try:
            await units.record(attempt, stories.of_refused_logins(count), TooManyAttempts.code, message)
        except Fault:
            log.warning("refused_logins_untold", refused=count)  # kept on disk by `record` where that can be


def network_of(address: str | None) -> str:
    """Return what one customer has: an IPv4 address, or a network of IPv6."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, NETWORK_BITS), strict=False))
    return str(parsed)


def _key(*parts: str) -> bytes:
    """Return a short key, however long a stranger makes an email address."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()[:16]
