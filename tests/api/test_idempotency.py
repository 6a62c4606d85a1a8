"""Idempotency keys: the same key with the same input is done once, and answered alike for ever."""

import asyncio
from typing import Any

import pytest

from tests.world import CANCEL_MARKET_ORDER, PLACE_MARKET_ORDER, PLACE_ORDER, Api, Trader

REQUEST = """mutation($input: RequestDepositInput!) { requestDeposit(input: $input) {
  ticketId errors { code message details } deposit { id } } }"""
TRANSACT = """mutation($input: CreateTransactionInput!) { createTransaction(input: $input) {
  ticketId errors { code message details } transaction { id balanceAfter } balance { available } } }"""


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    return await api.trader(EUR="1000000", CEA="1000")


@pytest.fixture(scope="module")
async def maker(api: Api) -> dict[str, Any]:
    return await api.maker("MM-Keys", CEA="100000")


def selling(maker: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"marketMakerId": maker["id"], "certificateType": "CEA", "price": "50.00", "quantity": "1", **other}


async def test_a_repeated_key_answers_what_the_first_attempt_did_and_writes_nothing(
    api: Api, maker: dict[str, Any], trader: Trader
) -> None:
    cases: list[tuple[str, dict[str, Any], str | None]] = [
        (PLACE_MARKET_ORDER, selling(maker, idempotencyKey="again"), None),
        (TRANSACT, {"marketMakerId": maker["id"], "asset": "CEA", "transactionType": "DEPOSIT", "amount": "5",
                    "idempotencyKey": "again"}, None),
        (REQUEST, {"amount": "5", "reference": "again", "idempotencyKey": "again"}, trader.token),
        ("mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) { ticketId errors { code }"
         " marketMaker { id name } } }",
         {"name": "MM-Again", "email": "again@internal.test", "idempotencyKey": "again"}, None),
    ]  # fmt: skip
    for document, asked, token in cases:
        first = await api.ask(document, token, input=asked)
        assert "replayed" not in first.extensions
        before, count = await api.state(), await api.ticket_count()
        for _ in range(2):
            again = await api.ask(document, token, input=asked)
            assert again.data == first.data
            assert again.extensions == {**first.extensions, "replayed": True}
        assert (await api.state(), await api.ticket_count()) == (before, count)


async def test_a_replayed_order_is_answered_as_it_was_when_it_was_placed(api: Api, maker: dict[str, Any]) -> None:
    asked = selling(maker, idempotencyKey="as-it-was", price="61.00")
    first = (await api.ask(PLACE_MARKET_ORDER, input=asked))["placeMarketOrder"]
    await api.ask(CANCEL_MARKET_ORDER, id=first["order"]["id"])
    again = (await api.ask(PLACE_MARKET_ORDER, input=asked))["placeMarketOrder"]
    assert again == first
    assert again["order"]["status"] == "OPEN"


async def test_a_replay_comes_with_its_trades(api: Api, maker: dict[str, Any], trader: Trader) -> None:
    await api.clear()
    await api.sell(maker["id"], "10.00", "2")
    asked = {"certificateType": "CEA", "side": "BUY", "price": "10.00", "quantity": "2", "idempotencyKey": "traded"}
    first = (await api.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"]
    assert len(first["trades"]) == 1
    assert (await api.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"] == first


async def test_a_refusal_is_replayed_too_even_when_it_would_now_go_well(api: Api) -> None:
    poor = await api.maker(CEA="1")
    for document, asked in (
        (PLACE_MARKET_ORDER, selling(poor, quantity="5", price="99.00", idempotencyKey="poor")),
        (TRANSACT, {"marketMakerId": poor["id"], "asset": "CEA", "transactionType": "WITHDRAWAL", "amount": "5000",
                    "idempotencyKey": "poor"}),
    ):  # fmt: skip
        refusal = await api.refused("INSUFFICIENT_BALANCE", document, input=asked)
        await api.transact({"marketMakerId": poor["id"]}, "CEA", "DEPOSIT", "1000")
        before, count = await api.state(), await api.ticket_count()
        again = await api.ask(document, input=asked)
        assert again.data is not None
        (payload,) = again.data.values()
        assert payload["ticketId"] == refusal["ticket"]["ticket_id"]
        assert [(error["code"], error["details"]) for error in payload["errors"]] == [
            ("INSUFFICIENT_BALANCE", refusal["details"])
        ]
        assert again.extensions["replayed"] is True
        assert (await api.state(), await api.ticket_count()) == (before, count)


async def test_a_key_with_other_input_is_a_conflict_with_a_ticket_of_its_own(
    api: Api, maker: dict[str, Any], trader: Trader
) -> None:
    for document, asked, other, token in (
        (PLACE_MARKET_ORDER, selling(maker, idempotencyKey="other"), {"quantity": "2"}, None),
        (REQUEST, {"amount": "5", "reference": "a", "idempotencyKey": "other"}, {"reference": "b"}, trader.token),
    ):
        first = await api.ask(document, token, input=asked)
        assert first.data is not None
        (payload,) = first.data.values()
        refusal = await api.refused("IDEMPOTENCY_CONFLICT", document, token, input={**asked, **other})
        assert refusal["details"] == {"ticketId": payload["ticketId"]}
        assert refusal["ticket"]["ticket_id"] != payload["ticketId"]
        again = await api.ask(document, token, input=asked)  # the first answer stands
        assert again.data == first.data


async def test_long_inputs_that_differ_late_are_other_input(api: Api, maker: dict[str, Any]) -> None:
    asked = {"marketMakerId": maker["id"], "asset": "CEA", "transactionType": "DEPOSIT", "amount": "1",
             "notes": "x" * 2_000, "idempotencyKey": "long"}  # fmt: skip
    assert (await api.ask(TRANSACT, input=asked))["createTransaction"]["errors"] == []
    await api.refused("IDEMPOTENCY_CONFLICT", TRANSACT, input={**asked, "notes": "x" * 1_999 + "y"})


async def test_a_key_belongs_to_its_actor_and_its_mutation(api: Api, maker: dict[str, Any], trader: Trader) -> None:
    second = await api.trader(EUR="10")
    asked = {"amount": "5", "reference": "mine", "idempotencyKey": "shared"}
    ids = {(await api.ask(REQUEST, one.token, input=asked))["requestDeposit"]["ticketId"] for one in (trader, second)}
    assert len(ids) == 2
    order = {"certificateType": "CEA", "side": "BUY", "price": "1.00", "quantity": "1", "idempotencyKey": "shared"}
    placed = await api.ask(PLACE_ORDER, trader.token, input=order)
    assert placed["placeOrder"]["errors"] == []
    assert "replayed" not in placed.extensions


async def test_of_duplicates_at_once_one_acts_and_the_others_replay_it(api: Api, maker: dict[str, Any]) -> None:
    for document, asked in (
        (PLACE_MARKET_ORDER, selling(maker, price="62.00", idempotencyKey="at-once")),
        (TRANSACT, {"marketMakerId": maker["id"], "asset": "EUA", "transactionType": "DEPOSIT", "amount": "5",
                    "idempotencyKey": "at-once"}),
    ):  # fmt: skip
        count = await api.ticket_count()
        answers = await asyncio.gather(*(api.ask(document, input=asked) for _ in range(8)))
        payloads = [next(iter((answer.data or {}).values())) for answer in answers]
        assert all(payload == payloads[0] for payload in payloads)
        assert payloads[0]["errors"] == []
        assert sorted(answer.extensions.get("replayed", False) for answer in answers) == [False] + [True] * 7
        assert len(await api.tickets_since(count)) == 1
    assert await api.balance(maker["user"]["id"], "EUA") == ("5", "0")


async def test_of_two_inputs_at_once_under_one_key_one_acts_and_one_conflicts(api: Api, maker: dict[str, Any]) -> None:
    asked = [selling(maker, price=price, idempotencyKey="rivals") for price in ("63.00", "64.00")]
    answers = await asyncio.gather(*(api.ask(PLACE_MARKET_ORDER, input=one) for one in asked))
    codes = sorted(error["code"] for answer in answers for error in answer["placeMarketOrder"]["errors"])
    assert codes == ["IDEMPOTENCY_CONFLICT"]
    assert len({answer["placeMarketOrder"]["ticketId"] for answer in answers}) == 2
