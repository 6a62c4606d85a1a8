"""Every kind of order through GraphQL: payload, order, trades and ticket, for traders and for market makers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.world import Api, Trader

ANSWER = """ticketId errors { code message field details }
  order { id side orderType timeInForce status price quantity filledQuantity remainingQuantity averagePrice cancelReason
    ticketId }
  trades { price quantity notional takerSide ticketId }"""
PLACE_ORDER = f"mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {ANSWER} }} }}"
PLACE_MARKET_ORDER = f"mutation($input: PlaceMarketOrderInput!) {{ placeMarketOrder(input: $input) {{ {ANSWER} }} }}"
BOOK = "{ orderBook(certificateType: CEA) { asks { price quantity } bids { price quantity } lastPrice } }"


@pytest.fixture(autouse=True)
async def _empty_book(api: Api) -> AsyncIterator[None]:
    yield
    await api.clear()


async def buy(api: Api, trader: Trader, quantity: str, price: str | None = None, **other: str) -> dict[str, Any]:
    """Buy as a trader; return the payload. price None: at market."""
    return await _order(api, trader, "BUY", quantity, price, **other)


async def sell(api: Api, trader: Trader, quantity: str, price: str | None = None, **other: str) -> dict[str, Any]:
    """Sell as a trader; return the payload. price None: at market."""
    return await _order(api, trader, "SELL", quantity, price, **other)


async def _order(api: Api, trader: Trader, side: str, quantity: str, price: str | None, **other: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"side": side, "certificateType": "CEA", "quantity": quantity, "price": price, **other}
    asked["orderType"] = "MARKET" if price is None else "LIMIT"
    payload: dict[str, Any] = (await api.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"]
    assert payload["errors"] == []
    return payload


def came_to(payload: dict[str, Any]) -> tuple[Any, ...]:
    """Return status, cancel reason, filled, remaining and average price of the order placed."""
    order = payload["order"]
    names = ("status", "cancelReason", "filledQuantity", "remainingQuantity", "averagePrice")
    return tuple(order[name] for name in names)


async def offer(api: Api, *levels: tuple[str, str]) -> dict[str, Any]:
    """Let a new market maker offer (quantity, price); return it."""
    maker = await api.maker(CEA="1000")
    for quantity, price in levels:
        assert (await api.sell(maker["id"], price, quantity))["errors"] == []
    return maker


async def test_an_ioc_order_trades_what_it_can_and_is_cut(api: Api) -> None:
    await offer(api, ("30", "25.50"))
    trader = await api.trader(EUR="2000")
    bought = await buy(api, trader, "40", "25.60", timeInForce="IOC")
    assert came_to(bought) == ("CANCELLED", "IOC_REMAINDER", "30", "10", "25.5000")
    order = bought["order"]
    assert (order["orderType"], order["timeInForce"], order["price"]) == ("LIMIT", "IOC", "25.60")
    assert [(one["price"], one["quantity"], one["notional"], one["takerSide"]) for one in bought["trades"]] == [
        ("25.50", "30", "765.00", "BUY")
    ]
    assert await api.balance(trader.id, "EUR") == ("1235.00", "0.00")
    ticket = await api.ticket(bought["ticketId"])
    assert (ticket["actionType"], ticket["status"], ticket["summary"]) == (
        "ORDER_PLACED",
        "SUCCESS",
        "BUY 40 CEA @ 25.60",
    )
    assert ticket["requestPayload"]["input"]["timeInForce"] == "IOC"
    assert ticket["afterState"]["order"]["cancelReason"] == "IOC_REMAINDER"
    assert {one["actionType"] for one in ticket["relatedTickets"]} == {"MM_TRADE_EXECUTED"}
    book = (await api.ask(BOOK, ""))["orderBook"]
    assert (book["asks"], book["bids"], book["lastPrice"]) == ([], [], "25.50")


async def test_a_fok_order_is_filled_at_once(api: Api) -> None:
    await offer(api, ("10", "25.50"), ("50", "25.60"))
    trader = await api.trader(EUR="1100")
    bought = await buy(api, trader, "40", "25.70", timeInForce="FOK")
    assert came_to(bought) == ("FILLED", None, "40", "0", "25.5750")
    assert bought["order"]["timeInForce"] == "FOK"
    assert [(one["price"], one["quantity"]) for one in bought["trades"]] == [("25.50", "10"), ("25.60", "30")]
    assert await api.balance(trader.id, "EUR") == ("77.00", "0.00")
    ticket = await api.ticket(bought["ticketId"])
    assert sorted(one["actionType"] for one in ticket["relatedTickets"]) == [
        "MM_TRADE_EXECUTED",
        "MM_TRADE_EXECUTED",
        "ORDER_FILLED",
    ]


async def test_a_purchase_at_market_has_no_price_and_its_ticket_says_so(api: Api) -> None:
    await offer(api, ("60", "25.50"), ("60", "25.60"))
    trader = await api.trader(EUR="3000")
    bought = await buy(api, trader, "100")
    assert came_to(bought) == ("FILLED", None, "100", "0", "25.5400")
    assert (bought["order"]["orderType"], bought["order"]["price"]) == ("MARKET", None)
    ticket = await api.ticket(bought["ticketId"])
    assert ticket["summary"] == "BUY 100 CEA at market"
    assert ticket["afterState"]["order"]["price"] is None
    found = await api.ask("query($id: ID!) { order(id: $id) { orderType timeInForce price status } }",
                          trader.token, id=bought["order"]["id"])  # fmt: skip
    assert found["order"] == {"orderType": "MARKET", "timeInForce": "GTC", "price": None, "status": "FILLED"}


async def test_a_purchase_at_market_ends_where_the_cash_ends(api: Api) -> None:
    await offer(api, ("60", "25.50"), ("60", "25.60"))
    trader = await api.trader(EUR="1555.59")
    bought = await buy(api, trader, "100")
    assert came_to(bought) == ("CANCELLED", "CASH_EXHAUSTED", "60", "40", "25.5000")
    assert await api.balance(trader.id, "EUR") == ("25.59", "0.00")


async def test_a_market_order_that_empties_the_book_is_cut(api: Api) -> None:
    await offer(api, ("60", "25.50"))
    trader = await api.trader(EUR="3000")
    bought = await buy(api, trader, "100", timeInForce="IOC")
    assert came_to(bought) == ("CANCELLED", "MARKET_REMAINDER", "60", "40", "25.5000")
    assert await api.balance(trader.id, "EUR") == ("1470.00", "0.00")


async def test_a_market_order_stops_at_the_band(api: Api) -> None:
    await offer(api, ("10", "25.50"), ("10", "26.00"), ("10", "26.01"))
    trader = await api.trader(EUR="3000")
    await api.sql("UPDATE settings SET price_band_percent = 4")
    await api.sql("UPDATE certificates SET reference_price = 25 WHERE certificate_type = 'CEA'")
    try:
        bought = await buy(api, trader, "30")
    finally:
        await api.sql("UPDATE settings SET price_band_percent = NULL")
        await api.sql("UPDATE certificates SET reference_price = NULL")
    assert came_to(bought) == ("CANCELLED", "PRICE_BAND", "20", "10", "25.7500")


async def test_a_market_order_stops_at_an_order_of_its_own_holder(api: Api) -> None:
    await offer(api, ("10", "25.50"))
    trader = await api.trader(EUR="3000", CEA="10")
    own = await sell(api, trader, "10", "25.60")
    bought = await buy(api, trader, "30")
    assert came_to(bought) == ("CANCELLED", "SELF_TRADE", "10", "20", "25.5000")
    assert came_to(own) == ("OPEN", None, "0", "10", None)


async def test_a_fok_order_at_market_is_filled_whole(api: Api) -> None:
    await offer(api, ("60", "25.50"))
    trader = await api.trader(EUR="3000")
    bought = await buy(api, trader, "60", timeInForce="FOK")
    assert came_to(bought) == ("FILLED", None, "60", "0", "25.5000")
    assert (bought["order"]["orderType"], bought["order"]["timeInForce"]) == ("MARKET", "FOK")


@pytest.mark.parametrize(
    ("asked", "summary", "outcome"),
    [
        ({"orderType": "MARKET"}, "SELL 40 CEA at market", ("CANCELLED", "MARKET_REMAINDER", "30", "10")),
        (
            {"price": "25.40", "timeInForce": "IOC"},
            "SELL 40 CEA @ 25.40",
            ("CANCELLED", "IOC_REMAINDER", "30", "10"),
        ),
        (
            {"price": "25.40", "timeInForce": "FOK", "quantity": "30"},
            "SELL 30 CEA @ 25.40",
            ("FILLED", None, "30", "0"),
        ),
        (
            {"orderType": "MARKET", "timeInForce": "FOK", "quantity": "30"},
            "SELL 30 CEA at market",
            ("FILLED", None, "30", "0"),
        ),
    ],
    ids=["market", "IOC", "FOK", "market FOK"],
)
async def test_an_admin_sells_for_a_market_maker(
    api: Api, asked: dict[str, str], summary: str, outcome: tuple[Any, ...]
) -> None:
    buyer = await api.trader(EUR="765")
    await buy(api, buyer, "30", "25.50")
    maker = await api.maker(CEA="100")
    sold = (
        await api.ask(
            PLACE_MARKET_ORDER,
            input={"marketMakerId": maker["id"], "certificateType": "CEA", "quantity": "40", **asked},
        )
    )["placeMarketOrder"]
    assert sold["errors"] == []
    assert came_to(sold) == (*outcome, "25.5000")
    assert [(one["price"], one["quantity"], one["takerSide"]) for one in sold["trades"]] == [("25.50", "30", "SELL")]
    ticket = await api.ticket(sold["ticketId"])
    assert (ticket["actionType"], ticket["summary"]) == ("MM_ORDER_PLACED", f"{summary} for {maker['name']}")
    assert ticket["marketMaker"] == {"id": maker["id"]}
    assert await api.balance(maker["user"]["id"], "CEA") == ("70", "0")
    assert await api.balance(maker["user"]["id"], "EUR") == ("765.00", "0.00")


async def test_a_repeated_key_answers_a_cut_order_as_before(api: Api) -> None:
    await offer(api, ("30", "25.50"))
    trader = await api.trader(EUR="2000")
    first = await buy(api, trader, "40", timeInForce="IOC", idempotencyKey="cut-once")
    again = await buy(api, trader, "40", timeInForce="IOC", idempotencyKey="cut-once")
    assert again == first


# ----------------------------------------------------------------------------------------------------------- refusals


@dataclass(frozen=True)
class World:
    """A maker with 90 CEA beside an ask of 10 at 30.00, a trader with a bid of 10 at 20.00, and what they would ask."""

    api: Api
    maker_id: str
    trader: Trader

    def sell(self, **other: Any) -> dict[str, Any]:
        return {
            "marketMakerId": self.maker_id, "certificateType": "CEA", "price": "25.50", "quantity": "5", **other
        }  # fmt: skip

    def buy(self, **other: Any) -> dict[str, Any]:
        return {"certificateType": "CEA", "side": "BUY", "price": "20.00", "quantity": "5", **other}


@pytest.fixture
async def world(api: Api) -> World:
    maker = await api.maker(CEA="100")
    trader = await api.trader(EUR="1000", CEA="10")
    await api.sell(maker["id"], "30.00", "10")
    await api.order(trader, "BUY", "20.00", "10")
    return World(api, maker["id"], trader)


async def test_a_market_order_with_a_price_is_refused(world: World) -> None:
    for force in ("GTC", "IOC", "FOK"):
        for document, asked, token in (
            (PLACE_MARKET_ORDER, world.sell(orderType="MARKET", timeInForce=force), None),
            (PLACE_ORDER, world.buy(orderType="MARKET", timeInForce=force), world.trader.token),
        ):
            refusal = await world.api.refused("INVALID_PRICE", document, token, input=asked)
            assert (refusal["field"], refusal["details"]) == ("price", {"requested": asked["price"]})
            assert refusal["message"] == "A MARKET order takes what the book offers and has no price."


async def test_an_order_that_may_not_wait_and_finds_nothing_is_refused_with_the_figures(world: World) -> None:
    """The book has a bid of 10 at 20.00 and an ask of 10 at 30.00."""
    buyer = await world.api.trader(EUR="1000")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"price": "29.99", "quantity": "5", "timeInForce": "IOC"}, "0"),
        ({"price": "29.99", "quantity": "5", "timeInForce": "FOK"}, "0"),
        ({"price": "30.00", "quantity": "11", "timeInForce": "FOK"}, "10"),
        ({"price": None, "quantity": "11", "orderType": "MARKET", "timeInForce": "FOK"}, "10"),
    ]
    for asked, offered in cases:
        refusal = await world.api.refused("NO_LIQUIDITY", PLACE_ORDER, buyer.token, input=world.buy(**asked))
        assert (refusal["field"], refusal["details"]) == (
            "quantity",
            {"requested": asked["quantity"], "offered": offered},
        )
    refusal = await world.api.refused(
        "NO_LIQUIDITY", PLACE_MARKET_ORDER, input=world.sell(price="20.01", timeInForce="IOC")
    )
    assert refusal["message"] == "The book offers 0 of 5 CEA on these terms."
    nothing = world.sell(certificateType="EUA", orderType="MARKET", price=None, quantity="1")
    await world.api.transact({"marketMakerId": world.maker_id}, "EUA", "DEPOSIT", "1")
    await world.api.refused("NO_LIQUIDITY", PLACE_MARKET_ORDER, input=nothing)


async def test_a_market_order_that_the_balance_does_not_cover_names_the_figures(world: World) -> None:
    sale = world.sell(orderType="MARKET", price=None, quantity="91")
    refusal = await world.api.refused("INSUFFICIENT_BALANCE", PLACE_MARKET_ORDER, input=sale)
    assert refusal["details"] == {"asset": "CEA", "requested": "91", "available": "90", "locked": "10"}
    assert refusal["ticket"]["summary"] == "SELL 91 CEA: refused"
    poor = await world.api.trader(EUR="29.99")
    for force, requested in (("GTC", "30.00"), ("IOC", "30.00"), ("FOK", "90.00")):
        purchase = world.buy(orderType="MARKET", price=None, quantity="3", timeInForce=force)
        refusal = await world.api.refused("INSUFFICIENT_BALANCE", PLACE_ORDER, poor.token, input=purchase)
        assert refusal["details"] == {"asset": "EUR", "requested": requested, "available": "29.99", "locked": "0.00"}


async def test_a_price_outside_the_band_is_refused_with_its_ends(world: World) -> None:
    await world.api.sql("UPDATE settings SET price_band_percent = 4")
    await world.api.sql("UPDATE certificates SET reference_price = 25 WHERE certificate_type = 'CEA'")
    try:
        for price in ("23.99", "26.01"):
            for force in ("GTC", "IOC", "FOK"):
                asked = world.sell(price=price, timeInForce=force)
                refusal = await world.api.refused("INVALID_PRICE", PLACE_MARKET_ORDER, input=asked)
                assert refusal["details"] == {"requested": price, "lowest": "24.00", "highest": "26.00"}
        asked = world.buy(orderType="MARKET", price=None)
        buyer = await world.api.trader(EUR="1000")
        refusal = await world.api.refused("NO_LIQUIDITY", PLACE_ORDER, buyer.token, input=asked)  # the ask is at 30.00
        assert refusal["details"] == {"requested": "5", "offered": "0"}
    finally:
        await world.api.sql("UPDATE settings SET price_band_percent = NULL")
        await world.api.sql("UPDATE certificates SET reference_price = NULL")
