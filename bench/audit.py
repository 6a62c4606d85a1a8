"""Finding and counting tickets among many, beside the SQL that one would write by hand, all in one run.

    make bench NAME=audit [ARGS="--tickets 100000 1000000 --rounds 40 --home /tmp/audit"]

Loads synthetic trails (bench/parts/trail.py) of at least two sizes, or takes those that --home has already, then asks
the same of each in turns: the first page of each filter, as the API reads it and as a hand-written SELECT, by the same
driver, into the same records; page 10,000; text searches, rare and frequent; statistics beside GROUP BY. Times are p95
over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy.exc import DBAPIError

from bench.parts import trail
from bench.parts.figures import Figure, conclude, percentile
from bench.parts.ground import reachable
from db import embedded, finding, migrate, read, stats
from db.read import PAGE_SIZE, Reader, Window
from db.stats import Part, TimeBucket
from db.tickets import TicketFilter, record_of
from domain.tickets import ActionType, EntityType, TicketStatus

SIZES, ROUNDS, SLOW_ROUNDS = (100_000, 1_000_000), 40, 3
PAGE_MS_MAX, PAGE_RATIO_MAX, SEARCH_MS_MAX, OVERVIEW_MS_MAX = 25.0, 1.5, 100.0, 20.0
DEEP_RATIO_MAX, GROWTH_MAX = 1.5, 1.3
DEEP_PAGE = 10_000
NEWEST = "ORDER BY year DESC, number DESC LIMIT 51"


@dataclass(frozen=True, slots=True)
class Question:
    """A filter, and the condition that one would write by hand."""

    name: str
    wanted: TicketFilter
    sql: str
    values: dict[str, Any]
    is_search: bool = False


def questions(people: trail.People, known: dict[str, Any], rng: random.Random) -> list[Question]:
    """Return one question for each field, with values that change from round to round."""
    now = datetime.now(UTC)
    user, rare_user = people.users[rng.randrange(5)], people.users[150 + rng.randrange(40)]
    maker, session = rng.choice(people.makers), people.sessions[rng.randrange(60)]
    old, older = now - timedelta(days=60, minutes=rng.randrange(9_999)), now - timedelta(days=61)
    day = now - timedelta(days=1)
    ip = f"10.0.{rng.randrange(4)}.{rng.randrange(100)}"
    ticket_id, entity_id = rng.choice(known["ticket_ids"]), rng.choice(known["entity_ids"])
    placed, cancelled, deposit = ActionType.ORDER_PLACED, ActionType.ORDER_CANCELLED, ActionType.ASSET_DEPOSIT
    codes = ["ORDER_NOT_OPEN", "INVALID_AMOUNT"]
    found = "search @@ to_tsquery('simple', :words)"

    def words(text: str) -> dict[str, Any]:
        return {"words": f"'{text}':*"}

    T = TicketFilter  # noqa: N806 - a table reads better
    return [
        Question("none", T(), "true", {}),
        Question("dateFrom", T(date_from=day), '"timestamp" >= :a', {"a": day}),
        Question("dateTo", T(date_to=old), '"timestamp" < :b', {"b": old}),
        Question("window", T(date_from=older, date_to=old), '"timestamp" >= :a AND "timestamp" < :b',
                 {"a": older, "b": old}),
        Question("actionTypes_frequent", T(action_types=[placed]), "action_type = :a", {"a": placed.value}),
        Question("actionTypes_rare", T(action_types=[deposit]), "action_type = :a", {"a": deposit.value}),
        Question("actionTypes_two", T(action_types=[cancelled, deposit]), "action_type IN (:a, :b)",
                 {"a": cancelled.value, "b": deposit.value}),
        Question("status_success", T(status=TicketStatus.SUCCESS), "status = 'SUCCESS'", {}),
        Question("status_failed", T(status=TicketStatus.FAILED), "status = 'FAILED'", {}),
        Question("userId_frequent", T(user_id=user), "user_id = :a", {"a": user}),
        Question("userId_rare", T(user_id=rare_user), "user_id = :a", {"a": rare_user}),
        Question("marketMakerId", T(market_maker_id=maker), "market_maker_id = :a", {"a": maker}),
        Question("hasMarketMaker", T(has_market_maker=True), "market_maker_id IS NOT NULL", {}),
        Question("hasMarketMaker_not", T(has_market_maker=False), "market_maker_id IS NULL", {}),
        Question("entityType_frequent", T(entity_type=EntityType.ORDER), "entity_type = 'ORDER'", {}),
        Question("entityType_rare", T(entity_type=EntityType.CERTIFICATE), "entity_type = 'CERTIFICATE'", {}),
        Question("entityId", T(entity_id=entity_id), "entity_id = :a", {"a": entity_id}),
        Question("tags_frequent", T(tags=["order"]), "tags && CAST(:a AS text[])", {"a": ["order"]}),
        Question("tags_rare", T(tags=["cli"]), "tags && CAST(:a AS text[])", {"a": ["cli"]}),
        Question("tags_all", T(tags=["order", "market-maker"], needs_all_tags=True), "tags @> CAST(:a AS text[])",
                 {"a": ["order", "market-maker"]}),
        Question("ipAddress_frequent", T(ip_address=ip), "ip_address = :a", {"a": ip}),
        Question("ipAddress_rare", T(ip_address=trail.RARE_IP), "ip_address = :a", {"a": trail.RARE_IP}),
        Question("sessionId", T(session_id=session), "session_id = :a", {"a": session}),
        Question("relatedTo", T(related_to=ticket_id),
                 "(related_ticket_ids @> ARRAY[:a] OR ticket_id IN (SELECT unnest(r.related_ticket_ids)"
                 " FROM ticket_logs r WHERE r.ticket_id = :a))", {"a": ticket_id}),
        Question("errorCodes", T(error_codes=["INVALID_AMOUNT"]), "error_code = :a", {"a": "INVALID_AMOUNT"}),
        Question("errorCodes_two", T(error_codes=codes), "error_code IN (:a, :b)", {"a": codes[0], "b": codes[1]}),
        Question("search_frequent", T(search=trail.COMMON_WORD), found, words(trail.COMMON_WORD), is_search=True),
        Question("search_rare", T(search=trail.RARE_WORD), found, words(trail.RARE_WORD), is_search=True),
        Question("search_prefix", T(search="MM-0"), found, words("MM-0"), is_search=True),
        Question("search_two", T(search="buy mm-03"), found, {"words": "'buy':* & 'mm-03':*"}, is_search=True),
        Question("search_id", T(search=ticket_id.lower()), "ticket_id = :a", {"a": ticket_id}, is_search=True),
        Question("search_nothing", T(search="xylophone"), found, words("xylophone"), is_search=True),
        *(
            Question(f"payload_{name}", T(search=word, searches_payloads=True),
                     f"(year, number) IN (SELECT year, number FROM ticket_logs WHERE {found} UNION"
                     f" SELECT year, number FROM ticket_payload_search WHERE {found})",
                     words(word), is_search=True)
            for name, word in (("frequent", trail.COMMON_NOTE), ("rare", trail.RARE_NOTE), ("nothing", "xylophone"))
        ),
    ]  # fmt: skip


class Times:
    """Milliseconds by what was asked, of whom, at which size."""

    def __init__(self) -> None:
        self.of: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)

    async def take(self, name: str, who: str, size: int, work: Callable[[], Awaitable[Any]]) -> Any:
        begun = time.perf_counter()
        found = await work()
        self.of[name, who, size].append((time.perf_counter() - begun) * 1e3)
        return found

    def p95(self, name: str, who: str, size: int) -> float:
        return percentile(self.of[name, who, size], 95)


# ---------------------------------------------------------------------------------------------------------- the trails


def named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextlib.asynccontextmanager
async def trails(sizes: list[int], home: Path | None) -> AsyncIterator[dict[int, str]]:
    """Start a server and give the URL of a trail of each size; those that are there already are taken as they are."""
    with contextlib.ExitStack() as stack:
        folder = home or reachable(stack.enter_context(TemporaryDirectory(prefix="carbondesk-bench-")))
        if home is None:
            stack.callback(embedded.erase, folder)
        servers = stack.enter_context(embedded.start(folder, lambda _: None, durable=True))
        urls = {}
        owner = await asyncpg.connect(servers.urls.database_url)
        for size in sizes:
            name = f"audit_{size}"
            urls[size] = named(servers.urls.database_url, name)
            if await owner.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
                continue
            print(f"loading {size:,} tickets", file=sys.stderr, flush=True)
            await owner.execute(f"CREATE DATABASE {name}_loading")
            await migrate.upgrade(named(servers.urls.database_url, f"{name}_loading"))
            await trail.load(named(servers.urls.database_url, f"{name}_loading"), size)
            await owner.execute(f"ALTER DATABASE {name}_loading RENAME TO {name}")
        await owner.close()
        yield urls


async def known_of(url: str) -> dict[str, Any]:
    """Pick tickets to ask for, and the place where page DEEP_PAGE begins."""
    owner = await asyncpg.connect(url)
    rows = await owner.fetch("SELECT ticket_id, entity_id FROM ticket_logs TABLESAMPLE SYSTEM (1) LIMIT 500")
    count = await owner.fetchval("SELECT count(*) FROM ticket_logs")
    deep = min(DEEP_PAGE * PAGE_SIZE, count - 2 * PAGE_SIZE)
    place = await owner.fetchrow(
        "SELECT year, number FROM ticket_logs ORDER BY year DESC, number DESC OFFSET $1 LIMIT 1", deep
    )
    await owner.close()
    assert place is not None
    return {"ticket_ids": [row["ticket_id"] for row in rows], "entity_ids": [row["entity_id"] for row in rows],
            "after": read.cursor_of(list(place)), "page": deep // PAGE_SIZE}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- the runs


async def ask_all(reader: Reader, size: int, known: dict[str, Any], times: Times, rng: random.Random) -> None:
    """Ask everything once, ours and by hand in random order, and compare what both find."""
    asked = questions(trail.People.of(1), known, rng)
    rng.shuffle(asked)
    for one in asked:
        by_hand = f"SELECT *, year AS key_0, number AS key_1 FROM ticket_logs WHERE {one.sql} {NEWEST}"

        async def ours(one: Question = one) -> list[str]:
            page = await finding.tickets_page(reader, one.wanted, Window())
            return [record.ticket.ticket_id for _, record in page.items]

        async def raw(one: Question = one, by_hand: str = by_hand) -> list[str] | None:
            try:
                page = read.finished(await reader.sql(by_hand, **one.values), Window(), record_of)
                return [record.ticket.ticket_id for _, record in page.items]
            except DBAPIError as error:
                if not read.is_overdue(error):
                    raise
                return None  # it counts with the time it had

        pair: list[tuple[str, Callable[[], Awaitable[list[str] | None]]]] = [("ours", ours), ("raw", raw)]
        rng.shuffle(pair)
        answers = [await times.take(one.name, who, size, work) for who, work in pair]
        assert answers[0] == answers[1] or None in answers, f"{one.name}: {answers}"
    for name, window in (("page_1", Window()), ("page_deep", Window(after=known["after"]))):
        await times.take(name, "ours", size, partial(finding.tickets_page, reader, TicketFilter(), window))


OVERVIEWS: dict[str, tuple[TicketFilter, TimeBucket, str]] = {
    "overview": (TicketFilter(), TimeBucket.DAY, "UTC"),
    "overview_berlin": (TicketFilter(), TimeBucket.DAY, "Europe/Berlin"),
    "overview_failed": (TicketFilter(status=TicketStatus.FAILED), TimeBucket.DAY, "UTC"),
    "overview_day": (TicketFilter(date_from=datetime.now(UTC) - timedelta(days=1)), TimeBucket.HOUR, "UTC"),
    "overview_user": (TicketFilter(user_id=trail.People.of(1).users[3]), TimeBucket.DAY, "UTC"),
}
GROUPED = (
    'SELECT action_type, status, error_code, count(*), max("timestamp") FROM ticket_logs GROUP BY 1, 2, 3',
    "SELECT user_id, status, count(*) FROM ticket_logs GROUP BY 1, 2",
    "SELECT date_trunc('day', \"timestamp\"), status, count(*) FROM ticket_logs GROUP BY 1, 2",
)


async def count_all(reader: Reader, size: int, times: Times) -> None:
    for name, (wanted, bucket, zone) in OVERVIEWS.items():
        await times.take(
            name, "ours", size, partial(stats.stats, reader, wanted, bucket, zone, set(Part))
        )  # fmt: skip
    beyond = replace(TicketFilter(), ip_address=trail.RARE_IP)
    await times.take("stats_by_rows", "ours", size, lambda: stats.stats(reader, beyond, None, "UTC", {Part.TOTALS}))


async def by_rows(reader: Reader, size: int, times: Times) -> None:
    """Count as one would by hand, and check that ours comes to the same."""
    async with reader.snapshot() as snapshot:

        async def grouped() -> int:
            for statement in GROUPED:
                rows = await snapshot.sql(statement)
            return sum(row["count"] for row in rows)

        total = await times.take("overview", "raw", size, grouped)
    assert (await stats.stats(reader, TicketFilter(), None, "UTC", {Part.TOTALS})).total == total


def figures(times: Times, sizes: list[int], asked: list[Question], pages: int) -> list[Figure]:
    """Hold what was measured at the largest size against the goals, and its growth from the smallest."""
    small, large = min(sizes), max(sizes)
    found: list[Figure] = []
    for one in asked:
        ours, raw, before = (
            times.p95(one.name, *place) for place in (("ours", large), ("raw", large), ("ours", small))
        )
        print(f"measure: {one.name}: p95 {ours:.1f} ms, by hand {raw:.1f} ms, at {small:,} tickets {before:.1f} ms")
        goal = SEARCH_MS_MAX if one.is_search else PAGE_MS_MAX
        found.append(Figure(f"p95_ms/{one.name}", ours, "<=", goal))
        if not one.is_search:
            found.append(Figure(f"ours/by_hand/{one.name}", ours / raw, "<=", PAGE_RATIO_MAX))
            found.append(Figure(f"growth/{one.name}", ours / before, "<=", GROWTH_MAX))
    found.append(
        Figure(f"page_{pages}/page_1", times.p95("page_deep", "ours", large) / times.p95("page_1", "ours", large), "<=",
               DEEP_RATIO_MAX)
    )  # fmt: skip
    for name in OVERVIEWS:
        ours, before = times.p95(name, "ours", large), times.p95(name, "ours", small)
        print(f"measure: {name}: p95 {ours:.1f} ms, at {small:,} tickets {before:.1f} ms")
        found.append(Figure(f"p95_ms/{name}", ours, "<=", OVERVIEW_MS_MAX))
    by_hand = times.p95("overview", "raw", large)
    print(f"measure: overview by hand, three GROUP BY: {by_hand:.0f} ms")
    print(f"measure: counting rows of a filter beyond the counts: {times.p95('stats_by_rows', 'ours', large):.1f} ms")
    return found


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--tickets", type=int, nargs="+", default=list(SIZES), help="sizes of the trails, two or more")
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    asked.add_argument("--home", type=Path, help="where the trails are kept for another run; else they are deleted")
    given = asked.parse_args()
    times = Times()
    async with trails(given.tickets, given.home) as urls:
        readers = {size: Reader.open(url, role=f"audit_{size}_loading_app", size_max=2) for size, url in urls.items()}
        known = {size: await known_of(url) for size, url in urls.items()}
        for turn in range(given.rounds + 1):
            for size, reader in readers.items():
                warm = times if turn else Times()  # the first round fills caches
                await ask_all(reader, size, known[size], warm, random.Random(turn))
                await count_all(reader, size, warm)
                if 0 < turn <= SLOW_ROUNDS:
                    await by_rows(reader, size, times)
        for reader in readers.values():
            await reader.close()
    largest = max(given.tickets)
    sample = questions(trail.People.of(1), known[largest], random.Random(0))
    return conclude(figures(times, given.tickets, sample, known[largest]["page"]))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
