"""Market makers in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import ColumnElement, Select, exists, literal_column, or_, select

from db import filters, ledger, market, people, tables
from db.filters import Filter, Term, at_least, before, containing, equal, one_of
from db.ledger import Posting
from db.lists import Listing
from db.read import Key, Reader
from db.tables import Row
from db.transaction import Write
from domain import errors, makers, money
from domain.ledger import Transaction
from domain.makers import Maker, MakerChange, MakerOutcome, MakerStats, NewMaker
from domain.market import CancelReason
from domain.money import CertificateType
from domain.people import KycStatus, User, UserRole, uuid_or_none


def maker_of(row: Row) -> Maker:
    """Read a stored market maker."""
    return Maker(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        description=row["description"],
        is_active=row["is_active"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        created_by=row["created_by"],
    )


async def create(write: Write, new: NewMaker) -> MakerOutcome:
    """Store a market maker, its user, and what it starts with.

    Raises: EmailTaken, NameTaken.
    """
    user = User(uuid4(), new.email, new.name, UserRole.MARKET_MAKER, True, KycStatus.NONE, write.now)
    await people.insert(write, user, None)
    maker = Maker(
        id=uuid4(),
        user_id=user.id,
        name=new.name,
        description=new.description,
        is_active=True,
        created_at=write.now,
        updated_at=write.now,
        created_by=write.attempt.user_id,
    )
    row = (
        maker.id,
        maker.user_id,
        maker.name,
        maker.description,
        maker.is_active,
        maker.created_at,
        maker.updated_at,
        maker.created_by,
    )
    try:
        await write.insert(tables.market_maker_clients, [row])
    except asyncpg.UniqueViolationError as error:
        raise _name_taken(error, new.name) from error
    accounts = await ledger.lock(write, [(user.id, maker.id, asset) for asset, _ in new.initial_balances])
    postings = [
        Posting(
            ledger.deposit_move(user.id, maker.id, asset, amount),
            write.root,
            notes="Initial balance",
            created_by=write.attempt.user_id,
        )
        for asset, amount in new.initial_balances
    ]
    entries = await ledger.post(write, accounts, postings)
    return MakerOutcome(maker, balances=tuple(ledger.balance_after(Transaction(*entry)) for entry in entries))


def _name_taken(error: asyncpg.UniqueViolationError, name: str) -> Exception:
    if error.constraint_name != "market_maker_clients_name":
        return error
    return errors.NameTaken(f"{name} exists already. Choose another name.", field="name", name=name)


async def update(write: Write, maker_id: str, change: MakerChange) -> MakerOutcome:
    """Change a market maker; when it becomes inactive all its open orders are cancelled with it.

    Raises: InvalidInput, MarketMakerNotFound, NameTaken.
    Locks: the market, since this may change the right to trade; then the maker; then its accounts.
    """
    change = makers.check(change)
    states = await market.lock(write)
    row = await write.connection.fetchrow(
        "SELECT * FROM market_maker_clients WHERE id = $1 FOR NO KEY UPDATE", uuid_or_none(maker_id)
    )
    before = makers.found(maker_of(row) if row else None, maker_id)
    write.maker_id = before.id
    after = makers.changed(before, change, write.now)
    try:
        await write.connection.execute(
            "UPDATE market_maker_clients SET name = $2, description = $3, is_active = $4, updated_at = $5"
            " WHERE id = $1",
            after.id,
            after.name,
            after.description,
            after.is_active,
            after.updated_at,
        )
    except asyncpg.UniqueViolationError as error:
        raise _name_taken(error, after.name) from error
    if after.is_active:
        return MakerOutcome(after, before)
    cancelled = await market.cancel_open_orders(write, states, before.user_id, CancelReason.DEACTIVATED)
    return MakerOutcome(after, before, cancelled_orders=cancelled)


async def delete(write: Write, maker_id: str) -> MakerOutcome:
    """Deactivate a market maker; its history stays."""
    return await update(write, maker_id, MakerChange(is_active=False))


async def cancel_all(write: Write, maker_id: str, certificate_type: CertificateType | None) -> MakerOutcome:
    """Cancel every open order of a market maker, or those of one certificate; none at all is fine.

    Raises: MarketMakerNotFound.
    Locks: the market; then the maker's accounts. The maker itself only changes under the market lock.
    """
    states = await market.lock(write)
    row = await write.connection.fetchrow("SELECT * FROM market_maker_clients WHERE id = $1", uuid_or_none(maker_id))
    maker = makers.found(maker_of(row) if row else None, maker_id, field="marketMakerId")
    write.maker_id = maker.id
    reason = CancelReason.REQUESTED
    cancelled = await market.cancel_open_orders(write, states, maker.user_id, reason, certificate_type)
    return MakerOutcome(maker, cancelled_orders=cancelled)


# ------------------------------------------------------------------------------------------------------------- reading

clients = tables.market_maker_clients.c


class MarketMakersBy(Enum):
    """The order of a list of market makers."""

    NAME = "NAME"
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


@dataclass(frozen=True, slots=True)
class MakerFilter(Filter):
    """Which market makers; every condition given must hold. Windows are half-open [from, to).

    search: part of the name, if asked of the email too.
    """

    ids: Sequence[UUID] | None = None
    is_active: bool | None = None
    search: str | None = None
    email_search: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


def _has_email(text: str) -> ColumnElement[bool]:
    is_like = tables.users.c.email.icontains(text, autoescape=True)
    return exists(
        select(literal_column("1"))
        .where(tables.users.c.id == clients.user_id, is_like)
        .correlate(tables.market_maker_clients)
    )


_NAMED = containing(clients.name)
MAKER_TERMS = {
    "ids": one_of(clients.id),
    "is_active": equal(clients.is_active),
    "search": _NAMED,
    "email_search": Term(lambda text: or_(_NAMED.holds(text), _has_email(text)), _NAMED.fits),
    "created_from": at_least(clients.created_at),
    "created_to": before(clients.created_at),
}


def makers_where(wanted: MakerFilter) -> Select[Any]:
    """Return the statement of a list of market makers.

    Raises: InvalidInput.
    """
    return select(tables.market_maker_clients).where(filters.where(wanted, MAKER_TERMS))


_CREATED = (clients.created_at, clients.id)
MAKERS: Listing[MakerFilter, Maker] = Listing(
    makers_where,
    {
        MarketMakersBy.NAME: Key((clients.name, clients.id), is_descending=False),
        MarketMakersBy.NEWEST: Key(_CREATED, is_descending=True),
        MarketMakersBy.OLDEST: Key(_CREATED, is_descending=False),
    },
    maker_of,
)


async def holders(reader: Reader) -> list[UUID]:
    """Return the users behind all market makers."""
    return [row["user_id"] for row in await reader.rows(select(clients.user_id))]


async def makers_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, Maker]:
    """Return market makers by id."""
    return {
        row["id"]: maker_of(row)
        for row in await reader.rows(select(tables.market_maker_clients).where(clients.id.in_(list(ids))))
    }


async def stats(reader: Reader, maker_ids: Iterable[UUID]) -> dict[UUID, MakerStats]:
    """Return what market makers have in the book and have sold."""
    rows = await reader.sql(
        "SELECT m.id, (SELECT count(*) FROM orders o WHERE o.user_id = m.user_id"
        " AND o.status IN ('OPEN', 'PARTIALLY_FILLED')) AS open_orders, count(t.id) AS trades,"
        " coalesce(sum(t.quantity), 0) AS sold, coalesce(sum(t.price * t.quantity), 0) AS proceeds,"
        " max(t.executed_at) AS last_trade_at FROM market_maker_clients m"
        " LEFT JOIN cash_market_trades t ON t.market_maker_id = m.id WHERE m.id = ANY(:ids) GROUP BY m.id, m.user_id",
        ids=list(maker_ids),
    )
    return {
        row["id"]: MakerStats(
            open_orders=row["open_orders"],
            trades=row["trades"],
            sold_quantity=money.whole(row["sold"]),
            proceeds=money.eur(row["proceeds"]),
            last_trade_at=row["last_trade_at"],
        )
        for row in rows
    }
