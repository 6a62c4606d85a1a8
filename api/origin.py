"""Tell by what a request claims to be somebody, and whether a page of this site made the browser send it.

A bearer token is sent on purpose. A cookie is sent by the browser whoever asked for it, so it counts only
with a header that no page can forge; where it does not count it is taken away before anybody can look.
"""

from enum import Enum
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Scope
from strawberry.http.websocket_origin import is_same_origin

SESSION_COOKIES: Final = ("__Host-carbondesk", "carbondesk")  # over https; over http on loopback


class Credential(Enum):
    """Say by what a request claims to be somebody; whether it is true is for the context to find out."""

    NONE = "none"
    COOKIE = "cookie"
    BEARER = "bearer"


def credential_of(connection: HTTPConnection) -> Credential:
    """Tell what a request claims to be; a bearer token outranks a cookie."""
    scheme, _, token = connection.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Credential.BEARER
    return Credential.COOKIE if any(connection.cookies.get(name) for name in SESSION_COOKIES) else Credential.NONE


def from_this_site(connection: HTTPConnection) -> bool | None:
    """Tell whether a page of this site sent a request; none when no browser says anything about it.

    Hosts and ports are compared, as TLS may end at a proxy in front of us.
    """
    origin, site = connection.headers.get("origin"), connection.headers.get("sec-fetch-site")
    if origin is None and site is None:
        return None
    return (site is None or site == "same-origin") and (
        origin is None or is_same_origin(origin, connection.headers.get("host"))
    )


def without_cookies(scope: Scope) -> Scope:
    """Copy a scope as if no cookie had been sent, so that nobody behind can trust one."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"cookie"]}
