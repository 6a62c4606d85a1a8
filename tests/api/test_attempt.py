"""Did it happen? What an idempotency key stands for, asked without trying again."""

from __future__ import annotations

from typing import Any

from tests.world import PLACE_MARKET_ORDER, PLACE_ORDER, Api

ATTEMPT = """query($key: String!, $mutation: String!) { attempt(idempotencyKey: $key, mutation: $mutation) {
  ticketId status errorCode order { id status quantity filledQuantity user { id } }
  transaction { id asset amount balanceAfter } } }"""
TRANSACT = """mutation($input: CreateTransactionInput!) { createTransaction(input: $input) {
  ticketId errors { code } transaction { id } } }"""


async def attempt(api: Api, mutation: str, key: str, token: str | None = None) -> Any:
    before = await api.ticket_count()
    found = (await api.ask(ATTEMPT, token, key=key, mutation=mutation))["attempt"]
    assert await api.ticket_count() == before
    return found


async def test_an_order_that_was_placed_is_found_as_it_was_answered(api: Api) -> None:
    maker, trader = await api.maker(CEA="10"), await api.trader(EUR="1000")
    asked = {"certificateType": "CEA", "side": "BUY", "price": "25.00", "quantity": "10", "idempotencyKey": "one"}
    assert await attempt(api, "placeOrder", "one", trader.token) is None
    placed = (await api.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"]
    await api.sell(maker["id"], "25.00", "4")
    assert await attempt(api, "placeOrder", "one", trader.token) == {
        "ticketId": placed["ticketId"],
        "status": "SUCCESS",
        "errorCode": None,
        "order": {
            "id": placed["order"]["id"], "status": "OPEN", "quantity": "10", "filledQuantity": "0",
            "user": {"id": trader.id},
        },
        "transaction": None,
    }  # fmt: skip
    await api.clear()


async def test_a_refusal_is_found_with_its_code(api: Api) -> None:
    maker = await api.maker()
    asked = {"marketMakerId": maker["id"], "certificateType": "CEA", "price": "25.00", "quantity": "1"}
    refused = (await api.ask(PLACE_MARKET_ORDER, input={**asked, "idempotencyKey": "no"}))["placeMarketOrder"]
    assert await attempt(api, "placeMarketOrder", "no") == {
        "ticketId": refused["ticketId"], "status": "FAILED", "errorCode": "INSUFFICIENT_BALANCE", "order": None,
        "transaction": None,
    }  # fmt: skip


async def test_a_deposit_is_found_with_its_ledger_row(api: Api) -> None:
    maker = await api.maker(EUR="5.00")
    asked = {"marketMakerId": maker["id"], "asset": "EUR", "transactionType": "DEPOSIT", "amount": "10.50"}
    made = (await api.ask(TRANSACT, input={**asked, "idempotencyKey": "cash"}))["createTransaction"]
    assert await attempt(api, "createTransaction", "cash") == {
        "ticketId": made["ticketId"], "status": "SUCCESS", "errorCode": None, "order": None,
        "transaction": {"id": made["transaction"]["id"], "asset": "EUR", "amount": "10.50", "balanceAfter": "15.50"},
    }  # fmt: skip


async def test_other_outcomes_are_found_by_their_ticket_alone(api: Api) -> None:
    asked = {"name": "MM-Keyed", "email": "keyed@internal.test", "idempotencyKey": "maker"}
    made = await api.ask("mutation($i: CreateMarketMakerInput!) { createMarketMaker(input: $i) { ticketId } }", i=asked)
    assert await attempt(api, "createMarketMaker", "maker") == {
        "ticketId": made["createMarketMaker"]["ticketId"], "status": "SUCCESS", "errorCode": None, "order": None,
        "transaction": None,
    }  # fmt: skip


async def test_a_key_of_somebody_else_or_of_another_mutation_was_never_seen(api: Api) -> None:
    trader, stranger = await api.trader(EUR="100"), await api.trader()
    asked = {"certificateType": "CEA", "side": "BUY", "price": "1.00", "quantity": "1", "idempotencyKey": "mine"}
    assert (await api.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"]["errors"] == []
    assert await attempt(api, "placeOrder", "mine", stranger.token) is None
    assert await attempt(api, "placeOrder", "mine") is None
    for mutation, key in (("requestDeposit", "mine"), ("noSuchField", "mine"), ("placeOrder", "")):
        assert await attempt(api, mutation, key, trader.token) is None
    assert await attempt(api, "placeOrder", "mine", trader.token) is not None
    nobody = await api.ask(ATTEMPT, "", key="mine", mutation="placeOrder")
    assert nobody.errors[0]["extensions"]["code"] == "UNAUTHENTICATED"
    await api.clear()
