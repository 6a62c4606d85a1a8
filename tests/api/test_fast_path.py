"""The fast path answers as stock execution does, byte for byte: the same questions, drawn at random, asked of both."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

import db.people
from api import plans, schema, turns
from api.context import Context, Services
from api.errors import presented
from api.plans import Plan
from api.wire import encoded
from domain.people import Caller
from tests.api.questions import Drawer, Question
from tests.sizes import QUESTIONS, SECONDS_MAX
from tests.world import CANCEL_MARKET_ORDER, PASSWORD, Api, Trader

FAST, STOCK = schema.build(), schema.build(is_fast=False)

CHANCES = 8


@dataclass
class Market:
    """A market in which every nullable field is somewhere null and somewhere not, and those who look at it."""

    services: Services
    callers: dict[str, Caller | None]
    values: dict[str, list[Any]]

    def context(self, name: str) -> Context:
        return Context(self.services, self.callers[name], "127.0.0.1", "test")

    async def answer(self, built: Any, name: str, question: Question) -> tuple[bytes, bool]:
        """Return what a caller is answered, without what is drawn anew each time, and whether it is whole."""
        result = await built.execute(
            question.text, variable_values=question.variables, context_value=self.context(name)
        )
        errors = presented(result.errors or [])
        for error in errors:
            assert error["extensions"]["code"] != "INTERNAL", (question, result.errors)
        return encoded({"data": result.data, "errors": errors}), not errors


@pytest.fixture(scope="module")
async def market(api: Api, desk_world: Services) -> Market:
    makers = [await api.maker(f"MM-Fast-{name}", CEA="1000", EUA="500", EUR="12.5") for name in "ABC"]
    traders = [await api.trader(EUR="100000", CEA="50") for _ in range(3)]
    poor = await api.trader(kyc=False)
    await api.sell(makers[0]["id"], "25.00", "10")
    await api.sell(makers[1]["id"], "25.10", "7")
    await api.sell(makers[1]["id"], "70.25", "10", "EUA")
    await api.order(traders[0], "BUY", "25.00", "4")
    await api.order(traders[1], "BUY", "25.10", "9")  # two trades at two prices
    await api.order(traders[1], "BUY", "70.25", "3", "EUA")
    await api.order(traders[2], "SELL", "26.00", "5")
    await api.order(traders[0], "BUY", "26.00", "2")  # between traders
    await api.order(poor, "BUY", "26.00", "2")  # refused
    gone = (await api.sell(makers[2]["id"], "99.00", "1"))["order"]["id"]
    await api.ask(CANCEL_MARKET_ORDER, id=gone)
    await api.ask(
        "mutation($id: ID!, $text: String) { updateMarketMaker(id: $id, input: { description: $text }) { ticketId } }",
        id=makers[1]["id"],
        text='Täglich, "laut" – ☀',
    )
    await api.ask("mutation($id: ID!) { deleteMarketMaker(id: $id) { ticketId } }", id=makers[2]["id"])
    for trader, amount in zip(traders, ("5", "7.5", "9999.99"), strict=True):
        await deposit(api, trader, amount)
    deposits = (await api.ask("{ deposits { nodes { id } } }"))["deposits"]["nodes"]
    await api.ask("mutation($id: ID!) { approveDeposit(id: $id) { ticketId } }", id=deposits[0]["id"])
    await api.ask('mutation($id: ID!) { rejectDeposit(id: $id, reason: "unknown") { ticketId } }', id=deposits[1]["id"])
    trades = (await api.ask("{ trades { nodes { id } } }"))["trades"]["nodes"]
    settle = 'mutation($id: ID!) { settleTrade(id: $id, registryReference: "REG-1") { ticketId } }'
    await api.ask(settle, id=trades[1]["id"])
    analyst = f"analyst-{traders[0].email}"
    await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } } }",
        input={"email": analyst, "name": "Ana", "role": "ANALYST", "password": PASSWORD},
    )
    tokens = {"admin": api.admin_token, "analyst": await api.login(analyst), "trader": traders[1].token}
    callers: dict[str, Caller | None] = {"nobody": None}
    for name, token in tokens.items():
        callers[name] = await db.people.caller(desk_world.pool, token)
    return Market(desk_world, callers, await values_of(api, makers, traders))


async def deposit(api: Api, trader: Trader, amount: str) -> None:
    ask = "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { ticketId } }"
    await api.ask(ask, trader.token, i={"amount": amount, "reference": f"Überweisung {amount}"})


async def values_of(api: Api, makers: list[dict[str, Any]], traders: list[Trader]) -> dict[str, list[Any]]:
    """Return what arguments are drawn from: what names something, what names nothing, and what is wrong."""
    listed = await api.ask(
        "{ orders { edges { cursor node { id } } } tickets { edges { cursor node { id } } }"
        " trades { edges { cursor node { id executedAt } } } }"
    )
    edges = {name: listed[name]["edges"] for name in ("orders", "tickets", "trades")}
    cursors = [edge["cursor"] for found in edges.values() for edge in found[:6]]
    orders, tickets = ([edge["node"]["id"] for edge in edges[name]] for name in ("orders", "tickets"))
    holders = [trader.id for trader in traders]
    nobody = ["00000000-0000-4000-8000-000000000000", "x"]
    times = [edge["node"]["executedAt"] for edge in edges["trades"]] + ["2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"]
    sizes = [0, 1, 1, 2, 2, 3, 3, 5, 5, 10, 10, 50, 50, 100, 100, 101]
    return {
        **dict.fromkeys(("first", "last"), sizes),
        **{key: [*cursors, "nonsense"] for key in ("after", "before")},
        **dict.fromkeys(("dateFrom", "dateTo", "createdFrom", "createdTo"), times),
        "id": [*orders, *holders, *(maker["id"] for maker in makers), *nobody],
        **{key: [*holders, *nobody] for key in ("userId", "userIds", "holderId")},
        **{key: [*(maker["id"] for maker in makers), *nobody] for key in ("marketMakerId", "marketMakerIds")},
        "ticketId": [*tickets, "TKT-2001-000001"],
        "relatedTo": tickets,
        "entityId": orders,
        "search": ["MM", "limit", "25", "Trader", "zzz", "-MM"],
        "tags": ["market", "trade"],
        "errorCodes": ["KYC_REQUIRED", "NO_LIQUIDITY"],
        "ipAddress": ["127.0.0.1"],
        "depth": [1, 2],
    }


@pytest.mark.timeout(SECONDS_MAX)
async def test_generated_questions_are_answered_as_by_stock_execution(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "DESK_REST", 0.0)
    built: Counter[str] = Counter()
    plan_of = plans.of

    def watched(info: Any) -> Plan | None:
        plan = plan_of(info)
        if info.schema is FAST:
            built["planned" if plan else "unplanned"] += 1
        return plan

    monkeypatch.setattr(plans, "of", watched)
    hung = plans.Below.values

    def hangs(below: Any, *arguments: Any) -> Any:
        built["nested"] += 1
        return hung(below, *arguments)

    monkeypatch.setattr(plans.Below, "values", hangs)
    dice = random.Random(7)
    values = {name: (lambda among=among: dice.choice(among)) for name, among in market.values.items()}
    drawer = Drawer(FAST._schema, dice, values)  # type: ignore[arg-type]  # mypy cannot infer a default of a lambda
    told: Counter[str] = Counter()
    names = list(market.callers)
    for _ in range(QUESTIONS):
        question, name = drawer.question(), dice.choices(names, (1, 5, 3, 2))[0]
        stock, is_whole = await market.answer(STOCK, name, question)
        fast, _ = await market.answer(FAST, name, question)
        if fast != stock and not is_whole:
            # Of several fields that fail beneath one that may not be null, whichever is first is told.
            told["by chance"] += 1
            chances = [(await market.answer(STOCK, name, question))[0] for _ in range(CHANCES)]
            fast = fast if fast in chances else (await market.answer(FAST, name, question))[0]
            stock = fast if fast in chances else stock
        assert fast == stock, (name, question)
        if is_whole:  # asked again, it may be answered without executing it
            again, _ = await market.answer(FAST, name, question)
            assert again == stock, (name, question)
        told["whole" if is_whole else "with errors"] += 1
        told["null"] += b"null" in stock
    assert told["whole"] > QUESTIONS / 3 and told["with errors"] > QUESTIONS / 20, told
    assert told["by chance"] < QUESTIONS / 50, told
    assert built["planned"] > QUESTIONS / 4 and built["nested"] > QUESTIONS / 20, built
