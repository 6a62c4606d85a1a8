"""Whether a process can take orders, and what an operator would want to know at a glance: /readyz.

Only what trading needs makes it unready: the database, and a schema that this program knows. Without Redis, without
readers, with a sealer that stands still, or with clocks that are apart, orders are taken and the answer says so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.responses import JSONResponse, Response

import db.clock
import db.migrate
import db.seal

if TYPE_CHECKING:
    from api.context import Services
    from api.readers import Readers

TIMEOUT_S: Final = 2.0
log = structlog.get_logger(__name__)


async def answer(services: Services, readers: Readers | None, mode: str, append_only: str) -> Response:
    """Look at everything once, in bounded time."""
    seen: dict[str, Any] = {"mode": mode, "appendOnly": append_only}
    seen["redis"] = "ok" if services.books.hears_others else "unreachable: trading goes on without it"
    if readers:
        seen["readers"] = f"{readers.up} of {readers.count}"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await services.pool.fetchrow("SELECT sequence FROM books LIMIT 1")
            schema = await db.migrate.standing(services.pool)
            sealed = await db.seal.state(services.pool)
            ahead_s = await db.clock.ahead_s(services.pool)
    except Exception as error:  # whatever is wrong: not ready
        log.warning("not_ready", error=repr(error))
        return JSONResponse({"status": "unavailable", "database": "unreachable", **seen}, 503)
    seen |= {"database": "ok", "schema": schema}
    seen |= {"sealing": "stopped" if sealed["alarm"] else "ok", "sealLagSeconds": sealed["lag_s"]}
    seen["clock"] = "ok" if abs(ahead_s) < db.clock.APART_S_MAX else f"apart: the database's is {ahead_s:+.0f} s ahead"
    seen |= {"sockets": services.presence.sockets, "deskQueue": services.desk.waiting}
    seen["streamLagSeconds"] = {name: round(age, 1) for name, age in services.books.ages().items()}
    if schema == db.migrate.BEHIND:
        return JSONResponse({"status": "unavailable", "help": "run `carbondesk migrate`", **seen}, 503)
    return JSONResponse({"status": "ready", **seen})
