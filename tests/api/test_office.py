"""The desk's day: deposits refused, trades settled, the grid and the rules of the market changed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from gql import gql
from gql.transport.exceptions import TransportQueryError

from domain.settlements import SETTLEMENTS_MAX
from tests.world import CANCEL_ORDER, PLACE_ORDER, Api, Trader

pytestmark = pytest.mark.usefixtures("lawful")
ERRORS = "ticketId errors { code message field details }"
REQUEST_DEPOSIT = f"""mutation($input: RequestDepositInput!) {{ requestDeposit(input: $input) {{ {ERRORS}
  deposit {{ id }} }} }}"""
DEPOSIT = "id status reason amount reference decidedAt decidedBy { email } user { id }"
REJECT_DEPOSIT = f"""mutation($id: ID!, $reason: String!) {{ rejectDeposit(id: $id, reason: $reason) {{ {ERRORS}
  deposit {{ {DEPOSIT} }} }} }}"""
APPROVE_DEPOSIT = f"mutation($id: ID!) {{ approveDeposit(id: $id) {{ {ERRORS} deposit {{ {DEPOSIT} }} }} }}"
TRADE = "id status settledAt registryReference"
SETTLE = f"""mutation($id: ID!, $reference: String!) {{ settleTrade(id: $id, registryReference: $reference) {{ {ERRORS}
  trade {{ {TRADE} }} }} }}"""
SETTLE_ALL = f"""mutation($input: [SettleTradeInput!]!) {{ settleTrades(input: $input) {{ {ERRORS}
  trades {{ {TRADE} }} }} }}"""
TRADES = f"query($f: TradeFilter) {{ trades(filter: $f) {{ nodes {{ {TRADE} }} }} }}"
CERTIFICATE = "certificateType name description tickSize lotSize referencePrice isHalted"
UPDATE_CERTIFICATE = f"""mutation($type: CertificateType!, $input: UpdateCertificateInput!) {{
  updateCertificate(certificateType: $type, input: $input) {{ {ERRORS} certificate {{ {CERTIFICATE} }} }} }}"""
UPDATE_PRICE = f"""mutation($type: CertificateType!, $price: Decimal!) {{
  updatePrice(certificateType: $type, price: $price) {{ {ERRORS} certificate {{ {CERTIFICATE} }} }} }}"""
SETTINGS = "haltedCertificates priceBandPercent publicMarketData"
UPDATE_SETTINGS = f"""mutation($input: UpdateSettingsInput!) {{ updateSettings(input: $input) {{ {ERRORS}
  settings {{ {SETTINGS} }} }} }}"""
MARKET_DATA = {
    "certificates": "{ certificates { name } }",
    "orderBook": "{ orderBook(certificateType: CEA) { sequence } }",
    "trades": "{ trades { nodes { id } } }",
}
WRONG_REASONS = ["", "  ", "x" * 2_001]
WRONG_REFERENCES = ["", " \t", "x" * 141]


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    return await api.trader(EUR="100000", CEA="1000", EUA="1000")


async def settings(api: Api, **change: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.ask(UPDATE_SETTINGS, input=change))["updateSettings"]
    assert payload["errors"] == []
    return payload


async def traded(api: Api, trader: Trader, count: int = 1) -> list[str]:
    """Make trades of a market maker with a trader; return their ids."""
    maker = await api.maker(CEA=str(count))
    await api.clear()
    ids = []
    for _ in range(count):
        await api.sell(maker["id"], "20.00", "1")
        ids += [trade["id"] for trade in (await api.order(trader, "BUY", "20.00", "1"))["trades"]]
    assert len(ids) == count
    return ids


# ------------------------------------------------------------------------------------------------------------- deposits


async def test_a_deposit_is_rejected_with_a_reason_and_moves_nothing(api: Api, trader: Trader) -> None:
    asked = {"amount": "70.5", "reference": "SEPA 1"}
    requested = (await api.ask(REQUEST_DEPOSIT, trader.token, input=asked))["requestDeposit"]
    deposit_id, balance = requested["deposit"]["id"], await api.balance(trader.id, "EUR")
    payload = (await api.ask(REJECT_DEPOSIT, id=deposit_id, reason=" Never arrived. "))["rejectDeposit"]
    assert payload["errors"] == []
    decided_at = payload["deposit"].pop("decidedAt")
    assert decided_at.endswith("Z")
    assert payload["deposit"] == {
        "id": deposit_id, "status": "REJECTED", "reason": "Never arrived.", "amount": "70.50", "reference": "SEPA 1",
        "decidedBy": {"email": api.admin_email}, "user": {"id": trader.id},
    }  # fmt: skip
    assert await api.balance(trader.id, "EUR") == balance
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["relatedTicketIds"]) == (
        "DEPOSIT_REJECTED", "Rejected deposit of 70.50 EUR", [requested["ticketId"]],
    )  # fmt: skip
    for document, more in ((REJECT_DEPOSIT, {"reason": "Again"}), (APPROVE_DEPOSIT, {})):
        refusal = await api.refused("ALREADY_DECIDED", document, id=deposit_id, **more)
        assert refusal["details"] == {"status": "REJECTED"}
    own = await api.ask("{ me { deposits { nodes { id status reason } } } }", trader.token)
    assert own["me"]["deposits"]["nodes"] == [{"id": deposit_id, "status": "REJECTED", "reason": "Never arrived."}]


@pytest.mark.parametrize("unknown", [str(uuid4()), "x", ""])
async def test_a_deposit_that_is_not_there_is_not_rejected(api: Api, unknown: str) -> None:
    assert (await api.refused("NOT_FOUND", REJECT_DEPOSIT, id=unknown, reason="No"))["field"] == "id"
    for reason in WRONG_REASONS:
        assert (await api.refused("INVALID_INPUT", REJECT_DEPOSIT, id=unknown, reason=reason))["field"] == "reason"


async def test_deposits_are_filtered(api: Api) -> None:
    trader = await api.trader()
    made = {}
    for reference, document, more in (
        ("kept", None, {}), ("taken", APPROVE_DEPOSIT, {}), ("refused", REJECT_DEPOSIT, {"reason": "No"}),
    ):  # fmt: skip
        asked = {"amount": "1", "reference": reference}
        made[reference] = (await api.ask(REQUEST_DEPOSIT, trader.token, input=asked))["requestDeposit"]["deposit"]["id"]
        if document:
            await api.ask(document, id=made[reference], **more)
    document = "query($f: DepositFilter) { deposits(filter: $f) { nodes { reference createdAt } } }"

    async def found(token: str | None = None, **wanted: Any) -> list[str]:
        nodes = (await api.ask(document, token, f={"userId": trader.id, **wanted}))["deposits"]["nodes"]
        return [node["reference"] for node in nodes]

    assert await found() == ["refused", "taken", "kept"]
    assert await found(statuses=["PENDING"]) == ["kept"]
    assert await found(statuses=["APPROVED", "REJECTED"]) == ["refused", "taken"]
    assert await found(statuses=[]) == []
    (middle,) = await api.sql("SELECT created_at FROM deposits WHERE id = $1", made["taken"])
    instant = middle["created_at"].isoformat()
    assert await found(dateFrom=instant) == ["refused", "taken"]
    assert await found(dateTo=instant) == ["kept"]
    assert await found(trader.token) == ["refused", "taken", "kept"]
    assert await found((await api.trader()).token) == []


# ----------------------------------------------------------------------------------------------------------- settlement


async def test_a_trade_is_settled_by_the_registry_s_reference(api: Api, trader: Trader) -> None:
    (trade_id,) = await traded(api, trader)
    balances = await api.sql("SELECT * FROM balances ORDER BY holder_id, asset")
    payload = (await api.ask(SETTLE, id=trade_id, reference=" REG-77 "))["settleTrade"]
    assert payload["errors"] == []
    settled = payload["trade"]
    assert (settled["id"], settled["status"], settled["registryReference"]) == (trade_id, "SETTLED", "REG-77")
    assert (await api.ask(TRADES, f={"status": "SETTLED"}))["trades"]["nodes"][0] == settled
    public = (await api.ask(TRADES, "", f={"status": "SETTLED"}))["trades"]["nodes"][0]
    assert public == {**settled, "registryReference": None}
    assert await api.sql("SELECT * FROM balances ORDER BY holder_id, asset") == balances
    (row,) = await api.sql(
        "SELECT s.*, t.ticket_id AS of_trade FROM trade_settlements s JOIN cash_market_trades t ON t.id = trade_id"
        " WHERE trade_id = $1",
        trade_id,
    )
    assert row["ticket_id"] == payload["ticketId"]
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityType"], ticket["entityId"]) == (
        "TRADE_SETTLED", "Settled 1 CEA @ 20.00", "TRADE", trade_id,
    )  # fmt: skip
    assert ticket["relatedTicketIds"] == [row["of_trade"]]
    assert ticket["marketMaker"] is not None
    assert ticket["requestPayload"] == {"id": trade_id, "registryReference": " REG-77 "}
    assert ticket["changes"] == [
        {"path": "trade.status", "before": "EXECUTED", "after": "SETTLED"},
        {"path": "trade.registryReference", "before": None, "after": "REG-77"},
    ]
    refusal = await api.refused("ALREADY_DECIDED", SETTLE, id=trade_id, reference="REG-78")
    assert refusal["details"] == {"id": trade_id, "registryReference": "REG-77"}


async def test_several_trades_are_settled_together_each_with_a_ticket(api: Api, trader: Trader) -> None:
    ids = await traded(api, trader, 3)
    count = await api.ticket_count()
    asked = [{"id": trade_id, "registryReference": f"REG-{index}"} for index, trade_id in enumerate(ids)]
    payload = (await api.ask(SETTLE_ALL, input=asked))["settleTrades"]
    assert payload["errors"] == []
    assert [(one["id"], one["status"], one["registryReference"]) for one in payload["trades"]] == [
        (trade_id, "SETTLED", f"REG-{index}") for index, trade_id in enumerate(ids)
    ]
    parent, *children = await api.tickets_since(count)
    assert (parent["ticket_id"], parent["action_type"], parent["summary"], parent["entity_id"]) == (
        payload["ticketId"], "TRADE_SETTLED", "Settled 3 trades", None,
    )  # fmt: skip
    assert [(row["action_type"], row["entity_id"], row["attempt_id"]) for row in children] == [
        ("TRADE_SETTLED", trade_id, None) for trade_id in ids
    ]
    assert all(row["related_ticket_ids"][1] == payload["ticketId"] for row in children)
    rows = await api.sql(
        "SELECT trade_id::text, ticket_id FROM trade_settlements WHERE trade_id = ANY($1::uuid[])", ids
    )
    assert {tuple(row) for row in rows} == {(row["entity_id"], row["ticket_id"]) for row in children}


async def test_of_several_trades_all_are_settled_or_none(api: Api, trader: Trader) -> None:
    first, second, third = await traded(api, trader, 3)
    await api.ask(SETTLE, id=second, reference="REG")

    def asked(*ids: str, reference: str = "R") -> list[dict[str, str]]:
        return [{"id": one, "registryReference": reference} for one in ids]

    cases: list[tuple[str, list[dict[str, str]], str, dict[str, Any]]] = [
        ("ALREADY_DECIDED", asked(first, second, third), "id", {"id": second, "registryReference": "REG", "index": 1}),
        ("NOT_FOUND", asked(first, "x", second), "id", {"id": "x", "index": 1}),
        ("INVALID_INPUT", [], "input", {"trades": 0, "tradesMax": SETTLEMENTS_MAX}),
        ("INVALID_INPUT", asked(*[str(uuid4()) for _ in range(101)]), "input", {"trades": 101, "tradesMax": 100}),
        ("INVALID_INPUT", asked(first, third, first.upper()), "id", {"id": first.upper(), "index": 2}),
        ("INVALID_INPUT", [*asked("x"), *asked(first, reference=" ")], "registryReference", {"index": 1}),
    ]
    for code, wanted, field, details in cases:
        refusal = await api.refused(code, SETTLE_ALL, input=wanted)
        assert (refusal["field"], refusal["details"]) == (field, details)
    rows = await api.sql("SELECT trade_id FROM trade_settlements WHERE trade_id = ANY($1::uuid[])", [first, third])
    assert rows == []


async def test_the_largest_settlement_is_recorded_whole(api: Api) -> None:
    buyer, maker = await api.trader(EUR="100000"), await api.maker(EUA="100")
    await api.clear("EUA")
    for _ in range(SETTLEMENTS_MAX):
        await api.sell(maker["id"], "70.00", "1", "EUA")
    bought = await api.order(buyer, "BUY", "70.00", "100", "EUA")
    asked = [{"id": trade["id"], "registryReference": "R"} for trade in bought["trades"]]
    assert len(asked) == SETTLEMENTS_MAX
    payload = (await api.ask(SETTLE_ALL, input=asked))["settleTrades"]
    assert [trade["status"] for trade in payload["trades"]] == ["SETTLED"] * SETTLEMENTS_MAX
    ticket = await api.ticket(payload["ticketId"])
    assert ticket["requestPayload"]["input"] == asked


@pytest.mark.parametrize("unknown", [str(uuid4()), "x", ""])
async def test_a_trade_that_is_not_there_is_not_settled(api: Api, unknown: str) -> None:
    refusal = await api.refused("NOT_FOUND", SETTLE, id=unknown, reference="R")
    assert (refusal["field"], refusal["details"]) == ("id", {"id": unknown})
    for reference in WRONG_REFERENCES:
        refusal = await api.refused("INVALID_INPUT", SETTLE, id=unknown, reference=reference)
        assert refusal["field"] == "registryReference"


async def test_of_two_settlements_of_one_trade_one_is_made(api: Api, trader: Trader) -> None:
    for _ in range(5):
        first, second = await traded(api, trader, 2)
        together = [
            [{"id": one, "registryReference": "T"} for one in order] for order in ((first, second), (second, first))
        ]
        answers = await asyncio.gather(
            api.ask(SETTLE, id=first, reference="A"),
            api.ask(SETTLE_ALL, input=together[0]),
            api.ask(SETTLE_ALL, input=together[1]),
            api.ask(SETTLE, id=second, reference="B"),
        )
        payloads = [payload for answer in answers for payload in (answer.data or {}).values()]
        codes = [error["code"] for payload in payloads for error in payload["errors"]]
        assert set(codes) <= {"ALREADY_DECIDED"}
        rows = await api.sql("SELECT * FROM trade_settlements WHERE trade_id = ANY($1::uuid[])", [first, second])
        assert 1 <= len(rows) <= 2
        assert 1 <= len([payload for payload in payloads if not payload["errors"]]) == 4 - len(codes)


# ------------------------------------------------------------------------------------------------------------ the grid


async def test_a_certificate_is_changed_and_changed_back(api: Api) -> None:
    before = next(
        one for one in (await api.ask(f"{{ certificates {{ {CERTIFICATE} }} }}"))["certificates"]
        if one["certificateType"] == "EUA"
    )  # fmt: skip
    change = {"name": " EU Allowance 2030 ", "description": "", "tickSize": "0.05", "lotSize": "10"}
    await api.clear("EUA")
    payload = (await api.ask(UPDATE_CERTIFICATE, type="EUA", input=change))["updateCertificate"]
    assert payload["errors"] == []
    assert payload["certificate"] == {
        **before, "name": "EU Allowance 2030", "description": None, "tickSize": "0.05", "lotSize": "10",
    }  # fmt: skip
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityType"], ticket["entityId"]) == (
        "CERTIFICATE_MODIFIED", "Update EUA: tick 0.05, lot 10", "CERTIFICATE", "EUA",
    )  # fmt: skip
    assert ticket["requestPayload"] == {"certificateType": "EUA", "input": change}
    assert {"path": "certificate.tickSize", "before": "0.01", "after": "0.05"} in ticket["changes"]
    back = {"name": before["name"], "description": before["description"], "tickSize": "0.01", "lotSize": 1}
    restored = (await api.ask(UPDATE_CERTIFICATE, type="EUA", input=back))["updateCertificate"]
    assert restored["certificate"] == before
    nothing = (await api.ask(UPDATE_CERTIFICATE, type="EUA", input={}))["updateCertificate"]
    assert (nothing["errors"], nothing["certificate"]) == ([], before)


async def test_a_grid_that_open_orders_are_not_on_is_refused_with_the_figures(api: Api, trader: Trader) -> None:
    await api.clear()
    maker = await api.maker(CEA="100")
    for price, quantity in (("30.00", "10"), ("30.05", "20"), ("30.07", "30"), ("30.10", "15")):
        await api.sell(maker["id"], price, quantity)
    refusal = await api.refused("INVALID_PRICE", UPDATE_CERTIFICATE, type="CEA", input={"tickSize": "0.05"})
    assert (refusal["field"], refusal["details"]) == (
        "tickSize", {"requested": "0.05", "tickSize": "0.01", "openOrders": 4, "offGrid": 1},
    )  # fmt: skip
    refusal = await api.refused("INVALID_QUANTITY", UPDATE_CERTIFICATE, type="CEA", input={"lotSize": "10"})
    assert (refusal["field"], refusal["details"]) == (
        "lotSize", {"requested": "10", "lotSize": "1", "openOrders": 4, "offGrid": 1},
    )  # fmt: skip
    both = {"lotSize": "10", "tickSize": "0.1"}
    assert (await api.refused("INVALID_PRICE", UPDATE_CERTIFICATE, type="CEA", input=both))["details"]["offGrid"] == 2
    # What is left counts, not what was ordered: after 3 of the first are sold, 7 are no multiple of 5.
    assert (await api.ask(UPDATE_CERTIFICATE, type="CEA", input={"lotSize": "5"}))["updateCertificate"]["errors"] == []
    await api.ask(UPDATE_CERTIFICATE, type="CEA", input={"lotSize": "1"})
    await api.order(trader, "BUY", "30.00", "3")
    refusal = await api.refused("INVALID_QUANTITY", UPDATE_CERTIFICATE, type="CEA", input={"lotSize": "5"})
    assert refusal["details"]["offGrid"] == 1
    names = await api.ask(UPDATE_CERTIFICATE, type="CEA", input={"name": "China Emission Allowance"})
    assert names["updateCertificate"]["errors"] == []
    await api.clear()


@pytest.mark.parametrize(("change", "code"), [
    ({"tickSize": "0"}, "INVALID_PRICE"), ({"tickSize": "0.001"}, "INVALID_PRICE"),
    ({"tickSize": "1000000.01"}, "INVALID_PRICE"), ({"lotSize": "0"}, "INVALID_QUANTITY"),
    ({"lotSize": "1.5"}, "INVALID_QUANTITY"), ({"lotSize": "1000000001"}, "INVALID_QUANTITY"),
    ({"name": ""}, "INVALID_INPUT"), ({"name": "x" * 65}, "INVALID_INPUT"),
    ({"description": "x" * 2_001}, "INVALID_INPUT"),
])  # fmt: skip
async def test_a_wrong_certificate_is_refused(api: Api, change: dict[str, str], code: str) -> None:
    refusal = await api.refused(code, UPDATE_CERTIFICATE, type="CEA", input=change)
    assert refusal["field"] == next(iter(change))


async def test_a_reference_price_is_set(api: Api) -> None:
    payload = (await api.ask(UPDATE_PRICE, type="CEA", price="12.5"))["updatePrice"]
    assert (payload["errors"], payload["certificate"]["referencePrice"]) == ([], "12.50")
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityId"]) == (
        "PRICE_UPDATED", "Reference price of CEA: 12.50", "CEA",
    )  # fmt: skip
    assert ticket["requestPayload"] == {"certificateType": "CEA", "price": "12.5"}
    assert ticket["changes"] == [{"path": "certificate.referencePrice", "before": None, "after": "12.50"}]
    for price in ("0", "0.001", "1000000.01"):
        refusal = await api.refused("INVALID_PRICE", UPDATE_PRICE, type="CEA", price=price)
        assert (refusal["field"], refusal["details"]["requested"]) == ("price", price)


# ------------------------------------------------------------------------------------------------------------- settings


async def test_a_halted_certificate_takes_cancels_only_until_it_is_resumed(api: Api, trader: Trader) -> None:
    order = (await api.order(trader, "BUY", "1.00", "1"))["order"]["id"]
    payload = await settings(api, haltedCertificates=["CEA"])
    assert payload["settings"]["haltedCertificates"] == ["CEA"]
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityType"], ticket["entityId"]) == (
        "SETTINGS_CHANGED", "Halted: CEA; band: none; market data: public", "SETTINGS", None,
    )  # fmt: skip
    assert ticket["changes"] == [{"path": "settings.haltedCertificates", "before": "", "after": "CEA"}]
    buy = {"certificateType": "CEA", "side": "BUY", "price": "1.00", "quantity": "1"}
    await api.refused("MARKET_HALTED", PLACE_ORDER, trader.token, input=buy)
    cancelled = (await api.ask(CANCEL_ORDER, trader.token, id=order))["cancelOrder"]
    assert (cancelled["errors"], cancelled["order"]["status"]) == ([], "CANCELLED")
    both = await settings(api, haltedCertificates=["EUA", "CEA", "EUA"])
    assert both["settings"]["haltedCertificates"] == ["CEA", "EUA"]
    untouched = await settings(api, publicMarketData=True)
    assert untouched["settings"]["haltedCertificates"] == ["CEA", "EUA"]
    await settings(api, haltedCertificates=[])
    placed = (await api.ask(PLACE_ORDER, trader.token, input=buy))["placeOrder"]
    assert placed["errors"] == []
    await api.clear()


async def test_a_price_band_bounds_orders_until_it_is_removed(api: Api, trader: Trader) -> None:
    await api.ask(UPDATE_PRICE, type="CEA", price="20")
    payload = await settings(api, priceBandPercent="2.5")
    assert payload["settings"]["priceBandPercent"] == "2.50"
    asked = {"certificateType": "CEA", "side": "BUY", "price": "19.49", "quantity": "1"}
    refusal = await api.refused("INVALID_PRICE", PLACE_ORDER, trader.token, input=asked)
    assert (refusal["details"]["lowest"], refusal["details"]["highest"]) == ("19.50", "20.50")
    inside = (await api.ask(PLACE_ORDER, trader.token, input={**asked, "price": "19.50"}))["placeOrder"]
    assert inside["errors"] == []
    for percent in ("0", "100.01", "0.001"):
        refusal = await api.refused("INVALID_INPUT", UPDATE_SETTINGS, input={"priceBandPercent": percent})
        assert refusal["field"] == "priceBandPercent"
    kept = await settings(api, haltedCertificates=[])
    assert kept["settings"]["priceBandPercent"] == "2.50"
    removed = await settings(api, priceBandPercent=None)
    assert removed["settings"]["priceBandPercent"] is None
    outside = (await api.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"]
    assert outside["errors"] == []
    await api.clear()


async def test_market_data_are_closed_to_whoever_is_not_signed_in(api: Api, trader: Trader) -> None:
    assert (await api.ask(f"{{ settings {{ {SETTINGS} }} }}", trader.token))["settings"]["publicMarketData"] is True
    stream = gql("subscription { orderBook(certificateType: CEA) { sequence } }")
    payload = await settings(api, publicMarketData=False)
    try:
        assert payload["settings"]["publicMarketData"] is False
        for document in ("orderBook(certificateType: CEA) { sequence }", "trades { id }"):
            async with api.watching("") as session:
                with pytest.raises(TransportQueryError, match="not public"):
                    await anext(session.subscribe(gql(f"subscription {{ {document} }}")))
        for name, document in MARKET_DATA.items():
            answered = await api.ask(document, "")
            assert [error["extensions"]["code"] for error in answered.errors] == ["UNAUTHENTICATED"], name
            assert not (answered.data or {}).get(name)
            assert (await api.ask(document, trader.token)).errors == [], name
        async with api.watching(trader.token) as signed_in:
            assert await anext(signed_in.subscribe(stream))
    finally:
        await settings(api, publicMarketData=True)
    for document in MARKET_DATA.values():
        assert (await api.ask(document, "")).errors == []


async def test_withdrawals_and_deposits_are_for_any_holder(api: Api, trader: Trader) -> None:
    """What was there before: any asset, for a trader as for a market maker, never below what is available."""
    maker = await api.maker()
    for holder in ({"userId": trader.id}, {"marketMakerId": maker["id"]}, {"userId": maker["user"]["id"]}):
        for asset, amount in (("CEA", "3"), ("EUA", "2"), ("EUR", "1.50")):
            deposited = await api.transact(holder, asset, "DEPOSIT", amount)
            withdrawn = await api.transact(holder, asset, "WITHDRAWAL", amount)
            assert (deposited["errors"], withdrawn["errors"]) == ([], [])
            before, after = (Decimal(one["balance"]["available"]) for one in (deposited, withdrawn))
            assert before - after == Decimal(amount)
