"""The same application, door and schema, with the rival behind it in place of the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from api import logs, schema
from api.app import Door, database_name, healthy, services, spare_collections
from api.fanout import Fanout
from api.guard import Guard
from api.http import GraphQLView
from api.settings import load
from bench.parts import orm


def app() -> ASGIApp:
    """Return the application: uvicorn's factory."""
    logs.configure()
    settings = load()
    built = schema.build()
    door = Door(settings, Fanout(built))
    view: Any = GraphQLView(built, context=door.of_request, connect=door.connect, socket_context=door.of_socket)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        assert settings.database_url is not None
        role = f"{database_name(settings.database_url)}_app"
        async with services(settings) as ours, orm.opened(settings.database_url, role, ours.units) as desk:
            door.services = replace(ours, desk=desk)  # type: ignore[arg-type]  # it is asked for `submit` only
            spare_collections()
            yield

    routes = [Route("/graphql", view), Route("/healthz", healthy), Route("/readyz", door.ready)]
    return Guard(Starlette(routes=routes, lifespan=lifespan))
