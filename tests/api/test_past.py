"""The past: books and balances asked for later are those that were shown then."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import past
from tests.world import CANCEL_MARKET_ORDER, CANCEL_ORDER, Api, Trader

BOOK = """certificateType sequence bestBid bestAsk spread lastPrice checksum
  bids { price quantity orderCount cumulativeQuantity } asks { price quantity orderCount cumulativeQuantity }"""
NOW = f"query($c: CertificateType!) {{ orderBook(certificateType: $c, depth: 1000) {{ {BOOK} }} }}"
THEN = f"""query($c: CertificateType!, $s: BigInt, $t: ID, $at: DateTime) {{
  orderBook(certificateType: $c, depth: 1000, asOfSequence: $s, asOfTicket: $t, asOf: $at) {{ {BOOK} at }} }}"""
HELD = "balances { asset available locked seq }"
BALANCES = (
    f"{{ marketMakers {{ nodes {{ id {HELD} }} }} users(filter: {{ role: TRADER }}) {{ nodes {{ id {HELD} }} }} }}"
)
PLACE = """mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
  ticketId errors { code } order { id status } trades { ticketId } } }"""


@dataclass
class Walk:
    """A random market, and what was shown after each command."""

    api: Api
    makers: list[dict[str, Any]] = field(default_factory=list)
    traders: list[Trader] = field(default_factory=list)
    shown: dict[int, dict[str, Any]] = field(default_factory=dict)  # the book of CEA by sequence
    tickets: list[tuple[str, int]] = field(default_factory=list)  # (ticket, the sequence that it led to)
    held: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # (ticket, all balances after it)


async def book(api: Api, certificate: str = "CEA") -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask(NOW, "", c=certificate))["orderBook"]
    return found


async def held(api: Api) -> dict[str, Any]:
    answered = await api.ask(BALANCES)
    return {one["id"]: one["balances"] for kind in ("marketMakers", "users") for one in answered[kind]["nodes"]}


async def place(walk: Walk, rng: random.Random) -> dict[str, Any]:
    price, quantity = f"{rng.randrange(2_400, 2_600) / 100:.2f}", str(rng.randrange(1, 20))
    if rng.random() < 0.3:
        payload = await walk.api.sell(rng.choice(walk.makers)["id"], price, quantity)
    else:
        wanted: dict[str, Any] = {"certificateType": "CEA", "side": rng.choice(("BUY", "SELL")), "quantity": quantity}
        if rng.random() < 0.2:
            wanted |= {"orderType": "MARKET"}
        else:
            wanted |= {"price": price, "timeInForce": rng.choice(("GTC", "GTC", "GTC", "IOC"))}
        payload = (await walk.api.ask(PLACE, rng.choice(walk.traders).token, input=wanted))["placeOrder"]
    return payload


async def cancel(walk: Walk, rng: random.Random) -> dict[str, Any] | None:
    rows = await walk.api.sql(
        "SELECT id, market_maker_id, user_id FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED') ORDER BY id"
    )
    if not rows:
        return None
    row = rng.choice(rows)
    if row["market_maker_id"]:
        return dict((await walk.api.ask(CANCEL_MARKET_ORDER, id=str(row["id"])))["cancelMarketOrder"])
    token = next(one.token for one in walk.traders if one.id == str(row["user_id"]))
    return dict((await walk.api.ask(CANCEL_ORDER, token, id=str(row["id"])))["cancelOrder"])


@pytest.fixture(scope="module")
async def walk(api: Api) -> Walk:
    rng, one = random.Random(23), Walk(api)
    one.makers = [await api.maker(CEA="100000") for _ in range(2)]
    one.traders = [await api.trader(EUR="1000000", CEA="100000") for _ in range(3)]
    one.shown[0] = await book(api)
    for step in range(120):
        payload = await (cancel if rng.random() < 0.25 else place)(one, rng)
        if payload is None:
            continue
        now = await book(api)
        one.shown[now["sequence"]] = now
        if payload["errors"]:
            continue
        one.tickets.append((payload["ticketId"], now["sequence"]))
        one.tickets += [(trade["ticketId"], now["sequence"]) for trade in payload.get("trades") or ()]
        if step % 10 == 0:
            last = (payload.get("trades") or [payload])[-1]["ticketId"]
            one.held.append((last, await held(api)))
    for _ in range(6):  # several commands in one transaction
        await asyncio.gather(*(place(one, rng) for _ in range(8)))
    return one


# --------------------------------------------------------------------------------------------------------------- books


async def then(api: Api, token: str | None = None, certificate: str = "CEA", **moment: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask(THEN, token, c=certificate, **moment))["orderBook"]
    found.pop("at")
    return found


@pytest.fixture(params=[0, 10**9], ids=["backwards", "forwards"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every book from now, then every book from the start."""
    monkeypatch.setattr(past, "BACKWARDS_COST", request.param)


@pytest.mark.usefixtures("way")
async def test_the_book_of_each_sequence_is_the_one_that_was_shown(walk: Walk) -> None:
    assert len(walk.shown) > 80
    for sequence, shown in walk.shown.items():
        assert await then(walk.api, "", s=sequence) == shown, sequence


async def naive(api: Api) -> list[dict[str, dict[str, tuple[int, int]]]]:
    """Return the levels after each sequence from orders, trades and cancels alone, not from what the journal tells."""
    events = await api.sql(
        "SELECT e.sequence, e.kind, e.rested, o.id, o.side, o.price FROM book_events e"
        " JOIN orders o ON o.id = e.order_id WHERE e.certificate_type = 'CEA' ORDER BY e.sequence"
    )
    trades = await api.sql("SELECT * FROM cash_market_trades WHERE certificate_type = 'CEA'")
    left: dict[UUID, tuple[str, Decimal, Decimal]] = {}
    books: list[dict[str, dict[str, tuple[int, int]]]] = [{"BUY": {}, "SELL": {}}]
    for event in events:
        for trade in trades:
            if trade["sequence"] == event["sequence"]:
                for order_id in (trade["buy_order_id"], trade["sell_order_id"]):
                    if order_id in left:
                        side, price, quantity = left[order_id]
                        left[order_id] = (side, price, quantity - trade["quantity"])
        left.pop(event["id"], None)
        if event["kind"] == "PLACED" and event["rested"]:
            left[event["id"]] = (event["side"], event["price"], event["rested"])
        now: dict[str, dict[str, tuple[int, int]]] = {"BUY": {}, "SELL": {}}
        for side, price, quantity in left.values():
            if quantity:
                level = now[side].get(f"{price:.2f}", (0, 0))
                now[side][f"{price:.2f}"] = (level[0] + int(quantity), level[1] + 1)
        books.append(now)
    return books


def levels(found: dict[str, Any]) -> dict[str, dict[str, tuple[int, int]]]:
    return {
        name: {level["price"]: (int(level["quantity"]), level["orderCount"]) for level in found[side]}
        for name, side in (("BUY", "bids"), ("SELL", "asks"))
    }


@pytest.mark.usefixtures("way")
async def test_the_book_of_each_sequence_is_what_orders_and_trades_make_of_it(walk: Walk) -> None:
    books = await naive(walk.api)
    (head,) = await walk.api.sql(
        "SELECT (SELECT sequence FROM books WHERE certificate_type = 'CEA') AS sequence, count(*) AS batched FROM"
        " (SELECT l.txid FROM book_events e JOIN ticket_logs l USING (ticket_id) GROUP BY 1 HAVING count(*) > 1) AS t"
    )
    assert len(books) - 1 == head["sequence"]
    assert head["batched"], "no transaction held several commands"
    for sequence, expected in enumerate(books):
        assert levels(await then(walk.api, "", s=sequence)) == expected, sequence


async def test_the_book_of_a_ticket_is_the_one_that_it_left(walk: Walk) -> None:
    assert len(walk.tickets) > 100
    for ticket, sequence in walk.tickets:
        assert await then(walk.api, t=ticket) == walk.shown[sequence], ticket


async def test_a_ticket_that_did_nothing_to_a_book_shows_the_newest_one_by_then(walk: Walk) -> None:
    ticket, sequence = walk.tickets[40]
    assert (await then(walk.api, certificate="EUA", t=ticket))["sequence"] == 0
    (row,) = await walk.api.sql(
        "SELECT b.ticket_id FROM ticket_logs a JOIN ticket_logs b ON b.txid > a.txid WHERE a.ticket_id = $1"
        " AND NOT EXISTS (SELECT FROM book_events e WHERE e.ticket_id = b.ticket_id)"
        " AND NOT EXISTS (SELECT FROM cash_market_trades t WHERE t.ticket_id = b.ticket_id)"
        " ORDER BY b.txid, b.number LIMIT 1",
        ticket,
    )
    (last,) = await walk.api.sql(
        "SELECT max(e.sequence) AS sequence FROM book_events e JOIN ticket_logs l USING (ticket_id)"
        " WHERE l.txid <= (SELECT txid FROM ticket_logs WHERE ticket_id = $1)", row["ticket_id"],
    )  # fmt: skip
    assert (await then(walk.api, t=row["ticket_id"]))["sequence"] == last["sequence"] >= sequence
    (creation,) = await walk.api.sql("SELECT ticket_id FROM ticket_logs ORDER BY txid, number LIMIT 1")
    assert await then(walk.api, t=creation["ticket_id"]) == walk.shown[0]


async def test_the_book_of_a_time_is_the_newest_one_by_then(walk: Walk) -> None:
    rows = await walk.api.sql(
        "SELECT sequence, created_at FROM book_events WHERE certificate_type = 'CEA' ORDER BY sequence"
    )
    times = {row["created_at"]: row["sequence"] for row in rows}  # of one commit: the last
    for at, sequence in times.items():
        for moment, expected in ((at, sequence), (at - timedelta(microseconds=1), None)):
            found = await then(walk.api, "", at=moment.isoformat())
            earlier = max((one for time, one in times.items() if time <= moment), default=0)
            assert found["sequence"] == (earlier if expected is None else expected)
    assert (await then(walk.api, "", at="2000-01-01T00:00:00Z")) == walk.shown[0]
    assert (await then(walk.api, "", at="2100-01-01T00:00:00Z"))["sequence"] == rows[-1]["sequence"]


async def test_a_book_of_the_past_says_until_when_it_was_the_newest(walk: Walk) -> None:
    (row,) = await walk.api.sql("SELECT created_at FROM book_events WHERE certificate_type = 'CEA' AND sequence = 6")
    found = (await walk.api.ask(THEN, "", c="CEA", s=5))["orderBook"]
    assert datetime.fromisoformat(found["at"]) == row["created_at"]


async def test_what_is_no_moment_is_refused_with_what_to_do(walk: Walk) -> None:
    stranger = walk.traders[0].token
    (own,) = await walk.api.sql(
        "SELECT ticket_id FROM ticket_logs WHERE user_id = $1 AND status = 'SUCCESS' LIMIT 1", UUID(walk.traders[1].id)
    )
    for token, moment, named in (
        ("", {"s": 10**6}, "asOfSequence"),
        ("", {"s": -1}, "asOfSequence"),
        ("", {"s": 1, "at": "2026-01-01T00:00:00Z"}, "asOfTicket"),
        (None, {"t": "TKT-2026-999999"}, "asOfTicket"),
        (None, {"t": "x"}, "asOfTicket"),
        ("", {"t": own["ticket_id"]}, "asOfTicket"),
        (stranger, {"t": own["ticket_id"]}, "asOfTicket"),
    ):
        refused = await walk.api.ask(THEN, token, c="CEA", **moment)
        (error,) = refused.errors
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_REQUEST", named), moment
    assert (await then(walk.api, walk.traders[1].token, t=own["ticket_id"]))["sequence"] >= 0


# ------------------------------------------------------------------------------------------------------------ balances

AS_OF = "query($id: ID!, $t: ID, $at: DateTime) { balancesAsOf(userId: $id, ticketId: $t, at: $at) {"
AS_OF += " asset available locked seq } }"
NESTED = """query($t: ID, $at: DateTime) {
  marketMakers { nodes { id balances(ticketId: $t, at: $at) { asset available locked seq } } }
  users(filter: { role: TRADER }) { nodes { id balances(ticketId: $t, at: $at) { asset available locked seq } } } }"""


async def test_balances_as_of_a_ticket_are_those_that_were_shown_after_it(walk: Walk) -> None:
    assert len(walk.held) >= 8
    for ticket, shown in walk.held:
        answered = await walk.api.ask(NESTED, t=ticket)
        found = {one["id"]: one["balances"] for kind in ("marketMakers", "users") for one in answered[kind]["nodes"]}
        assert found == shown, ticket
        trader = walk.traders[0].id
        assert (await walk.api.ask(AS_OF, id=trader, t=ticket))["balancesAsOf"] == shown[trader]


async def test_balances_as_of_a_ticket_are_right_after_its_own_rows(walk: Walk) -> None:
    rows = await walk.api.sql(
        "SELECT DISTINCT ON (holder_id, asset, ticket_id) holder_id, asset, ticket_id, balance_after, locked_after, seq"
        " FROM asset_transactions WHERE market_maker_id IS NULL ORDER BY holder_id, asset, ticket_id, seq DESC"
    )
    for row in random.Random(3).sample(rows, 60):
        found = (await walk.api.ask(AS_OF, id=str(row["holder_id"]), t=row["ticket_id"]))["balancesAsOf"]
        one = next(balance for balance in found if balance["asset"] == row["asset"])
        figures = (Decimal(one["available"]), Decimal(one["locked"]), one["seq"])
        assert figures == (row["balance_after"], row["locked_after"], row["seq"])


async def test_balances_as_of_a_time_are_the_last_ones_of_which_no_predecessor_is_later(walk: Walk) -> None:
    holder, rng = await walk.api.trader(), random.Random(5)
    (ticket,) = await walk.api.sql("SELECT ticket_id FROM ticket_logs WHERE status = 'SUCCESS' LIMIT 1")
    start, rows = datetime(2026, 2, 1, tzinfo=UTC), []
    for seq in range(1, 201):  # times change places as deposits that waited make them
        at = start + timedelta(seconds=5 * seq + rng.uniform(-4, 4) * (seq % 3))
        rows.append((uuid4(), UUID(holder.id), at, Decimal(seq), seq, ticket["ticket_id"]))
    connection = await asyncpg.connect(walk.api.database_url)
    await connection.executemany(
        "INSERT INTO asset_transactions (id, holder_id, created_at, asset, transaction_type, reason, amount,"
        " available_delta, locked_delta, balance_after, locked_after, seq, ticket_id)"
        " VALUES ($1, $2, $3, 'EUR', 'DEPOSIT', 'DEPOSIT', 1, 1, 0, $4, 0, $5, $6)",
        rows,
    )
    await connection.close()
    times = [row[2] for row in rows]
    assert times != sorted(times)
    for at in [start, *(time + timedelta(microseconds=rng.choice((-1, 0, 1))) for time in rng.sample(times, 60))]:
        seq = next((index for index, time in enumerate(times) if time > at), len(times))
        found = (await walk.api.ask(AS_OF, id=holder.id, at=at.isoformat()))["balancesAsOf"]
        euros = next(one for one in found if one["asset"] == "EUR")
        assert (euros["seq"], euros["available"]) == (seq, f"{seq}.00"), at
        assert [one["asset"] for one in found] == ["CEA", "EUA", "EUR"]


async def test_balances_of_the_past_are_shown_to_whom_those_of_now_are(walk: Walk) -> None:
    api, (own, other, _) = walk.api, walk.traders
    ticket = walk.held[-1][0]
    for asked in ({"at": "2100-01-01T00:00:00Z"}, {"t": ticket}):
        assert len((await api.ask(AS_OF, id=own.id, **asked))["balancesAsOf"]) == 3
    assert len((await api.ask(AS_OF, own.token, id=own.id, at="2100-01-01T00:00:00Z"))["balancesAsOf"]) == 3
    assert (await api.ask(AS_OF, own.token, id=other.id, at="2100-01-01T00:00:00Z"))["balancesAsOf"] == []
    for user in ("x", str(uuid4())):
        assert (await api.ask(AS_OF, id=user, at="2100-01-01T00:00:00Z"))["balancesAsOf"] == []
    for asked in ({}, {"t": ticket, "at": "2100-01-01T00:00:00Z"}, {"t": "TKT-2026-999999"}):
        refused = await api.ask(AS_OF, id=own.id, **asked)
        assert [error["extensions"]["code"] for error in refused.errors] == ["BAD_REQUEST"]
