"""Watchers of a market of two processes: each is told the truth, the whole truth of what he asked for, and in time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from api.settings import Settings
from bench.parts.audience import Plan, Seat
from tests.faults.crowd import (
    BALANCES,
    BOOKS,
    ORDERS,
    TICKETS,
    TRADES,
    Flow,
    TicketFollower,
    Watcher,
    book_follower,
    journal,
    left_nothing,
    metrics,
    opened,
    rss,
    sequence_of,
    subscribe,
    watching,
    within,
)
from tests.faults.market import Market
from tests.ladders import CHANGES, Follower
from tests.sizes import CROWD

SEED = 20_261_125
TRADERS = 8
RIGHT_AGAIN_S = 5.0
REFUSALS = {"INSUFFICIENT_BALANCE", "SELF_TRADE", "NO_LIQUIDITY", "ORDER_NOT_OPEN"}
STALLED, READING, MEASURED = 20, 180, 20  # most of those who read only take what comes: they are not what is measured
STALL_S_MAX = 90.0  # until all who read nothing are closed: their buffers fill, then 20 s pass
COPIES = 16
GROWTH_BYTES_MAX = 50 * 1024 * 1024
P99_S_MAX = 0.25


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    """Let hundreds of watchers come from one address and one session."""
    return settings.model_copy(update={"session_sockets_max": 1_000, "address_sockets_max": 1_000})


async def flows(market: Market) -> list[Flow]:
    traders = await market.traders(TRADERS, CEA="100000", EUR="100000000")
    return [Flow(market, trader, SEED + number, number) for number, trader in enumerate(traders)]


async def test_every_watcher_of_every_stream_is_told_the_truth(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    """Random commands at two processes: books at every sequence reached, trades, orders, balances, tickets."""
    before = [await metrics(market, at) for at in range(2)]
    clients = await flows(market)
    admin = market.api.admin_token
    urls = [served.url for served in market.served]
    each = [urls[number % 2] for number in range(CROWD.watchers)]
    changes = [book_follower(url) for url in each]
    books = [Watcher(url, BOOKS, "", {"type": "CEA"}) for url in each]
    trades = [Watcher(url, TRADES) for url in each]
    orders = [Watcher(url, ORDERS, admin) for url in each]
    balances = [
        Watcher(url, BALANCES, admin, {"id": clients[number % TRADERS].trader.id}) for number, url in enumerate(each)
    ]
    tickets = [TicketFollower(url, TICKETS, admin) for url in each]
    async with watching(*changes, *books, *trades, *orders, *balances, *tickets):
        await asyncio.sleep(1.5)  # every feed has begun
        start = await sequence_of(market)
        begun = time.monotonic()
        await asyncio.gather(*(client.run(CROWD.commands // TRADERS) for client in clients))
        took = time.monotonic() - begun
        end = await sequence_of(market)
        rows = await market.api.sql(
            "SELECT id FROM cash_market_trades WHERE sequence > $1 ORDER BY sequence, position", start
        )
        made = [str(row["id"]) for row in rows]
        roots = {told.ticket_id for client in clients for told in client.told}
        await within(10, lambda: all(one.follower.sequence == end for one in changes), "changes")
        await within(10, lambda: all(one.events and one.events[-1]["sequence"] == end for one in books), "books")
        await within(10, lambda: all(len(one.events) >= len(made) for one in trades), "trades")
        await within(10, lambda: all(roots <= {t["ticketId"] for t in one.events} for one in tickets), "tickets")
        await asyncio.sleep(1.5)  # nothing comes twice either
    truth = await journal(market)
    for one in changes:
        assert one.follower.books == {sequence: truth[sequence] for sequence in one.follower.books}
        assert one.follower.snapshots == ["SUBSCRIBED"]
    for watcher in books:
        for event in watcher.events:
            assert _whole(event) == truth[event["sequence"]], f"seed {SEED}"
    for watcher in trades:
        assert [event["id"] for event in watcher.events] == made
    for watcher in orders[1:]:
        assert Counter(map(repr, watcher.events)) == Counter(map(repr, orders[0].events))
    for watcher, client in zip(balances, clients * CROWD.watchers, strict=False):
        last = {event["asset"]: event for event in watcher.events}
        stored = await market.api.sql("SELECT * FROM balances WHERE holder_id = $1 AND seq > 0", client.trader.id)
        assert {row["asset"]: row["seq"] for row in stored} == {
            asset: event["seq"] for asset, event in last.items() if event["seq"]
        }
        for row in stored:
            assert Decimal(last[row["asset"]]["available"]) == row["available"]
    for watcher in tickets:
        seen = [event["ticketId"] for event in watcher.events]
        assert len(set(seen)) == len(seen) and roots <= set(seen)
    refused = Counter(code for client in clients for code in client.refused)
    assert refused.keys() <= REFUSALS
    assert all(one.losses == 0 for one in (*changes, *books, *trades, *orders, *balances, *tickets))
    await left_nothing(market, before)
    with capsys.disabled():
        deltas = sum(one.follower.deltas for one in changes)
        print(  # noqa: T201
            f"\n[{CROWD.commands} commands in {took:.1f} s, {6 * CROWD.watchers} watchers; {end - start} sequences, "
            f"{deltas} deltas checked, {sum(one.follower.merged for one in changes)} of them merged]",
            end=" ",
        )


def _whole(event: dict[str, Any]) -> str:
    follower = Follower()
    follower.take({"__typename": "OrderBookSnapshot", "reason": "", "book": event})
    return follower.text()


# --------------------------------------------------------------------------------------------------- sockets in trouble


async def test_a_socket_cut_without_a_word_goes_on_from_where_it_was(market: Market) -> None:
    before = [await metrics(market, at) for at in range(2)]
    clients = await flows(market)
    watchers = [book_follower(market.served[number % 2].url) for number in range(8)]
    async with watching(*watchers):
        running = asyncio.gather(*(client.run(40, 0.02) for client in clients[:2]))
        for number in range(12):
            await asyncio.sleep(0.15)
            connection = watchers[number % len(watchers)].connection
            assert connection is not None
            connection.transport.abort()
        await running
        end = await sequence_of(market)
        await within(RIGHT_AGAIN_S, lambda: all(one.follower.sequence == end for one in watchers), "right again")
    truth = await journal(market)
    for one in watchers:
        assert one.losses >= 1
        assert one.follower.books == {sequence: truth[sequence] for sequence in one.follower.books}
        assert one.follower.snapshots == ["SUBSCRIBED"]  # only the first time: the rest was resumed without a gap
    await left_nothing(market, before)


async def test_a_socket_that_was_silent_for_a_while_is_told_what_it_missed_as_one(market: Market) -> None:
    """A laptop that slept: nothing is read, nothing is lost, nothing is queued; then what leads to now, merged."""
    clients = await flows(market)
    follower = Follower()
    connection = await opened(market.served[0].url, receive_bytes_max=4_096)
    await subscribe(connection, CHANGES, type="CEA")

    async def read_until(sequence: int) -> None:
        async with asyncio.timeout(RIGHT_AGAIN_S):
            while follower.sequence != sequence:
                follower.take(orjson.loads(await connection.recv())["payload"]["data"]["orderBookChanges"])

    await read_until(await sequence_of(market))
    connection.transport.pause_reading()
    await asyncio.gather(*(client.run(250) for client in clients[:4]))
    connection.transport.resume_reading()
    end = await sequence_of(market)
    await read_until(end)
    assert follower.books[end] == (await journal(market))[end]
    assert follower.merged > 0 or "LAGGED" in follower.snapshots
    connection.transport.abort()


async def test_watchers_that_never_read_cost_little_harm_nobody_and_are_closed(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [await metrics(market, at) for at in range(2)]
    clients = await flows(market)
    url = market.served[0].url
    deaf = [await opened(url, receive_bytes_max=4_096) for _ in range(STALLED)]
    for connection in deaf:
        await subscribe(connection, CHANGES, "changes", type="CEA")
        for number in range(COPIES):  # so that what they do not read is soon too much
            await subscribe(connection, BOOKS, f"books {number}", type="CEA")
        connection.transport.pause_reading()
    seats = await seated(url, READING - MEASURED)
    ears = [await opened(url) for _ in range(MEASURED)]
    for connection in ears:
        await subscribe(connection, CHANGES, type="CEA")
    latencies: list[float] = []

    async def listen(connection: Any) -> None:
        while True:
            text = await connection.recv()
            now = time.time()
            if '"OrderBookDelta"' in text[:120]:
                event = orjson.loads(text)["payload"]["data"]["orderBookChanges"]
                latencies.append(now - _instant(event["at"]))

    listening = [asyncio.create_task(listen(connection)) for connection in ears]
    pid = market.served[0].child.pid
    first = rss(pid)
    begun = time.monotonic()
    done = 0
    codes: list[int] = []
    closed_s = 0.0
    while done < CROWD.stalled_events or not closed_s:
        if not closed_s and (await metrics(market, 0))["sockets"] <= before[0]["sockets"] + READING:
            closed_s = time.monotonic() - begun
            codes = await asyncio.gather(*(_code_of(connection) for connection in deaf))
        assert closed_s or time.monotonic() - begun < STALL_S_MAX, "some who read nothing are not closed"
        # At the second process: what is measured at the first is watching alone.
        await asyncio.gather(*(client.run(10, 0.05) for client in clients))
        done += 10 * TRADERS
    grown, took = rss(pid) - first, time.monotonic() - begun
    for task in listening:
        assert not task.done()
        task.cancel()
    for connection in ears:
        connection.transport.abort()
    for seat in seats:
        seat.transport.abort()
    latencies.sort()
    half, tail = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    with capsys.disabled():
        print(  # noqa: T201
            f"\n[{STALLED} deaf of {STALLED + READING}: {done} commands in {took:.0f} s, "
            f"memory +{grown / 2**20:.1f} MB, "
            f"p50 {half * 1e3:.0f} ms, p99 {tail * 1e3:.0f} ms, closed within {closed_s:.0f} s with {Counter(codes)}]",
            end=" ",
        )
    assert grown <= GROWTH_BYTES_MAX
    assert tail <= P99_S_MAX
    assert set(codes) == {4420}
    await left_nothing(market, before)


async def seated(url: str, count: int) -> list[Seat]:
    """Let cheap watchers watch."""
    loop = asyncio.get_running_loop()
    plan = Plan(urlsplit(url).port or 0, count, CHANGES, {"type": "CEA"})
    seats = [Seat(plan, defaultdict(list)) for _ in range(count)]
    for seat in seats:
        await loop.create_connection(lambda seat=seat: seat, "127.0.0.1", plan.port)  # type: ignore[misc]
    async with asyncio.timeout(10):
        await asyncio.gather(*(seat.seated for seat in seats))
    return seats


def _instant(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


async def _code_of(connection: Any) -> int:
    """Read on, and tell how the socket had been closed."""
    connection.transport.resume_reading()
    try:
        async with asyncio.timeout(10):
            while True:
                await connection.recv()
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else 1006
