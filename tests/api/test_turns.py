"""Heavy documents take turns and leave most of the time to others; light ones wait for nobody."""

from __future__ import annotations

import asyncio
import time

import pytest

from api import turns
from api.errors import RequestError
from api.turns import DESK_REST, HEAVY_POINTS_MIN, READER_REST, Turns
from tests.world import Api

HEAVY = HEAVY_POINTS_MIN + 1


async def test_light_documents_wait_for_nobody_and_heavy_ones_for_each_other() -> None:
    taken = Turns()
    order: list[str] = []

    async def one(name: str, points: int) -> None:
        async with taken.taken(points):
            order.append(name)
            await asyncio.sleep(0.02)
            order.append(name)

    await asyncio.gather(one("a", HEAVY), one("b", HEAVY), one("light", HEAVY_POINTS_MIN))
    assert order.index("light") < 4
    heavy = [name for name in order if name != "light"]
    assert heavy == ["a", "a", "b", "b"]


async def test_the_turn_is_kept_for_several_times_what_a_document_took() -> None:
    taken = Turns()
    async with taken.taken(HEAVY):
        ends = time.thread_time() + 0.05
        while time.thread_time() < ends:
            pass
    begun = time.monotonic()
    async with taken.taken(HEAVY):
        assert time.monotonic() - begun >= 0.05 * DESK_REST * 0.9


async def test_a_reader_rests_for_what_it_and_the_database_worked() -> None:
    taken = Turns(is_reader=True)
    async with taken.taken(HEAVY):
        await asyncio.sleep(0.2)  # for the database, say: time of the thread would not count it
    begun = time.monotonic()
    async with taken.taken(HEAVY):
        assert 0.2 * READER_REST * 0.9 <= time.monotonic() - begun < 0.2 * DESK_REST


async def test_who_would_wait_too_long_or_with_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAIT_S_MAX", 0.05)
    taken = Turns()
    async with taken.taken(HEAVY):
        with pytest.raises(RequestError) as late:
            await taken.taken(HEAVY).__aenter__()
        assert late.value.extensions == {"code": "RATE_LIMITED", "retryAfter": 0}
        monkeypatch.setattr(turns, "WAITING_MAX", 0)
        with pytest.raises(RequestError, match="Other heavy documents"):
            await taken.taken(HEAVY).__aenter__()


async def test_a_heavy_query_that_finds_no_turn_is_refused_with_a_code(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = "{ tickets(first: 100) { nodes { ticketId relatedTickets { ticketId } } } }"
    assert (await api.ask(document)).errors == []
    monkeypatch.setattr(turns, "WAITING_MAX", 0)
    refused = await api.ask(document)
    assert [error["extensions"]["code"] for error in refused.errors] == ["RATE_LIMITED"]
    assert (await api.ask("{ me { id } }")).errors == []
