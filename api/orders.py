"""Orders and trades in the schema, and who may ask for which."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

import db.finding
import db.ledger
import db.orders
from api.context import Info
from api.enums import (
    CertificateType,
    OrderSide,
    OrderStatus,
    OrderType,
    TicketOrder,
    TimeInForce,
    TradesBy,
    TradeStatus,
    TransactionsBy,
    UserRole,
)
from api.figures import described
from api.filters import OrderFilter, TicketFilter, TradeFilter, TransactionFilter
from api.objects import (
    MarketMaker,
    OrderBy,
    Ticket,
    User,
    maker_by_id,
    party,
    ticket_by_id,
    tickets_of,
    transactions_of,
)
from api.pages import FILTER, ORDER, After, Connection, First, nested
from api.scalars import BigInt
from db import filters
from domain import market

if TYPE_CHECKING:
    from api.ledger import TransactionConnection

ID = strawberry.ID


@strawberry.type(description="An order as it stands.")
class Order:
    record: strawberry.Private[market.Order]
    id: ID = described("UUID.")
    certificate_type: CertificateType = described("What is traded.")
    side: OrderSide = described("BUY or SELL.")
    order_type: OrderType = described("LIMIT or MARKET.")
    time_in_force: TimeInForce = described("How long it waits.")
    price: Decimal | None = described("Limit in EUR per certificate; none for MARKET.")
    quantity: Decimal = described("Certificates ordered.")
    filled_quantity: Decimal = described("Certificates traded so far.")
    remaining_quantity: Decimal = described("quantity - filledQuantity.")
    average_price: Decimal | None = described("EUR per certificate over all its trades, 4 decimals.")
    status: OrderStatus = described("Where it stands in its life.")
    cancel_reason: str | None = described("Why the rest was cancelled.")
    priority: BigInt = described("Its place in time, drawn under the market's lock: lower is older.")
    created_at: datetime = described("When it was placed.")
    updated_at: datetime = described("When it last changed.")
    ticket_id: ID = described("The ticket that placed it.")

    @classmethod
    def of(cls, record: market.Order) -> Order:
        return cls(
            record=record,
            id=ID(str(record.id)),
            certificate_type=record.certificate_type,
            side=record.side,
            order_type=record.order_type,
            time_in_force=record.time_in_force,
            price=record.price,
            quantity=record.quantity,
            filled_quantity=record.filled_quantity,
            remaining_quantity=record.remaining_quantity,
            average_price=record.average_price,
            status=record.status,
            cancel_reason=record.cancel_reason,
            priority=BigInt(record.priority),
            created_at=record.created_at,
            updated_at=record.updated_at,
            ticket_id=ID(record.ticket_id),
        )

    @strawberry.field(description="Whose order it is; to ADMIN, ANALYST and the holder.")
    async def user(self, info: Info) -> User | None:
        return await party(info, self.record.user_id)

    @strawberry.field(description="The market maker it was placed for; to ADMIN and ANALYST.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await maker_by_id(info, self.record.market_maker_id)

    @strawberry.field(description="The ticket that placed it; to ADMIN and ANALYST.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await ticket_by_id(info, self.record.ticket_id)

    @strawberry.field(description="Its trades, newest first.")
    async def trades(
        self,
        info: Info,
        filter: Annotated[TradeFilter | None, FILTER] = None,
        order_by: Annotated[TradesBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Trade]:
        wanted, way, own = trades_asked(info, filter), db.orders.TRADES_OF_ORDER, self.record.id
        return await nested(info, db.orders.TRADES, way, own, wanted, Trade.of, order_by, first, after)

    @strawberry.field(
        description="The ledger rows that it caused, newest first; empty to those who may not see them.",
        graphql_type=Annotated["TransactionConnection", strawberry.lazy("api.ledger")],
    )
    async def transactions(
        self,
        info: Info,
        filter: Annotated[TransactionFilter | None, FILTER] = None,
        order_by: Annotated[TransactionsBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Any:
        is_visible = info.context.may_see(self.record.user_id)
        way, own = db.ledger.TRANSACTIONS_OF_ORDER, self.record.id
        return await transactions_of(info, way, own, filter, order_by, first, after, is_visible=is_visible)

    @strawberry.field(
        description="The tickets about it, newest first: placed, filled, cancelled, and what was refused; empty to "
        "others than ADMIN and ANALYST."
    )
    async def tickets(
        self,
        info: Info,
        filter: Annotated[TicketFilter | None, FILTER] = None,
        order_by: OrderBy = TicketOrder.NEWEST,
        first: First = None,
        after: After = None,
    ) -> Connection[Ticket]:
        way, own = db.finding.TICKETS_ABOUT, self.record.id
        return await tickets_of(info, way, own, filter, order_by, first, after)


@strawberry.type(description="A trade between two orders.")
class Trade:
    record: strawberry.Private[market.Trade]
    id: ID = described("UUID.")
    certificate_type: CertificateType = described("What was traded.")
    price: Decimal = described("EUR per certificate: the price of the order that rested.")
    quantity: Decimal = described("Certificates.")
    notional: Decimal = described("price × quantity, in EUR.")
    taker_side: OrderSide = described("The side of the order that came second.")
    status: TradeStatus = described("EXECUTED, or SETTLED with the registry.")
    executed_at: datetime = described("When it was made.")
    settled_at: datetime | None = described("When the registry's reference was recorded.")

    @classmethod
    def of(cls, record: market.Trade) -> Trade:
        return cls(
            record=record,
            id=ID(str(record.id)),
            certificate_type=record.certificate_type,
            price=record.price,
            quantity=record.quantity,
            notional=record.notional,
            taker_side=record.taker_side,
            status=record.status,
            executed_at=record.executed_at,
            settled_at=record.settled_at,
        )

    def _is_visible(self, info: Info) -> bool:
        return info.context.may_see(self.record.buyer_id, self.record.seller_id)

    @strawberry.field(description="The registry's reference; to ADMIN, ANALYST and the parties.")
    def registry_reference(self, info: Info) -> str | None:
        return self.record.registry_reference if self._is_visible(info) else None

    @strawberry.field(description="The ticket of the trade; to ADMIN, ANALYST and the parties.")
    def ticket_id(self, info: Info) -> ID | None:
        return ID(self.record.ticket_id) if self._is_visible(info) else None

    @strawberry.field(description="Who bought; to ADMIN, ANALYST and the buyer.")
    async def buyer(self, info: Info) -> User | None:
        return await party(info, self.record.buyer_id)

    @strawberry.field(description="Who sold; to ADMIN, ANALYST and the seller.")
    async def seller(self, info: Info) -> User | None:
        return await party(info, self.record.seller_id)

    @strawberry.field(description="The market maker that sold; to ADMIN and ANALYST.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await maker_by_id(info, self.record.market_maker_id)

    @strawberry.field(description="The buyer's order; to ADMIN, ANALYST and the buyer.")
    async def buy_order(self, info: Info) -> Order | None:
        return await order_by_id(info, self.record.buy_order_id)

    @strawberry.field(description="The seller's order; to ADMIN, ANALYST and the seller.")
    async def sell_order(self, info: Info) -> Order | None:
        return await order_by_id(info, self.record.sell_order_id)

    @strawberry.field(description="The ticket of the trade; to ADMIN and ANALYST.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await ticket_by_id(info, self.record.ticket_id)


async def order_by_id(info: Info, order_id: UUID | None) -> Order | None:
    """Return an order, to those who may know whose it is."""
    record = await info.context.loaders.orders.load(order_id) if order_id else None
    return Order.of(record) if record and info.context.may_see(record.user_id) else None


def trades_asked(info: Info, filter: TradeFilter | None) -> db.orders.TradeFilter | None:
    """Return which trades are asked for; None for who may not see the parties that he asks by: it would tell them."""
    wanted = (filter or TradeFilter()).inner()
    may_see_all = info.context.has_role(UserRole.ADMIN, UserRole.ANALYST)
    is_by_leave = may_see_all or all(info.context.may_see(party) for party in wanted.parties())
    return wanted if is_by_leave else None


def orders_asked(info: Info, filter: OrderFilter | None) -> db.orders.OrderFilter | None:
    """Return which orders are asked for, a TRADER's own only; None when nothing can be."""
    wanted = (filter or OrderFilter()).inner()
    return filters.narrowed(wanted, user_id=info.context.user.id) if info.context.has_role(UserRole.TRADER) else wanted


def own_trades_asked(info: Info, filter: TradeFilter | None) -> db.orders.TradeFilter | None:
    """Return which trades are asked for, a TRADER's own only; None when nothing can be."""
    wanted = trades_asked(info, filter)
    is_narrowed = wanted is not None and info.context.has_role(UserRole.TRADER)
    return filters.narrowed(wanted, user_id=info.context.user.id) if wanted and is_narrowed else wanted
