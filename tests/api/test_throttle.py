"""Guessing passwords: slowed down before anything is hashed, told in few tickets, and nobody is locked out by it."""

import asyncio
import json
import math
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api import throttle
from api.context import Services
from api.throttle import ACCOUNT, ADDRESS, FORGET_S, PAIR, GuessRefused, Throttle, network_of
from bench.parts.figures import percentile
from domain import stories
from domain.errors import ErrorCode, InvalidCredentials
from domain.tickets import ActionType, Attempt
from tests.world import PASSWORD, Api, Trader

LOGIN = """mutation($input: LoginInput!) { login(input: $input) {
  ticketId errors { code message details } accessToken } }"""
WRONG = InvalidCredentials("wrong")
FLOOD = 500
P99_GROWTH_S_MAX = 0.2  # ten times the bar of `bench/flood.py`, on two cores that others use


@asynccontextmanager
async def client_at(api: Api, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that asks from an address of its own; all of 127.0.0.0/8 is this machine."""
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=32))
    async with httpx.AsyncClient(base_url=api.url.removesuffix("/graphql"), transport=transport, timeout=60) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> dict[str, Any]:
    asked = {"query": LOGIN, "variables": {"input": {"email": email, "password": password}}}
    body = (await client.post("/graphql", json=asked)).json()
    client.cookies.clear()
    assert "data" in body, body
    payload: dict[str, Any] = body["data"]["login"]
    return payload


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["errors"]]


# --------------------------------------------------------------------------------------------------------- at the door


async def test_after_some_failures_the_next_is_refused_unhashed_with_the_ticket_of_the_last(api: Api) -> None:
    trader = await api.trader()
    async with client_at(api, "127.0.1.1") as client:
        for _ in range(PAIR.free):
            wrong = await sign_in(client, trader.email, "wrong")
            assert codes(wrong) == ["INVALID_CREDENTIALS"]
        count = await api.ticket_count()
        for password in ("wrong", PASSWORD):
            refused = await sign_in(client, f" {trader.email.upper()} ", password)
            assert refused["errors"] == [
                {
                    "code": "TOO_MANY_ATTEMPTS",
                    "message": "Too many failed sign-ins. Try again in 1 second.",
                    "details": {"retryAfter": 1},
                }
            ]
            assert (refused["ticketId"], refused["accessToken"]) == (wrong["ticketId"], None)
        assert await api.ticket_count() == count
        await asyncio.sleep(1)
        assert codes(await sign_in(client, trader.email)) == []
        for _ in range(PAIR.free):  # what was wrong before is forgotten
            assert codes(await sign_in(client, trader.email, "wrong")) == ["INVALID_CREDENTIALS"]


async def test_an_account_that_does_not_exist_is_refused_alike(api: Api) -> None:
    async with client_at(api, "127.0.1.2") as client:
        answers = [codes(await sign_in(client, "nobody-at-all@desk.test")) for _ in range(PAIR.free + 2)]
    assert answers == [["INVALID_CREDENTIALS"]] * PAIR.free + [["TOO_MANY_ATTEMPTS"]] * 2


async def test_a_crowd_of_strangers_cannot_keep_out_who_signed_in_before(api: Api) -> None:
    trader = await api.trader()  # has signed in from 127.0.0.1
    for number in range(ACCOUNT.free):
        async with client_at(api, f"127.0.2.{number + 1}") as stranger:
            assert codes(await sign_in(stranger, trader.email, "wrong")) == ["INVALID_CREDENTIALS"]
    async with client_at(api, "127.0.2.100") as stranger, client_at(api, "127.0.0.1") as owner:
        assert codes(await sign_in(stranger, trader.email, "wrong")) == ["TOO_MANY_ATTEMPTS"]
        assert codes(await sign_in(owner, trader.email, "wrong")) == ["INVALID_CREDENTIALS"]
        assert codes(await sign_in(owner, trader.email)) == []


async def test_an_address_that_tries_many_accounts_is_slowed_down_and_others_are_not(api: Api) -> None:
    trader = await api.trader()
    async with client_at(api, "127.0.3.1") as sprayer, client_at(api, "127.0.3.2") as other:
        answers = await asyncio.gather(
            *(sign_in(sprayer, f"spray-{number}@desk.test", "wrong") for number in range(ADDRESS.free + 20))
        )
        refused = [answer for answer in answers if codes(answer) == ["TOO_MANY_ATTEMPTS"]]
        assert 10 <= len(refused) <= 20  # a second that passes lets one more in
        assert codes(await sign_in(other, trader.email)) == []


@pytest.mark.timeout(300)
async def test_a_flood_of_logins_leaves_trading_alone_and_its_victim_gets_in(api: Api) -> None:
    victim, trader = await api.trader(), await api.trader(EUR="100000")
    order = {"certificateType": "CEA", "side": "BUY", "price": "1.00", "quantity": "1"}
    document = "mutation($i: PlaceOrderInput!) { placeOrder(input: $i) { errors { code } order { id } } }"

    async def trade(client: httpx.AsyncClient) -> float:
        """Place one order; return the seconds it took."""
        started = time.perf_counter()
        asked = {"query": document, "variables": {"i": order}}
        response = await client.post("/graphql", json=asked, headers={"Authorization": f"Bearer {trader.token}"})
        assert response.json()["data"]["placeOrder"]["errors"] == []
        return time.perf_counter() - started

    count = await api.ticket_count()
    async with client_at(api, "127.0.0.1") as client:
        calm = [await trade(client) for _ in range(200)]
        plan = {"port": int(api.url.split(":")[2].split("/")[0]), "email": victim.email, "count": FLOOD}
        flooding = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.parts.guesses", stdin=PIPE, stdout=PIPE
        )
        told = asyncio.create_task(
            flooding.communicate(json.dumps({**plan, "at_once": 32, "address": "127.0.4.1"}).encode())
        )
        flooded = []
        while not told.done():
            flooded.append(await trade(client))
        assert codes(await sign_in(client, victim.email)) == []  # while the window is open for the flooder
    found = json.loads((await told)[0])
    growth_s = percentile(flooded, 99) - percentile(calm, 99)
    assert growth_s <= P99_GROWTH_S_MAX, (growth_s, len(flooded))
    assert found["refused"] > FLOOD * 0.9
    rows = [row for row in await api.tickets_since(count) if row["action_type"] == "USER_LOGIN_FAILED"]
    assert len(rows) <= PAIR.free + 1  # what is free, and one above it
    assert set(found["tickets"]) <= {row["ticket_id"] for row in rows}
    placed = [row for row in await api.tickets_since(count) if row["action_type"] == "ORDER_PLACED"]
    assert len(placed) == len(calm) + len(flooded)


async def test_a_wrong_password_takes_as_long_as_an_unknown_user(api: Api) -> None:
    known: list[float] = []
    unknown: list[float] = []
    for number in range(8):
        trader = await api.trader()
        async with client_at(api, f"127.0.5.{number + 1}") as client:
            for taken, email in ((known, trader.email), (unknown, f"unknown-{number}@desk.test")):
                started = time.perf_counter()
                assert codes(await sign_in(client, email, "wrong")) == ["INVALID_CREDENTIALS"]
                taken.append(time.perf_counter() - started)
    assert 0.5 < min(known) / min(unknown) < 2  # without the dummy it would be a tenth


# ---------------------------------------------------------------------------------------------------- sessions, cookies


async def test_a_login_in_a_browser_ends_the_session_it_had_and_one_by_token_ends_none(
    api: Api, trader: Trader
) -> None:
    here = {"Origin": api.url.removesuffix("/graphql")}
    variables = {"input": {"email": trader.email, "password": PASSWORD}}
    first = (await api.post(LOGIN, variables, "")).json()["data"]["login"]["accessToken"]
    again = await api.post(LOGIN, variables, "", Cookie=f"carbondesk={first}", **here)
    second = SimpleCookie(again.headers["set-cookie"])["carbondesk"].value
    assert second != first
    document = "{ me { id } }"
    assert (await api.post(document, None, first)).status_code == 401
    assert (await api.post(document, None, second)).json()["data"]["me"]["id"] == trader.id
    third = (await api.post(LOGIN, variables, second)).json()["data"]["login"]["accessToken"]
    for token in (second, third):
        assert (await api.post(document, None, token)).json()["data"]["me"]["id"] == trader.id


async def test_a_session_that_a_stranger_put_into_a_browser_stays_worthless(api: Api, trader: Trader) -> None:
    planted = "A" * 43
    here = {"Origin": api.url.removesuffix("/graphql"), "Cookie": f"carbondesk={planted}"}
    response = await api.post(LOGIN, {"input": {"email": trader.email, "password": PASSWORD}}, "", **here)
    assert SimpleCookie(response.headers["set-cookie"])["carbondesk"].value != planted
    assert (await api.post("{ me { id } }", None, "", **here)).json()["data"]["me"] is None


async def test_nothing_that_the_database_holds_opens_the_door(api: Api, trader: Trader) -> None:
    token = await api.login(trader.email)
    rows = await api.sql("SELECT row_to_json(s)::text AS session, encode(token_sha256, 'hex') AS hex,"
                         " encode(token_sha256, 'base64') AS base64 FROM user_sessions s")  # fmt: skip
    dump = "".join(row["session"] for row in rows)
    payloads = await api.sql("SELECT string_agg(p::text, '') AS all FROM ticket_payloads p")
    assert token not in dump + payloads[0]["all"]
    for row in rows[-3:]:
        for stored in (row["hex"], row["base64"].strip(), row["base64"].strip().rstrip("=")):
            assert (await api.post("{ me { id } }", None, stored)).status_code == 401


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    return await api.trader()


# --------------------------------------------------------------------------------------------------- hours in a moment


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def nowhere(_email: str) -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def attempt(world: Services, guard: Throttle, email: str, address: str) -> tuple[str, str]:
    """Make a wrong guess as a login does; return how it was refused, and its ticket."""
    with pytest.raises(GuessRefused) as refused:
        async with guard.guess(email, "a password", address) as guess:
            raise guess.wrong(WRONG)
    refusal, ticket_id = refused.value.refusal, refused.value.ticket_id
    if ticket_id is None:
        made = Attempt(uuid4(), "login", ActionType.USER_LOGIN_FAILED, {}, time.monotonic_ns())
        ticket_id = await world.units.record(made, stories.of_login({}, None), refusal.code, refusal.message)
        assert refused.value.told is not None
        refused.value.told(ticket_id)
    return refusal.code, ticket_id


async def tickets(world: Services, email: str | None = None) -> list[Any]:
    """Return all tickets; email: only those of refused logins that tell of this one."""
    return await world.pool.fetch(
        "SELECT t.ticket_id, t.summary, t.error_code, t.tags, p.request_payload FROM ticket_logs t"
        " JOIN ticket_payloads p USING (year, number) WHERE $1::text IS NULL OR p.request_payload ->> 'email' = $1"
        ' ORDER BY t."timestamp"',
        email,
    )


async def test_windows_double_up_to_a_minute_and_are_forgotten(desk_world: Services, clock: Clock) -> None:
    guard = Throttle(nowhere, clock)
    for _ in range(PAIR.free):
        assert (await attempt(desk_world, guard, "w@desk.test", "10.0.0.1"))[0] == ErrorCode.INVALID_CREDENTIALS
    for window_s in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        clock.now += window_s - 0.5
        with pytest.raises(GuessRefused) as refused:
            async with guard.guess("w@desk.test", "x", "10.0.0.1"):
                pass
        assert refused.value.refusal.details == {"retryAfter": 1}
        clock.now += 0.5
        assert (await attempt(desk_world, guard, "w@desk.test", "10.0.0.1"))[0] == ErrorCode.INVALID_CREDENTIALS
    clock.now += FORGET_S + 1
    for _ in range(PAIR.free):
        assert (await attempt(desk_world, guard, "w@desk.test", "10.0.0.1"))[0] == ErrorCode.INVALID_CREDENTIALS


@pytest.mark.parametrize("addresses", [1, 1_000])
async def test_10_000_guesses_leave_one_ticket_a_minute_and_few_hashes(
    desk_world: Services, clock: Clock, addresses: int
) -> None:
    guard, email = Throttle(nowhere, clock), f"guessed-{addresses}@desk.test"
    count, started = len(await tickets(desk_world)), clock.now
    hashed = 0
    for number in range(10_000):
        code, _ = await attempt(
            desk_world, guard, email, f"10.{number % addresses // 200}.0.{number % addresses % 200}"
        )
        hashed += code == ErrorCode.INVALID_CREDENTIALS
        clock.now += 0.06  # ten minutes in all
        if number % 20 == 0:
            await guard.settle(desk_world.units)
    minutes = (clock.now - started) / 60
    await guard.settle(desk_world.units, is_end=True)
    free = (PAIR if addresses == 1 else ACCOUNT).free
    assert hashed <= free + 6 + minutes * 60 / (PAIR if addresses == 1 else ACCOUNT).window_s_max
    written = (await tickets(desk_world))[count:]
    assert len(written) <= free + math.ceil(minutes) + 2  # a started minute, and what is told at the end
    told = [json.loads(row["request_payload"]) for row in written if "throttled" in row["tags"]]
    assert sum(one["refused"] for one in told) == 10_000 - free - (len(written) - free - len(told))
    assert {one["email"] for one in told} == {email}
    assert all(one["window"].startswith("TKT-") for one in told)
    assert {row["error_code"] for row in written if "throttled" in row["tags"]} == {"TOO_MANY_ATTEMPTS"}
    assert written[-1]["summary"].endswith("refused: too many attempts")


async def test_of_many_guesses_at_once_no_more_are_hashed_than_are_free(desk_world: Services, clock: Clock) -> None:
    guard = Throttle(nowhere, clock)
    count = len(await tickets(desk_world))
    answers = await asyncio.gather(*(attempt(desk_world, guard, "at-once@desk.test", "10.0.0.9") for _ in range(200)))
    assert [code for code, _ in answers].count(ErrorCode.INVALID_CREDENTIALS) <= PAIR.free
    written = {row["ticket_id"] for row in (await tickets(desk_world))[count:]}
    assert len(written) <= PAIR.free
    assert {ticket_id for _, ticket_id in answers} == written


async def test_what_is_remembered_is_bounded(
    desk_world: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "TRACKED_MAX", 50)
    guard = Throttle(nowhere, clock)
    for number in range(300):
        await attempt(desk_world, guard, f"{number}@desk.test", f"10.1.{number // 200}.{number % 200}")
    assert {len(kind.tracks) for kind in (guard._pairs, guard._accounts, guard._addresses)} == {50}
    assert len(guard._records) <= 100


async def test_a_password_in_the_place_of_an_address_is_not_told(desk_world: Services, clock: Clock) -> None:
    guard = Throttle(nowhere, clock)
    for _ in range(PAIR.free + 3):
        try:
            async with guard.guess("a Password@x", "A password@X", "10.0.0.1") as guess:
                raise guess.wrong(WRONG)
        except GuessRefused as error:
            if error.told:
                error.told("TKT-2026-000001")
    count = len(await tickets(desk_world))
    await guard.settle(desk_world.units, is_end=True)
    (written,) = (await tickets(desk_world))[count:]
    assert json.loads(written["request_payload"]) == {"refused": 3, "window": "TKT-2026-000001"}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("elsewhere", "elsewhere"),
        (None, ""),
    ],
)
def test_who_has_a_network_is_one_address(address: str | None, network: str) -> None:
    assert network_of(address) == network
