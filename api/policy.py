"""Who may ask for what: one declared policy per root field, deny by default."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import Enum
from inspect import isasyncgen, isawaitable
from typing import Any, Final, cast

from strawberry.extensions import FieldExtension
from strawberry.types import Info

import db.certificates
from api.errors import Code, RequestError
from domain.people import Caller, UserRole

PUBLIC_FOR_S: Final = (
    1.0  # how long a stream of somebody anonymous goes on after the operator has closed the market data
)


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
    if policy is Policy.SIGNED_IN or caller.user.role in ROLES[policy]:
        return None
    return RequestError(f"This needs {policy.value}; you are signed in as {caller.user.role}.", Code.FORBIDDEN)


async def require_public(info: Info[Any, Any]) -> None:
    """Refuse market data to somebody anonymous once the operator has closed them: read from the database each time.

    Raises: RequestError (UNAUTHENTICATED).
    """
    if info.context.caller is None and not (await db.certificates.settings(info.context.reader)).public_market_data:
        raise RequestError("Market data are not public. Sign in first.", Code.UNAUTHENTICATED)


async def while_public(stream: AsyncGenerator[Any, None], info: Info[Any, Any]) -> AsyncGenerator[Any, None]:
    """Pass a stream on for as long as its watcher may see it.

    Raises: RequestError (UNAUTHENTICATED).
    """
    asked_at = time.monotonic()
    async with aclosing(stream) as events:
        async for event in events:
            if time.monotonic() - asked_at > PUBLIC_FOR_S:
                await require_public(info)
                asked_at = time.monotonic()
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
        if self.policy is Policy.PUBLIC:
            await require_public(info)
        result: Any = next_(source, info, **kwargs)
        if self.policy is Policy.PUBLIC and info.context.caller is None and isasyncgen(result):
            return while_public(cast("AsyncGenerator[Any, None]", result), info)
        return await result if isawaitable(result) else result  # a subscription's is its stream
