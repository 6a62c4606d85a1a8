"""The desk: orders and cancels of everybody, many in one transaction (group commit).

One supervised task takes what is waiting, for all certificates, as one transaction: market lock; books brought up to
date; accounts locked; each command decided by the pure engine; everything written with a handful of bulk statements,
all tickets too, SUCCESS and FAILED; commit; every caller answered; the world told. A refused command costs its
neighbours nothing. Other changes of the right to trade are units of work that take the same market lock.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import structlog

from db import market
from db.batch import Batch, Command, Job
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
    Notice,
    Pool,
    Refusal,
    StartOver,
    Transaction,
    Units,
    ticket_of_attempt,
)
from domain.errors import Busy
from domain.tickets import Attempt

BATCH_MAX = 256  # bounds the time under the market lock to some tens of milliseconds
QUEUE_MAX = 2_048  # eight batches: about a second of waiting, then BUSY
ANSWER_TIMEOUT_S = 30.0  # every step of a batch is bounded below this

log = structlog.get_logger(__name__)


class Desk:
    """Take commands from any number of callers; commit them in batches."""

    def __init__(self, pool: Pool, units: Units) -> None:
        self._pool = pool
        self._units = units
        self._books = market.Books()
        self._queue: asyncio.Queue[Job] = asyncio.Queue(QUEUE_MAX)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._serve(), name="desk")

    async def stop(self) -> None:
        """Finish what is waiting, then end."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._queue.join(), ANSWER_TIMEOUT_S)
        except TimeoutError:
            log.error("desk_drain_timed_out", waiting=self._queue.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def submit(self, attempt: Attempt, command: Command) -> Answer[Any]:
        """Return the answer of a command once it is committed.

        Raises: Fault.
        """
        job = Job(attempt, command, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            return await self._refuse_busy(job)
        try:
            return await asyncio.wait_for(asyncio.shield(job.answer), ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise Fault(None) from None

    async def _refuse_busy(self, job: Job) -> Answer[Any]:
        refusal = Refusal.of(Busy("The market is busy. Nothing was done; try again in a moment."))
        ticket_id = await self._units.fail(job.attempt, job.failed_story, refusal.code, refusal.message)
        return Answer(ticket_id, refusal=refusal)

    async def _serve(self) -> None:
        """Commit batch after batch; whatever happens, the task lives and nobody hangs."""
        while True:
            jobs = [await self._queue.get()]
            while len(jobs) < BATCH_MAX and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            try:
                await self._commit(jobs)
            except Exception as error:
                log.error("desk_batch_lost", jobs=len(jobs), exc_info=error)
                for job in jobs:
                    job.fail(Fault(None))
            finally:
                for _ in jobs:
                    self._queue.task_done()

    async def _commit(self, jobs: Sequence[Job]) -> None:
        """Commit jobs together; if that fails, settle what is unknown and go on one by one."""
        for tries_left in reversed(range(RETRIES_MAX + 1)):
            try:
                answers, notices = await self._batch(jobs)
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
                for job in jobs:
                    job.succeed(await self._refuse_busy(job))
                return
            except Exception as error:
                self._books.forget()
                await self._isolate(jobs, error)
                return
            for job, answer in zip(jobs, answers, strict=True):
                job.succeed(answer)
            self._units.publish(notices)
            return

    async def _isolate(self, jobs: Sequence[Job], error: Exception) -> None:
        """Repeat the jobs of a failed batch one by one; a job that fails alone is the fault."""
        if len(jobs) > 1:
            for job in jobs:
                await self._commit([job])
            return
        (job,) = jobs
        log.error("desk_fault", field=job.attempt.field, exc_info=error)
        ticket_id = await self._units.fail(job.attempt, job.failed_story, "INTERNAL", "Internal error.")
        job.fail(Fault(ticket_id))

    async def _settle(self, jobs: Sequence[Job], error: BaseException) -> None:
        """After a lost connection: answer what had committed, repeat the rest one by one.

        The batch was one transaction: once the server has ended it, each attempt either has its ticket or never will.
        """
        for _ in range(SETTLE_TRIES_MAX):
            await asyncio.sleep(SETTLE_PAUSE_S)
            try:
                async with self._pool.transaction() as connection:
                    await market.lock(Transaction(connection, self._units.numbers))  # waits for a batch still in doubt
                found = {job: await ticket_of_attempt(self._pool, job.attempt, job.read_outcome) for job in jobs}
                break
            except (*LOST, TimeoutError, Busy, *OVERDUE):
                continue
        else:
            for job in jobs:
                await self._units.keep(job.attempt, job.failed_story)
            raise Fault(None) from error
        for job, answer in found.items():
            if answer:
                job.succeed(answer)
            else:
                await self._commit([job])

    async def _batch(self, jobs: Sequence[Job]) -> tuple[list[Answer[Any]], list[Notice]]:
        """Decide and store jobs in one transaction; return their answers and what to tell the world."""
        async with self._pool.transaction() as connection:
            transaction = Transaction(connection, self._units.numbers)
            states = await market.lock(transaction)
            books = await self._books.up_to_date(connection, states)
            batch = await Batch.load(transaction, jobs, states, books)
            steps = [batch.decide(job) for job in jobs]
            await batch.store(self._units, steps)
        return [step.answer() for step in steps], [*transaction.notices, Notice("tickets", {})]
