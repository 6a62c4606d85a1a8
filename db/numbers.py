"""Ticket numbers. PostgreSQL is the authority: a block is a durable lease; Redis only dispenses inside a lease.

A process asks Redis for sub-blocks of the newest shared lease and draws from memory. Without Redis it leases a block of
its own. A transaction that uses a number share-locks its lease (`Transaction.draw`), so a closer, who needs the row for
himself, waits for every such transaction and then knows which numbers were never used: those become voids.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import redis.asyncio
import structlog
from redis.exceptions import RedisError

from db.transaction import Connection
from db.unit import Pool
from domain.errors import Busy

SHARED_LEASE_SIZE = 1_024  # a third of a second of full load; what a lost Redis forgets of it becomes voids
OWN_LEASE_SIZE = 512  # without Redis; what is left over at the end of the process becomes voids
SUB_BLOCK_SIZE = 64  # one INCRBY for about 60 tickets
REDIS_TIMEOUT_S = 0.020  # an order never waits longer than this for Redis
BREAKER_S = 5.0  # after a failure Redis is not asked again for so long
CLOSE_AFTER_S = 60.0  # a lease is closed this long after a newer one exists; holders of its numbers simply draw again
LEASE_KEY_S = 366 * 86_400  # a lease is of one year
SKIPPED = "skipped by a restore: it may have been used in what was lost"
LEASE_RETRIES_MAX = 8  # processes that lease at the same moment collide on (year, lo)
assert OWN_LEASE_SIZE >= SUB_BLOCK_SIZE and SHARED_LEASE_SIZE % SUB_BLOCK_SIZE == 0

_DISPENSE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
return redis.call('INCRBY', KEYS[1], ARGV[1])
"""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Number:
    """A ticket number of a year and the lease that it stands in."""

    year: int
    number: int
    lease_id: int


@dataclass(slots=True)
class _Block:
    year: int
    lease_id: int
    next: int
    last: int


@dataclass(frozen=True, slots=True)
class _Lease:
    id: int
    lo: int
    hi: int
    leased_at: datetime

    @property
    def key(self) -> str:
        """Name it in Redis; the time tells it from the lease of that id in a database that was made anew."""
        return f"lease:{self.id}:{self.leased_at.timestamp():.6f}"


class Numbers:
    """Draw ticket numbers, each at most once in all processes together."""

    def __init__(self, pool: Pool, redis_client: redis.asyncio.Redis | None, prefix: str) -> None:
        """Take a pool for leases: not the one of the units, which would wait for itself when it is full."""
        self._pool = pool
        self._redis = redis_client
        self._prefix = prefix
        self._blocks: deque[_Block] = deque()
        self._shared: dict[int, _Lease] = {}  # by year
        self._burnt_upto = 0  # shared leases up to this id are not taken up again: Redis may know them wrong
        self._lock = asyncio.Lock()
        self._redis_retry_at = 0.0
        self._refill: asyncio.Task[None] | None = None

    async def draw(self, year: int, count: int) -> list[Number]:
        """Return count numbers of a year; they are not known outside before their transaction commits."""
        numbers: list[Number] = []
        while len(numbers) < count:
            numbers += self._from_memory(year, count - len(numbers))
            if len(numbers) < count:
                async with self._lock:
                    if not self._stock(year):
                        self._blocks.append(await self._block(year, count - len(numbers)))
        if self._stock(year) < SUB_BLOCK_SIZE // 2 and (self._refill is None or self._refill.done()):
            self._refill = asyncio.create_task(self._fetch_ahead(year))
        return numbers

    def give_back(self, numbers: Iterable[Number]) -> None:
        """Take back numbers that were drawn and never became known to anybody."""
        self._blocks.extendleft(_Block(one.year, one.lease_id, one.number, one.number) for one in numbers)

    def burn(self, lease_ids: set[int]) -> None:
        """Forget all numbers of these leases: closed ones, or dispensed twice by a Redis that went back in time."""
        self._blocks = deque(block for block in self._blocks if block.lease_id not in lease_ids)
        self._shared = {year: lease for year, lease in self._shared.items() if lease.id not in lease_ids}
        self._burnt_upto = max({self._burnt_upto, *lease_ids})

    async def stop(self) -> None:
        if self._refill:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)

    def _stock(self, year: int) -> int:
        return sum(block.last - block.next + 1 for block in self._blocks if block.year == year)

    def _from_memory(self, year: int, count: int) -> list[Number]:
        numbers: list[Number] = []
        while self._blocks and len(numbers) < count:
            block = self._blocks[0]
            if block.year != year or block.next > block.last:
                self._blocks.popleft()
                continue
            upto = min(block.last, block.next + count - len(numbers) - 1)
            numbers += [Number(year, number, block.lease_id) for number in range(block.next, upto + 1)]
            block.next = upto + 1
        return numbers

    async def _fetch_ahead(self, year: int) -> None:
        try:
            async with self._lock:
                if self._stock(year) < SUB_BLOCK_SIZE // 2:
                    self._blocks.append(await self._block(year, SUB_BLOCK_SIZE))
        except (OSError, Busy, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("ticket_numbers_fetch_ahead_failed", error=repr(error))  # the next draw asks again

    async def _block(self, year: int, wanted: int) -> _Block:
        if self._redis is not None and time.monotonic() >= self._redis_retry_at:
            try:
                return await self._shared_block(self._redis, year, wanted)
            except (RedisError, OSError, TimeoutError) as error:
                self._redis_retry_at = time.monotonic() + BREAKER_S
                log.warning("ticket_numbers_without_redis", error=repr(error), retry_s=BREAKER_S)
        lease = await self._lease(year, max(OWN_LEASE_SIZE, wanted), is_shared=False)
        return _Block(year, lease.id, lease.lo, lease.hi)

    async def _shared_block(self, client: redis.asyncio.Redis, year: int, wanted: int) -> _Block:
        size = min(max(SUB_BLOCK_SIZE, wanted), SHARED_LEASE_SIZE)
        lease = self._shared.get(year) or await self._newest_shared(year)
        block = await self._dispense(client, year, lease, size) if lease else None
        if block is None:  # another process may have leased meanwhile
            newer = await self._newest_shared(year)
            if newer and newer != lease:
                lease, block = newer, await self._dispense(client, year, newer, size)
        if block is None:
            lease = await self._lease(year, SHARED_LEASE_SIZE, is_shared=True)
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                await client.set(self._prefix + lease.key, 0, nx=True, ex=LEASE_KEY_S)
            block = await self._dispense(client, year, lease, size)
            if block is None:
                raise RedisError(f"Redis lost the key of lease {lease.id} at once")
        assert lease is not None
        self._shared[year] = lease
        return block

    async def _dispense(self, client: redis.asyncio.Redis, year: int, lease: _Lease, size: int) -> _Block | None:
        """Ask Redis for a sub-block; None when the lease is used up or Redis does not know it."""
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            upto = int(await client.eval(_DISPENSE, 1, self._prefix + lease.key, size))
        first = lease.lo + upto - size
        if not lease.lo <= first <= lease.hi:
            return None
        return _Block(year, lease.id, first, min(lease.lo + upto - 1, lease.hi))

    async def _newest_shared(self, year: int) -> _Lease | None:
        row = await self._pool.fetchrow(
            "SELECT id, lo, hi, leased_at FROM ticket_leases WHERE year = $1 AND is_shared AND closed_at IS NULL"
            " AND id > $2 ORDER BY id DESC LIMIT 1",
            year,
            self._burnt_upto,
        )
        return _Lease(**row) if row else None

    async def _lease(self, year: int, size: int, *, is_shared: bool) -> _Lease:
        for _ in range(LEASE_RETRIES_MAX):
            row = await self._pool.fetchrow(
                "INSERT INTO ticket_leases (year, lo, hi, is_shared)"
                " SELECT $1, coalesce(max(hi), 0) + 1, coalesce(max(hi), 0) + $2, $3 FROM ticket_leases WHERE year = $1"
                " ON CONFLICT (year, lo) DO NOTHING RETURNING id, lo, hi, leased_at",
                year,
                size,
                is_shared,
            )
            if row:
                return _Lease(**row)
        raise RuntimeError(f"no lease of ticket numbers after {LEASE_RETRIES_MAX} tries")


async def leased(connection: Pool | Connection | asyncpg.Connection[asyncpg.Record]) -> dict[int, int]:
    """Return the last number that may be out, by year."""
    rows = await connection.fetch("SELECT year, max(hi) AS hi FROM ticket_leases GROUP BY year ORDER BY year")
    return {row["year"]: row["hi"] for row in rows}


async def close_all(connection: Connection) -> None:
    """Close every lease, as nobody but us is there: after a restore."""
    for lease in await connection.fetch(
        "UPDATE ticket_leases SET closed_at = clock_timestamp() WHERE closed_at IS NULL RETURNING id, year, lo, hi"
    ):
        await connection.execute(_VOIDS, lease["year"], lease["lo"], lease["hi"], lease["id"])


async def skip(connection: Connection, floors: Mapping[int, int]) -> dict[int, int]:
    """Never give out a number up to these floors, by year; return those that meant something.

    The numbers are void: whoever saw one of them saw it in a market that is lost.
    """
    known = await leased(connection)
    skipped = {year: floor for year, floor in sorted(floors.items()) if floor > known.get(year, 0)}
    for year, floor in skipped.items():
        lo = known.get(year, 0) + 1
        lease_id = await connection.fetchval(
            "INSERT INTO ticket_leases (year, lo, hi, is_shared, closed_at)"
            " VALUES ($1, $2, $3, false, clock_timestamp()) RETURNING id",
            year,
            lo,
            floor,
        )
        await connection.execute(
            "INSERT INTO ticket_voids (year, lo, hi, lease_id, reason) VALUES ($1, $2, $3, $4, $5)",
            year,
            lo,
            floor,
            lease_id,
            SKIPPED,
        )
    return skipped


async def close_old_leases(pool: Pool) -> int:
    """Close leases that a newer one replaced and record each number that was never used; return how many were closed.

    Locks: one lease row at a time; a lease that somebody is using is left for the next round.
    """
    closed = 0
    while True:
        async with pool.transaction() as connection:
            lease = await connection.fetchrow(
                "SELECT id, year, lo, hi FROM ticket_leases l WHERE closed_at IS NULL"
                " AND leased_at < clock_timestamp() - make_interval(secs => $1)"
                " AND (year < extract(year FROM clock_timestamp() AT TIME ZONE 'UTC')"
                "      OR EXISTS (SELECT FROM ticket_leases n WHERE n.year = l.year AND n.id > l.id"
                "                 AND n.is_shared = l.is_shared))"
                " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
                CLOSE_AFTER_S,
            )
            if lease is None:
                return closed
            await connection.execute(
                "UPDATE ticket_leases SET closed_at = clock_timestamp() WHERE id = $1", lease["id"]
            )
            await connection.execute(_VOIDS, lease["year"], lease["lo"], lease["hi"], lease["id"])
            closed += 1


# The gaps between the numbers used in [lo, hi]: from each used number (or lo - 1) to the next (or hi + 1).
_VOIDS = """
INSERT INTO ticket_voids (year, lo, hi, lease_id, reason)
SELECT $1, used + 1, next_used - 1, $4, 'never used before its lease was closed'
FROM (SELECT number AS used, lead(number, 1, $3 + 1) OVER (ORDER BY number) AS next_used
      FROM (SELECT number FROM ticket_logs WHERE year = $1 AND number BETWEEN $2 AND $3
            UNION ALL SELECT $2 - 1) AS numbers) AS pairs
WHERE next_used > used + 1
"""
