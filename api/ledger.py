"""The ledger in the schema: its rows with their running balances."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import strawberry

from api.context import Info
from api.enums import Asset, TransactionReason, TransactionType
from api.figures import described
from api.objects import MarketMaker, Ticket, User, maker_by_id, party, ticket_by_id
from api.orders import Order, Trade, order_by_id
from api.pages import Connection
from domain import ledger

ID = strawberry.ID


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
        return await maker_by_id(info, self.record.market_maker_id)

    @strawberry.field(description="The order it belongs to.")
    async def order(self, info: Info) -> Order | None:
        return await order_by_id(info, self.record.order_id)

    @strawberry.field(description="The trade it settles.")
    async def trade(self, info: Info) -> Trade | None:
        record = await info.context.loaders.trades.load(self.record.trade_id) if self.record.trade_id else None
        return Trade.of(record) if record else None

    @strawberry.field(description="Who caused it; to ADMIN, ANALYST and that user.")
    async def created_by(self, info: Info) -> User | None:
        return await party(info, self.record.created_by) if self.record.created_by else None

    @strawberry.field(description="The ticket that caused it; to ADMIN and ANALYST.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await ticket_by_id(info, self.record.ticket_id)


@strawberry.type(description="A page of a list.")
class TransactionConnection(Connection[AssetTransaction]):
    pass
