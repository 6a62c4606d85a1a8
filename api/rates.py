"""How much somebody may ask: requests by session and by address, and large bodies at once.

Buckets of this process's own memory, so they hold when Redis does not; N processes allow N times as much. A session is
charged by its token once that was found good; until then, and for whoever has none, the address is. So a stranger who
sends a new token with each request pays like one who sends none, and pays before anybody looks into the database.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from api.errors import Code, RequestError
from api.throttle import network_of

log = structlog.get_logger(__name__)

BURST_S: Final = 10  # of the rate that may be asked at once: a page that opens, a program that catches up
TRACKED_MAX: Final = 20_000  # buckets of each kind, those asked last kept
LARGE_OF_SESSION_MAX: Final = 2  # bodies beyond what anybody may send, each of up to 8 MiB, at once
LARGE_MAX: Final = 16  # of the process: 128 MiB, some three times that while they are decoded
LARGE_RETRY_S: Final = 1
TOLD_EVERY_S: Final = 60.0  # a line in the log for one that goes on


def limited(message: str, retry_after_s: int) -> RequestError:
    """Return a refusal that says when to come again."""
    return RequestError(message, Code.RATE_LIMITED, 429, retryAfter=retry_after_s)


@dataclass(slots=True)
class Bucket:
    """What is left of a rate, as of a moment."""

    left: float
    at: float
    told_at: float = -math.inf


class Buckets:
    """Buckets of one rate, by key."""

    def __init__(self, per_s: int, clock: Callable[[], float]) -> None:
        self.per_s = per_s
        self._clock = clock
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._buckets

    def __len__(self) -> int:
        return len(self._buckets)

    def open(self, key: Hashable) -> Bucket:
        """Return the bucket of a key, full when it is new."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self.per_s * BURST_S, self._clock())
            if len(self._buckets) > TRACKED_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def charge(self, key: Hashable, whose: str) -> None:
        """Take one request out of a bucket.

        Raises: RequestError (RATE_LIMITED).
        """
        bucket, now = self.open(key), self._clock()
        bucket.left = min(bucket.left + (now - bucket.at) * self.per_s, self.per_s * BURST_S)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left -= 1
            return
        if now - bucket.told_at > TOLD_EVERY_S:
            bucket.told_at = now
            log.warning("rate_limited", whose=whose)
        raise limited(
            f"More than {self.per_s:,} requests a second from this {whose.partition(' ')[0]}. Slow down.",
            math.ceil((1 - bucket.left) / self.per_s),
        )


class Rates:
    """The rates of one process."""

    def __init__(self, session_per_s: int, address_per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the rates, and a clock that never goes back."""
        self.sessions = Buckets(session_per_s, clock)
        self.addresses = Buckets(address_per_s, clock)
        self._large: Counter[Hashable] = Counter()

    def charge(self, token: str | None, address: str | None) -> None:
        """Charge a request to the session whose token it brings, when that is known, else to its address.

        Raises: RequestError (RATE_LIMITED).
        """
        key = _key(token) if token else None
        if key in self.sessions:
            self.sessions.charge(key, "session")
        else:
            place = network_of(address)
            self.addresses.charge(place, f"address {place}")

    def vouch(self, token: str) -> None:
        """Know a token that was found good."""
        self.sessions.open(_key(token))

    @contextlib.contextmanager
    def large_body(self, session: Hashable) -> Iterator[None]:
        """Hold room for a large body until its request is answered.

        Raises: RequestError (RATE_LIMITED).
        """
        if self._large[session] >= LARGE_OF_SESSION_MAX:
            raise limited(f"A session sends at most {LARGE_OF_SESSION_MAX} large bodies at once.", LARGE_RETRY_S)
        if self._large.total() >= LARGE_MAX:
            raise limited("Too many large bodies arrive at once. Try again in a moment.", LARGE_RETRY_S)
        self._large[session] += 1
        try:
            yield
        finally:
            self._large[session] -= 1
            self._large += Counter()  # forgets who sends none


def _key(token: str) -> bytes:
    """Return what is kept of a token, never the token itself."""
    return hashlib.sha256(token.encode(errors="replace")).digest()[:16]
