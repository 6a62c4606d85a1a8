"""Who may ask for what: one declared policy per root field, deny by default."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import Enum
from inspect import isasyncgen, isawaitable
from typing import Any, Final, cast

import structlog
from sqlalchemy.exc import SQLAlchemyError
from strawberry.extensions import FieldExtension
from strawberry.types import Info

import db.certificates
from api.errors import Code, RequestError
from db.read import Reader
from domain.people import Caller, UserRole

PUBLIC_FOR_S: Final = 1.0  # a stream of somebody anonymous goes on so long after the market data were closed

log = structlog.get_logger(__name__)


class Policy(Enum):
    """A rule about the caller of a field; its value is what the refusal says."""

    ANYONE = "anyone"
    PUBLIC = "anyone while the market data are public"  # else whoever is signed in
    SIGNED_IN = "anybody who is signed in"
    ADMIN = "role ADMIN"
    READER = "role ADMIN or ANALYST"
    TRADER = "role TRADER"
    OWNER = "role ADMIN, ANALYST or TRADER"  # a TRADER sees what is his own; the resolver narrows it


ROLES = {
    Policy.ADMIN: {UserRole.ADMIN},
    Policy.READER: {UserRole.ADMIN, UserRole.ANALYST},
    Policy.TRADER: {UserRole.TRADER},
    Policy.OWNER: {UserRole.ADMIN, UserRole.ANALYST, UserRole.TRADER},
}


def refusal(policy: Policy, caller: Caller | None) -> RequestError | None:
    """Return why a caller may not; None when he may."""
    if policy is Policy.ANYONE or policy is Policy.PUBLIC:  # see `Allow` for the second
        return None
    if caller is None:
        return RequestError("Sign in first.", Code.UNAUTHENTICATED)
    if caller.user.role is UserRole.MARKET_MAKER:  # has no session; if he had one, it would be good for nothing
        return RequestError("A market maker does not sign in.", Code.FORBIDDEN)
    if policy is Policy.SIGNED_IN or caller.user.role in ROLES[policy]:
        return None
    return RequestError(f"This needs {policy.value}; you are signed in as {caller.user.role}.", Code.FORBIDDEN)


class MarketData:
    """Whether the market data are public. Any number of watchers cost one read a second."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._were_public = True
        self._asked_at = -PUBLIC_FOR_S
        self._turn = asyncio.Lock()

    async def are_public(self) -> bool:
        """Ask the database now."""
        return (await db.certificates.settings(self._reader)).public_market_data

    async def were_public(self) -> bool:
        """Tell what held at most PUBLIC_FOR_S ago; while the database cannot be asked, what held then."""
        async with self._turn:
            if time.monotonic() - self._asked_at >= PUBLIC_FOR_S:
                try:
                    self._were_public = await self.are_public()
                except (OSError, SQLAlchemyError) as error:
                    log.warning("market_data_unknown", error=repr(error))
                self._asked_at = time.monotonic()
            return self._were_public


def closed() -> RequestError:
    """Return the refusal of market data that the operator has closed."""
    return RequestError("Market data are not public. Sign in first.", Code.UNAUTHENTICATED)


async def while_public(stream: AsyncGenerator[Any, None], market_data: MarketData) -> AsyncGenerator[Any, None]:
    """Pass a stream on for as long as somebody anonymous may see it.

    Raises: RequestError (UNAUTHENTICATED).
    """
    async with aclosing(stream) as events:
        async for event in events:
            if not await market_data.were_public():
                raise closed()
            yield event


class Allow(FieldExtension):
    """Refuse a query or a subscription before its resolver runs."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info[Any, Any], **kwargs: Any) -> Any:
        assert self.policy is not Policy.PUBLIC, "a look at the settings needs an asynchronous resolver"
        if error := refusal(self.policy, info.context.caller):
            raise error
        return next_(source, info, **kwargs)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info[Any, Any], **kwargs: Any) -> Any:
        if error := refusal(self.policy, info.context.caller):
            raise error
        is_by_leave = self.policy is Policy.PUBLIC and info.context.caller is None
        if is_by_leave and not await info.context.services.market_data.are_public():
            raise closed()
        result: Any = next_(source, info, **kwargs)
        if is_by_leave and isasyncgen(result):
            return while_public(cast("AsyncGenerator[Any, None]", result), info.context.services.market_data)
        return await result if isawaitable(result) else result  # a subscription's is its stream
