"""Reader processes: they answer as the process itself would, with the same rights, and trading does not feel it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from api.cost import COSTS_MAX
from api.errors import RETRY_AFTER_S
from api.guard import CLIENT, SECRET, SESSION
from api.readers import WAIT_S_MAX
from api.settings import Settings
from api.supervisor import ORPHAN_WAIT_S
from domain.people import UserRole
from tests.watching import following, until_true
from tests.world import PASSWORD, Api, Served, Trader, serving_apart

HEAVY = "query Q($n: Int = 40) { tickets(first: $n) { nodes { ticketId relatedTickets { ticketId actionType } } } }"
COUNTED = "aggregateTrades(groupBy: [BUYER], first: 5) { groups { count } }"
MANY = f"{{ {' '.join(f'a{number}: {COUNTED}' for number in range(16))} }}"
AT_WORK = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
  AND application_name = 'carbondesk-analysts'"""
SOME = "query Q($n: Int!) { tickets(first: $n) { nodes { ticketId } } }"
OWN = "{ orders(first: 100) { nodes { id user { id } trades(first: 10) { nodes { id price quantity notional } } } } }"
# The heaviest that an analyst may send and no plan can answer.
LOOP = """query Q($n: Int!) { orders(first: 100) { nodes { id trades(first: $n) { nodes { id price quantity notional
  executedAt takerSide status ticketId buyer { name } marketMaker { balance(asset: CEA) { available } } } } } } }"""
START_S_MAX = 60.0  # a reader yields to whatever else runs here
ORDERS, ORDERS_WARM = 40, 5
RATIO_MAX = 12.0  # the goal of the bench is 1.2; here others share the cores


@pytest.fixture(scope="module")
async def served(api: Api, settings: Settings) -> AsyncIterator[Served]:
    """Serve the same market by a process with one reader."""
    async with serving_apart(settings.model_copy(update={"readers": 1}), "an API with a reader") as served:
        await reading(served)
        yield served


@pytest.fixture(scope="module")
async def sender(api: Api, served: Served) -> Api:
    """Ask the process that sends on."""
    return Api(served.url, api.database_url, api.admin_email, api.admin_token)


@pytest.fixture(scope="module")
async def analyst(api: Api) -> str:
    """Return the token of an analyst, in a market with some trades."""
    maker = await api.maker(CEA="1000")
    trader = await api.trader(EUR="100000")
    for number in range(30):
        await api.sell(maker["id"], "20.00", "2")
        await api.order(trader, "BUY", "20.00", "1" if number % 2 else "2")
    return await analyst_of(api, "reader-analyst@desk.test")


async def analyst_of(api: Api, email: str) -> str:
    person = {"email": email, "name": "A", "role": "ANALYST", "password": PASSWORD}
    made = await api.ask("mutation($i: CreateUserInput!) { createUser(input: $i) { errors { code } } }", i=person)
    assert made["createUser"]["errors"] == []
    return await api.login(email)


async def got(url: str, token: str | None = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(url, headers={"Authorization": f"Bearer {token}"} if token else {})


async def told(api: Api, token: str | None, document: str, variables: dict[str, Any]) -> list[str]:
    """Return the messages of one operation on a socket, to its last."""
    protocol = Subprotocol("graphql-transport-ws")
    async with connect(api.socket_url, subprotocols=[protocol], max_size=None) as socket, asyncio.timeout(30):
        payload = {"Authorization": f"Bearer {token}"} if token else {}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        asked = {"query": document, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": asked}))
        found = []
        async for message in socket:
            assert isinstance(message, str)
            found.append(message)
            if json.loads(message)["type"] != "next":
                break
        return found


async def reading(served: Served) -> None:
    """Wait until the reader of a process answers."""
    async with asyncio.timeout(START_S_MAX):
        while (await got(served.url.replace("/graphql", "/readyz"))).json()["readers"] != "1 of 1":  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)


async def handed_over(served: Served) -> float:
    text = (await got(served.url.replace("/graphql", "/metrics"))).text
    (line,) = [line for line in text.splitlines() if line.startswith("carbondesk_handed_over_queries_total ")]
    return float(line.split()[1])


def reader_of(served: Served) -> psutil.Process:
    """Return the reader process of an API process."""
    assert served.child.pid is not None
    found = [one for one in psutil.Process(served.child.pid).children() if "reader" in one.cmdline()]
    (process,) = found
    return process


QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("{ me { email role } marketMakers { nodes { id name } } }", {}),
    (HEAVY, {"n": 40}),
    (LOOP, {"n": 5}),
    ("{ aggregateTrades(groupBy: [CERTIFICATE_TYPE]) { groups { certificateType count notionalSum } } }", {}),
    ("query A { me { id } } query B { me { email } }", {}),
    ("{ me { id ", {}),
    ("{ nothing }", {}),
    ("{ users(first: 2) { nodes { id email } } }", {}),
    ("{ ticket(ticketId: 7) { ticketId } }", {}),
    (SOME, {"n": "many"}),
    (LOOP, {"n": 100}),
    ('{ tickets(first: 40, filter: { search: "mutation" }) { nodes { ticketId relatedTickets { summary } } } }', {}),
]


@pytest.mark.parametrize(("document", "variables"), QUESTIONS)
async def test_an_analyst_is_answered_by_a_reader_in_the_same_bytes(
    api: Api, sender: Api, served: Served, analyst: str, document: str, variables: dict[str, Any]
) -> None:
    before = await handed_over(served)
    for accepted in ("application/json", "application/graphql-response+json"):
        here = await api.post(document, variables, analyst, Accept=accepted)
        there = await sender.post(document, variables, analyst, Accept=accepted)
        assert there.content == here.content
        assert there.status_code == here.status_code
        for name in ("content-type", "cache-control", "content-length", "x-content-type-options", "allow"):
            assert there.headers.get(name) == here.headers.get(name), name
    assert await handed_over(served) == before + 2


async def test_what_is_asked_by_get_is_answered_by_a_reader_too(
    api: Api, sender: Api, served: Served, analyst: str
) -> None:
    before = await handed_over(served)
    for asked in ("query=%7B+me+%7B+email+%7D+%7D", "query=mutation+%7B+logout+%7B+ticketId+%7D+%7D", "query="):
        here, there = await got(f"{api.url}?{asked}", analyst), await got(f"{sender.url}?{asked}", analyst)
        assert (there.status_code, there.content) == (here.status_code, here.content)
        assert there.headers.get("allow") == here.headers.get("allow")
    assert await handed_over(served) == before + 1  # a mutation, and nothing, are refused at once


async def test_light_queries_of_others_and_all_mutations_stay(sender: Api, served: Served, analyst: str) -> None:
    before = await handed_over(served)
    assert (await sender.ask("{ me { role } }"))["me"]["role"] == "ADMIN"
    signed_out = await sender.ask("mutation { logout { ticketId errors { code } } }", await sender.login(
        "reader-analyst@desk.test"
    ))  # fmt: skip
    assert signed_out["logout"]["errors"] == []
    assert (await sender.ask("mutation { logout { ticketId } }", "")).errors != []
    assert await handed_over(served) == before
    assert (await sender.ask(HEAVY)).errors == []
    assert await handed_over(served) == before + 1


async def test_a_reader_shows_a_trader_his_own_only_and_nothing_to_a_session_that_ended(
    api: Api, sender: Api, served: Served, analyst: str
) -> None:
    async def trader() -> Trader:
        made = await api.trader(EUR="1000")
        assert (await api.order(made, "BUY", "1.00", "3"))["errors"] == []
        return made

    first, second = await trader(), await trader()
    before = await handed_over(served)
    for one in (first, second):
        answered = await sender.ask(OWN, one.token)
        assert answered.extensions["cost"]["limit"] == COSTS_MAX[UserRole.TRADER]
        assert {order["user"]["id"] for order in answered["orders"]["nodes"]} == {one.id}
    assert await handed_over(served) == before + 2
    denied = await sender.ask(OWN, "")
    assert {error["extensions"]["code"] for error in denied.errors} == {"UNAUTHENTICATED"}
    await api.ask("mutation($id: ID!) { revokeSessions(userId: $id) { errors { code } } }", id=first.id)
    refused = await sender.ask(OWN, first.token)
    assert [error["extensions"]["code"] for error in refused.errors] == ["UNAUTHENTICATED"]
    assert (await sender.ask(OWN, second.token)).errors == []


async def test_a_reader_answers_nobody_but_its_parent(served: Served, analyst: str) -> None:
    (listening,) = {
        one.laddr.port for one in reader_of(served).net_connections("tcp") if one.status == psutil.CONN_LISTEN
    }
    url, asked = f"http://127.0.0.1:{listening}/graphql", {"query": "{ me { id } }"}
    async with httpx.AsyncClient(timeout=10) as client:
        for headers in ({}, {SECRET: ""}, {SECRET: "guessed", CLIENT: "10.0.0.1"}, {SECRET: "guessed", SESSION: ""}):
            answer = await client.post(url, json=asked, headers={"Authorization": f"Bearer {analyst}", **headers})
            assert answer.status_code == 403
            assert "data" not in answer.text
    assert reader_of(served).nice() > psutil.Process(served.child.pid).nice()


@pytest.mark.parametrize(("document", "variables"), QUESTIONS)
async def test_an_analyst_is_told_the_same_on_a_socket(
    api: Api, sender: Api, served: Served, analyst: str, document: str, variables: dict[str, Any]
) -> None:
    before = await handed_over(served)
    assert await told(sender, analyst, document, variables) == await told(api, analyst, document, variables)
    assert await handed_over(served) == before + 1


async def test_a_socket_is_told_by_a_reader_what_its_session_may_see(
    api: Api, sender: Api, served: Served, analyst: str
) -> None:
    trader = await api.trader(EUR="1000")
    assert (await api.order(trader, "BUY", "1.00", "3"))["errors"] == []
    before = await handed_over(served)
    assert await told(sender, api.admin_token, HEAVY, {}) == await told(api, api.admin_token, HEAVY, {})
    for token in (trader.token, None):
        assert await told(sender, token, OWN, {}) == await told(api, token, OWN, {})
    (own, _) = await told(sender, trader.token, OWN, {})
    assert trader.id in own and "cost" in own
    assert await handed_over(served) == before + 4
    for one in (sender, api):  # JSON has no such figure, so the words differ
        (refused,) = await told(one, analyst, SOME, {"n": 10**400})
        assert '"code":"BAD_REQUEST"' in refused
    light = "{ me { role } }"
    assert await told(sender, trader.token, light, {}) == await told(api, trader.token, light, {})
    book = "subscription { orderBook(certificateType: CEA) { sequence } }"
    async with sender.watching(analyst) as session, following(session, book) as next_event:
        assert "sequence" in await next_event()  # streams stay
    assert await handed_over(served) == before + 4


async def test_a_heavy_document_asks_the_database_for_one_thing_at_a_time(
    api: Api, sender: Api, served: Served, analyst: str
) -> None:
    async def asking() -> None:
        for _ in range(10):
            assert (await sender.ask(MANY, analyst)).errors == []

    seen, asked = set(), asyncio.create_task(asking())
    while not asked.done():
        (row,) = await api.sql(AT_WORK)
        seen.add(row["count"])
    await asked
    assert max(seen) == 1


async def test_a_reader_that_is_killed_is_missed_for_a_moment_and_in_clear_words(
    sender: Api, served: Served, analyst: str
) -> None:
    before = reader_of(served)
    under_way = asyncio.gather(*(sender.post(LOOP, {"n": 5}, analyst) for _ in range(8)))
    await asyncio.sleep(0.02)
    before.send_signal(signal.SIGKILL)
    begun = time.monotonic()
    answers = [*await under_way, await sender.post(HEAVY, token=analyst)]
    for answer in answers:
        if answer.status_code != 200:
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)
            (error,) = answer.json()["errors"]
            assert error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": RETRY_AFTER_S}
    assert (await sender.ask("{ me { role } }")).errors == []  # what stays is not touched
    while (await sender.post(HEAVY, token=analyst)).status_code != 200:
        assert time.monotonic() - begun < START_S_MAX
    assert reader_of(served).pid != before.pid


async def test_while_no_reader_answers_heavy_documents_are_refused_within_bounds(
    sender: Api, served: Served, analyst: str
) -> None:
    process = reader_of(served)
    process.send_signal(signal.SIGSTOP)  # it ends only when it goes on: it is there, and says nothing
    begun = time.monotonic()
    try:
        waiting = asyncio.create_task(sender.post(HEAVY, token=analyst))
        await asyncio.sleep(0.2)
        assert (await sender.ask("{ me { role } }")).errors == []
        process.kill()
        answer = await waiting
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert answer.status_code == 503
    assert time.monotonic() - begun < WAIT_S_MAX + 2
    await reading(served)


async def test_placing_orders_does_not_feel_heavy_documents_in_a_loop(
    api: Api, sender: Api, served: Served, analyst: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trader = await api.trader(EUR="100000")
    order = {"side": "BUY", "certificateType": "CEA", "price": "1.00", "quantity": "1"}
    document = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } order { id } } }"

    async def placed() -> float:
        took = []
        async with httpx.AsyncClient(timeout=30, headers={"Authorization": f"Bearer {trader.token}"}) as client:
            for _ in range(ORDERS_WARM + ORDERS):
                begun = time.perf_counter()
                answer = await client.post(sender.url, json={"query": document, "variables": {"input": order}})
                took.append(time.perf_counter() - begun)
                assert answer.json()["data"]["placeOrder"]["errors"] == []
        return statistics.median(took[ORDERS_WARM:])

    async def asking() -> None:
        async with httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {analyst}"}) as client:
            while True:
                answer = await client.post(sender.url, json={"query": LOOP, "variables": {"n": 30}})
                answers.append(answer.status_code)

    answers: list[int] = []
    alone = await placed()
    loops = [asyncio.create_task(asking()) for _ in range(2)]
    try:
        await asyncio.sleep(0.5)
        beside = await placed()
        await until_true(lambda: 200 in answers, START_S_MAX)
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    with capsys.disabled():
        print(  # noqa: T201 - figures for the log
            f"\n[placeOrder p50 alone {alone * 1e3:.1f} ms, beside {beside * 1e3:.1f} ms: {beside / alone:.2f}]",
            end=" ",
        )
    assert beside <= alone * RATIO_MAX


@pytest.mark.parametrize("how", ["killed", "told to end"])
async def test_no_reader_outlives_its_parent(api: Api, settings: Settings, analyst: str, how: str) -> None:
    async with serving_apart(settings.model_copy(update={"readers": 1}), "an API that ends") as ending:
        await reading(ending)
        process = reader_of(ending)
        assert ending.child.pid is not None
        sent: Callable[[], Awaitable[httpx.Response]] = lambda: Api(ending.url, "").post(HEAVY, token=analyst)  # noqa: E731
        assert (await sent()).status_code == 200
        parent = psutil.Process(ending.child.pid)
        parent.send_signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        await until_true(lambda: not process.is_running(), ORPHAN_WAIT_S + 20)  # at the lowest priority
        await until_true(lambda: ending.child.exit_code() is not None)
        assert ending.child.exit_code() == (-signal.SIGKILL if how == "killed" else 0)
