"""What can be watched, over graphql-transport-ws."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

import strawberry

import db.orders
from api.context import Info
from api.enums import CertificateType, UserRole
from api.errors import Code, RequestError
from api.fanout import Audience, Events, variables_of
from api.figures import Balance, OrderBook, OrderBookEvent, book_event
from api.filters import OrderFilter, TicketFilter, TradeFilter
from api.objects import Ticket
from api.orders import Order, Trade, orders_asked, trades_asked
from api.pages import FILTER
from api.policy import Allow, Policy
from api.queries import DEPTH, Depth, Which, checked_depth
from api.scalars import BigInt
from api.sources import BookChanges, WholeBooks
from db import filters
from domain.errors import DomainError
from domain.people import uuid_or_none

SHARED = frozenset({"orderBook", "orderBookChanges", "trades", "orders", "tickets"})
"""Subscriptions that are executed once for all who ask the same with the same rights."""

NO_ORDERS = db.orders.OrderFilter(ids=())
NO_TRADES = db.orders.TradeFilter(ids=())
F = TypeVar("F", bound=filters.Filter)


def checked(wanted: F) -> F:
    """Return a filter that is not too large.

    Raises: RequestError (BAD_REQUEST).
    """
    try:
        filters.check(wanted)
    except DomainError as error:
        raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error
    return wanted


def subscription(policy: Policy, description: str) -> Any:
    """Return a stream that asks its policy first."""
    return strawberry.subscription(description=description, extensions=[Allow(policy)])


@strawberry.type(description="Everything that can be watched.")
class Subscription:
    @subscription(
        Policy.PUBLIC,
        "Whole books: the newest at once, after each change (a slow watcher skips to the newest), at least every 5 s. "
        "Public market data.",
    )
    async def order_book(
        self, info: Info, certificate_type: Which, depth: Depth = DEPTH
    ) -> AsyncGenerator[OrderBook, None]:
        wanted = checked_depth(depth)
        source = WholeBooks(info.context.services.books, certificate_type)
        async with aclosing(info.context.watch(source)) as pictures:
            async for picture in pictures:
                yield OrderBook.of(picture, wanted)

    @subscription(
        Policy.PUBLIC,
        "The whole book, every level, then each change of it, in order and without a gap, and a heartbeat each second. "
        "A slow watcher gets several changes as one; one that was too slow, or that the server could not keep on, gets "
        "a whole book again, which says why. Public market data.",
    )
    async def order_book_changes(
        self,
        info: Info,
        certificate_type: Which,
        after_sequence: Annotated[
            BigInt | None,
            strawberry.argument(
                description="The last sequence you have seen, to go on from there: the first change then starts from "
                "it. When too much has happened since, you get a whole book as if this had not been given."
            ),
        ] = None,
    ) -> AsyncGenerator[OrderBookEvent, None]:
        if after_sequence is not None and after_sequence < 0:
            raise RequestError("afterSequence is a sequence, 0 or more.", Code.BAD_REQUEST, field="afterSequence")
        own = variables_of(info._raw_info.field_nodes[0], "afterSequence")
        source = BookChanges(info.context.services.books, certificate_type, after_sequence, own)
        async with aclosing(info.context.watch(source)) as events:
            async for event in events:
                yield book_event(event)

    @subscription(
        Policy.PUBLIC,
        "Trades as they are committed, each once, from now on, in the order of each book. Public market data; parties "
        "are shown to ADMIN, ANALYST and themselves.",
    )
    async def trades(
        self,
        info: Info,
        certificate_type: Annotated[
            CertificateType | None, strawberry.argument(description="Of one certificate; all when not given.")
        ] = None,
        filter: Annotated[TradeFilter | None, FILTER] = None,
    ) -> AsyncGenerator[Trade, None]:
        asked = trades_asked(info, filter)
        own = {} if certificate_type is None else {"certificate_type": certificate_type}
        wanted = checked((asked and filters.narrowed(asked, **own)) or NO_TRADES)
        journal = info.context.services.journal
        source = Events(("trades", repr(wanted)), Audience.ROLE, partial(journal.trades, wanted))
        async with aclosing(info.context.watch(source)) as records:
            async for record in records:
                info.context.forget()
                yield Trade.of(record)

    @subscription(
        Policy.OWNER,
        "Orders as they change: from now on, each order that a committed command placed, filled or cancelled, as it "
        "stood right after it, if the filter fits it then. A TRADER sees his own.",
    )
    async def orders(
        self, info: Info, filter: Annotated[OrderFilter | None, FILTER] = None
    ) -> AsyncGenerator[Order, None]:
        wanted = checked(orders_asked(info, filter) or NO_ORDERS)
        journal = info.context.services.journal
        source = Events(("orders", repr(wanted)), Audience.ROLE, partial(journal.orders, wanted))
        async with aclosing(info.context.watch(source)) as records:
            async for record in records:
                info.context.forget()
                yield Order.of(record)

    @subscription(
        Policy.OWNER,
        "Balances: the current ones at once, then each as it is committed, seq going up for each asset of a holder. "
        "One's own; ADMIN and ANALYST may name another holder, or watch all market makers.",
    )
    async def balances(
        self,
        info: Info,
        user_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Whose, market makers' users included.")
        ] = None,
        market_makers: Annotated[
            bool | None, strawberry.argument(description="Of all market makers, also of those still to come.")
        ] = False,
    ) -> AsyncGenerator[Balance, None]:
        holder_id = await _holder(info, user_id, is_all_makers=bool(market_makers))
        async with aclosing(info.context.services.holdings.balances(holder_id)) as records:
            async for record in records:
                info.context.forget()
                yield Balance.of(record)

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
        wanted = (filter or TicketFilter()).inner(sees_payloads=info.context.has_role(UserRole.ADMIN))
        try:
            trail = info.context.services.trail
            source = Events(("tickets", repr(wanted)), Audience.ROLE, partial(trail.follow, wanted, after))
            async with aclosing(info.context.watch(source)) as records:
                async for record in records:
                    info.context.forget()
                    yield Ticket.of(record)
        except KeyError:
            raise RequestError(f"There is no ticket {after}.", Code.BAD_REQUEST, field="after") from None
        except DomainError as error:
            raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error


async def _holder(info: Info, user_id: str | None, *, is_all_makers: bool) -> UUID | None:
    """Return whose balances are watched; None for all market makers.

    Raises: RequestError (BAD_REQUEST: both named, no such user; FORBIDDEN).
    """
    if user_id is not None and is_all_makers:
        raise RequestError("Name a user or ask for all market makers, not both.", Code.BAD_REQUEST, field="userId")
    own = info.context.user.id
    asked = own if user_id is None else uuid_or_none(user_id)
    if info.context.has_role(UserRole.TRADER) and (is_all_makers or asked != own):
        raise RequestError("A TRADER may watch his own balances only.", Code.FORBIDDEN)
    if is_all_makers:
        return None
    if asked is None or await info.context.loaders.users.load(asked) is None:
        raise RequestError(f"There is no user {user_id}.", Code.BAD_REQUEST, field="userId")
    return asked
