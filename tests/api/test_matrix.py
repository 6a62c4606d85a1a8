"""The authorisation matrix: every field of the schema for every kind of caller, generated from the schema itself.

What a caller may is declared in `api.policy` (root fields) and `api.rights` (fields of objects). Here it is compared
with what he gets. A new field needs its line there; where nothing here leads to it, also one here.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
import websockets
from graphql import GraphQLObjectType, GraphQLSchema, get_named_type
from websockets.typing import Subprotocol

from api import rights, schema
from api.policy import ROLES, Policy
from api.rights import Sight
from domain.people import UserRole
from tests.api import matrix
from tests.api.matrix import OWNED, Asker, Comparison, all_policies, below, called, reachable, selections, session_of
from tests.world import PASSWORD, Api, Trader

SOCKET_WAIT_S = 5.0
SETTLE_S = 0.3  # a stream that has not been refused by now is let in

# Fields that show nothing in this world to anybody, each with its reason; they leave when something fills them.
UNFILLED = {
    **dict.fromkeys(
        (
            f"TradeAggregate.{name}"
            for name in ("buyer", "buyerId", "seller", "sellerId", "marketMaker", "marketMakerId")
        ),
        "grouping by parties is refused to a TRADER: tests/api/test_aggregates.py",
    ),
    "AttemptOutcome.errorCode": "the attempt of this world was done",
    "AttemptOutcome.transaction": "the attempt of this world is an order",
    "MarketMaker.description": "of the second maker only",
    "Ticket.sealedAt": "nothing seals in this world",
    **dict.fromkeys(
        (f"TicketProof.{name}" for name in rights.SIGHTS["TicketProof"][Sight.OPEN].split()),
        "nothing seals in this world",
    ),
}


@dataclass(frozen=True)
class World:
    """A market with something of every kind, and somebody of every kind who asks about it."""

    api: Api
    client: httpx.AsyncClient
    askers: dict[str, Asker]
    ways: dict[str, list[str]]
    owners: dict[tuple[str, str], set[str]]


DESCRIBE = 'mutation($id: ID!) { updateMarketMaker(id: $id, input: {description: "Notes"}) { errors { code } } }'
REQUEST = 'mutation { requestDeposit(input: {amount: "7", reference: "R"}) { deposit { id } } }'
DECISIONS = [
    "mutation($id: ID!) { approveDeposit(id: $id) { errors { code } } }",
    'mutation($id: ID!) { rejectDeposit(id: $id, reason: "R") { errors { code } } }',
]
SETTLE = 'mutation($id: ID!) { settleTrade(id: $id, registryReference: "REG-1") { errors { code } } }'
CLOSE = 'mutation { updateSettings(input: {haltedCertificates: [EUA], priceBandPercent: "90"}) { errors { code } } }'
UPLOAD = """mutation { uploadKycDocument(input: {kind: "PASSPORT", fileName: "p.pdf", contentType: "application/pdf",
  contentBase64: "JVBERi0xLjcKJSVFT0YK"}) { errors { code } } }"""
REJECT = 'mutation($id: ID!) { rejectKyc(userId: $id, reason: "R") { errors { code } } }'


async def user(api: Api, role: str) -> str:
    """Create a user of a role; return his id."""
    created = await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } user { id } } }",
        input={"email": f"{secrets.token_hex(4)}@desk.test", "name": role, "role": role, "password": PASSWORD},
    )
    user_id: str = created["createUser"]["user"]["id"]
    return user_id


async def traded(api: Api, own: Trader, other: Trader) -> dict[str, str]:
    """Let own, other and a maker trade, cancel and deposit; return what came of it by name."""
    maker = (await api.maker(CEA="50", EUR="5"))["id"]
    await api.ask(DESCRIBE, id=maker)
    await api.sell(maker, "30.00", "10")
    bought = await api.order(own, "BUY", "30.00", "4")
    await api.order(other, "SELL", "28.00", "3")
    await api.order(own, "BUY", "28.00", "2")
    waiting = await api.order(other, "BUY", "5.00", "1")
    await api.order(own, "BUY", "4.00", "1")
    ids = {"maker": maker, "own_order": bought["order"]["id"], "other_order": waiting["order"]["id"]}
    ids["ticket"] = bought["order"]["ticketId"]
    ids["cancelled"] = (await api.order(own, "BUY", "3.00", "1"))["order"]["id"]
    await api.ask("mutation($id: ID!) { cancelOrder(id: $id) { errors { code } } }", own.token, id=ids["cancelled"])
    for trader in (own, other):
        for decide in DECISIONS:
            deposit = (await api.ask(REQUEST, trader.token))["requestDeposit"]["deposit"]
            await api.ask(decide, id=deposit["id"])
    (trade,) = await api.sql("SELECT id FROM cash_market_trades WHERE buy_order_id = $1", ids["own_order"])
    await api.ask(SETTLE, id=str(trade["id"]))
    keyed = {"certificateType": "CEA", "side": "BUY", "price": "2.00", "quantity": "1", "idempotencyKey": "matrix"}
    await api.ask("mutation($i: PlaceOrderInput!) { placeOrder(input: $i) { ticketId } }", own.token, i=keyed)
    await api.ask('mutation { cancelOrder(id: "x") { errors { code } } }', own.token)
    await api.sql("UPDATE certificates SET reference_price = 30")
    await api.ask(CLOSE)
    (failed,) = await api.sql("SELECT ticket_id FROM ticket_logs WHERE error_code = 'ORDER_NOT_FOUND'")
    return {**ids, "failed": failed["ticket_id"]}


async def people(api: Api, own: Trader, other: Trader) -> dict[str, Asker]:
    """Give somebody of every kind a session."""
    admin, analyst = await user(api, "ADMIN"), await user(api, "ANALYST")
    demoted, disabled, pending = await user(api, "ADMIN"), await user(api, "ADMIN"), (await api.trader(kyc=False)).id
    assert (await api.ask(UPLOAD, await session_of(api, pending)))["uploadKycDocument"]["errors"] == []
    assert (await api.ask(REJECT, id=pending))["rejectKyc"]["errors"] == []
    ended = {"expired": {"expires_at": "clock_timestamp()"}, "revoked": {"revoked_at": "clock_timestamp()"}}
    ended["idle"] = {"last_seen_at": "now() - interval '1 day'"}
    ended["too old"] = {"created_at": "now() - interval '9 hours'", "expires_at": "now() - interval '1 hour'"}
    askers = [
        Asker("anonymous", ""),
        *[Asker(name, await session_of(api, admin, **columns), is_ended=True) for name, columns in ended.items()],
        Asker("disabled", await session_of(api, disabled), is_ended=True),
        Asker("stolen", "x" * 43, is_ended=True),
        Asker("kyc pending", await session_of(api, pending), pending, UserRole.TRADER),
        Asker("trader", own.token, own.id, UserRole.TRADER),
        Asker("other trader", other.token, other.id, UserRole.TRADER),
        Asker("analyst", await session_of(api, analyst), analyst, UserRole.ANALYST),
        Asker("admin", await session_of(api, admin), admin, UserRole.ADMIN),
        Asker("demoted admin", await session_of(api, demoted), demoted, UserRole.TRADER),
    ]
    await api.sql("UPDATE users SET role = 'TRADER', kyc_status = 'APPROVED' WHERE id = $1", demoted)
    await api.sql("UPDATE users SET kyc_status = 'PENDING' WHERE id = $1", pending)
    await api.sql("UPDATE users SET is_active = false WHERE id = $1", disabled)
    return {asker.name: asker for asker in askers}


@pytest.fixture(scope="module")
async def world(api: Api) -> AsyncIterator[World]:
    own, other = await api.trader(EUR="1000", CEA="10"), await api.trader(EUR="1000", CEA="10")
    ids = await traded(api, own, other)
    ways = {
        "attempt": ['(idempotencyKey: "matrix", mutation: "placeOrder")'],
        "aggregateOrders": [
            "(groupBy: [CERTIFICATE_TYPE, SIDE, ORDER_TYPE, TIME_IN_FORCE], bucket: DAY)",
            "(groupBy: [STATUS, CANCEL_REASON, MARKET_MAKER, USER])",
            "(groupBy: [HOUR_OF_DAY, WEEKDAY, USER])",
        ],
        "aggregateTickets": [
            "(groupBy: [ACTION_TYPE, STATUS, ERROR_CODE, USER], bucket: DAY)",
            "(groupBy: [MARKET_MAKER, ENTITY_TYPE, IP_ADDRESS, SESSION])",
            "(groupBy: [HOUR_OF_DAY, WEEKDAY])",
        ],
        "aggregateTrades": [
            "(groupBy: [CERTIFICATE_TYPE, TAKER_SIDE, STATUS], bucket: DAY)",
            "(groupBy: [HOUR_OF_DAY, WEEKDAY])",
        ],
        "aggregateTransactions": [
            "(groupBy: [ASSET, TRANSACTION_TYPE, REASON, HOLDER], bucket: DAY)",
            "(groupBy: [ASSET, MARKET_MAKER, HOUR_OF_DAY, WEEKDAY])",
        ],
        "balancesAsOf": [f'(userId: "{trader.id}", at: "2100-01-01T00:00:00Z")' for trader in (own, other)],
        "candles": ['(certificateType: CEA, bucket: MONTH, from: "2026-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z")'],
        "marketMaker": [f'(id: "{ids["maker"]}")'],
        "order": [f'(id: "{ids[name]}")' for name in ("own_order", "other_order", "cancelled")],
        "ticket": [f'(ticketId: "{ids[name]}")' for name in ("ticket", "failed")],
        "sessions": [f'(userId: "{trader.id}")' for trader in (own, other)],
        "user": [f'(id: "{trader.id}")' for trader in (own, other)],
    }
    askers = await people(api, own, other)
    owners = {
        (kind, str(row["id"])): {str(one) for one in row["owners"]}
        for kind, statement in OWNED.items()
        for row in await api.sql(statement)
    }
    async with httpx.AsyncClient(timeout=30) as client:  # one: each would make a TLS context of its own
        yield World(api, client, askers, ways, owners)


@pytest.fixture(scope="module")
def built() -> GraphQLSchema:
    return schema.build()._schema


async def sent(world: World, document: str, token: str, **headers: str) -> dict[str, Any]:
    """Run a document as whoever holds a token, or sends a cookie; return the body of the answer."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body: dict[str, Any] = (await world.client.post(world.api.url, json={"query": document}, headers=headers)).json()
    return body


async def asked(world: World, asker: Asker, document: str) -> tuple[dict[str, Any], str | None]:
    """Run a document; return its data, and the code of the first error."""
    body = await sent(world, document, asker.token)
    errors = body.get("errors") or []
    assert all(error["extensions"]["code"] != "INTERNAL" for error in errors), (asker.name, document, errors)
    return body.get("data") or {}, errors[0]["extensions"]["code"] if errors else None


def expected(asker: Asker, policy: Policy) -> str | None:
    """Return the code with which a root field refuses somebody; None when it lets him in."""
    if asker.is_ended:
        return "UNAUTHENTICATED"
    if asker.is_let_in(policy):
        return None
    return "UNAUTHENTICATED" if asker.role is None else "FORBIDDEN"


# ------------------------------------------------------------------------------------------------------------ declared


def test_every_field_declares_who_may(built: GraphQLSchema) -> None:
    for root, found in all_policies().items():
        kind = built.type_map[root]
        assert isinstance(kind, GraphQLObjectType)
        assert set(found) == set(kind.fields), root
    rights.require_declared(built)


def test_a_field_of_which_nobody_has_said_who_sees_it_fails_the_build(
    built: GraphQLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {**rights.SIGHTS, "PriceLevel": {Sight.OPEN: "price quantity orderCount"}}
    monkeypatch.setattr(rights, "SIGHTS", without)
    with pytest.raises(TypeError, match=r"say who sees PriceLevel\.cumulativeQuantity"):
        schema.build()
    monkeypatch.setattr(rights, "SIGHTS", {**without, "PriceLevel": {Sight.OPEN: "price quantity orderCount colour"}})
    with pytest.raises(TypeError):
        schema.build()


# --------------------------------------------------------------------------------------------------------- root fields


async def test_every_query_lets_in_whom_its_policy_lets_in(world: World, built: GraphQLSchema) -> None:
    assert built.query_type
    count = await world.api.ticket_count()
    for name, policy in all_policies()["Query"].items():
        one = built.query_type.fields[name]
        for asker in world.askers.values():
            data, code = await asked(world, asker, f"{{ {called(name, one)}{below(one.type)} }}")
            assert code == expected(asker, policy), (name, asker.name)
            assert code is None or not data.get(name), (name, asker.name)
    assert await world.api.ticket_count() == count  # denied reads leave no ticket


async def test_every_mutation_refuses_whom_its_policy_refuses_with_one_ticket_and_no_effect(
    world: World, built: GraphQLSchema
) -> None:
    assert built.mutation_type
    before = await world.api.state()
    for name, policy in all_policies()["Mutation"].items():
        one = built.mutation_type.fields[name]
        for asker in world.askers.values():
            wanted = expected(asker, policy)
            if wanted is None:
                continue
            count = await world.api.ticket_count()
            data, code = await asked(world, asker, f"mutation {{ {called(name, one)}{below(one.type)} }}")
            assert (code, data.get(name)) == (wanted, None), (name, asker.name)
            rows = await world.api.tickets_since(count)
            assert [(row["status"], row["error_code"], str(row["user_id"])) for row in rows] == (
                [("FAILED", "FORBIDDEN", asker.user_id)] if wanted == "FORBIDDEN" else []
            ), (name, asker.name)
    assert await world.api.state() == before


async def test_every_subscription_lets_in_whom_its_policy_lets_in(world: World, built: GraphQLSchema) -> None:
    assert built.subscription_type
    found = all_policies()["Subscription"]
    for asker in world.askers.values():
        headers = {"Authorization": f"Bearer {asker.token}"} if asker.token else {}
        async with websockets.connect(
            world.api.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
        ) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": headers}))
            if asker.is_ended:
                with pytest.raises(websockets.ConnectionClosedError) as closed:
                    await asyncio.wait_for(socket.recv(), SOCKET_WAIT_S)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4403, asker.name
                continue
            for name in found:
                one = built.subscription_type.fields[name]
                query = f"subscription {{ {called(name, one)}{below(one.type)} }}"
                await socket.send(json.dumps({"id": name, "type": "subscribe", "payload": {"query": query}}))
            refused: dict[str, str] = {}
            wanted = {name: code for name, policy in found.items() if (code := expected(asker, policy))}
            while True:
                try:  # first until each refusal that is due has come, then a little longer for those that are not
                    wait_s = SETTLE_S if set(wanted) <= set(refused) else SOCKET_WAIT_S
                    message = json.loads(await asyncio.wait_for(socket.recv(), wait_s))
                except TimeoutError:
                    break
                payload = message.get("payload") or {}
                if errors := payload if message["type"] == "error" else payload.get("errors"):
                    refused[message["id"]] = errors[0]["extensions"]["code"]
            assert refused == wanted, asker.name


async def test_somebody_whose_session_ended_is_nobody_by_cookie(world: World, built: GraphQLSchema) -> None:
    assert built.query_type
    api = world.api
    here = {"Origin": api.url.removesuffix("/graphql")}
    for asker in (one for one in world.askers.values() if one.is_ended):
        for name, policy in all_policies()["Query"].items():
            one = built.query_type.fields[name]
            document = f"{{ {called(name, one)}{below(one.type)} }}"
            body = await sent(world, document, "", Cookie=f"carbondesk={asker.token}", **here)
            codes = [error["extensions"]["code"] for error in body.get("errors", ())]
            assert codes == ([] if world.askers["anonymous"].is_let_in(policy) else ["UNAUTHENTICATED"]), (name, asker)


async def test_a_market_maker_cannot_have_a_session_and_no_policy_would_let_it_in(api: Api) -> None:
    maker = await api.maker()
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="makers_never_sign_in"):
        await session_of(api, maker["user"]["id"])
    asker = Asker("market maker", "", maker["user"]["id"], UserRole.MARKET_MAKER)
    allowed = {name for found in all_policies().values() for name, policy in found.items() if asker.is_let_in(policy)}
    role_free = {name for found in all_policies().values() for name, policy in found.items() if policy not in ROLES}
    assert allowed == role_free  # what needs a role never needs this one


# ------------------------------------------------------------------------------------------------------- object fields


async def test_every_field_of_every_object_shows_to_each_caller_what_is_declared(
    world: World, built: GraphQLSchema
) -> None:
    assert built.query_type
    compared = Comparison(built, world.owners)
    for name, policy in all_policies()["Query"].items():
        one = built.query_type.fields[name]
        kind = get_named_type(one.type)
        if not isinstance(kind, GraphQLObjectType):
            continue
        reference = world.askers["trader" if name == "attempt" else "admin"]
        for given in world.ways.get(name, [matrix.arguments(one)]):
            for selection in selections(kind):
                document = f"{{ {called(name, one, given)} {{ {selection} }} }}"
                whole, code = await asked(world, reference, document)
                assert code is None, document
                for asker in world.askers.values():
                    if expected(asker, policy) is None:
                        seen, code = await asked(world, asker, document)
                        assert code is None, (asker.name, document)
                        compared.rows(asker, name, kind, whole[name], seen[name])
    assert compared.faults == []
    assert compared.cells > 10_000
    unfilled = reachable(built) - compared.filled
    unfilled = {place for place in unfilled if not place.split(".")[0].endswith(rights.FRAMES)}
    assert sorted(unfilled - set(UNFILLED)) == [], "nothing in this world fills these: add it, or a line to UNFILLED"


# ------------------------------------------------------------------------------------------------------ allowed callers


async def test_every_mutation_takes_whom_its_policy_takes(world: World, built: GraphQLSchema) -> None:
    """Run last: what is let in may do something."""
    assert built.mutation_type
    for name, policy in all_policies()["Mutation"].items():
        one = built.mutation_type.fields[name]
        for asker in world.askers.values():
            if expected(asker, policy) is not None:
                continue
            token = await session_of(world.api, asker.user_id) if asker.user_id else ""
            count = await world.api.ticket_count()
            document = f"mutation {{ {called(name, one)} {{ __typename ticketId errors {{ code }} }} }}"
            body = await sent(world, document, token)
            assert "errors" not in body, (name, asker.name, body)
            fresh = [row["ticket_id"] for row in await world.api.tickets_since(count) if row["attempt_id"] is not None]
            is_throttled = name == "login" and not fresh  # the same wrong login of everybody here
            assert is_throttled or fresh == [body["data"][name]["ticketId"]], (name, asker.name)
