"""The hostile corpus: nothing that is sent becomes a fault, and each attempt of somebody known leaves one ticket."""

import gc
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest

from tests.api.hostile import ADMIN, MAKER, NOBODY, TRADER, Case, corpus
from tests.world import Api

CASES = corpus()
CASES_MIN = 300
GROWTH_BYTES_MAX = 24 * 2**20  # of a whole round of the corpus, bodies of 10 MB among it, after a first one
P99_S_MAX = 1.0  # 0.2 s on a machine of its own; two busy cores get five times that
ROUND_SECONDS_MAX = 300


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
async def told(api: Api) -> dict[str, str]:
    """Return what a case cannot know: the tokens by who sends it, and a maker's id."""
    trader = await api.trader(EUR="100")
    maker = await api.maker("MM-Hostile", CEA="100", EUR="10")
    return {ADMIN: api.admin_token, TRADER: trader.token, NOBODY: "", MAKER: maker["id"]}


async def sent(api: Api, client: httpx.AsyncClient, told: dict[str, str], case: Case) -> httpx.Response | None:
    """Send a case; None where the connection was closed upon a body that was too large before all of it was sent."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in case.headers.items()]
    if told[case.who]:
        headers.append((b"Authorization", f"Bearer {told[case.who]}".encode()))
    body = case.body.replace(MAKER.encode(), told[MAKER].encode())
    url = f"{api.url}?{case.query_string}" if case.query_string else api.url
    try:
        return await client.request(case.method, url, content=body or None, headers=headers)
    except (httpx.ReadError, httpx.WriteError):
        assert case.status == 413, case.name
        return None


def refused(body: dict[str, Any]) -> int:
    """Count the root fields of an answer that were not carried out."""
    tickets = body.get("extensions", {}).get("tickets", {})
    return sum(not (payload := (body.get("data") or {}).get(alias)) or bool(payload["errors"]) for alias in tickets)


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= CASES_MIN


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
async def test_a_hostile_request_is_answered_in_order(
    api: Api, client: httpx.AsyncClient, told: dict[str, str], case: Case
) -> None:
    count = await api.ticket_count()
    response = await sent(api, client, told, case)
    if response is None:
        assert await api.ticket_count() == count
        return
    assert response.status_code < 500
    assert response.status_code == (case.status or response.status_code)
    rows = [row for row in await api.tickets_since(count) if row["attempt_id"] is not None]
    assert len(rows) == case.attempts, [row["summary"] for row in rows]
    if case.method == "HEAD" or response.headers["content-type"].startswith("text/plain"):  # uvicorn's own refusal
        assert not rows
        return
    body = response.json()
    codes = [error["extensions"]["code"] for error in body.get("errors", ())]
    assert "INTERNAL" not in codes, body
    assert "Traceback" not in response.text
    assert "asyncpg" not in response.text
    assert sorted(body.get("extensions", {}).get("tickets", {}).values()) == sorted(row["ticket_id"] for row in rows)
    assert [row["status"] for row in rows].count("FAILED") == refused(body)
    for row in rows:
        assert row["error_code"] != "INTERNAL"
        json.loads(row["request_payload"])


@pytest.mark.timeout(2 * ROUND_SECONDS_MAX)
async def test_a_round_of_the_corpus_is_quick_and_leaves_no_memory_behind(
    api: Api, client: httpx.AsyncClient, told: dict[str, str]
) -> None:
    process = psutil.Process()
    resident: list[int] = []
    for _ in range(2):
        taken: list[float] = []
        for case in CASES:
            started = time.perf_counter()
            await sent(api, client, told, case)
            taken.append(time.perf_counter() - started)
        gc.collect()
        resident.append(process.memory_info().rss)
    assert resident[1] - resident[0] <= GROWTH_BYTES_MAX
    assert sorted(taken)[len(taken) * 99 // 100] <= P99_S_MAX
