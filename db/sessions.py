"""Sessions in the database: who is signed in where, and how that ends. Looking up a caller stands in `db.people`."""

from __future__ import annotations

from uuid import UUID

from db.people import SESSION_IDLE, user_of
from db.read import Reader
from db.tables import Row
from db.transaction import Write
from domain import errors, people
from domain.people import Session, SessionsOutcome, User, UserRole

SESSIONS_MAX = 100  # newest first: nobody reads more, and a loop of logins must not make a page without end

_OPEN = "revoked_at IS NULL AND expires_at > clock_timestamp()"


async def revoke(write: Write, user_id: UUID, session_id: UUID | None = None) -> tuple[UUID, ...]:
    """End the open sessions of a user, or one of them; return which were open.

    Locks: the sessions, in the order of their ids, as who notes that they were seen does.
    """
    rows = await write.connection.fetch(
        "UPDATE user_sessions SET revoked_at = $2 WHERE id IN (SELECT id FROM user_sessions WHERE user_id = $1"  # noqa: S608 - our own words
        f" AND ($3::uuid IS NULL OR id = $3) AND {_OPEN} ORDER BY id FOR NO KEY UPDATE) RETURNING id",
        user_id,
        write.now,
        session_id,
    )
    return tuple(sorted(row["id"] for row in rows))


async def revoke_asked(
    write: Write, asked_by: User | None, user_id: str | None, session_id: str | None
) -> SessionsOutcome:
    """End sessions: one's own, an admin anybody's. asked_by None: the operator at the command line.

    Raises: UserNotFound, NotFound.
    Locks: the sessions.
    """
    is_admin = asked_by is None or asked_by.role is UserRole.ADMIN
    owner_id = None if asked_by is None else asked_by.id
    if user_id is not None:
        owner_id = people.uuid_or_none(user_id)
        if not is_admin and (asked_by is None or owner_id != asked_by.id):
            owner_id = None
    elif session_id is not None and is_admin:
        owner_id = await write.connection.fetchval(
            "SELECT user_id FROM user_sessions WHERE id = $1", people.uuid_or_none(session_id)
        )
        if owner_id is None:
            raise _no_session(session_id)
    row = await write.connection.fetchrow("SELECT * FROM users WHERE id = $1 AND can_sign_in", owner_id)
    owner = people.found(user_of(row) if row else None, user_id or "", field="userId")
    if session_id is None:
        return SessionsOutcome(owner, await revoke(write, owner.id))
    named = people.uuid_or_none(session_id)
    ended = await revoke(write, owner.id, named) if named else ()
    if not ended:
        raise _no_session(session_id)
    return SessionsOutcome(owner, ended)


def _no_session(session_id: str) -> errors.NotFound:
    return errors.NotFound("There is no such open session.", field="sessionId", id=session_id)


# ------------------------------------------------------------------------------------------------------------- reading


def session_of(row: Row) -> Session:
    """Read a stored session."""
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        expires_at=row["expires_at"],
        ip_address=row["ip_address"],
        user_agent=row["user_agent"],
    )


async def sessions_of(reader: Reader, user_id: UUID) -> list[Session]:
    """Return the sessions that a user can go on with, newest first, at most SESSIONS_MAX."""
    rows = await reader.sql(
        f"SELECT * FROM user_sessions WHERE user_id = :user_id AND {_OPEN}"  # noqa: S608 - our own words
        " AND last_seen_at > clock_timestamp() - CAST(:idle AS interval) ORDER BY created_at DESC, id LIMIT :most",
        user_id=user_id,
        idle=SESSION_IDLE,
        most=SESSIONS_MAX,
    )
    return [session_of(row) for row in rows]
