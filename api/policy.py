"""Who may ask for what: one declared policy per root field, deny by default."""

from collections.abc import Callable
from enum import Enum
from inspect import isawaitable
from typing import Any

from strawberry.extensions import FieldExtension
from strawberry.types import Info

import db.certificates
from api.errors import Code, RequestError
from domain.people import Caller, UserRole


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


def closed() -> RequestError:
    """Return the refusal of market data that the operator has closed."""
    return RequestError("Market data are not public. Sign in first.", Code.UNAUTHENTICATED)


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
        if is_by_leave and not (await db.certificates.settings(info.context.reader)).public_market_data:
            raise closed()
        result = next_(source, info, **kwargs)
        return await result if isawaitable(result) else result  # a subscription's is its stream
