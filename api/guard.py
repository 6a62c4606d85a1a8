"""What stands before everything else: the headers that keep a browser from doing with an answer what we did not mean,
and, before a reader process, the secret of who may ask.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.origin import Network, host_of, is_forwarded_secure

# Scripts come from our own files only. Styles may be inline: Mantine writes the variables of its theme into a
# style element when the page starts. `connect-src 'self'` covers the web socket too. Frames show what the page itself
# has read and typed, a KYC document as application/pdf, and no address.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; frame-src blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


# Whoever came by https once comes by https for a year.
STRICT_TRANSPORT_SECURITY: Final = "max-age=31536000"
READINESS: Final = "/readyz"
PROBES: Final = frozenset({"/healthz", READINESS})  # asked by address, not by name
# What a process says of a request that it sends on to a reader.
SECRET, CLIENT, SCHEME = "Carbondesk-Secret", "Carbondesk-Client", "Carbondesk-Scheme"
SESSION = "Carbondesk-Session"  # of who asks by a socket, whose credentials were shown once; empty for nobody
SENT_ON: Final = frozenset(name.lower().encode() for name in (SECRET, CLIENT, SCHEME, SESSION))
SECURE_SCHEMES: Final = {"http": "https", "ws": "wss"}


class Guard:
    """ASGI application around all others; a header that an answer has already is left alone."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = (), proxies: Sequence[Network] = ()) -> None:
        """Take also the names we may be asked by (none: any), and the proxies that are believed about https."""
        self.app = app
        self.hosts = frozenset(hosts)
        self.proxies = proxies
        self.is_leaving = False  # this process was told to end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if scope["scheme"] in SECURE_SCHEMES and is_forwarded_secure(connection, self.proxies):
            scope = {**scope, "scheme": SECURE_SCHEMES[scope["scheme"]]}

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY)
                if self.is_leaving:
                    headers["Connection"] = "close"  # the next request finds another process
            await send(message)

        app = self.app if self.is_meant(connection) else misdirected
        if self.is_leaving and scope["type"] == "http" and scope["path"] == READINESS:
            app = JSONResponse({"status": "leaving"}, 503)
        await app(scope, receive, send_guarded if scope["type"] == "http" else send)

    def is_meant(self, connection: HTTPConnection) -> bool:
        """Tell whether a request names us: a page of another site may make its own name lead here."""
        if not self.hosts or connection.scope["path"] in PROBES:
            return True
        return host_of(connection) in self.hosts


async def misdirected(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request that names another host."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it was accepted: 403
        return
    message = "This host is not served here. ALLOWED_HOSTS names those that are."
    error = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    await JSONResponse({"errors": [error]}, 421, {"Cache-Control": "no-store"})(scope, receive, send)


class Inherited:
    """ASGI application that lets in whoever knows the secret, and believes him for whom he asks."""

    def __init__(self, app: ASGIApp, secret: bytes) -> None:
        assert secret, "whoever starts a reader tells it a secret"
        self.app = app
        self.secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = HTTPConnection(scope).headers
            if not hmac.compare_digest(headers.get(SECRET, "").encode(), self.secret):
                await PlainTextResponse("This socket is for the process that made it.\n", 403)(scope, receive, send)
                return
            scope = {
                **scope,
                "client": (headers.get(CLIENT, ""), 0),
                "scheme": headers.get(SCHEME, "http"),
                SESSION: headers.get(SESSION),
                "headers": [(name, value) for name, value in scope["headers"] if name not in SENT_ON],
            }
        await self.app(scope, receive, send)
