"""Statistics: equal to counting the tickets, at any moment, however windows, time zones and commits lie."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import func, select

from api.settings import Settings
from db import folds, stats, tables, tickets
from db.read import Reader
from db.stats import Grain, Part, TimeBucket
from db.tickets import TicketFilter
from db.unit import Pool
from domain.tickets import ActionType, TicketStatus
from tests.world import Api, serving

STATS = """query($filter: TicketFilter, $bucket: TimeBucket, $zone: String) {
  ticketStats(filter: $filter, bucket: $bucket, timeZone: $zone) {
    durationP95Ms totalActions successCount failedCount successRate
    byActionType { actionType count failedCount } byUser { user { id } count failedCount }
    byErrorCode { errorCode count lastAt } actionsOverTime { from to successCount failedCount } } }"""
ACTIONS = ("ORDER_PLACED", "MM_ORDER_PLACED", "USER_LOGIN_FAILED")
CODES = ("INSUFFICIENT_BALANCE", "BAD_REQUEST")
PARTS = set(Part) - {Part.DURATION}
LEASE = 50_000  # numbers of the tickets made here


class Trail:
    """Tickets written by hand, with times and transactions as a test wants them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.users: list[Any] = []
        self.makers: list[Any] = []
        self.number = 0
        self.lo = 0

    async def prepare(self) -> None:
        for _ in range(2):
            self.makers.append((await self.api.maker())["id"])
            self.users.append((await self.api.trader(kyc=False)).id)
        (lease,) = await self.api.sql(
            "INSERT INTO ticket_leases (year, lo, hi, is_shared, leased_at)"
            " SELECT 2026, max(hi) + 1, max(hi) + $1, false, '2026-01-01' FROM ticket_leases RETURNING lo",
            LEASE,
        )
        self.lo = lease["lo"]

    async def write(
        self, connection: asyncpg.Connection[asyncpg.Record], times: list[datetime], rng: random.Random
    ) -> None:
        rows = []
        for at in times:
            self.number += 1
            code = rng.choice((None, None, *CODES))
            rows.append((
                2026, self.lo + self.number, f"TKT-2026-{self.lo + self.number:06}", at, rng.choice(ACTIONS),
                "FAILED" if code else "SUCCESS", "by hand", code, rng.choice((None, *self.users)),
                rng.choice((None, *self.makers)), uuid4(),
            ))  # fmt: skip
        await connection.executemany(
            'INSERT INTO ticket_logs (year, number, ticket_id, "timestamp", action_type, status, summary, error_code,'
            " user_id, market_maker_id, attempt_id, digest, payload_hmac, duration_ms)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, sha256('x'), sha256(''),"
            " ($2::bigint % 1000)::numeric)",
            rows,
        )


@pytest.fixture(scope="module")
async def api(settings: Settings) -> Any:
    async with serving(settings) as running:
        await running.create_admin()
        yield running


@pytest.fixture(scope="module")
async def trail(api: Api) -> Trail:
    made = Trail(api)
    await made.prepare()
    rng = random.Random(7)
    start = datetime(2026, 3, 27, 22, 0, 0, tzinfo=UTC)  # over the night in which Europe sets its clocks forward
    times = [start + timedelta(seconds=rng.randrange(5 * 86_400), microseconds=rng.randrange(1_000_000))
             for _ in range(600)]  # fmt: skip
    connection = await asyncpg.connect(api.database_url)
    for index in range(0, len(times), 50):
        await made.write(connection, times[index : index + 50], rng)
    await connection.close()
    return made


@pytest.fixture
async def reader(settings: Settings) -> Any:
    assert settings.database_url
    opened = Reader.open(settings.database_url, role=None, size_max=2)
    yield opened
    await opened.close()


@pytest.fixture
async def pool(settings: Settings) -> Any:
    assert settings.database_url
    opened = await Pool.open(settings.database_url, role=None, size_max=2, name="tests")
    yield opened
    await opened.close()


def filters(trail: Trail) -> list[TicketFilter]:
    """Return filters of every column that is folded, of others, and windows with and without edges."""
    at = datetime(2026, 3, 29, 1, 13, 21, 345_678, tzinfo=UTC)
    windows = [
        (None, None),
        (at, None),
        (None, at),
        (at, at + timedelta(seconds=20)),
        (at, at + timedelta(minutes=1)),
        (at, at + timedelta(minutes=7)),
        (at, at + timedelta(minutes=40)),
        (at, at + timedelta(hours=30, microseconds=1)),
        (at, at + timedelta(days=3)),
        (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)),
        (datetime(2026, 3, 28, 0, 15, tzinfo=UTC), datetime(2026, 3, 29, 23, 59, tzinfo=UTC)),
        (at, at),
    ]
    user, maker = uuid_of(trail.users[0]), uuid_of(trail.makers[0])
    narrow = TicketFilter(date_from=windows[5][0], date_to=windows[8][1])
    kinds = [
        TicketFilter(status=TicketStatus.FAILED),
        TicketFilter(action_types=[ActionType.ORDER_PLACED, ActionType.USER_LOGIN_FAILED]),
        TicketFilter(user_id=user),
        TicketFilter(market_maker_id=maker),
        TicketFilter(has_market_maker=True, error_codes=["BAD_REQUEST"]),
        TicketFilter(has_market_maker=False, user_id=user, status=TicketStatus.SUCCESS),
        TicketFilter(any_of=[TicketFilter(user_id=user), TicketFilter(status=TicketStatus.FAILED)]),
        TicketFilter(none_of=TicketFilter(error_codes=["BAD_REQUEST"])),
        TicketFilter(search="hand", error_codes=["BAD_REQUEST"]),
        TicketFilter(all_of=[narrow, TicketFilter(market_maker_id=maker)]),
        TicketFilter(tags=["order"]),
        TicketFilter(action_types=[]),
    ]
    inner = [replace(kind, date_from=at, date_to=at + timedelta(hours=20, seconds=7)) for kind in kinds]
    return [*(TicketFilter(date_from=start, date_to=end) for start, end in windows), *kinds, *inner]


def uuid_of(text: str) -> Any:
    return UUID(text)


async def truth(reader: Reader, wanted: TicketFilter) -> tuple[Counter[Any], Counter[Any], Counter[Any]]:
    """Count the tickets themselves: by (action, status), by (user, status), by code."""
    rows = await reader.rows(tables.ticket_logs.select().where(tickets.where(wanted)))
    return (
        Counter((row["action_type"], row["status"]) for row in rows),
        Counter((row["user_id"], row["status"]) for row in rows),
        Counter(row["error_code"] for row in rows if row["error_code"]),
    )


def counted(found: stats.Stats) -> tuple[Counter[Any], Counter[Any], Counter[Any]]:
    def both(counts: list[stats.Count]) -> Counter[Any]:
        pairs: Counter[Any] = Counter()
        for one in counts:
            name = str(one.of) if isinstance(one.of, ActionType) else one.of
            pairs += Counter({(name, "SUCCESS"): one.count - one.failed, (name, "FAILED"): one.failed})
        return pairs

    return both(found.actions), both(found.users), Counter({one.of: one.count for one in found.codes})


# ---------------------------------------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("folded", ["nothing", "half", "everything"])
async def test_every_filter_and_window_counts_what_is_there(
    trail: Trail, reader: Reader, pool: Pool, folded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "MINUTES_KEPT", timedelta(days=10_000))
    await pool.fetch("DELETE FROM ticket_counts")
    await pool.fetch("UPDATE ticket_folds SET txid = '0' WHERE name = 'counts'")
    if folded == "half":
        for _ in range(3):
            await folds.step(pool, "counts", tickets_max=100)
    while folded == "everything" and await folds.step(pool, "counts"):
        pass
    await check_all(trail, reader)


async def check_all(trail: Trail, reader: Reader) -> None:
    """Compare what is counted with what is there, for every filter."""
    for wanted in filters(trail):
        found = await stats.stats(reader, wanted, None, "UTC", PARTS)
        expected = await truth(reader, wanted)
        assert counted(found) == expected, wanted
        assert found.total == expected[0].total()
        bars = sum(bar.succeeded + bar.failed for bar in found.times)
        assert bars == found.total, wanted


async def test_counts_are_exact_at_every_moment_while_others_write(
    api: Api, trail: Trail, reader: Reader, pool: Pool
) -> None:
    """Writers commit out of order, one low number late; in one snapshot, the answer is always what COUNT(*) gives."""
    late = await asyncpg.connect(api.database_url)
    transaction = late.transaction()
    await transaction.start()
    await trail.write(late, [datetime.now(UTC)], random.Random(1))  # a low number, an old transaction
    is_over = False

    async def write(seed: int) -> None:
        rng = random.Random(seed)
        connection = await asyncpg.connect(api.database_url)
        while not is_over:
            async with connection.transaction():
                await trail.write(connection, [datetime.now(UTC) for _ in range(rng.randrange(1, 6))], rng)
                await asyncio.sleep(rng.random() / 100)
        await connection.close()

    async def fold() -> None:
        while not is_over:
            await folds.step(pool, "counts", tickets_max=7)

    async def check() -> int:
        user = uuid_of(trail.users[0])
        async with reader.snapshot() as snapshot:
            for wanted in (TicketFilter(), TicketFilter(user_id=user), TicketFilter(status=TicketStatus.FAILED)):
                rows = (await stats.source_of(snapshot, wanted)).rows({"status"}).subquery()
                (found,) = await snapshot.rows(select(func.sum(rows.c.tickets).label("n")))
                counted = select(func.count().label("n")).where(tickets.where(wanted))
                (expected,) = await snapshot.rows(counted.select_from(tables.ticket_logs))
                assert found["n"] == expected["n"]
        return int(expected["n"])

    async with asyncio.TaskGroup() as group:
        for seed in range(3):
            group.create_task(write(seed))
        group.create_task(fold())
        seen = [await check() for _ in range(40)]
        await transaction.commit()
        seen += [await check() for _ in range(40)]
        is_over = True
    assert seen[-1] > seen[0]
    await late.close()
    while await folds.step(pool, "counts"):
        pass
    await check()
    (totals,) = await api.sql(
        "SELECT (SELECT count(*) FROM ticket_logs) AS tickets, array_agg(n) AS counts FROM"
        " (SELECT sum(tickets) AS n FROM ticket_counts GROUP BY detail, grain) AS g"
    )
    assert {int(count) for count in totals["counts"]} == {totals["tickets"]}
    assert len(totals["counts"]) == len(stats.Detail) * len(Grain)


async def test_two_that_fold_at_once_count_nothing_twice(api: Api, trail: Trail, pool: Pool) -> None:
    await pool.fetch("DELETE FROM ticket_counts")
    await pool.fetch("UPDATE ticket_folds SET txid = '0' WHERE name = 'counts'")

    async def fold() -> None:
        idle = 0
        while idle < 3:
            idle = 0 if await folds.step(pool, "counts", tickets_max=20) else idle + 1
            await asyncio.sleep(0.01 if idle else 0)

    await asyncio.gather(fold(), fold())
    await folded_up(pool)  # what the application holds just now
    (row,) = await api.sql(
        "SELECT (SELECT sum(tickets) FROM ticket_counts WHERE detail = 'FULL' AND grain = 'DAY') AS counted,"
        " (SELECT count(*) FROM ticket_logs) AS tickets"
    )
    assert row["counted"] == row["tickets"]


async def test_a_database_of_another_server_is_counted_anew(api: Api, trail: Trail, pool: Pool) -> None:
    await pool.fetch("UPDATE ticket_folds SET txid = '999999999999' WHERE name = 'counts'")
    await folds.step(pool, "counts")
    await folded_up(pool)
    (row,) = await api.sql(
        "SELECT (SELECT sum(tickets) FROM ticket_counts WHERE detail = 'STATUS' AND grain = 'MINUTE') AS counted,"
        " (SELECT count(*) FROM ticket_logs) AS tickets"
    )
    assert row["counted"] == row["tickets"]


async def test_old_minutes_are_forgotten_and_every_figure_stays(
    api: Api, trail: Trail, reader: Reader, pool: Pool
) -> None:
    await folded_up(pool)
    left = (
        "SELECT detail, grain, sum(tickets) AS n FROM ticket_counts"
        " WHERE NOT (grain = 'MINUTE' AND starts_at < $1) GROUP BY 1, 2 ORDER BY 1, 2"
    )
    old = "SELECT count(*) AS n FROM ticket_counts WHERE grain = 'MINUTE' AND starts_at < $1"
    bound = datetime.now(UTC) - stats.PRUNED_AFTER
    before, there = await api.sql(left, bound), (await api.sql(old, bound))[0]["n"]
    assert there > 100
    assert await folds.prune(pool, 97) == there
    assert (await api.sql(left, bound), (await api.sql(old, bound))[0]["n"]) == (before, 0)
    assert await folds.prune(pool) == 0
    await check_all(trail, reader)


async def folded_up(pool: Pool) -> None:
    """Fold until nothing is left; another process may be folding too."""
    while True:
        await folds.step(pool, "counts")
        (row,) = await pool.fetch(
            "SELECT EXISTS (SELECT FROM ticket_logs t, ticket_folds f"
            " WHERE f.name = 'counts' AND t.txid >= f.txid) AS is_behind"
        )
        if not row["is_behind"]:
            return


async def test_bars_of_a_minute_are_exact_where_no_minute_is_kept(trail: Trail, reader: Reader, pool: Pool) -> None:
    await folded_up(pool)
    await folds.prune(pool)
    at = datetime(2026, 3, 28, 20, 0, 7, tzinfo=UTC)
    wanted = TicketFilter(date_from=at, date_to=at + timedelta(hours=20))
    found = await stats.stats(reader, wanted, stats.TimeBucket.MINUTE, "UTC", PARTS)
    assert counted(found) == await truth(reader, wanted)
    assert sum(bar.succeeded + bar.failed for bar in found.times) == found.total > 50


def test_minutes_that_are_not_kept_become_edges() -> None:
    since = datetime(2026, 3, 28, tzinfo=UTC)
    before, after = since - timedelta(hours=1), since + timedelta(hours=1)
    minute, day = Grain.MINUTE, Grain.DAY
    assert stats._without_old_minutes([(minute, before, since)], [], since) == ([], [(before, since)])
    assert stats._without_old_minutes([(minute, since, after)], [], since) == ([(minute, since, after)], [])
    assert stats._without_old_minutes([(minute, before, after)], [], since) == (
        [(minute, since, after)], [(before, since)]
    )  # fmt: skip
    assert stats._without_old_minutes([(minute, None, None)], [], since) == (
        [(minute, since, None)], [(None, since)]
    )  # fmt: skip
    assert stats._without_old_minutes([(day, None, before)], [], since) == ([(day, None, before)], [])


# ---------------------------------------------------------------------------------------------------------- in the API


async def test_the_figures_of_a_window_as_the_api_words_them(api: Api, trail: Trail) -> None:
    trader = await api.trader(kyc=False)
    request = "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { ticketId } }"
    for amount in ("1", "2", "0", "-1"):
        await api.ask(request, trader.token, i={"amount": amount, "reference": "R"})
    found = (await api.ask(STATS, filter={"userId": trader.id}, bucket="HOUR"))["ticketStats"]
    logins = 1
    assert (found["totalActions"], found["successCount"], found["failedCount"]) == (4 + logins, 2 + logins, 2)
    assert found["successRate"] == pytest.approx(3 / 5)
    assert found["byActionType"] == [
        {"actionType": "DEPOSIT_REQUESTED", "count": 4, "failedCount": 2},
        {"actionType": "USER_LOGIN", "count": 1, "failedCount": 0},
    ]
    assert found["byUser"] == [{"user": {"id": trader.id}, "count": 5, "failedCount": 2}]
    assert [(one["errorCode"], one["count"]) for one in found["byErrorCode"]] == [
        ("BAD_REQUEST", 1), ("INVALID_AMOUNT", 1)
    ]  # fmt: skip
    (last,) = await api.sql("SELECT max(\"timestamp\") AS at FROM ticket_logs WHERE error_code = 'INVALID_AMOUNT'")
    code = next(one for one in found["byErrorCode"] if one["errorCode"] == "INVALID_AMOUNT")
    assert datetime.fromisoformat(code["lastAt"]) == last["at"]
    assert sum(bar["successCount"] for bar in found["actionsOverTime"]) == 3
    rows = await api.sql("SELECT duration_ms FROM ticket_logs WHERE user_id = $1 ORDER BY 1", uuid_of(trader.id))
    assert found["durationP95Ms"] == float(rows[4]["duration_ms"])


async def test_nothing_counts_as_nothing(api: Api) -> None:
    found = (await api.ask(STATS, filter={"userId": str(uuid4())}, bucket="DAY"))["ticketStats"]
    assert found == {
        "durationP95Ms": None, "totalActions": 0, "successCount": 0, "failedCount": 0, "successRate": 0,
        "byActionType": [], "byUser": [], "byErrorCode": [], "actionsOverTime": [],
    }  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("bucket", [*TimeBucket])
async def test_bars_hold_what_lies_between_their_ends_and_leave_no_gap(
    api: Api, trail: Trail, bucket: TimeBucket, zone: str
) -> None:
    start = datetime(2026, 3, 28, 20, 7, 30, tzinfo=UTC)
    end = start + (timedelta(hours=13) if bucket is TimeBucket.MINUTE else timedelta(days=2, hours=5))
    wanted = {"dateFrom": start.isoformat(), "dateTo": end.isoformat()}
    bars = (await api.ask(STATS, filter=wanted, bucket=bucket.value, zone=zone))["ticketStats"]["actionsOverTime"]
    ends = [(datetime.fromisoformat(bar["from"]), datetime.fromisoformat(bar["to"])) for bar in bars]
    assert ends[0][0] <= start < ends[0][1]
    assert ends[-1][0] < end <= ends[-1][1]
    assert [one[1] for one in ends[:-1]] == [one[0] for one in ends[1:]]
    rows = await api.sql(
        'SELECT "timestamp" AS at, status FROM ticket_logs WHERE "timestamp" >= $1 AND "timestamp" < $2', start, end
    )
    assert rows
    for bar, (low, high) in zip(bars, ends, strict=True):
        inside = Counter(row["status"] for row in rows if low <= row["at"] < high)
        assert (bar["successCount"], bar["failedCount"]) == (inside["SUCCESS"], inside["FAILED"]), (bar, zone)
    assert any(bar["successCount"] == 0 for bar in bars) or bucket is not TimeBucket.MINUTE


async def test_a_day_of_berlin_has_23_hours_when_the_clocks_go_forward(api: Api, trail: Trail) -> None:
    wanted = {"dateFrom": "2026-03-28T23:00:00Z", "dateTo": "2026-03-29T22:00:00Z"}
    (bar,) = (await api.ask(STATS, filter=wanted, bucket="DAY", zone="Europe/Berlin"))["ticketStats"]["actionsOverTime"]
    assert (bar["from"], bar["to"]) == ("2026-03-28T23:00:00.000000Z", "2026-03-29T22:00:00.000000Z")
    hours = (await api.ask(STATS, filter=wanted, bucket="HOUR", zone="Europe/Berlin"))["ticketStats"]["actionsOverTime"]
    assert len(hours) == 23


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"zone": "Europe/Atlantis"}, "timeZone"),
        ({"zone": "x" * 65}, "timeZone"),
        ({"zone": "'; --"}, "timeZone"),
        ({"bucket": "MINUTE", "filter": {"dateFrom": "2026-03-01T00:00Z", "dateTo": "2026-03-03T00:00Z"}}, "bucket"),
    ],
)  # fmt: skip
async def test_a_bucket_or_time_zone_that_cannot_be_is_a_bad_request(
    api: Api, trail: Trail, asked: dict[str, Any], field: str
) -> None:
    (error,) = (await api.ask(STATS, **asked)).errors
    assert error["extensions"] == {"code": "BAD_REQUEST", "field": field}


async def test_without_a_bucket_one_is_chosen_that_suits_the_window(api: Api, trail: Trail) -> None:
    for days, length in ((0.1, timedelta(minutes=1)), (2, timedelta(hours=1)), (60, timedelta(days=1)),
                         (800, timedelta(weeks=1))):  # fmt: skip
        start = datetime(2026, 3, 2, tzinfo=UTC)
        wanted = {"dateFrom": start.isoformat(), "dateTo": (start + timedelta(days=days)).isoformat()}
        bars = (await api.ask(STATS, filter=wanted))["ticketStats"]["actionsOverTime"]
        assert datetime.fromisoformat(bars[0]["to"]) - datetime.fromisoformat(bars[0]["from"]) == length
        assert len(bars) <= 200


async def test_an_open_window_begins_with_the_first_ticket(api: Api, trail: Trail) -> None:
    (row,) = await api.sql('SELECT min("timestamp") AS first FROM ticket_logs')
    for bucket, length in (("HOUR", timedelta(hours=1)), ("DAY", timedelta(days=1))):
        wanted = {"dateTo": (row["first"] + timedelta(days=4)).isoformat()}
        bars = (await api.ask(STATS, filter=wanted, bucket=bucket))["ticketStats"]["actionsOverTime"]
        assert row["first"] - length < datetime.fromisoformat(bars[0]["from"]) <= row["first"]
        assert bars[0]["successCount"] + bars[0]["failedCount"] > 0


async def test_an_analyst_may_count_and_a_trader_may_not(api: Api, trail: Trail) -> None:
    trader = await api.trader(kyc=False)
    assert (await api.ask(STATS, trader.token)).errors[0]["extensions"] == {"code": "FORBIDDEN"}
    assert (await api.ask(STATS, "")).errors[0]["extensions"] == {"code": "UNAUTHENTICATED"}


def test_a_window_is_filled_without_gap_or_overlap() -> None:
    rng = random.Random(3)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for _ in range(2_000):
        low = start + timedelta(seconds=rng.randrange(4 * 86_400), microseconds=rng.choice((0, 1)))
        high = low + timedelta(seconds=rng.choice((0, 30, 60, 900, 86_400)) * rng.randrange(4) + rng.randrange(100))
        longest = rng.choice(list(Grain))
        pieces, edges = stats._pieces(low, high, longest)
        spans = sorted([*((a, b) for _, a, b in pieces), *edges])
        assert [b for _, b in spans[:-1]] == [a for a, _ in spans[1:]]
        assert (not spans and low == high) or (spans[0][0], spans[-1][1]) == (low, high)
        for grain, a, b in pieces:
            assert a is not None and b is not None
            assert stats._down(a, grain) == a and stats._down(b, grain) == b
            assert list(Grain).index(grain) <= list(Grain).index(longest)
        assert all(a and b and b - a < timedelta(minutes=2) for a, b in edges)
