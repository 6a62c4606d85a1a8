"""Whoever carries an attempt is struck down at each of its SQL statements: it was done whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, TypeAlias

import asyncpg
import pytest

from db import desk, ledger
from db.outcomes import reader
from db.unit import Answer, Pool
from domain import stories
from domain.ledger import Change, TransactionOutcome, TransactionType
from domain.money import Asset
from tests.db.books import assert_same_books
from tests.db.gate import STATEMENTS_MAX, WAIT_SECONDS_MAX, Gate
from tests.db.invariants import assert_invariants
from tests.db.process import Process

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    yield
    await assert_invariants(owner)


def assert_none_is_lent(*pools: Pool) -> None:
    for pool in pools:
        assert pool._pool.get_idle_size() == pool._pool.get_size()


async def struck(task: asyncio.Task[Any], gate: Gate, *, once_sent: bool) -> None:
    """Cancel a task that is at the gate: before its statement leaves, or right after, with no answer heard."""
    if once_sent:
        gate.opened.set()
        await asyncio.sleep(0)  # it sends the statement and waits for the answer
    task.cancel()


@pytest.mark.parametrize("once_sent", [False, True], ids=["before", "sent"])
async def test_a_unit_of_work_cancelled_at_any_statement_is_done_whole_or_not_at_all(
    one: Process, gate: Gate, once_sent: bool
) -> None:
    trader = await one.trader(cea="1000")
    change = Change(None, str(trader), Asset.CEA, TransactionType.WITHDRAWAL, Decimal(1), None)
    read_outcome = reader(TransactionOutcome)
    done = 0
    for stops_at in range(1, STATEMENTS_MAX):
        attempt = one.attempt("createTransaction", {})
        work = one.units.run(attempt, lambda write: ledger.change(write, change), stories.of_transaction, read_outcome)
        task = asyncio.create_task(work)
        gate.arm(stops_at, task)
        if not await gate.is_reached(task):
            break
        await struck(task, gate, once_sent=once_sent)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await asyncio.wait([task])
        gate.arm(None)
        assert task.cancelled(), stops_at
        assert_none_is_lent(one.pool, one.desk_pool)
        tickets = await one.tickets_of([attempt.attempt_id])
        assert [ticket["status"] for ticket in tickets] in ([], ["SUCCESS"]), stops_at
        done += len(tickets)
        assert await one.count(f"asset_transactions WHERE holder_id = '{trader}' AND reason = 'WITHDRAWAL'") == done
    assert 3 < stops_at < STATEMENTS_MAX - 1
    assert done <= once_sent, "nothing is done before COMMIT was sent"
    assert (await task).outcome is not None, "the last one was not stopped"


@pytest.mark.parametrize("once_sent", [False, True], ids=["before", "sent"])
async def test_a_desk_cancelled_at_any_statement_is_replaced_and_answers_all(
    one: Process, gate: Gate, once_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SETTLE_PAUSE_S", 0.01)
    traders = [await one.trader("10000", "1000") for _ in range(2)]
    for stops_at in range(1, STATEMENTS_MAX):
        before = await one.count("orders")
        desk_task = one.desk._task
        assert desk_task is not None
        gate.arm(stops_at, desk_task)
        orders = [one.order(traders[0], "SELL", "2", "25.00"), one.order(traders[1], "BUY", "1", "25.00")]
        answering: asyncio.Future[list[Answer[Any]]] = asyncio.gather(*(one.desk.submit(*order) for order in orders))
        if was_reached := await gate.is_reached(answering):
            await struck(desk_task, gate, once_sent=once_sent)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            answers = await answering
        gate.arm(None)
        assert all(answer.outcome for answer in answers), stops_at
        tickets = await one.tickets_of([attempt.attempt_id for attempt, _ in orders])
        assert {ticket["ticket_id"] for ticket in tickets} == {answer.ticket_id for answer in answers}
        assert await one.count("orders") == before + len(orders)
        assert_none_is_lent(one.pool, one.desk_pool)
        await assert_same_books(one)
        if not was_reached:
            break
    assert 3 < stops_at < STATEMENTS_MAX - 1
