"""Changing users: whatever touches a right ends the sessions that were opened with it, in the same transaction."""

from __future__ import annotations

from uuid import UUID

from db import ledger, market, people, sessions
from db.transaction import Write
from db.unit import Pool
from domain import errors
from domain import people as law
from domain.market import CancelReason, Order
from domain.people import Caller, PasswordOutcome, Standing, User, UserChange, UserOutcome


async def lock(write: Write, user_id: str, *, field: str = "id") -> User:
    """Lock and return a user who signs in.

    Raises: UserNotFound.
    Locks: the user, after the market where the caller needs both.
    """
    row = await write.connection.fetchrow(
        "SELECT * FROM users WHERE id = $1 AND can_sign_in FOR NO KEY UPDATE", law.uuid_or_none(user_id)
    )
    return law.found(people.user_of(row) if row else None, user_id, field=field)


async def update(write: Write, user_id: str, change: UserChange, password_hash: str | None) -> UserOutcome:
    """Change a user by a checked change; one who becomes inactive leaves the books, and whose rights change signs in
    again.

    Raises: UserNotFound, InvalidInput.
    Locks: the market, since this may change the right to trade; then the user; then his accounts; then his sessions.
    """
    states = await market.lock(write)
    before = await lock(write, user_id)
    is_own = before.id == write.attempt.user_id
    after = law.decide_change(before, change, await _standing(write, before.id), is_own=is_own)
    await write.connection.execute(
        "UPDATE users SET name = $2, role = $3, is_active = $4, password_hash = coalesce($5, password_hash),"
        " updated_at = $6 WHERE id = $1",
        after.id,
        after.name,
        after.role,
        after.is_active,
        password_hash,
        write.now,
    )
    cancelled: tuple[Order, ...] = ()
    if not after.is_active:
        cancelled = await market.cancel_open_orders(write, states, after.id, CancelReason.DEACTIVATED)
    ended = await sessions.revoke(write, after.id) if law.ends_sessions(before, after, change) else ()
    return UserOutcome(after, before, cancelled, len(ended))


async def _standing(write: Write, user_id: UUID) -> Standing:
    """Return what a change of a user is decided on; it stands still while the market is locked.

    Deposits and withdrawals do not take the market lock: what arrives later is withdrawn by hand like any other.
    """
    rows = await write.connection.fetch(
        "SELECT holder_id, market_maker_id, asset, available, locked, seq FROM balances"
        " WHERE holder_id = $1 ORDER BY asset FOR NO KEY UPDATE",
        user_id,
    )
    open_orders, other_admins = await write.connection.fetchrow(  # type: ignore[misc]  # one row, always
        "SELECT (SELECT count(*) FROM orders WHERE user_id = $1 AND status IN ('OPEN', 'PARTIALLY_FILLED')),"
        " (SELECT count(*) FROM users WHERE role = 'ADMIN' AND is_active AND id <> $1)",
        user_id,
    )
    return Standing(open_orders, tuple(ledger.balance_of(row) for row in rows), other_admins)


async def delete(write: Write, user_id: str) -> UserOutcome:
    """Deactivate a user; his history stays."""
    return await update(write, user_id, UserChange(is_active=False), None)


async def password_hash_of(pool: Pool, user_id: UUID) -> str | None:
    """Return the hash of a user's password."""
    row = await pool.fetchrow("SELECT password_hash FROM users WHERE id = $1", user_id)
    return row["password_hash"] if row else None


async def change_password(
    write: Write, who: Caller, verified_hash: str | None, new_hash: str, token: str
) -> PasswordOutcome:
    """Set one's own password and go on in a new session; all others end.

    verified_hash: what the current password was verified against, before this transaction.
    Raises: InvalidCredentials (the password or the session ended in between).
    Locks: the user; then his sessions.
    """
    row = await write.connection.fetchrow(
        "SELECT u.*, s.revoked_at FROM users u JOIN user_sessions s ON s.user_id = u.id AND s.id = $2"
        " WHERE u.id = $1 AND u.is_active AND u.can_sign_in FOR NO KEY UPDATE OF u",
        who.user.id,
        who.session.id,
    )
    if row is None or row["password_hash"] != verified_hash or row["revoked_at"] is not None:
        raise errors.InvalidCredentials(
            "Your password or your session has changed meanwhile. Sign in again.", field="currentPassword"
        )
    await write.connection.execute(
        "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1", who.user.id, new_hash, write.now
    )
    ended = await sessions.revoke(write, who.user.id)
    opened = await people.open_session(write, people.user_of(row), token)
    return PasswordOutcome(opened.user, opened.session, len(ended))
