"""The desk: orders and cancels of everybody, many in one transaction (group commit).

One supervised task takes what is waiting, for all certificates, as one transaction: market lock; books brought up to
date; accounts locked; each command decided by the pure engine; everything written with a handful of bulk statements,
all tickets too, SUCCESS and FAILED; commit; every caller answered; the world told. A refused command costs its
neighbours nothing. Other changes of the right to trade are units of work that take the same market lock.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from db import market, meters
from db.batch import Batch, Command, Job, Step
from db.transaction import StartOver, Transaction
from db.unit import (
    LOST,
    OVERDUE,
    RETRIES_MAX,
    RETRY_PAUSE_S,
    RETRYABLE,
    SETTLE_PAUSE_S,
    SETTLE_TRIES_MAX,
    Answer,
    Fault,
    Pool,
    Units,
    ticket_of_attempt,
)
from domain.errors import Busy
from domain.tickets import Attempt

BATCH_MAX = 256  # bounds the time under the market lock to some tens of milliseconds
QUEUE_MAX = 2_048  # eight batches: about a second of waiting, then BUSY
ANSWERED_AT_ONCE = 4  # callers woken in one turn of the event loop, about a millisecond of wording their answers
ANSWERS_HELD_S_MAX = 0.020  # for the next batch to be sent first
ANSWER_TIMEOUT_S = 30.0  # every step of a batch is bounded below this

log = structlog.get_logger(__name__)


class Desk:
    """Take commands from any number of callers; commit them in batches."""

    def __init__(self, pool: Pool, units: Units) -> None:
        self._pool = pool
        self._units = units
        self._books = market.Books()
        self._queue: asyncio.Queue[Job] = asyncio.Queue(QUEUE_MAX)
        self._in_hand: list[Job] = []  # taken from the queue and not finished
        self._answers: deque[tuple[Job, Answer[Any]]] = deque()  # committed, and not handed out yet
        self._task: asyncio.Task[None] | None = None
        self._is_open = False

    @property
    def waiting(self) -> int:
        """Count the commands in the queue."""
        return self._queue.qsize()

    async def start(self) -> None:
        self._is_open = True
        self._begin()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._serve(), name="desk")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Begin again when the task ended that never should; the next one settles what this one had in hand."""
        if self._is_open:
            log.error("desk_task_ended", exc_info=None if task.cancelled() else task.exception())
            self._begin()

    async def stop(self) -> None:
        """Finish what is waiting, then end; what cannot be finished in time is kept on disk."""
        if self._task is None:
            return
        self._is_open = False
        try:
            await asyncio.wait_for(self._queue.join(), ANSWER_TIMEOUT_S)
        except TimeoutError:
            log.error("desk_drain_timed_out", waiting=self._queue.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        while self._answers:
            self._hand_out()
        while not self._queue.empty():
            self._in_hand.append(self._queue.get_nowait())
        await self._give_up(self._in_hand)

    async def submit(self, attempt: Attempt, command: Command) -> Answer[Any]:
        """Return the answer of a command once it is committed; it is carried out also when nobody waits any more.

        Raises: Fault.
        """
        job = Job(attempt, command, asyncio.get_running_loop().create_future())
        if not self._is_open or self._queue.full():
            return await self._units.shielded(self._units.turn_away(attempt, job.failed_story))
        self._queue.put_nowait(job)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await asyncio.shield(job.answer)  # what the desk owes outlives who waits for it
        except TimeoutError:
            raise Fault(None) from None

    async def _serve(self) -> None:
        """Commit batch after batch; whatever happens, nobody hangs."""
        if self._in_hand:
            self._books.forget()
            await self._finish(self._settle(self._in_hand, asyncio.CancelledError()))
        while True:
            self._in_hand = [await self._queue.get()]
            while len(self._in_hand) < BATCH_MAX and not self._queue.empty():
                self._in_hand.append(self._queue.get_nowait())
            await self._finish(self._commit(self._in_hand))

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """See the jobs in hand to their answers."""
        try:
            await work
        except Exception as error:
            log.error("desk_batch_lost", jobs=len(self._in_hand), exc_info=error)
            await self._give_up(self._in_hand)
        for _ in self._in_hand:
            self._queue.task_done()
        self._in_hand = []

    async def _give_up(self, jobs: Sequence[Job]) -> None:
        """Keep on disk what could not be recorded; the spool drops it again should it have committed after all."""
        for job in jobs:
            if not job.answer.done():
                await self._units.keep(job.attempt, job.failed_story)
                job.fail(Fault(None))

    async def _commit(self, jobs: Sequence[Job]) -> None:
        """Commit jobs together; if that fails, settle what is unknown and go on one by one."""
        for tries_left in reversed(range(RETRIES_MAX + 1)):
            try:
                answers, transaction = await self._batch(jobs)
            except (StartOver, *RETRYABLE) as error:
                self._books.forget()
                if tries_left:
                    await asyncio.sleep(RETRY_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                    continue
                await self._isolate(jobs, error)
                return
            except LOST as error:
                self._books.forget()
                log.warning("desk_connection_lost", jobs=len(jobs), error=repr(error))
                await self._settle(jobs, error)
                return
            except (Busy, *OVERDUE) as error:
                self._books.forget()
                log.warning("desk_overdue", jobs=len(jobs), error=repr(error))
                await asyncio.gather(*(self._turn_away(job) for job in jobs))
                return
            except Exception as error:
                self._books.forget()
                await self._isolate(jobs, error)
                return
            self._answers.extend(zip(jobs, answers, strict=True))
            if self._queue.empty():
                self._hand_out()
            else:
                asyncio.get_running_loop().call_later(ANSWERS_HELD_S_MAX, self._hand_out)
            self._units.committed(transaction)
            return

    def _hand_out(self) -> None:
        """Answer a few callers in each turn of the event loop, until all are answered.

        To word an answer takes some tenths of a millisecond of this process. While a batch is being decided that would
        keep PostgreSQL waiting; so the answers of one batch go out while PostgreSQL works on the next, if there is one.
        """
        for _ in range(min(ANSWERED_AT_ONCE, len(self._answers))):
            job, answer = self._answers.popleft()
            job.succeed(answer)
        if self._answers:
            asyncio.get_running_loop().call_soon(self._hand_out)

    async def _isolate(self, jobs: Sequence[Job], error: Exception) -> None:
        """Repeat the jobs of a failed batch one by one; a job that fails alone is the fault."""
        if len(jobs) > 1:
            for job in jobs:
                await self._alone(job)
            return
        (job,) = jobs
        log.error("desk_fault", field=job.attempt.field, exc_info=error)
        job.fail(Fault(await self._units.record(job.attempt, job.failed_story, "INTERNAL", "Internal error.")))

    async def _alone(self, job: Job) -> None:
        """Commit one job by itself; what goes wrong there costs the others nothing."""
        try:
            await self._commit([job])
        except Fault as fault:
            job.fail(fault)
        except Exception as error:
            log.error("desk_job_lost", field=job.attempt.field, exc_info=error)
            await self._give_up([job])

    async def _turn_away(self, job: Job) -> None:
        try:
            job.succeed(await self._units.turn_away(job.attempt, job.failed_story))
        except Fault as fault:
            job.fail(fault)

    async def _settle(self, jobs: Sequence[Job], error: BaseException) -> None:
        """After a lost connection: answer what had committed, repeat the rest one by one.

        The batch was one transaction: once the server has ended it, each attempt either has its ticket or never will.
        """
        for _ in range(SETTLE_TRIES_MAX):
            await asyncio.sleep(SETTLE_PAUSE_S)
            try:
                async with self._pool.transaction() as connection:
                    await market.lock(Transaction(connection, self._units.numbers))  # waits for a batch still in doubt
                unknown = [job for job in jobs if not await self._look_up(job)]
                break
            except (*LOST, Busy, *OVERDUE):
                continue
        else:
            raise Fault(None) from error
        for job in unknown:
            await self._alone(job)

    async def _look_up(self, job: Job) -> bool:
        """Answer a job from the ticket that it left, if it left one."""
        try:
            answer = await ticket_of_attempt(self._pool, job.attempt, job.read_outcome)
        except Fault as fault:
            job.fail(fault)
            return True
        if answer:
            job.succeed(answer)
        return answer is not None

    async def _batch(self, jobs: Sequence[Job]) -> tuple[list[Answer[Any]], Transaction]:
        """Decide and store jobs in one transaction; return their answers and what was written."""
        with meters.timed(meters.BATCH_S):
            steps, batch = await self._decided(jobs)
        meters.BATCH_COMMANDS.observe(len(jobs))
        meters.TRADES.inc(len(batch.trades))
        return [step.answer() for step in steps], batch.transaction

    async def _decided(self, jobs: Sequence[Job]) -> tuple[list[Step], Batch]:
        async with self._pool.transaction(market.LOCK) as connection:
            transaction = Transaction(connection, self._units.numbers, meanwhile=self._hand_out)
            batch = await Batch.load(transaction, jobs, self._books)
            steps = [batch.decide(job) for job in jobs]
            try:
                await batch.store(self._units, steps)
            finally:
                await transaction.let_go()
        return steps, batch
