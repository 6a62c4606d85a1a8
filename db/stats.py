"""Statistics of tickets, exact to the row: folded counts, plus the tickets beyond the fold, plus the edges of a window.

`ticket_counts` holds counts by minute, quarter of an hour, day (UTC) and 30 days, each in four details: by status; by
status, action and error; by status and user; by all of these and market maker. They are folded behind the write path
(`db.folds`). A question takes the least detail that tells its filter and its groups apart, the coarsest grains that
fill its window, and adds, in the same snapshot, what is not folded yet and the minutes at the edges of the window. A
filter beyond these columns counts rows. Minutes are kept for a while (`MINUTES_KEPT`); at the edges of an older window
up to a quarter of an hour of tickets is counted instead.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from asyncpg import InvalidParameterValueError
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    DateTime,
    FromClause,
    Function,
    Integer,
    Select,
    and_,
    cast,
    extract,
    func,
    literal,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.exc import DBAPIError

from db import finding, tables, tickets
from db.read import Reader, Snapshot, during
from db.tickets import TicketFilter
from domain import errors
from domain.tickets import ActionType, TicketStatus

USERS_MAX = 100  # of one answer, those with most tickets
DURATIONS_MAX = 1_000  # the newest attempts whose 95th percentile is taken
BUCKETS_MAX = 1_500  # a day of minutes, two months of hours, four years of days
TIME_ZONE_LENGTH_MAX = 64
COLUMNS = ("status", "action_type", "error_code", "user_id", "market_maker_id")


class Detail(StrEnum):
    """Which columns a count tells apart."""

    STATUS = "STATUS"
    ACTION = "ACTION"
    USER = "USER"
    FULL = "FULL"


TOLD_APART: dict[Detail, frozenset[str]] = {
    Detail.STATUS: frozenset({"status"}),
    Detail.ACTION: frozenset({"status", "action_type", "error_code"}),
    Detail.USER: frozenset({"status", "user_id"}),
    Detail.FULL: frozenset(COLUMNS),
}


class Grain(StrEnum):
    """How long a count is. Any time zone's day is made of quarters."""

    MINUTE = "MINUTE"
    QUARTER = "QUARTER"
    DAY = "DAY"
    PERIOD = "PERIOD"


LENGTHS = {Grain.MINUTE: timedelta(minutes=1), Grain.QUARTER: timedelta(minutes=15), Grain.DAY: timedelta(days=1),
           Grain.PERIOD: timedelta(days=30)}  # fmt: skip
MINUTES_KEPT = timedelta(days=35)  # nobody reads a count by minute that is older; four in five rows are such
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# Folding: the tickets of the transactions from $1 up to, not including, $2.
FOLD = """
INSERT INTO ticket_counts (detail, grain, starts_at, status, action_type, error_code, user_id, market_maker_id,
                           tickets, last_at)
SELECT d.detail, g.grain, date_bin(g.length, t."timestamp", timestamptz '2000-01-01 00:00:00+00'), t.status,
       CASE WHEN d.detail IN ('ACTION', 'FULL') THEN t.action_type END,
       CASE WHEN d.detail IN ('ACTION', 'FULL') THEN t.error_code END,
       CASE WHEN d.detail IN ('USER', 'FULL') THEN t.user_id END,
       CASE WHEN d.detail = 'FULL' THEN t.market_maker_id END,
       count(*), max(t."timestamp")
FROM ticket_logs t
CROSS JOIN (VALUES ('STATUS'), ('ACTION'), ('USER'), ('FULL')) AS d(detail)
CROSS JOIN (VALUES ('MINUTE', interval '1 minute'), ('QUARTER', interval '15 minutes'), ('DAY', interval '1 day'),
                   ('PERIOD', interval '30 days'))
    AS g(grain, length)
WHERE t.txid >= $1::text::xid8 AND t.txid < $2::text::xid8
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (detail, grain, starts_at, status, action_type, error_code, user_id, market_maker_id)
DO UPDATE SET tickets = ticket_counts.tickets + excluded.tickets,
              last_at = greatest(ticket_counts.last_at, excluded.last_at)
"""


# What nobody reads any more, so many at a time: a day later than that, whatever the clocks of readers say.
PRUNE = """
DELETE FROM ticket_counts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ticket_counts WHERE detail = $1 AND grain = 'MINUTE'
    AND starts_at < now() - $2::interval LIMIT $3))
"""
PRUNED_AFTER = MINUTES_KEPT + timedelta(days=1)


class TimeBucket(StrEnum):
    """How long a bar of a chart is."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


class Part(StrEnum):
    """What is asked for; what is not costs nothing."""

    TOTALS = "TOTALS"
    USERS = "USERS"
    TIME = "TIME"
    DURATION = "DURATION"


@dataclass(frozen=True, slots=True)
class Count:
    """How many of one thing."""

    of: Any
    count: int
    failed: int
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TimeCount:
    """How many in one bar, [start, end)."""

    start: datetime
    end: datetime
    succeeded: int
    failed: int


@dataclass(slots=True)
class Stats:
    """The answer; a part that was not asked for is empty. Units: duration_ms_p95 milliseconds."""

    succeeded: int = 0
    failed: int = 0
    actions: list[Count] = field(default_factory=list)
    users: list[Count] = field(default_factory=list)
    codes: list[Count] = field(default_factory=list)
    times: list[TimeCount] = field(default_factory=list)
    duration_ms_p95: Decimal | None = None

    @property
    def total(self) -> int:
        return self.succeeded + self.failed


async def stats(
    reader: Reader, wanted: TicketFilter, bucket: TimeBucket | None, time_zone: str, parts: Set[Part]
) -> Stats:
    """Count tickets, all parts in one snapshot.

    Raises: InvalidInput (filter, time zone, more than BUCKETS_MAX buckets).
    """
    tickets.where(wanted)  # refuses a filter that is too large
    check_zone(time_zone)
    found = Stats()
    async with reader.snapshot() as snapshot:
        source = await source_of(snapshot, wanted)
        if Part.TOTALS in parts:
            await _totals(snapshot, source, found)
        if Part.USERS in parts:
            await _users(snapshot, source, found)
        if Part.TIME in parts:
            await _times(snapshot, source, found, bucket, time_zone)
    if Part.DURATION in parts:
        found.duration_ms_p95 = await _duration(reader, wanted)
    return found


# ------------------------------------------------------------------------------------------------------- where to count

logs, counts = tables.ticket_logs.c, tables.ticket_counts.c


async def source_of(snapshot: Snapshot, wanted: TicketFilter) -> Source:
    """Return what a filter counts, as far as the fold has come in this snapshot."""
    (fold,) = await snapshot.sql("SELECT txid::text AS txid, now() AS now FROM ticket_folds WHERE name = 'counts'")
    return Source(wanted, int(fold["txid"]), _up(fold["now"] - MINUTES_KEPT, Grain.MINUTE))


class Source:
    """The rows that a filter counts: (the columns told apart, at, tickets, last_at)."""

    def __init__(self, wanted: TicketFilter, folded_upto: int, minutes_from: datetime) -> None:
        self.wanted = wanted
        self.folded_upto = folded_upto
        self.minutes_from = minutes_from
        self.condition = tickets.where(wanted)
        # Written out, so that the planner sees how few tickets lie beyond.
        self.is_fresh = text(f"ticket_logs.txid >= '{folded_upto}'::xid8")
        self.is_folded = text(f"ticket_logs.txid < '{folded_upto}'::xid8")
        self.used = _columns_of(_of_all_times(wanted))

    def rows(self, groups: Set[str], longest: Grain = Grain.PERIOD) -> CompoundSelect[Any] | Select[Any]:
        """Return the rows that tell `groups` apart, in grains not longer than `longest`."""
        if self.used is None:
            return _tickets(self.condition)
        needed = self.used | groups
        detail = next(detail for detail in Detail if needed <= TOLD_APART[detail])
        pieces, edges = _without_old_minutes(
            *_pieces(self.wanted.date_from, self.wanted.date_to, longest), self.minutes_from
        )
        of_counts = tickets.where(_of_all_times(self.wanted), counts)
        selects = [
            select(
                *(counts[name] for name in COLUMNS), counts.starts_at.label("at"), counts.tickets, counts.last_at
            ).where(
                counts.detail == literal_column(f"'{detail}'"),
                counts.grain == literal_column(f"'{grain}'"),
                *during(counts.starts_at, start, end),
                of_counts,
            )
            for grain, start, end in pieces
        ]
        selects.append(_tickets(and_(self.condition, self.is_fresh)))
        selects += [
            _tickets(and_(self.condition, *during(logs.timestamp, start, end), self.is_folded)) for start, end in edges
        ]
        return union_all(*selects)


def is_counted(wanted: TicketFilter) -> bool:
    """Tell whether counts tell the tickets of a filter apart."""
    return _columns_of(_of_all_times(wanted)) is not None


def _of_all_times(wanted: TicketFilter) -> TicketFilter:
    return replace(wanted, date_from=None, date_to=None)


def _tickets(condition: ColumnElement[bool]) -> Select[Any]:
    return select(
        *(logs[name] for name in COLUMNS),
        logs.timestamp.label("at"),
        literal_column("1::bigint", BigInteger).label("tickets"),
        logs.timestamp.label("last_at"),
    ).where(condition)


# The columns of counts that a condition looks at.
LOOKED_AT = {
    "status": "status",
    "action_types": "action_type",
    "error_codes": "error_code",
    "user_id": "user_id",
    "user_ids": "user_id",
    "market_maker_id": "market_maker_id",
    "market_maker_ids": "market_maker_id",
    "has_market_maker": "market_maker_id",
}


MODES = frozenset({"searches_payloads", "needs_all_tags"})  # how other conditions are meant


def _is_blank(name: str, value: Any) -> bool:
    return (name == "tags" and not value) or (name == "search" and not value.strip())


def _columns_of(wanted: TicketFilter) -> frozenset[str] | None:
    """Return the columns of counts that a filter looks at; None when it looks at others."""
    used: set[str] = set()
    for name, value in wanted.asked().items():
        if name in LOOKED_AT:
            used.add(LOOKED_AT[name])
        elif name not in MODES and not _is_blank(name, value):
            return None
    for branch in wanted.branches():
        inner = _columns_of(branch)
        if inner is None:
            return None
        used |= inner
    return frozenset(used)


Piece = tuple[Grain, datetime | None, datetime | None]
Edge = tuple[datetime | None, datetime | None]


def _pieces(start: datetime | None, end: datetime | None, longest: Grain) -> tuple[list[Piece], list[Edge]]:
    """Fill a window with grains, the longest in its middle; what is shorter than a minute is an edge."""
    if start is not None and end is not None and start >= end:
        return [], []
    grains = list(Grain)[: list(Grain).index(longest) + 1]
    pieces: list[Piece] = []
    edges: list[Edge] = []
    low, high = start, end
    for finer, coarser in zip([None, *grains], [*grains, None], strict=True):
        if coarser is None:
            if low is None or high is None or low < high:
                pieces.append((grains[-1], low, high))
            break
        low_next = None if low is None else _up(low, coarser)
        high_next = None if high is None else _down(high, coarser)
        if low_next is not None and high_next is not None and low_next >= high_next:  # too short for the coarser
            assert low is not None and high is not None
            _add(pieces, edges, finer, low, high)
            break
        if low is not None and low_next is not None:
            _add(pieces, edges, finer, low, low_next)
        if high is not None and high_next is not None:
            _add(pieces, edges, finer, high_next, high)
        low, high = low_next, high_next
    return pieces, edges


def _without_old_minutes(pieces: list[Piece], edges: list[Edge], since: datetime) -> tuple[list[Piece], list[Edge]]:
    """Count tickets where minutes are not kept any more."""
    kept: list[Piece] = []
    edges = list(edges)
    for grain, start, end in pieces:
        if grain is not Grain.MINUTE or (start is not None and start >= since):
            kept.append((grain, start, end))
        elif end is not None and end <= since:
            edges.append((start, end))
        else:
            edges.append((start, since))
            kept.append((grain, since, end))
    return kept, edges


def _add(pieces: list[Piece], edges: list[Edge], grain: Grain | None, start: datetime, end: datetime) -> None:
    if start < end:
        if grain is None:
            edges.append((start, end))
        else:
            pieces.append((grain, start, end))


def _down(moment: datetime, grain: Grain) -> datetime:
    return moment - (moment - EPOCH) % LENGTHS[grain]


def _up(moment: datetime, grain: Grain) -> datetime:
    down = _down(moment, grain)
    return moment if down == moment else down + LENGTHS[grain]


# ------------------------------------------------------------------------------------------------------------ the parts


async def _totals(snapshot: Snapshot, source: Source, found: Stats) -> None:
    """Count by status, action and error code, in one statement."""
    rows = source.rows({"status", "action_type", "error_code"}).subquery()
    groups = (rows.c.status, rows.c.action_type, rows.c.error_code)
    counted = await snapshot.rows(
        select(*groups, _sum(rows).label("tickets"), func.max(rows.c.last_at).label("last_at")).group_by(*groups)
    )
    actions: dict[str, list[int]] = {}
    codes: dict[str, tuple[int, datetime]] = {}
    for row in counted:
        count, is_failed = int(row["tickets"]), row["status"] == TicketStatus.FAILED
        found.failed += count if is_failed else 0
        found.succeeded += 0 if is_failed else count
        both = actions.setdefault(row["action_type"], [0, 0])
        both[0] += count
        both[1] += count if is_failed else 0
        if row["error_code"] is not None:
            before = codes.get(row["error_code"], (0, row["last_at"]))
            codes[row["error_code"]] = (before[0] + count, max(before[1], row["last_at"]))
    found.actions = _most([Count(ActionType(name), count, failed) for name, (count, failed) in actions.items()])
    found.codes = _most([Count(code, count, count, last_at) for code, (count, last_at) in codes.items()])


def _sum(rows: FromClause) -> Function[Any]:
    """Add counts up; the sum of 32-bit numbers is a 64-bit one, that of 64-bit numbers a slow decimal."""
    return func.sum(cast(rows.c.tickets, Integer))


def _most(found: list[Count]) -> list[Count]:
    return sorted(found, key=lambda one: (-one.count, str(one.of)))


async def _users(snapshot: Snapshot, source: Source, found: Stats) -> None:
    """Count by user, those with most tickets first."""
    rows = source.rows({"status", "user_id"}).subquery()
    in_all = _sum(rows)
    failed = func.coalesce(in_all.filter(rows.c.status == "FAILED"), 0)
    counted = await snapshot.rows(
        select(rows.c.user_id, in_all.label("tickets"), failed.label("failed"))
        .group_by(rows.c.user_id)
        .order_by(in_all.desc(), rows.c.user_id)
        .limit(USERS_MAX)
    )
    found.users = [Count(row["user_id"], int(row["tickets"]), int(row["failed"])) for row in counted]


async def _duration(reader: Reader, wanted: TicketFilter) -> Decimal | None:
    """Return the 95th percentile of how long the newest attempts of the filter took."""
    newest = await finding.durations(reader, wanted, DURATIONS_MAX)
    if not newest:
        return None
    newest.sort()
    return newest[min(len(newest) - 1, len(newest) * 95 // 100)]


# -------------------------------------------------------------------------------------------------------------- in time

# Bars of a fixed length are counted in seconds, so that a change of the clocks moves none; the others by the calendar.
SECONDS = {TimeBucket.MINUTE: 60, TimeBucket.HOUR: 3_600}
STEPS = {TimeBucket.DAY: "interval '1 day'", TimeBucket.WEEK: "interval '1 week'",
         TimeBucket.MONTH: "interval '1 month'"}  # fmt: skip
# Without a bucket: the finest with which a window has not more bars than a screen shows.
CHOSEN = (
    (timedelta(hours=3), TimeBucket.MINUTE),
    (timedelta(days=7), TimeBucket.HOUR),
    (timedelta(days=200), TimeBucket.DAY),
    (timedelta(days=1_400), TimeBucket.WEEK),
)

_FIXED = """
SELECT g AS start, g + {step} AS stop
FROM generate_series(date_trunc(CAST(:unit AS text), CAST(:start AS timestamptz), CAST(:zone AS text)),
                     CAST(:stop AS timestamptz) - interval '1 microsecond', {step}) AS g
LIMIT :most
"""
_CALENDAR = """
SELECT g AT TIME ZONE CAST(:zone AS text) AS start, (g + {step}) AT TIME ZONE CAST(:zone AS text) AS stop
FROM generate_series(date_trunc(CAST(:unit AS text), CAST(:start AS timestamptz) AT TIME ZONE CAST(:zone AS text)),
                     (CAST(:stop AS timestamptz) - interval '1 microsecond') AT TIME ZONE CAST(:zone AS text),
                     {step}) AS g
LIMIT :most
"""


async def _times(snapshot: Snapshot, source: Source, found: Stats, bucket: TimeBucket | None, time_zone: str) -> None:
    """Count by bars, those without a ticket too."""
    window = await _window(snapshot, source)
    if window is None:
        return
    start, end = window
    chosen = bucket or next((one for most, one in CHOSEN if end - start <= most), TimeBucket.MONTH)
    bars = await bars_of(snapshot, start, end, chosen, time_zone)
    rows = source.rows({"status"}, grain_of(chosen, time_zone)).subquery()
    if chosen in SECONDS:
        elapsed = extract("epoch", rows.c.at - cast(literal(bars[0][0]), DateTime(timezone=True)))
        bar: ColumnElement[Any] = func.floor(elapsed / literal_column(str(SECONDS[chosen])))
    else:
        local = func.timezone(time_zone, rows.c.at)
        bar = func.timezone(time_zone, func.date_trunc(chosen.value.lower(), local))
    counted = await snapshot.rows(
        select(bar.label("bar"), rows.c.status, func.sum(cast(rows.c.tickets, Integer)).label("tickets")).group_by(
            bar, rows.c.status
        )
    )
    by_bar: dict[Any, list[int]] = {}
    for row in counted:
        at = bars[int(row["bar"])][0] if chosen in SECONDS else row["bar"]
        by_bar.setdefault(at, [0, 0])[row["status"] == TicketStatus.FAILED] += int(row["tickets"])
    found.times = [TimeCount(one, other, *by_bar.get(one, (0, 0))) for one, other in bars]


def grain_of(bucket: TimeBucket, time_zone: str) -> Grain:
    """Return the longest grain of which every bucket is made."""
    if bucket in STEPS and time_zone == "UTC":
        return Grain.DAY
    return Grain.MINUTE if bucket is TimeBucket.MINUTE else Grain.QUARTER


def no_such_zone() -> errors.InvalidInput:
    """Return the refusal of a time zone that the database does not know."""
    return errors.InvalidInput("There is no such time zone; Europe/Berlin is one.", field="timeZone")


def check_zone(time_zone: str) -> None:
    """Refuse what cannot be the name of a time zone.

    Raises: InvalidInput.
    """
    if not 0 < len(time_zone) <= TIME_ZONE_LENGTH_MAX:
        raise no_such_zone()


def is_unknown_zone(error: DBAPIError) -> bool:
    """Tell whether the database does not know a time zone."""
    return isinstance(error.orig, InvalidParameterValueError)


async def bars_of(
    snapshot: Snapshot, start: datetime, end: datetime, bucket: TimeBucket, time_zone: str
) -> list[tuple[datetime, datetime]]:
    """Return the bars that cover a window.

    Raises: InvalidInput (time zone, more than BUCKETS_MAX).
    """
    asked = {"start": start, "stop": end, "unit": bucket.value.lower(), "zone": time_zone, "most": BUCKETS_MAX + 1}
    seconds = SECONDS.get(bucket)
    statement, step = (_CALENDAR, STEPS[bucket]) if seconds is None else (_FIXED, f"interval '{seconds} seconds'")
    try:
        bars = await snapshot.sql(statement.replace("{step}", step), **asked)
    except DBAPIError as error:
        if is_unknown_zone(error):
            raise no_such_zone() from None
        raise
    if len(bars) > BUCKETS_MAX:
        raise errors.InvalidInput(
            f"The window has more than {BUCKETS_MAX} buckets of one {bucket.value.lower()}: narrow it, or take a "
            "longer bucket.",
            field="bucket",
        )
    return [(row["start"], row["stop"]) for row in bars]


async def _window(snapshot: Snapshot, source: Source) -> tuple[datetime, datetime] | None:
    """Return the window of a chart; where the filter leaves it open, from the first ticket until now.

    The first is known to a quarter of an hour: the quarters of the first day tell it.
    """
    start, end = source.wanted.date_from, source.wanted.date_to
    if start is None or end is None:
        first, last, now = await _ends(snapshot, source, Grain.DAY)
        if start is None and first is not None:
            day = replace(source.wanted, date_from=first, date_to=min(first + LENGTHS[Grain.DAY], end or now))
            start = (await _ends(snapshot, Source(day, source.folded_upto, source.minutes_from), Grain.QUARTER))[
                0
            ] or first
        start = start or end
        if start is None:
            return None
        end = end or (now if last is None else max(now, last + timedelta(microseconds=1)))
    return (start, end) if start < end else None


async def _ends(
    snapshot: Snapshot, source: Source, longest: Grain
) -> tuple[datetime | None, datetime | None, datetime]:
    rows = source.rows({"status"}, longest).subquery()
    ends: list[Any] = [func.min(rows.c.at), func.max(rows.c.last_at), func.now()]
    (row,) = await snapshot.rows(select(*ends))
    first, last, now = list[Any](row.values())
    return first, last, now
