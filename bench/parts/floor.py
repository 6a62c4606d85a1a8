"""What a GraphQL mutation costs that does nothing: the same transport, a schema of the same shape, no market behind it.

Beside it a bare Starlette route that reads JSON and answers JSON of the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import uuid4

import orjson
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from api.app import healthy, spare_collections
from api.context import Info
from api.errors import Schema
from api.fanout import Seat
from api.guard import Guard
from api.http import GraphQLView
from api.inputs import PlaceOrderInput
from api.limits import EXTENSIONS
from api.payloads import OrderPayload
from api.schema import config
from domain.book import OrderSide
from domain.market import Order, OrderStatus, OrderType, PlacedOutcome, TimeInForce, Trade
from domain.money import CertificateType

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TICKET = "TKT-2026-000001"


@strawberry.type
class Query:
    @strawberry.field
    def nothing(self) -> bool:
        return False


def answer_of(is_crossing: bool) -> PlacedOutcome:
    """Return an order as the market would answer it, with one trade when it crosses."""
    order_id, holder_id = uuid4(), uuid4()
    filled = Decimal(10 if is_crossing else 0)
    order = Order(
        order_id, holder_id, None, CertificateType.CEA, OrderSide.BUY, OrderType.LIMIT, TimeInForce.GTC,
        Decimal("25.00"), Decimal(10), filled, filled * 25, OrderStatus.FILLED if is_crossing else OrderStatus.OPEN,
        None, 1, NOW, NOW, TICKET,
    )  # fmt: skip
    trade = Trade(
        uuid4(), CertificateType.CEA, 1, Decimal("25.00"), Decimal(10), order_id, uuid4(), holder_id, uuid4(), None,
        OrderSide.BUY, NOW, TICKET,
    )  # fmt: skip
    return PlacedOutcome(order, (trade,) if is_crossing else ())


RESTING, CROSSING = answer_of(False), answer_of(True)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def place_order(self, info: Info, input: Annotated[PlaceOrderInput, strawberry.argument()]) -> OrderPayload:
        place = input.to_domain(uuid4())
        is_crossing = place.price is not None and (place.price > 25) is (place.side is OrderSide.BUY)
        return OrderPayload.of(TICKET, CROSSING if is_crossing else RESTING)  # type: ignore[no-any-return]

    @strawberry.mutation
    async def cancel_order(self, info: Info, id: strawberry.ID) -> OrderPayload:
        return OrderPayload.of(TICKET, RESTING)  # type: ignore[no-any-return]


@dataclass(slots=True)
class Nobody:
    """A context that is signed in as far as the cache of documents asks, and may see everything."""

    caller: object

    def may_see(self, *holders: object) -> bool:
        return True


async def of_request(request: Request, response: Response) -> Nobody:
    return Nobody(request)


async def connect(websocket: WebSocket, payload: dict[str, Any]) -> None:
    return None


async def of_socket(websocket: WebSocket, _caller: None, _seat: Seat | None) -> Nobody:
    return Nobody(websocket)


BARE = orjson.dumps({"data": {"placeOrder": {"ticketId": TICKET, "errors": [], "trades": [], "order": {
    "id": str(uuid4()), "side": "BUY", "status": "OPEN", "price": "25.00", "quantity": "10", "filledQuantity": "0",
    "remainingQuantity": "10", "averagePrice": None, "cancelReason": None, "ticketId": TICKET}}}})  # fmt: skip


async def bare(request: Request) -> Response:
    """Read JSON, answer JSON."""
    asked = orjson.loads(await request.body())
    answer = orjson.loads(BARE)
    if "id" in asked["variables"]:
        answer["data"]["cancelOrder"] = answer["data"].pop("placeOrder")
    return Response(orjson.dumps(answer), media_type="application/json")


def app() -> ASGIApp:
    """Return the application: uvicorn's factory."""
    schema = Schema(query=Query, mutation=Mutation, extensions=[*EXTENSIONS], config=config())
    view = GraphQLView(schema, context=of_request, connect=connect, socket_context=of_socket)
    spare_collections()
    return Guard(
        Starlette(routes=[Route("/healthz", healthy), Route("/graphql", view), Route("/bare", bare, methods=["POST"])])
    )
