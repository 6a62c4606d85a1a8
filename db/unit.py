"""The unit of work: the only module that begins and commits.

One attempt, one transaction, one ticket. What is refused is rolled back and leaves a FAILED ticket on the same
connection; what fails is the same, and raised again. What the world is told leaves after COMMIT.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import asyncpg
import structlog

from db import idempotency, meters
from db.outcomes import as_json
from db.transaction import Connection, Notice, StartOver, Transaction, Write
from domain.errors import Busy, DomainError, ErrorCode
from domain.tickets import Attempt, Draft, Story, TicketStatus, plain

if TYPE_CHECKING:
    from db.numbers import Numbers

T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
ACQUIRE_TIMEOUT_S = 2.0  # longer in the queue for a connection is BUSY
ACQUIRE_PAUSE_S = 0.05
STATEMENT_TIMEOUT_S = 5.0
LOCK_TIMEOUT_S = 2.0
IDLE_IN_TRANSACTION_TIMEOUT_S = 10.0  # a stuck writer would hold back the sealer and the live ticket stream
RETRIES_MAX = 3  # deadlock, serialisation, ticket number dispensed twice
RETRY_PAUSE_S = 0.02
SETTLE_TRIES_MAX = 5  # to learn whether a COMMIT of unknown outcome happened
SETTLE_PAUSE_S = 0.5
DRAIN_TIMEOUT_S = 15.0
assert LOCK_TIMEOUT_S < STATEMENT_TIMEOUT_S < IDLE_IN_TRANSACTION_TIMEOUT_S

# Writers find every row by its key. A foreign key's check, or any prepared statement, that was planned while its table
# was still empty would go on reading the whole table, for as long as the connection lives or until the next ANALYZE.
BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

# How the server finds out that a process is gone whose machine said nothing: its connections, and what they lock, are
# given up within about half a minute, where the system's own defaults are hours.
GONE = {"tcp_user_timeout": "10000", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3"}  # fmt: skip

LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError,
        asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError,
        asyncpg.IdleInTransactionSessionTimeoutError)  # fmt: skip
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
OVERDUE = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)

BUSY_MESSAGE = "The market is busy. Nothing was done; try again in a moment."
log = structlog.get_logger(__name__)


class Fault(Exception):
    """Something of ours broke; the cause is chained, the ticket says INTERNAL. No ticket_id: not even that worked."""

    def __init__(self, ticket_id: str | None) -> None:
        super().__init__("internal fault")
        self.ticket_id = ticket_id


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it is stored and answered."""

    code: ErrorCode
    message: str
    field: str | None
    details: Mapping[str, Any]

    @classmethod
    def of(cls, error: DomainError) -> Refusal:
        return cls(error.code, error.message, error.field, plain(error.details))

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code.value, "message": self.message, "field": self.field, "details": dict(self.details)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Refusal:
        return cls(ErrorCode(stored["code"]), stored["message"], stored["field"], stored["details"])


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What became of an attempt: an outcome or a refusal, and its ticket."""

    ticket_id: str
    outcome: T | None = None
    refusal: Refusal | None = None
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Connections of a pool: open, in use, and the most there may be."""

    name: str
    open: int
    used: int
    size_max: int


class Pool:
    """Connections of one role. Every wait on them is bounded."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], name: str) -> None:
        self._pool = pool
        self.name = name
        self.commit_s = meters.COMMIT_S.labels(name)

    @classmethod
    async def open(cls, url: str, *, role: str | None, size_max: int, name: str) -> Pool:
        """Connect as the login of the URL and act as the role."""
        settings = {
            "application_name": f"carbondesk-{name}",
            "statement_timeout": str(int(STATEMENT_TIMEOUT_S * 1_000)),
            "lock_timeout": str(int(LOCK_TIMEOUT_S * 1_000)),
            "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_TIMEOUT_S * 1_000)),
            "synchronous_commit": "on",
            **GONE,
            "timezone": "UTC",
            "jit": "off",  # compiling costs more than any of our statements
            **BY_KEY,
        }
        if role:
            settings["role"] = role
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S * 2,  # a server that does not even cancel
            max_inactive_connection_lifetime=300,
            reset=_as_it_is,
            server_settings=settings,
        )
        return cls(pool, name)

    @property
    def figures(self) -> Figures:
        """How many connections are open, in use and allowed."""
        size = self._pool.get_size()
        return Figures(self.name, size, size - self._pool.get_idle_size(), self._pool.get_max_size())

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection.

        Raises: Busy when none is free in time.
        """
        try:
            async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                connection = await self._free()
        except TimeoutError:
            raise Busy(BUSY_MESSAGE) from None
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def _free(self) -> Connection:
        """Wait for a connection; where the server gives no more of them, for one that comes back."""
        while True:
            with suppress(asyncpg.TooManyConnectionsError):
                return await self._pool.acquire()
            await asyncio.sleep(ACQUIRE_PAUSE_S)

    @asynccontextmanager
    async def transaction(self, first: str = "") -> AsyncIterator[Connection]:
        """One transaction outside any attempt: leases, housekeeping, a batch. first: a statement to begin with."""
        async with self.acquire() as connection:
            try:
                await connection.execute(f"BEGIN; {first}")
                yield connection
            except BaseException:
                with suppress(*LOST):  # the server rolls back what it lost
                    await connection.execute("ROLLBACK")
                raise
            with meters.timed(self.commit_s):
                await connection.execute("COMMIT")

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement by itself."""
        async with self.acquire() as connection:
            return await connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """Run one statement by itself; return its first row."""
        async with self.acquire() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            self._pool.terminate()


@asynccontextmanager
async def snapshot(
    connection: Connection | asyncpg.Connection[asyncpg.Record],
) -> AsyncIterator[None]:
    """Read everything as of one instant, for as long as it takes, and write nothing."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield


async def _as_it_is(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Take a connection back; asyncpg has rolled back what was open, and nothing of ours outlives a transaction."""


Store: TypeAlias = Callable[[Transaction, Sequence[Draft]], Awaitable[None]]
Publish: TypeAlias = Callable[[Sequence[Notice]], None]
Keep: TypeAlias = Callable[[Attempt, Story], Awaitable[None]]
Tell: TypeAlias = Callable[[Mapping[str, Any], Any], Story]


class Units:
    """Run attempts as units of work."""

    def __init__(
        self,
        pool: Pool,
        numbers: Numbers,
        store_tickets: Store,
        publish: Publish,
        keep: Keep,
        spare: Pool | None = None,
    ) -> None:
        """Take how tickets are stored, how notices leave, and what keeps an attempt while no database answers.

        spare: connections for the tickets of those for whom there was none; otherwise they wait like all others.
        """
        self.pool = pool
        self._spare = spare or pool
        self.keep = keep
        self.numbers = numbers
        self._store_tickets = store_tickets
        self.publish = publish
        self._in_flight: set[asyncio.Task[Any]] = set()

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on when the client who asked for it is gone."""
        task = asyncio.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait, at most DRAIN_TIMEOUT_S, for the work that is under way."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_TIMEOUT_S)

    async def run(
        self,
        attempt: Attempt,
        work: Callable[[Write], Awaitable[Any]],
        tell: Tell,
        outcome_of: Callable[[Any], Any],
    ) -> Answer[Any]:
        """Do the work of one attempt in one transaction with its ticket.

        tell: (request, outcome or None) → story. outcome_of: reads a stored outcome for a repeated idempotency key.
        Raises: Fault.
        """
        for tries_left in reversed(range(RETRIES_MAX + 1)):
            try:
                async with self.pool.acquire() as connection:
                    return await self._try(connection, attempt, work, tell, outcome_of)
            except (*RETRYABLE, StartOver) as error:
                if not tries_left:
                    log.error("unit_fault", field=attempt.field, exc_info=error)
                    story = tell(attempt.request, None)
                    raise Fault(await self.record(attempt, story, "INTERNAL", "Internal error.")) from error
                await asyncio.sleep(RETRY_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            except (Busy, *OVERDUE):  # no connection in time, or no lock for the FAILED ticket's idempotency key
                return await self.turn_away(attempt, tell(attempt.request, None))
            except LOST as error:
                return await self._settle(attempt, tell, outcome_of, error)
            except Fault:
                raise
            except Exception as error:  # the FAILED ticket itself could not be written: no room on disk, say
                log.error("unit_unrecorded", field=attempt.field, attempt_id=str(attempt.attempt_id), exc_info=error)
                await self.keep(attempt, tell(attempt.request, None))
                raise Fault(None) from error
        raise AssertionError("unreachable")

    async def _try(
        self,
        connection: Connection,
        attempt: Attempt,
        work: Callable[[Write], Awaitable[Any]],
        tell: Tell,
        outcome_of: Callable[[Any], Any],
    ) -> Answer[Any]:
        write = Write(connection, self.numbers, attempt)
        transaction = connection.transaction()
        await transaction.start()
        try:
            await write.open()
            if replay := await _replay(write, outcome_of):
                await transaction.rollback()
                write.give_numbers_back()
                return replay
            outcome = await work(write)
            write.root.story = tell(attempt.request, outcome)
            write.root.response = as_json(outcome)
            await self.write_tickets(write, [write.root, *write.drafts], [write.root])
            with meters.timed(self.pool.commit_s):
                await transaction.commit()  # checks the deferred keys, so it can fail like any other statement
        except (*RETRYABLE, *LOST, StartOver):
            await _rollback(transaction)
            raise
        except DomainError as error:
            await _rollback(transaction)
            return await self._refuse(connection, write, tell, Refusal.of(error))
        except OVERDUE as error:
            await _rollback(transaction)
            log.warning("unit_overdue", field=attempt.field, error=repr(error))
            return await self._refuse(connection, write, tell, Refusal.of(Busy(BUSY_MESSAGE)))
        except Exception as error:
            await _rollback(transaction)
            return await self._fault(connection, write, tell, error)
        self.committed(write)
        return Answer(write.ticket_id, outcome)

    def committed(self, transaction: Transaction) -> None:
        """Count what a transaction wrote and tell the world, now that it has committed."""
        meters.count_tickets(transaction.stored)
        self.publish([*transaction.notices, Notice("tickets", {})])

    async def write_tickets(
        self, transaction: Transaction, drafts: Sequence[Draft], keyed: Sequence[Draft] = ()
    ) -> None:
        """Write tickets last, so that their digests cover every effect, and keep what the keys of `keyed` led to.

        Raises: StartOver.
        """
        transaction.stored = drafts
        try:
            with meters.timed(meters.AUDIT_S):
                await self._store_tickets(transaction, drafts)
            await idempotency.store(transaction, keyed, transaction.now)
            await transaction.flush()
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name in NUMBER_CONSTRAINTS:
                transaction.burn_numbers()
            elif error.constraint_name != idempotency.CONSTRAINT:
                raise
            raise StartOver from error

    async def _refuse(
        self,
        connection: Connection,
        write: Write,
        tell: Tell,
        refusal: Refusal,
    ) -> Answer[Any]:
        """Write the FAILED ticket of a refusal."""
        failed = _failed(write, tell, refusal.code, refusal.message, connection)
        failed.root.response = {"errors": [refusal.as_json()]}
        async with connection.transaction():
            await failed.open()
            await self.write_tickets(failed, [failed.root], [] if refusal.code in NOT_KEPT else [failed.root])
        self.committed(failed)
        return Answer(failed.ticket_id, refusal=refusal)

    async def _fault(self, connection: Connection, write: Write, tell: Tell, error: Exception) -> Answer[Any]:
        """Write the FAILED ticket of a fault and raise it masked."""
        log.error("unit_fault", field=write.attempt.field, exc_info=error)
        failed = _failed(write, tell, "INTERNAL", "Internal error.", connection)
        async with connection.transaction():
            await failed.open()
            await self.write_tickets(failed, [failed.root])
        self.committed(failed)
        raise Fault(failed.ticket_id) from error

    async def fail(self, attempt: Attempt, story: Story, code: str, message: str, pool: Pool | None = None) -> str:
        """Write the FAILED ticket of an attempt that never reached its work: denied, malformed, or settled as lost."""
        for tries_left in reversed(range(RETRIES_MAX + 1)):
            try:
                async with (pool or self.pool).transaction() as connection:
                    write = Write(connection, self.numbers, attempt)
                    await write.open()
                    write.root.story = story
                    write.root.error_code, write.root.error_message = code, message
                    write.root.response = {"errors": [{"code": code, "message": message}]}
                    await self.write_tickets(write, [write.root])
                self.committed(write)
                return write.ticket_id
            except (*RETRYABLE, StartOver):
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    async def record(self, attempt: Attempt, story: Story, code: str, message: str, pool: Pool | None = None) -> str:
        """Write the FAILED ticket of an attempt; where that is not to be had in time, keep the attempt on disk.

        Raises: Fault.
        """
        try:
            return await self.fail(attempt, story, code, message, pool)
        except (*LOST, *OVERDUE, *RETRYABLE, Busy, StartOver) as error:
            log.error("unit_kept_on_disk", field=attempt.field, attempt_id=str(attempt.attempt_id), error=repr(error))
            await self.keep(attempt, story)
            raise Fault(None) from error

    async def turn_away(self, attempt: Attempt, story: Story) -> Answer[Any]:
        """Refuse an attempt for which there was no room in time.

        Raises: Fault.
        """
        refusal = Refusal.of(Busy(BUSY_MESSAGE))
        ticket_id = await self.record(attempt, story, refusal.code, refusal.message, self._spare)
        return Answer(ticket_id, refusal=refusal)

    async def _settle(
        self, attempt: Attempt, tell: Tell, outcome_of: Callable[[Any], Any], error: BaseException
    ) -> Answer[Any]:
        """Find out what became of an attempt whose connection was lost: its FAILED ticket goes in, unless it committed.

        The insert waits for a transaction in doubt, so one of the two tickets wins for certain.
        """
        for _ in range(SETTLE_TRIES_MAX):
            await asyncio.sleep(SETTLE_PAUSE_S)
            try:
                if found := await ticket_of_attempt(self.pool, attempt, outcome_of):
                    return found
                story = tell(attempt.request, None)
                ticket_id = await self.fail(attempt, story, "INTERNAL", "The connection to the database was lost.")
            except asyncpg.UniqueViolationError:
                continue  # it committed after all: the next round finds it
            except (*LOST, TimeoutError, Busy, *RETRYABLE, *OVERDUE):
                continue
            raise Fault(ticket_id) from error
        log.error("unit_unsettled", field=attempt.field, attempt_id=str(attempt.attempt_id), exc_info=error)
        await self.keep(attempt, tell(attempt.request, None))
        raise Fault(None) from error


NOT_KEPT = {ErrorCode.BUSY, ErrorCode.TOO_MANY_ATTEMPTS, ErrorCode.IDEMPOTENCY_CONFLICT}  # a retry may go better
NUMBER_CONSTRAINTS = {"ticket_logs_pkey", "ticket_logs_ticket_id_status_key", "ticket_payloads_pkey"}


def _failed(write: Write, tell: Tell, code: str, message: str, connection: Connection) -> Write:
    """Start over for the FAILED ticket; what the attempt had drafted is forgotten."""
    write.give_numbers_back()
    failed = Write(connection, write._numbers, write.attempt)
    failed.root.story = replace(tell(write.attempt.request, None), market_maker_id=write.maker_id)
    failed.root.error_code, failed.root.error_message = str(code), message
    return failed


async def _rollback(transaction: asyncpg.transaction.Transaction) -> None:
    try:
        await transaction.rollback()
    except LOST:
        log.warning("rollback_on_lost_connection")  # the server rolls back what it lost


async def ticket_of_attempt(pool: Pool, attempt: Attempt, outcome_of: Callable[[Any], Any]) -> Answer[Any] | None:
    """Return the answer that an attempt committed, if it did."""
    row = await pool.fetchrow(
        "SELECT t.ticket_id, t.status, p.response_data FROM ticket_logs t JOIN ticket_payloads p USING (year, number)"
        " WHERE t.attempt_id = $1",
        attempt.attempt_id,
    )
    if row is None:
        return None
    return stored_answer(row["ticket_id"], row["status"], json.loads(row["response_data"]), outcome_of)


def stored_answer(
    ticket_id: str, status: str, stored: Any, outcome_of: Callable[[Any], Any], *, is_replay: bool = False
) -> Answer[Any]:
    if status == TicketStatus.SUCCESS:
        return Answer(ticket_id, outcome_of(stored), is_replay=is_replay)
    if stored["errors"][0]["code"] not in ErrorCode.__members__:
        raise Fault(ticket_id)
    return Answer(ticket_id, refusal=Refusal.from_json(stored["errors"][0]), is_replay=is_replay)


async def _replay(write: Write, outcome_of: Callable[[Any], Any]) -> Answer[Any] | None:
    """Return the answer that the attempt's idempotency key stands for.

    Raises: IdempotencyConflict.
    """
    if write.attempt.idempotency_key is None:
        return None
    kept = (await idempotency.find(write.connection, [write.attempt])).get(idempotency.key_of(write.attempt))
    if kept is None:
        return None
    idempotency.same_input(kept, write.attempt)
    return stored_answer(kept.ticket_id, kept.status, kept.outcome, outcome_of, is_replay=True)
