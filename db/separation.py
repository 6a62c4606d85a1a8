"""Logins that are not the owner: whether the API's could change what is written once, and making them.

Each login may act as one group role and as nothing else. Passwords reach the server as SCRAM verifiers, so no log of
statements holds one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from urllib.parse import unquote, urlsplit

import asyncpg

from db.unit import CONNECT_TIMEOUT_S, Pool

ITERATIONS = 4_096  # PostgreSQL's own
SALT_BYTES = 16


class LoginRefused(Exception):
    """Say why a login cannot be made, and what to do."""


async def is_separate(pool: Pool) -> bool:
    """Tell whether the login behind a pool has no rights of the owner, whatever role it acts as now."""
    row = await pool.fetchrow(
        "SELECT NOT login.rolsuper AND NOT pg_has_role(session_user, tickets.relowner, 'MEMBER') AS is_separate"
        " FROM pg_class tickets, pg_roles login"
        " WHERE tickets.oid = 'ticket_logs'::regclass AND login.rolname = session_user"
    )
    return row is not None and bool(row["is_separate"])


async def make_login(database_url: str, login_url: str, group: str) -> str:
    """Make the login of a URL with its password, or give it that password; let it act as one group of the database.

    Raises: LoginRefused.
    """
    parts = urlsplit(login_url)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not name or not password or not password.isascii():
        raise LoginRefused("a login with a password in plain ASCII is needed in the URL")
    owner = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        if name == await owner.fetchval("SELECT session_user"):
            raise LoginRefused(f"{name} owns the database: name another login")
        exists = await owner.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name)
        verb = "ALTER" if exists else "CREATE"
        for statement, *values in (
            (f"{verb} ROLE %I LOGIN PASSWORD %L", name, verifier(password)),
            ("GRANT %I TO %I", f"{urlsplit(database_url).path.lstrip('/')}_{group}", name),
        ):
            marks = ", ".join(f"${at}::text" for at in range(2, len(values) + 2))
            await owner.execute(await owner.fetchval(f"SELECT format($1, {marks})", statement, *values))
    finally:
        await owner.close()
    return name


def verifier(password: str, salt: bytes | None = None) -> str:
    """Return what PostgreSQL keeps of a password (RFC 5803), from which it cannot be read."""
    salt = salt or os.urandom(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(one).decode() for one in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
