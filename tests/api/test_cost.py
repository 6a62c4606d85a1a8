"""The cost of a document is known before anything runs, is told with every answer, and bounds what one may ask."""

from __future__ import annotations

import time
from typing import Any

import pytest
from graphql import parse

from api import cost, schema
from api.context import Context
from api.cost import COSTS_MAX, LIST, LOOKUP, OBJECT, WEIGHTS, Cost, cost_of
from api.documents import operation_of
from db.read import PAGE_SIZE
from domain.people import UserRole
from tests.world import Api

SCHEMA = schema.build()
NESTED = "query Q($makers: Int = 100, $orders: Int = 100) { marketMakers(first: $makers) { nodes { id"
NESTED += " orders(first: $orders) { nodes { id side orderType price quantity filledQuantity status createdAt } } } } }"


def priced(document: str, **variables: Any) -> Cost:
    parsed = parse(document)
    operation = operation_of(parsed, None)
    assert operation is not None
    return cost_of(SCHEMA._schema, parsed, operation, variables)


@pytest.mark.parametrize(
    ("document", "points"),
    [
        ("{ __typename }", 0),
        ("{ me { id name } }", LOOKUP + 2),
        ("{ tickets(first: 10) { nodes { ticketId summary } } }", LIST + 10 * (OBJECT + 2)),
        ("{ tickets(last: 10) { nodes { ticketId summary } } }", LIST + 10 * (OBJECT + 2)),
        ("{ tickets { nodes { ticketId } } }", LIST + PAGE_SIZE * (OBJECT + 1)),
        ("{ tickets(first: 0) { nodes { ticketId } totalCount } }", LIST + WEIGHTS["totalCount"]),
        ("{ tickets(first: 2) { edges { cursor node { ticketId } } } }", LIST + 2 * (OBJECT + 1 + OBJECT + 1)),
        ("{ tickets(first: 3) { nodes { user { name } } } }", LIST + 3 * (OBJECT + LOOKUP + 1)),
        ("{ tickets(first: 3) { nodes { id @skip(if: true) } } }", LIST + 3 * OBJECT),
        ("{ tickets(first: 3) { ...F } } fragment F on TicketConnection { nodes { id } }", LIST + 3 * (OBJECT + 1)),
        ("{ tickets(first: 3) { ... { ... on TicketConnection { nodes { id } } } } }", LIST + 3 * (OBJECT + 1)),
        (
            "{ marketMakers(first: 5) { nodes { orders(first: 4) { nodes { id } } } } }",
            LIST + 5 * (OBJECT + LIST + 4 * (OBJECT + 1)),
        ),
        ("{ certificates { name } }", LIST + 2 * (OBJECT + 1)),
        (
            "{ orderBook(certificateType: CEA, depth: 7) { bids { price } asks { price quantity } } }",
            WEIGHTS["orderBook"] + 2 * LIST + 7 * (OBJECT + 1) + 7 * (OBJECT + 2),
        ),
    ],
)
def test_a_cost_is_what_stands_in_the_document(document: str, points: int) -> None:
    assert priced(document).points == points


def test_a_cost_follows_the_variables_and_their_defaults() -> None:
    assert priced(NESTED).points > COSTS_MAX[UserRole.ANALYST] > priced(NESTED, makers=10).points
    assert priced(NESTED, makers=10).points > priced(NESTED, makers=10, orders=1).points
    assert priced(NESTED, makers="x", orders=-3).points < priced(NESTED).points  # will not coerce; no fault of ours


def test_fragments_that_double_are_added_up_once_each() -> None:
    levels = 60
    text = "{ tickets(first: 1) { nodes { ...F0 } } }"
    text += "".join(f" fragment F{n} on Ticket {{ ...F{n + 1} a{n}: id ...F{n + 1} }}" for n in range(levels))
    text += f" fragment F{levels} on Ticket {{ id }}"
    begun = time.process_time()
    assert priced(text).points > 2**levels
    assert time.process_time() - begun < 0.05


def test_a_chain_of_fragments_without_end_costs_more_than_anybody_may() -> None:
    levels = 3_000
    text = "{ me { ...F0 } }"
    text += "".join(f" fragment F{n} on User {{ ...F{n + 1} }}" for n in range(levels))
    assert priced(f"{text} fragment F{levels} on User {{ id }}").points > max(COSTS_MAX.values())


async def test_what_costs_too_much_is_refused_before_anything_is_asked_of_the_database() -> None:
    nobody: Any = None
    context = Context(nobody, None, None, None)  # no services: whatever touched them would fail
    result = await SCHEMA.execute(NESTED, context_value=context)
    assert result.data is None
    (error,) = result.errors or []
    points = priced(NESTED).points
    assert error.extensions == {
        "code": "TOO_COMPLEX",
        "limit": COSTS_MAX[None],
        "found": points,
        "costliest": "marketMakers.nodes.orders.nodes.id",
    }
    assert f"{points:,} points" in error.message and "`first`" in error.message


async def test_every_answer_tells_its_cost_and_what_the_caller_may_spend(api: Api) -> None:
    document = "{ tickets(first: 3) { nodes { ticketId } } }"
    told = (await api.ask(document)).extensions["cost"]
    assert told == {"requested": priced(document).points, "limit": COSTS_MAX[UserRole.ADMIN]}
    denied = await api.ask(document, "")
    assert denied.errors[0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert denied.extensions["cost"] == {"requested": told["requested"], "limit": COSTS_MAX[None]}
    refused = await api.ask(NESTED)
    assert [error["extensions"]["code"] for error in refused.errors] == ["TOO_COMPLEX"]
    assert refused.errors[0]["extensions"]["limit"] == COSTS_MAX[UserRole.ADMIN]
    allowed = await api.ask(NESTED, makers=10)
    assert allowed.errors == []


async def test_the_limit_is_that_of_the_role(api: Api) -> None:
    trader = await api.trader()
    document = (
        "query Q($n: Int!) { orders(first: $n) { nodes { id trades(first: 100) {"
        " nodes { id price quantity notional takerSide status } } } } }"
    )
    limit = COSTS_MAX[UserRole.TRADER]
    within = max(n for n in range(1, 101) if priced(document, n=n).points <= limit)
    assert (await api.ask(document, trader.token, n=within)).errors == []
    refused = await api.ask(document, trader.token, n=within + 1)
    assert refused.errors[0]["extensions"]["code"] == "TOO_COMPLEX"
    assert (await api.ask(document, n=100)).errors == []  # an admin may


async def test_an_attempt_that_costs_too_much_leaves_no_ticket(api: Api) -> None:
    before = await api.ticket_count()
    below = "orders(first: 100) { nodes { trades(first: 100) { nodes { buyer { name } seller { name } } } } }"
    refused = await api.ask(f'mutation {{ updateMarketMaker(id: "x", input: {{}}) {{ marketMaker {{ {below} }} }} }}')
    assert refused.errors[0]["extensions"]["code"] == "TOO_COMPLEX"
    assert await api.ticket_count() == before


def test_a_list_without_a_declared_length_makes_no_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SIZES", {name: size for name, size in cost.SIZES.items() if name != "User.balances"})
    with pytest.raises(TypeError, match=r"User\.balances"):
        schema.build()
