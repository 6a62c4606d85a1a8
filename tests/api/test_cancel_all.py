"""Cancelling all orders of a market maker: one attempt, one commit, a ticket for each order."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests.db.invariants import assert_invariants
from tests.world import PLACE_MARKET_ORDER, Api

CANCEL_ALL = """mutation($id: ID!, $type: CertificateType) {
  cancelAllMarketOrders(marketMakerId: $id, certificateType: $type) {
    ticketId errors { code message field details }
    cancelledOrders { id status cancelReason filledQuantity remainingQuantity } } }"""
BOOKS = "SELECT certificate_type, sequence FROM books"


@pytest.fixture(autouse=True)
async def lawful(api: Api) -> Any:
    """Check every law of the market after each test."""
    yield
    connection = await asyncpg.connect(api.database_url)
    try:
        await assert_invariants(connection)
    finally:
        await connection.close()


async def cancel_all(api: Api, maker: dict[str, Any], certificate: str | None = None) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.ask(CANCEL_ALL, id=maker["id"], type=certificate))["cancelAllMarketOrders"]
    assert payload["errors"] == []
    return payload


async def test_every_open_order_of_the_maker_is_cancelled_and_no_other(api: Api) -> None:
    maker, rival = await api.maker("MM-Leaving", CEA="100", EUA="50"), await api.maker(CEA="10")
    buyer = await api.trader(EUR="1000")
    kept = (await api.sell(rival["id"], "30.00", "10"))["order"]["id"]
    part = (await api.sell(maker["id"], "20.00", "30"))["order"]["id"]
    await api.order(buyer, "BUY", "20.00", "12")
    whole = (await api.sell(maker["id"], "21.00", "40"))["order"]["id"]
    other = (await api.sell(maker["id"], "70.00", "50", "EUA"))["order"]["id"]
    before = {row["certificate_type"]: row["sequence"] for row in await api.sql(BOOKS)}
    count = await api.ticket_count()
    payload = await cancel_all(api, maker)
    assert [(one["id"], one["status"], one["cancelReason"], one["filledQuantity"], one["remainingQuantity"])
            for one in payload["cancelledOrders"]] == [
        (part, "CANCELLED", "REQUESTED", "12", "18"),
        (whole, "CANCELLED", "REQUESTED", "0", "40"),
        (other, "CANCELLED", "REQUESTED", "0", "50"),
    ]  # fmt: skip
    assert await api.balance(maker["user"]["id"], "CEA") == ("88", "0")
    assert await api.balance(maker["user"]["id"], "EUA") == ("50", "0")
    assert await api.balance(rival["user"]["id"], "CEA") == ("0", "10")
    after = {row["certificate_type"]: row["sequence"] for row in await api.sql(BOOKS)}
    assert after == {"CEA": before["CEA"] + 2, "EUA": before["EUA"] + 1}
    (row,) = await api.sql("SELECT status FROM orders WHERE id = $1", kept)
    assert row["status"] == "OPEN"

    tickets = await api.tickets_since(count)
    assert [row["action_type"] for row in tickets] == ["MM_ORDER_CANCELLED"] * 4
    parent, *children = tickets
    assert (parent["ticket_id"], parent["entity_type"], parent["entity_id"]) == (
        payload["ticketId"], "MARKET_MAKER", maker["id"],
    )  # fmt: skip
    assert parent["summary"] == "Cancelled 3 open orders of MM-Leaving"
    assert parent["attempt_id"] is not None
    assert [(row["entity_type"], row["entity_id"], row["attempt_id"]) for row in children] == [
        ("ORDER", order_id, None) for order_id in (part, whole, other)
    ]
    assert {str(row["market_maker_id"]) for row in tickets} == {maker["id"]}
    rows = await api.sql("SELECT ticket_id, order_id::text FROM book_events WHERE kind = 'CANCELLED'")
    assert {(row["ticket_id"], row["entity_id"]) for row in children} <= {tuple(row) for row in rows}
    rows = await api.sql("SELECT ticket_id, amount FROM asset_transactions WHERE reason = 'RELEASE'")
    released = {row["ticket_id"]: row["amount"] for row in rows}
    assert [released[row["ticket_id"]] for row in children] == [Decimal(18), Decimal(40), Decimal(50)]
    await api.clear()


async def test_parent_and_children_are_related_both_ways_and_show_what_moved(api: Api) -> None:
    maker = await api.maker(CEA="100")
    placed = [await api.sell(maker["id"], "22.00", quantity) for quantity in ("10", "20")]
    payload = await cancel_all(api, maker)
    parent = await api.ticket(payload["ticketId"])
    children = [one["ticketId"] for one in parent["relatedTickets"]]
    assert len(children) == 2
    assert parent["requestPayload"] == {"marketMakerId": maker["id"]}
    first, second = [await api.ticket(ticket_id) for ticket_id in children]
    assert first["relatedTicketIds"] == [placed[0]["ticketId"], payload["ticketId"]]
    assert second["relatedTicketIds"] == [placed[1]["ticketId"], payload["ticketId"]]
    changed = [{one["path"]: (one["before"], one["after"]) for one in child["changes"]} for child in (first, second)]
    states = {"order.status": ("OPEN", "CANCELLED"), "order.cancelReason": (None, "REQUESTED")}
    assert changed == [
        {**states, "balances.CEA.available": ("70", "80"), "balances.CEA.locked": ("30", "20")},
        {**states, "balances.CEA.available": ("80", "100"), "balances.CEA.locked": ("20", "0")},
    ]


async def test_only_the_orders_of_one_certificate_are_cancelled_when_it_is_named(api: Api) -> None:
    maker = await api.maker("MM-Half", CEA="10", EUA="10")
    kept = (await api.sell(maker["id"], "23.00", "10"))["order"]["id"]
    gone = (await api.sell(maker["id"], "73.00", "10", "EUA"))["order"]["id"]
    payload = await cancel_all(api, maker, "EUA")
    assert [one["id"] for one in payload["cancelledOrders"]] == [gone]
    ticket = await api.ticket(payload["ticketId"])
    assert ticket["summary"] == "Cancelled 1 open EUA order of MM-Half"
    assert ticket["requestPayload"] == {"marketMakerId": maker["id"], "certificateType": "EUA"}
    assert await api.balance(maker["user"]["id"], "EUA") == ("10", "0")
    assert await api.balance(maker["user"]["id"], "CEA") == ("0", "10")
    assert [one["id"] for one in (await cancel_all(api, maker))["cancelledOrders"]] == [kept]


async def test_having_no_open_order_is_a_success(api: Api) -> None:
    maker = await api.maker("MM-Idle", CEA="10")
    for _ in range(2):
        before, count = await api.state(), await api.ticket_count()
        payload = await cancel_all(api, maker)
        assert payload["cancelledOrders"] == []
        assert await api.state() == before
        (row,) = await api.tickets_since(count)
        assert (row["status"], row["summary"]) == ("SUCCESS", "Cancelled 0 open orders of MM-Idle")
        await api.ask("mutation($id: ID!) { deleteMarketMaker(id: $id) { errors { code } } }", id=maker["id"])


async def test_nobody_s_orders_are_not_cancelled(api: Api) -> None:
    for nobody in ("00000000-0000-4000-8000-000000000000", "nobody"):
        refusal = await api.refused("MARKET_MAKER_NOT_FOUND", CANCEL_ALL, id=nobody)
        assert (refusal["field"], refusal["details"]) == ("marketMakerId", {"id": nobody})
        ticket = refusal["ticket"]
        assert (ticket["action_type"], ticket["summary"], ticket["entity_id"]) == (
            "MM_ORDER_CANCELLED", "Cancel all orders: refused", nobody,
        )  # fmt: skip


async def test_only_an_admin_cancels_all(api: Api) -> None:
    trader, maker = await api.trader(), await api.maker(CEA="10")
    await api.sell(maker["id"], "24.00", "10")
    before, count = await api.state(), await api.ticket_count()
    answered = await api.ask(CANCEL_ALL, trader.token, id=maker["id"])
    assert answered.errors[0]["extensions"]["code"] == "FORBIDDEN"
    assert await api.state() == before
    (row,) = await api.tickets_since(count)
    assert (row["status"], row["error_code"]) == ("FAILED", "FORBIDDEN")
    await cancel_all(api, maker)


async def test_orders_placed_at_the_same_time_are_either_cancelled_or_stay_whole(api: Api) -> None:
    """The desk and the unit take turns at the market: no order is lost, no reserve is left behind."""
    maker, buyer = await api.maker(CEA="300"), await api.trader(EUR="100000")
    placing: list[Any] = [api.ask(PLACE_MARKET_ORDER, input={"marketMakerId": maker["id"], "certificateType": "CEA",
                                                  "price": "25.00", "quantity": "3"}) for _ in range(60)]  # fmt: skip
    buying = [api.order(buyer, "BUY", "25.00", "2") for _ in range(20)]
    cancelling = [cancel_all(api, maker) for _ in range(6)]
    answers = await asyncio.gather(*placing, *buying, *cancelling)
    cancelled = [one["id"] for payload in answers[-6:] for one in payload["cancelledOrders"]]
    assert len(set(cancelled)) == len(cancelled)
    cancelled += [one["id"] for one in (await cancel_all(api, maker))["cancelledOrders"]]
    rows = await api.sql("SELECT id::text, status FROM orders WHERE market_maker_id = $1", maker["id"])
    assert {row["id"] for row in rows if row["status"] == "CANCELLED"} == set(cancelled)
    assert {row["status"] for row in rows} <= {"CANCELLED", "FILLED"}
    available, locked = await api.balance(maker["user"]["id"], "CEA")
    (sold,) = await api.sql(
        "SELECT coalesce(sum(quantity), 0) AS sold FROM cash_market_trades WHERE market_maker_id = $1", maker["id"]
    )
    assert (Decimal(available), locked) == (300 - sold["sold"], "0")
    await api.clear()


async def test_hundreds_of_orders_are_cancelled_in_one_commit(api: Api) -> None:
    maker = await api.maker("MM-Many", CEA="400")
    placed = await asyncio.gather(*(api.sell(maker["id"], f"{30 + n % 9}.00", "1") for n in range(400)))
    assert [one["errors"] for one in placed] == [[]] * 400
    payload = await cancel_all(api, maker)
    assert {one["id"] for one in payload["cancelledOrders"]} == {one["order"]["id"] for one in placed}
    assert await api.balance(maker["user"]["id"], "CEA") == ("400", "0")
    rows = await api.sql(
        "SELECT count(*) AS children, count(DISTINCT txid) AS commits FROM ticket_logs"
        " WHERE $1 = ANY(related_ticket_ids)", payload["ticketId"],
    )  # fmt: skip
    assert tuple(rows[0]) == (400, 1)
