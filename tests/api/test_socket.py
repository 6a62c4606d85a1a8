"""The door over web sockets: strict with messages, lenient with operations, and no stream ends in silence."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

import api.socket
from api.presence import Bounds
from api.socket import PROTOCOL
from api.transport import Protocol
from tests.api import echo_app
from tests.frames import SECONDS_MAX, closed, receive

OPERATIONS_MAX = Bounds().subscriptions
BEARER = f"Bearer {echo_app.TOKEN}"


@pytest.fixture(scope="module", params=[Protocol, "websockets-sansio"], ids=["our wire", "any server"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with echo_app.running(request.param) as address:
        yield address


@asynccontextmanager
async def opened(address: str, payload: Any = None, **headers: str) -> AsyncIterator[ClientConnection]:
    """Open a socket whose connection_init was acknowledged."""
    async with connect(
        f"ws://{address}/graphql",
        subprotocols=[PROTOCOL],  # type: ignore[list-item]
        additional_headers=headers,
        compression=None,
    ) as connection:
        await send(connection, {"type": "connection_init", **({} if payload is None else {"payload": payload})})
        assert await receive(connection) == {"type": "connection_ack"}
        yield connection


async def send(connection: ClientConnection, message: Any) -> None:
    await connection.send(message if isinstance(message, str | bytes) else json.dumps(message))


def subscribe(query: Any, operation_id: Any = "1", **payload: Any) -> dict[str, Any]:
    return {"id": operation_id, "type": "subscribe", "payload": {"query": query, **payload}}


async def count_of(address: str, name: str) -> int:
    async with httpx.AsyncClient() as http:
        return int((await http.get(f"http://{address}/ended/{name}")).text)


async def until_ended(address: str, name: str, count: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while await count_of(address, name) < count:  # noqa: ASYNC110 - the server is asked over HTTP
            await asyncio.sleep(0.02)


# --- operations


async def test_gql_streams_and_signs_in_by_connection_init(address: str) -> None:
    transport = WebsocketsTransport(f"ws://{address}/graphql", init_payload={"Authorization": BEARER})
    async with Client(transport=transport) as client:
        assert [event async for event in client.subscribe(gql("subscription { count(to: 2) }"))] == [
            {"count": 0},
            {"count": 1},
        ]
        assert await client.execute(gql("{ caller }")) == {"caller": "bearer"}


async def test_a_stream_ends_with_complete_and_its_id_is_free_again(address: str) -> None:
    async with opened(address) as connection:
        for _ in range(2):
            await send(connection, subscribe("subscription { count(to: 1) }"))
            assert await receive(connection) == {"id": "1", "type": "next", "payload": {"data": {"count": 0}}}
            assert await receive(connection) == {"id": "1", "type": "complete"}


async def test_each_operation_has_a_context_of_its_own(address: str) -> None:
    async with opened(address) as connection:
        numbers = []
        for query in ("{ contextNumber }", "subscription { contextNumber }", "{ contextNumber }"):
            await send(connection, subscribe(query))
            numbers.append((await receive(connection))["payload"]["data"]["contextNumber"])
            assert (await receive(connection))["type"] == "complete"
        assert len(set(numbers)) == 3


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "BAD_REQUEST"),
        ("#", "BAD_REQUEST"),
        ("{ nothing }", "BAD_REQUEST"),
        ("{ echo(text: 1) }", "BAD_REQUEST"),
        ("query A { __typename } query B { __typename }", "BAD_REQUEST"),
        ('mutation { rename(name: "a") }', "BAD_REQUEST"),
        ("{ node " + "{ child " * 20 + "{ name }" + "}" * 21, "TOO_COMPLEX"),
        ("subscription { denied }", "UNAUTHENTICATED"),
    ],
)
async def test_a_bad_operation_gets_an_error_and_disturbs_nobody(address: str, query: str, code: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe('subscription { ticks(name: "neighbour") }', "ticks"))
        await receive(connection)
        await send(connection, subscribe(query, "bad"))
        seen: list[dict[str, Any]] = []
        while not any(message["type"] == "error" for message in seen):
            message = await receive(connection)
            if message["id"] == "bad":
                seen.append(message)
        assert seen[-1]["payload"][0]["extensions"]["code"] == code
        assert (await receive(connection))["id"] == "ticks"


async def test_a_mutation_is_pointed_to_post(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe('mutation { rename(name: "a") }'))
        error = (await receive(connection))["payload"][0]
        assert error["message"] == "Mutations are accepted by POST only, neither by GET nor over a web socket."


async def test_a_stream_that_breaks_ends_with_an_error(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe("subscription { breaking }"))
        assert (await receive(connection))["payload"] == {"data": {"breaking": 1}}
        last = await receive(connection)
        assert (last["type"], last["payload"][0]["extensions"]["code"]) == ("error", "INTERNAL")
        assert "secret" not in str(last)
        await send(connection, {"type": "ping"})
        assert await receive(connection) == {"type": "pong"}


async def test_a_query_with_a_masked_fault_is_answered(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe("{ fault }"))
        payload = (await receive(connection))["payload"]
        assert payload["data"] == {"fault": None}
        assert payload["errors"][0]["extensions"]["code"] == "INTERNAL"


async def test_a_socket_runs_a_bounded_number_of_operations(address: str) -> None:
    async with opened(address) as connection:
        for number in range(OPERATIONS_MAX):
            await send(connection, subscribe('subscription { ticks(name: "many") }', str(number)))
        await send(connection, subscribe("{ __typename }", "over"))
        while (message := await receive(connection))["id"] != "over":
            pass
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
    await until_ended(address, "many", OPERATIONS_MAX)


# --- ends


async def test_complete_ends_the_stream_and_frees_its_id(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe('subscription { ticks(name: "completed") }'))
        await receive(connection)
        await send(connection, {"id": "1", "type": "complete"})
        await send(connection, {"id": "never seen", "type": "complete"})
        await until_ended(address, "completed", 1)
        await send(connection, subscribe("{ __typename }"))
        while (await receive(connection)).get("payload") != {"data": {"__typename": "Query"}}:
            pass


async def test_a_lost_socket_ends_its_streams(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe('subscription { ticks(name: "lost") }'))
        await receive(connection)
        connection.transport.abort()
    await until_ended(address, "lost", 1)


async def test_a_socket_nobody_reads_ends_its_streams(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.socket, "SEND_SECONDS_MAX", 0.3)
    async with opened(address) as connection:
        connection.transport.pause_reading()
        before = await count_of(address, "stalled")
        await send(connection, subscribe('subscription { flood(name: "stalled") }'))
        await until_ended(address, "stalled", before + 1)
        connection.transport.resume_reading()
        assert await closed(connection) == (4420, "Nothing was read for 0 seconds")


# --- messages


@pytest.mark.parametrize(
    "message",
    [
        "[]",
        "1",
        "null",
        '"ping"',
        "{}",
        "not json",
        '{"type":1}',
        '{"type":"start"}',
        "[" * 100_000,
        b"\x00",
        subscribe("{ __typename }", 1),
        subscribe("{ __typename }", ""),
        subscribe("{ __typename }", None),
        subscribe("{ __typename }", "x" * 129),
        subscribe(1),
        subscribe(None),
        subscribe("{ __typename }", variables=[]),
        subscribe("{ __typename }", operationName=1),
        subscribe("{ __typename }", extensions=1),
        {"id": "1", "type": "subscribe"},
        {"id": "1", "type": "subscribe", "payload": None},
        {"id": "1", "type": "subscribe", "payload": []},
        {"type": "complete"},
        {"id": 1, "type": "complete"},
        {"type": "ping", "payload": []},
        {"type": "pong", "payload": 1},
    ],
    ids=lambda message: str(message)[:60],
)
async def test_a_malformed_message_closes_with_4400_and_a_reason(address: str, message: Any) -> None:
    async with opened(address) as connection:
        await send(connection, message)
        code, reason = await closed(connection)
        assert code == 4400
        assert reason


async def test_null_is_a_legal_payload_of_connection_init(address: str) -> None:
    async with connect(f"ws://{address}/graphql", subprotocols=[PROTOCOL]) as connection:  # type: ignore[list-item]
        await send(connection, {"type": "ping", "payload": None})
        assert await receive(connection) == {"type": "pong"}
        await send(connection, {"type": "connection_init", "payload": None})
        assert await receive(connection) == {"type": "connection_ack"}
        await send(connection, subscribe("{ __typename }", variables=None, operationName=None, extensions=None))
        assert (await receive(connection))["payload"] == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (subscribe("{ __typename }"), 4401),
        ({"type": "connection_init", "payload": []}, 4400),
        ({"type": "connection_init", "payload": "x"}, 4400),
        ({"type": "connection_init", "payload": {"Authorization": "Bearer stolen"}}, 4403),
        ({"type": "connection_init", "payload": {"break": True}}, 1013),
    ],
)
async def test_a_socket_without_a_caller_is_closed(address: str, message: Any, code: int) -> None:
    async with connect(f"ws://{address}/graphql", subprotocols=[PROTOCOL]) as connection:  # type: ignore[list-item]
        await send(connection, message)
        assert (await closed(connection))[0] == code


async def test_a_second_init_and_an_id_in_use_close_the_socket(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, {"type": "connection_init"})
        assert (await closed(connection))[0] == 4429
    async with opened(address) as connection:
        for _ in range(2):
            await send(connection, subscribe('subscription { ticks(name: "twice") }'))
        assert (await closed(connection))[0] == 4409


async def test_a_silent_socket_is_closed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.socket, "INIT_SECONDS_MAX", 0.2)
    async with connect(f"ws://{address}/graphql", subprotocols=[PROTOCOL]) as connection:  # type: ignore[list-item]
        assert (await closed(connection))[0] == 4408


async def test_a_message_beyond_the_bound_closes_the_socket(address: str) -> None:
    async with opened(address) as connection:
        await send(connection, subscribe("{ __typename }", variables={"a": "x" * api.socket.MESSAGE_CHARACTERS_MAX}))
        assert (await closed(connection))[0] == 1009


# --- who asks


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"], ["other"]])
async def test_other_subprotocols_are_refused(address: str, subprotocols: Any) -> None:
    async with connect(f"ws://{address}/graphql", subprotocols=subprotocols) as connection:
        assert (await closed(connection))[0] == 4406


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_another_site_is_refused_the_handshake(address: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with opened(address, **headers, Cookie="carbondesk=alice"):
            pass
    assert caught.value.response.status_code == 403


async def test_a_cookie_counts_from_this_site_only(address: str) -> None:
    for headers, caller in (({"Origin": f"http://{address}"}, "alice"), ({}, None)):
        async with opened(address, **headers, Cookie="carbondesk=alice") as connection:
            await send(connection, subscribe("{ caller }"))
            assert (await receive(connection))["payload"] == {"data": {"caller": caller}}
