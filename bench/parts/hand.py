"""What the readers are compared with: one hand-written statement for each question, its JSON built by hand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CONNECTIONS = 8

TICKETS = """
SELECT t.ticket_id, t."timestamp", t.action_type, t.status, t.summary, t.error_code, t.duration_ms, t.tags,
       m.id, m.name, m.is_active
FROM ticket_logs t LEFT JOIN market_maker_clients m ON m.id = t.market_maker_id
WHERE t.status = 'FAILED' ORDER BY t.year DESC, t.number DESC LIMIT 50
"""

MAKERS = """
SELECT json_agg(one ORDER BY name) AS found FROM (
  SELECT m.name, json_build_object('id', m.id, 'name', m.name, 'isActive', m.is_active, 'balances',
    (SELECT json_agg(json_build_object('asset', b.asset, 'available', b.available::text, 'locked', b.locked::text)
                     ORDER BY b.asset) FROM balances b WHERE b.holder_id = m.user_id),
    'orders', json_build_object('nodes', (SELECT json_agg(o) FROM (
      SELECT o.id, o.side, o.price::text, o.quantity::text, o.status, o.created_at AS "createdAt" FROM orders o
      WHERE o.market_maker_id = m.id ORDER BY o.created_at DESC, o.priority DESC, o.id DESC LIMIT 10) AS o))) AS one
  FROM market_maker_clients m ORDER BY m.name, m.id LIMIT 20) AS makers
"""

DAYS = """
SELECT date_trunc('day', executed_at) AS day, certificate_type, count(*) AS trades, sum(quantity) AS quantity,
       sum(price * quantity) AS notional
FROM cash_market_trades GROUP BY 1, 2 ORDER BY 1, 2
"""


async def tickets(request: Request) -> Response:
    """Answer the newest failed tickets with their makers."""
    rows = await request.app.state.pool.fetch(TICKETS)
    nodes = [
        {
            "ticketId": ticket_id,
            "timestamp": at,
            "actionType": action,
            "status": status,
            "summary": summary,
            "errorCode": code,
            "durationMs": None if took is None else float(took),
            "tags": tags,
            "marketMaker": None if maker_id is None else {"id": str(maker_id), "name": name, "isActive": is_active},
        }
        for ticket_id, at, action, status, summary, code, took, tags, maker_id, name, is_active in rows
    ]
    return _json({"tickets": {"nodes": nodes}})


async def makers(request: Request) -> Response:
    """Answer all makers with their balances and last orders."""
    found = await request.app.state.pool.fetchval(MAKERS)
    return _json({"marketMakers": {"nodes": orjson.Fragment(found)}})


async def days(request: Request) -> Response:
    """Answer the trades of each day and certificate."""
    rows = await request.app.state.pool.fetch(DAYS)
    nodes = [
        {"bucket": day, "certificateType": kind, "count": count, "quantity": str(quantity), "notional": str(notional)}
        for day, kind, count, quantity, notional in rows
    ]
    return _json({"aggregateTrades": nodes})


def _json(data: Any) -> Response:
    return Response(orjson.dumps({"data": data}), media_type="application/json")


def app() -> Starlette:
    """Return the application: uvicorn's factory."""

    @contextlib.asynccontextmanager
    async def lifespan(starlette: Starlette) -> AsyncIterator[None]:
        url = os.environ["DATABASE_URL"]
        settings = {"jit": "off", "timezone": "UTC"}
        async with asyncpg.create_pool(url, min_size=1, max_size=CONNECTIONS, server_settings=settings) as pool:
            starlette.state.pool = pool
            yield

    async def healthy(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes = [
        Route("/healthz", healthy),
        Route("/tickets", tickets, methods=["POST"]),
        Route("/makers", makers, methods=["POST"]),
        Route("/days", days, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
