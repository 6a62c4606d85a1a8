"""Changing a user's rights while he trades: the lock decides which comes first, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import kyc, people, users
from db.transaction import Write
from db.unit import Answer
from domain import office, stories
from domain.errors import ErrorCode
from domain.kyc import KycOutcome, new_document
from domain.money import Asset
from domain.people import LoginOutcome, User, UserChange, UserOutcome, UserRole
from tests.db.books import empty_books
from tests.db.invariants import assert_invariants
from tests.db.process import Process

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    await empty_books(one)
    yield
    await assert_invariants(owner)


async def update(process: Process, user_id: UUID, **change: Any) -> Answer[UserOutcome]:
    return await process.run(
        "updateUser",
        {"id": str(user_id)},
        lambda write: users.update(write, str(user_id), UserChange(**change), None),
        office.of_updated_user,
        UserOutcome,
    )


async def test_a_user_deactivated_while_he_orders_leaves_nothing_in_the_book(one: Process, other: Process) -> None:
    for _ in range(8):
        trader = await one.trader("1000", "1000")
        answers: list[Answer[Any]] = await asyncio.gather(
            *(one.place(trader, "BUY", "1", "10.00") for _ in range(4)),
            *(other.place(trader, "SELL", "1", "40.00") for _ in range(4)),
            update(other, trader, is_active=False),
            *(one.place(trader, "SELL", "1", "40.00") for _ in range(4)),
        )
        codes = {answer.refusal.code for answer in answers if answer.refusal}
        assert codes <= {ErrorCode.USER_INACTIVE}
        rows = await one.pool.fetch(
            "SELECT status, cancel_reason, count(*) AS n FROM orders WHERE user_id = $1 GROUP BY 1, 2", trader
        )
        assert {(row["status"], row["cancel_reason"]) for row in rows} <= {("CANCELLED", "DEACTIVATED")}
        placed = sum(row["n"] for row in rows)
        (cancelled,) = [answer.outcome for answer in answers if isinstance(answer.outcome, UserOutcome)]
        assert len(cancelled.cancelled_orders) == placed
        balances = await one.pool.fetch("SELECT available, locked FROM balances WHERE holder_id = $1", trader)
        assert {(row["available"], row["locked"]) for row in balances} == {(1000, 0)}


async def test_a_role_changed_while_he_orders_is_refused_or_comes_first(one: Process, other: Process) -> None:
    for _ in range(6):
        trader = await one.trader()
        deposit, changed = await asyncio.gather(
            one.transact(trader, Asset.CEA, "1"), update(other, trader, role=UserRole.ANALYST)
        )
        assert deposit.outcome is not None
        if changed.refusal:
            assert changed.refusal.code is ErrorCode.INVALID_INPUT
            assert changed.refusal.details["balances"] == {"CEA": {"available": "1", "locked": "0"}}


async def test_two_admins_cannot_lock_each_other_out(one: Process, other: Process, owner: Owner) -> None:
    await owner.execute("UPDATE users SET is_active = false WHERE role = 'ADMIN'")
    for _ in range(6):
        pair = [uuid4(), uuid4()]
        for admin in pair:
            await owner.execute(
                "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)"
                " VALUES ($1, $2, 'Admin', 'ADMIN', 'x', now(), now())",
                admin,
                f"{admin}@desk.test",
            )
        answers = await asyncio.gather(update(one, pair[0], is_active=False), update(other, pair[1], is_active=False))
        refused = [answer.refusal for answer in answers if answer.refusal]
        assert [one.code for one in refused] == [ErrorCode.INVALID_INPUT]
        assert await owner.fetchval("SELECT count(*) FROM users WHERE role = 'ADMIN' AND is_active") == 1
        await owner.execute("UPDATE users SET is_active = false WHERE role = 'ADMIN'")
    await owner.execute("UPDATE users SET is_active = true WHERE id = $1", one.admin_id)


async def test_of_two_decisions_about_one_check_one_is_made(one: Process, other: Process) -> None:
    async def decide(process: Process, user_id: UUID, *, approve: bool) -> Answer[KycOutcome]:
        async def work(write: Write) -> KycOutcome:
            return await (kyc.approve(write, str(user_id)) if approve else kyc.reject(write, str(user_id), "No"))

        return await process.run("approveKyc", {"userId": str(user_id)}, work, stories.of_approved_kyc, KycOutcome)

    for _ in range(6):
        trader = await one.trader(kyc=False)
        answers = await asyncio.gather(decide(one, trader, approve=True), decide(other, trader, approve=False))
        assert sorted(str(answer.refusal and answer.refusal.code) for answer in answers) == ["ALREADY_DECIDED", "None"]


async def test_an_upload_and_a_decision_at_once_end_in_one_of_their_orders(one: Process, other: Process) -> None:
    paper = new_document("PASSPORT", "p.pdf", "application/pdf", "JVBERi0x")
    for _ in range(6):
        trader = await one.trader(kyc=False)

        async def upload(write: Write, user_id: UUID = trader) -> KycOutcome:
            return await kyc.upload(write, user_id, paper)

        async def reject(write: Write, user_id: UUID = trader) -> KycOutcome:
            return await kyc.reject(write, str(user_id), "No")

        await asyncio.gather(
            one.run("uploadKycDocument", {}, upload, office.of_uploaded_document, KycOutcome),
            other.run("rejectKyc", {}, reject, office.of_rejected_kyc, KycOutcome),
        )
        row = await one.pool.fetchrow("SELECT kyc_status, kyc_reason FROM users WHERE id = $1", trader)
        assert row is not None
        assert tuple(row) in {("PENDING", None), ("REJECTED", "No")}


@pytest.mark.parametrize("change", [{"password": "p" * 15}, {"is_active": False}], ids=["password", "activity"])
async def test_who_signs_in_while_his_rights_change_gets_no_session_by_the_old_ones(
    one: Process, other: Process, owner: Owner, change: dict[str, Any]
) -> None:
    """The password was verified, then it changed, then the session would have been opened."""
    user_id = await one.trader()
    (row,) = await owner.fetch("SELECT * FROM users WHERE id = $1", user_id)
    verified = people.user_of(row), row["password_hash"]

    async def sign_in(write: Write) -> LoginOutcome:
        return await people.sign_in(write, *verified, "token")

    async def reset(write: Write) -> UserOutcome:
        return await users.update(write, str(user_id), UserChange(**change), "other" if "password" in change else None)

    done = await other.run("updateUser", {"id": str(user_id)}, reset, office.of_updated_user, UserOutcome)
    assert done.outcome is not None
    late = await one.run("login", {}, sign_in, stories.of_login, LoginOutcome)
    assert late.refusal is not None
    assert late.refusal.code is ErrorCode.INVALID_CREDENTIALS
    assert await owner.fetchval("SELECT count(*) FROM user_sessions WHERE user_id = $1", user_id) == 0


async def test_of_logins_and_a_new_password_at_once_none_survives_by_the_old_one(
    one: Process, other: Process, owner: Owner
) -> None:
    for turn in range(6):
        user_id = await one.trader()
        (row,) = await owner.fetch("SELECT * FROM users WHERE id = $1", user_id)
        verified = people.user_of(row), row["password_hash"]

        async def sign_in(process: Process, token: str, known: tuple[User, str] = verified) -> None:
            async def work(write: Write) -> LoginOutcome:
                return await people.sign_in(write, *known, token)

            await process.run("login", {}, work, stories.of_login, LoginOutcome)

        async def reset(write: Write, who: UUID = user_id) -> UserOutcome:
            return await users.update(write, str(who), UserChange(password="p" * 15), "other")

        await asyncio.gather(
            *(sign_in(process, f"{turn} {index} {process is one}") for index in range(3) for process in (one, other)),
            other.run("updateUser", {"id": str(user_id)}, reset, office.of_updated_user, UserOutcome),
        )
        left = "SELECT count(*) FROM user_sessions WHERE user_id = $1 AND revoked_at IS NULL"
        assert await owner.fetchval(left, user_id) == 0
