"""The types of the schema about people's papers, money and doors: documents, deposits, sessions; the settings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import strawberry

import db.people
from api.context import Info
from api.enums import CertificateType, DepositStatus
from api.figures import described
from api.inputs import DepositFilter
from api.objects import User, party, user_by_id
from api.pages import Connection, page_of
from domain import certificates, kyc, people

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


async def deposits_page(
    info: Info,
    filter: DepositFilter | None,
    user_id: UUID | None,
    first: int | None,
    after: str | None,
    last: int | None = None,
    before: str | None = None,
    *,
    visible: bool = True,
) -> Connection[Deposit]:
    """Load a page of deposits, of one user or of all."""
    wanted = DepositFilter.to_db(filter, user_id=user_id) if visible else None
    return await page_of(
        info,
        db.people.deposits_page,
        wanted,
        Deposit.of,
        db.people.deposits_where,
        first,
        after,
        last,
        before,
        kind=DepositConnection,
    )


@strawberry.type(description="A document of an identity check; its content is at GET /kyc/{id}, for ADMIN.")
class KycDocument:
    id: ID = described("UUID.")
    kind: str = described("What it is.")
    file_name: str = described("Its name, without folders and control characters.")
    content_type: str = described("What its bytes are.")
    bytes: int = described("Its size.")
    sha256: str = described("SHA-256 of its content, in hex; the digest of its ticket covers it.")
    uploaded_at: datetime = described("When it was uploaded.")
    ticket_id: ID = described("The ticket of its upload.")

    @classmethod
    def of(cls, record: kyc.KycDocument) -> KycDocument:
        return cls(
            id=ID(str(record.id)),
            kind=record.kind,
            file_name=record.file_name,
            content_type=record.content_type,
            bytes=record.size_bytes,
            sha256=record.sha256,
            uploaded_at=record.uploaded_at,
            ticket_id=ID(record.ticket_id),
        )


@strawberry.type(description="A session that somebody can go on with.")
class Session:
    record: strawberry.Private[people.Session]
    id: ID = described("UUID.")
    created_at: datetime = described("When it was opened.")
    last_seen_at: datetime = described("When it was last used, to the minute.")
    expires_at: datetime = described("When it ends at the latest.")
    ip_address: str | None = described("Where it was opened from.")
    user_agent: str | None = described("What opened it.")
    is_current: bool = described("Whether it is the one that asks.")

    @classmethod
    def of(cls, record: people.Session, *, is_current: bool) -> Session:
        return cls(
            record=record,
            id=ID(str(record.id)),
            created_at=record.created_at,
            last_seen_at=record.last_seen_at,
            expires_at=record.expires_at,
            ip_address=record.ip_address,
            user_agent=record.user_agent,
            is_current=is_current,
        )

    @strawberry.field(description="Whose it is.")
    async def user(self, info: Info) -> User | None:
        return await user_by_id(info, self.record.user_id)


@strawberry.type(description="What holds for the whole market.")
class Settings:
    halted_certificates: list[CertificateType] = described("Certificates that take cancels and no new orders.")
    price_band_percent: Decimal | None = described(
        "How far from its reference price a certificate may trade, in percent; null: no band."
    )
    public_market_data: bool = described("Whether certificates, books and trades are shown to anybody.")

    @classmethod
    def of(cls, record: certificates.Settings) -> Settings:
        return cls(
            halted_certificates=list(record.halted_certificates),
            price_band_percent=record.price_band_percent,
            public_market_data=record.public_market_data,
        )
