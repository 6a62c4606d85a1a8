"""A book that is followed by its changes: whole at first, then without a gap, and silence is seen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from gql.transport.exceptions import TransportQueryError

from api import books as books_module
from api.context import Services
from api.settings import Settings
from db import journal
from domain.money import CertificateType
from tests.ladders import CHANGES, Follower, books_of
from tests.watching import following, until, until_true
from tests.world import CANCEL_MARKET_ORDER, Api


@asynccontextmanager
async def followed(api: Api, after: int | None = None, token: str = "") -> AsyncIterator[tuple[Follower, Any]]:
    """Follow CEA; yield the follower and what makes it take the next event and return that."""
    follower = Follower(sequence=after)
    async with api.watching(token) as session, following(session, CHANGES, type="CEA", after=after) as event:

        async def step() -> Any:
            taken = await event()
            follower.take(taken)
            return taken

        yield follower, step


def is_heartbeat(event: dict[str, Any]) -> bool:
    return bool(event["__typename"] == "OrderBookHeartbeat")


async def sequence_of(api: Api) -> int:
    (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
    sequence: int = row["sequence"]
    return sequence


async def truth(api: Api) -> dict[int, str]:
    """Return the book of CEA after each event of the journal."""
    rows = await api.sql(
        "SELECT sequence, level_changes FROM book_events WHERE certificate_type = 'CEA' ORDER BY sequence"
    )
    return books_of([{"sequence": row["sequence"], "changes": json.loads(row["level_changes"])} for row in rows])


async def reached(follower: Follower, step: Any, sequence: int) -> None:
    while follower.sequence != sequence:
        await step()


# --------------------------------------------------------------------------------------------------------- what comes


async def test_the_whole_book_comes_first_then_each_change_with_its_checksum(api: Api) -> None:
    maker = await api.maker(CEA="1000")
    first = await api.sell(maker["id"], "25.50", "10")
    async with followed(api) as (follower, step):
        event = await until(step, lambda one: one["__typename"] == "OrderBookSnapshot")
        assert event["reason"] == "SUBSCRIBED"
        before = event["book"]["sequence"]
        await reached(follower, step, await sequence_of(api))
        assert follower.asks == {"25.50": ("10", 1)}
        await api.sell(maker["id"], "25.50", "5")
        delta = await until(step, lambda one: not is_heartbeat(one))
        assert delta["previousSequence"] + 1 == delta["sequence"]
        assert delta["changes"] == [{"side": "SELL", "price": "25.50", "quantity": "15", "orderCount": 2}]
        await api.ask(CANCEL_MARKET_ORDER, id=first["order"]["id"])
        delta = await until(step, lambda one: not is_heartbeat(one))
        assert delta["changes"] == [{"side": "SELL", "price": "25.50", "quantity": "5", "orderCount": 1}]
        buyer = await api.trader(EUR="10000")
        await api.order(buyer, "BUY", "25.60", "7")
        delta = await until(step, lambda one: not is_heartbeat(one))
        assert {(one["side"], one["price"], one["quantity"]) for one in delta["changes"]} == {
            ("SELL", "25.50", "0"), ("BUY", "25.60", "2")
        }  # fmt: skip
        assert follower.snapshots == ["SUBSCRIBED"]
        assert follower.sequence == await sequence_of(api) >= before
        journaled = await truth(api)
        assert follower.books == {sequence: journaled[sequence] for sequence in follower.books}
    await api.clear()


async def test_every_level_is_sent_and_not_only_the_best(api: Api) -> None:
    maker = await api.maker(CEA="1000")
    placed = await asyncio.gather(*(api.sell(maker["id"], f"30.{number:02}", "1") for number in range(60)))
    async with followed(api) as (follower, step):
        await reached(follower, step, await sequence_of(api))
        assert len(follower.asks) == 60
        await asyncio.gather(*(api.ask(CANCEL_MARKET_ORDER, id=one["order"]["id"]) for one in placed))
        await reached(follower, step, await sequence_of(api))
        assert follower.asks == {}
        journaled = await truth(api)
        assert follower.books == {sequence: journaled[sequence] for sequence in follower.books}


async def test_a_heartbeat_comes_each_second_with_the_sequence_of_the_database(api: Api) -> None:
    maker = await api.maker(CEA="10")
    async with followed(api) as (follower, step):
        await until(step, is_heartbeat)
        begun = time.monotonic()
        seen = [(await until(step, is_heartbeat))["at"] for _ in range(4)]
        assert 2.5 <= time.monotonic() - begun <= 8
        assert seen == sorted(set(seen))
        await api.sell(maker["id"], "31.00", "1")
        await until(step, lambda one: is_heartbeat(one) and one["heartbeat"] == follower.sequence)
        assert follower.known == await sequence_of(api)
    await api.clear()


# --------------------------------------------------------------------------------------------------------- coming back


async def test_who_comes_back_goes_on_from_where_he_was(api: Api, other: Api) -> None:
    maker = await api.maker(CEA="1000")
    async with followed(api) as (before, step):
        await reached(before, step, await sequence_of(api))
    for number in range(5):
        await api.sell(maker["id"], f"32.0{number}", "1")
    for process in (api, other):
        follower = Follower(dict(before.bids), dict(before.asks), before.sequence)
        async with (
            process.watching("") as session,
            following(session, CHANGES, type="CEA", after=before.sequence) as event,
        ):
            follower.take(first := await until(event, lambda one: not is_heartbeat(one)))
            assert (first["__typename"], first["previousSequence"]) == ("OrderBookDelta", before.sequence)
            await reached(follower, lambda f=follower, e=event: _step(f, e), await sequence_of(api))
            assert follower.text() == (await truth(api))[follower.sequence or 0]
            assert follower.snapshots == []
    await api.clear()


async def _step(follower: Follower, event: Any) -> None:
    follower.take(await event())


async def test_a_process_that_was_not_there_resumes_from_the_journal(
    api: Api, settings: Settings, desk_world: Services
) -> None:
    """What a process has not seen happen itself is read from the stored events, up to a bound."""
    maker = await api.maker(CEA="1000")
    start = await sequence_of(api)
    books = desk_world.books
    orders = [(await api.sell(maker["id"], f"33.0{number}", "2"))["order"]["id"] for number in range(3)]
    await api.ask(CANCEL_MARKET_ORDER, id=orders[0])
    end = await sequence_of(api)
    found = await journal.levels_between(desk_world.reader, CertificateType.CEA, start, end)
    assert found is not None
    assert {(one.side.value, f"{one.price}", f"{one.quantity}", one.order_count) for one in found} == {
        ("SELL", "33.00", "0", 0), ("SELL", "33.01", "2", 1), ("SELL", "33.02", "2", 1)
    }  # fmt: skip
    assert await journal.levels_between(desk_world.reader, CertificateType.CEA, end, end + 1) is None
    assert await journal.levels_between(desk_world.reader, CertificateType.CEA, end, end) == []
    book = books.book("CEA")
    await until_true(lambda: book.here.sequence >= end)
    book.ladder.forget()  # as after a start: nothing before now is remembered
    book.must_load = True
    books._load_wanted.set()
    await until_true(lambda: book.ladder.since(start, end) is None and book.here.era == book.ladder.era)
    place, step = await books.resume("CEA", start)
    assert step is not None
    delta, after = step
    assert isinstance(delta, books_module.Delta)
    assert (delta.previous_sequence, delta.sequence, place.sequence, after.sequence) == (start, end, start, end)
    assert {(side, f"{one.price}", f"{one.quantity}") for side, one in delta.changes} == {
        ("SELL", "33.00", "0"), ("SELL", "33.01", "2"), ("SELL", "33.02", "2")
    }  # fmt: skip
    assert delta.checksum == book.ladder.checksum()
    await api.clear()


async def test_too_much_missed_means_a_whole_book(
    api: Api, desk_world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "RESUME_MAX", 2)
    maker = await api.maker(CEA="1000")
    start = await sequence_of(api)
    for number in range(4):
        await api.sell(maker["id"], f"34.0{number}", "2")
    book = desk_world.books.book("CEA")
    await desk_world.books._reach(book, start + 4)
    book.ladder._floor = start + 4
    book.ladder._steps.clear()
    assert await desk_world.books.resume("CEA", start) == (books_module.NOWHERE, None)
    await api.clear()


async def test_a_sequence_that_the_database_never_had_gets_a_whole_book_that_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "REACH_S_MAX", 0.2)
    async with followed(api, after=await sequence_of(api) + 1_000_000) as (follower, step):
        event = await until(step, lambda one: not is_heartbeat(one))
        assert (event["__typename"], event["reason"]) == ("OrderBookSnapshot", "RESYNC")
        assert follower.sequence == await sequence_of(api)


async def test_a_negative_sequence_is_refused(api: Api) -> None:
    async with api.watching("") as session, following(session, CHANGES, type="CEA", after=-1) as event:
        with pytest.raises(TransportQueryError, match="afterSequence is a sequence"):
            await event()


# -------------------------------------------------------------------------------------------------------------- trouble


async def test_a_book_begun_anew_is_sent_whole_and_says_why(api: Api, desk_world: Services) -> None:
    maker = await api.maker(CEA="10")
    await api.sell(maker["id"], "35.00", "1")
    books = desk_world.books
    book = books.book("CEA")
    await books._reach(book, await sequence_of(api))
    place = book.here
    book.forget()
    books._load_wanted.set()
    await until_true(lambda: book.here.era > place.era)
    step = book.next(place)
    assert step is not None and isinstance(step[0], books_module.Snapshot)
    assert (step[0].reason.value, step[1].era) == ("RESYNC", place.era + 1)
    await api.clear()


async def test_who_is_behind_what_is_remembered_gets_a_whole_book_that_says_so(desk_world: Services) -> None:
    book = desk_world.books.book("CEA")
    place = book.here._replace(sequence=book.here.sequence - 1)
    book.ladder._floor = book.here.sequence
    book.ladder._steps.clear()
    book._deltas.clear()
    step = book.next(place)
    assert step is not None and isinstance(step[0], books_module.Snapshot)
    assert step[0].reason.value == "LAGGED"
