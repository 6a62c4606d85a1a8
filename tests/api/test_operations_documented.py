"""docs/examples.md, document by document: each runs as it stands, and no operation is without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    parse,
    validate,
)

from api.settings import Settings
from tests.db.sealing import sealing
from tests.watching import following
from tests.world import PASSWORD, Api

ROOT = Path(__file__).parents[2]
SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
EXAMPLES = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
DOCUMENTS = re.findall(r"^```graphql\n(.*?)^```$", EXAMPLES, re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')
WHO = re.compile(r"# as (nobody|the admin|the buyer)\n")


def operation(document: str) -> OperationDefinitionNode:
    (node,) = parse(document).definitions
    assert isinstance(node, OperationDefinitionNode)
    return node


def root_fields(document: str) -> set[str]:
    return {one.name.value for one in operation(document).selection_set.selections if isinstance(one, FieldNode)}


@pytest.mark.parametrize("kind", list(OperationType))
def test_every_operation_has_an_example(kind: OperationType) -> None:
    root = {
        OperationType.QUERY: SCHEMA.query_type,
        OperationType.MUTATION: SCHEMA.mutation_type,
        OperationType.SUBSCRIPTION: SCHEMA.subscription_type,
    }[kind]
    assert root is not None
    shown = {name for one in DOCUMENTS if operation(one).operation is kind for name in root_fields(one)}
    assert set(root.fields) - shown == set(), "add one to docs/examples.md"


def test_examples_are_valid_and_say_who_asks() -> None:
    for document in DOCUMENTS:
        assert WHO.match(document), document
        assert validate(SCHEMA, parse(document)) == [], document


def learned(data: dict[str, Any]) -> dict[str, str]:
    """Return what a reader keeps of an answer, by the word that stands for it."""
    match data:
        case {"buyer": {"user": buyer}, "guest": {"user": guest}}:
            return {"BUYER_ID": buyer["id"], "GUEST_ID": guest["id"]}
        case {"first": {"deposit": first}, "second": {"deposit": second}}:
            return {"DEPOSIT_ID": first["id"], "OTHER_DEPOSIT_ID": second["id"]}
        case {"createMarketMaker": {"marketMaker": maker}}:
            return {"MARKET_MAKER_ID": maker["id"]}
        case {"rest": _, "away": {"order": away}}:
            return {"MARKET_ORDER_ID": away["id"]}
        case {"take": take, "more": more, "wait": wait}:
            trades = [take["trades"][0]["id"], more["trades"][0]["id"]]
            return {"TICKET_ID": take["ticketId"], "ORDER_ID": wait["order"]["id"], "TRADE_ID": trades[0],
                    "SECOND_TRADE_ID": trades[1]}  # fmt: skip
    return {}


# What an answer must hold, by its first root field, beside being without errors.
HOLDS: dict[str, Callable[[Any], bool]] = {
    "attempt": lambda found: found["status"] == "SUCCESS" and found["order"]["status"] == "FILLED",
    "orderBook": lambda found: found["bestBid"] == "24.00" and found["bestAsk"] == "25.10",
    "tickets": lambda found: "BUY 40 CEA @ 25.10" in [one["summary"] for one in found["nodes"]],
    "ticket": lambda found: found["status"] == "SUCCESS" and len(found["relatedTickets"]) > 1,
    "ticketProof": lambda found: found["path"] and found["checkpoint"].startswith("carbondesk/"),
    "ticketStats": lambda found: found["totalActions"] > 20,
    "cancelAllMarketOrders": lambda found: [one["status"] for one in found["cancelledOrders"]] == ["CANCELLED"],
    "settleTrades": lambda found: [one["status"] for one in found["trades"]] == ["SETTLED"],
    "user": lambda found: found["kycStatus"] == "APPROVED" and len(found["kycDocuments"]) == 1,
    "deleteUser": lambda found: found["user"]["isActive"] is False,
}


async def test_the_examples_run_in_their_order(api: Api, settings: Settings) -> None:
    known = {"ADMIN_EMAIL": api.admin_email, "ADMIN_PASSWORD": PASSWORD}
    tokens = {"nobody": "", "the admin": api.admin_token, "the buyer": ""}
    seen: set[str] = set()
    for document in DOCUMENTS:
        found = WHO.match(document)
        assert found
        if found[1] == "the buyer" and not tokens["the buyer"]:
            tokens["the buyer"] = await api.login("bea@example.com")
        seen |= set(PLACEHOLDER.findall(document))
        text = filled(document, known)
        token = tokens[found[1]]
        if operation(document).operation is OperationType.SUBSCRIPTION:
            await first_event(api, text, token, known, tokens)
            continue
        if "ticketProof" in document:
            async with sealing(settings.database_url or "", settings.home) as sealer:
                await sealer.seal()
        body = (await api.post(text, None, token)).json()
        assert "errors" not in body, (document, body)
        for name, answered in body["data"].items():
            assert answered, (document, body)
            if isinstance(answered, dict):
                assert answered.get("errors", []) == [], (document, body)
            assert HOLDS.get(name, lambda _: True)(answered), (document, body)
        known |= learned(body["data"])
        if "changePassword" in body["data"]:
            tokens["the buyer"] = body["data"]["changePassword"]["accessToken"]
    assert seen == set(known), "a word that nothing explains, or one that nothing uses"


def filled(document: str, known: dict[str, str]) -> str:
    """Put what was learnt into the places of words in capitals."""
    return PLACEHOLDER.sub(lambda match: f'"{known[match[1]]}"', document)


async def first_event(api: Api, text: str, token: str, known: dict[str, str], tokens: dict[str, str]) -> None:
    """Watch until something comes; a trade in the middle of it makes sure that something does."""
    async with api.watching(token) as session, following(session, text) as event:
        asked = {"marketMakerId": known["MARKET_MAKER_ID"], "certificateType": "CEA", "price": "25.00", "quantity": "1"}
        sell = "mutation($input: PlaceMarketOrderInput!) { placeMarketOrder(input: $input) { errors { code } } }"
        buy = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } } }"
        assert (await api.ask(sell, tokens["the admin"], input=asked))["placeMarketOrder"]["errors"] == []
        bought = {"certificateType": "CEA", "side": "BUY", "price": "25.00", "quantity": "1"}
        assert (await api.ask(buy, tokens["the buyer"], input=bought))["placeOrder"]["errors"] == []
        assert await event()


# ------------------------------------------------------------------------------------------------------------ from REST

ROW = re.compile(r"^\| `((?:GET|POST|PUT|DELETE) /[^`]+)` \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"(query|mutation|subscription) `(\w+)`(?: \(([^)]*)\))?")


def test_every_endpoint_that_was_planned_has_its_operation_and_each_exists() -> None:
    api_page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = dict(ROW.findall(api_page.partition("## From REST")[2]))
    assert len(rows) == 16
    roots: dict[str, GraphQLObjectType | None] = {
        "query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type, "subscription": SCHEMA.subscription_type,
    }  # fmt: skip
    for endpoint, does in rows.items():
        named = NAMED.findall(does)
        assert named, endpoint
        for kind, name, arguments in named:
            root = roots[kind]
            assert root is not None and name in root.fields, f"{endpoint}: {name}"
            assert set(re.findall(r"`(\w+)`", arguments)) <= set(root.fields[name].args), f"{endpoint}: {name}"
