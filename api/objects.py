"""The types of the schema: what a record looks like from outside; those of figures alone stand in `api.figures`.

A field that a role may not see is null; a field that needs another lookup goes through the operation's loaders.
"""

from __future__ import annotations

from datetime import datetime
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
    DepositsBy,
    EntityType,
    KycStatus,
    OrdersBy,
    TicketOrder,
    TicketStatus,
    TradesBy,
    TransactionsBy,
    UserRole,
)
from api.figures import Balance, FieldChange, MarketMakerStats, described, id_of
from api.filters import DepositFilter, OrderFilter, TicketFilter, TradeFilter, TransactionFilter
from api.pages import FILTER, ORDER, After, Connection, First, nested
from api.past import AsOf, AsOfTicket, balances_of, moment_of
from db.lists import Way
from db.tickets import TicketRecord
from domain import makers, people
from domain import tickets as trail

if TYPE_CHECKING:
    from api.deposits import DepositConnection
    from api.ledger import TransactionConnection
    from api.orders import Order, Trade
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

    @strawberry.field(
        description="Balances, one per asset, of now or of a moment of the past; empty to those who may not see them."
    )
    async def balances(self, info: Info, at: AsOf = None, ticket_id: AsOfTicket = None) -> list[Balance]:
        if not info.context.may_see(self.record.id):
            return []
        moment = await moment_of(info, ticket_id=ticket_id, at=at, field="ticketId")
        return [Balance.of(one) for one in await balances_of(info, self.record.id, moment)]

    @strawberry.field(description="The user's orders, newest first; empty to those who may not see them.")
    async def orders(
        self,
        info: Info,
        filter: Annotated[OrderFilter | None, FILTER] = None,
        order_by: Annotated[OrdersBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Annotated[Order, strawberry.lazy("api.orders")]]:
        from api.orders import Order

        wanted = (filter or OrderFilter()).inner() if info.context.may_see(self.record.id) else None
        way, own = db.orders.ORDERS_OF_USER, self.record.id
        return await nested(info, db.orders.ORDERS, way, own, wanted, Order.of, order_by, first, after)

    @strawberry.field(
        description="What the user bought and sold, newest first; empty to those who may not see it. Others than "
        "ADMIN and ANALYST find nothing by parties."
    )
    async def trades(
        self,
        info: Info,
        filter: Annotated[TradeFilter | None, FILTER] = None,
        order_by: Annotated[TradesBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Annotated[Trade, strawberry.lazy("api.orders")]]:
        from api.orders import Trade, trades_asked

        wanted = trades_asked(info, filter) if info.context.may_see(self.record.id) else None
        way, own = db.orders.TRADES_OF_USER, self.record.id
        return await nested(info, db.orders.TRADES, way, own, wanted, Trade.of, order_by, first, after)

    @strawberry.field(
        description="The user's ledger rows, newest first; empty to those who may not see them.",
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
        is_visible = info.context.may_see(self.record.id)
        way, own = db.ledger.TRANSACTIONS_OF_HOLDER, self.record.id
        return await transactions_of(info, way, own, filter, order_by, first, after, is_visible=is_visible)

    @strawberry.field(
        description="Deposits that the user announced, newest first; empty to others than ADMIN and the user.",
        graphql_type=Annotated["DepositConnection", strawberry.lazy("api.deposits")],
    )
    async def deposits(
        self,
        info: Info,
        filter: Annotated[DepositFilter | None, FILTER] = None,
        order_by: Annotated[DepositsBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Any:
        from api.deposits import Deposit, DepositConnection

        is_visible = self._is_own(info) or info.context.has_role(UserRole.ADMIN)
        wanted = (filter or DepositFilter()).inner() if is_visible else None
        return await nested(
            info, db.people.DEPOSITS, db.people.DEPOSITS_OF_USER, self.record.id, wanted, Deposit.of, order_by, first,
            after, kind=DepositConnection,
        )  # fmt: skip

    @strawberry.field(
        description="The tickets of the user's actions, newest first; empty to others than ADMIN and ANALYST."
    )
    async def tickets(
        self,
        info: Info,
        filter: Annotated[TicketFilter | None, FILTER] = None,
        order_by: OrderBy = TicketOrder.NEWEST,
        first: First = None,
        after: After = None,
    ) -> Connection[Ticket]:
        way, own = db.finding.TICKETS_OF_USER, self.record.id
        return await tickets_of(info, way, own, filter, order_by, first, after)


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

    @strawberry.field(description="Balances, one per asset, of now or of a moment of the past.")
    async def balances(self, info: Info, at: AsOf = None, ticket_id: AsOfTicket = None) -> list[Balance]:
        moment = await moment_of(info, ticket_id=ticket_id, at=at, field="ticketId")
        return [Balance.of(one) for one in await balances_of(info, self.record.user_id, moment)]

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
        way, own = db.ledger.TRANSACTIONS_OF_HOLDER, self.record.user_id
        return await transactions_of(info, way, own, filter, order_by, first, after)

    @strawberry.field(description="Its orders, newest first.")
    async def orders(
        self,
        info: Info,
        filter: Annotated[OrderFilter | None, FILTER] = None,
        order_by: Annotated[OrdersBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Annotated[Order, strawberry.lazy("api.orders")]]:
        from api.orders import Order

        wanted, way, own = (filter or OrderFilter()).inner(), db.orders.ORDERS_OF_MAKER, self.record.id
        return await nested(info, db.orders.ORDERS, way, own, wanted, Order.of, order_by, first, after)

    @strawberry.field(description="Its trades, newest first.")
    async def trades(
        self,
        info: Info,
        filter: Annotated[TradeFilter | None, FILTER] = None,
        order_by: Annotated[TradesBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Annotated[Trade, strawberry.lazy("api.orders")]]:
        from api.orders import Trade, trades_asked

        wanted, way, own = trades_asked(info, filter), db.orders.TRADES_OF_MAKER, self.record.id
        return await nested(info, db.orders.TRADES, way, own, wanted, Trade.of, order_by, first, after)

    @strawberry.field(description="The tickets of actions on its behalf, newest first.")
    async def tickets(
        self,
        info: Info,
        filter: Annotated[TicketFilter | None, FILTER] = None,
        order_by: OrderBy = TicketOrder.NEWEST,
        first: First = None,
        after: After = None,
    ) -> Connection[Ticket]:
        way, own = db.finding.TICKETS_OF_MAKER, self.record.id
        return await tickets_of(info, way, own, filter, order_by, first, after)


async def transactions_of(
    info: Info,
    way: Way,
    parent: UUID,
    filter: TransactionFilter | None,
    order_by: TransactionsBy | None,
    first: int | None,
    after: str | None,
    *,
    is_visible: bool = True,
) -> Any:
    from api.ledger import AssetTransaction, TransactionConnection

    wanted = (filter or TransactionFilter()).inner() if is_visible else None
    return await nested(
        info, db.ledger.TRANSACTIONS, way, parent, wanted, AssetTransaction.of, order_by, first, after,
        kind=TransactionConnection,
    )  # fmt: skip


async def tickets_of(
    info: Info,
    way: Way,
    parent: Any,
    filter: TicketFilter | None,
    order_by: TicketOrder | None,
    first: int | None,
    after: str | None,
) -> Connection[Ticket]:
    is_visible = info.context.has_role(UserRole.ADMIN, UserRole.ANALYST)
    sees_payloads = info.context.has_role(UserRole.ADMIN)
    wanted = (filter or TicketFilter()).inner(sees_payloads=sees_payloads) if is_visible else None
    return await nested(info, db.finding.TICKETS, way, parent, wanted, Ticket.of, order_by, first, after)


async def user_by_id(info: Info, user_id: UUID | None) -> User | None:
    """Return a user as the operation's loader finds him."""
    record = await info.context.loaders.users.load(user_id) if user_id else None
    return User.of(record) if record else None


async def party(info: Info, user_id: UUID) -> User | None:
    """Return a party of an order or a trade, to those who may know it."""
    return await user_by_id(info, user_id) if info.context.may_see(user_id) else None


async def maker_by_id(info: Info, maker_id: UUID | None) -> MarketMaker | None:
    """Return a market maker, to ADMIN and ANALYST."""
    if maker_id is None or not info.context.has_role(UserRole.ADMIN, UserRole.ANALYST):
        return None
    record = await info.context.loaders.makers.load(maker_id)
    return MarketMaker.of(record) if record else None


async def ticket_by_id(info: Info, ticket_id: str) -> Ticket | None:
    """Return a ticket, to ADMIN and ANALYST."""
    if not info.context.has_role(UserRole.ADMIN, UserRole.ANALYST):
        return None
    record = await info.context.loaders.tickets.load(ticket_id)
    return Ticket.of(record) if record else None


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
        return await maker_by_id(info, self.record.ticket.market_maker_id)

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
        reader = info.context.reader
        each = info.context.loaders.each(
            ("related", steps), lambda ticket_ids: db.tickets.related(reader, ticket_ids, steps)
        )
        return [Ticket.of(one) for one in await each.load(self.record.ticket.ticket_id) or []]
