"""Aggregates: one statement that groups the rows of a filter and computes what was asked of each group, exactly.

A noun declares by what its rows can be grouped and what can be computed of a group; what is not asked for is not
computed. Sums are exact, averages and ratios have 4 decimals, rounded half up. Groups without rows do not appear.
Tickets are counted from the counts that `db.stats` keeps wherever these tell the filter and the groups apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Numeric,
    Select,
    case,
    cast,
    extract,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from db import filters, stats, tables, tickets
from db.ledger import TRANSACTION_TERMS, TransactionFilter
from db.orders import ORDER_TERMS, TRADE_TERMS, OrderFilter, TradeFilter
from db.read import Reader, Snapshot
from db.stats import STEPS, Grain, TimeBucket
from db.tables import Row
from db.tickets import TicketFilter
from domain import errors
from domain.money import Asset

GROUPS_MAX = 4  # dimensions of one question
GROUP_ROWS = 100
GROUP_ROWS_MAX = 1_000  # groups of one answer
HAVING_MAX = 8
DECIMALS = 4  # of averages and ratios
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure of a group must be, both ends included."""

    measure: Enum
    at_least: Decimal | None
    at_most: Decimal | None


@dataclass(frozen=True, slots=True)
class Question(Generic[F]):
    """What is asked. measures: what to answer with; rank: by which figure the groups are ordered, by time when None."""

    wanted: F
    groups: Sequence[Enum]
    measures: frozenset[Enum]
    bucket: TimeBucket | None = None
    time_zone: str = "UTC"
    having: Sequence[Bound] = ()
    rank: Enum | None = None
    is_ascending: bool = False
    first: int = GROUP_ROWS

    @property
    def used(self) -> frozenset[Enum]:
        """The measures that it needs in any place."""
        return self.measures | {bound.measure for bound in self.having} | ({self.rank} if self.rank else set())


@dataclass(frozen=True, slots=True)
class Facts:
    """The rows of a noun: when each was, by what they are grouped, what is computed of a group."""

    rows: FromClause
    at: ColumnElement[Any]
    groups: Mapping[Any, ColumnElement[Any]]
    measures: Mapping[Any, ColumnElement[Any]]


# --------------------------------------------------------------------------------------------------------------- nouns


def _sum(of: ColumnElement[Any], decimals: int) -> ColumnElement[Any]:
    """Add up exactly; of no rows: 0."""
    return func.coalesce(func.round(func.sum(of), decimals), literal_column("0::numeric", Numeric))


def _avg(of: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.round(func.avg(of), DECIMALS)


def _ratio(of: ColumnElement[Any], to: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.round(func.sum(of) / func.nullif(func.sum(to), 0), DECIMALS)


COUNT: ColumnElement[Any] = func.count()
trades, orders = tables.cash_market_trades.c, tables.orders.c
entries, logs = tables.asset_transactions.c, tables.ticket_logs.c
_NOTIONAL = trades.price * trades.quantity
_STATUS = case(
    (
        select(literal_column("1")).where(tables.trade_settlements.c.trade_id == trades.id)
        .correlate(tables.cash_market_trades).exists(),
        literal_column("'SETTLED'"),
    ),
    else_=literal_column("'EXECUTED'"),
)  # fmt: skip


class TradeGroup(Enum):
    """By what trades are grouped."""

    CERTIFICATE_TYPE = "CERTIFICATE_TYPE"
    TAKER_SIDE = "TAKER_SIDE"
    STATUS = "STATUS"
    MARKET_MAKER = "MARKET_MAKER"
    BUYER = "BUYER"
    SELLER = "SELLER"
    HOUR_OF_DAY = "HOUR_OF_DAY"
    WEEKDAY = "WEEKDAY"


class TradeMeasure(Enum):
    """What is computed of a group of trades."""

    COUNT = "COUNT"
    QUANTITY_SUM = "QUANTITY_SUM"
    QUANTITY_AVG = "QUANTITY_AVG"
    QUANTITY_MIN = "QUANTITY_MIN"
    QUANTITY_MAX = "QUANTITY_MAX"
    NOTIONAL_SUM = "NOTIONAL_SUM"
    NOTIONAL_AVG = "NOTIONAL_AVG"
    NOTIONAL_MIN = "NOTIONAL_MIN"
    NOTIONAL_MAX = "NOTIONAL_MAX"
    PRICE_AVG = "PRICE_AVG"
    PRICE_MIN = "PRICE_MIN"
    PRICE_MAX = "PRICE_MAX"
    VWAP = "VWAP"


TRADES = Facts(
    tables.cash_market_trades,
    trades.executed_at,
    {
        TradeGroup.CERTIFICATE_TYPE: trades.certificate_type,
        TradeGroup.TAKER_SIDE: trades.taker_side,
        TradeGroup.STATUS: _STATUS,
        TradeGroup.MARKET_MAKER: trades.market_maker_id,
        TradeGroup.BUYER: trades.buyer_id,
        TradeGroup.SELLER: trades.seller_id,
    },
    {
        TradeMeasure.COUNT: COUNT,
        TradeMeasure.QUANTITY_SUM: _sum(trades.quantity, 0),
        TradeMeasure.QUANTITY_AVG: _avg(trades.quantity),
        TradeMeasure.QUANTITY_MIN: func.min(trades.quantity),
        TradeMeasure.QUANTITY_MAX: func.max(trades.quantity),
        TradeMeasure.NOTIONAL_SUM: _sum(_NOTIONAL, 2),
        TradeMeasure.NOTIONAL_AVG: _avg(_NOTIONAL),
        TradeMeasure.NOTIONAL_MIN: func.round(func.min(_NOTIONAL), 2),
        TradeMeasure.NOTIONAL_MAX: func.round(func.max(_NOTIONAL), 2),
        TradeMeasure.PRICE_AVG: _avg(trades.price),
        TradeMeasure.PRICE_MIN: func.round(func.min(trades.price), 2),
        TradeMeasure.PRICE_MAX: func.round(func.max(trades.price), 2),
        TradeMeasure.VWAP: _ratio(_NOTIONAL, trades.quantity),
    },
)


class OrderGroup(Enum):
    """By what orders are grouped."""

    CERTIFICATE_TYPE = "CERTIFICATE_TYPE"
    SIDE = "SIDE"
    ORDER_TYPE = "ORDER_TYPE"
    TIME_IN_FORCE = "TIME_IN_FORCE"
    STATUS = "STATUS"
    CANCEL_REASON = "CANCEL_REASON"
    MARKET_MAKER = "MARKET_MAKER"
    USER = "USER"
    HOUR_OF_DAY = "HOUR_OF_DAY"
    WEEKDAY = "WEEKDAY"


class OrderMeasure(Enum):
    """What is computed of a group of orders."""

    COUNT = "COUNT"
    QUANTITY_SUM = "QUANTITY_SUM"
    QUANTITY_AVG = "QUANTITY_AVG"
    QUANTITY_MIN = "QUANTITY_MIN"
    QUANTITY_MAX = "QUANTITY_MAX"
    FILLED_QUANTITY_SUM = "FILLED_QUANTITY_SUM"
    FILL_RATE = "FILL_RATE"
    NOTIONAL_SUM = "NOTIONAL_SUM"
    PRICE_AVG = "PRICE_AVG"
    PRICE_MIN = "PRICE_MIN"
    PRICE_MAX = "PRICE_MAX"
    VWAP = "VWAP"


ORDERS = Facts(
    tables.orders,
    orders.created_at,
    {
        OrderGroup.CERTIFICATE_TYPE: orders.certificate_type,
        OrderGroup.SIDE: orders.side,
        OrderGroup.ORDER_TYPE: orders.order_type,
        OrderGroup.TIME_IN_FORCE: orders.time_in_force,
        OrderGroup.STATUS: orders.status,
        OrderGroup.CANCEL_REASON: orders.cancel_reason,
        OrderGroup.MARKET_MAKER: orders.market_maker_id,
        OrderGroup.USER: orders.user_id,
    },
    {
        OrderMeasure.COUNT: COUNT,
        OrderMeasure.QUANTITY_SUM: _sum(orders.quantity, 0),
        OrderMeasure.QUANTITY_AVG: _avg(orders.quantity),
        OrderMeasure.QUANTITY_MIN: func.min(orders.quantity),
        OrderMeasure.QUANTITY_MAX: func.max(orders.quantity),
        OrderMeasure.FILLED_QUANTITY_SUM: _sum(orders.filled_quantity, 0),
        OrderMeasure.FILL_RATE: _ratio(orders.filled_quantity, orders.quantity),
        OrderMeasure.NOTIONAL_SUM: _sum(orders.filled_notional, 2),
        OrderMeasure.PRICE_AVG: _avg(orders.price),
        OrderMeasure.PRICE_MIN: func.round(func.min(orders.price), 2),
        OrderMeasure.PRICE_MAX: func.round(func.max(orders.price), 2),
        OrderMeasure.VWAP: _ratio(orders.filled_notional, orders.filled_quantity),
    },
)


class TransactionGroup(Enum):
    """By what ledger rows are grouped."""

    ASSET = "ASSET"
    TRANSACTION_TYPE = "TRANSACTION_TYPE"
    REASON = "REASON"
    HOLDER = "HOLDER"
    MARKET_MAKER = "MARKET_MAKER"
    HOUR_OF_DAY = "HOUR_OF_DAY"
    WEEKDAY = "WEEKDAY"


class TransactionMeasure(Enum):
    """What is computed of a group of ledger rows."""

    COUNT = "COUNT"
    AMOUNT_SUM = "AMOUNT_SUM"
    AMOUNT_AVG = "AMOUNT_AVG"
    AMOUNT_MIN = "AMOUNT_MIN"
    AMOUNT_MAX = "AMOUNT_MAX"
    AVAILABLE_DELTA_SUM = "AVAILABLE_DELTA_SUM"
    LOCKED_DELTA_SUM = "LOCKED_DELTA_SUM"


TRANSACTIONS = Facts(
    tables.asset_transactions,
    entries.created_at,
    {
        TransactionGroup.ASSET: entries.asset,
        TransactionGroup.TRANSACTION_TYPE: entries.transaction_type,
        TransactionGroup.REASON: entries.reason,
        TransactionGroup.HOLDER: entries.holder_id,
        TransactionGroup.MARKET_MAKER: entries.market_maker_id,
    },
    {
        TransactionMeasure.COUNT: COUNT,
        TransactionMeasure.AMOUNT_SUM: _sum(entries.amount, 2),
        TransactionMeasure.AMOUNT_AVG: _avg(entries.amount),
        TransactionMeasure.AMOUNT_MIN: func.min(entries.amount),
        TransactionMeasure.AMOUNT_MAX: func.max(entries.amount),
        TransactionMeasure.AVAILABLE_DELTA_SUM: _sum(entries.available_delta, 2),
        TransactionMeasure.LOCKED_DELTA_SUM: _sum(entries.locked_delta, 2),
    },
)


class TicketGroup(Enum):
    """By what tickets are grouped."""

    ACTION_TYPE = "ACTION_TYPE"
    STATUS = "STATUS"
    ERROR_CODE = "ERROR_CODE"
    USER = "USER"
    MARKET_MAKER = "MARKET_MAKER"
    ENTITY_TYPE = "ENTITY_TYPE"
    IP_ADDRESS = "IP_ADDRESS"
    SESSION = "SESSION"
    HOUR_OF_DAY = "HOUR_OF_DAY"
    WEEKDAY = "WEEKDAY"


class TicketMeasure(Enum):
    """What is computed of a group of tickets."""

    COUNT = "COUNT"
    FAILED_COUNT = "FAILED_COUNT"
    FAILURE_RATE = "FAILURE_RATE"
    DURATION_MS_SUM = "DURATION_MS_SUM"
    DURATION_MS_AVG = "DURATION_MS_AVG"
    DURATION_MS_MIN = "DURATION_MS_MIN"
    DURATION_MS_MAX = "DURATION_MS_MAX"
    DURATION_MS_P50 = "DURATION_MS_P50"
    DURATION_MS_P95 = "DURATION_MS_P95"


_OF_COUNTS = {
    TicketGroup.ACTION_TYPE: "action_type",
    TicketGroup.STATUS: "status",
    TicketGroup.ERROR_CODE: "error_code",
    TicketGroup.USER: "user_id",
    TicketGroup.MARKET_MAKER: "market_maker_id",
}


_CLOCK = frozenset({TicketGroup.HOUR_OF_DAY, TicketGroup.WEEKDAY})
_COUNTED = frozenset({TicketMeasure.COUNT, TicketMeasure.FAILED_COUNT, TicketMeasure.FAILURE_RATE})


def _percentile(percent: str) -> ColumnElement[Any]:
    """Return the smallest value that so many per cent do not exceed."""
    return func.percentile_disc(literal_column(percent)).within_group(logs.duration_ms)


def _ticket_counts(count: ColumnElement[Any], failed: ColumnElement[Any]) -> dict[TicketMeasure, ColumnElement[Any]]:
    return {
        TicketMeasure.COUNT: count,
        TicketMeasure.FAILED_COUNT: failed,
        TicketMeasure.FAILURE_RATE: func.round(cast(failed, Numeric) / func.nullif(count, 0), DECIMALS),
    }


TICKETS = Facts(
    tables.ticket_logs,
    logs.timestamp,
    {
        **{group: logs[name] for group, name in _OF_COUNTS.items()},
        TicketGroup.ENTITY_TYPE: logs.entity_type,
        TicketGroup.IP_ADDRESS: logs.ip_address,
        TicketGroup.SESSION: logs.session_id,
    },
    {
        **_ticket_counts(COUNT, func.count().filter(logs.status == literal_column("'FAILED'"))),
        TicketMeasure.DURATION_MS_SUM: _sum(logs.duration_ms, 3),
        TicketMeasure.DURATION_MS_AVG: _avg(logs.duration_ms),
        TicketMeasure.DURATION_MS_MIN: func.min(logs.duration_ms),
        TicketMeasure.DURATION_MS_MAX: func.max(logs.duration_ms),
        TicketMeasure.DURATION_MS_P50: _percentile("0.5"),
        TicketMeasure.DURATION_MS_P95: _percentile("0.95"),
    },
)


# ----------------------------------------------------------------------------------------------------------- questions


@dataclass(frozen=True, slots=True)
class Answer:
    """Groups in their order, and whether there are more than were asked for.

    A row has the groups and measures by name, `start` and `stop` of its bucket.
    """

    rows: Sequence[Row]
    has_more: bool


async def of_trades(reader: Reader, question: Question[TradeFilter]) -> Answer:
    """Group trades. Raises: InvalidInput."""
    return await _asked(reader.rows, TRADES, question, filters.where(question.wanted, TRADE_TERMS))


async def of_orders(reader: Reader, question: Question[OrderFilter]) -> Answer:
    """Group orders. Raises: InvalidInput."""
    return await _asked(reader.rows, ORDERS, question, filters.where(question.wanted, ORDER_TERMS))


async def of_transactions(reader: Reader, question: Question[TransactionFilter]) -> Answer:
    """Group ledger rows.

    Raises: InvalidInput (also: amounts of several assets in one sum).
    """
    is_apart = TransactionGroup.ASSET in question.groups or one_asset(question.wanted) is not None
    if not is_apart and question.used - {TransactionMeasure.COUNT}:
        raise errors.InvalidInput(
            "Amounts of different assets do not add up: group by ASSET, or filter by one asset.", field="groupBy"
        )
    return await _asked(reader.rows, TRANSACTIONS, question, filters.where(question.wanted, TRANSACTION_TERMS))


def one_asset(wanted: TransactionFilter) -> Asset | None:
    """Return the asset to which a filter is bound."""
    named = {wanted.asset} if wanted.asset else set(wanted.assets or ())
    return next(iter(named)) if len(named) == 1 else None


async def of_tickets(reader: Reader, question: Question[TicketFilter]) -> Answer:
    """Group tickets, from counts if these tell enough apart, in one snapshot.

    Raises: InvalidInput.
    """
    condition = tickets.where(question.wanted)
    of_counts = set(question.groups) <= {*_OF_COUNTS, *_CLOCK} and question.used <= _COUNTED
    if not of_counts or not stats.is_counted(question.wanted):
        return await _asked(reader.rows, TICKETS, question, condition)
    async with reader.snapshot() as snapshot:
        return await _asked(snapshot.rows, await _counted(snapshot, question), question, None)


async def _counted(snapshot: Snapshot, question: Question[TicketFilter]) -> Facts:
    source = await stats.source_of(snapshot, question.wanted)
    needed = {"status", *(name for group, name in _OF_COUNTS.items() if group in question.groups)}
    grains = [stats.grain_of(question.bucket, question.time_zone)] if question.bucket else []
    grains += [Grain.QUARTER] if _CLOCK & set(question.groups) else []
    longest = min(grains, key=list(Grain).index, default=Grain.PERIOD)
    rows = source.rows(needed, longest).subquery("counted")
    count, is_failed = cast(rows.c.tickets, Integer), rows.c.status == literal_column("'FAILED'")
    zero: ColumnElement[Any] = literal_column("0::bigint")
    in_all, failed = func.coalesce(func.sum(count), zero), func.coalesce(func.sum(count).filter(is_failed), zero)
    return Facts(
        rows, rows.c.at, {group: rows.c[name] for group, name in _OF_COUNTS.items()}, _ticket_counts(in_all, failed)
    )


async def _asked(
    run: Callable[[Select[Any]], Any], facts: Facts, question: Question[Any], condition: ColumnElement[bool] | None
) -> Answer:
    _check(question)
    try:
        rows = await run(statement(facts, question, condition))
    except DBAPIError as error:
        if stats.is_unknown_zone(error):
            raise stats.no_such_zone() from None
        raise
    return Answer(rows[: question.first], len(rows) > question.first)


def _check(question: Question[Any]) -> None:
    if len(question.groups) > GROUPS_MAX:
        raise errors.InvalidInput(f"Group by at most {GROUPS_MAX} things at once.", field="groupBy")
    if not 1 <= question.first <= GROUP_ROWS_MAX:
        raise errors.InvalidInput(f"first must be from 1 to {GROUP_ROWS_MAX}.", field="first", requested=question.first)
    if len(question.having) > HAVING_MAX:
        raise errors.InvalidInput(f"At most {HAVING_MAX} conditions on groups.", field="having")
    stats.check_zone(question.time_zone)


def statement(facts: Facts, question: Question[Any], condition: ColumnElement[bool] | None) -> Select[Any]:
    """Return the one statement of a question, bounded to one group more than was asked for."""
    columns: list[ColumnElement[Any]] = []
    grouped: list[ColumnElement[Any]] = []
    if question.bucket is not None:
        columns.append(_bucket(facts.at, question.bucket, question.time_zone).label("start"))
        grouped.append(literal_column('"start"'))
    for group in dict.fromkeys(question.groups):
        columns.append(_group(facts, group, question.time_zone).label(f"by_{group.name.lower()}"))
        grouped.append(literal_column(f"by_{group.name.lower()}"))
    columns += [facts.measures[measure].label(measure.name.lower()) for measure in facts.measures
                if measure in question.measures]  # fmt: skip
    asked = select(*columns or [literal_column("1")]).select_from(facts.rows)
    if condition is not None:
        asked = asked.where(condition)
    asked = asked.group_by(*grouped)
    for bound in question.having:
        figure = facts.measures[bound.measure]
        asked = asked.having(figure >= bound.at_least) if bound.at_least is not None else asked
        asked = asked.having(figure <= bound.at_most) if bound.at_most is not None else asked
    if question.rank is not None:
        by = facts.measures[question.rank]
        asked = asked.order_by(by.asc().nulls_last() if question.is_ascending else by.desc().nulls_last())
    asked = asked.order_by(*grouped).limit(question.first + 1)
    return asked if question.bucket is None else _with_stop(asked, question.bucket, question.time_zone)


def _group(facts: Facts, group: Enum, time_zone: str) -> ColumnElement[Any]:
    if group in facts.groups:
        return facts.groups[group]
    local = func.timezone(time_zone, facts.at)
    return cast(extract("hour" if group.name == "HOUR_OF_DAY" else "isodow", local), Integer)


def _bucket(at: ColumnElement[Any], bucket: TimeBucket, time_zone: str) -> ColumnElement[Any]:
    """Return where the bucket of an instant begins; the session's zone is UTC, which needs no conversion."""
    unit: ColumnElement[Any] = literal_column(f"'{bucket.value.lower()}'")
    return func.date_trunc(unit, at) if time_zone == "UTC" else func.date_trunc(unit, at, time_zone)


def _with_stop(asked: Select[Any], bucket: TimeBucket, time_zone: str) -> Select[Any]:
    """Add where each bucket ends: days, weeks and months are those of the zone."""
    grouped = asked.subquery("grouped")
    if step := STEPS.get(bucket):
        local = func.timezone(time_zone, grouped.c.start)
        stop: ColumnElement[Any] = func.timezone(time_zone, local + text(step))
    else:
        stop = grouped.c.start + text(f"interval '1 {bucket.value.lower()}'")
    return select(grouped, stop.label("stop"))
