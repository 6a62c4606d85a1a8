"""People in the database: users, their sessions, and the deposits they announce."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import Select, select

from db import filters, ledger, tables
from db.filters import Filter, at_least, at_most, before, containing, equal, one_of
from db.ledger import Posting
from db.lists import Listing
from db.read import Key, Reader
from db.tables import Row
from db.transaction import Write
from db.unit import BUSY_MESSAGE, Pool
from domain import errors, money, people
from domain.errors import Busy
from domain.money import Asset
from domain.people import (
    Caller,
    Deposit,
    DepositOutcome,
    DepositStatus,
    KycStatus,
    LoginOutcome,
    NewUser,
    Session,
    User,
    UserOutcome,
    UserRole,
)

SESSION_ABSOLUTE = timedelta(hours=8)  # a working day
SESSION_IDLE = timedelta(minutes=30)
SEEN_EVERY = timedelta(minutes=1)  # how exactly last_seen_at is kept, to spare a write per request
USER_AGENT_LENGTH_MAX = 512
SESSIONS_LOOKED_AT_MAX = 200  # the newest of a user, to know the addresses he signs in from
assert SEEN_EVERY < SESSION_IDLE < SESSION_ABSOLUTE


def user_of(row: Row) -> User:
    """Read a stored user."""
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=UserRole(row["role"]),
        is_active=row["is_active"],
        kyc_status=KycStatus(row["kyc_status"]),
        created_at=row["created_at"],
        kyc_reason=row["kyc_reason"],
    )


def deposit_of(row: Row) -> Deposit:
    """Read a stored deposit."""
    return Deposit(
        id=row["id"],
        user_id=row["user_id"],
        amount=money.eur(row["amount"]),
        reference=row["reference"],
        status=DepositStatus(row["status"]),
        reason=row["reason"],
        created_at=row["created_at"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        ticket_id=row["ticket_id"],
    )


# ------------------------------------------------------------------------------------------------------------ sessions


def token_sha256(token: str) -> bytes:
    """Return what is stored of a session token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


class Callers:
    """Look up who holds a session token, in the database each time; who asks while a statement runs is in the next."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[str, asyncio.Future[Caller | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def of(self, token: str) -> Caller | None:
        """Return who holds a token, by the database's clock; None when it has ended or the user may not act.

        Raises: Busy.
        """
        found = self._waiting.get(token)
        if found is None:
            found = self._waiting[token] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._look_up(), name="callers")
        return await asyncio.shield(found)  # others may wait for the same

    async def again(self, session_id: UUID) -> Caller | None:
        """Return who holds a session that was found before; an open socket alone does not make it idle, nor seen.

        Raises: Busy.
        """
        row = await self._pool.fetchrow(f"{_CALLER} AND s.id = $2", SEEN_EVERY, session_id)
        return _caller_of(row) if row else None

    async def still(self, sessions: Sequence[UUID]) -> dict[UUID, Caller]:
        """Return who still holds these sessions, which a look does not make seen.

        Raises: Busy.
        """
        rows = await self._pool.fetch(
            f"{_CALLER} AND s.id = ANY($2::uuid[]) AND s.last_seen_at > clock_timestamp() - $3::interval",
            SEEN_EVERY,
            list(sessions),
            SESSION_IDLE,
        )
        return {row["session_id"]: _caller_of(row) for row in rows}

    async def _look_up(self) -> None:
        """Look up who has asked, then who asked meanwhile, until nobody waits."""
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                try:
                    found = await _callers(self._pool, list(waiting))
                except BaseException as error:
                    for future in waiting.values():
                        future.set_exception(error if isinstance(error, Exception) else Busy(BUSY_MESSAGE))
                        future.exception()  # who asked may be gone
                    if not isinstance(error, Exception):
                        raise
                else:
                    for token, future in waiting.items():
                        future.set_result(found.get(token))
        finally:
            self._task = None


async def caller(pool: Pool, token: str) -> Caller | None:
    """Return who holds one token, as `Callers` does."""
    return (await _callers(pool, [token])).get(token)


async def _callers(pool: Pool, tokens: Sequence[str]) -> dict[str, Caller]:
    """Note that the sessions were seen, each at most once a SEEN_EVERY."""
    tokens_by_hash = {token_sha256(token): token for token in tokens}
    rows = await pool.fetch(
        f"{_CALLER} AND s.token_sha256 = ANY($2::bytea[]) AND s.last_seen_at > clock_timestamp() - $3::interval",
        SEEN_EVERY,
        list(tokens_by_hash),
        SESSION_IDLE,
    )
    if seen := [row["session_id"] for row in rows if row["is_stale"]]:
        await pool.fetch(
            "UPDATE user_sessions SET last_seen_at = clock_timestamp() WHERE id IN"
            " (SELECT id FROM user_sessions WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)",
            seen,
        )
    return {tokens_by_hash[row["token_sha256"]]: _caller_of(row) for row in rows}


_CALLER = (
    "SELECT s.id AS session_id, s.token_sha256, s.created_at AS session_created_at, s.last_seen_at, s.expires_at,"
    " s.ip_address, s.user_agent, s.last_seen_at < clock_timestamp() - $1::interval AS is_stale, u.*"
    " FROM user_sessions s JOIN users u ON u.id = s.user_id WHERE s.revoked_at IS NULL"
    " AND s.expires_at > clock_timestamp() AND u.is_active AND u.can_sign_in"
)


def _caller_of(row: Row) -> Caller:
    session = Session(
        id=row["session_id"],
        user_id=row["id"],
        created_at=row["session_created_at"],
        last_seen_at=row["last_seen_at"],
        expires_at=row["expires_at"],
        ip_address=row["ip_address"],
        user_agent=row["user_agent"],
    )
    return Caller(user_of(row), session)


async def credentials(pool: Pool, email: str) -> tuple[User, str] | None:
    """Return a user who may sign in and his password hash."""
    row = await pool.fetchrow(
        "SELECT * FROM users WHERE lower(email) = lower($1) AND is_active AND can_sign_in", email.strip()
    )
    return (user_of(row), row["password_hash"]) if row else None


async def id_of(pool: Pool, email: str) -> UUID | None:
    """Return who has an email address."""
    row = await pool.fetchrow("SELECT id FROM users WHERE lower(email) = lower($1)", email.strip())
    return row["id"] if row else None


async def sign_in(write: Write, user: User, verified_hash: str, token: str) -> LoginOutcome:
    """Open a session of a user whose password was verified before this transaction.

    Raises: InvalidCredentials (it was changed, or he deactivated, meanwhile: that ended all sessions but this one).
    Locks: the user FOR SHARE, so that whoever changes his rights comes before or after.
    """
    row = await write.connection.fetchrow(
        "SELECT * FROM users WHERE id = $1 AND is_active AND can_sign_in AND password_hash = $2 FOR SHARE",
        user.id,
        verified_hash,
    )
    if row is None:
        raise errors.InvalidCredentials(people.WRONG_CREDENTIALS)
    return await open_session(write, user_of(row), token)


async def signed_in_from(pool: Pool, email: str) -> list[str]:
    """Return the addresses that a user has lately signed in from."""
    rows = await pool.fetch(
        "SELECT DISTINCT ip_address FROM (SELECT s.ip_address FROM users u JOIN user_sessions s ON s.user_id = u.id"
        " WHERE lower(u.email) = lower($1) AND s.ip_address IS NOT NULL ORDER BY s.created_at DESC LIMIT $2) AS lately",
        email.strip(),
        SESSIONS_LOOKED_AT_MAX,
    )
    return [row["ip_address"] for row in rows]


async def open_session(write: Write, user: User, token: str) -> LoginOutcome:
    """Store a new session; the token itself is never stored."""
    attempt = write.attempt
    session = Session(
        id=uuid4(),
        user_id=user.id,
        created_at=write.now,
        last_seen_at=write.now,
        expires_at=write.now + SESSION_ABSOLUTE,
        ip_address=attempt.ip_address,
        user_agent=attempt.user_agent,
    )
    row = (
        session.id,
        user.id,
        token_sha256(token),
        session.created_at,
        session.last_seen_at,
        session.expires_at,
        session.ip_address,
        session.user_agent,
    )
    await write.insert(tables.user_sessions, [row])
    return LoginOutcome(user, session)


async def close_session(write: Write, who: Caller) -> LoginOutcome:
    """End the session that the attempt came with."""
    await write.connection.execute("UPDATE user_sessions SET revoked_at = $2 WHERE id = $1", who.session.id, write.now)
    return LoginOutcome(who.user, who.session)


# --------------------------------------------------------------------------------------------------------------- users


async def create(write: Write, new: NewUser, password_hash: str) -> UserOutcome:
    """Store a new user.

    Raises: EmailTaken.
    """
    user = User(uuid4(), new.email, new.name, new.role, True, KycStatus.NONE, write.now)
    await insert(write, user, password_hash)
    return UserOutcome(user)


async def insert(write: Write, user: User, password_hash: str | None) -> None:
    """Insert a user's row; a market maker's has no password hash.

    Raises: EmailTaken.
    """
    row = (
        user.id,
        user.email,
        user.name,
        user.role,
        password_hash,
        user.is_active,
        user.kyc_status,
        user.created_at,
        user.created_at,
    )
    try:
        await write.insert(tables.users, [row])
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "users_email":
            raise
        raise errors.EmailTaken(f"{user.email} belongs to another user already.", field="email") from error


# ------------------------------------------------------------------------------------------------------------ deposits


async def request_deposit(write: Write, user_id: UUID, amount: Decimal, reference: str) -> DepositOutcome:
    """Announce a bank transfer of euros.

    Raises: InvalidInput, InvalidAmount.
    """
    checked = people.text(reference, field="reference", length_max=people.REFERENCE_LENGTH_MAX, label="The reference")
    cents = money.amount(Asset.EUR, amount)
    deposit = Deposit(
        id=uuid4(),
        user_id=user_id,
        amount=money.decimal(Asset.EUR, cents),
        reference=checked,
        status=DepositStatus.PENDING,
        reason=None,
        created_at=write.now,
        decided_at=None,
        decided_by=None,
        ticket_id=write.ticket_id,
    )
    row = (
        deposit.id,
        deposit.user_id,
        deposit.amount,
        deposit.reference,
        deposit.status,
        deposit.reason,
        deposit.created_at,
        deposit.decided_at,
        deposit.decided_by,
        deposit.ticket_id,
    )
    await write.insert(tables.deposits, [row])
    return DepositOutcome(deposit)


async def approve_deposit(write: Write, deposit_id: str) -> DepositOutcome:
    """Credit an announced transfer.

    Raises: NotFound, AlreadyDecided, InvalidAmount.
    Locks: the deposit, then the account.
    """
    before = await _deposit_to_decide(write, deposit_id)
    accounts = await ledger.lock(write, [(before.user_id, None, Asset.EUR)])
    cents = money.amount(Asset.EUR, before.amount)
    posting = Posting(
        ledger.deposit_move(before.user_id, None, Asset.EUR, cents),
        write.root,
        notes=f"Deposit {before.reference}",
        created_by=write.attempt.user_id,
    )
    await ledger.post(write, accounts, [posting])
    return await _decided(write, before, DepositStatus.APPROVED, None)


async def reject_deposit(write: Write, deposit_id: str, reason: str) -> DepositOutcome:
    """Refuse an announced transfer; the trader reads the reason.

    Raises: InvalidInput, NotFound, AlreadyDecided.
    Locks: the deposit.
    """
    checked = people.reason(reason)
    return await _decided(write, await _deposit_to_decide(write, deposit_id), DepositStatus.REJECTED, checked)


async def _deposit_to_decide(write: Write, deposit_id: str) -> Deposit:
    row = await write.connection.fetchrow(
        "SELECT * FROM deposits WHERE id = $1 FOR NO KEY UPDATE", people.uuid_or_none(deposit_id)
    )
    return people.decide_deposit(deposit_of(row) if row else None, deposit_id)


async def _decided(write: Write, before: Deposit, status: DepositStatus, reason: str | None) -> DepositOutcome:
    after = replace(before, status=status, reason=reason, decided_at=write.now, decided_by=write.attempt.user_id)
    await write.connection.execute(
        "UPDATE deposits SET status = $2, reason = $3, decided_at = $4, decided_by = $5 WHERE id = $1",
        after.id,
        after.status,
        after.reason,
        after.decided_at,
        after.decided_by,
    )
    write.root.related = (before.ticket_id,)
    return DepositOutcome(after, before)


# ------------------------------------------------------------------------------------------------------------- reading

persons, asked = tables.users.c, tables.deposits.c


class UsersBy(Enum):
    """The order of a list of users."""

    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    NAME = "NAME"


class DepositsBy(Enum):
    """The order of a list of deposits."""

    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    LARGEST = "LARGEST"
    SMALLEST = "SMALLEST"


@dataclass(frozen=True, slots=True)
class UserFilter(Filter):
    """Which users; every condition given must hold. search: part of the name or of the email address."""

    ids: Sequence[UUID] | None = None
    role: UserRole | None = None
    roles: Sequence[UserRole] | None = None
    is_active: bool | None = None
    kyc_status: KycStatus | None = None
    search: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class DepositFilter(Filter):
    """Which deposits; every condition given must hold. Windows are half-open [from, to), figures from min to max."""

    ids: Sequence[UUID] | None = None
    statuses: Sequence[DepositStatus] | None = None
    user_id: UUID | None = None
    user_ids: Sequence[UUID] | None = None
    amount_min: Decimal | None = None
    amount_max: Decimal | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    decided_from: datetime | None = None
    decided_to: datetime | None = None


USER_TERMS = {
    "ids": one_of(persons.id),
    "role": equal(persons.role),
    "roles": one_of(persons.role),
    "is_active": equal(persons.is_active),
    "kyc_status": equal(persons.kyc_status),
    "search": containing(persons.name, persons.email),
    "created_from": at_least(persons.created_at),
    "created_to": before(persons.created_at),
}
DEPOSIT_TERMS = {
    "ids": one_of(asked.id),
    "statuses": one_of(asked.status),
    "user_id": equal(asked.user_id),
    "user_ids": one_of(asked.user_id),
    "amount_min": at_least(asked.amount),
    "amount_max": at_most(asked.amount),
    "date_from": at_least(asked.created_at),
    "date_to": before(asked.created_at),
    "decided_from": at_least(asked.decided_at),
    "decided_to": before(asked.decided_at),
}


def users_where(wanted: UserFilter) -> Select[Any]:
    """Return the statement of a list of users.

    Raises: InvalidInput.
    """
    return select(tables.users).where(filters.where(wanted, USER_TERMS))


def deposits_where(wanted: DepositFilter) -> Select[Any]:
    """Return the statement of a list of deposits.

    Raises: InvalidInput.
    """
    return select(tables.deposits).where(filters.where(wanted, DEPOSIT_TERMS))


_CREATED, _ANNOUNCED = (persons.created_at, persons.id), (asked.created_at, asked.id)
USERS: Listing[UserFilter, User] = Listing(
    users_where,
    {
        UsersBy.NEWEST: Key(_CREATED, is_descending=True),
        UsersBy.OLDEST: Key(_CREATED, is_descending=False),
        UsersBy.NAME: Key((persons.name, persons.id), is_descending=False),
    },
    user_of,
)
DEPOSITS: Listing[DepositFilter, Deposit] = Listing(
    deposits_where,
    {
        DepositsBy.NEWEST: Key(_ANNOUNCED, is_descending=True),
        DepositsBy.OLDEST: Key(_ANNOUNCED, is_descending=False),
        DepositsBy.LARGEST: Key((asked.amount, *_ANNOUNCED), is_descending=True),
        DepositsBy.SMALLEST: Key((asked.amount, *_ANNOUNCED), is_descending=False),
    },
    deposit_of,
)
DEPOSITS_OF_USER = (asked.user_id,)


async def users_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, User]:
    """Return users by id."""
    statement = select(tables.users).where(persons.id.in_(list(ids)))
    return {row["id"]: user_of(row) for row in await reader.rows(statement)}
