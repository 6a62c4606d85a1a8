"""The application: opens what a process needs, answers /graphql, the probes and the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import redis.asyncio
import structlog
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

import db.certificates
import db.folds
import db.idempotency
import db.numbers
import db.orders
import db.people
import db.separation
import db.tickets
from api import auth, kyc, logs, metrics, readiness, schema, traces
from api.assets import Dashboard
from api.books import Books, read_changes, read_picture, read_sequences
from api.context import Context, Reading, Services
from api.errors import Code, RequestError
from api.events import Events, cancel, supervise
from api.exports import EXPORTS_MAX, STATEMENT_TIMEOUT_S, Exports
from api.fanout import Fanout, Seat
from api.feeds import Holdings, Journal
from api.guard import SESSION, Guard, Inherited
from api.http import BODY_BYTES_MAX_ANONYMOUS, GraphQLView, too_large
from api.origin import Credential, client_address, cookie_name, credential_of, secrets_of, token_of
from api.presence import Bounds, Presence, Seen, Visit
from api.rates import Rates
from api.readers import Readers
from api.settings import Settings, SettingsError, load, require_servable
from api.subscriptions import SHARED
from api.throttle import Throttle
from api.trail import Trail
from api.turns import Turns
from db.desk import Desk
from db.numbers import Numbers
from db.people import Callers
from db.read import Reader
from db.spool import Spool
from db.transaction import Notice
from db.unit import Figures, Pool, Units
from domain.money import CertificateType
from domain.people import Caller

WRITE_CONNECTIONS_MAX = 12
DESK_CONNECTIONS_MAX = 2  # the desk's own: a flood of logins cannot keep the market waiting
NUMBER_CONNECTIONS_MAX = 1  # for leases of ticket numbers, without which nobody could even be told that it is busy
CALLER_CONNECTIONS_MAX = 3  # for the look at sessions: who asks something else waits for no unit of work either
SPARE_CONNECTIONS_MAX = 2  # for the tickets of those for whom there was no other: they are told soon, and with a ticket
READ_CONNECTIONS_MAX = 8
ANALYST_CONNECTIONS_MAX = 4  # their own, of the replica if there is one: they wait for each other, nobody for them
LEASES_EVERY_S = 20.0
KEYS_EVERY_S = 3_600.0
GARBAGE_MAX = 20_000  # objects made before a look for cycles: a batch makes some thousands, none of them in a cycle
BY_LOGIN, BY_ROLE_SWITCH = "by login", "by role switch only"  # what /readyz says of append-only
DASHBOARD = Path(__file__).parent / "_dashboard"
log = structlog.get_logger(__name__)


def database_name(database_url: str) -> str:
    """Return the name of the database in a URL: roles and channels are named after it."""
    return urlsplit(database_url).path.lstrip("/")


@contextlib.asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything a process needs; close it in reverse, the work under way first."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    name = database_name(settings.database_url)
    url, role = settings.database_app_url or settings.database_url, f"{name}_app"
    async with contextlib.AsyncExitStack() as stack:
        pools = await _open_pools(stack, url, role)
        pool, desk_pool, spare_pool = pools["write"], pools["desk"], pools["spare"]
        callers = Callers(pools["callers"])
        reader, analysts, exporter = _open_readers(stack, url, settings.database_replica_url or url, role)
        client = redis.asyncio.from_url(settings.redis_url, socket_connect_timeout=db.numbers.REDIS_TIMEOUT_S)
        stack.push_async_callback(client.aclose)
        with contextlib.suppress(RedisError, OSError):
            await client.ping()  # a first connection takes longer than a ticket number may
        events = Events(settings.redis_url, name)
        await events.start()
        stack.push_async_callback(events.stop)
        read_all, read_newest, read_since = (partial(read_picture, reader), partial(read_sequences, reader),
                                             partial(read_changes, reader))  # fmt: skip
        books = Books(events, list(CertificateType), read_all, read_newest, read_since)
        await books.start()
        stack.push_async_callback(books.stop)
        trail = Trail(events, reader)
        stack.push_async_callback(trail.stop)
        journal, holdings = Journal(events, reader), Holdings(events, reader)
        stack.push_async_callback(journal.stop)
        stack.push_async_callback(holdings.stop)
        presence = Presence(
            Bounds(settings.socket_subscriptions_max, settings.session_sockets_max, settings.address_sockets_max),
            partial(_look, callers, reader),
        )
        await presence.look()
        numbers = Numbers(pools["numbers"], client, f"carbondesk:{name}:")
        stack.push_async_callback(numbers.stop)
        passwords = auth.Passwords()
        stack.callback(passwords.stop)

        def publish(notices: Sequence[Notice]) -> None:
            for notice in notices:
                events.publish(notice.channel, dict(notice.message))

        spool = Spool(settings.home / "spool")
        units = Units(pool, numbers, db.tickets.store, publish, spool.keep, spare_pool)
        desk = Desk(desk_pool, units)
        await desk.start()
        stack.push_async_callback(desk.stop)
        stack.push_async_callback(units.drain)
        throttle = Throttle(partial(db.people.signed_in_from, pool))
        stack.push_async_callback(throttle.settle, units, is_end=True)
        for title, work in _chores(pool, units, throttle, spool, presence).items():
            task = asyncio.create_task(supervise(title, work), name=title)
            stack.push_async_callback(cancel, [task])
        readers = {"read": reader, "analysts": analysts, "export": exporter}
        figures = partial(_figures, [*pools.values()], readers)
        yield Services(
            reader, analysts, callers, Turns(), pool, exporter, units, desk, books, trail, journal, holdings, passwords,
            presence, throttle, figures,
        )  # fmt: skip


def _chores(
    pool: Pool, units: Units, throttle: Throttle, spool: Spool, presence: Presence
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return what goes on beside requests, by name."""
    return {
        "throttle": partial(throttle.watch, units),
        "leases": partial(_close_leases, pool),
        "keys": partial(_forget_old_keys, pool),
        "spool": partial(spool.watch, units),
        "folds": partial(db.folds.watch, pool),
        "presence": presence.watch,
    }


async def _open_pools(stack: contextlib.AsyncExitStack, url: str, role: str) -> dict[str, Pool]:
    """Open what writes, by name; closed with the stack."""
    sizes = {
        "write": WRITE_CONNECTIONS_MAX,
        "desk": DESK_CONNECTIONS_MAX,
        "numbers": NUMBER_CONNECTIONS_MAX,
        "spare": SPARE_CONNECTIONS_MAX,
        "callers": CALLER_CONNECTIONS_MAX,
    }
    pools = {}
    for name, size_max in sizes.items():
        pools[name] = await Pool.open(url, role=role, size_max=size_max, name=name)
        stack.push_async_callback(pools[name].close)
    return pools


@contextlib.asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Reading]:
    """Open what a reader process needs: nothing that changes the market, nor tells of it."""
    assert settings.database_url is not None
    name = database_name(settings.database_url)
    url, role = settings.database_app_url or settings.database_url, f"{name}_app"
    async with contextlib.AsyncExitStack() as stack:
        pool = await Pool.open(url, role=role, size_max=CALLER_CONNECTIONS_MAX, name="callers")
        stack.push_async_callback(pool.close)
        reader, analysts, _ = _open_readers(stack, url, settings.database_replica_url or url, role, is_parallel=False)
        yield Reading(reader, analysts, Callers(pool), Turns(is_reader=True))


def _open_readers(
    stack: contextlib.AsyncExitStack, url: str, replica_url: str, role: str, *, is_parallel: bool = True
) -> list[Reader]:
    """Open what reads: for everybody, for analysts, and for exports; closed with the stack.

    is_parallel: whether a statement may take several cores of the server that also trades.
    """
    is_apart = replica_url != url
    readers = [
        Reader.open(url, role=role, size_max=READ_CONNECTIONS_MAX, is_parallel=is_parallel),
        Reader.open(
            replica_url,
            role=role,
            size_max=ANALYST_CONNECTIONS_MAX,
            name="analysts",
            is_parallel=is_parallel or is_apart,
        ),
        Reader.open(
            url,
            role=role,
            size_max=EXPORTS_MAX,
            name="export",
            statement_timeout_s=STATEMENT_TIMEOUT_S,
            count_max=None,
        ),
    ]
    for one in readers:
        stack.push_async_callback(one.close)
    return readers


def _figures(pools: Sequence[Pool], readers: Mapping[str, Reader]) -> list[Figures]:
    return [*(pool.figures for pool in pools), *(one.figures(name) for name, one in readers.items())]


async def _look(callers: Callers, reader: Reader, sessions: list[UUID]) -> Seen:
    return Seen(await callers.still(sessions), (await db.certificates.settings(reader)).public_market_data)


async def _close_leases(pool: Pool) -> None:
    while True:
        await asyncio.sleep(LEASES_EVERY_S)
        if closed := await db.numbers.close_old_leases(pool):
            log.debug("ticket_leases_closed", leases=closed)


async def _forget_old_keys(pool: Pool) -> None:
    while True:
        await db.idempotency.forget_old(pool)
        await asyncio.sleep(KEYS_EVERY_S)


def spare_collections() -> None:
    """Keep the search for cycles away from what stays, schema and modules, and make it rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_MAX)


class Door:
    """Who stands at the door: makes the context of each operation."""

    def __init__(self, settings: Settings, fanout: Fanout, readers: Readers | None = None) -> None:
        self.services: Reading | None = None
        self.fanout = fanout
        self.readers = readers
        self.proxies = settings.trusted_proxies
        self.mode = settings.mode
        self.rates = Rates(settings.session_requests_per_s, settings.address_requests_per_s)
        self.metrics_token = settings.metrics_token
        self.append_only = BY_ROLE_SWITCH

    @property
    def reading(self) -> Reading:
        assert self.services is not None, "the application has not started"
        return self.services

    @property
    def open(self) -> Services:
        assert isinstance(self.reading, Services), "this process only reads"
        return self.reading

    async def look_at_login(self) -> None:
        """Find out what keeps this process from changing what is written: its login's rights, or the role it acts as.

        Raises: SettingsError in production, where the first is required.
        """
        if await db.separation.is_separate(self.open.pool):
            self.append_only = BY_LOGIN
        elif self.mode == "production":
            raise SettingsError(
                "CARBONDESK_ENV=production: the login of DATABASE_APP_URL owns the tables, is a superuser or may act "
                "as their owner; docs/security.md says how to make one that is not"
            )
        else:
            log.warning("append_only_by_role_switch_only", help="set DATABASE_APP_URL to a login of its own")

    def admit(self, request: Request) -> None:
        """Charge a request before anything of it is read.

        Raises: RequestError (RATE_LIMITED).
        """
        self.rates.charge(token_of(request), client_address(request, self.proxies))

    @contextlib.asynccontextmanager
    async def room(self, request: Request) -> AsyncIterator[None]:
        """Hold room for a large body of somebody who is signed in.

        Raises: RequestError (UNAUTHENTICATED; BAD_REQUEST: too large for somebody anonymous; RATE_LIMITED).
        """
        caller = await auth.caller_of(self.open.callers, request)
        if caller is None:
            raise too_large(BODY_BYTES_MAX_ANONYMOUS)
        with self.rates.large_body(caller.session.id):
            yield

    async def of_request(self, request: Request, response: Response) -> Context:
        """Make the context of an HTTP operation."""
        caller = await auth.caller_of(self.reading.callers, request)
        if caller and (token := token_of(request)):
            self.rates.vouch(token)
        replaces = caller if credential_of(request) is Credential.COOKIE else None
        return Context(**self._origin(request), caller=caller, response=response, replaces=replaces)

    async def of_query(self, request: Request, response: Response) -> Context:
        """Make the context of an HTTP operation that may be sent on to a reader."""
        context = await self.of_request(request, response)
        context.has_readers = self.readers is not None
        return context

    async def of_sent_on(self, request: Request, response: Response) -> Context:
        """Make the context of an operation that was sent on to this reader: from a socket, or as it came.

        Raises: RequestError (UNAUTHENTICATED).
        """
        session_id = request.scope.get(SESSION)
        if session_id is None:
            return await self.of_request(request, response)
        caller = await self._again(UUID(session_id)) if session_id else None
        return Context(**self._origin(request), caller=caller, response=response)

    def enter(self, websocket: WebSocket) -> Visit:
        """Count a socket in.

        Raises: RequestError (RATE_LIMITED).
        """
        return self.open.presence.enter(client_address(websocket, self.proxies) or "")

    async def connect(self, websocket: WebSocket, payload: dict[str, Any]) -> Caller | None:
        """Tell who opens a socket: by the payload of connection_init, else by the cookie."""
        authorization = payload.get("Authorization") or payload.get("authorization")
        return await auth.caller_of(
            self.open.callers, websocket, authorization if isinstance(authorization, str) else None
        )

    async def of_socket(self, websocket: WebSocket, caller: Caller | None, seat: Seat | None = None) -> Context:
        """Make the context of one operation on a socket, whose caller may have lost his rights since it was opened.

        Raises: RequestError (UNAUTHENTICATED).
        """
        if caller is not None:
            caller = await self._again(caller.session.id)
        has_readers = self.readers is not None
        return Context(**self._origin(websocket), caller=caller, seat=seat, has_readers=has_readers)

    async def _again(self, session_id: UUID) -> Caller:
        caller = await self.reading.callers.again(session_id)
        if caller is None:
            raise RequestError("This session has ended. Sign in again.", Code.UNAUTHENTICATED)
        return caller

    def _origin(self, connection: HTTPConnection) -> Mapping[str, Any]:
        agent = connection.headers.get("user-agent")
        return {
            "reading": self.reading,
            "ip_address": client_address(connection, self.proxies),
            "user_agent": agent[: db.people.USER_AGENT_LENGTH_MAX] if agent else None,
            "is_secure": connection.scope.get("scheme") in ("https", "wss"),
            "takes_cookie": cookie_name(connection) is not None,
            "is_production": self.mode == "production",
            "secrets": secrets_of(connection),
        }

    async def kyc_document(self, request: Request) -> Response:
        """Hand out a document to an admin."""
        return await kyc.download(request, self.of_request)

    async def ready(self, request: Request) -> Response:
        """Tell whether orders can be taken."""
        return await readiness.answer(self.open, self.readers, self.mode, self.append_only)

    async def metrics(self, request: Request) -> Response:
        """Show what this process counts to those who may see it."""
        if not metrics.may_read(request, self.metrics_token):
            return metrics.refused()
        return await metrics.shown(self.open, self.fanout, self.readers)


async def healthy(request: Request) -> Response:
    """Tell that the process answers."""
    return JSONResponse({"status": "ok"})


def create_app(settings: Settings, readers: Readers | None = None) -> Guard:
    """Return the application of one process; readers: other processes for it to start, and to send queries on to.

    Raises: SettingsError.
    """
    require_servable(settings)
    built = schema.build()
    fanout = Fanout(built, SHARED)
    door = Door(settings, fanout, readers)
    view = GraphQLView(
        built,
        context=door.of_query,
        connect=door.connect,
        socket_context=door.of_socket,
        gate=door,
        fanout=fanout,
        enter=door.enter,
        elsewhere=readers,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            door.services = await stack.enter_async_context(services(settings))
            await door.look_at_login()
            if readers:
                stack.push_async_callback(readers.stop)
                await readers.start()
            spare_collections()
            try:
                yield
            finally:
                await fanout.stop()

    routes = [
        Route("/graphql", view),
        WebSocketRoute("/graphql", view),
        Route(kyc.PATH, door.kyc_document),
        Mount("/export", Exports(built, door.of_request, door.admit)),
        Route("/healthz", healthy),
        Route("/readyz", door.ready),
        Route("/metrics", door.metrics),
        Mount("/", Dashboard(DASHBOARD)),
    ]
    app = traces.traced(metrics.Counted(Starlette(routes=routes, lifespan=lifespan)), settings)
    return Guard(app, settings.allowed_hosts, settings.trusted_proxies)


def create_reader(settings: Settings, secret: bytes) -> Guard:
    """Return the application of a reader process, for whoever knows the secret."""
    built = schema.build()
    door = Door(settings.model_copy(update={"trusted_proxies": ()}), Fanout(built))  # its proxy is told by the secret
    view = GraphQLView(built, context=door.of_sent_on, connect=door.connect, socket_context=door.of_socket)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with reading(settings) as door.services:
            spare_collections()
            yield

    routes = [Route("/graphql", view), Route("/healthz", healthy)]
    app = traces.traced(Starlette(routes=routes, lifespan=lifespan), settings)
    return Guard(Inherited(app, secret))


def serve_app() -> Guard:
    """Return the application as the environment describes it."""
    settings = load()
    logs.configure(settings.log_level)
    readers = Readers(settings.readers, settings.trusted_proxies) if settings.readers else None
    return create_app(settings, readers)
