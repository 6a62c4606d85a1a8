"""Wrong input: an answer that a person can act on, a FAILED ticket, and nothing moved."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.world import CANCEL_MARKET_ORDER, CANCEL_ORDER, PASSWORD, PLACE_MARKET_ORDER, PLACE_ORDER, Api, Trader

CREATE_MAKER = """mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) {
  ticketId errors { code message field details } marketMaker { id } } }"""
UPDATE_MAKER = """mutation($id: ID!, $input: UpdateMarketMakerInput!) { updateMarketMaker(id: $id, input: $input) {
  ticketId errors { code message field details } marketMaker { id } cancelledOrders { id } } }"""
DELETE_MAKER = """mutation($id: ID!) { deleteMarketMaker(id: $id) {
  ticketId errors { code message field details } marketMaker { id } cancelledOrders { id } } }"""
TRANSACT = """mutation($input: CreateTransactionInput!) { createTransaction(input: $input) {
  ticketId errors { code message field details } transaction { id } balance { available } } }"""
CREATE_USER = """mutation($input: CreateUserInput!) { createUser(input: $input) {
  ticketId errors { code message field details } user { id } } }"""
APPROVE_KYC = """mutation($id: ID!) { approveKyc(userId: $id) {
  ticketId errors { code message field details } user { id } } }"""
REQUEST_DEPOSIT = """mutation($input: RequestDepositInput!) { requestDeposit(input: $input) {
  ticketId errors { code message field details } deposit { id } } }"""
APPROVE_DEPOSIT = """mutation($id: ID!) { approveDeposit(id: $id) {
  ticketId errors { code message field details } deposit { id } } }"""
UNKNOWN_IDS = ["11111111-2222-4333-8444-555555555555", "nobody", "", "1" * 36, "x" * 500]
LARGEST = "999999999999"


@dataclass(frozen=True)
class World:
    """A maker with 100 CEA and 10.00 EUR, a trader with 1,000.00 EUR and 10 CEA, and an order of each in the book."""

    api: Api
    maker_id: str
    maker_user_id: str
    trader: Trader
    ask_id: str
    bid_id: str

    def sell(self, **other: Any) -> dict[str, Any]:
        """Return the input of an order that would be taken, with something else wrong."""
        return {
            "marketMakerId": self.maker_id, "certificateType": "CEA", "price": "25.50", "quantity": "5", **other
        }  # fmt: skip

    def buy(self, **other: Any) -> dict[str, Any]:
        return {"certificateType": "CEA", "side": "BUY", "price": "20.00", "quantity": "5", **other}

    def transact(self, **other: Any) -> dict[str, Any]:
        return {
            "marketMakerId": self.maker_id, "asset": "CEA", "transactionType": "DEPOSIT", "amount": "5", **other
        }  # fmt: skip


@pytest.fixture(scope="module")
async def world(api: Api) -> World:
    maker = await api.maker("MM-Refused", CEA="100", EUR="10")
    trader = await api.trader(EUR="1000", CEA="10")
    ask = await api.sell(maker["id"], "30.00", "10")
    bid = await api.order(trader, "BUY", "20.00", "10")
    return World(api, maker["id"], maker["user"]["id"], trader, ask["order"]["id"], bid["order"]["id"])


async def malformed(api: Api, response: httpx.Response, before: dict[str, str], count: int, *actions: str) -> Any:
    """Assert that a request was refused as malformed, with one FAILED ticket a root field, and changed nothing."""
    body = response.json()
    assert response.status_code == 200
    assert body.get("data") in (None, dict.fromkeys(body["extensions"]["tickets"]))
    error = body["errors"][0]
    assert error["extensions"]["code"] == "BAD_REQUEST", error
    assert await api.state() == before
    rows = await api.tickets_since(count)
    assert [(row["action_type"], row["status"], row["error_code"]) for row in rows] == [
        (action, "FAILED", "BAD_REQUEST") for action in actions
    ]
    assert list(body["extensions"]["tickets"].values()) == [row["ticket_id"] for row in rows]
    if len(rows) == 1:
        assert error["extensions"]["ticketId"] == rows[0]["ticket_id"]
        assert response.headers["x-ticket-id"] == rows[0]["ticket_id"]
    return error["message"], rows


# --------------------------------------------------------------------------------------------------------- unknown ids


@pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=["well-formed", "a word", "empty", "36 ones", "500 letters"])
async def test_an_id_that_names_nothing_is_that_noun_s_not_found(world: World, unknown: str) -> None:
    api, trader = world.api, world.trader.token
    cases: list[tuple[str, str, str | None, dict[str, Any], str]] = [
        ("MARKET_MAKER_NOT_FOUND", PLACE_MARKET_ORDER, None, {"input": world.sell(marketMakerId=unknown)},
         "marketMakerId"),
        ("MARKET_MAKER_NOT_FOUND", TRANSACT, None, {"input": world.transact(marketMakerId=unknown)}, "marketMakerId"),
        ("MARKET_MAKER_NOT_FOUND", UPDATE_MAKER, None, {"id": unknown, "input": {"name": "New"}}, "id"),
        ("MARKET_MAKER_NOT_FOUND", DELETE_MAKER, None, {"id": unknown}, "id"),
        ("ORDER_NOT_FOUND", CANCEL_MARKET_ORDER, None, {"id": unknown}, "id"),
        ("ORDER_NOT_FOUND", CANCEL_ORDER, trader, {"id": unknown}, "id"),
        ("USER_NOT_FOUND", APPROVE_KYC, None, {"id": unknown}, "userId"),
        ("USER_NOT_FOUND", TRANSACT, None, {"input": world.transact(marketMakerId=None, userId=unknown)}, "userId"),
        ("NOT_FOUND", APPROVE_DEPOSIT, None, {"id": unknown}, "id"),
    ]  # fmt: skip
    for code, document, token, variables, field in cases:
        refusal = await api.refused(code, document, token, **variables)
        assert (refusal["field"], refusal["details"]["id"]) == (field, unknown), document
        assert refusal["message"].startswith("There is no such "), document


async def test_lookups_of_ids_that_name_nothing_are_null(world: World) -> None:
    for unknown in UNKNOWN_IDS:
        found = await world.api.ask(
            "query($id: ID!) { marketMaker(id: $id) { id } order(id: $id) { id } user(id: $id) { id }"
            " ticket(ticketId: $id) { id } }",
            id=unknown,
        )
        assert found.errors == []
        assert found.data == {"marketMaker": None, "order": None, "user": None, "ticket": None}


# ------------------------------------------------------------------------------------------------------ price, quantity


@pytest.mark.parametrize("price", ["25.505", "0.001", "25.50000001", "0", "0.00", "1000000.01", LARGEST])
async def test_a_price_off_the_tick_zero_or_too_high_is_refused(world: World, price: str) -> None:
    for document, asked, token in (
        (PLACE_MARKET_ORDER, world.sell(price=price), None),
        (PLACE_ORDER, world.buy(price=price), world.trader.token),
    ):
        refusal = await world.api.refused("INVALID_PRICE", document, token, input=asked)
        assert (refusal["field"], refusal["details"]["requested"]) == ("price", price)
    if price == "25.505":
        assert refusal["message"] == "The price must be a multiple of 0.01."
        assert refusal["details"]["tickSize"] == "0.01"


async def test_a_limit_order_without_price_is_refused(world: World) -> None:
    for price in ({}, {"price": None}):
        refusal = await world.api.refused(
            "INVALID_PRICE",
            PLACE_MARKET_ORDER,
            input={**{k: v for k, v in world.sell().items() if k != "price"}, **price},
        )
        assert (refusal["field"], refusal["message"]) == ("price", "A LIMIT order needs a price.")


@pytest.mark.parametrize("quantity", ["0", "0.5", "1.00000001", "1000000001", LARGEST])
async def test_a_quantity_that_is_zero_off_the_lot_or_too_large_is_refused(world: World, quantity: str) -> None:
    for document, asked, token in (
        (PLACE_MARKET_ORDER, world.sell(quantity=quantity), None),
        (PLACE_ORDER, world.buy(quantity=quantity), world.trader.token),
    ):
        refusal = await world.api.refused("INVALID_QUANTITY", document, token, input=asked)
        assert (refusal["field"], refusal["details"]["requested"]) == ("quantity", quantity)


async def test_tick_and_lot_of_the_certificate_are_read_in_the_transaction(world: World) -> None:
    await world.api.sql("UPDATE certificates SET tick_size = 0.05, lot_size = 10 WHERE certificate_type = 'EUA'")
    try:
        off_tick = world.sell(certificateType="EUA", price="25.51", quantity="10")
        refusal = await world.api.refused("INVALID_PRICE", PLACE_MARKET_ORDER, input=off_tick)
        assert refusal["message"] == "The price must be a multiple of 0.05."
        off_lot = world.sell(certificateType="EUA", price="25.55", quantity="15")
        refusal = await world.api.refused("INVALID_QUANTITY", PLACE_MARKET_ORDER, input=off_lot)
        assert (refusal["message"], refusal["details"]["lotSize"]) == ("The quantity must be a multiple of 10.", "10")
    finally:
        await world.api.sql("UPDATE certificates SET tick_size = 0.01, lot_size = 1 WHERE certificate_type = 'EUA'")


WRONG_NUMBERS = ["-5", "NaN", "nan", "Infinity", "-Infinity", "1e400", "1e2", "1E2", "+5", " 5", "5 ", "1_000", "5,0",
                 ".5", "5.", "", "٥", "0x10", "5" * 13, "0.123456789", "9" * 5_000]  # fmt: skip


@pytest.mark.parametrize("number", WRONG_NUMBERS, ids=[number[:14] or "empty" for number in WRONG_NUMBERS])
@pytest.mark.parametrize("form", ["variable", "literal"])
async def test_text_that_is_no_decimal_is_malformed(world: World, number: str, form: str) -> None:
    api = world.api
    before, count = await api.state(), await api.ticket_count()
    if form == "variable":
        response = await api.post(PLACE_MARKET_ORDER, {"input": world.sell(quantity=number)})
    else:
        response = await api.post(
            f'mutation {{ placeMarketOrder(input: {{marketMakerId: "{world.maker_id}", certificateType: CEA,'
            f' price: "25.50", quantity: {json.dumps(number)}}}) {{ ticketId }} }}'
        )
    message, (row,) = await malformed(api, response, before, count, "MM_ORDER_PLACED")
    assert "Expected a decimal" in message
    assert len(message) <= 500
    recorded = json.loads(row["request_payload"])["input"]
    assert recorded["marketMakerId"] == world.maker_id
    assert recorded["quantity"][:10] == number[:10]


@pytest.mark.parametrize("number", ["1e400", "-5", "0.5", "1e2", "123456789012345678901234567890", "7" * 5_000])
@pytest.mark.parametrize("form", ["variable", "literal"])
async def test_a_number_that_is_no_decimal_is_malformed(world: World, number: str, form: str) -> None:
    api = world.api
    before, count = await api.state(), await api.ticket_count()
    if form == "variable":
        asked = json.dumps({"query": PLACE_MARKET_ORDER, "variables": {"input": world.sell(quantity="HERE")}})
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.post(
                api.url,
                content=asked.replace('"HERE"', number),
                headers={"Authorization": f"Bearer {api.admin_token}", "Content-Type": "application/json"},
            )
    else:
        response = await api.post(
            f'mutation {{ placeMarketOrder(input: {{marketMakerId: "{world.maker_id}", certificateType: CEA,'
            f' price: "25.50", quantity: {number}}}) {{ ticketId }} }}'
        )
    message, _ = await malformed(api, response, before, count, "MM_ORDER_PLACED")
    assert "Expected a decimal" in message


async def test_a_whole_number_is_a_decimal(world: World) -> None:
    placed = await world.api.ask(PLACE_MARKET_ORDER, input=world.sell(price=26, quantity=1))
    order = placed["placeMarketOrder"]["order"]
    assert (order["price"], order["quantity"]) == ("26.00", "1")
    await world.api.ask(CANCEL_MARKET_ORDER, id=order["id"])


# ------------------------------------------------------------------------------------------------------------- amounts


@pytest.mark.parametrize(
    ("asset", "amount", "message"),
    [
        ("EUR", "0.001", "EUR amounts have 2 decimals at most."),
        ("CEA", "0.5", "CEA amounts have whole certificates at most."),
        ("EUA", "1.01", "EUA amounts have whole certificates at most."),
        ("EUR", "0", "The amount must be greater than 0."),
        ("CEA", "0.00", "The amount must be greater than 0."),
    ],
)
async def test_an_amount_off_its_asset_s_scale_or_zero_is_refused(
    world: World, asset: str, amount: str, message: str
) -> None:
    api = world.api
    for kind in ("DEPOSIT", "WITHDRAWAL"):
        asked = world.transact(asset=asset, amount=amount, transactionType=kind)
        refusal = await api.refused("INVALID_AMOUNT", TRANSACT, input=asked)
        assert (refusal["field"], refusal["message"]) == ("amount", message)
        assert refusal["details"] == {"requested": amount}
        assert refusal["ticket"]["action_type"] == f"ASSET_{kind}"
    balances = [{"asset": asset, "amount": amount}]
    created = {"name": "MM-Scale", "email": "scale@internal.test", "initialBalances": balances}
    assert (await api.refused("INVALID_AMOUNT", CREATE_MAKER, input=created))["field"] == "initialBalances"
    if asset == "EUR":
        asked = {"amount": amount, "reference": "R"}
        await api.refused("INVALID_AMOUNT", REQUEST_DEPOSIT, world.trader.token, input=asked)


async def test_a_withdrawal_above_what_is_available_names_the_figures(world: World) -> None:
    refusal = await world.api.refused(
        "INSUFFICIENT_BALANCE", TRANSACT, input=world.transact(transactionType="WITHDRAWAL", amount="91")
    )
    assert refusal["message"] == "Only 90 CEA available; 10 is locked in open orders."
    assert refusal["details"] == {"asset": "CEA", "requested": "91", "available": "90", "locked": "10"}
    assert str(refusal["ticket"]["market_maker_id"]) == world.maker_id
    cash = {"userId": world.trader.id, "asset": "EUR", "transactionType": "WITHDRAWAL", "amount": "800.01"}
    refusal = await world.api.refused("INSUFFICIENT_BALANCE", TRANSACT, input=cash)
    assert refusal["details"] == {"asset": "EUR", "requested": "800.01", "available": "800.00", "locked": "200.00"}


async def test_a_balance_cannot_grow_beyond_its_bound(world: World) -> None:
    trader = await world.api.trader()
    await world.api.sql(
        "INSERT INTO balances (holder_id, asset, available, locked, seq) VALUES ($1, 'EUR', 999999999999999, 0, 1)"
        " ON CONFLICT (holder_id, asset) DO UPDATE SET available = excluded.available, seq = 1",
        trader.id,
    )
    asked = {"userId": trader.id, "asset": "EUR", "transactionType": "DEPOSIT", "amount": "2"}
    refusal = await world.api.refused("INVALID_AMOUNT", TRANSACT, input=asked)
    assert refusal["message"] == "The balance would exceed 1000000000000000."
    await world.api.sql("DELETE FROM balances WHERE holder_id = $1", trader.id)


@pytest.mark.parametrize("named", [{"userId": "maker"}, {"marketMakerId": None}], ids=["both", "neither"])
async def test_a_transaction_names_exactly_one_holder(world: World, named: dict[str, Any]) -> None:
    both = {key: world.maker_user_id if value == "maker" else value for key, value in named.items()}
    refusal = await world.api.refused("INVALID_INPUT", TRANSACT, input=world.transact(**both))
    assert (refusal["field"], refusal["message"]) == ("marketMakerId", "Name either a market maker or a user.")


@pytest.mark.parametrize("kind", ["TRADE_DEBIT", "TRADE_CREDIT"])
async def test_rows_of_trades_are_not_made_by_hand(world: World, kind: str) -> None:
    refusal = await world.api.refused("INVALID_INPUT", TRANSACT, input=world.transact(transactionType=kind))
    assert refusal["field"] == "transactionType"


# -------------------------------------------------------------------------------------------------------------- market


async def test_a_sale_of_more_than_is_available_names_the_figures(world: World) -> None:
    refusal = await world.api.refused("INSUFFICIENT_BALANCE", PLACE_MARKET_ORDER, input=world.sell(quantity="91"))
    assert refusal["message"] == "MM-Refused has 90 CEA available; this order needs 91."
    assert refusal["details"] == {"asset": "CEA", "requested": "91", "available": "90", "locked": "10"}
    ticket = refusal["ticket"]
    assert (ticket["action_type"], ticket["summary"]) == ("MM_ORDER_PLACED", "SELL 91 CEA @ 25.50: refused")
    assert str(ticket["market_maker_id"]) == world.maker_id
    assert json.loads(ticket["response_data"])["errors"][0]["details"] == refusal["details"]


async def test_a_purchase_of_more_than_the_cash_allows_names_the_figures(world: World) -> None:
    refusal = await world.api.refused(
        "INSUFFICIENT_BALANCE", PLACE_ORDER, world.trader.token, input=world.buy(price="20.01", quantity="40")
    )
    assert refusal["details"] == {"asset": "EUR", "requested": "800.40", "available": "800.00", "locked": "200.00"}
    assert refusal["ticket"]["market_maker_id"] is None


async def test_the_same_certificates_are_not_sold_twice(world: World) -> None:
    first = (await world.api.sell(world.maker_id, "31.00", "90"))["order"]
    await world.api.refused("INSUFFICIENT_BALANCE", PLACE_MARKET_ORDER, input=world.sell(quantity="1"))
    await world.api.ask(CANCEL_MARKET_ORDER, id=first["id"])


async def test_a_market_maker_does_not_buy(world: World) -> None:
    refusal = await world.api.refused("SIDE_NOT_ALLOWED", PLACE_MARKET_ORDER, input=world.sell(side="BUY"))
    assert (refusal["field"], refusal["message"]) == ("side", "Market makers may only sell.")
    assert refusal["details"] == {"side": "BUY"}


async def test_an_inactive_maker_cannot_sell(world: World) -> None:
    maker = await world.api.maker("MM-Asleep", CEA="10")
    slept = await world.api.ask(UPDATE_MAKER, id=maker["id"], input={"isActive": False})
    assert slept["updateMarketMaker"]["errors"] == []
    refusal = await world.api.refused(
        "MARKET_MAKER_INACTIVE", PLACE_MARKET_ORDER, input=world.sell(marketMakerId=maker["id"])
    )
    assert (refusal["field"], refusal["message"]) == ("marketMakerId", "MM-Asleep is inactive. Activate it first.")


async def test_a_trader_without_approved_kyc_cannot_trade(world: World) -> None:
    trader = await world.api.trader(kyc=False, EUR="1000")
    refusal = await world.api.refused("KYC_REQUIRED", PLACE_ORDER, trader.token, input=world.buy())
    assert "KYC" in refusal["message"]


async def test_a_halted_certificate_takes_cancels_and_no_orders(world: World) -> None:
    placed = (await world.api.sell(world.maker_id, "32.00", "1"))["order"]
    await world.api.sql("UPDATE certificates SET is_halted = true WHERE certificate_type = 'CEA'")
    try:
        refusal = await world.api.refused("MARKET_HALTED", PLACE_MARKET_ORDER, input=world.sell())
        assert refusal["field"] == "certificateType"
        await world.api.refused("MARKET_HALTED", PLACE_ORDER, world.trader.token, input=world.buy())
        cancelled = await world.api.ask(CANCEL_MARKET_ORDER, id=placed["id"])
        assert cancelled["cancelMarketOrder"]["order"]["status"] == "CANCELLED"
    finally:
        await world.api.sql("UPDATE certificates SET is_halted = false WHERE certificate_type = 'CEA'")


async def test_an_order_that_would_first_meet_its_own_holder_s_is_refused(world: World) -> None:
    asked = {"certificateType": "CEA", "side": "SELL", "price": "20.00", "quantity": "5"}
    refusal = await world.api.refused("SELF_TRADE", PLACE_ORDER, world.trader.token, input=asked)
    assert (refusal["field"], refusal["details"]) == ("price", {"orderId": world.bid_id})


async def test_an_order_that_meets_its_own_holder_s_after_a_trade_is_cut_there(world: World) -> None:
    api = world.api
    buyer = await api.trader(EUR="1000")
    better = await api.order(buyer, "BUY", "21.00", "3")
    sold = await api.order(world.trader, "SELL", "20.00", "5")
    assert sold["errors"] == []
    order = sold["order"]
    assert (order["status"], order["filledQuantity"], order["cancelReason"]) == ("CANCELLED", "3", "SELF_TRADE")
    assert [trade["price"] for trade in sold["trades"]] == ["21.00"]
    assert better["order"]["id"] != world.bid_id
    assert await api.balance(world.trader.id, "CEA") == ("7", "0")


# -------------------------------------------------------------------------------------------------------------- cancel


async def test_a_filled_or_cancelled_order_is_not_cancelled(world: World) -> None:
    api = world.api
    gone = (await api.sell(world.maker_id, "33.00", "1"))["order"]["id"]
    await api.ask(CANCEL_MARKET_ORDER, id=gone)
    refusal = await api.refused("ORDER_NOT_OPEN", CANCEL_MARKET_ORDER, id=gone)
    assert (refusal["message"], refusal["details"]) == ("This order is CANCELLED already.", {"status": "CANCELLED"})
    assert refusal["ticket"]["entity_id"] == gone
    full = (await api.sell(world.maker_id, "20.00", "1"))["order"]
    assert full["status"] == "FILLED"
    refusal = await api.refused("ORDER_NOT_OPEN", CANCEL_MARKET_ORDER, id=full["id"])
    assert refusal["details"] == {"status": "FILLED"}


async def test_somebody_else_s_order_is_not_there_to_cancel(world: World) -> None:
    api, stranger = world.api, await world.api.trader()
    await api.refused("ORDER_NOT_FOUND", CANCEL_ORDER, stranger.token, id=world.bid_id)
    await api.refused("ORDER_NOT_FOUND", CANCEL_ORDER, world.trader.token, id=world.ask_id)
    await api.refused("ORDER_NOT_FOUND", CANCEL_MARKET_ORDER, id=world.bid_id)  # a trader's is his own


# ---------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize("name", ["", "   ", "\t\n", "x" * 65])
async def test_a_name_is_neither_empty_nor_too_long(world: World, name: str) -> None:
    api = world.api
    for document, asked in (
        (CREATE_MAKER, {"input": {"name": name, "email": "unnamed@internal.test"}}),
        (UPDATE_MAKER, {"id": world.maker_id, "input": {"name": name}}),
        (CREATE_USER, {"input": {"email": "u@desk.test", "name": name, "role": "TRADER", "password": PASSWORD}}),
    ):
        refusal = await api.refused("INVALID_INPUT", document, None, **asked)
        assert refusal["field"] == "name"
        assert refusal["message"] in ("The name must not be empty.", "The name has at most 64 characters.")


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a b@c.de", "@c.de", "a@@c.de", f"{'x' * 250}@c.de"])
async def test_an_email_address_must_look_like_one(world: World, email: str) -> None:
    api = world.api
    asked = {"email": email, "name": "U", "role": "TRADER", "password": PASSWORD}
    assert (await api.refused("INVALID_INPUT", CREATE_USER, input=asked))["field"] == "email"
    assert (await api.refused("INVALID_INPUT", CREATE_MAKER, input={"name": "MM-E", "email": email}))[
        "field"
    ] == "email"


async def test_an_email_address_is_taken_in_any_case(world: World) -> None:
    api = world.api
    taken = world.trader.email.upper()
    asked = {"email": taken, "name": "U", "role": "TRADER", "password": PASSWORD}
    refusal = await api.refused("EMAIL_TAKEN", CREATE_USER, input=asked)
    assert (refusal["field"], refusal["message"]) == ("email", f"{taken} belongs to another user already.")
    await api.refused("EMAIL_TAKEN", CREATE_MAKER, input={"name": "MM-New", "email": f" {taken} "})


async def test_a_maker_s_name_is_taken_in_any_case(world: World) -> None:
    api = world.api
    refusal = await api.refused("NAME_TAKEN", CREATE_MAKER, input={"name": "mm-refused", "email": "n@internal.test"})
    assert (refusal["field"], refusal["details"]) == ("name", {"name": "mm-refused"})
    other = await api.maker()
    await api.refused("NAME_TAKEN", UPDATE_MAKER, id=other["id"], input={"name": "MM-REFUSED"})


async def test_a_password_has_15_to_128_characters_and_is_not_echoed(world: World) -> None:
    for password in ("p" * 14, "p" * 129, ""):
        asked = {"email": "p@desk.test", "name": "P", "role": "TRADER", "password": password}
        refusal = await world.api.refused("INVALID_INPUT", CREATE_USER, input=asked)
        assert (refusal["field"], refusal["details"]) == ("password", {"length": len(password)})
        assert refusal["message"] == "A password has 15 to 128 characters."


async def test_a_market_maker_is_not_made_by_create_user(world: World) -> None:
    asked = {"email": "m@desk.test", "name": "M", "role": "MARKET_MAKER", "password": PASSWORD}
    assert (await world.api.refused("INVALID_INPUT", CREATE_USER, input=asked))["field"] == "role"


async def test_an_asset_is_named_once_in_the_initial_balances(world: World) -> None:
    twice = [{"asset": "CEA", "amount": "1"}, {"asset": "CEA", "amount": "2"}]
    asked = {"name": "MM-Twice", "email": "twice@internal.test", "initialBalances": twice}
    assert (await world.api.refused("INVALID_INPUT", CREATE_MAKER, input=asked))["field"] == "initialBalances"


async def test_notes_and_references_are_bounded(world: World) -> None:
    api = world.api
    refusal = await api.refused("INVALID_INPUT", TRANSACT, input=world.transact(notes="x" * 2_001))
    assert (refusal["field"], refusal["details"]) == ("notes", {"length": 2_001, "lengthMax": 2_000})
    for reference in ("", " ", "x" * 141):
        asked = {"amount": "5", "reference": reference}
        refusal = await api.refused("INVALID_INPUT", REQUEST_DEPOSIT, world.trader.token, input=asked)
        assert refusal["field"] == "reference"


@pytest.mark.parametrize(
    ("text", "written"),
    [("a\x00b", "a\\u0000b"), ("a\ud83db", "a\\ud83db"), ("\udc00", "\\udc00")],
    ids=["NUL", "high surrogate", "low surrogate"],
)
@pytest.mark.parametrize("form", ["variable", "literal"])
async def test_text_that_no_database_keeps_is_malformed_and_its_ticket_shows_it(
    world: World, text: str, written: str, form: str
) -> None:
    api = world.api
    before, count = await api.state(), await api.ticket_count()
    if form == "variable":
        response = await api.post(CREATE_MAKER, {"input": {"name": text, "email": "nul@internal.test"}})
    else:
        literal = json.dumps(text)
        response = await api.post(
            f'mutation {{ createMarketMaker(input: {{name: {literal}, email: "nul@internal.test"}}) {{ ticketId }} }}'
        )
    if form == "literal" and text != "a\x00b":  # a lone surrogate escape is no GraphQL: a syntax error, no attempt
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert (await api.state(), await api.ticket_count()) == (before, count)
        return
    message, (row,) = await malformed(api, response, before, count, "MM_CREATED")
    assert "remove it" in message
    assert json.loads(row["request_payload"])["input"]["name"] == written


async def test_an_id_with_a_nul_byte_is_malformed_too(world: World) -> None:
    api = world.api
    before, count = await api.state(), await api.ticket_count()
    response = await api.post(CANCEL_MARKET_ORDER, {"id": "a\x00b"})
    await malformed(api, response, before, count, "MM_ORDER_CANCELLED")


# --------------------------------------------------------------------------------------------------------- once decided


async def test_a_decision_is_made_once(world: World) -> None:
    api, trader = world.api, world.trader
    refusal = await api.refused("ALREADY_DECIDED", APPROVE_KYC, id=trader.id)
    assert (refusal["field"], refusal["details"]) == ("userId", {"status": "APPROVED"})
    requested = await api.ask(REQUEST_DEPOSIT, trader.token, input={"amount": "7", "reference": "once"})
    deposit_id = requested["requestDeposit"]["deposit"]["id"]
    assert (await api.ask(APPROVE_DEPOSIT, id=deposit_id))["approveDeposit"]["errors"] == []
    refusal = await api.refused("ALREADY_DECIDED", APPROVE_DEPOSIT, id=deposit_id)
    assert refusal["message"] == "This deposit is APPROVED already."
    await api.transact({"userId": trader.id}, "EUR", "WITHDRAWAL", "7")


async def test_a_maker_has_no_kyc_to_approve(world: World) -> None:
    await world.api.refused("USER_NOT_FOUND", APPROVE_KYC, id=world.maker_user_id)


# --------------------------------------------------------------------------------------------------------- idempotency


@pytest.mark.parametrize("key", ["", "k" * 65], ids=["empty", "65 characters"])
async def test_an_idempotency_key_has_1_to_64_characters(world: World, key: str) -> None:
    api, trader = world.api, world.trader.token
    cases: list[tuple[str, dict[str, Any], str | None]] = [
        (PLACE_MARKET_ORDER, world.sell(idempotencyKey=key), None),
        (PLACE_ORDER, world.buy(idempotencyKey=key), trader),
        (TRANSACT, world.transact(idempotencyKey=key), None),
        (CREATE_MAKER, {"name": "MM-Key", "email": "key@internal.test", "idempotencyKey": key}, None),
        (REQUEST_DEPOSIT, {"amount": "1", "reference": "R", "idempotencyKey": key}, trader),
    ]
    for document, asked, token in cases:
        refusal = await api.refused("INVALID_INPUT", document, token, input=asked)
        assert (refusal["field"], refusal["message"]) == (
            "idempotencyKey",
            "An idempotency key has 1 to 64 characters.",
        )
    assert await api.sql("SELECT * FROM idempotency WHERE key = $1", key) == []


# ---------------------------------------------------------------------------------------------------------- precedence


async def test_of_two_problems_the_first_in_the_list_is_the_answer(world: World) -> None:
    api, nobody = world.api, str(uuid4())
    poor = await api.trader(kyc=False)
    asleep = await api.maker("MM-Both")
    await api.ask(DELETE_MAKER, id=asleep["id"])
    cases: list[tuple[str, str, str | None, dict[str, Any]]] = [
        ("INVALID_INPUT", PLACE_MARKET_ORDER, None, {"input": world.sell(price="0.001", idempotencyKey="")}),
        ("INVALID_PRICE", PLACE_MARKET_ORDER, None, {"input": world.sell(price="0.001", timeInForce="IOC")}),
        ("INVALID_PRICE", PLACE_MARKET_ORDER, None, {"input": world.sell(orderType="MARKET", quantity="0")}),
        ("INSUFFICIENT_BALANCE", PLACE_ORDER, world.trader.token,
         {"input": world.buy(side="SELL", price="20.00", quantity="11", timeInForce="FOK")}),
        ("SELF_TRADE", PLACE_ORDER, world.trader.token,
         {"input": world.buy(side="SELL", price="20.00", quantity="1", timeInForce="FOK")}),
        ("INVALID_PRICE", PLACE_MARKET_ORDER, None, {"input": world.sell(price="0.001", quantity="0")}),
        ("INVALID_PRICE", PLACE_MARKET_ORDER, None, {"input": world.sell(price="0", marketMakerId=nobody)}),
        ("INVALID_QUANTITY", PLACE_MARKET_ORDER, None, {"input": world.sell(quantity="0", marketMakerId=nobody)}),
        ("MARKET_MAKER_NOT_FOUND", PLACE_MARKET_ORDER, None, {"input": world.sell(side="BUY", marketMakerId=nobody)}),
        ("SIDE_NOT_ALLOWED", PLACE_MARKET_ORDER, None, {"input": world.sell(side="BUY", marketMakerId=asleep["id"])}),
        ("MARKET_MAKER_INACTIVE", PLACE_MARKET_ORDER, None, {"input": world.sell(marketMakerId=asleep["id"])}),
        ("KYC_REQUIRED", PLACE_ORDER, poor.token, {"input": world.buy()}),
        ("INSUFFICIENT_BALANCE", PLACE_ORDER, world.trader.token,
         {"input": world.buy(side="SELL", price="20.00", quantity="500")}),
        ("INVALID_INPUT", TRANSACT, None, {"input": world.transact(transactionType="TRADE_DEBIT", amount="0.5")}),
        ("INVALID_INPUT", TRANSACT, None,
         {"input": world.transact(transactionType="TRADE_CREDIT", marketMakerId=nobody)}),
        ("INVALID_INPUT", TRANSACT, None, {"input": world.transact(notes="x" * 2_001, amount="0")}),
        ("INVALID_AMOUNT", TRANSACT, None, {"input": world.transact(amount="0.5", marketMakerId=nobody)}),
        ("INVALID_AMOUNT", TRANSACT, None, {"input": world.transact(amount="0", transactionType="WITHDRAWAL")}),
        ("INVALID_INPUT", CREATE_MAKER, None,
         {"input": {"name": "", "email": world.trader.email, "initialBalances": [{"asset": "CEA", "amount": "0"}]}}),
        ("INVALID_AMOUNT", CREATE_MAKER, None,
         {"input": {"name": "X", "email": world.trader.email, "initialBalances": [{"asset": "CEA", "amount": "0"}]}}),
        ("EMAIL_TAKEN", CREATE_MAKER, None, {"input": {"name": "MM-Refused", "email": world.trader.email}}),
        ("INVALID_INPUT", UPDATE_MAKER, None, {"id": nobody, "input": {"name": ""}}),
        ("MARKET_MAKER_NOT_FOUND", UPDATE_MAKER, None, {"id": nobody, "input": {"name": "MM-Refused"}}),
        ("INVALID_INPUT", CREATE_USER, None,
         {"input": {"email": world.trader.email, "name": "U", "role": "TRADER", "password": "short"}}),
        ("INVALID_INPUT", REQUEST_DEPOSIT, world.trader.token, {"input": {"amount": "0.001", "reference": ""}}),
    ]  # fmt: skip
    for code, document, token, variables in cases:
        await api.refused(code, document, token, **variables)
