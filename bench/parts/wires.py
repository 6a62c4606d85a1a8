"""What the fan-out is compared with, on the same services, fed by the same commits.

raw    bare Starlette web sockets: one execution, one loop that sends the same bytes to each of them
stock  Strawberry's own handler of graphql-transport-ws: one execution per watcher
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import GraphQL
from strawberry.types.execution import ExecutionResult

from api import logs, schema
from api.app import Door, healthy, services, spare_collections
from api.context import Context
from api.fanout import Fanout, payload_of
from api.settings import load
from api.wire import decoded, encoded

PROTOCOL = "graphql-transport-ws"


def context_of(door: Door) -> Context:
    """Return a context of nobody, with no seat: its execution is its own."""
    return Context(door.open, None, None, None)


class Raw:
    """All sockets of one document; the bytes that the first one asked for go to all."""

    def __init__(self, door: Door, built: Any) -> None:
        self.door = door
        self.schema = built
        self.sockets: list[WebSocket] = []
        self.newest: str | None = None
        self.task: asyncio.Task[None] | None = None

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.accept(PROTOCOL)
        with suppress(WebSocketDisconnect):
            await websocket.receive_text()
            await websocket.send_text('{"type":"connection_ack"}')
            asked = decoded(await websocket.receive_text())["payload"]
            if self.task is None:
                self.task = asyncio.create_task(self.send_to_all(asked))
            if self.newest is not None:
                await websocket.send_text(self.newest)
            self.sockets.append(websocket)
            try:
                while True:
                    await websocket.receive_text()
            finally:
                self.sockets.remove(websocket)

    async def send_to_all(self, asked: dict[str, Any]) -> None:
        stream = await self.schema.stream(
            asked["query"], variable_values=asked["variables"], context_value=context_of(self.door)
        )
        async with aclosing(stream):
            async for result in stream:
                assert isinstance(result, ExecutionResult)
                self.newest = (b'{"id":"1","type":"next","payload":' + payload_of(result) + b"}").decode()
                for websocket in tuple(self.sockets):
                    with suppress(WebSocketDisconnect):
                        await websocket.send_text(self.newest)


class Stock(GraphQL[Any, Any]):
    """Strawberry's own application with our schema and contexts."""

    def __init__(self, door: Door, built: Any) -> None:
        super().__init__(built, subscription_protocols=[PROTOCOL], max_subscriptions_per_connection=None)
        self.door = door

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Any:
        return context_of(self.door)

    def encode_json(self, data: object) -> str:
        return encoded(data).decode()  # orjson for both: executions are compared, not encoders


def app() -> ASGIApp:
    """Return the application: uvicorn's factory. WIRE says which."""
    logs.configure()
    settings, built = load(), schema.build()
    door = Door(settings, Fanout(built))
    endpoint: Any = Raw(door, built).serve if os.environ["WIRE"] == "raw" else Stock(door, built)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with services(settings) as door.services:
            spare_collections()
            yield

    return Starlette(
        routes=[WebSocketRoute("/graphql", endpoint), Route("/healthz", healthy), Route("/readyz", door.ready)],
        lifespan=lifespan,
    )
