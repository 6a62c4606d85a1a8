"""Aggregates in the schema: rows grouped by what is named, and figures of each group.

A field of a group that was not grouped by is null; a figure that is not selected is not computed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from strawberry.utils.str_converters import to_camel_case

import db.aggregates
from api.context import Info
from api.enums import (
    ActionType,
    Asset,
    CertificateType,
    EntityType,
    OrderMeasure,
    OrderSide,
    OrderStatus,
    OrderType,
    TicketMeasure,
    TicketStatus,
    TimeBucket,
    TimeInForce,
    TradeGroup,
    TradeMeasure,
    TradeStatus,
    TransactionMeasure,
    TransactionReason,
    TransactionType,
    UserRole,
)
from api.errors import Code, RequestError
from api.figures import described, id_of
from api.inputs import optional
from api.objects import MarketMaker, User, maker_by_id, party
from api.pages import in_time
from api.scalars import BigInt
from api.selections import names_below
from db.aggregates import DECIMALS, GROUP_ROWS, GROUP_ROWS_MAX, GROUPS_MAX, HAVING_MAX, Answer, Bound, Question
from db.ledger import TransactionFilter
from db.read import Reader
from domain import money
from domain.errors import DomainError

ID = strawberry.ID
M = TypeVar("M")
G = TypeVar("G")
AVERAGE = f"{DECIMALS} decimals, rounded half up"

GroupBy = strawberry.argument(
    description=f"By what, at most {GROUPS_MAX}; an empty list, without a bucket, makes one group of all."
)
Bucket: TypeAlias = Annotated[
    TimeBucket | None, strawberry.argument(description="Group by time too, in buckets of this length.")
]
Zone: TypeAlias = Annotated[
    str | None,
    strawberry.argument(description="Whose days, weeks, months and hours of the day, such as Europe/Berlin."),
]
HAVING = strawberry.argument(description=f"Only groups for whose figures all of these hold; at most {HAVING_MAX}.")
RANK = strawberry.argument(description="By which figure groups are ordered; by time, then by group, when not given.")
Groups: TypeAlias = Annotated[
    int | None,
    strawberry.argument(description=f"How many, at most {GROUP_ROWS_MAX}; {GROUP_ROWS} when not given."),
]


@strawberry.enum(description="Which end comes first.")
class Direction(Enum):
    ASC = strawberry.enum_value("ASC", description="Smallest first.")
    DESC = strawberry.enum_value("DESC", description="Largest first.")


@strawberry.input(description="A condition on a figure of a group; both ends are included.")
class Having(Generic[M]):
    measure: M = described("Which figure.")
    min: Decimal | None = optional("It is at least this.")
    max: Decimal | None = optional("It is at most this.")


@strawberry.input(description="By which figure groups are ordered; those without it come last.")
class Rank(Generic[M]):
    measure: M = described("Which figure.")
    direction: Direction = described("Which end comes first.", default=Direction.DESC)


@strawberry.type(description="Groups, and whether there are more of them.")
class Aggregates(Generic[G]):
    groups: list[G] = described("The groups that have rows, in their order.")
    has_more: bool = described("Whether there are more groups than were asked for.")


@strawberry.type(description="A group of rows.")
class Group:
    start: datetime | None = described("Where its bucket begins; null without a bucket.", name="from")
    stop: datetime | None = described("Where its bucket ends, not included; null without a bucket.", name="to")
    hour_of_day: int | None = described("0 to 23 in the time zone, when grouped by it.")
    weekday: int | None = described("1 for Monday to 7 for Sunday in the time zone, when grouped by it.")
    count: BigInt = described("Rows.")


@strawberry.type(description="A group of trades.")
class TradeAggregate(Group):
    buyer_key: strawberry.Private[UUID | None]
    seller_key: strawberry.Private[UUID | None]
    market_maker_key: strawberry.Private[UUID | None]
    certificate_type: CertificateType | None = described("When grouped by it.")
    taker_side: OrderSide | None = described("When grouped by it.")
    status: TradeStatus | None = described("When grouped by it.")
    market_maker_id: ID | None = described("When grouped by it; null for trades in which none sold.")
    buyer_id: ID | None = described("When grouped by it.")
    seller_id: ID | None = described("When grouped by it.")
    quantity_sum: Decimal = described("Certificates.")
    quantity_avg: Decimal | None = described(f"Certificates of a trade, {AVERAGE}.")
    quantity_min: Decimal | None = described("Certificates of the smallest trade.")
    quantity_max: Decimal | None = described("Certificates of the largest trade.")
    notional_sum: Decimal = described("price × quantity, in EUR.")
    notional_avg: Decimal | None = described(f"EUR of a trade, {AVERAGE}.")
    notional_min: Decimal | None = described("EUR of the smallest trade.")
    notional_max: Decimal | None = described("EUR of the largest trade.")
    price_avg: Decimal | None = described(f"EUR per certificate, each trade counting the same, {AVERAGE}.")
    price_min: Decimal | None = described("Lowest price in EUR.")
    price_max: Decimal | None = described("Highest price in EUR.")
    vwap: Decimal | None = described(f"Price weighted by quantity: notionalSum / quantitySum in EUR, {AVERAGE}.")

    @strawberry.field(description="When grouped by it.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await maker_by_id(info, self.market_maker_key)

    @strawberry.field(description="When grouped by it.")
    async def buyer(self, info: Info) -> User | None:
        return await party(info, self.buyer_key) if self.buyer_key else None

    @strawberry.field(description="When grouped by it.")
    async def seller(self, info: Info) -> User | None:
        return await party(info, self.seller_key) if self.seller_key else None


@strawberry.type(description="A group of orders.")
class OrderAggregate(Group):
    user_key: strawberry.Private[UUID | None]
    market_maker_key: strawberry.Private[UUID | None]
    certificate_type: CertificateType | None = described("When grouped by it.")
    side: OrderSide | None = described("When grouped by it.")
    order_type: OrderType | None = described("When grouped by it.")
    time_in_force: TimeInForce | None = described("When grouped by it.")
    status: OrderStatus | None = described("When grouped by it.")
    cancel_reason: str | None = described("When grouped by it; null for orders that were not cancelled.")
    market_maker_id: ID | None = described("When grouped by it; null for orders of traders.")
    user_id: ID | None = described("When grouped by it.")
    quantity_sum: Decimal = described("Certificates ordered.")
    quantity_avg: Decimal | None = described(f"Certificates of an order, {AVERAGE}.")
    quantity_min: Decimal | None = described("Certificates of the smallest order.")
    quantity_max: Decimal | None = described("Certificates of the largest order.")
    filled_quantity_sum: Decimal = described("Certificates traded.")
    fill_rate: Decimal | None = described(f"filledQuantitySum / quantitySum, from 0 to 1, {AVERAGE}.")
    notional_sum: Decimal = described("EUR traded.")
    price_avg: Decimal | None = described(f"Limit in EUR, each order counting the same, MARKET orders none; {AVERAGE}.")
    price_min: Decimal | None = described("Lowest limit in EUR.")
    price_max: Decimal | None = described("Highest limit in EUR.")
    vwap: Decimal | None = described(f"EUR per certificate traded: notionalSum / filledQuantitySum, {AVERAGE}.")

    @strawberry.field(description="When grouped by it.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await maker_by_id(info, self.market_maker_key)

    @strawberry.field(description="When grouped by it.")
    async def user(self, info: Info) -> User | None:
        return await party(info, self.user_key) if self.user_key else None


@strawberry.type(
    description="A group of ledger rows. Figures are in units of the asset; they need a single asset in the filter or "
    "ASSET in groupBy."
)
class TransactionAggregate(Group):
    holder_key: strawberry.Private[UUID | None]
    market_maker_key: strawberry.Private[UUID | None]
    asset: Asset | None = described("When grouped by it.")
    transaction_type: TransactionType | None = described("When grouped by it.")
    reason: TransactionReason | None = described("When grouped by it.")
    holder_id: ID | None = described("When grouped by it.")
    market_maker_id: ID | None = described("When grouped by it; null for balances of traders.")
    amount_sum: Decimal = described("What moved: + for DEPOSIT and TRADE_CREDIT, - for the others.")
    amount_avg: Decimal | None = described(f"What a row moved, {AVERAGE}.")
    amount_min: Decimal | None = described("The smallest amount, with its sign.")
    amount_max: Decimal | None = described("The largest amount, with its sign.")
    available_delta_sum: Decimal = described("What available changed by.")
    locked_delta_sum: Decimal = described("What locked changed by.")

    @strawberry.field(description="When grouped by it.")
    async def holder(self, info: Info) -> User | None:
        return await party(info, self.holder_key) if self.holder_key else None

    @strawberry.field(description="When grouped by it.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await maker_by_id(info, self.market_maker_key)


@strawberry.type(description="A group of tickets.")
class TicketAggregate(Group):
    user_key: strawberry.Private[UUID | None]
    market_maker_key: strawberry.Private[UUID | None]
    action_type: ActionType | None = described("When grouped by it.")
    status: TicketStatus | None = described("When grouped by it.")
    error_code: str | None = described("When grouped by it; null for what was done.")
    user_id: ID | None = described("When grouped by it; null for what nobody who was signed in did.")
    market_maker_id: ID | None = described("When grouped by it; null for what was for none.")
    entity_type: EntityType | None = described("When grouped by it.")
    ip_address: str | None = described("When grouped by it.")
    session_id: ID | None = described("When grouped by it.")
    failed_count: BigInt = described("Failed ones.")
    failure_rate: Decimal | None = described(f"failedCount / count, from 0 to 1, {AVERAGE}.")
    duration_ms_sum: Decimal = described("Milliseconds of all attempts; children have none.")
    duration_ms_avg: Decimal | None = described(f"Milliseconds of an attempt, {AVERAGE}.")
    duration_ms_min: Decimal | None = described("Milliseconds of the fastest attempt.")
    duration_ms_max: Decimal | None = described("Milliseconds of the slowest attempt.")
    duration_ms_p50: Decimal | None = described("Milliseconds that half of the attempts did not exceed.")
    duration_ms_p95: Decimal | None = described("Milliseconds that 95 % of the attempts did not exceed.")

    @strawberry.field(description="When grouped by it.")
    async def market_maker(self, info: Info) -> MarketMaker | None:
        return await maker_by_id(info, self.market_maker_key)

    @strawberry.field(description="When grouped by it.")
    async def user(self, info: Info) -> User | None:
        return await party(info, self.user_key) if self.user_key else None


@strawberry.type(description="Groups of trades, and whether there are more of them.")
class TradeAggregates(Aggregates[TradeAggregate]):
    pass


@strawberry.type(description="Groups of orders, and whether there are more of them.")
class OrderAggregates(Aggregates[OrderAggregate]):
    pass


@strawberry.type(description="Groups of ledger rows, and whether there are more of them.")
class TransactionAggregates(Aggregates[TransactionAggregate]):
    pass


@strawberry.type(description="Groups of tickets, and whether there are more of them.")
class TicketAggregates(Aggregates[TicketAggregate]):
    pass


# -------------------------------------------------------------------------------------------------------------- asking

W = TypeVar("W", bound=Aggregates[Any])


@dataclass(frozen=True, slots=True)
class Noun(Generic[W]):
    """How a noun is asked about: its measures, the types of its groups and of all of them, its enums, who answers."""

    measures: type[Enum]
    kind: type[Group]
    whole: type[W]
    enums: Mapping[str, type[Enum]]
    answer: Callable[[Reader, Question[Any]], Awaitable[Answer]]


_CERTIFICATE = {"certificate_type": CertificateType}
TRADES = Noun(
    TradeMeasure,
    TradeAggregate,
    TradeAggregates,
    {**_CERTIFICATE, "taker_side": OrderSide, "status": TradeStatus},
    db.aggregates.of_trades,
)
ORDERS = Noun(
    OrderMeasure,
    OrderAggregate,
    OrderAggregates,
    {**_CERTIFICATE, "side": OrderSide, "order_type": OrderType, "time_in_force": TimeInForce, "status": OrderStatus},
    db.aggregates.of_orders,
)
TRANSACTIONS = Noun(
    TransactionMeasure,
    TransactionAggregate,
    TransactionAggregates,
    {"asset": Asset, "transaction_type": TransactionType, "reason": TransactionReason},
    db.aggregates.of_transactions,
)
TICKETS = Noun(
    TicketMeasure,
    TicketAggregate,
    TicketAggregates,
    {"action_type": ActionType, "status": TicketStatus, "entity_type": EntityType},
    db.aggregates.of_tickets,
)
KEYED = frozenset({"market_maker", "buyer", "seller", "user", "holder", "session"})
OF_ASSET = frozenset({"amount_sum", "amount_min", "amount_max", "available_delta_sum", "locked_delta_sum"})
PARTIES = frozenset({TradeGroup.BUYER, TradeGroup.SELLER, TradeGroup.MARKET_MAKER})


def checked_parties(info: Info, groups: Sequence[TradeGroup]) -> None:
    """Refuse grouping trades by parties to whom may not see them.

    Raises: RequestError (FORBIDDEN).
    """
    if PARTIES & set(groups) and not info.context.has_role(UserRole.ADMIN, UserRole.ANALYST):
        raise RequestError("Grouping trades by their parties needs role ADMIN or ANALYST.", Code.FORBIDDEN)


async def aggregated(
    info: Info,
    noun: Noun[W],
    wanted: Any,
    groups: Sequence[Enum],
    bucket: TimeBucket | None,
    time_zone: str | None,
    having: Sequence[Having[Any]] | None,
    rank: Rank[Any] | None,
    first: int | None,
) -> W:
    """Answer a question. wanted None: a filter that nothing can match.

    Raises: RequestError (BAD_REQUEST: the question; TOO_COMPLEX: not answered in time).
    """
    if wanted is None:
        return noun.whole(groups=[], has_more=False)
    names = names_below(info, "groups")
    question = Question(
        wanted=wanted,
        groups=groups,
        measures=frozenset(one for one in noun.measures if to_camel_case(one.name.lower()) in names),
        bucket=bucket,
        time_zone=time_zone or "UTC",
        having=[Bound(one.measure, one.min, one.max) for one in having or ()],
        rank=rank.measure if rank else None,
        is_ascending=rank is not None and rank.direction is Direction.ASC,
        first=GROUP_ROWS if first is None else first,
    )
    try:
        async with in_time():
            answer = await noun.answer(info.context.reader, question)
    except DomainError as error:
        raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error
    asset = db.aggregates.one_asset(wanted) if isinstance(wanted, TransactionFilter) else None
    return noun.whole(groups=[_group(noun, row, asset) for row in answer.rows], has_more=answer.has_more)


def _group(noun: Noun[Any], row: Any, asset: Asset | None) -> Group:
    """Return a group as it is shown; a figure that was not computed is not looked at by anybody."""
    values: dict[str, Any] = dict.fromkeys(one.name for one in fields(noun.kind) if one.init)
    for name, value in dict(row).items():
        by = name.removeprefix("by_")
        if by == name:
            values[name] = value
        elif by in KEYED:
            values[f"{by}_id"] = id_of(value)
            if by != "session":
                values[f"{by}_key"] = value
        else:
            values[by] = noun.enums[by](value) if by in noun.enums and value is not None else value
    if of := values.get("asset") or asset:
        values |= {name: money.of_asset(of, values[name]) for name in OF_ASSET if values.get(name) is not None}
    return noun.kind(**values)
