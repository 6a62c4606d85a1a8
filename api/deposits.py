"""Deposits in the schema: bank transfers of euros that traders announced."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import strawberry

from api.context import Info
from api.enums import DepositStatus
from api.figures import described
from api.objects import User, party
from api.pages import Connection
from domain import people

ID = strawberry.ID


@strawberry.type(description="A bank transfer of euros that a trader announced.")
class Deposit:
    record: strawberry.Private[people.Deposit]
    id: ID = described("UUID.")
    amount: Decimal = described("EUR.")
    reference: str = described("The transfer's reference.")
    status: DepositStatus = described("Where it stands.")
    reason: str | None = described("Why it was rejected.")
    created_at: datetime = described("When it was announced.")
    decided_at: datetime | None = described("When it was decided.")
    ticket_id: ID = described("The ticket that announced it.")

    @classmethod
    def of(cls, record: people.Deposit) -> Deposit:
        return cls(
            record=record,
            id=ID(str(record.id)),
            amount=record.amount,
            reference=record.reference,
            status=record.status,
            reason=record.reason,
            created_at=record.created_at,
            decided_at=record.decided_at,
            ticket_id=ID(record.ticket_id),
        )

    @strawberry.field(description="Who announced it; to ADMIN and the user.")
    async def user(self, info: Info) -> User | None:
        return await party(info, self.record.user_id)

    @strawberry.field(description="Who decided it; to ADMIN.")
    async def decided_by(self, info: Info) -> User | None:
        return await party(info, self.record.decided_by) if self.record.decided_by else None


@strawberry.type(description="A page of a list.")
class DepositConnection(Connection[Deposit]):
    pass
