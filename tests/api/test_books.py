"""Watchers see committed books only, the newest one soon, and the truth also without Redis."""

import asyncio
import random
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from api import books as books_module
from api.books import Books, BookUnavailableError
from api.events import Events
from api.ladder import BookNotice, BookPicture, Level, checksum
from tests.redis_server import RedisServer, free_port

PORTS = range(22250, 22500)
CEA, EUA = "CEA", "EUA"


def level(price: str, quantity: int = 10, order_count: int = 1) -> Level:
    return Level(Decimal(price), Decimal(quantity), order_count)


class Market:
    """Stand for the committed state of the database: a naive book that never crosses, and its readers."""

    def __init__(self) -> None:
        self.committed: dict[str, BookPicture] = {}
        self.reads = 0
        self.away = False
        self.read_s = 0.0
        for certificate_type in (CEA, EUA):
            at = datetime.now(UTC)
            self.committed[certificate_type] = BookPicture(
                certificate_type, 5, (level("9.99"), level("9.98")), (level("10.01"), level("10.02")), None, at
            )

    async def load(self, certificate_type: str) -> BookPicture:
        self.reads += 1
        if self.away:
            raise ConnectionError("the database is away")
        loaded = self.committed[certificate_type]
        await asyncio.sleep(self.read_s)
        return loaded

    async def sequences(self) -> dict[str, int]:
        if self.away:
            raise ConnectionError("the database is away")
        return {certificate_type: picture.sequence for certificate_type, picture in self.committed.items()}

    def commit(self, *changes: tuple[str, Level], certificate_type: str = CEA, steps: int = 1) -> BookNotice:
        """Commit changes and return their notice, unsent."""
        before = self.committed[certificate_type]
        bids = {each.price: each for each in before.bids}
        asks = {each.price: each for each in before.asks}
        for side, change in changes:
            levels = bids if side == "BUY" else asks
            levels[change.price] = change
        sequence, at = before.sequence + steps, datetime.now(UTC)
        self.committed[certificate_type] = BookPicture(
            certificate_type,
            sequence,
            tuple(sorted((each for each in bids.values() if each.quantity), reverse=True)),
            tuple(sorted(each for each in asks.values() if each.quantity)),
            Decimal("10.00"),
            at,
        )
        return BookNotice(certificate_type, sequence, before.sequence, changes, Decimal("10.00"), at)


def same(picture: BookPicture | None, other: BookPicture) -> bool:
    """Compare everything but the moment."""
    return picture is not None and replace(picture, at=other.at) == other


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, free_port(PORTS))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture
async def events(redis: RedisServer) -> AsyncIterator[Events]:
    hub = Events(redis.url, "test")
    await hub.start()
    assert await hub.ready(2)
    yield hub
    await hub.stop()


@pytest.fixture
async def books(events: Events, market: Market) -> AsyncIterator[Books]:
    feed = Books(events, (CEA, EUA), market.load, market.sequences)
    await feed.start()
    await until(lambda: same(feed.current(CEA), market.committed[CEA]))
    await asyncio.sleep(0.1)  # the RESYNC of the first subscription is over
    yield feed
    await feed.stop()


async def until(fact: Callable[[], bool], wait_s: float = 5.0) -> float:
    start = time.monotonic()
    while not fact():
        assert time.monotonic() - start < wait_s, "it did not happen in time"
        await asyncio.sleep(0.002)
    return time.monotonic() - start


def send(events: Events, *notices: BookNotice) -> None:
    for notice in notices:
        events.publish("book", notice.message())


def test_checksum_covers_the_best_ten_as_sent() -> None:
    bids = [level(f"{20 - number}.5", 100 + number) for number in range(12)]
    asks = [level("30"), level("31.05", 1_000_000)]
    text = "".join(f"b:{20 - number}.50:{100 + number};" for number in range(10)) + "a:30.00:10;a:31.05:1000000;"
    assert checksum(bids, asks) == zlib.crc32(text.encode())
    assert checksum([], []) == 0
    assert checksum([Level(Decimal("9.5"), Decimal("1E+2"), 1)], []) == zlib.crc32(b"b:9.50:100;")


def test_a_notice_survives_the_wire() -> None:
    notice = BookNotice(
        CEA, 8, 5, (("BUY", level("9.90", 0, 0)), ("SELL", level("10.10"))), None, datetime(2026, 1, 2, tzinfo=UTC)
    )
    assert notice.message() == {
        "certificateType": "CEA",
        "sequence": 8,
        "previousSequence": 5,
        "changes": [["BUY", "9.90", "0", 0], ["SELL", "10.10", "10", 1]],
        "lastPrice": None,
        "at": "2026-01-02T00:00:00+00:00",
    }
    assert BookNotice.of(notice.message()) == notice


@pytest.mark.parametrize(
    "wrong",
    [
        {"sequence": 5},
        {"sequence": "x"},
        {"changes": [["HOLD", "1", "1", 1]]},
        {"changes": [["BUY", "one", "1", 1]]},
        {"changes": [["BUY", "1"]]},
        {"changes": None},
        {"at": "yesterday"},
        {"lastPrice": {}},
        {"lastPrice": "NaN"},
    ],
)
def test_a_notice_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    message = BookNotice(CEA, 8, 5, (), None, datetime.now(UTC)).message()
    with pytest.raises(ValueError, match="not a book notice"):
        BookNotice.of(message | wrong)


async def test_contiguous_notices_carry_the_picture_without_a_read(
    events: Events, books: Books, market: Market
) -> None:
    reads = market.reads
    for price in ("9.97", "9.96", "9.95"):
        send(events, market.commit(("BUY", level(price)), ("SELL", level("10.02", 7, 2))))
    send(events, market.commit(("BUY", level("9.95", 0, 0)), certificate_type=CEA, steps=4))
    took = await until(lambda: same(books.current(CEA), market.committed[CEA]))
    assert took < 0.25
    assert market.reads == reads
    picture = books.current(CEA)
    assert picture is not None
    assert [str(each.price) for each in picture.bids] == ["9.99", "9.98", "9.97", "9.96"]
    assert picture.checksum == checksum(picture.bids, picture.asks)


async def test_watchers_see_the_picture_first_then_the_newest_and_share_it(
    events: Events, books: Books, market: Market
) -> None:
    async with aclosing(books.watch(CEA)) as one, aclosing(books.watch(CEA)) as two:
        assert same(await anext(one), market.committed[CEA])
        await anext(two)
        send(events, market.commit(("BUY", level("9.97"))))
        async with asyncio.timeout(0.25):
            first, second = await anext(one), await anext(two)
        assert first is second
        assert same(first, market.committed[CEA])
        assert books.watchers == 2
    assert books.watchers == 0


async def test_a_slow_watcher_gets_the_newest_only_and_a_quick_one_at_most_twenty_a_second(
    events: Events, books: Books, market: Market
) -> None:
    seen: list[int] = []

    async def quick() -> None:
        async for picture in books.watch(CEA):
            seen.append(picture.sequence)  # noqa: PERF401 (read while it grows)

    reader = asyncio.create_task(quick())
    async with aclosing(books.watch(CEA)) as slow:
        await anext(slow)
        for number in range(100):
            send(events, market.commit(("BUY", level("9.90", number + 1))))
            await asyncio.sleep(0.005)
        await until(lambda: same(books.current(CEA), market.committed[CEA]))
        assert (await anext(slow)).sequence == market.committed[CEA].sequence
    await until(lambda: seen[-1] == market.committed[CEA].sequence)
    reader.cancel()
    await asyncio.wait([reader])
    assert seen == sorted(set(seen))
    assert 5 < len(seen) <= 30


async def test_a_gap_is_read_from_the_database_once(events: Events, books: Books, market: Market) -> None:
    reads = market.reads
    market.commit(("BUY", level("9.97")))  # this notice is lost
    send(events, market.commit(("BUY", level("9.96"))), market.commit(("BUY", level("9.95"))))
    took = await until(lambda: same(books.current(CEA), market.committed[CEA]))
    assert took < 0.5
    await asyncio.sleep(0.3)
    assert market.reads == reads + 1


async def test_notices_in_the_wrong_order_need_no_read(events: Events, books: Books, market: Market) -> None:
    reads = market.reads
    notices = [market.commit(("BUY", level("9.9", number + 1))) for number in range(4)]
    send(events, notices[2], notices[0], notices[3], notices[1], notices[1])
    await until(lambda: same(books.current(CEA), market.committed[CEA]))
    assert market.reads == reads


async def test_a_lost_last_notice_is_missed_for_a_second_only(books: Books, market: Market) -> None:
    market.commit(("BUY", level("9.97")))
    took = await until(lambda: same(books.current(CEA), market.committed[CEA]))
    assert took < 1.5


async def test_a_notice_from_nowhere_costs_one_read(events: Events, books: Books, market: Market) -> None:
    reads = market.reads
    ahead = BookNotice(CEA, 1_000, 999, (("BUY", level("50")),), None, datetime.now(UTC))
    send(events, ahead)
    events.publish("book", {"certificateType": "GOLD"})
    events.publish("book", {})
    await asyncio.sleep(1)
    assert market.reads - reads <= 5
    assert same(books.current(CEA), market.committed[CEA])


async def test_a_crossed_picture_is_never_shown(events: Events, books: Books, market: Market) -> None:
    shown: list[BookPicture] = []

    async def watch() -> None:
        async for picture in books.watch(CEA):
            shown.append(picture)  # noqa: PERF401 (read while it grows)

    reader = asyncio.create_task(watch())
    wrong = replace(market.commit(("BUY", level("9.97"))), changes=(("BUY", level("10.01")),))
    send(events, wrong)
    await until(lambda: same(books.current(CEA), market.committed[CEA]))
    reader.cancel()
    await asyncio.wait([reader])
    assert shown
    assert not any(picture.is_crossed for picture in shown)


async def test_without_redis_the_truth_arrives_within_two_seconds(
    redis: RedisServer, books: Books, market: Market, events: Events
) -> None:
    redis.kill()
    await until(lambda: not events.connected)
    for number in range(3):
        market.commit(("BUY", level("9.90", number + 1)))  # committed by another process
        took = await until(lambda: same(books.current(CEA), market.committed[CEA]))
        assert took < 2
    own = market.commit(("BUY", level("9.91")))
    send(events, own)  # committed by this process: no poll needed
    assert await until(lambda: same(books.current(CEA), market.committed[CEA])) < 0.5
    reads = market.reads
    redis.start()
    await until(lambda: events.connected)
    await until(lambda: market.reads > reads)  # after a RESYNC the database is asked
    send(events, market.commit(("BUY", level("9.92"))))
    assert await until(lambda: same(books.current(CEA), market.committed[CEA])) < 0.25


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the feed ask and repeat ten times as often; ask for before the feed."""
    monkeypatch.setattr(books_module, "RESEND_S", 0.4)
    monkeypatch.setattr(books_module, "TICK_S", 0.1)


@pytest.mark.usefixtures("hurried")
async def test_without_change_the_picture_comes_again_and_says_how_fresh_it_is(books: Books, market: Market) -> None:
    async with aclosing(books.watch(CEA)) as watcher:
        await anext(watcher)
        async with asyncio.timeout(5):
            again = await anext(watcher)
            fresh = await anext(watcher)
            assert fresh.at > again.at
            assert same(fresh, again)
            await asyncio.sleep(0.5)
            market.away = True  # nothing confirms the picture any more: it still comes, with its true age
            await asyncio.sleep(0.5)
            old = [(await anext(watcher)).at for _ in range(3)]
        assert len(set(old)) == 1
        assert (datetime.now(UTC) - old[0]).total_seconds() > 0.8


async def test_a_picture_is_sent_again_within_five_seconds(books: Books) -> None:
    async with aclosing(books.watch(EUA)) as watcher:
        await anext(watcher)
        async with asyncio.timeout(5):
            await anext(watcher)


async def test_a_thousand_watchers_cost_no_reads(events: Events, books: Books, market: Market) -> None:
    reads, pictures = market.reads, 0

    async def watch() -> None:
        nonlocal pictures
        async for _ in books.watch(CEA):
            pictures += 1

    watchers = [asyncio.create_task(watch()) for _ in range(1_000)]
    await until(lambda: pictures == 1_000)
    for number in range(10):
        send(events, market.commit(("BUY", level("9.9", number + 1))))
        await asyncio.sleep(0.06)
    await until(lambda: same(books.current(CEA), market.committed[CEA]))
    assert books.watchers == 1_000
    for watcher in watchers:
        watcher.cancel()
    await asyncio.wait(watchers)
    assert books.watchers == 0
    assert pictures >= 5_000
    assert market.reads == reads


async def test_a_database_that_went_back_is_believed(books: Books, market: Market) -> None:
    for _ in range(3):
        market.commit(("BUY", level("9.97")))
    await until(lambda: same(books.current(CEA), market.committed[CEA]))
    restored = replace(market.committed[CEA], sequence=6, bids=())
    market.committed[CEA] = restored
    await until(lambda: same(books.current(CEA), restored))


async def test_random_commits_with_losses_and_slow_reads_end_in_the_truth(
    redis: RedisServer, events: Events, books: Books, market: Market
) -> None:
    dice = random.Random(7)
    history = {market.committed[CEA].sequence: market.committed[CEA]}
    wrong: list[int] = []

    async def watch() -> None:
        last = 0
        async for picture in books.watch(CEA):
            if picture.sequence < last or not same(picture, history[picture.sequence]):
                wrong.append(picture.sequence)
            last = picture.sequence

    reader = asyncio.create_task(watch())
    market.read_s = 0.02
    late: list[BookNotice] = []
    for number in range(2_000):
        side = dice.choice(("BUY", "SELL"))
        price = 999 - dice.randrange(30) if side == "BUY" else 1001 + dice.randrange(30)
        change = Level(Decimal(price) / 100, Decimal(dice.choice((0, 0, 5, 10))), 1)
        notice = market.commit((side, change), steps=dice.choice((1, 1, 3)))
        history[notice.sequence] = market.committed[CEA]
        fate = dice.random()
        if fate < 0.05:
            late.append(notice)
        elif fate > 0.01:
            send(events, notice, *late)
            late.clear()
        if number == 1_000:
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        if number % 10 == 0:
            await asyncio.sleep(0.005)
    await until(lambda: same(books.current(CEA), market.committed[CEA]))
    reader.cancel()
    await asyncio.wait([reader])
    assert not wrong


async def test_a_database_away_at_start_is_waited_for(
    events: Events, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "WATCH_S_MAX", 0.3)
    market.away = True
    feed = Books(events, (CEA, EUA), market.load, market.sequences)
    await feed.start()
    with pytest.raises(BookUnavailableError):
        await anext(feed.watch(CEA))
    assert feed.current(CEA) is None
    market.away = False
    async with asyncio.timeout(2):
        async for picture in feed.watch(CEA):
            assert same(picture, market.committed[CEA])
            break
    await feed.stop()


async def test_stop_ends_watchers_and_leaves_no_task(events: Events, market: Market) -> None:
    before = asyncio.all_tasks()
    feed = Books(events, (CEA, EUA), market.load, market.sequences)
    await feed.start()
    seen = 0

    async def watch() -> None:
        nonlocal seen
        async for _ in feed.watch(EUA):
            seen += 1

    watcher = asyncio.create_task(watch())
    await until(lambda: seen > 0)
    await feed.stop()
    async with asyncio.timeout(1):
        await watcher
    assert feed.watchers == 0
    assert asyncio.all_tasks() == before
    assert events.counters.listeners == 0
