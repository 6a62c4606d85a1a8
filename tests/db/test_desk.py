"""The desk: many callers, few transactions; each is answered, no neighbour hurt, every process on the same book."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import batch, desk, market, unit
from db.embedded import Servers
from db.unit import Answer, Fault
from domain.book import OrderSide, Resting
from domain.errors import ErrorCode
from domain.market import Cancel
from domain.money import Asset
from tests.db.books import assert_same_books, books_of, empty_books
from tests.db.invariants import assert_invariants
from tests.db.process import CEA, Process, process

TASKS = 32
ORDERS_EACH = 12
POISON = 777  # the quantity at which the database refuses an order
ROUNDS = 10
RIVALS = 32
KEYS = 30
COPIES = 20
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    await empty_books(one)
    yield
    await assert_invariants(owner)


@contextlib.asynccontextmanager
async def poison(owner: Owner, error: str = "P0001") -> AsyncIterator[None]:
    """Let the database refuse orders of one quantity, as a broken constraint would."""
    await owner.execute(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.quantity = {POISON} THEN RAISE EXCEPTION 'poison' USING ERRCODE = '{error}'; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER poison BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION poison()"
    )
    try:
        yield
    finally:
        await owner.execute("DROP FUNCTION poison() CASCADE")


# -------------------------------------------------------------------------------------------------------- group commit


async def test_many_callers_on_two_processes_make_one_market(one: Process, other: Process) -> None:
    traders = [await one.trader("1000000", "10000") for _ in range(8)]
    before = (await one.count("orders"), await one.count("ticket_logs WHERE attempt_id IS NOT NULL"))

    async def trade(number: int) -> list[Answer[Any]]:
        rng, here, answers = random.Random(number), (one, other)[number % 2], []
        for _ in range(ORDERS_EACH):
            price, quantity = f"{25 + rng.randint(-5, 5) / 100:.2f}", str(rng.randint(1, 40))
            side = rng.choice(["BUY", "SELL"])
            answers.append(await here.place(rng.choice(traders), side, quantity, price, certificate_type=CEA))
        return answers

    answers = [answer for mine in await asyncio.gather(*map(trade, range(TASKS))) for answer in mine]
    placed = [answer.outcome for answer in answers if answer.outcome]
    assert await one.count("orders") == before[0] + len(placed)
    assert await one.count("ticket_logs WHERE attempt_id IS NOT NULL") == before[1] + len(answers)
    assert {answer.refusal.code for answer in answers if answer.refusal} <= {ErrorCode.SELF_TRADE}
    txids = await one.pool.fetch(
        "SELECT txid, count(*) AS n FROM ticket_logs WHERE ticket_id = ANY($1::text[]) GROUP BY 1",
        [answer.ticket_id for answer in answers],
    )
    assert max(row["n"] for row in txids) > 4, "commands of several callers share a commit"
    await assert_same_books(one, other)


async def test_an_answer_says_what_is_stored(one: Process) -> None:
    seller, buyer = await one.trader(cea="100"), await one.trader("10000")
    rest = await one.place(seller, "SELL", "100", "25.50")
    buy = await one.place(buyer, "BUY", "40", "25.60")
    assert rest.outcome is not None
    assert buy.outcome is not None
    (trade,) = buy.outcome.trades
    row = await one.pool.fetchrow("SELECT *, NULL AS settled_at, NULL AS registry_reference FROM cash_market_trades"
                                  " WHERE id = $1", trade.id)  # fmt: skip
    stored = await one.pool.fetchrow("SELECT * FROM orders WHERE id = $1", buy.outcome.order.id)
    assert row is not None
    assert stored is not None
    assert market.trade_of(row) == trade
    assert market.order_of(stored) == buy.outcome.order


async def test_orders_made_and_filled_and_orders_cancelled_share_a_batch(one: Process) -> None:
    """In one batch: place, fill what was placed before it, fill and then cancel the same order, cancel it twice."""
    seller, buyer = await one.trader(cea="1000"), await one.trader("1000000")
    rest = await one.place(seller, "SELL", "100", "25.50")
    whole = await one.place(seller, "SELL", "10", "25.40")
    assert rest.outcome is not None
    assert whole.outcome is not None
    answers: list[Answer[Any]] = await asyncio.gather(
        one.place(buyer, "BUY", "30", "25.50"),
        one.cancel(rest.outcome.order.id, seller),
        one.cancel(rest.outcome.order.id, seller),
        one.cancel(whole.outcome.order.id, seller),
        one.place(seller, "SELL", "50", "25.45"),
        one.place(buyer, "BUY", "20", "25.45"),
        one.place(buyer, "BUY", "10", "25.50"),
        one.cancel(rest.outcome.order.id, buyer),
        one.cancel(uuid4(), buyer),
    )
    tickets = await one.pool.fetch(
        "SELECT DISTINCT txid FROM ticket_logs WHERE ticket_id = ANY($1::text[])", [each.ticket_id for each in answers]
    )
    assert len(tickets) == 1, "they were to be decided in one batch"
    codes = [each.refusal.code if each.refusal else None for each in answers]
    assert codes == [
        None,
        None,
        "ORDER_NOT_OPEN",
        "ORDER_NOT_OPEN",
        None,
        None,
        None,
        "ORDER_NOT_FOUND",
        "ORDER_NOT_FOUND",
    ]
    cancelled: Any = answers[1].outcome
    assert (cancelled.order.status, cancelled.order.filled_quantity, cancelled.order.filled_notional) == (
        "CANCELLED",
        20,
        Decimal("510.00"),
    )
    await assert_same_books(one)


async def test_the_running_figures_of_a_batch_follow_its_commands(one: Process) -> None:
    """Certificates bought by the first command are sold by the next one; the last one finds nothing left."""
    seller, trader = await one.trader(cea="100"), await one.trader("2550")
    await one.place(seller, "SELL", "100", "25.50")
    answers = await asyncio.gather(
        one.place(trader, "BUY", "100", "25.50"),
        one.place(trader, "SELL", "60", "30.00"),
        one.place(trader, "SELL", "40", "31.00"),
        one.place(trader, "SELL", "1", "32.00"),
        one.place(seller, "BUY", "100", "25.50"),
    )
    assert [each.refusal.code if each.refusal else None for each in answers] == [
        None,
        None,
        None,
        "INSUFFICIENT_BALANCE",
        None,
    ]
    refused = answers[3].refusal
    assert refused is not None
    assert refused.details == {"asset": "CEA", "requested": "1", "available": "0", "locked": "100"}


async def test_a_sweep_of_many_orders_is_answered_whole(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """More fills than a recorded request may hold: the answer rebuilt from the ticket must not be cut."""
    sellers, buyer = [await one.trader(cea="200") for _ in range(2)], await one.trader("100000")
    await asyncio.gather(*(one.place(sellers[number % 2], "SELL", "1", "25.50") for number in range(130)))
    answers = one.desk._batch

    async def and_lose(jobs: Any) -> Any:
        monkeypatch.undo()
        await answers(jobs)
        raise ConnectionResetError("lost on the way back")

    monkeypatch.setattr(one.desk, "_batch", and_lose)
    answer = await one.place(buyer, "BUY", "130", "25.50")
    assert answer.outcome is not None
    assert len(answer.outcome.trades) == 130
    await assert_same_books(one)


# ---------------------------------------------------------------------------------------------------- idempotency keys


async def test_duplicates_of_a_key_in_one_batch_are_one_order(one: Process) -> None:
    trader = await one.trader(cea="1000")
    answers = await asyncio.gather(*(one.place(trader, "SELL", "10", "25.50", "twin") for _ in range(COPIES)))
    assert {answer.ticket_id for answer in answers} == {answers[0].ticket_id}
    assert [answer.is_replay for answer in answers].count(False) == 1
    assert {answer.outcome for answer in answers} == {answers[0].outcome}
    later = await one.place(trader, "SELL", "10", "25.50", "twin")
    assert (later.ticket_id, later.outcome, later.is_replay) == (answers[0].ticket_id, answers[0].outcome, True)


async def test_a_refused_key_is_refused_again_and_a_reused_key_is_a_conflict(one: Process) -> None:
    trader = await one.trader()
    answers = await asyncio.gather(
        one.place(trader, "SELL", "10", "25.50", "k"),
        one.place(trader, "SELL", "10", "25.50", "k"),
        one.place(trader, "SELL", "11", "25.50", "k"),
    )
    codes = [answer.refusal.code if answer.refusal else None for answer in answers]
    assert codes == ["INSUFFICIENT_BALANCE", "INSUFFICIENT_BALANCE", "IDEMPOTENCY_CONFLICT"]
    assert answers[0].ticket_id == answers[1].ticket_id != answers[2].ticket_id
    await one.transact(trader, Asset.CEA, "100")
    again = await one.place(trader, "SELL", "10", "25.50", "k")
    assert (again.ticket_id, again.refusal, again.is_replay) == (answers[0].ticket_id, answers[0].refusal, True)
    conflict = await one.place(trader, "SELL", "11", "25.50", "k")
    assert conflict.refusal is not None
    assert conflict.refusal.details == {"ticketId": answers[0].ticket_id}


async def test_keys_sent_twenty_times_over_two_processes_have_one_effect_each(one: Process, other: Process) -> None:
    trader = await one.trader(cea="100000")
    before = await one.count("orders"), await one.count("ticket_logs")
    sends = [(key, copy) for key in range(KEYS) for copy in range(COPIES)]
    random.Random(5).shuffle(sends)
    answers = await asyncio.gather(
        *((one, other)[copy % 2].place(trader, "SELL", str(key + 1), "25.50", f"race-{key}") for key, copy in sends)
    )
    found: dict[int, set[str]] = {}
    for (key, _), answer in zip(sends, answers, strict=True):
        assert answer.outcome is not None
        assert answer.outcome.order.quantity == key + 1
        found.setdefault(key, set()).add(answer.ticket_id)
    assert all(len(tickets) == 1 for tickets in found.values())
    assert (await one.count("orders"), await one.count("ticket_logs")) == (before[0] + KEYS, before[1] + KEYS)


async def test_of_rivals_for_a_whole_balance_one_wins(one: Process, other: Process) -> None:
    """Orders on both desks and withdrawals, all for everything at once."""
    trader = await one.trader(cea="100")
    for _ in range(ROUNDS):
        rivals = [
            (one, other)[number % 2].place(trader, "SELL", "100", "99.00")
            if number % 4
            else one.transact(trader, Asset.CEA, "100", "WITHDRAWAL")
            for number in range(RIVALS)
        ]
        answers: list[Answer[Any]] = await asyncio.gather(*rivals)
        winners = [answer for answer in answers if answer.outcome]
        assert len(winners) == 1
        assert {each.refusal.code for each in answers if each.refusal} == {ErrorCode.INSUFFICIENT_BALANCE}
        won: Any = winners[0].outcome
        if hasattr(won, "order"):
            assert (await one.cancel(won.order.id, trader)).outcome
        else:
            await one.transact(trader, Asset.CEA, "100")


# -------------------------------------------------------------------------------------------------- what goes wrong


async def test_a_command_that_breaks_costs_its_neighbours_nothing(one: Process, owner: Owner) -> None:
    trader = await one.trader(cea="100000")
    quantities = [str(POISON if number == 5 else number + 1) for number in range(12)]
    async with poison(owner):
        answers = await asyncio.gather(
            *(one.place(trader, "SELL", quantity, "25.50") for quantity in quantities), return_exceptions=True
        )
    broken = answers.pop(5)
    assert isinstance(broken, Fault)
    assert broken.ticket_id is not None
    ticket = await one.pool.fetchrow(
        "SELECT status, error_code FROM ticket_logs WHERE ticket_id = $1", broken.ticket_id
    )
    assert ticket is not None
    assert (ticket["status"], ticket["error_code"]) == ("FAILED", "INTERNAL")
    for answer in answers:
        assert isinstance(answer, Answer)
        assert answer.outcome is not None
    await assert_same_books(one)


@pytest.mark.parametrize("error", ["40001", "40P01"])
async def test_a_conflict_that_does_not_pass_is_the_fault_of_one(one: Process, owner: Owner, error: str) -> None:
    trader = await one.trader(cea="100000")
    async with poison(owner, error):
        answers = await asyncio.gather(
            *(one.place(trader, "SELL", quantity, "25.50") for quantity in ("1", str(POISON), "3")),
            return_exceptions=True,
        )
    assert [isinstance(answer, Answer) for answer in answers] == [True, False, True]
    assert isinstance(answers[1], Fault)
    assert answers[1].ticket_id is not None


async def test_a_job_that_cannot_even_be_recorded_costs_its_neighbours_nothing(one: Process) -> None:
    """Its session does not exist, so its FAILED ticket breaks the same key at COMMIT."""
    trader = await one.trader(cea="1000")
    attempt, command = one.order(trader, "SELL", "2", "25.50")
    answers = await asyncio.gather(
        one.desk.submit(replace(attempt, session_id=uuid4()), command),
        *(one.place(trader, "SELL", "1", "25.50") for _ in range(3)),
        return_exceptions=True,
    )
    assert isinstance(answers[0], Fault)
    assert [isinstance(answer, Answer) for answer in answers[1:]] == [True] * 3


async def test_a_connection_lost_in_the_batch_is_settled(
    one: Process, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader = await one.trader(cea="1000")
    store = batch.Batch.store

    async def and_die(self: Any, units: Any, steps: Any) -> None:
        monkeypatch.undo()
        await store(self, units, steps)
        pid = await self.transaction.connection.fetchval("SELECT pg_backend_pid()")
        await owner.fetchval("SELECT pg_terminate_backend($1)", pid)

    monkeypatch.setattr(batch.Batch, "store", and_die)
    before = await one.count("orders")
    answers = await asyncio.gather(*(one.place(trader, "SELL", "1", "25.50") for _ in range(10)))
    assert all(answer.outcome for answer in answers)
    assert len({answer.ticket_id for answer in answers}) == 10
    assert await one.count("orders") == before + 10
    await assert_same_books(one)


async def test_a_batch_that_committed_before_its_answer_was_lost_is_not_repeated(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader, before, commit = await one.trader(cea="1000"), await one.count("orders"), one.desk._batch

    async def and_lose(jobs: Any) -> Any:
        monkeypatch.undo()
        await commit(jobs)
        raise ConnectionResetError("lost on the way back")

    monkeypatch.setattr(one.desk, "_batch", and_lose)
    answers = await asyncio.gather(*(one.place(trader, "SELL", "1", "25.50") for _ in range(10)))
    assert all(answer.outcome and not answer.is_replay for answer in answers)
    assert await one.count("orders") == before + 10
    await assert_same_books(one)


@pytest.mark.parametrize("wait_s", [0.0, 0.001, 0.003, 0.006, 0.010, 0.020])
async def test_a_desk_task_that_is_killed_is_replaced_and_nobody_hangs(one: Process, wait_s: float) -> None:
    trader, before = await one.trader(cea="1000"), await one.count("orders")
    waiting = [asyncio.create_task(one.place(trader, "SELL", "1", "25.50")) for _ in range(20)]
    await asyncio.sleep(wait_s)
    assert one.desk._task is not None
    one.desk._task.cancel()
    more = [asyncio.create_task(one.place(trader, "SELL", "1", "25.50")) for _ in range(5)]
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*waiting, *more)
    assert all(answer.outcome for answer in answers)
    assert len({answer.ticket_id for answer in answers}) == 25
    assert await one.count("orders") == before + 25
    await assert_same_books(one)


async def test_a_killed_desk_does_not_keep_a_book_that_only_looks_current(one: Process, other: Process) -> None:
    """Events decided but not committed leave the book ahead; as many events of another process hide that."""
    trader = await one.trader(cea="1000")
    books = await books_of(one)
    books[CEA].sequence += 1
    books[CEA].rest(replace_resting(trader))
    one.desk._in_hand = [batch.Job(one.attempt("placeOrder", {}), Cancel("x", trader), asyncio.Future())]
    one.desk._queue._unfinished_tasks += 1  # type: ignore[attr-defined]  # what a cancelled batch leaves behind
    one.desk._queue._finished.clear()  # type: ignore[attr-defined]
    assert one.desk._task is not None
    one.desk._task.cancel()
    await other.place(trader, "SELL", "5", "26.00")
    await one.place(trader, "SELL", "5", "26.00")
    await assert_same_books(one, other)


def replace_resting(holder: UUID) -> Any:
    return Resting(uuid4(), holder, None, OrderSide.SELL, 1, 5, 10**6, "TKT-2026-000001")


async def test_a_market_lock_held_too_long_is_busy_with_tickets(one: Process, owner: Owner) -> None:
    trader = await one.trader(cea="1000")
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT * FROM books FOR UPDATE")
    answers = await asyncio.gather(*(one.place(trader, "SELL", "1", "25.50", f"b{number}") for number in range(8)))
    await transaction.rollback()
    assert [answer.refusal and answer.refusal.code for answer in answers] == ["BUSY"] * 8
    rows = await one.pool.fetch(
        "SELECT error_code FROM ticket_logs WHERE ticket_id = ANY($1::text[])", [answer.ticket_id for answer in answers]
    )
    assert [row["error_code"] for row in rows] == ["BUSY"] * 8
    assert (await one.place(trader, "SELL", "1", "25.50", "b0")).outcome, "BUSY is not kept under the key"


async def test_a_full_queue_is_busy_with_a_ticket(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    trader = await one.trader(cea="1000")
    monkeypatch.setattr(one.desk._queue, "_maxsize", 4)
    answers = await asyncio.gather(*(one.place(trader, "SELL", "1", "25.50") for _ in range(12)))
    refused = [answer for answer in answers if answer.refusal]
    assert {answer.refusal.code for answer in refused if answer.refusal} == {ErrorCode.BUSY}
    assert 0 < len(refused) < 12
    assert len({answer.ticket_id for answer in answers}) == 12


async def test_a_client_that_vanishes_leaves_the_order_to_the_desk(one: Process) -> None:
    trader, before = await one.trader(cea="1000"), await one.count("orders")
    waiting = [asyncio.create_task(one.place(trader, "SELL", "1", "25.50")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(answer, Answer) for answer in answers] == [False, True] * 5
    assert await one.count("orders") == before + 10
    assert one.desk_pool._pool.get_idle_size() == one.desk_pool._pool.get_size()


async def test_stop_finishes_what_is_waiting_and_takes_nothing_more(
    servers: Servers, database: str, one: Process
) -> None:
    trader = await one.trader(cea="1000")
    async with process(database, servers.urls.redis_url, admin_id=one.admin_id) as short:
        waiting = [asyncio.create_task(short.place(trader, "SELL", "1", "25.50")) for _ in range(30)]
        await asyncio.sleep(0)
        await short.desk.stop()
        answers = await asyncio.gather(*waiting)
        assert all(answer.outcome for answer in answers)
        async with asyncio.timeout(3):
            late = await short.place(trader, "SELL", "1", "25.50")
        assert late.refusal is not None
        assert late.refusal.code is ErrorCode.BUSY


async def test_what_stop_cannot_finish_is_kept_and_answered(
    servers: Servers, database: str, one: Process, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "ANSWER_TIMEOUT_S", 0.2)
    trader = await one.trader(cea="1000")
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT * FROM books FOR UPDATE")
    async with process(database, servers.urls.redis_url, admin_id=one.admin_id) as short:
        command = [asyncio.create_task(short.place(trader, "SELL", "1", "25.50")) for _ in range(3)]
        await asyncio.sleep(0.05)
        await short.desk.stop()
        answers = await asyncio.gather(*command, return_exceptions=True)
        assert all(isinstance(answer, Fault) for answer in answers)
        assert len(short.kept) == 3
    await transaction.rollback()


async def test_what_a_batch_costs(one: Process) -> None:
    """Print orders per second at 1, 16 and 64 callers, not durable here; nothing is asserted."""
    rng = random.Random(1)
    traders = [await one.trader("10000000", "100000") for _ in range(16)]

    async def caller(count: int) -> None:
        for _ in range(count):
            price = f"{25 + rng.randint(-10, 10) / 100:.2f}"
            await one.place(rng.choice(traders), rng.choice(["BUY", "SELL"]), str(rng.randint(1, 40)), price)

    for callers, each in ((1, 60), (16, 30), (64, 12)):
        started = time.perf_counter()
        await asyncio.gather(*(caller(each) for _ in range(callers)))
        rate = callers * each / (time.perf_counter() - started)
        print(f"\ndesk, {callers} callers: {rate:.0f} orders/s", end="")  # noqa: T201 - a figure for the log
    assert unit.LOCK_TIMEOUT_S < desk.ANSWER_TIMEOUT_S
