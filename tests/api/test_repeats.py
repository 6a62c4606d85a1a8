"""A question asked again is answered anew: with what has happened since, and to each caller his own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api.repeats import Repeat
from tests.world import Api

NAMES = (
    "query Names($n: Int) { marketMakers(first: $n) { nodes { name orders(first: 2) { nodes { id } } } totalCount } }"
)
OWN = "query Own { orders(first: 10) { nodes { id quantity } } }"


@contextmanager
def repeated(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Count the answers that were repeated."""
    seen: list[bool] = []
    answer = Repeat.answer

    async def counted(repeat: Repeat, context: Any) -> Any:
        result = await answer(repeat, context)
        seen.append(result is not None)
        return result

    monkeypatch.setattr(Repeat, "answer", counted)
    yield seen


async def test_what_is_asked_again_shows_what_has_happened_since(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.maker("MM-Again-A", CEA="10")
    with repeated(monkeypatch) as seen:
        first = await api.ask(NAMES, n=50)
        second = await api.ask(NAMES, n=50)
        assert second.data == first.data
        assert second.extensions == first.extensions
        maker = await api.maker("MM-Again-B", CEA="10")
        order = (await api.sell(maker["id"], "25.00", "1"))["order"]["id"]
        third = await api.ask(NAMES, n=50)
        assert seen == [True, True]
    named = {node["name"]: node["orders"]["nodes"] for node in third["marketMakers"]["nodes"]}
    assert named["MM-Again-B"] == [{"id": order}]
    assert third["marketMakers"]["totalCount"] == first["marketMakers"]["totalCount"] + 1


async def test_each_caller_is_repeated_his_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = [await api.trader(EUR="1000") for _ in range(2)]
    placed = (await api.order(one, "BUY", "20.00", "3"))["order"]
    with repeated(monkeypatch) as seen:
        for _ in range(2):
            assert (await api.ask(OWN, one.token))["orders"]["nodes"] == [{"id": placed["id"], "quantity": "3"}]
            assert (await api.ask(OWN, other.token))["orders"]["nodes"] == []
        assert seen == [True, True]


async def test_other_variables_are_another_question_and_an_error_is_never_repeated(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with repeated(monkeypatch) as seen:
        assert len((await api.ask(NAMES, n=1))["marketMakers"]["nodes"]) == 1
        assert (await api.ask(NAMES, n=0))["marketMakers"]["nodes"] == []
        for _ in range(2):
            refused = await api.ask(NAMES, n=101)
            assert [error["extensions"]["code"] for error in refused.errors] == ["BAD_REQUEST"]
        assert seen == []


async def test_a_question_that_fails_when_repeated_is_executed_and_says_why(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.ask(NAMES, n=7)

    async def fails(_repeat: Repeat, _context: Any) -> None:
        return None

    monkeypatch.setattr(Repeat, "answer", fails)
    assert (await api.ask(NAMES, n=7)).errors == []


async def test_an_ended_session_repeats_nothing(api: Api) -> None:
    trader = await api.trader()
    for _ in range(2):
        await api.ask(OWN, trader.token)
    await api.ask("mutation { logout { ticketId } }", trader.token)
    denied = await api.post(OWN, token=trader.token)
    assert denied.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
