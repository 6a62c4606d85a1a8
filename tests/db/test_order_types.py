"""Every kind of order through the desk: the rows it leaves, in order, each with the ticket that caused it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from db.embedded import Servers
from db.unit import Answer
from domain.makers import MakerOutcome
from domain.market import PlacedOutcome, TimeInForce
from tests.db.invariants import assert_invariants
from tests.db.process import Process, process

GTC, IOC, FOK = TimeInForce
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Line: TypeAlias = tuple[str, str, str, str, str]  # asset, reason, available, locked, whose ticket
# Whatever an order may leave behind, beside its ticket.
EFFECTS = ("orders", "cash_market_trades", "book_events", "asset_transactions", "books", "balances")


@pytest.fixture(scope="module")
async def one(servers: Servers, database: str) -> AsyncIterator[Process]:
    async with process(database, servers.urls.redis_url) as opened:
        yield opened


@pytest.fixture(scope="module")
async def owner(database: str) -> AsyncIterator[Owner]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
async def _laws_hold_afterwards(one: Process, owner: Owner) -> AsyncIterator[None]:
    yield
    rows = await owner.fetch(
        "SELECT id, user_id, market_maker_id FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED')"
    )
    await asyncio.gather(*(one.cancel(row["id"], None if row["market_maker_id"] else row["user_id"]) for row in rows))
    await assert_invariants(owner)


@dataclass(frozen=True)
class Left:
    """What one order left behind."""

    order: asyncpg.Record
    event: asyncpg.Record
    trades: list[asyncpg.Record]
    tickets: list[asyncpg.Record]

    @property
    def status(self) -> tuple[str, str | None, str, str]:
        """Return status, cancel reason, what was filled and what it came to."""
        order = self.order
        return order["status"], order["cancel_reason"], f"{order['filled_quantity']:f}", f"{order['filled_notional']:f}"

    @property
    def journal(self) -> tuple[Any, Any, Any]:
        """Return price, quantity and what rested of its event."""
        return self.event["price"], self.event["quantity"], self.event["rested"]


async def left_by(owner: Owner, answer: Answer[PlacedOutcome]) -> Left:
    """Read the rows of an order that was taken."""
    assert answer.outcome is not None, answer.refusal
    order = await owner.fetchrow("SELECT * FROM orders WHERE id = $1", answer.outcome.order.id)
    (event,) = await owner.fetch("SELECT * FROM book_events WHERE order_id = $1", answer.outcome.order.id)
    assert order is not None
    assert (order["ticket_id"], event["ticket_id"], event["kind"]) == (answer.ticket_id, answer.ticket_id, "PLACED")
    trades = await owner.fetch(
        "SELECT * FROM cash_market_trades WHERE sequence = $1 AND certificate_type = $2 ORDER BY position",
        event["sequence"],
        order["certificate_type"],
    )
    assert [trade["id"] for trade in trades] == [trade.id for trade in answer.outcome.trades]
    tickets = await owner.fetch(
        "SELECT * FROM ticket_logs WHERE txid = (SELECT txid FROM ticket_logs WHERE ticket_id = $1) ORDER BY number",
        answer.ticket_id,
    )
    return Left(order, event, trades, tickets)


async def ledger_of(owner: Owner, holder: UUID, answer: Answer[PlacedOutcome]) -> list[Line]:
    """Return a holder's ledger rows that an order made, euros first, in the order of their writing."""
    left = await left_by(owner, answer)
    words = {answer.ticket_id: "placing"}
    words |= {trade["ticket_id"]: f"trade {number}" for number, trade in enumerate(left.trades, start=1)}
    rows = await owner.fetch(
        "SELECT * FROM asset_transactions WHERE holder_id = $1 AND ticket_id = ANY($2::text[])"
        " ORDER BY asset DESC, seq",
        holder,
        list(words),
    )
    return [
        (
            row["asset"],
            row["reason"],
            f"{row['available_delta']:f}",
            f"{row['locked_delta']:f}",
            words[row["ticket_id"]],
        )
        for row in rows
    ]


async def balance(owner: Owner, holder: UUID, asset: str) -> tuple[str, str]:
    row = await owner.fetchrow("SELECT * FROM balances WHERE holder_id = $1 AND asset = $2", holder, asset)
    assert row is not None
    return f"{row['available']:f}", f"{row['locked']:f}"


async def asks(one: Process, *levels: tuple[str, str]) -> list[UUID]:
    """Let a new seller each offer (quantity, price); return the sellers."""
    sellers = [await one.trader(cea=quantity) for quantity, _ in levels]
    for seller, (quantity, price) in zip(sellers, levels, strict=True):
        assert (await one.place(seller, "SELL", quantity, price)).outcome
    return sellers


async def bids(one: Process, *levels: tuple[str, str]) -> list[UUID]:
    """Let a new buyer each bid for (quantity, price); return the buyers."""
    buyers = [await one.trader(f"{Decimal(quantity) * Decimal(price):f}") for quantity, price in levels]
    for buyer, (quantity, price) in zip(buyers, levels, strict=True):
        assert (await one.place(buyer, "BUY", quantity, price)).outcome
    return buyers


async def refused(
    one: Process,
    owner: Owner,
    code: str,
    holder: UUID | MakerOutcome,
    side: str,
    quantity: str,
    price: str | None,
    force: TimeInForce = GTC,
) -> dict[str, Any]:
    """Make one attempt that must be refused: a FAILED ticket and not one row more; return its figures."""
    digests = ", ".join(
        f"(SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t) AS {name}" for name in EFFECTS
    )
    digests = digests.replace("FROM balances t", "FROM balances t WHERE seq > 0")
    before = await owner.fetchrow(f"SELECT {digests}")
    answer = await one.place(holder, side, quantity, price, force=force)
    assert answer.refusal is not None, answer.outcome
    assert answer.refusal.code == code
    ticket = await owner.fetchrow("SELECT * FROM ticket_logs WHERE ticket_id = $1", answer.ticket_id)
    assert ticket is not None
    assert (ticket["status"], ticket["error_code"]) == ("FAILED", code)
    assert await owner.fetchrow(f"SELECT {digests}") == before
    return dict(answer.refusal.details)


# ----------------------------------------------------------------------------------------------- immediate or cancel


async def test_an_ioc_purchase_is_cut_and_gives_back_the_better_price_and_the_rest(one: Process, owner: Owner) -> None:
    (seller,) = await asks(one, ("30", "25.50"))
    buyer = await one.trader("2000")
    answer = await one.place(buyer, "BUY", "40", "25.60", force=IOC)
    left = await left_by(owner, answer)
    assert left.status == ("CANCELLED", "IOC_REMAINDER", "30", "765.00")
    assert (left.order["order_type"], left.order["time_in_force"], left.order["price"]) == (
        "LIMIT",
        "IOC",
        Decimal("25.60"),
    )
    assert left.journal == (Decimal("25.60"), 40, 0)
    assert await ledger_of(owner, buyer, answer) == [
        ("EUR", "LOCK", "-1024.00", "1024.00", "placing"),
        ("EUR", "SETTLE_OUT", "0.00", "-765.00", "trade 1"),
        ("EUR", "RELEASE", "3.00", "-3.00", "trade 1"),
        ("EUR", "RELEASE", "256.00", "-256.00", "placing"),
        ("CEA", "SETTLE_IN", "30", "0", "trade 1"),
    ]
    assert await ledger_of(owner, seller, answer) == [
        ("EUR", "SETTLE_IN", "765.00", "0.00", "trade 1"),
        ("CEA", "SETTLE_OUT", "0", "-30", "trade 1"),
    ]
    assert await balance(owner, buyer, "EUR") == ("1235.00", "0.00")
    assert [(row["action_type"], row["summary"]) for row in left.tickets] == [
        ("ORDER_PLACED", "BUY 40 CEA @ 25.60"),
        ("TRADE_EXECUTED", "30 CEA @ 25.50 = 765.00 EUR"),
        ("ORDER_FILLED", "SELL order of CEA filled"),
    ], "the rest of the order is part of its placing: no ticket of its own"


async def test_an_ioc_sale_is_cut_and_gives_back_the_certificates(one: Process, owner: Owner) -> None:
    (buyer,) = await bids(one, ("30", "25.50"))
    seller = await one.trader(cea="40")
    answer = await one.place(seller, "SELL", "40", "25.40", force=IOC)
    left = await left_by(owner, answer)
    assert left.status == ("CANCELLED", "IOC_REMAINDER", "30", "765.00")
    assert await ledger_of(owner, seller, answer) == [
        ("EUR", "SETTLE_IN", "765.00", "0.00", "trade 1"),
        ("CEA", "LOCK", "-40", "40", "placing"),
        ("CEA", "SETTLE_OUT", "0", "-30", "trade 1"),
        ("CEA", "RELEASE", "10", "-10", "placing"),
    ]
    assert await ledger_of(owner, buyer, answer) == [
        ("EUR", "SETTLE_OUT", "0.00", "-765.00", "trade 1"),
        ("CEA", "SETTLE_IN", "30", "0", "trade 1"),
    ]


async def test_an_ioc_order_that_is_cut_cannot_be_cancelled(one: Process) -> None:
    await asks(one, ("30", "25.50"))
    buyer = await one.trader("2000")
    answer = await one.place(buyer, "BUY", "40", "25.50", force=IOC)
    assert answer.outcome is not None
    cancel = await one.cancel(answer.outcome.order.id, buyer)
    assert cancel.refusal is not None
    assert (cancel.refusal.code, cancel.refusal.details) == ("ORDER_NOT_OPEN", {"status": "CANCELLED"})


# ------------------------------------------------------------------------------------------------------- fill or kill


async def test_a_fok_purchase_is_filled_through_two_levels(one: Process, owner: Owner) -> None:
    await asks(one, ("10", "25.50"), ("50", "25.60"))
    buyer = await one.trader("1028")
    answer = await one.place(buyer, "BUY", "40", "25.70", force=FOK)
    left = await left_by(owner, answer)
    assert left.status == ("FILLED", None, "40", "1023.00")
    assert left.journal == (Decimal("25.70"), 40, 0)
    assert await ledger_of(owner, buyer, answer) == [
        ("EUR", "LOCK", "-1028.00", "1028.00", "placing"),
        ("EUR", "SETTLE_OUT", "0.00", "-255.00", "trade 1"),
        ("EUR", "RELEASE", "2.00", "-2.00", "trade 1"),
        ("EUR", "SETTLE_OUT", "0.00", "-768.00", "trade 2"),
        ("EUR", "RELEASE", "3.00", "-3.00", "trade 2"),
        ("CEA", "SETTLE_IN", "10", "0", "trade 1"),
        ("CEA", "SETTLE_IN", "30", "0", "trade 2"),
    ]
    actions = [row["action_type"] for row in left.tickets]
    assert actions == ["ORDER_PLACED", "TRADE_EXECUTED", "ORDER_FILLED", "TRADE_EXECUTED", "ORDER_FILLED"]
    assert left.tickets[-1]["entity_id"] == str(left.order["id"])


# ---------------------------------------------------------------------------------------------------------- at market


async def test_a_purchase_at_market_locks_exactly_its_cost(one: Process, owner: Owner) -> None:
    await asks(one, ("10", "25.50"), ("50", "25.60"))
    buyer = await one.trader("1023")
    answer = await one.place(buyer, "BUY", "40", None)
    left = await left_by(owner, answer)
    assert left.status == ("FILLED", None, "40", "1023.00")
    assert (left.order["order_type"], left.order["time_in_force"], left.order["price"]) == ("MARKET", "GTC", None)
    assert left.journal == (None, 40, 0)
    assert await ledger_of(owner, buyer, answer) == [
        ("EUR", "LOCK", "-1023.00", "1023.00", "placing"),
        ("EUR", "SETTLE_OUT", "0.00", "-255.00", "trade 1"),
        ("EUR", "SETTLE_OUT", "0.00", "-768.00", "trade 2"),
        ("CEA", "SETTLE_IN", "10", "0", "trade 1"),
        ("CEA", "SETTLE_IN", "30", "0", "trade 2"),
    ]
    assert await balance(owner, buyer, "EUR") == ("0.00", "0.00")
    assert left.tickets[0]["summary"] == "BUY 40 CEA at market"


@pytest.mark.parametrize(("cash", "filled", "spent"), [("1022.99", 39, "997.40"), ("255.00", 10, "255.00")])
async def test_a_purchase_at_market_ends_where_the_cash_ends(
    one: Process, owner: Owner, cash: str, filled: int, spent: str
) -> None:
    await asks(one, ("10", "25.50"), ("50", "25.60"))
    buyer = await one.trader(cash)
    answer = await one.place(buyer, "BUY", "40", None)
    left = await left_by(owner, answer)
    assert left.status == ("CANCELLED", "CASH_EXHAUSTED", str(filled), spent)
    rows = await ledger_of(owner, buyer, answer)
    assert rows[0] == ("EUR", "LOCK", f"-{spent}", spent, "placing")
    assert [row for row in rows if row[1] == "RELEASE"] == [], "it reserved no more than it spent"
    assert await balance(owner, buyer, "EUR") == (f"{Decimal(cash) - Decimal(spent):f}", "0.00")


async def test_a_market_order_that_empties_the_book_is_cut(one: Process, owner: Owner) -> None:
    await bids(one, ("10", "25.60"), ("20", "25.50"))
    seller = await one.trader(cea="40")
    answer = await one.place(seller, "SELL", "40", None)
    left = await left_by(owner, answer)
    assert left.status == ("CANCELLED", "MARKET_REMAINDER", "30", "766.00")
    assert left.journal == (None, 40, 0)
    assert await ledger_of(owner, seller, answer) == [
        ("EUR", "SETTLE_IN", "256.00", "0.00", "trade 1"),
        ("EUR", "SETTLE_IN", "510.00", "0.00", "trade 2"),
        ("CEA", "LOCK", "-40", "40", "placing"),
        ("CEA", "SETTLE_OUT", "0", "-10", "trade 1"),
        ("CEA", "SETTLE_OUT", "0", "-20", "trade 2"),
        ("CEA", "RELEASE", "10", "-10", "placing"),
    ]


async def test_a_market_order_that_meets_its_own_holder_s_order_is_cut(one: Process, owner: Owner) -> None:
    await asks(one, ("10", "25.50"))
    trader = await one.trader("1000", "10")
    own = await one.place(trader, "SELL", "10", "25.60")
    await asks(one, ("10", "25.70"))
    answer = await one.place(trader, "BUY", "20", None)
    assert (await left_by(owner, answer)).status == ("CANCELLED", "SELF_TRADE", "10", "255.00")
    assert await ledger_of(owner, trader, answer) == [
        ("EUR", "LOCK", "-255.00", "255.00", "placing"),
        ("EUR", "SETTLE_OUT", "0.00", "-255.00", "trade 1"),
        ("CEA", "SETTLE_IN", "10", "0", "trade 1"),
    ]
    assert (await left_by(owner, own)).status == ("OPEN", None, "0", "0.00")


async def test_a_market_maker_sells_at_market_and_its_tickets_say_so(one: Process, owner: Owner) -> None:
    (buyer,) = await bids(one, ("10", "25.50"))
    maker = await one.maker("100", "MM-Market")
    answer = await one.place(maker, "SELL", "100", None)
    left = await left_by(owner, answer)
    assert left.status == ("CANCELLED", "MARKET_REMAINDER", "10", "255.00")
    assert [(row["action_type"], row["summary"], row["market_maker_id"]) for row in left.tickets] == [
        ("MM_ORDER_PLACED", "SELL 100 CEA at market for MM-Market", maker.maker.id),
        ("MM_TRADE_EXECUTED", "10 CEA @ 25.50 = 255.00 EUR", maker.maker.id),
        ("ORDER_FILLED", "BUY order of CEA filled", None),
    ]
    assert await balance(owner, maker.maker.user_id, "CEA") == ("90", "0")
    assert await balance(owner, buyer, "CEA") == ("10", "0")
    assert await refused(one, owner, "SIDE_NOT_ALLOWED", maker, "BUY", "1", None) == {"side": "BUY"}


# ------------------------------------------------------------------------------------------------------ the price band


async def test_the_band_is_read_under_the_lock_and_cuts_market_orders(one: Process, owner: Owner) -> None:
    await asks(one, ("10", "25.50"), ("10", "26.00"), ("10", "26.01"))
    buyer = await one.trader("2000")
    await owner.execute("UPDATE settings SET price_band_percent = 4")
    try:
        assert (await one.place(buyer, "BUY", "1", "30.00", force=IOC)).outcome, "no reference price: no band"
        await owner.execute("UPDATE certificates SET reference_price = 25 WHERE certificate_type = 'CEA'")
        for price in ("26.01", "23.99"):
            details = await refused(one, owner, "INVALID_PRICE", buyer, "BUY", "1", price)
            assert details == {"requested": price, "lowest": "24.00", "highest": "26.00"}
        low = await one.place(buyer, "BUY", "1", "24.00")
        answer = await one.place(buyer, "BUY", "30", None)
        left = await left_by(owner, answer)
        assert left.status == ("CANCELLED", "PRICE_BAND", "19", "489.50")
        assert (await ledger_of(owner, buyer, answer))[0] == ("EUR", "LOCK", "-489.50", "489.50", "placing")
        details = await refused(one, owner, "NO_LIQUIDITY", buyer, "BUY", "30", None)
        assert details == {"requested": "30", "offered": "0"}
        assert low.outcome is not None
    finally:
        await owner.execute("UPDATE settings SET price_band_percent = NULL")
        await owner.execute("UPDATE certificates SET reference_price = NULL")
    assert (await one.place(buyer, "BUY", "10", None)).outcome, "without the band the last level is reached"


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("force", [IOC, FOK])
async def test_nothing_to_trade_with_is_no_order(one: Process, owner: Owner, force: TimeInForce) -> None:
    trader = await one.trader("1000", "100")
    for side, price in (("BUY", "25.50"), ("SELL", "25.50"), ("BUY", None), ("SELL", None)):
        details = await refused(one, owner, "NO_LIQUIDITY", trader, side, "10", price, force=force)
        assert details == {"requested": "10", "offered": "0"}


async def test_an_order_that_cannot_be_filled_whole_is_no_order(one: Process, owner: Owner) -> None:
    await asks(one, ("10", "25.50"), ("10", "25.60"))
    buyer = await one.trader("100000")
    for quantity, price, offered in (("11", "25.50", "10"), ("21", "99.00", "20"), ("21", None, "20")):
        details = await refused(one, owner, "NO_LIQUIDITY", buyer, "BUY", quantity, price, force=FOK)
        assert details == {"requested": quantity, "offered": offered}


async def test_cash_that_pays_for_nothing_is_insufficient_with_its_figures(one: Process, owner: Owner) -> None:
    await asks(one, ("10", "25.50"), ("10", "25.60"))
    buyer = await one.trader("25.49")
    figures = {"asset": "EUR", "available": "25.49", "locked": "0.00"}
    details = await refused(one, owner, "INSUFFICIENT_BALANCE", buyer, "BUY", "10", None)
    assert details == {**figures, "requested": "25.50"}
    details = await refused(one, owner, "INSUFFICIENT_BALANCE", buyer, "BUY", "11", None, force=FOK)
    assert details == {**figures, "requested": "280.60"}
    details = await refused(one, owner, "INSUFFICIENT_BALANCE", buyer, "BUY", "10", "25.50", force=IOC)
    assert details == {**figures, "requested": "255.00"}


async def test_a_sale_at_market_needs_the_whole_quantity(one: Process, owner: Owner) -> None:
    await bids(one, ("1", "25.50"))
    seller = await one.trader(cea="39")
    details = await refused(one, owner, "INSUFFICIENT_BALANCE", seller, "SELL", "40", None)
    assert details == {"asset": "CEA", "requested": "40", "available": "39", "locked": "0"}


@pytest.mark.parametrize(("price", "force"), [("25.50", GTC), ("25.50", IOC), ("25.50", FOK), (None, GTC), (None, FOK)])
async def test_an_order_that_first_meets_its_own_holder_s_is_refused(
    one: Process, owner: Owner, price: str | None, force: TimeInForce
) -> None:
    trader = await one.trader("1000", "10")
    own = await one.place(trader, "SELL", "10", "25.50")
    await asks(one, ("10", "25.50"))
    assert own.outcome is not None
    details = await refused(one, owner, "SELF_TRADE", trader, "BUY", "5", price, force=force)
    assert details == {"orderId": str(own.outcome.order.id)}


async def test_the_cash_of_a_batch_is_spent_once(one: Process, owner: Owner) -> None:
    """In one batch: the second purchase at market has what the first one left, the third has nothing."""
    await asks(one, ("100", "10.00"))
    buyer = await one.trader("150")
    answers = await asyncio.gather(*(one.place(buyer, "BUY", "10", None) for _ in range(3)))
    filled = [answer.outcome.order.filled_quantity if answer.outcome else 0 for answer in answers]
    assert filled == [10, 5, 0]
    assert [answer.refusal.code if answer.refusal else None for answer in answers] == [
        None,
        None,
        "INSUFFICIENT_BALANCE",
    ]
    tickets = [answer.ticket_id for answer in answers]
    rows = await owner.fetch("SELECT DISTINCT txid FROM ticket_logs WHERE ticket_id = ANY($1::text[])", tickets)
    assert len(rows) == 1, "they were to be decided in one batch"


@pytest.mark.parametrize("force", list(TimeInForce))
async def test_a_repeated_key_answers_as_the_first_time(one: Process, owner: Owner, force: TimeInForce) -> None:
    await asks(one, ("10", "25.50"))
    buyer = await one.trader("1000")
    first = await one.place(buyer, "BUY", "10", None, "once", force=force)
    again = await one.place(buyer, "BUY", "10", None, "once", force=force)
    assert (again.ticket_id, again.outcome, again.is_replay) == (first.ticket_id, first.outcome, True)
    assert (await left_by(owner, first)).status == ("FILLED", None, "10", "255.00")
