"""Every mutation of the schema, whatever comes of it, leaves exactly one root ticket."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLList, GraphQLNonNull, get_named_type, is_input_object_type

from api import schema
from api.tickets import DECLARED
from tests.world import PASSWORD, Api, Trader

MISSING = "11111111-2222-4333-8444-555555555555"
OUTCOMES = ("success", "refusal", "denial", "literal", "variable", "fault")
# Anybody may try to sign in; to sign out takes no arguments, and nothing can be refused or denied of it. The other two
# are for whoever is signed in.
IMPOSSIBLE = {
    "login": {"denial"},
    "logout": {"refusal", "denial", "literal", "variable"},
    "changePassword": {"denial"},
    "revokeSessions": {"denial"},
}
PAPER = {"kind": "PASSPORT", "fileName": "p.pdf", "contentType": "application/pdf", "contentBase64": "JVBERi0xLjc="}


@dataclass
class Desk:
    """What the attempts below are made with."""

    api: Api
    trader: Trader
    maker: dict[str, Any]

    def name(self) -> str:
        return f"x-{secrets.token_hex(6)}"

    async def order(self, *, of_maker: bool) -> str:
        if of_maker:
            payload = await self.api.sell(self.maker["id"], "80.00", "1")
        else:
            payload = await self.api.order(self.trader, "BUY", "1.00", "1")
        order_id: str = payload["order"]["id"]
        return order_id

    async def deposit(self) -> str:
        asked = "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { deposit { id } } }"
        answered = await self.api.ask(asked, self.trader.token, i={"amount": "1", "reference": "R"})
        deposit_id: str = answered["requestDeposit"]["deposit"]["id"]
        return deposit_id

    async def trade(self) -> str:
        await self.api.sell(self.maker["id"], "70.00", "1")
        trade_id: str = (await self.api.order(self.trader, "BUY", "70.00", "1"))["trades"][0]["id"]
        return trade_id

    async def token_of(self, who: str) -> str:
        """Return the token of the admin or the trader, or of somebody whom nobody will miss."""
        if who in ("newcomer", "somebody"):
            return (await self.api.trader(kyc=who == "somebody")).token
        return {"admin": self.api.admin_token, "trader": self.trader.token}[who]


Make = Callable[[Desk], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """Arguments with which a mutation succeeds, and with which it is refused, as whom."""

    success: Make
    refusal: Make
    who: str = "admin"


def given(**arguments: Any) -> Make:
    async def make(desk: Desk) -> dict[str, Any]:
        return arguments

    return make


def case(success: Callable[[Desk], Any], refusal: dict[str, Any], who: str = "admin") -> Case:
    async def make(desk: Desk) -> dict[str, Any]:
        made = success(desk)
        arguments: dict[str, Any] = await made if isinstance(made, Awaitable) else made
        return arguments

    return Case(make, given(**refusal), who)


async def order_of_maker(desk: Desk) -> dict[str, Any]:
    return {"id": await desk.order(of_maker=True)}


async def order_of_trader(desk: Desk) -> dict[str, Any]:
    return {"id": await desk.order(of_maker=False)}


async def a_deposit(desk: Desk) -> dict[str, Any]:
    return {"id": await desk.deposit()}


async def a_maker(desk: Desk) -> dict[str, Any]:
    return {"id": (await desk.api.maker())["id"]}


async def a_user(desk: Desk) -> dict[str, Any]:
    return {"userId": (await desk.api.trader(kyc=False)).id}


async def with_reason(make: Make, desk: Desk) -> dict[str, Any]:
    return {**await make(desk), "reason": "No"}


async def a_name(desk: Desk) -> dict[str, Any]:
    return {"id": (await desk.api.trader()).id, "input": {"name": "New"}}


async def somebody(desk: Desk) -> dict[str, Any]:
    return {"id": (await desk.api.trader()).id}


async def a_settlement(desk: Desk) -> dict[str, Any]:
    return {"id": await desk.trade(), "registryReference": "R"}


async def settlements(desk: Desk) -> dict[str, Any]:
    return {"input": [await a_settlement(desk)]}


LIMIT = {"certificateType": "CEA", "price": "81.00", "quantity": "1"}
CASES: dict[str, Case] = {
    "login": case(
        lambda desk: {"input": {"email": desk.trader.email, "password": PASSWORD}},
        {"input": {"email": "nobody@desk.test", "password": PASSWORD}},
    ),
    "logout": Case(given(), given()),  # nothing can be refused of it
    "createMarketMaker": case(
        lambda desk: {"input": {"name": desk.name(), "email": f"{desk.name()}@x.test"}},
        {"input": {"name": "", "email": "x@x.test"}},
    ),
    "updateMarketMaker": case(
        lambda desk: {"id": desk.maker["id"], "input": {"description": desk.name()}},
        {"id": MISSING, "input": {"description": "x"}},
    ),
    "deleteMarketMaker": case(a_maker, {"id": MISSING}),
    "createTransaction": case(
        lambda desk: {"input": {"userId": desk.trader.id, "asset": "EUR", "transactionType": "DEPOSIT",
                                "amount": "1"}},
        {"input": {"userId": MISSING, "asset": "EUR", "transactionType": "DEPOSIT", "amount": "1"}},
    ),
    "placeMarketOrder": case(
        lambda desk: {"input": {"marketMakerId": desk.maker["id"], **LIMIT}},
        {"input": {"marketMakerId": MISSING, **LIMIT}},
    ),
    "cancelMarketOrder": case(order_of_maker, {"id": MISSING}),
    "cancelAllMarketOrders": case(lambda desk: {"marketMakerId": desk.maker["id"]}, {"marketMakerId": MISSING}),
    "placeOrder": case(
        lambda desk: {"input": {**LIMIT, "side": "BUY", "price": "1.00"}},
        {"input": {**LIMIT, "side": "BUY", "quantity": "0"}},
        "trader",
    ),
    "cancelOrder": case(order_of_trader, {"id": MISSING}, "trader"),
    "createUser": case(
        lambda desk: {"input": {"email": f"{desk.name()}@x.test", "name": "X", "role": "TRADER", "password": PASSWORD}},
        {"input": {"email": "x", "name": "X", "role": "TRADER", "password": PASSWORD}},
    ),
    "approveKyc": case(a_user, {"userId": MISSING}),
    "requestDeposit": case(
        lambda desk: {"input": {"amount": "1", "reference": "R"}},
        {"input": {"amount": "0", "reference": "R"}},
        "trader",
    ),
    "approveDeposit": case(a_deposit, {"id": MISSING}),
    "updateUser": case(a_name, {"id": MISSING, "input": {"name": "New"}}),
    "deleteUser": case(somebody, {"id": MISSING}),
    "changePassword": case(
        lambda desk: {"input": {"currentPassword": PASSWORD, "newPassword": "staple battery horse"}},
        {"input": {"currentPassword": PASSWORD, "newPassword": PASSWORD}},
        "somebody",
    ),
    "revokeSessions": case(a_user, {"userId": MISSING}),
    "uploadKycDocument": case(lambda desk: {"input": PAPER}, {"input": {**PAPER, "kind": "SELFIE"}}, "newcomer"),
    "rejectKyc": case(lambda desk: with_reason(a_user, desk), {"userId": MISSING, "reason": "No"}),
    "rejectDeposit": case(lambda desk: with_reason(a_deposit, desk), {"id": MISSING, "reason": "No"}),
    "settleTrade": case(a_settlement, {"id": MISSING, "registryReference": "R"}),
    "settleTrades": case(settlements, {"input": [{"id": MISSING, "registryReference": "R"}]}),
    "updateCertificate": case(
        lambda desk: {"certificateType": "EUA", "input": {"description": "EUA"}},
        {"certificateType": "EUA", "input": {"lotSize": "0"}},
    ),
    "updatePrice": case(
        lambda desk: {"certificateType": "EUA", "price": "70"}, {"certificateType": "EUA", "price": "0"}
    ),
    "updateSettings": case(
        lambda desk: {"input": {"publicMarketData": True}}, {"input": {"priceBandPercent": "0"}}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
async def desk(api: Api) -> Desk:
    return Desk(api, await api.trader(EUR="100000", CEA="1000"), await api.maker("MM-Every", CEA="10000"))


@contextlib.asynccontextmanager
async def faulty(api: Api) -> AsyncIterator[None]:
    """Let a real trigger fail every SUCCESS ticket, so that whatever was done is undone."""
    await api.sql(
        "CREATE OR REPLACE FUNCTION fail_every_success() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'a fault of the house'; END $$;"
    )
    await api.sql(
        "CREATE TRIGGER fail_every_success BEFORE INSERT ON ticket_logs FOR EACH ROW WHEN (NEW.status = 'SUCCESS')"
        " EXECUTE FUNCTION fail_every_success()"
    )
    try:
        yield
    finally:
        await api.sql("DROP TRIGGER fail_every_success ON ticket_logs")


def documents(name: str, arguments: dict[str, Any]) -> str:
    """Write the document that asks a mutation with variables for its arguments."""
    mutation_type = schema.build()._schema.mutation_type
    assert mutation_type is not None
    types = mutation_type.fields[name].args
    declared = ", ".join(f"${key}: {types[key].type}" for key in arguments)
    passed = ", ".join(f"{key}: ${key}" for key in arguments)
    return f"mutation{f'({declared})' if declared else ''} {{ {name}{f'({passed})' if passed else ''} {{ ticketId }} }}"


def misfit(name: str) -> tuple[str, Any]:
    """Return a required argument and a value that does not fit its type."""
    mutation_type = schema.build()._schema.mutation_type
    assert mutation_type is not None
    key, argument = next(iter(mutation_type.fields[name].args.items()))
    named = get_named_type(argument.type)
    kind = argument.type.of_type if isinstance(argument.type, GraphQLNonNull) else argument.type
    if is_input_object_type(named):
        return key, 7 if isinstance(kind, GraphQLList) else []
    return key, {"no": "id"}


def test_every_mutation_of_the_schema_has_a_case() -> None:
    assert set(CASES) == set(DECLARED)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [(name, outcome) for name in sorted(CASES) for outcome in OUTCOMES if outcome not in IMPOSSIBLE.get(name, ())],
)
async def test_each_outcome_leaves_exactly_one_root_ticket(desk: Desk, name: str, outcome: str) -> None:
    api, one = desk.api, CASES[name]
    token = await desk.token_of(one.who)
    if name == "logout":
        token = await api.login(desk.trader.email)
    arguments = await (one.refusal if outcome == "refusal" else one.success)(desk)
    document, variables = documents(name, arguments), arguments
    expected: tuple[str, str | None] = ("SUCCESS", None)
    match outcome:
        case "denial":
            token = desk.trader.token if one.who == "admin" else api.admin_token
            expected = ("FAILED", "FORBIDDEN")
        case "variable":
            key, value = misfit(name)
            variables, expected = {**arguments, key: value}, ("FAILED", "BAD_REQUEST")
        case "literal":
            key, value = misfit(name)
            written = "{no: 1}" if isinstance(value, dict) else "7.5"
            document, variables = f"mutation {{ {name}({key}: {written}) {{ ticketId }} }}", {}
            expected = ("FAILED", "BAD_REQUEST")
        case "fault":
            expected = ("FAILED", "INTERNAL")
    count = await api.ticket_count()
    async with faulty(api) if outcome == "fault" else contextlib.nullcontext():
        body = (await api.post(document, variables, token)).json()
    roots = [row for row in await api.tickets_since(count) if row["attempt_id"] is not None]
    assert len(roots) == 1, body
    (root,) = roots
    if outcome == "refusal":
        assert root["status"] == "FAILED" and root["error_code"] not in (None, "INTERNAL", "BAD_REQUEST", "FORBIDDEN")
    else:
        assert (root["status"], root["error_code"]) == expected, body
    assert body["extensions"]["tickets"] == {name: root["ticket_id"]}
