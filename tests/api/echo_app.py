"""A small schema behind the real door, for tests of the door alone.

python -m tests.api.echo_app PORT      serves it until interrupted
"""

import asyncio
import contextlib
import itertools
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from strawberry.extensions import SchemaExtension
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from api.errors import Code, RequestError, Schema
from api.fanout import Seat
from api.guard import Guard
from api.http import GraphQLView
from api.limits import EXTENSIONS
from api.scalars import SCALARS, BigInt
from api.transport import Protocol

TOKEN = "a-token"
START_SECONDS_MAX = 10


@dataclass
class Context:
    caller: str | None
    response: Response | None = None
    number: int = field(default_factory=itertools.count(1).__next__)
    tickets: dict[str, str] = field(default_factory=dict)


ended: Counter[str] = Counter()
"""How often the generator of a stream has run its `finally`."""


@strawberry.type
class Node:
    id: strawberry.ID
    name: str

    @strawberry.field
    def child(self) -> Self:
        return self

    @strawberry.field
    def children(self, first: int = 10) -> list[Self]:
        return [self] * min(first, 10)


@strawberry.type
class Query:
    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    def decimal(self, value: Decimal) -> Decimal:
        return value

    @strawberry.field
    def instant(self, value: datetime) -> datetime:
        return value

    @strawberry.field
    def big(self, value: BigInt) -> BigInt:
        return value

    @strawberry.field
    def json(self, value: JSON) -> JSON:
        return value

    @strawberry.field
    def integer(self, value: int) -> int:
        return value

    @strawberry.field
    def node(self) -> Node:
        return Node(id=strawberry.ID("1"), name="a")

    @strawberry.field
    def caller(self, info: strawberry.Info[Context, None]) -> str | None:
        return info.context.caller

    @strawberry.field
    def context_number(self, info: strawberry.Info[Context, None]) -> int:
        return info.context.number

    @strawberry.field
    def denied(self) -> str | None:
        raise RequestError("Only admins may read this.", Code.FORBIDDEN, ticketId="TKT-2026-000001")

    @strawberry.field
    def fault(self) -> str | None:
        raise RuntimeError("the secret of the house")

    @strawberry.field
    def wrong_result(self) -> int | None:
        return "no number"  # type: ignore[return-value]


@strawberry.type
class Mutation:
    @strawberry.mutation
    def login(self, info: strawberry.Info[Context, None], email: str) -> str | None:
        info.context.tickets[str(info.path.key)] = "TKT-2026-000002"
        if info.context.response:
            info.context.response.set_cookie("carbondesk", email, httponly=True, samesite="strict")
        return email

    @strawberry.mutation
    def rename(self, info: strawberry.Info[Context, None], name: str, price: Decimal | None = None) -> str | None:
        info.context.tickets[str(info.path.key)] = f"TKT-2026-{len(info.context.tickets) + 3:06}"
        return f"{name} {price}"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int = 3) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def ticks(self, name: str) -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
                await asyncio.sleep(0.02)
        finally:
            ended[name] += 1

    @strawberry.subscription
    async def flood(self, name: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 100_000
        finally:
            ended[name] += 1

    @strawberry.subscription
    async def breaking(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("the secret of the house")

    @strawberry.subscription
    async def denied(self) -> AsyncIterator[int]:
        yield 1
        raise RequestError("Your session has ended.", Code.UNAUTHENTICATED)

    @strawberry.subscription
    async def context_number(self, info: strawberry.Info[Context, None]) -> AsyncIterator[int]:
        yield info.context.number


class Tickets(SchemaExtension):
    """Stand where the audit extension stands."""

    def get_results(self) -> dict[str, Any]:
        tickets = self.execution_context.context.tickets
        return {"tickets": tickets} if tickets else {}


def build_schema() -> Schema:
    return Schema(
        Query,
        Mutation,
        Subscription,
        extensions=[*EXTENSIONS, Tickets],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def caller_of(connection: Request | WebSocket, token: str | None) -> str | None:
    scheme, _, value = (token or connection.headers.get("authorization", "")).partition(" ")
    if scheme.lower() == "bearer":
        if value != TOKEN:
            raise RequestError("The token is not valid.", Code.UNAUTHENTICATED)
        return "bearer"
    return connection.cookies.get("carbondesk")


async def context(request: Request, response: Response) -> Context:
    return Context(caller_of(request, None), response)


async def connect(websocket: WebSocket, payload: dict[str, Any]) -> str | None:
    if payload.get("break"):
        raise RuntimeError("the secret of the house")
    return caller_of(websocket, payload.get("Authorization"))


async def socket_context(_websocket: WebSocket, caller: str | None, _seat: Seat | None) -> Context:
    return Context(caller)


async def count_of(request: Request) -> Response:
    return PlainTextResponse(str(ended[request.path_params["name"]]))


def create_app() -> Guard:
    view = GraphQLView(build_schema(), context=context, connect=connect, socket_context=socket_context)
    routes = [Route("/graphql", view), WebSocketRoute("/graphql", view), Route("/ended/{name}", count_of)]
    return Guard(Starlette(routes=routes))


def server_on(listener: socket.socket, ws: Any = Protocol) -> uvicorn.Server:
    host, port = listener.getsockname()[:2]
    return uvicorn.Server(
        uvicorn.Config(create_app(), host=host, port=port, log_level="warning", lifespan="off", ws=ws)
    )


@contextlib.contextmanager
def running(ws: Any = Protocol) -> Iterator[str]:
    """Serve the schema from a thread on a free port; yield `127.0.0.1:PORT`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = server_on(listener, ws)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(START_SECONDS_MAX)
        assert not thread.is_alive()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as bound:
        server_on(bound).run([bound])
