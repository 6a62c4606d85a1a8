"""The filters of the schema: which rows of a list, the same in lists, nested lists, aggregates, streams and exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

import strawberry

import db.ledger
import db.makers
import db.orders
import db.people
import db.tickets
from api.enums import (
    ActionType,
    Asset,
    CertificateType,
    DepositStatus,
    EntityType,
    KycStatus,
    OrderSide,
    OrderStatus,
    OrderType,
    TicketStatus,
    TimeInForce,
    TradeStatus,
    TransactionReason,
    TransactionType,
    UserRole,
)
from api.inputs import described, optional
from db.filters import BRANCHES, FILTER_DEPTH_MAX, FILTER_LEAVES_MAX, FILTER_VALUES_MAX, Filter
from domain.people import uuid_or_none

ID = strawberry.ID
F = TypeVar("F", bound=Filter)
NOBODY = UUID(int=0)  # no row has this id
RULES = (
    f"every condition given must hold. At most {FILTER_DEPTH_MAX} levels, {FILTER_LEAVES_MAX} parts and "
    f"{FILTER_VALUES_MAX} values of one condition."
)
# Fields that hold text though their names end as those of ids do.
TEXTS = frozenset({"entity_id", "ticket_id"})


def branch(name: str, text: str) -> Any:
    return strawberry.field(name=name, description=text, default=None)


def all_of() -> Any:
    return branch("and", "All of these hold.")


def any_of() -> Any:
    return branch("or", "One of these holds; an empty list is none.")


def none_of() -> Any:
    return branch("not", "This does not hold.")


def read_into(kind: type[F], given: Any, more: Callable[[Any], dict[str, Any]] = lambda _: {}) -> F:
    """Return a filter as the database reads it: names are the same, an id that names nothing matches nothing.

    more: what a branch asks for that has another name inside.
    """
    values = {
        one.name: _inner(one.name, getattr(given, one.name))
        for one in fields(kind)
        if one.name not in BRANCHES and hasattr(given, one.name)
    }
    return kind(
        **{**values, **more(given)},
        all_of=None if given.and_ is None else [read_into(kind, one, more) for one in given.and_],
        any_of=None if given.or_ is None else [read_into(kind, one, more) for one in given.or_],
        none_of=None if given.not_ is None else read_into(kind, given.not_, more),
    )


def _inner(name: str, value: Any) -> Any:
    if value is None or name in TEXTS:
        return value
    if name == "ids" or name.endswith("_ids"):
        return [uuid_or_none(text) or NOBODY for text in value]
    return uuid_or_none(value) or NOBODY if name.endswith("_id") else value


@strawberry.input(description=f"Which orders; {RULES}")
class OrderFilter:
    ids: list[ID] | None = optional("These.")
    market_maker_id: ID | None = optional("Of this market maker.")
    market_maker_ids: list[ID] | None = optional("Of one of these market makers.")
    has_market_maker: bool | None = optional("Of any market maker, or of none.")
    user_id: ID | None = optional("Of this user.")
    user_ids: list[ID] | None = optional("Of one of these users.")
    certificate_type: CertificateType | None = optional("Of this certificate.")
    side: OrderSide | None = optional("On this side.")
    order_type: OrderType | None = optional("Of this type.")
    times_in_force: list[TimeInForce] | None = optional("Waiting in one of these ways.")
    statuses: list[OrderStatus] | None = optional("In one of these states.")
    cancel_reasons: list[str] | None = optional("Cancelled for one of these reasons.")
    price_min: Decimal | None = optional("With a limit of at least so many EUR.")
    price_max: Decimal | None = optional("With a limit of at most so many EUR.")
    quantity_min: Decimal | None = optional("For at least so many certificates.")
    quantity_max: Decimal | None = optional("For at most so many certificates.")
    created_from: datetime | None = optional("Placed at or after.")
    created_to: datetime | None = optional("Placed before.")
    updated_from: datetime | None = optional("Last changed at or after.")
    updated_to: datetime | None = optional("Last changed before.")
    and_: list[OrderFilter] | None = all_of()
    or_: list[OrderFilter] | None = any_of()
    not_: OrderFilter | None = none_of()

    def inner(self) -> db.orders.OrderFilter:
        return read_into(db.orders.OrderFilter, self)


@strawberry.input(
    description=f"Which trades; {RULES} Who may not see the parties finds nothing by them, but may ask for his own."
)
class TradeFilter:
    ids: list[ID] | None = optional("These.")
    order_id: ID | None = optional("Of this order.")
    market_maker_id: ID | None = optional("Sold by this market maker.")
    market_maker_ids: list[ID] | None = optional("Sold by one of these market makers.")
    has_market_maker: bool | None = optional("Sold by any market maker, or by none.")
    user_id: ID | None = optional("Bought or sold by this user.")
    buyer_ids: list[ID] | None = optional("Bought by one of these users.")
    seller_ids: list[ID] | None = optional("Sold by one of these users.")
    certificate_type: CertificateType | None = optional("Of this certificate.")
    taker_side: OrderSide | None = optional("In which the order that came second was on this side.")
    status: TradeStatus | None = optional("In this state.")
    price_min: Decimal | None = optional("At at least so many EUR.")
    price_max: Decimal | None = optional("At at most so many EUR.")
    quantity_min: Decimal | None = optional("Of at least so many certificates.")
    quantity_max: Decimal | None = optional("Of at most so many certificates.")
    notional_min: Decimal | None = optional("Worth at least so many EUR.")
    notional_max: Decimal | None = optional("Worth at most so many EUR.")
    date_from: datetime | None = optional("Made at or after.")
    date_to: datetime | None = optional("Made before.")
    and_: list[TradeFilter] | None = all_of()
    or_: list[TradeFilter] | None = any_of()
    not_: TradeFilter | None = none_of()

    def inner(self) -> db.orders.TradeFilter:
        return read_into(db.orders.TradeFilter, self)


@strawberry.input(description=f"Which ledger rows; {RULES}")
class TransactionFilter:
    ids: list[ID] | None = optional("These.")
    holder_id: ID | None = optional("Of the balances of this user.")
    holder_ids: list[ID] | None = optional("Of the balances of one of these users.")
    market_maker_id: ID | None = optional("Of the balances of this market maker.")
    has_market_maker: bool | None = optional("Of any market maker, or of none.")
    asset: Asset | None = optional("Of this asset.")
    assets: list[Asset] | None = optional("Of one of these assets.")
    transaction_types: list[TransactionType] | None = optional("Of one of these kinds.")
    reasons: list[TransactionReason] | None = optional("For one of these reasons.")
    order_id: ID | None = optional("Of this order.")
    trade_id: ID | None = optional("Of this trade.")
    ticket_id: ID | None = optional("Caused by this ticket.")
    amount_min: Decimal | None = optional("Moving at least so much, in whichever direction.")
    amount_max: Decimal | None = optional("Moving at most so much, in whichever direction.")
    date_from: datetime | None = optional("Written at or after.")
    date_to: datetime | None = optional("Written before.")
    and_: list[TransactionFilter] | None = all_of()
    or_: list[TransactionFilter] | None = any_of()
    not_: TransactionFilter | None = none_of()

    def inner(self) -> db.ledger.TransactionFilter:
        return read_into(db.ledger.TransactionFilter, self)


@strawberry.input(description=f"Which market makers; {RULES}")
class MarketMakerFilter:
    ids: list[ID] | None = optional("These.")
    is_active: bool | None = optional("Active ones, or inactive ones.")
    search: str | None = optional("Part of the name or, to ADMIN, of the email address.")
    created_from: datetime | None = optional("Created at or after.")
    created_to: datetime | None = optional("Created before.")
    and_: list[MarketMakerFilter] | None = all_of()
    or_: list[MarketMakerFilter] | None = any_of()
    not_: MarketMakerFilter | None = none_of()

    def inner(self, *, sees_emails: bool) -> db.makers.MakerFilter:
        def searched(given: MarketMakerFilter) -> dict[str, Any]:
            return {"search": None, "email_search": given.search} if sees_emails else {}

        return read_into(db.makers.MakerFilter, self, searched)


@strawberry.input(description=f"Which users; {RULES}")
class UserFilter:
    ids: list[ID] | None = optional("These.")
    role: UserRole | None = optional("With this role.")
    roles: list[UserRole] | None = optional("With one of these roles.")
    is_active: bool | None = optional("Active ones, or inactive ones.")
    kyc_status: KycStatus | None = optional("Whose identity check stands here.")
    search: str | None = optional("Part of the name or of the email address.")
    created_from: datetime | None = optional("Created at or after.")
    created_to: datetime | None = optional("Created before.")
    and_: list[UserFilter] | None = all_of()
    or_: list[UserFilter] | None = any_of()
    not_: UserFilter | None = none_of()

    def inner(self) -> db.people.UserFilter:
        return read_into(db.people.UserFilter, self)


@strawberry.input(description=f"Which deposits; {RULES}")
class DepositFilter:
    ids: list[ID] | None = optional("These.")
    statuses: list[DepositStatus] | None = optional("In one of these states.")
    user_id: ID | None = optional("Announced by this user.")
    user_ids: list[ID] | None = optional("Announced by one of these users.")
    amount_min: Decimal | None = optional("Of at least so many EUR.")
    amount_max: Decimal | None = optional("Of at most so many EUR.")
    date_from: datetime | None = optional("Announced at or after.")
    date_to: datetime | None = optional("Announced before.")
    decided_from: datetime | None = optional("Decided at or after.")
    decided_to: datetime | None = optional("Decided before.")
    and_: list[DepositFilter] | None = all_of()
    or_: list[DepositFilter] | None = any_of()
    not_: DepositFilter | None = none_of()

    def inner(self) -> db.people.DepositFilter:
        return read_into(db.people.DepositFilter, self)


# ------------------------------------------------------------------------------------------------------------- tickets


@strawberry.enum(description="Whether one of the tags is enough.")
class TagMode(Enum):
    ANY = strawberry.enum_value("ANY", description="One of the tags.")
    ALL = strawberry.enum_value("ALL", description="Every tag.")


@strawberry.input(description=f"Which tickets; {RULES} Means the same in lists, statistics, exports and streams.")
class TicketFilter:
    date_from: datetime | None = optional("Written at or after.")
    date_to: datetime | None = optional("Written before.")
    action_types: list[ActionType] | None = optional("Of one of these actions.")
    status: TicketStatus | None = optional("With this outcome.")
    user_id: ID | None = optional("Of actions of this user.")
    user_ids: list[ID] | None = optional("Of actions of one of these users.")
    market_maker_id: ID | None = optional("Of actions for this market maker.")
    market_maker_ids: list[ID] | None = optional("Of actions for one of these market makers.")
    has_market_maker: bool | None = optional("For any market maker, or for none.")
    entity_type: EntityType | None = optional("About this kind of thing.")
    entity_id: ID | None = optional("About this thing.")
    tags: list[str] | None = optional("With these tags.")
    tag_mode: TagMode | None = described("Whether one of the tags is enough.", default=TagMode.ANY)
    search: str | None = optional(
        "Words of the id, the summary, the error or the tags; to ADMIN also of the payload, notes included. In any "
        'case and order, each word the beginning of one; "a phrase" as it stands; -word must be absent. An id (of a '
        "ticket, order, trade, user, market maker or session) finds what it names."
    )
    ip_address: str | None = optional("From this address.")
    session_id: ID | None = optional("In this session.")
    related_to: ID | None = optional("Pointing to this ticket, or pointed to by it.")
    error_codes: list[str] | None = optional("Failed with one of these codes.")
    duration_ms_min: Decimal | None = optional("That took at least so many milliseconds.")
    duration_ms_max: Decimal | None = optional("That took at most so many milliseconds.")
    and_: list[TicketFilter] | None = all_of()
    or_: list[TicketFilter] | None = any_of()
    not_: TicketFilter | None = none_of()

    def inner(self, *, sees_payloads: bool) -> db.tickets.TicketFilter:
        def told(given: TicketFilter) -> dict[str, Any]:
            return {"needs_all_tags": given.tag_mode is TagMode.ALL, "searches_payloads": sees_payloads}

        return read_into(db.tickets.TicketFilter, self, told)
