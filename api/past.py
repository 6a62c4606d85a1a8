"""Asking for the past: which moment is meant, and whether the caller may name it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

import db.past
from api.context import Info
from api.enums import UserRole
from api.errors import Code, RequestError
from api.pages import in_time
from db.past import Moment
from domain.errors import DomainError
from domain.ledger import Balance

AsOfTicket: TypeAlias = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="As it was right after what this ticket did; when it did nothing to it, at the end of its "
        "transaction. ADMIN and ANALYST may name any ticket, others their own."
    ),
]
AsOf: TypeAlias = Annotated[datetime | None, strawberry.argument(description="As it was at this time.")]


async def moment_of(
    info: Info, *, sequence: int | None = None, ticket_id: str | None = None, at: datetime | None = None, field: str
) -> Moment | None:
    """Return which past is meant; None for now. field: the argument that names a ticket.

    Raises: RequestError (BAD_REQUEST: more than one named, no such ticket).
    """
    moment = Moment(sequence, ticket_id, at)
    if moment == Moment():
        return None
    if not moment.is_one():
        raise RequestError("Name one moment: a sequence, a ticket or a time.", Code.BAD_REQUEST, field=field)
    if ticket_id is not None:
        record = await info.context.loaders.tickets.load(ticket_id)
        caller = info.context.caller
        is_own = record and caller and record.ticket.user_id == caller.user.id
        if not record or not (is_own or info.context.has_role(UserRole.ADMIN, UserRole.ANALYST)):
            error = db.past.no_such_ticket(ticket_id, field)
            raise RequestError(error.message, Code.BAD_REQUEST, field=field)
    return moment


async def balances_of(info: Info, holder_id: UUID, moment: Moment | None) -> list[Balance]:
    """Return a holder's balances of now or of the past, together with those of all holders of whom this is asked."""
    if moment is None:
        return await info.context.loaders.balances.load(holder_id) or []
    reader = info.context.reader
    each = info.context.loaders.each(("balances", moment), lambda ids: db.past.balances(reader, ids, moment))
    async with in_time():
        return await each.load(holder_id) or []


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Word what cannot be answered.

    Raises: RequestError (BAD_REQUEST; TOO_COMPLEX: not found in time).
    """
    try:
        async with in_time():
            yield
    except DomainError as error:
        raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error
