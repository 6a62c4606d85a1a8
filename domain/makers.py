"""Market makers. Law: a maker is a user with role MARKET_MAKER plus a profile; it only sells and never signs in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from domain import errors, money, people
from domain.ledger import Balance
from domain.market import Order
from domain.money import Asset


@dataclass(frozen=True, slots=True)
class Maker:
    """A market maker as stored."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None


@dataclass(frozen=True, slots=True)
class MakerStats:
    """What a market maker has in the book and has sold so far. Units: certificates, EUR."""

    open_orders: int
    trades: int
    sold_quantity: Decimal
    proceeds: Decimal
    last_trade_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewMaker:
    """A market maker to create, its shape checked; initial balances in smallest units."""

    name: str
    email: str
    description: str | None
    initial_balances: tuple[tuple[Asset, int], ...]


@dataclass(frozen=True, slots=True)
class MakerChange:
    """What to change; None leaves a field as it is, an empty description clears it."""

    name: str | None = None
    description: str | None = None
    is_active: bool | None = None


@dataclass(frozen=True, slots=True)
class MakerOutcome:
    """A maker as an action left it and as it was, its balances, and the orders that were cancelled with it."""

    maker: Maker
    before: Maker | None = None
    balances: tuple[Balance, ...] = ()
    cancelled_orders: tuple[Order, ...] = ()


def new_maker(
    name: str, email: str, description: str | None, initial_balances: list[tuple[Asset, Decimal]]
) -> NewMaker:
    """Check the shape of a market maker to create.

    Raises: InvalidInput, InvalidAmount.
    """
    checked = NewMaker(
        name=maker_name(name),
        email=people.email(email),
        description=people.optional_text(
            description, field="description", length_max=people.TEXT_LENGTH_MAX, label="The description"
        ),
        initial_balances=(),
    )
    assets = [asset for asset, _ in initial_balances]
    if len(set(assets)) != len(assets):
        raise errors.InvalidInput("Name each asset once in the initial balances.", field="initialBalances")
    balances = tuple((asset, money.amount(asset, value, field="initialBalances")) for asset, value in initial_balances)
    return NewMaker(checked.name, checked.email, checked.description, balances)


def maker_name(name: str) -> str:
    """Return a display name.

    Raises: InvalidInput.
    """
    return people.text(name, field="name", length_max=people.NAME_LENGTH_MAX, label="The name")


def check(change: MakerChange) -> MakerChange:
    """Return a change whose texts are right.

    Raises: InvalidInput.
    """
    description = change.description and people.optional_text(
        change.description, field="description", length_max=people.TEXT_LENGTH_MAX, label="The description"
    )
    return MakerChange(
        name=None if change.name is None else maker_name(change.name),
        description=None if change.description is None else description or "",
        is_active=change.is_active,
    )


def changed(maker: Maker, change: MakerChange, now: datetime) -> Maker:
    """Return the maker as a checked change leaves it."""
    return replace(
        maker,
        name=maker.name if change.name is None else change.name,
        description=maker.description if change.description is None else change.description or None,
        is_active=maker.is_active if change.is_active is None else change.is_active,
        updated_at=now,
    )


def found(maker: Maker | None, maker_id: str, *, field: str = "id") -> Maker:
    """Return the maker that was named.

    Raises: MarketMakerNotFound.
    """
    if maker is None:
        raise errors.MarketMakerNotFound("There is no such market maker.", field=field, id=maker_id)
    return maker
