"""One execution for all who watch the same with the same rights, sockets within bounds, and nobody watches for longer
than he may."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.settings import Settings
from api.socket import PROTOCOL
from tests.frames import SECONDS_MAX, closed, receive
from tests.ladders import CHANGES, Follower
from tests.watching import figures_in, following, until
from tests.world import PASSWORD, Api, serving

PROMISE_S = 5.0
SLACK_S = 1.5  # of a busy machine
BOOK = "subscription($type: CertificateType!) { orderBook(certificateType: $type) { sequence } }"
TRADES = "subscription { trades { id buyer { id } } }"
TICKETS = "subscription($filter: TicketFilter) { tickets(filter: $filter) { ticketId } }"
BALANCES = "subscription { balances { asset available } }"


@asynccontextmanager
async def opened(api: Api, token: str = "") -> AsyncIterator[ClientConnection]:
    """Open a socket that was acknowledged; token "" is nobody."""
    async with connect(api.socket_url, subprotocols=[PROTOCOL], compression=None) as connection:  # type: ignore[list-item]
        payload = {"Authorization": f"Bearer {token}"} if token else {}
        await connection.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert await receive(connection) == {"type": "connection_ack"}
        yield connection


async def subscribe(connection: ClientConnection, operation_id: str, document: str, **variables: Any) -> None:
    payload = {"query": document, "variables": variables}
    await connection.send(json.dumps({"id": operation_id, "type": "subscribe", "payload": payload}))


async def end_of(connection: ClientConnection, operation_id: str) -> dict[str, Any]:
    """Wait for the last message of an operation."""
    while (message := await receive(connection)).get("id") != operation_id or message["type"] == "next":
        pass
    return message


async def metrics(api: Api) -> dict[str, int]:
    async with httpx.AsyncClient() as http:
        return figures_in((await http.get(api.url.replace("/graphql", "/metrics"))).text)


async def until_metrics(api: Api, **wanted: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while {name: (found := await metrics(api))[name] for name in wanted} != wanted:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
    assert found


# -------------------------------------------------------------------------------------------------------------- sharing


async def test_watchers_of_the_same_share_one_execution(api: Api) -> None:
    maker = await api.maker(CEA="1000")
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(opened(api, api.admin_token if n % 2 else "")) for n in range(20)]
        for number, connection in enumerate(sockets):
            await subscribe(connection, f"watch {number}", CHANGES, type="CEA", after=None)
        await until_metrics(api, executions=1, subscriptions=20)
        followers = [Follower() for _ in sockets]
        before = await metrics(api)
        for number in range(10):
            await api.sell(maker["id"], f"25.{number:02}", "1")
        (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
        for number, (connection, follower) in enumerate(zip(sockets, followers, strict=True)):
            while follower.sequence != row["sequence"]:
                message = await receive(connection)
                assert message["id"] == f"watch {number}"
                follower.take(message["payload"]["data"]["orderBookChanges"])
            assert follower.text() == followers[0].text()
        after = await metrics(api)
        executed = after["executed_events_total"] - before["executed_events_total"]
        sent = after["sent_events_total"] - before["sent_events_total"]
        assert executed <= 10 + 15  # changes, and heartbeats meanwhile; not 20 times as many
        assert sent >= 10 * executed
    await until_metrics(api, executions=0, subscriptions=0, sockets=0)
    await api.clear()


async def test_another_document_operation_variable_or_right_is_another_execution(api: Api) -> None:
    trader, other = await api.trader(), await api.trader()
    two = "subscription A { orderBook(certificateType: CEA) { sequence } }"
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("", BOOK, {"type": "CEA"}), ("", BOOK, {"type": "CEA"}), (trader.token, BOOK, {"type": "CEA"}),  # one
        ("", BOOK, {"type": "EUA"}),
        ("", two, {}),
        ("", CHANGES, {"type": "CEA"}), ("", CHANGES, {"type": "CEA", "after": 0}),  # one: where it begins is no matter
        ("", TRADES, {}), (trader.token, TRADES, {}), (other.token, TRADES, {}), (api.admin_token, TRADES, {}),
    ]  # fmt: skip
    async with AsyncExitStack() as stack:
        for token, document, variables in wanted:
            connection = await stack.enter_async_context(opened(api, token))
            await subscribe(connection, "1", document, **variables)
        await until_metrics(api, subscriptions=len(wanted), executions=len(wanted) - 3)
    await until_metrics(api, executions=0, subscriptions=0, sockets=0)


async def test_who_leaves_first_does_not_end_it_for_the_others(api: Api) -> None:
    maker = await api.maker(CEA="10")
    async with opened(api) as stays:
        async with opened(api) as leads:
            await subscribe(leads, "1", BOOK, type="CEA")
            await receive(leads)
            await subscribe(stays, "1", BOOK, type="CEA")
            first = await receive(stays)
        await api.sell(maker["id"], "26.00", "1")
        while (await receive(stays))["payload"] == first["payload"]:
            pass
        await stays.send(json.dumps({"id": "1", "type": "complete"}))
        await until_metrics(api, executions=0, subscriptions=0, sockets=1)
    await api.clear()


async def test_a_document_that_is_refused_is_refused_for_itself(api: Api) -> None:
    async with opened(api) as connection:
        await subscribe(connection, "good", BOOK, type="CEA")
        for number, (document, variables, code) in enumerate(
            (
                (BOOK, {"type": "GOLD"}, "BAD_REQUEST"),
                (BOOK, {}, "BAD_REQUEST"),
                ("subscription { orderBook(certificateType: CEA) { nothing } }", {}, "BAD_REQUEST"),
                ("subscription { orderBook(certificateType: CEA", {}, "BAD_REQUEST"),
                ("mutation { orderBook: logout { ticketId } }", {}, "BAD_REQUEST"),
                (TICKETS, {}, "UNAUTHENTICATED"),
            )
        ):
            await subscribe(connection, str(number), document, **variables)
            message = await end_of(connection, str(number))
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == code, document
        await until_metrics(api, executions=1, subscriptions=1)


async def test_parties_are_shown_to_those_who_may_see_them_whoever_watches_beside(api: Api) -> None:
    maker, buyer = await api.maker(CEA="10"), await api.trader(EUR="1000")
    async with opened(api) as nobody, opened(api, buyer.token) as party, opened(api, api.admin_token) as admin:
        for connection in (nobody, party, admin):
            await subscribe(connection, "1", TRADES)
        await until_metrics(api, executions=3)
        await asyncio.sleep(0.3)  # the feed has begun
        await api.sell(maker["id"], "27.00", "1")
        await api.order(buyer, "BUY", "27.00", "1")
        seen = [(await receive(each))["payload"]["data"]["trades"]["buyer"] for each in (nobody, party, admin)]
        assert seen == [None, {"id": buyer.id}, {"id": buyer.id}]


# ------------------------------------------------------------------------------------------------------ who may stay


async def test_a_session_that_ends_ends_private_streams_and_leaves_market_data(api: Api) -> None:
    email = (await api.trader()).email
    token = await api.login(email)
    async with opened(api, token) as private, opened(api, token) as public, opened(api, token) as both:
        await subscribe(private, "1", BALANCES)
        await subscribe(public, "1", BOOK, type="CEA")
        await subscribe(both, "book", BOOK, type="CEA")
        await subscribe(both, "trades", TRADES)
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        await api.ask("mutation { logout { ticketId } }", token)
        assert await closed(private) == (4403, "This session has ended. Sign in again.")
        assert time.monotonic() - begun <= PROMISE_S + SLACK_S
        message = await end_of(both, "trades")
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert time.monotonic() - begun <= PROMISE_S + SLACK_S
        maker = await api.maker(CEA="10")
        await api.sell(maker["id"], "28.00", "1")
        (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
        for connection in (public, both):
            while (await receive(connection))["payload"]["data"]["orderBook"]["sequence"] != row["sequence"]:
                pass
        await subscribe(both, "again", "{ me { id } }")
        while (message := await receive(both))["id"] != "again":
            pass
        assert message["payload"]["data"] == {"me": None}
    await api.clear()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_sessions SET revoked_at = now() WHERE user_id = $1",
        "UPDATE user_sessions SET expires_at = now(), created_at = now() - interval '9 hours' WHERE user_id = $1",
        "UPDATE user_sessions SET last_seen_at = now() - interval '31 minutes' WHERE user_id = $1",
        "UPDATE users SET is_active = false WHERE id = $1",
        "UPDATE users SET role = 'ANALYST' WHERE id = $1",
    ],
)
async def test_whatever_takes_the_right_away_ends_private_streams(api: Api, statement: str) -> None:
    email = f"admin-{time.monotonic_ns()}@desk.test"
    created = await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } } }",
        input={"email": email, "name": "Second", "role": "ADMIN", "password": PASSWORD},
    )
    user_id = created["createUser"]["user"]["id"]
    async with opened(api, await api.login(email)) as connection:
        await subscribe(connection, "1", TICKETS, filter={"userId": user_id})
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        await api.sql(statement, user_id)
        code, reason = await closed(connection)
        assert code == 4403 and reason
        assert time.monotonic() - begun <= PROMISE_S + SLACK_S


async def test_market_data_are_public_only_while_the_operator_says_so(api: Api) -> None:
    trader = await api.trader()
    async with opened(api) as nobody, opened(api, trader.token) as somebody:
        for connection in (nobody, somebody):
            await subscribe(connection, "1", BOOK, type="CEA")
            await receive(connection)
        try:
            await api.sql("UPDATE settings SET public_market_data = false")
            assert (await closed(nobody))[0] == 4403
            for document in ("{ certificates { name } }", "{ orderBook(certificateType: CEA) { sequence } }",
                             "{ trades { nodes { id } } }"):  # fmt: skip
                answered = await api.ask(document, "")
                assert [error["extensions"]["code"] for error in answered.errors] == ["UNAUTHENTICATED"], document
                assert (await api.ask(document, trader.token)).errors == []
            async with opened(api) as stranger:
                for number, document in enumerate((BOOK, CHANGES, TRADES)):
                    await subscribe(stranger, str(number), document, **({"type": "CEA"} if "type" in document else {}))
                    message = await end_of(stranger, str(number))
                    assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert (await receive(somebody))["type"] == "next"
        finally:
            await api.sql("UPDATE settings SET public_market_data = true")
    async with asyncio.timeout(PROMISE_S):
        while (await api.ask("{ certificates { name } }", "")).errors:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)


# --------------------------------------------------------------------------------------------------------------- bounds


async def test_sockets_and_operations_are_bounded_by_settings(api: Api, settings: Settings) -> None:
    few = settings.model_copy(
        update={"socket_subscriptions_max": 2, "session_sockets_max": 2, "address_sockets_max": 3}
    )
    async with serving(few) as small:
        small.admin_email, small.admin_token = api.admin_email, api.admin_token
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(opened(small)) for _ in range(3)]
            async with connect(small.socket_url, subprotocols=[PROTOCOL]) as fourth:  # type: ignore[list-item]
                assert await closed(fourth) == (4429, "At most 3 sockets from one address without a session; "
                                                "close one first.")  # fmt: skip
            await sockets[0].close()
            await until_metrics(small, sockets=2)
            signed_in = [await stack.enter_async_context(opened(small, api.admin_token)) for _ in range(2)]
            async with connect(small.socket_url, subprotocols=[PROTOCOL]) as third:  # type: ignore[list-item]
                await third.send(json.dumps({"type": "connection_init",
                                             "payload": {"Authorization": f"Bearer {api.admin_token}"}}))  # fmt: skip
                assert await closed(third) == (4429, "At most 2 sockets for one session; close one first.")
            for number in range(2):
                await subscribe(signed_in[0], str(number), BOOK, type="CEA")
            await subscribe(signed_in[0], "over", BOOK, type="CEA")
            message = await end_of(signed_in[0], "over")
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            await signed_in[0].send(json.dumps({"id": "0", "type": "complete"}))
            await subscribe(signed_in[0], "fits", BOOK, type="CEA")
            while (message := await receive(signed_in[0]))["id"] != "fits":
                pass
            assert message["type"] == "next"
        await until_metrics(small, sockets=0, subscriptions=0, executions=0)


async def test_a_follower_reads_on_while_others_come_and_go(api: Api) -> None:
    maker = await api.maker(CEA="1000")
    follower = Follower()
    async with api.watching("") as session, following(session, CHANGES, type="CEA") as event:
        for number in range(30):
            async with opened(api) as passing:
                await subscribe(passing, "1", CHANGES, type="CEA", after=None)
                await api.sell(maker["id"], f"29.{number:02}", "1")
                if number % 3:
                    await receive(passing)
        (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = 'CEA'")

        async def step() -> Any:
            follower.take(taken := await event())
            return taken

        await until(step, lambda _: follower.sequence == row["sequence"])
    assert follower.snapshots == ["SUBSCRIBED"]
    await until_metrics(api, sockets=0, subscriptions=0, executions=0)
    await api.clear()
