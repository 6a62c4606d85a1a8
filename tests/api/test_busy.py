"""What happens while somebody else holds the market: waits are bounded, and the newest state decides."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg

from api.app import WRITE_CONNECTIONS_MAX
from db.unit import LOCK_TIMEOUT_S
from tests.world import CANCEL_MARKET_ORDER, PLACE_MARKET_ORDER, PLACE_ORDER, Api

ANSWER = "ticketId errors { code message }"
APPROVE_KYC = f"mutation($id: ID!) {{ approveKyc(userId: $id) {{ {ANSWER} }} }}"
WAITING_UNITS = """SELECT pid FROM pg_stat_activity WHERE datname = current_database()
  AND application_name = 'carbondesk-write' AND wait_event_type = 'Lock'"""
DELETE_MAKER = f"mutation($id: ID!) {{ deleteMarketMaker(id: $id) {{ {ANSWER} }} }}"


@contextlib.asynccontextmanager
async def market_held(api: Api) -> AsyncIterator[None]:
    """Hold the market lock from outside, as a stuck process would."""
    connection = await asyncpg.connect(api.database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT * FROM books ORDER BY certificate_type FOR NO KEY UPDATE")
            yield
    finally:
        await connection.close()


async def test_a_market_that_stays_locked_is_busy_and_the_same_key_may_try_again(api: Api) -> None:
    maker = await api.maker(CEA="10")
    asked = {"marketMakerId": maker["id"], "certificateType": "CEA", "price": "25.50", "quantity": "5",
             "idempotencyKey": "busy-1"}  # fmt: skip
    async with market_held(api):
        before, count = await api.state(), await api.ticket_count()
        payload = (await api.ask(PLACE_MARKET_ORDER, input=asked))["placeMarketOrder"]
    assert [error["code"] for error in payload["errors"]] == ["BUSY"]
    assert payload["errors"][0]["message"] == "The market is busy. Nothing was done; try again in a moment."
    (row,) = await api.tickets_since(count)
    assert (row["ticket_id"], row["status"], row["error_code"]) == (payload["ticketId"], "FAILED", "BUSY")
    assert await api.state() == before
    again = await api.ask(PLACE_MARKET_ORDER, input=asked)  # BUSY is never the stored answer
    assert again["placeMarketOrder"]["errors"] == []
    assert "replayed" not in again.extensions
    await api.ask(CANCEL_MARKET_ORDER, id=again["placeMarketOrder"]["order"]["id"])


async def test_a_flood_that_finds_no_connection_is_busy_with_a_ticket_each(api: Api) -> None:
    nobody = str(uuid4())
    async with market_held(api):
        before, count = await api.state(), await api.ticket_count()
        waiting = [asyncio.create_task(api.ask(APPROVE_KYC, id=nobody)) for _ in range(WRITE_CONNECTIONS_MAX)]
        await asyncio.sleep(0.5)  # all connections wait for the market now
        late = await asyncio.gather(*(api.ask(DELETE_MAKER, id=nobody) for _ in range(3)))
        answers = [*await asyncio.gather(*waiting), *late]
    rows = await api.tickets_since(count)
    assert [row["error_code"] for row in rows] == ["BUSY"] * len(answers)
    for answer in answers:
        assert answer.errors == []
        assert answer.data is not None
        (payload,) = answer.data.values()
        assert [error["code"] for error in payload["errors"]] == ["BUSY"]
        assert payload["ticketId"] in {row["ticket_id"] for row in rows}
    assert await api.state() == before


async def test_who_asks_is_found_while_units_of_work_hold_every_connection(api: Api) -> None:
    """The desk has room, so an order may not wait behind withdrawals for the look at its session."""
    trader, poor = await api.trader(CEA="10"), await api.trader(EUR="1")
    connection = await asyncpg.connect(api.database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM balances WHERE holder_id = $1 FOR UPDATE", poor.id)
            waiting = [
                asyncio.create_task(api.transact({"userId": poor.id}, "EUR", "DEPOSIT", "1"))
                for _ in range(WRITE_CONNECTIONS_MAX)
            ]
            async with asyncio.timeout(LOCK_TIMEOUT_S):
                while len(await connection.fetch(WAITING_UNITS)) < WRITE_CONNECTIONS_MAX:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.01)
            placed = await api.order(trader, "SELL", "90.00", "10")
            assert placed["errors"] == []
            assert [task for task in waiting if task.done()] == []
    finally:
        await connection.close()
    assert [payload["errors"] for payload in await asyncio.gather(*waiting)] == [[]] * WRITE_CONNECTIONS_MAX


async def test_the_right_to_trade_is_read_under_the_lock(api: Api) -> None:
    trader, maker = await api.trader(EUR="1000"), await api.maker("MM-Stopped", CEA="10")
    buy = {"certificateType": "CEA", "side": "BUY", "price": "20.00", "quantity": "5"}
    sell = {"marketMakerId": maker["id"], "certificateType": "CEA", "price": "25.50", "quantity": "5"}
    async with market_held(api):
        bought = asyncio.create_task(api.ask(PLACE_ORDER, trader.token, input=buy))
        sold = asyncio.create_task(api.ask(PLACE_MARKET_ORDER, input=sell))
        await asyncio.sleep(0.3)  # both wait for the market
        await api.sql("UPDATE users SET is_active = false WHERE id = $1", trader.id)
        await api.sql("UPDATE market_maker_clients SET is_active = false WHERE id = $1", maker["id"])
        before, count = await api.state(), await api.ticket_count()
    codes = [
        [error["code"] for error in answered[name]["errors"]]
        for answered, name in ((await bought, "placeOrder"), (await sold, "placeMarketOrder"))
    ]
    assert codes == [["USER_INACTIVE"], ["MARKET_MAKER_INACTIVE"]]
    assert sorted(row["error_code"] for row in await api.tickets_since(count)) == [
        "MARKET_MAKER_INACTIVE", "USER_INACTIVE"
    ]  # fmt: skip
    assert await api.state() == before
