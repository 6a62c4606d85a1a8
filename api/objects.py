"""The types of the schema: what a record looks like from outside; those of figures alone stand in `api.figures`.

A field that a role may not see is null; a field that needs another lookup goes through the operation's loaders.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

import db.finding
import db.ledger
import db.orders
import db.people
import db.tickets
from api.context import Info
from api.enums import (
    ActionType,
    Asset,
    CertificateType,
    EntityType,
    KycStatus,
    OrderSide,
    OrderStatus,
    OrderType,
    TicketOrder,
    TicketStatus,
    TimeInForce,
    TradeStatus,
    TransactionReason,
    TransactionType,
    UserRole,
)
from api.figures import Balance, FieldChange, MarketMakerStats, described, id_of
from api.inputs import DepositFilter, OrderFilter, TicketFilter, TradeFilter, TransactionFilter
from api.pages import FILTER, After, Connection, Counted, First, page_of
from api.scalars import BigInt
from db.tickets import TicketRecord
from domain import ledger, makers, market, people
from domain import tickets as trail

if TYPE_CHECKING:
    from api.deposits import DepositConnection
    from api.people import KycDocument

ID = strawberry.ID
RELATED_DEPTH_MAX = 5
OrderBy: TypeAlias = Annotated[
    TicketOrder | None, strawberry.argument(description="Which come first; NEWEST when not given.")
]


@strawberry.type(description="Somebody who signs in, or the account behind a market maker.")
class User:
    record: strawberry.Private[people.User]
    is_caller: strawberry.Private[bool]  # the answer to a login goes to the user himself
    id: ID = described("UUID.")
    name: str = described("Display name.")
    role: UserRole = described("What the user is.")
    is_active: bool = described("Whether the user may act.")
    kyc_status: KycStatus = described("How far the identity check has come.")
    created_at: datetime = described("When the user was created.")

    def _is_own(self, info: Info) -> bool:
        caller = info.context.caller
        return self.is_caller or (caller is not None and caller.user.id == self.record.id)

    @classmethod
    def of(cls, record: people.User, *, is_caller: bool = False) -> User:
        return cls(
            record=record,
            is_caller=is_caller,
            id=ID(str(record.id)),
            name=record.name,
            role=record.role,
            is_active=record.is_active,
            kyc_status=record.kyc_status,
            created_at=record.created_at,
        )

    @strawberry.field(description="Email address; to ADMIN and to the user only.")
    def email(self, info: Info) -> str | None:
        return self.record.email if self._is_own(info) or info.context.has_role(UserRole.ADMIN) else None

    @strawberry.field(description="Why the identity check was rejected; to ADMIN and to the user only.")
    def kyc_reason(self, info: Info) -> str | None:
        return self.record.kyc_reason if self._is_own(info) or info.context.has_role(UserRole.ADMIN) else None

    @strawberry.field(
        description="What was uploaded for the identity check, newest first; to ADMIN and to the user only."
    )
    async def kyc_documents(self, info: Info) -> list[Annotated[KycDocument, strawberry.lazy("api.people")]]:
        from api.people import KycDocument

        if not (self._is_own(info) or info.context.has_role(UserRole.ADMIN)):
            return []
        found = await info.context.loaders.kyc_documents.load(self.record.id) or []
        return [KycDocument.of(one) for one in found]

    @strawberry.field(description="Balances, one per asset; empty to those who may not see them.")
    async def balances(self, info: Info) -> list[Balance]:
        if not info.context.may_see(self.record.id):
            return []
        return [Balance.of(one) for one in await info.context.loaders.balances.load(self.record.id) or []]

    @strawberry.field(description="The user's orders, newest first; empty to those who may not see them.")
    async def orders(
        self, info: Info, filter: Annotated[OrderFilter | None, FILTER] = None, first: First = None, after: After = None
    ) -> Connection[Order]:
        wanted = OrderFilter.to_db(filter, user_id=self.record.id, visible=info.context.may_see(self.record.id))
        return await page_of(info, db.orders.orders_page, wanted, Order.of, db.orders.orders_where, first, after)

    @strawberry.field(
        description="The user's ledger rows, newest first; empty to those who may not see them.",
        graphql_type=Annotated["TransactionConnection", strawberry.lazy("api.objects")],
    )
    async def transactions(
        self,
        info: Info,
        filter: Annotated[TransactionFilter | None, FILTER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[AssetTransaction]:
        visible = info.context.may_see(self.record.id)
        wanted = TransactionFilter.to_db(filter, holder_id=self.record.id, visible=visible)
        return await page_of(
            info,
            db.ledger.transactions_page,
            wanted,
            AssetTransaction.of,
            db.ledger.transactions_where,
            first,
            after,
            kind=TransactionConnection,
        )

    @strawberry.field(
        description="Deposits that the user announced, newest first; empty to others than ADMIN and the user.",
        graphql_type=Annotated["DepositConnection", strawberry.lazy("api.deposits")],
    )
    async def deposits(
        self,
        info: Info,
        filter: Annotated[DepositFilter | None, FILTER] = None,
        first: First = None,
        after: After = None,
    ) -> Any:
        from api.deposits import deposits_page

        is_visible = self._is_own(info) or info.context.has_role(UserRole.ADMIN)
        return await deposits_page(info, filter, self.record.id, first, after, visible=is_visible)


@strawberry.type(description="A seller whose orders admins place by hand.")
class MarketMaker:
    record: strawberry.Private[makers.Maker]
    id: ID = described("UUID.")
    name: str = described("Unique display name.")
    description: str | None = described("Notes of admins.")
    is_active: bool = described("Whether orders can be placed for it.")
    created_at: datetime = described("When it was created.")
    updated_at: datetime = described("When it was last changed.")

    @classmethod
    def of(cls, record: makers.Maker) -> MarketMaker:
        return cls(
            record=record,
            id=ID(str(record.id)),
            name=record.name,
            description=record.description,
            is_active=record.is_active,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )

    @strawberry.field(description="The user that holds its balances; it has no password and never signs in.")
    async def user(self, info: Info) -> User | None:
        return await user_by_id(info, self.record.user_id)

    @strawberry.field(description="The admin who created it.")
    async def created_by(self, info: Info) -> User | None:
        return await user_by_id(info, self.record.created_by)

    @strawberry.field(description="Balances, one per asset.")
    async def balances(self, info: Info) -> list[Balance]:
        return [Balance.of(one) for one in await info.context.loaders.balances.load(self.record.user_id) or []]

    @strawberry.field(description="The balance of one asset.")
    async def balance(
        self, info: Info, asset: Annotated[Asset, strawberry.argument(description="Which asset.")]
    ) -> Balance:
        found = await info.context.loaders.balances.load(self.record.user_id) or []
        return next(Balance.of(one) for one in found if one.asset is asset)

    @strawberry.field(description="Figures over all its orders and trades.")
    async def stats(self, info: Info) -> MarketMakerStats:
        found = await info.context.loaders.stats.load(self.record.id)
        assert found is not None, "makers are never deleted"
        return MarketMakerStats(
            open_orders=found.open_orders,
            trades=found.trades,
            sold_quantity=found.sold_quantity,
            proceeds=found.proceeds,
            last_trade_at=found.last_trade_at,
        )

    @strawberry.field(
        description="Its ledger rows with running balances, newest first.",
        graphql_type=Annotated["TransactionConnection", strawberry.lazy("api.objects")],
    )
    async def transactions(
        self,
        info: Info,
        filter: Annotated[TransactionFilter | None, FILTER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[AssetTransaction]:
        return await page_of(
            info,
            db.ledger.transactions_page,
            TransactionFilter.to_db(filter, holder_id=self.record.user_id),
            AssetTransaction.of,
            db.ledger.transactions_where,
            first,
            after,
            kind=TransactionConnection,
        )

    @strawberry.field(description="Its orders, newest first.")
    async def orders(
        self, info: Info, filter: Annotated[OrderFilter | None, FILTER] = None, first: First = None, after: After = None
    ) -> Connection[Order]:
        wanted = OrderFilter.to_db(filter, market_maker_id=self.record.id)
        return await page_of(info, db.orders.orders_page, wanted, Order.of, db.orders.orders_where, first, after)

    @strawberry.field(description="Its trades, newest first.")
    async def trades(
        self, info: Info, filter: Annotated[TradeFilter | None, FILTER] = None, first: First = None, after: After = None
    ) -> Connection[Trade]:
        wanted = TradeFilter.to_db(filter, market_maker_id=self.record.id)
        return await page_of(info, db.orders.trades_page, wanted, Trade.of, db.orders.trades_where, first, after)

    @strawberry.field(description="The tickets of actions on its behalf, newest first.")
    async def tickets(
        self,
        info: Info,
        filter: Annotated[TicketFilter | None, FILTER] = None,
        order_by: OrderBy = TicketOrder.NEWEST,
        first: First = None,
        after: After = None,
    ) -> Connection[Ticket]:
        sees_payloads = info.context.has_role(UserRole.ADMIN)
        wanted = TicketFilter.to_db(filter, sees_payloads=sees_payloads, market_maker_id=self.record.id)
        return await tickets_of(info, wanted, order_by, first, after)


async def tickets_of(
    info: Info,
    wanted: db.tickets.TicketFilter | None,
    order_by: TicketOrder | None,
    first: int | None,
    after: str | None,
    last: int | None = None,
    before: str | None = None,
) -> Connection[Ticket]:
    """Load a page of tickets."""
    load = partial(db.finding.tickets_page, is_newest_first=order_by is not TicketOrder.OLDEST)
    counted = Counted(db.finding.tickets_counted)
    return await page_of(info, load, wanted, Ticket.of, counted, first, after, last, before)


async def user_by_id(info: Info, user_id: UUID | None) -> User | None:
    """Return a user as the operation's loader finds him."""
    record = await info.context.loaders.users.load(user_id) if user_id else None
    return User.of(record) if record else None


async def party(info: Info, user_id: UUID) -> User | None:
    """Return a party of an order or a trade, to those who may know it."""
    return await user_by_id(info, user_id) if info.context.may_see(user_id) else None


async def _maker(info: Info, maker_id: UUID | None) -> MarketMaker | None:
    if maker_id is None or not info.context.has_role(UserRole.ADMIN, UserRole.ANALYST):
        return None
    record = await info.context.loaders.makers.load(maker_id)
    return MarketMaker.of(record) if record else None


async def _ticket(info: Info, ticket_id: str) -> Ticket | None:
    if not info.context.has_role(UserRole.ADMIN, UserRole.ANALYST):
        return None
    record = await info.context.loaders.tickets.load(ticket_id)
    return Ticket.of(record) if record else None


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
        return await _maker(info, self.record.market_maker_id)

    @strawberry.field(description="The ticket that placed it; to ADMIN and ANALYST.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await _ticket(info, self.record.ticket_id)

    @strawberry.field(description="Its trades, newest first.")
    async def trades(self, info: Info, first: First = None, after: After = None) -> Connection[Trade]:
        wanted = db.orders.TradeFilter(order_id=self.record.id)
        return await page_of(info, db.orders.trades_page, wanted, Trade.of, db.orders.trades_where, first, after)


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
        return await _maker(info, self.record.market_maker_id)

    @strawberry.field(description="The buyer's order; to ADMIN, ANALYST and the buyer.")
    async def buy_order(self, info: Info) -> Order | None:
        return await _order(info, self.record.buy_order_id)

    @strawberry.field(description="The seller's order; to ADMIN, ANALYST and the seller.")
    async def sell_order(self, info: Info) -> Order | None:
        return await _order(info, self.record.sell_order_id)

    @strawberry.field(description="The ticket of the trade; to ADMIN and ANALYST.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await _ticket(info, self.record.ticket_id)


async def _order(info: Info, order_id: UUID | None) -> Order | None:
    record = await info.context.loaders.orders.load(order_id) if order_id else None
    return Order.of(record) if record and info.context.may_see(record.user_id) else None


@strawberry.type(description="A row of the ledger: one movement of one balance.")
class AssetTransaction:
    record: strawberry.Private[ledger.Transaction]
    id: ID = described("UUID.")
    asset: Asset = described("What moved.")
    transaction_type: TransactionType = described("The kind of movement.")
    reason: TransactionReason = described("What in the life of a deposit or an order moved it.")
    amount: Decimal = described("The figure for people: + for DEPOSIT and TRADE_CREDIT, - for the others.")
    available_delta: Decimal = described("What available changed by.")
    locked_delta: Decimal = described("What locked changed by.")
    balance_after: Decimal = described("Available afterwards.")
    locked_after: Decimal = described("Locked afterwards.")
    notes: str | None = described("What was noted with it.")
    holder_id: ID = described("Whose balance.")
    ticket_id: ID = described("The ticket that caused it.")
    created_at: datetime = described("When it was written.")

    @classmethod
    def of(cls, record: ledger.Transaction) -> AssetTransaction:
        return cls(
            record=record,
            id=ID(str(record.id)),
            asset=record.asset,
            transaction_type=record.transaction_type,
            reason=record.reason,
            amount=record.amount,
            available_delta=record.available_delta,
            locked_delta=record.locked_delta,
            balance_after=record.balance_after,
            locked_after=record.locked_after,
            notes=record.notes,
            holder_id=ID(str(record.holder_id)),
            ticket_id=ID(record.ticket_id),
            created_at=record.created_at,
        )

    @strawberry.field(description="Whose balance; to ADMIN, ANALYST and the holder.")
    async def holder(self, info: Info) -> User | None:
        return await party(info, self.record.holder_id)

    @strawberry.field(description="The market maker whose balance it is; to ADMIN and ANALYST.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await _maker(info, self.record.market_maker_id)

    @strawberry.field(description="The order it belongs to.")
    async def order(self, info: Info) -> Order | None:
        return await _order(info, self.record.order_id)

    @strawberry.field(description="The trade it settles.")
    async def trade(self, info: Info) -> Trade | None:
        record = await info.context.loaders.trades.load(self.record.trade_id) if self.record.trade_id else None
        return Trade.of(record) if record else None

    @strawberry.field(description="Who caused it; to ADMIN, ANALYST and that user.")
    async def created_by(self, info: Info) -> User | None:
        return await party(info, self.record.created_by) if self.record.created_by else None

    @strawberry.field(description="The ticket that caused it; to ADMIN and ANALYST.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await _ticket(info, self.record.ticket_id)


@strawberry.type(description="A page of a list.")
class TransactionConnection(Connection[AssetTransaction]):
    pass


@strawberry.type(description="The record of one action: who, what, when, with which outcome. Never changed.")
class Ticket:
    record: strawberry.Private[TicketRecord]
    id: ID = described("The ticket id.")
    ticket_id: ID = described("TKT-YYYY-NNNNNN.")
    timestamp: datetime = described("The database's time when it was written.")
    action_type: ActionType = described("What was attempted.")
    status: TicketStatus = described("Whether it was done.")
    summary: str = described("One line for people.")
    error_code: str | None = described("Why it failed.")
    error_message: str | None = described("Why it failed, in words.")
    entity_type: EntityType | None = described("The kind of thing it was about.")
    entity_id: ID | None = described("The thing it was about.")
    ip_address: str | None = described("Where the request came from.")
    user_agent: str | None = described("What sent it.")
    session_id: ID | None = described("The session it came in.")
    duration_ms: float | None = described("Milliseconds from its arrival until just before its commit.")
    related_ticket_ids: list[ID] = described("The tickets it points back to.")
    tags: list[str] = described("Words to filter by.")
    digest: str = described("SHA-256 over every column, the payload and every row it caused, in hex.")

    @classmethod
    def of(cls, record: TicketRecord) -> Ticket:
        ticket = record.ticket
        return cls(
            record=record,
            id=ID(ticket.ticket_id),
            ticket_id=ID(ticket.ticket_id),
            timestamp=ticket.timestamp,
            action_type=ticket.action_type,
            status=ticket.status,
            summary=ticket.summary,
            error_code=ticket.error_code,
            error_message=ticket.error_message,
            entity_type=ticket.entity_type,
            entity_id=None if ticket.entity_id is None else ID(ticket.entity_id),
            ip_address=ticket.ip_address,
            user_agent=ticket.user_agent,
            session_id=id_of(ticket.session_id),
            duration_ms=None if ticket.duration_ms is None else float(ticket.duration_ms),
            related_ticket_ids=[ID(one) for one in ticket.related_ticket_ids],
            tags=list(ticket.tags),
            digest=record.digest.hex(),
        )

    @strawberry.field(description="When a signed checkpoint covered it; null until then, for about a second.")
    async def sealed_at(self, info: Info) -> datetime | None:
        return await info.context.loaders.seals.load(self.record.ticket.ticket_id)

    @strawberry.field(description="Who acted.")
    async def user(self, info: Info) -> User | None:
        return await user_by_id(info, self.record.ticket.user_id)

    @strawberry.field(description="The market maker it was for.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await _maker(info, self.record.ticket.market_maker_id)

    async def _payload(self, info: Info) -> trail.Payload | None:
        if not info.context.has_role(UserRole.ADMIN):
            return None
        return await info.context.loaders.payloads.load(self.record.ticket.ticket_id)

    @strawberry.field(description="What was asked, redacted; to ADMIN.")
    async def request_payload(self, info: Info) -> JSON | None:
        payload = await self._payload(info)
        return payload.request if payload else None

    @strawberry.field(description="What was answered; to ADMIN.")
    async def response_data(self, info: Info) -> JSON | None:
        payload = await self._payload(info)
        return payload.response if payload else None

    @strawberry.field(description="What it touched, as it was; to ADMIN.")
    async def before_state(self, info: Info) -> JSON | None:
        payload = await self._payload(info)
        return payload.before if payload else None

    @strawberry.field(description="What it touched, as it became; to ADMIN.")
    async def after_state(self, info: Info) -> JSON | None:
        payload = await self._payload(info)
        return payload.after if payload else None

    @strawberry.field(description="The figures it moved; empty to those who may not see payloads.")
    async def changes(self, info: Info) -> list[FieldChange]:
        payload = await self._payload(info)
        found = trail.changes(payload.before, payload.after) if payload else []
        return [FieldChange(path=one.path, before=one.before, after=one.after) for one in found]

    @strawberry.field(description="Tickets within so many steps, in both directions, oldest first, at most 50.")
    async def related_tickets(
        self,
        info: Info,
        depth: Annotated[int, strawberry.argument(description="Steps, 1 to 5.")] = 1,
    ) -> list[Ticket]:
        steps = min(max(depth, 1), RELATED_DEPTH_MAX)
        found = await db.tickets.related(info.context.reader, self.record.ticket.ticket_id, steps)
        return [Ticket.of(one) for one in found]
