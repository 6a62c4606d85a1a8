"""What can be watched, over graphql-transport-ws."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import strawberry

from api.context import Info
from api.errors import Code, RequestError
from api.figures import OrderBook
from api.inputs import TicketFilter
from api.objects import Ticket
from api.policy import Allow, Policy
from api.queries import DEPTH, Depth, Which, checked_depth
from domain.errors import DomainError


def subscription(policy: Policy, description: str) -> Any:
    """Return a stream that asks its policy first."""
    return strawberry.subscription(description=description, extensions=[Allow(policy)])


@strawberry.type(description="Everything that can be watched.")
class Subscription:
    @subscription(
        Policy.ANYONE,
        "Whole books: the newest at once, after each change (a slow watcher skips to the newest), at least every 5 s. "
        "Public market data.",
    )
    async def order_book(
        self, info: Info, certificate_type: Which, depth: Depth = DEPTH
    ) -> AsyncGenerator[OrderBook, None]:
        wanted = checked_depth(depth)
        async with aclosing(info.context.services.books.watch(certificate_type)) as pictures:
            async for picture in pictures:
                yield OrderBook.of(picture, wanted)

    @subscription(
        Policy.READER,
        "Tickets as they are committed, each once: from now, or everything after the place of a ticket in this stream.",
    )
    async def tickets(
        self,
        info: Info,
        filter: Annotated[
            TicketFilter | None, strawberry.argument(description="Which ones; all when not given.")
        ] = None,
        after: Annotated[strawberry.ID | None, strawberry.argument(description="A ticket id seen before.")] = None,
    ) -> AsyncGenerator[Ticket, None]:
        wanted = (filter or TicketFilter()).inner()
        try:
            async with aclosing(info.context.services.trail.follow(wanted, after)) as records:
                async for record in records:
                    info.context.forget()
                    yield Ticket.of(record)
        except KeyError:
            raise RequestError(f"There is no ticket {after}.", Code.BAD_REQUEST, field="after") from None
        except DomainError as error:
            raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error
