"""The types of the schema about people's papers and doors: documents and sessions."""

from __future__ import annotations

from datetime import datetime

import strawberry

from api.context import Info
from api.figures import described
from api.objects import User, user_by_id
from domain import kyc, people

ID = strawberry.ID


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
