"""Signing in: passwords with argon2id, opaque session tokens in a cookie or as bearer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.errors import Code, RequestError
from api.origin import SESSION_COOKIES, cookie_name
from db.people import Callers
from domain.errors import Busy
from domain.people import Caller

TOKEN_BYTES = 32
HASH_THREADS = 2  # one hash takes 20 MiB and most of 50 ms of a core: more at once would starve trading
HASH_NICE = 10
ARGON2_MEMORY_KIB = 19_456  # OWASP's minimum for argon2id: m = 19 MiB, t = 2, p = 1
ARGON2_PASSES = 2
ARGON2_LANES = 1
SECURE_COOKIE, PLAIN_COOKIE = SESSION_COOKIES


class Passwords:
    """Hash and verify passwords off the event loop, a bounded number at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=ARGON2_PASSES, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES)
        self._threads = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="argon2", initializer=_step_back)
        self._dummy = self._hasher.hash(secrets.token_urlsafe(TOKEN_BYTES))

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether a password is right; without a hash it takes as long and is wrong."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password_hash, password)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._dummy, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    """Let this thread wait for whoever trades; Linux has priorities of threads, others leave it as it is."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASH_NICE)


def new_token() -> str:
    """Return 256 random bits to hand out once."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def bearer_token(header: str | None) -> str | None:
    """Read `Bearer …`."""
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def caller_of(callers: Callers, connection: HTTPConnection, authorization: str | None = None) -> Caller | None:
    """Return who asks, as the database says now.

    A bearer token outranks the cookie, and one that has ended is refused: a program should not go on as nobody.
    A cookie that has ended is just nobody.
    Raises: RequestError (UNAUTHENTICATED; RATE_LIMITED when no connection was free in time).
    """
    try:
        return await _caller_of(callers, connection, authorization)
    except Busy as error:
        raise RequestError(error.message, Code.RATE_LIMITED, 503) from error


async def _caller_of(callers: Callers, connection: HTTPConnection, authorization: str | None) -> Caller | None:
    if token := bearer_token(authorization or connection.headers.get("authorization")):
        caller = await callers.of(token)
        if caller is None:
            raise RequestError("This access token is not valid, or has ended. Sign in again.", Code.UNAUTHENTICATED)
        return caller
    name = cookie_name(connection)
    cookie = connection.cookies.get(name) if name else None
    return await callers.of(cookie) if cookie else None


def set_cookie(response: Response, token: str, expires_at: datetime, *, is_secure: bool) -> None:
    """Hand the session to a browser; scripts cannot read it, other sites cannot send it."""
    response.set_cookie(
        SECURE_COOKIE if is_secure else PLAIN_COOKIE,
        token,
        expires=expires_at,
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, *, is_secure: bool) -> None:
    """Take the session back from a browser."""
    name = SECURE_COOKIE if is_secure else PLAIN_COOKIE
    response.delete_cookie(name, path="/", secure=is_secure, httponly=True, samesite="strict")
