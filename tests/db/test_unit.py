"""The unit of work: one attempt, one transaction, one ticket, whatever becomes of clients, keys, locks, connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import ledger, unit
from db.embedded import Servers
from db.outcomes import reader
from db.spool import Spool
from db.transaction import Write
from db.unit import Answer, Fault
from domain import errors, stories
from domain.ledger import Change, TransactionOutcome, TransactionType
from domain.money import Asset
from tests.db.invariants import assert_invariants
from tests.db.process import Process, process

DUPLICATES = 20
CANCELLATIONS = 60
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    yield
    await assert_invariants(owner)


def deposit(
    user_id: UUID, amount: str = "5", kind: str = "DEPOSIT"
) -> Callable[[Write], Awaitable[TransactionOutcome]]:
    change = Change(None, str(user_id), Asset.CEA, TransactionType(kind), Decimal(amount), None)
    return lambda write: ledger.change(write, change)


async def run(one: Process, work: Callable[[Write], Awaitable[Any]], **changed: Any) -> tuple[UUID, Answer[Any]]:
    attempt = replace(one.attempt("createTransaction", {"input": {"amount": "5"}}), **changed)
    answer = await one.units.run(attempt, work, stories.of_transaction, reader(TransactionOutcome))
    return attempt.attempt_id, answer


async def balance(one: Process, user_id: UUID, asset: str = "CEA") -> tuple[int, int]:
    row = await one.pool.fetchrow(
        "SELECT available, locked FROM balances WHERE holder_id = $1 AND asset = $2", user_id, asset
    )
    return (int(row["available"]), int(row["locked"])) if row else (0, 0)


async def effects_of(one: Process, ticket_id: str) -> int:
    rows = await one.pool.fetch("SELECT count(*) AS n FROM asset_transactions WHERE ticket_id = $1", ticket_id)
    found: int = rows[0]["n"]
    return found


async def only_ticket(one: Process, attempt_id: UUID) -> Any:
    (ticket,) = await one.tickets_of([attempt_id])
    return ticket


@contextlib.asynccontextmanager
async def trigger(owner: Owner, table: str, body: str) -> AsyncIterator[None]:
    """Let the database itself misbehave on every insert into a table."""
    await owner.execute(
        "CREATE FUNCTION misbehave() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$"
        f" BEGIN {body} RETURN NEW; END $$;"
        f"CREATE TRIGGER misbehave BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION misbehave()"
    )
    try:
        yield
    finally:
        await owner.execute("DROP FUNCTION misbehave() CASCADE")


# ------------------------------------------------------------------------------------------------ success and refusal


async def test_a_success_commits_with_its_ticket(one: Process) -> None:
    trader = await one.trader()
    attempt_id, answer = await run(one, deposit(trader))
    ticket = await only_ticket(one, attempt_id)
    rows = await one.pool.fetch(
        "SELECT a.xmin::text::bigint = t.txid::text::bigint % 4294967296 AS same FROM asset_transactions a"
        " JOIN ticket_logs t USING (ticket_id) WHERE ticket_id = $1",
        answer.ticket_id,
    )
    assert (ticket["ticket_id"], ticket["status"], [row["same"] for row in rows]) == (
        answer.ticket_id,
        "SUCCESS",
        [True],
    )
    assert one.notices[-1].channel == "tickets"


async def test_a_refusal_leaves_a_failed_ticket_and_nothing_else(one: Process) -> None:
    trader = await one.trader(cea="10")
    before = await one.count("asset_transactions"), await balance(one, trader), await one.count("ticket_logs")
    attempt_id, answer = await run(one, deposit(trader, "11", "WITHDRAWAL"), idempotency_key="refused-1")
    assert answer.refusal is not None
    assert answer.refusal.details == {"asset": "CEA", "requested": "11", "available": "10", "locked": "0"}
    ticket = await only_ticket(one, attempt_id)
    assert (ticket["ticket_id"], ticket["status"], ticket["error_code"]) == (
        answer.ticket_id,
        "FAILED",
        "INSUFFICIENT_BALANCE",
    )
    after = await one.count("asset_transactions"), await balance(one, trader), await one.count("ticket_logs")
    assert after == (before[0], before[1], before[2] + 1)
    again = (await run(one, deposit(trader, "11", "WITHDRAWAL"), idempotency_key="refused-1"))[1]
    assert (again.ticket_id, again.refusal, again.is_replay) == (answer.ticket_id, answer.refusal, True)


async def test_a_refusal_after_effects_takes_them_back(one: Process) -> None:
    trader = await one.trader()

    async def work(write: Write) -> Any:
        await deposit(trader)(write)
        raise errors.NotFound("Not here.")

    attempt_id, answer = await run(one, work)
    assert answer.refusal is not None
    assert (await balance(one, trader), await effects_of(one, answer.ticket_id)) == ((0, 0), 0)
    assert (await only_ticket(one, attempt_id))["status"] == "FAILED"


async def test_a_fault_is_masked_and_leaves_a_failed_ticket(one: Process) -> None:
    trader = await one.trader()

    async def work(write: Write) -> Any:
        await deposit(trader)(write)
        raise ZeroDivisionError("the secret reason")

    attempt = one.attempt("createTransaction", {}, key="fault-1")
    with pytest.raises(Fault) as fault:
        await one.units.run(attempt, work, stories.of_transaction, reader(TransactionOutcome))
    ticket = await only_ticket(one, attempt.attempt_id)
    assert (ticket["ticket_id"], ticket["error_code"]) == (fault.value.ticket_id, "INTERNAL")
    assert "secret" not in ticket["error_message"] + ticket["summary"]
    assert (await balance(one, trader)) == (0, 0)
    answer = (await run(one, deposit(trader), idempotency_key="fault-1", request={}))[1]
    assert answer.outcome is not None, "a fault is not kept under the key: the retry does the work"


async def test_a_commit_that_fails_is_a_fault_with_its_ticket(one: Process) -> None:
    """Deferred keys are checked at COMMIT, after everything looked well."""
    trader = await one.trader()

    async def work(write: Write) -> Any:
        outcome = await deposit(trader)(write)
        await write.connection.execute(
            "INSERT INTO idempotency VALUES ($1, 'x', $2, $3, 'TKT-2026-999999999', 'SUCCESS', '{}', now())",
            one.admin_id,
            str(uuid4())[:64],
            b"h" * 32,
        )
        return outcome

    attempt = one.attempt("createTransaction", {})
    with pytest.raises(Fault) as fault:
        await one.units.run(attempt, work, stories.of_transaction, reader(TransactionOutcome))
    assert (await only_ticket(one, attempt.attempt_id))["ticket_id"] == fault.value.ticket_id
    assert (await balance(one, trader)) == (0, 0)


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_conflict_that_passes_is_retried_and_one_ticket_stands(one: Process, owner: Owner, state: str) -> None:
    trader = await one.trader()
    await owner.execute("CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO PUBLIC")
    body = f"IF nextval('tries') < 3 THEN RAISE EXCEPTION 'once more' USING ERRCODE = '{state}'; END IF;"
    async with trigger(owner, "asset_transactions", body):
        attempt_id, answer = await run(one, deposit(trader))
    await owner.execute("DROP SEQUENCE tries")
    assert answer.outcome is not None
    assert (await only_ticket(one, attempt_id))["status"] == "SUCCESS"
    assert (await balance(one, trader)) == (5, 0)


async def test_a_conflict_that_does_not_pass_leaves_a_failed_ticket(one: Process, owner: Owner) -> None:
    trader = await one.trader()
    attempt = one.attempt("createTransaction", {})
    async with trigger(owner, "asset_transactions", "RAISE EXCEPTION 'again' USING ERRCODE = '40001';"):
        with pytest.raises(Fault) as fault:
            await one.units.run(attempt, deposit(trader), stories.of_transaction, reader(TransactionOutcome))
    ticket = await only_ticket(one, attempt.attempt_id)
    assert (ticket["ticket_id"], ticket["error_code"]) == (fault.value.ticket_id, "INTERNAL")


# ---------------------------------------------------------------------------------------------------- idempotency keys


async def test_twenty_duplicates_at_once_have_one_effect_and_one_answer(one: Process) -> None:
    trader = await one.trader()
    before = await one.count("ticket_logs")
    answers = await asyncio.gather(*(one.transact(trader, Asset.CEA, "7", key="dup") for _ in range(DUPLICATES)))
    assert {answer.ticket_id for answer in answers} == {answers[0].ticket_id}
    assert {answer.outcome for answer in answers} == {answers[0].outcome}
    assert sum(not answer.is_replay for answer in answers) == 1
    assert (await balance(one, trader)) == (7, 0)
    assert await one.count("ticket_logs") == before + 1


async def test_twenty_refused_duplicates_at_once_have_one_ticket(one: Process) -> None:
    """The key is taken inside `_refuse`: whoever loses there starts over and finds the winner's answer."""
    trader = await one.trader()
    before = await one.count("ticket_logs")
    answers = await asyncio.gather(
        *(one.transact(trader, Asset.CEA, "7", "WITHDRAWAL", key="dup-refused") for _ in range(DUPLICATES))
    )
    assert all((one.ticket_id, one.refusal) == (answers[0].ticket_id, answers[0].refusal) for one in answers)
    assert sum(not answer.is_replay for answer in answers) == 1
    assert await one.count("ticket_logs") == before + 1


async def test_a_key_with_other_input_is_a_conflict_with_a_ticket_of_its_own(one: Process) -> None:
    trader = await one.trader()
    first = await one.transact(trader, Asset.CEA, "7", key="reused")
    second = await one.transact(trader, Asset.CEA, "8", key="reused")
    assert second.refusal is not None
    assert (second.refusal.code, second.refusal.details) == ("IDEMPOTENCY_CONFLICT", {"ticketId": first.ticket_id})
    assert second.ticket_id != first.ticket_id
    third = await one.transact(trader, Asset.CEA, "7", key="reused")
    assert (third.ticket_id, third.is_replay) == (first.ticket_id, True)


async def test_a_key_is_the_actors_own(one: Process, servers: Servers, database: str) -> None:
    trader = await one.trader()
    await one.transact(trader, Asset.CEA, "7", key="shared")
    async with process(database, servers.urls.redis_url) as other:
        answer = await other.transact(trader, Asset.CEA, "7", key="shared")
    assert not answer.is_replay
    assert (await balance(one, trader)) == (14, 0)


async def test_a_duplicate_that_waits_too_long_for_the_first_is_busy_with_a_ticket(
    one: Process, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holds its key uncommitted for longer than the lock time-out; both kinds of second must be recorded."""
    trader = await one.trader()
    attempt = one.attempt("createTransaction", {"input": {"amount": "9"}}, key="slow")
    blocker = owner.transaction()
    await blocker.start()
    await owner.execute(
        "INSERT INTO idempotency"
        " VALUES ($1, 'createTransaction', 'slow', $2, 'TKT-2026-999999999', 'SUCCESS', '{}', now())",
        one.admin_id,
        b"h" * 32,
    )
    answers = await asyncio.gather(
        one.units.run(attempt, deposit(trader), stories.of_transaction, reader(TransactionOutcome)),
        one.transact(trader, Asset.EUR, "1000000000", "WITHDRAWAL", key="slow"),
        return_exceptions=True,
    )
    await blocker.rollback()
    for answer in answers:
        assert isinstance(answer, Answer), repr(answer)
        assert answer.refusal is not None
        assert answer.refusal.code == "BUSY"
    assert (await only_ticket(one, attempt.attempt_id))["error_code"] == "BUSY"
    assert (await balance(one, trader)) == (0, 0)


# ------------------------------------------------------------------------------------- clients, locks and connections


async def test_a_client_that_vanishes_changes_nothing(one: Process) -> None:
    """Cancel the waiting task at random points: the attempt ends whole, with one ticket, and no connection is lost."""
    rng = random.Random(7)
    trader = await one.trader()
    attempts = []
    for _ in range(CANCELLATIONS):
        attempt = one.attempt("createTransaction", {})
        attempts.append(attempt.attempt_id)
        work = one.units.run(attempt, deposit(trader, "1"), stories.of_transaction, reader(TransactionOutcome))
        waiting = asyncio.create_task(one.units.shielded(work))
        await asyncio.sleep(rng.uniform(0, 0.012))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await one.units.drain()
    found = await one.tickets_of(attempts)
    assert len({ticket["attempt_id"] for ticket in found}) == len(found)
    assert all(ticket["status"] == "SUCCESS" for ticket in found)
    assert len(found) >= CANCELLATIONS - 10, "a task cancelled before its first step never began"
    assert (await balance(one, trader)) == (len(found), 0)
    assert one.pool._pool.get_size() == one.pool._pool.get_idle_size()


async def backend(write: Write) -> int:
    pid: int = await write.connection.fetchval("SELECT pg_backend_pid()")
    return pid


async def test_a_connection_lost_during_work_is_settled_as_failed(one: Process, owner: Owner) -> None:
    trader = await one.trader()

    async def work(write: Write) -> Any:
        outcome = await deposit(trader)(write)
        await owner.fetchval("SELECT pg_terminate_backend($1)", await backend(write))
        await write.connection.execute("SELECT 1")
        return outcome

    attempt = one.attempt("createTransaction", {}, key="lost-1")
    with pytest.raises(Fault) as fault:
        await one.units.run(attempt, work, stories.of_transaction, reader(TransactionOutcome))
    ticket = await only_ticket(one, attempt.attempt_id)
    assert (ticket["ticket_id"], ticket["status"], ticket["error_code"]) == (
        fault.value.ticket_id,
        "FAILED",
        "INTERNAL",
    )
    assert (await balance(one, trader)) == (0, 0)
    assert (await run(one, deposit(trader), idempotency_key="lost-1", request={}))[1].outcome


async def test_a_connection_lost_just_before_commit_is_settled(
    one: Process, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader, write_tickets = await one.trader(), one.units.write_tickets

    async def and_die(transaction: Any, drafts: Any, keyed: Any = ()) -> None:
        await write_tickets(transaction, drafts, keyed)
        monkeypatch.undo()
        await owner.fetchval("SELECT pg_terminate_backend($1)", await backend(transaction))

    monkeypatch.setattr(one.units, "write_tickets", and_die)
    attempt = one.attempt("createTransaction", {})
    with pytest.raises(Fault):
        await one.units.run(attempt, deposit(trader), stories.of_transaction, reader(TransactionOutcome))
    assert (await only_ticket(one, attempt.attempt_id))["status"] == "FAILED"
    assert (await balance(one, trader)) == (0, 0)


async def test_a_commit_whose_answer_is_lost_is_found_again(
    one: Process, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits, the connection breaks before it says so: the answer comes from the stored ticket."""
    trader = await one.trader()
    commit = asyncpg.transaction.Transaction.commit

    async def and_lose(self: Any) -> None:
        monkeypatch.undo()
        await commit(self)
        raise ConnectionResetError("lost on the way back")

    monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", and_lose)
    attempt_id, answer = await run(one, deposit(trader))
    assert answer.outcome is not None
    assert answer.outcome.transaction.amount == 5
    assert answer.ticket_id == (await only_ticket(one, attempt_id))["ticket_id"]
    assert (await balance(one, trader)) == (5, 0)


async def test_a_connection_lost_while_it_lends_a_refusal_is_settled(one: Process, owner: Owner) -> None:
    async def work(write: Write) -> Any:
        await owner.fetchval("SELECT pg_terminate_backend($1)", await backend(write))
        await asyncio.sleep(0.05)
        raise errors.NotFound("Not here.")

    attempt = one.attempt("createTransaction", {})
    with pytest.raises(Fault):
        await one.units.run(attempt, work, stories.of_transaction, reader(TransactionOutcome))
    assert (await only_ticket(one, attempt.attempt_id))["status"] == "FAILED"


async def test_a_lock_held_too_long_is_busy_with_a_ticket(one: Process, owner: Owner) -> None:
    trader = await one.trader(cea="1")
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT * FROM balances WHERE holder_id = $1 FOR UPDATE", trader)
    attempt_id, answer = await run(one, deposit(trader), idempotency_key="busy-1")
    await transaction.rollback()
    assert answer.refusal is not None
    assert (answer.refusal.code, (await only_ticket(one, attempt_id))["error_code"]) == ("BUSY", "BUSY")
    retried = (await run(one, deposit(trader), idempotency_key="busy-1"))[1]
    assert retried.outcome is not None, "BUSY is not kept under the key"


async def test_more_attempts_than_connections_all_end_with_a_ticket(servers: Servers, database: str) -> None:
    """Numbers need a connection of their own now and then; a full pool must not wait for itself."""
    async with process(database, None, size_max=3) as small:
        trader = await small.trader()
        attempts = [small.attempt("createTransaction", {}) for _ in range(60)]
        answers = await asyncio.gather(
            *(
                small.units.run(one, deposit(trader, "1"), stories.of_transaction, reader(TransactionOutcome))
                for one in attempts
            )
        )
        assert all(answer.outcome for answer in answers)
        assert len(await small.tickets_of([one.attempt_id for one in attempts])) == len(attempts)


async def test_a_full_pool_that_needs_a_lease_does_not_wait_for_itself(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(database, None, size_max=3) as small:
        trader = await small.trader()
        attempts = [small.attempt("createTransaction", {}) for _ in range(12)]
        small.numbers._blocks.clear()
        answers = await asyncio.gather(
            *(
                small.units.run(one, deposit(trader, "1"), stories.of_transaction, reader(TransactionOutcome))
                for one in attempts
            )
        )
        assert [answer.refusal for answer in answers] == [None] * 12


async def test_a_pool_that_stays_full_is_busy_with_a_ticket(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "ACQUIRE_TIMEOUT_S", 0.3)
    async with process(database, None, size_max=1) as small:
        trader = await small.trader()
        attempt = small.attempt("createTransaction", {})
        async with small.pool.acquire():
            waiting = asyncio.create_task(
                small.units.run(attempt, deposit(trader), stories.of_transaction, reader(TransactionOutcome))
            )
            await asyncio.sleep(0.4)
        answer = await waiting
        assert answer.refusal is not None
        assert (await only_ticket(small, attempt.attempt_id))["error_code"] == answer.refusal.code == "BUSY"


async def test_nothing_can_be_recorded_while_no_connection_is_free_so_the_attempt_is_kept(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "ACQUIRE_TIMEOUT_S", 0.05)
    async with process(database, None, size_max=1) as small:
        attempt = small.attempt("createTransaction", {})
        async with small.pool.acquire():
            with pytest.raises(Fault) as fault:
                await small.units.run(attempt, deposit(uuid4()), stories.of_transaction, reader(TransactionOutcome))
        assert (fault.value.ticket_id, small.kept) == (None, [attempt])


async def test_the_spool_is_emptied_on_a_machine_that_has_been_up_for_long(
    one: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duration counted from boot would pass the bound of its column after 11 days and never be taken."""
    now_ns = time.monotonic_ns
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns() + 30 * 86_400 * 10**9)
    spool, attempt = Spool(tmp_path / "spool"), one.attempt("createTransaction", {})
    await spool.keep(attempt, stories.of_transaction({}, None))
    assert await spool.ingest(one.units) == 1
    assert (await only_ticket(one, attempt.attempt_id))["tags"] == ["SPOOLED"]


async def test_the_role_is_the_applications(one: Process, database: str) -> None:
    (row,) = await one.pool.fetch("SELECT current_user AS role, current_setting('synchronous_commit') AS durable")
    assert (row["role"], row["durable"]) == (f"{urlsplit(database).path[1:]}_app", "on")
