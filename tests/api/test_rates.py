"""How much somebody may ask: by session, by address, large bodies at once; nothing of it needs Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from api import rates
from api.errors import RequestError
from api.http import BODY_BYTES_MAX_ANONYMOUS, BODY_BYTES_MAX_SIGNED_IN
from api.rates import BURST_S, LARGE_MAX, LARGE_OF_SESSION_MAX, Rates
from api.settings import Settings
from api.throttle import PAIR
from tests.world import Api, serving

ME = "{ me { id } }"
NOWHERE = "redis://127.0.0.1:1/0"
SESSION_PER_S, ADDRESS_PER_S = 20, 10
MORE = 200  # than a burst holds: while they are sent, some may pass again


@pytest.fixture(scope="module")
async def narrow(api: Api, settings: Settings) -> AsyncIterator[Api]:
    """Serve a process with low rates and without any Redis."""
    low = settings.model_copy(
        update={
            "session_requests_per_s": SESSION_PER_S,
            "address_requests_per_s": ADDRESS_PER_S,
            "redis_url": NOWHERE,
        }
    )
    async with serving(low) as running:
        running.admin_email, running.admin_token = api.admin_email, api.admin_token
        yield running


async def sent(api: Api, count: int, local: str, **headers: str) -> list[httpx.Response]:
    """Send so many requests at once from an address of this machine."""
    transport = httpx.AsyncHTTPTransport(local_address=local, limits=httpx.Limits(max_connections=16))
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        requests = (client.post(api.url, json={"query": ME}, headers=headers) for _ in range(count))
        return list(await asyncio.gather(*requests))


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json().get("errors", ())]


# --------------------------------------------------------------------------------------------------------- at the door


async def test_a_session_that_asks_too_much_is_told_when_to_come_again_and_others_are_not(narrow: Api) -> None:
    trader = await narrow.trader()
    answers = await sent(narrow, SESSION_PER_S * BURST_S + MORE, "127.0.7.1", Authorization=f"Bearer {trader.token}")
    limited = [answer for answer in answers if answer.status_code == 429]
    assert 20 <= len(limited) <= MORE
    assert codes(limited[0]) == ["RATE_LIMITED"]
    error = limited[0].json()["errors"][0]
    assert error["message"] == f"More than {SESSION_PER_S} requests a second from this session. Slow down."
    assert error["extensions"]["retryAfter"] == int(limited[0].headers["retry-after"]) == 1
    other = await narrow.post(ME, None, narrow.admin_token)
    assert other.json()["data"]["me"]["id"]
    await asyncio.sleep(1)
    assert (await narrow.post(ME, None, trader.token)).status_code == 200


async def test_a_limited_mutation_leaves_no_ticket(narrow: Api) -> None:
    trader = await narrow.trader()
    await sent(narrow, SESSION_PER_S * BURST_S + 30, "127.0.7.2", Authorization=f"Bearer {trader.token}")
    count = await narrow.ticket_count()
    statuses = []
    while 429 not in statuses:
        statuses.append(
            (await narrow.post('mutation { cancelOrder(id: "x") { ticketId } }', None, trader.token)).status_code
        )
    assert await narrow.ticket_count() == count + len(statuses) - 1


async def test_logins_are_throttled_without_redis_too(narrow: Api) -> None:
    document = "mutation($input: LoginInput!) { login(input: $input) { errors { code } } }"
    transport = httpx.AsyncHTTPTransport(local_address="127.0.7.3")
    found = []
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(PAIR.free + 1):
            asked = {"query": document, "variables": {"input": {"email": narrow.admin_email, "password": "wrong"}}}
            answer = (await client.post(narrow.url, json=asked)).json()
            found += [error["code"] for error in answer["data"]["login"]["errors"]]
    assert found == ["INVALID_CREDENTIALS"] * PAIR.free + ["TOO_MANY_ATTEMPTS"]


@pytest.mark.parametrize("kind", ["anonymous", "tokens that are none", "cookies that are none"])
async def test_an_address_without_a_session_is_limited_whatever_it_claims(narrow: Api, kind: str) -> None:
    local = f"127.0.8.{len(kind)}"
    transport = httpx.AsyncHTTPTransport(local_address=local)
    found = []
    async with httpx.AsyncClient(transport=transport) as client:
        for number in range(ADDRESS_PER_S * BURST_S + 40):
            headers = {
                "anonymous": {},
                "tokens that are none": {"Authorization": f"Bearer {number:043}"},
                "cookies that are none": {"Cookie": f"carbondesk={number:043}", "Sec-Fetch-Site": "same-origin"},
            }[kind]
            found.append((await client.post(narrow.url, json={"query": ME}, headers=headers)).status_code)
    assert found.count(429) >= 5
    assert set(found) == {429, 401 if kind == "tokens that are none" else 200}
    assert (await sent(narrow, 1, "127.0.8.200"))[0].status_code == 200


async def held_open(api: Api, token: str, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a large body and leave it unfinished."""
    host, port = api.url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /graphql HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    await writer.drain()
    return reader, writer


async def test_a_session_sends_two_large_bodies_at_once(api: Api) -> None:
    trader, other = await api.trader(), await api.trader()
    large = BODY_BYTES_MAX_ANONYMOUS + 1
    body = json.dumps({"query": ME, "variables": {"a": ""}}).encode()
    body = body.replace(b'""', b'"' + b"x" * (large - len(body)) + b'"')
    open_ones = [await held_open(api, trader.token, len(body)) for _ in range(LARGE_OF_SESSION_MAX)]
    await asyncio.sleep(0.2)

    async def post(token: str, content: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.post(api.url, content=content, headers=headers)

    third = await post(trader.token, body)
    assert (third.status_code, codes(third), third.headers["retry-after"]) == (429, ["RATE_LIMITED"], "1")
    assert (await post(trader.token, b'{"query": "{ me { id } }"}')).status_code == 200  # small ones go on
    assert (await post(other.token, body)).status_code == 200
    for reader, writer in open_ones:
        writer.write(body)
        assert b" 200 " in await reader.readline()
        writer.close()
    assert (await post(trader.token, body)).status_code == 200


@pytest.mark.parametrize("proof", ["bearer", "cookie"])
async def test_a_large_body_is_read_from_those_only_who_are_signed_in(api: Api, proof: str) -> None:
    stolen = "x" * 43
    headers = {"Authorization": f"Bearer {stolen}"} if proof == "bearer" else {
        "Cookie": f"carbondesk={stolen}", "Origin": api.url.removesuffix("/graphql")
    }  # fmt: skip
    host, port = api.url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"POST /graphql HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n{lines}"
        f"Content-Length: {BODY_BYTES_MAX_SIGNED_IN}\r\n\r\n".encode()
    )
    status = await asyncio.wait_for(reader.readline(), 5)  # before any of the body was sent
    assert status.startswith(b"HTTP/1.1 401 " if proof == "bearer" else b"HTTP/1.1 413 ")
    writer.close()


# ------------------------------------------------------------------------------------------------------------- buckets


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def limit_of(function: Any, *arguments: Any) -> int | None:
    """Charge; return after how many seconds to come again, None when it was taken."""
    try:
        function(*arguments)
    except RequestError as refused:
        error = refused
    else:
        return None
    assert error.extensions is not None
    assert error.extensions["code"] == "RATE_LIMITED"
    after: int = error.extensions["retryAfter"]
    return after


def test_a_bucket_holds_ten_seconds_and_fills_again() -> None:
    clock = Clock()
    guard = Rates(5, 2, clock)
    for _ in range(2 * BURST_S):
        assert limit_of(guard.charge, None, "192.0.2.1") is None
    assert limit_of(guard.charge, None, "192.0.2.1") == 1
    assert limit_of(guard.charge, None, "192.0.2.2") is None
    clock.now += 0.5
    assert limit_of(guard.charge, None, "192.0.2.1") is None
    assert limit_of(guard.charge, None, "192.0.2.1") == 1
    clock.now += 3_600
    assert [limit_of(guard.charge, None, "192.0.2.1") for _ in range(21)] == [None] * 20 + [1]


def test_a_token_has_a_bucket_of_its_own_once_it_was_found_good() -> None:
    guard = Rates(5, 1, Clock())
    for number in range(BURST_S):
        assert limit_of(guard.charge, f"token {number}", "2001:db8::1") is None
    assert limit_of(guard.charge, "another", "2001:db8::2") == 1  # one network of IPv6
    guard.vouch("good")
    assert limit_of(guard.charge, "good", "2001:db8::1") is None
    assert len(guard.sessions) == 1


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "TRACKED_MAX", 10)
    guard = Rates(1, 1, Clock())
    for number in range(100):
        guard.charge(None, f"192.0.2.{number}")
        guard.vouch(f"token {number}")
    assert (len(guard.addresses), len(guard.sessions)) == (10, 10)


def test_large_bodies_are_bounded_by_session_and_by_process() -> None:
    guard = Rates(1, 1, Clock())
    with ExitStack() as held:
        for number in range(LARGE_MAX):
            held.enter_context(guard.large_body(number // LARGE_OF_SESSION_MAX))
        with pytest.raises(RequestError, match="A session sends at most 2"):
            held.enter_context(guard.large_body(0))
        with pytest.raises(RequestError, match="Too many large bodies"):
            held.enter_context(guard.large_body("another"))
    assert not guard._large
    with guard.large_body(0):
        assert guard._large.total() == 1
