"""Whether the API's login could change what is written once: it owns it, may act as its owner, or is a superuser."""

from __future__ import annotations

from db.unit import Pool


async def is_separate(pool: Pool) -> bool:
    """Tell whether the login behind a pool has no rights of the owner, whatever role it acts as now."""
    row = await pool.fetchrow(
        "SELECT NOT login.rolsuper AND NOT pg_has_role(session_user, tickets.relowner, 'MEMBER') AS is_separate"
        " FROM pg_class tickets, pg_roles login"
        " WHERE tickets.oid = 'ticket_logs'::regclass AND login.rolname = session_user"
    )
    return row is not None and bool(row["is_separate"])
