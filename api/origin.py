"""Tell by what a request claims to be somebody, and whether a page of this site made the browser send it.

A bearer token is sent on purpose. A cookie is sent by the browser whoever asked for it, so it counts only
with a header that no page can forge; where it does not count it is taken away before anybody can look.
"""

import re
from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import Scope
from strawberry.http.websocket_origin import is_same_origin

SESSION_COOKIES: Final = ("__Host-carbondesk", "carbondesk")  # over https; over http on loopback
HOPS_MAX: Final = 32  # proxies of one request that are looked through
PORT: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|(\d+(?:\.\d+){3}):\d{1,5}")  # [2001:db8::1]:443, 192.0.2.1:443

Network: TypeAlias = IPv4Network | IPv6Network


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


def cookie_name(connection: HTTPConnection) -> str | None:
    """Tell which cookie holds a session here: the secure one over https, the plain one on loopback only, else none.

    What counts is the address that the browser shows: http to this very machine goes over no wire. Over https the plain
    one is never looked at, as other hosts of the domain could set it.
    """
    secure, plain = SESSION_COOKIES
    if connection.scope.get("scheme") in ("https", "wss"):
        return secure
    host = host_of(connection)
    address = parsed_address(host)
    is_loopback = host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)
    return plain if is_loopback else None


def host_of(connection: HTTPConnection) -> str:
    """Return the name a request asks for, without port; empty when it is none."""
    try:
        return urlsplit(f"//{connection.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def token_of(connection: HTTPConnection, authorization: str | None = None) -> str | None:
    """Return what a request proves its session with, if anything; a bearer token outranks a cookie."""
    header = authorization or connection.headers.get("authorization", "")
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    name = cookie_name(connection)
    return (connection.cookies.get(name) if name else None) or None


def is_forwarded_secure(connection: HTTPConnection, proxies: Sequence[Network]) -> bool:
    """Tell whether a trusted proxy in front of us was asked over https."""
    peer = parsed_address(connection.client.host if connection.client else "")
    said = connection.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return said == "https" and peer is not None and is_trusted(peer, proxies)


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


def client_address(connection: HTTPConnection, proxies: Sequence[Network]) -> str | None:
    """Tell where a request came from: the peer, or what trusted proxies in front of us say of it.

    X-Forwarded-For is read from the right, for as long as each hop is one of ours; the first that is not is the client.
    What stands further left was written by him and means nothing. A hop that is no address ends the reading.
    """
    peer = connection.client.host if connection.client else None
    address = parsed_address(peer or "")
    if address is None or not is_trusted(address, proxies):
        return str(address) if address else peer
    hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    for hop in hops[: -HOPS_MAX - 1 : -1]:
        before = parsed_address(hop)
        if before is None:
            break
        address = before
        if not is_trusted(address, proxies):
            break
    return str(address)


def is_trusted(address: IPv4Address | IPv6Address, proxies: Sequence[Network]) -> bool:
    return any(address in network for network in proxies if network.version == address.version)


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port; IPv4 within IPv6 is IPv4. None when it is none."""
    text = text.strip().strip('"')
    if match := PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def secrets_of(connection: HTTPConnection) -> tuple[str, ...]:
    """Return what a request proves its session with: the values of its cookies of ours and its bearer token."""
    _, _, token = connection.headers.get("authorization", "").strip().partition(" ")
    found = (token.strip(), *(connection.cookies.get(name) for name in SESSION_COOKIES))
    return tuple(value for value in found if value)
