"""What one process counts and holds open, as Prometheus reads it, and who may read it.

What happens is counted where it happens: here for requests and attempts, in `db.meters` for the write path. What is
there now is looked at when somebody asks.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import db.clock
import db.seal
from api import traces
from db.meters import REGISTRY

if TYPE_CHECKING:
    from api.context import Services
    from api.fanout import Fanout
    from api.readers import Readers

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LOOK_TIMEOUT_S: Final = 2.0  # for what only the database knows; without it the rest is shown
BEARER: Final = "Bearer "
FORWARDED: Final = ("x-forwarded-for", "forwarded")
ROUTES: Final = ("graphql", "export", "kyc", "healthz", "readyz", "metrics")
SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
CLIENT_GONE: Final = 499  # the client went away before there was an answer, as nginx counts it
SUCCESS, REPLAYED = "SUCCESS", "REPLAYED"

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter began is of no use to us
ProcessCollector(namespace="carbondesk", registry=REGISTRY)
REQUESTS = Counter(
    "carbondesk_requests",
    "HTTP requests answered, by route and status; 499: the client went away before.",
    ["route", "status"],
    registry=REGISTRY,
)
REQUEST_S = Histogram(
    "carbondesk_request_seconds",
    "Time from a request's arrival to the end of its answer, by route.",
    ["route"],
    buckets=SECONDS,
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "carbondesk_attempts",
    "Attempts at mutations, by field and outcome: SUCCESS, REPLAYED, or the code of the refusal or fault.",
    ["field", "outcome"],
    registry=REGISTRY,
)
log = structlog.get_logger(__name__)


def attempted(field: str, outcome: str, ticket_id: str | None, user_id: object) -> None:
    """Count an attempt that has come to an end, and log it with its ticket."""
    _of_outcome(field, str(outcome)).inc()
    traces.mark(ticket_id)
    log.info("attempt", field=field, outcome=outcome, ticket_id=ticket_id, user_id=user_id and str(user_id))


class Counted:
    """ASGI application that counts the requests of another one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun_at, status = time.perf_counter(), CLIENT_GONE
        head = scope["path"].split("/", 2)[1]
        route = head if head in ROUTES else "dashboard"

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            count, seconds = _of_route(route, status)
            count.inc()
            seconds.observe(time.perf_counter() - begun_at)


@cache
def _of_route(route: str, status: int) -> tuple[Counter, Histogram]:
    """Return what counts a route's answers: looking labels up takes longer than counting."""
    return REQUESTS.labels(route, status), REQUEST_S.labels(route)


@cache
def _of_outcome(field: str, outcome: str) -> Counter:
    return ATTEMPTS.labels(field, outcome)


def may_read(request: Request, token: str | None) -> bool:
    """Tell whether somebody may read the figures: by token; without one from this machine, and not through a proxy."""
    if token is not None:
        given = request.headers.get("authorization", "")
        return given.startswith(BEARER) and hmac.compare_digest(given.removeprefix(BEARER).encode(), token.encode())
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def refused() -> Response:
    """Say who may read the figures."""
    message = "Metrics are for this machine, or for the bearer of METRICS_TOKEN."
    return JSONResponse({"errors": [{"message": message, "extensions": {"code": "FORBIDDEN"}}]}, 403)


async def shown(services: Services, fanout: Fanout, readers: Readers | None) -> Response:
    """Answer with everything."""
    families = [*_figures(services, fanout), *_reading(readers), *await _database(services)]
    now = CollectorRegistry()
    now.register(_Families(families))
    return Response(generate_latest(REGISTRY) + generate_latest(now), headers={"Content-Type": CONTENT_TYPE})


@dataclass(eq=False, frozen=True, slots=True)
class _Families(Collector):
    """Metrics that were looked at just now."""

    families: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


# What is looked at when somebody asks: name → what it is. Those with a label name it in brackets.
GAUGES: Final = {
    "sockets": "Web sockets that are open.",
    "subscriptions": "Subscriptions of market data and tickets, which may share executions.",
    "executions": "Subscriptions that are executed, each for all who ask the same.",
    "tasks": "Tasks of the event loop.",
    "redis_connected": "1 while notices of other processes arrive.",
    "desk_queue_commands": "Orders and cancels that wait for the desk.",
    "stream_lag_seconds": "Age of the book that watchers are shown, by certificate.",
    "stream_behind_events": "Events of the database that watchers were not told yet, by certificate.",
    "readers": "Reader processes that answer.",
    "readers_wanted": "Reader processes that are to answer (READERS).",
    "pool_open_connections": "Connections that are open, by pool.",
    "pool_used_connections": "Connections in use, by pool.",
    "pool_max_connections": "The most connections there may be, by pool.",
    "database_up": "1 while the database answers.",
    "database_clock_ahead_seconds": "How far the database's clock is ahead of this process's.",
    "sealed_leaves": "Tickets and voids in the signed tree.",
    "seal_lag_seconds": "Age of the oldest ticket that is not sealed.",
    "seal_stopped": "1 when the sealer found something wrong and stopped.",
}
COUNTERS: Final = {
    "executed_events": "Events executed for subscriptions.",
    "sent_events": "Events sent to subscribers.",
    "handed_over_queries": "Queries sent on to reader processes.",
    "book_loads": "Whole books read from the database.",
}


def described() -> Iterator[tuple[str, str, str]]:
    """Yield (name, kind, what it is) of every metric, as a query names it."""
    for family in REGISTRY.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, family.documentation
    yield from ((f"carbondesk_{name}_total", "counter", text) for name, text in COUNTERS.items())
    yield from ((f"carbondesk_{name}", "gauge", text) for name, text in GAUGES.items())


def _figures(services: Services, fanout: Fanout) -> Iterator[Metric]:
    """Look at what this process holds open."""
    yield _gauge("sockets", services.presence.sockets)
    yield _gauge("subscriptions", fanout.watches)
    yield _gauge("executions", len(fanout.runs))
    yield _counter("executed_events", fanout.executions)
    yield _counter("sent_events", fanout.sent)
    yield _gauge("tasks", len(asyncio.all_tasks()))
    yield _counter("book_loads", services.books.loads)
    yield _gauge("redis_connected", int(services.books.hears_others))
    yield _gauge("desk_queue_commands", services.desk.waiting)
    yield _labelled("stream_lag_seconds", "certificate", services.books.ages())
    yield _labelled("stream_behind_events", "certificate", services.books.behind())
    figures = services.figures()
    yield _labelled("pool_open_connections", "pool", {one.name: one.open for one in figures})
    yield _labelled("pool_used_connections", "pool", {one.name: one.used for one in figures})
    yield _labelled("pool_max_connections", "pool", {one.name: one.size_max for one in figures})


def _reading(readers: Readers | None) -> Iterator[Metric]:
    """Look at the processes that answer for this one."""
    yield _gauge("readers", readers.up if readers else 0)
    yield _gauge("readers_wanted", readers.count if readers else 0)
    yield _counter("handed_over_queries", readers.handed_over if readers else 0)


async def _database(services: Services) -> list[Metric]:
    """Look at the sealer and the clock of the database."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            sealed = await db.seal.state(services.pool)
            ahead_s = await db.clock.ahead_s(services.pool)
    except Exception as error:  # whatever is wrong: everything else is worth showing
        log.warning("metrics_without_database", error=repr(error))
        return [_gauge("database_up", 0)]
    return [
        _gauge("database_up", 1),
        _gauge("database_clock_ahead_seconds", ahead_s),
        _gauge("sealed_leaves", sealed["size"]),
        _gauge("seal_lag_seconds", sealed["lag_s"] or 0),
        _gauge("seal_stopped", int(bool(sealed["alarm"]))),
    ]


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(f"carbondesk_{name}", GAUGES[name], value=value)


def _counter(name: str, value: float) -> Metric:
    return CounterMetricFamily(f"carbondesk_{name}", COUNTERS[name], value=value)


def _labelled(name: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"carbondesk_{name}", GAUGES[name], labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
