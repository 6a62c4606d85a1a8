"""A race: many clients on one hot book and a cold one, over all processes, with orders of every kind and cancels.

Meanwhile a reader sums up all balances, each time in one snapshot (Jepsen's bank).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from tests.faults.market import Market, Told
from tests.sizes import RACE
from tests.world import CANCEL_MARKET_ORDER, CANCEL_ORDER, PLACE_MARKET_ORDER, PLACE_ORDER

SEED = 20_261_205
HOT, COLD = "CEA", "EUA"
COLD_SHARE, CANCEL_SHARE = 0.1, 0.2
# Of ten orders: order type, time in force.
KINDS = [("LIMIT", "GTC")] * 6 + [("LIMIT", "IOC"), ("LIMIT", "FOK"), ("MARKET", "IOC"), ("MARKET", "FOK")]
MIDDLE, TICKS, APART = 2_500, 10, 4  # cents: what a side wants lies around its own middle; some orders cross, most rest
READ_EVERY_S = 0.005  # the machine is for the race
QUANTITY_MAX = 40
RICH = {"EUR": "1000000", "CEA": "20000", "EUA": "20000"}
POOR = {"EUR": "3000", "CEA": "100", "EUA": "100"}
REFUSALS = {"INSUFFICIENT_BALANCE", "SELF_TRADE", "NO_LIQUIDITY", "ORDER_NOT_OPEN"}
OPEN = "status IN ('OPEN', 'PARTIALLY_FILLED')"
SNAPSHOT = f"""SELECT
  ARRAY(SELECT asset || ' ' || sum(available + locked) FROM balances GROUP BY asset ORDER BY asset) AS totals,
  (SELECT count(*) FROM balances WHERE available < 0 OR locked < 0) AS negative,
  (SELECT count(*) FROM (SELECT FROM orders WHERE {OPEN} GROUP BY certificate_type
   HAVING max(price) FILTER (WHERE side = 'BUY') >= min(price) FILTER (WHERE side = 'SELL')) AS c) AS crossed"""


@dataclass
class Bank:
    """The reader."""

    reads: int = 0

    async def read(self, market: Market) -> None:
        """Sum up for ever; every read is like the first."""
        connection = await asyncpg.connect(market.api.database_url)
        try:
            first = await connection.fetchrow(SNAPSHOT)
            assert first is not None
            assert (len(first["totals"]), first["negative"], first["crossed"]) == (3, 0, 0)
            while True:
                assert await connection.fetchrow(SNAPSHOT) == first, f"seed {SEED}, read {self.reads}"
                self.reads += 1
                await asyncio.sleep(READ_EVERY_S)
        finally:
            await connection.close()


@dataclass
class Client:
    """Who asks, waits for the answer and asks again. maker_id: the admin acts for this market maker, who only sells."""

    market: Market
    number: int
    token: str
    maker_id: str | None = None
    open_orders: list[str] = field(default_factory=list)
    placed: list[Told] = field(default_factory=list)
    cancelled: list[Told] = field(default_factory=list)
    refused: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(SEED + self.number)

    async def run(self, count: int, bank: Bank) -> None:
        """Make so many attempts, and go on while the bank has not read often enough."""
        while count > 0 or bank.reads < RACE.reads:
            count -= 1
            if self.open_orders and self.rng.random() < CANCEL_SHARE:
                await self.cancel(self.open_orders.pop(self.rng.randrange(len(self.open_orders))))
            else:
                await self.place(self.order())

    def order(self) -> dict[str, str]:
        """Draw an order."""
        rng = self.rng
        order_type, force = rng.choice(KINDS)
        drawn = {
            "certificateType": COLD if rng.random() < COLD_SHARE else HOT,
            "side": "SELL" if self.maker_id else rng.choice(["BUY", "SELL"]),
            "orderType": order_type,
            "timeInForce": force,
            "quantity": str(rng.randint(1, QUANTITY_MAX)),
        }
        if order_type == "LIMIT":
            middle = MIDDLE + (APART if drawn["side"] == "SELL" else -APART)
            drawn["price"] = f"{(middle + rng.randint(-TICKS, TICKS)) / 100:.2f}"
        return drawn if self.maker_id is None else {**drawn, "marketMakerId": self.maker_id}

    async def place(self, order: dict[str, str]) -> None:
        document = PLACE_MARKET_ORDER if self.maker_id else PLACE_ORDER
        told = await self.market.ask(self.number, document, self.token, input=order)
        (self.refused if told.code else self.placed).append(told)
        if told.code is None and told.payload["order"]["status"] in ("OPEN", "PARTIALLY_FILLED"):
            self.open_orders.append(told.payload["order"]["id"])

    async def cancel(self, order_id: str) -> None:
        document = CANCEL_MARKET_ORDER if self.maker_id else CANCEL_ORDER
        told = await self.market.ask(self.number, document, self.token, id=order_id)
        (self.refused if told.code else self.cancelled).append(told)


async def clients_of(market: Market) -> list[Client]:
    """Make the clients: of eight, one is poor and one acts for a market maker."""
    rich, poor = await market.traders(RACE.clients, **RICH), await market.traders(RACE.clients // 8, **POOR)
    clients = []
    for number in range(RACE.clients):
        if number % 8 == 6:
            maker = await market.api.maker(CEA="20000", EUA="20000")
            clients.append(Client(market, number, market.api.admin_token, maker["id"]))
        else:
            trader = poor[number // 8] if number % 8 == 7 else rich[number]
            clients.append(Client(market, number, trader.token))
    return clients


async def test_a_race_makes_and_loses_nothing_and_rows_are_what_was_answered(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    clients, bank = await clients_of(market), Bank()
    before = await market.root_tickets()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(bank.read(market))
        trading = [group.create_task(client.run(RACE.orders, bank)) for client in clients]
        await asyncio.gather(*trading)
        reading.cancel()
    seconds = time.perf_counter() - started
    placed = [told for client in clients for told in client.placed]
    cancelled = [told for client in clients for told in client.cancelled]
    refused = [told for client in clients for told in client.refused]
    assert len(placed) + len(cancelled) + len(refused) >= RACE.clients * RACE.orders
    assert {told.code for told in refused} == REFUSALS
    tickets = {told.ticket_id: told.code for told in (*placed, *cancelled, *refused)}
    assert await market.root_tickets() == before | tickets
    orders = await market.api.sql("SELECT id::text, side, price, quantity, ticket_id FROM orders")
    answered = [told.payload["order"] for told in placed]
    assert Counter(map(_order_row, orders)) == Counter(map(_order_answer, answered))
    assert {order["ticketId"] for order in answered} == {told.ticket_id for told in placed}
    trades = await market.api.sql("SELECT id::text, price, quantity, taker_side, ticket_id FROM cash_market_trades")
    traded = [trade for told in placed for trade in told.payload["trades"]]
    assert Counter(map(_trade_row, trades)) == Counter(map(_trade_answer, traded))
    rows = await market.api.sql("SELECT id::text FROM orders WHERE cancel_reason = 'REQUESTED'")
    assert {row["id"] for row in rows} == {told.payload["order"]["id"] for told in cancelled}
    with capsys.disabled():
        print(  # noqa: T201 - figures for the log
            f"\n[race: {len(tickets):,} attempts in {seconds:.1f} s over {len(market.served)} processes:"
            f" {len(placed):,} placed, {len(cancelled):,} cancelled, {len(traded):,} trades,"
            f" refused {dict(Counter(told.code for told in refused))}; {bank.reads:,} reads]",
            end=" ",
        )


def _order_row(row: asyncpg.Record) -> tuple[Any, ...]:
    return row["id"], row["side"], row["price"] and f"{row['price']:.2f}", f"{row['quantity']:f}", row["ticket_id"]


def _order_answer(order: dict[str, Any]) -> tuple[Any, ...]:
    return order["id"], order["side"], order["price"], order["quantity"], order["ticketId"]


def _trade_row(row: asyncpg.Record) -> tuple[Any, ...]:
    return row["id"], f"{row['price']:.2f}", f"{row['quantity']:f}", row["taker_side"], row["ticket_id"]


def _trade_answer(trade: dict[str, Any]) -> tuple[Any, ...]:
    return trade["id"], trade["price"], trade["quantity"], trade["takerSide"], trade["ticketId"]
