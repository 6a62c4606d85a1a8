"""Trades, orders and balances as they change: each committed change once, across processes, to those who may see it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from gql.transport.exceptions import TransportQueryError

from api import feeds
from api.context import Services
from api.errors import RequestError
from api.settings import Settings
from db import journal, ledger, orders
from db.orders import OrderFilter, TradeFilter
from db.read import Reader
from domain.money import Asset, CertificateType
from tests.redis_server import RedisServer, free_port
from tests.watching import following, none_within
from tests.world import CANCEL_MARKET_ORDER, CANCEL_ORDER, ORDER, Api, Trader, serving

TRADES = """subscription($type: CertificateType) { trades(certificateType: $type) {
  id certificateType price quantity notional takerSide status buyer { id } seller { id } marketMaker { id }
  ticketId } }"""
ORDERS = f"""subscription($filter: OrderFilter) {{ orders(filter: $filter) {{
  {ORDER} certificateType updatedAt user {{ id }} marketMaker {{ id }} }} }}"""
BALANCES = """subscription($user: ID, $makers: Boolean) { balances(userId: $user, marketMakers: $makers) {
  holderId marketMakerId asset available locked total seq } }"""
CANCEL_ALL = "mutation($id: ID!) { cancelAllMarketOrders(marketMakerId: $id) { errors { code } } }"
PORTS = range(26500, 26600)
BEGIN_S = 0.5  # a stream starts from now, when it has been opened
CEA = CertificateType.CEA


@pytest.fixture
async def reader(api: Api) -> AsyncIterator[Reader]:
    """Read what is stored."""
    opened = Reader.open(api.database_url, role=None, size_max=2)
    yield opened
    await opened.close()


async def take(event: Any, count: int) -> list[Any]:
    """Wait for so many events."""
    return [await event() for _ in range(count)]


def figures(order: dict[str, Any]) -> tuple[str, ...]:
    return order["status"], order["filledQuantity"], order["remainingQuantity"]


async def sequence_of(api: Api, certificate: str = "CEA") -> int:
    (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = $1", certificate)
    sequence: int = row["sequence"]
    return sequence


# -------------------------------------------------------------------------------------------------------------- trades


async def test_a_trade_of_one_process_is_seen_on_the_other_by_each_with_what_he_may_see(api: Api, other: Api) -> None:
    maker, buyer, stranger = await api.maker(CEA="100"), await api.trader(EUR="1000"), await api.trader()
    await api.sell(maker["id"], "20.50", "10")
    tokens = ("", stranger.token, buyer.token, api.admin_token)
    async with (
        other.watching(tokens[0]) as w0, following(w0, TRADES) as nobody,
        other.watching(tokens[1]) as w1, following(w1, TRADES, type="CEA") as third,
        other.watching(tokens[2]) as w2, following(w2, TRADES, type="CEA") as party,
        other.watching(tokens[3]) as w3, following(w3, TRADES) as admin,
        other.watching("") as w4, following(w4, TRADES, type="EUA") as elsewhere,
    ):  # fmt: skip
        await asyncio.sleep(BEGIN_S)
        made = (await api.order(buyer, "BUY", "21.00", "4"))["trades"][0]
        hidden = {"buyer": None, "seller": None, "marketMaker": None, "ticketId": None}
        public = {
            "id": made["id"], "certificateType": "CEA", "price": "20.50", "quantity": "4", "notional": "82.00",
            "takerSide": "BUY", "status": "EXECUTED",
        }  # fmt: skip
        assert await nobody() == {**public, **hidden}
        assert await third() == {**public, **hidden}
        assert await party() == {**public, **hidden, "buyer": {"id": buyer.id}, "ticketId": made["ticketId"]}
        assert await admin() == {
            **public, "buyer": {"id": buyer.id}, "seller": {"id": maker["user"]["id"]},
            "marketMaker": {"id": maker["id"]}, "ticketId": made["ticketId"],
        }  # fmt: skip
        assert await none_within(elsewhere, 1.2)
    await api.clear()


async def test_trades_are_watched_by_the_filter_of_their_list(api: Api) -> None:
    maker, buyer, stranger = await api.maker(CEA="100"), await api.trader(EUR="1000"), await api.trader()
    document = "subscription($f: TradeFilter) { trades(filter: $f) { quantity } }"
    await api.sell(maker["id"], "20.50", "20")
    large = {"or": [{"quantityMin": "5"}, {"priceMax": "1"}], "not": {"takerSide": "SELL"}}
    deep: dict[str, Any] = {"not": {"not": {"not": {"not": {}}}}}
    async with (
        api.watching("") as w0, following(w0, document, f=large) as anybody,
        api.watching(buyer.token) as w1, following(w1, document, f={"userId": buyer.id}) as own,
        api.watching(stranger.token) as w2, following(w2, document, f={"userId": buyer.id}) as others,
        api.watching("") as w3, following(w3, document, f={"not": {"hasMarketMaker": False}}) as parties,
        api.watching("") as w4, following(w4, document, f=deep) as refused,
    ):  # fmt: skip
        with pytest.raises(TransportQueryError, match="at most 4 levels"):
            await refused()
        await asyncio.sleep(BEGIN_S)
        for quantity in ("4", "5", "6"):
            await api.order(buyer, "BUY", "21.00", quantity)
        assert [one["quantity"] for one in await take(anybody, 2)] == ["5", "6"]
        assert [one["quantity"] for one in await take(own, 3)] == ["4", "5", "6"]
        for event in (anybody, own, others, parties):
            assert await none_within(event, 0.3)
    await api.clear()


# -------------------------------------------------------------------------------------------------------------- orders


async def test_an_order_is_shown_after_each_command_that_changed_it_exactly_as_it_stood(api: Api, other: Api) -> None:
    """Five buys at once may share one commit: each is a change of the order that rests all the same."""
    maker, buyer = await api.maker(CEA="100"), await api.trader(EUR="1000")
    async with (
        other.watching() as w0, following(w0, ORDERS) as everything,
        other.watching() as w1, following(w1, ORDERS, filter={"marketMakerId": maker["id"]}) as makers,
        other.watching(buyer.token) as w2, following(w2, ORDERS) as own,
    ):  # fmt: skip
        await asyncio.sleep(BEGIN_S)
        resting = (await api.sell(maker["id"], "20.00", "10"))["order"]
        await asyncio.gather(*(api.order(buyer, "BUY", "20.00", "1") for _ in range(5)))
        rest = (await other.order(buyer, "BUY", "20.00", "9"))["order"]
        await api.ask(CANCEL_ORDER, buyer.token, id=rest["id"])
        seen = await take(makers, 7)
        assert {order["id"] for order in seen} == {resting["id"]}
        assert [figures(order) for order in seen] == [
            ("OPEN", "0", "10"),
            *(("PARTIALLY_FILLED", str(n), str(10 - n)) for n in range(1, 6)),
            ("FILLED", "10", "0"),
        ]
        assert {order["marketMaker"]["id"] for order in seen} == {maker["id"]}
        mine = await take(own, 7)
        assert [figures(order) for order in mine] == [
            *[("FILLED", "1", "0")] * 5, ("PARTIALLY_FILLED", "5", "4"), ("CANCELLED", "5", "4"),
        ]  # fmt: skip
        assert {order["user"]["id"] for order in mine} == {buyer.id}
        assert [order["cancelReason"] for order in mine[-2:]] == [None, "REQUESTED"]
        assert mine[-1]["averagePrice"] == "20.0000"
        assert len({order["updatedAt"] for order in mine[-2:]}) == 2
        whole = await take(everything, 14)
        assert Counter(order["id"] for order in whole) == Counter(order["id"] for order in (*seen, *mine))
        for event in (everything, makers, own):
            assert await none_within(event, 0.3)


async def test_a_filter_of_the_stream_means_what_it_means_in_the_list(api: Api) -> None:
    maker, trader = await api.maker(CEA="10", EUA="10"), await api.trader(CEA="10")
    wanted = {"statuses": ["CANCELLED"], "certificateType": "CEA", "hasMarketMaker": True}
    async with (
        api.watching() as w0, following(w0, ORDERS, filter=wanted) as event,
        api.watching(trader.token) as w1, following(w1, ORDERS, filter={"marketMakerId": maker["id"]}) as nothing,
        api.watching(trader.token) as w2, following(w2, ORDERS, filter={"userId": maker["user"]["id"]}) as neither,
        api.watching() as w3, following(w3, ORDERS, filter={"userId": "nobody"}) as none,
    ):  # fmt: skip
        await asyncio.sleep(BEGIN_S)
        await api.sell(maker["id"], "50.00", "1", "EUA")
        order = (await api.sell(maker["id"], "50.00", "1"))["order"]
        other = (await api.order(trader, "SELL", "50.00", "1"))["order"]
        await api.ask(CANCEL_ORDER, trader.token, id=other["id"])
        await api.ask(CANCEL_ALL, id=maker["id"])
        seen = await event()
        assert (seen["id"], seen["cancelReason"]) == (order["id"], "REQUESTED")
        for silent in (event, nothing, neither, none):
            assert await none_within(silent, 0.3)


# --------------------------------------------------------------------------------------------------------------- burst


async def trade_at_random(
    desks: Sequence[Api], maker: dict[str, Any], traders: Sequence[Trader], count: int, seed: int
) -> None:
    """Send commands from several processes, many at once."""
    rng = random.Random(seed)
    mine: list[tuple[Trader | None, str]] = []

    async def command() -> None:
        desk, price, quantity = rng.choice(desks), f"30.{rng.randrange(10):02}", str(rng.randint(1, 9))
        if mine and rng.random() < 0.2:
            trader, order_id = mine.pop(rng.randrange(len(mine)))
            if trader is None:
                await desk.ask(CANCEL_MARKET_ORDER, id=order_id)
            else:
                await desk.ask(CANCEL_ORDER, trader.token, id=order_id)
            return
        trader = rng.choice([None, *traders])
        side = rng.choice(["BUY", "SELL"])
        placed = (
            await desk.sell(maker["id"], price, quantity) if trader is None
            else await desk.order(trader, side, price, quantity)
        )  # fmt: skip
        if placed["order"]:
            mine.append((trader, placed["order"]["id"]))

    for start in range(0, count, 50):
        await asyncio.gather(*(command() for _ in range(start, min(start + 50, count))))


async def trades_since(api: Api, sequence: int) -> list[str]:
    rows = await api.sql(
        "SELECT id::text FROM cash_market_trades WHERE certificate_type = 'CEA' AND sequence > $1"
        " ORDER BY sequence, position", sequence,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def test_in_a_burst_of_two_processes_each_change_comes_once_and_in_order(api: Api, other: Api) -> None:
    maker = await api.maker(CEA="5000")
    traders = [await api.trader(EUR="100000", CEA="1000") for _ in range(3)]
    begun = await sequence_of(api)
    async with (
        api.watching("") as w0, following(w0, TRADES, type="CEA") as trades_here,
        other.watching("") as w1, following(w1, TRADES) as trades_there,
        api.watching() as w2, following(w2, ORDERS, filter={"certificateType": "CEA"}) as orders_here,
        other.watching() as w3, following(w3, ORDERS) as orders_there,
        other.watching() as w4, following(w4, BALANCES, makers=True) as balances,
    ):  # fmt: skip
        await asyncio.sleep(BEGIN_S)
        await trade_at_random([api, other], maker, traders, 300, seed=5)
        ended = await sequence_of(api)
        made = await trades_since(api, begun)
        assert ended - begun > 200 and len(made) > 50
        for event in (trades_here, trades_there):
            assert [trade["id"] for trade in await take(event, len(made))] == made
            assert await none_within(event, 0.3)
        # Each event of the journal changes its own order, and each of its trades the one that it met.
        count = ended - begun + len(made)
        here = await take(orders_here, count)
        assert await take(orders_there, count) == here
        for event in (orders_here, orders_there):
            assert await none_within(event, 0.3)
        changes = Counter((order["id"], figures(order)) for order in here)
        assert max(changes.values()) == 1
        last = {order["id"]: figures(order) for order in here}
        rows = await api.sql(
            "SELECT id::text, status, filled_quantity::text AS filled, (quantity - filled_quantity)::text AS remaining"
            " FROM orders WHERE id = ANY($1::uuid[])", list(last),
        )  # fmt: skip
        assert last == {row["id"]: (row["status"], row["filled"], row["remaining"]) for row in rows}
        await assert_balances_came(api, balances, maker)
    await api.clear()


async def assert_balances_came(api: Api, event: Any, maker: dict[str, Any]) -> None:
    """Take the balances of all makers until the newest of one; its commits are all there, in order."""
    rows = await api.sql("SELECT asset, available, locked, seq FROM balances WHERE holder_id = $1", maker["user"]["id"])
    newest = {row["asset"]: row["seq"] for row in rows}
    commits = await api.sql(
        "SELECT asset, max(seq) AS seq FROM asset_transactions t JOIN ticket_logs USING (ticket_id)"
        " WHERE holder_id = $1 GROUP BY asset, txid ORDER BY 2", maker["user"]["id"],
    )  # fmt: skip
    seen: dict[str, list[dict[str, Any]]] = {"CEA": [], "EUR": []}
    while any((one[-1]["seq"] if one else 0) < newest[asset] for asset, one in seen.items()):
        balance = await event()
        assert balance["marketMakerId"]
        if balance["holderId"] == maker["user"]["id"] and balance["seq"]:
            seen[balance["asset"]].append(balance)
    for asset, balances in seen.items():
        assert [one["seq"] for one in balances] == [row["seq"] for row in commits if row["asset"] == asset]
        (row,) = [row for row in rows if row["asset"] == asset]
        last = balances[-1]
        assert (Decimal(last["available"]), Decimal(last["locked"])) == (row["available"], row["locked"])


async def test_the_journal_is_read_the_same_in_any_pages_and_ends_as_the_orders_stand(reader: Reader) -> None:
    whole = await journal.entries_after(reader, CEA, 0, 10_000)
    assert len(whole) > 200
    paged: list[journal.Entry] = []
    while page := await journal.entries_after(reader, CEA, paged[-1].sequence if paged else 0, 7):
        paged += page
    assert paged == whole
    last = {order.id: order for entry in whole for order in entry.orders}
    assert await orders.orders_by_id(reader, last) == last


async def test_balances_are_read_the_same_in_any_pages_one_for_each_commit(api: Api, reader: Reader) -> None:
    rows = await api.sql("SELECT holder_id, asset FROM balances WHERE seq > 20")
    begun = dict.fromkeys([(row["holder_id"], Asset(row["asset"])) for row in rows], 0)
    assert begun
    whole = await ledger.balances_after(reader, begun, 100_000)
    paged, places = [], dict(begun)
    while page := await ledger.balances_after(reader, places, 3):
        paged += page
        places.update({(one.holder_id, one.asset): one.seq for one in page})
    assert paged == whole
    for holder_id, asset in begun:
        mine = [one.seq for one in whole if (one.holder_id, one.asset) == (holder_id, asset)]
        assert mine == sorted(set(mine))
    last = {(one.holder_id, one.asset): one for one in whole}
    now = await ledger.balances_of(reader, {holder_id for holder_id, _ in begun})
    assert last == {key: one for mine in now.values() for one in mine if (key := (one.holder_id, one.asset)) in begun}


# ------------------------------------------------------------------------------------------------------------ balances


async def test_balances_come_at_once_and_then_as_each_commit_left_them(api: Api, other: Api) -> None:
    maker, buyer = await api.maker(CEA="100"), await api.trader(EUR="1000")
    asked: dict[str, Any] = {"user": maker["user"]["id"]}
    async with (
        other.watching(buyer.token) as w0, following(w0, BALANCES) as own,
        other.watching() as w1, following(w1, BALANCES, **asked) as makers,
    ):  # fmt: skip
        now = {one["asset"]: one for one in await take(own, 3)}
        assert now["EUR"] == {
            "holderId": buyer.id, "marketMakerId": None, "asset": "EUR", "available": "1000.00", "locked": "0.00",
            "total": "1000.00", "seq": 1,
        }  # fmt: skip
        assert [(now[asset]["total"], now[asset]["seq"]) for asset in ("CEA", "EUA")] == [("0", 0), ("0", 0)]
        assert {one["marketMakerId"] for one in await take(makers, 3)} == {maker["id"]}
        await api.sell(maker["id"], "25.50", "40")
        one = await makers()
        assert (one["asset"], one["available"], one["locked"], one["seq"]) == ("CEA", "60", "40", 2)
        await api.order(buyer, "BUY", "26.00", "10")  # locks 260, pays 255, gets 5 back: one commit, one event an asset
        seen = {one["asset"]: one for one in await take(own, 2)}
        assert (seen["EUR"]["available"], seen["EUR"]["locked"], seen["EUR"]["seq"]) == ("745.00", "0.00", 4)
        assert (seen["CEA"]["available"], seen["CEA"]["locked"], seen["CEA"]["seq"]) == ("10", "0", 1)
        seen = {one["asset"]: one for one in await take(makers, 2)}
        assert (seen["CEA"]["available"], seen["CEA"]["locked"], seen["CEA"]["seq"]) == ("60", "30", 3)
        assert (seen["EUR"]["available"], seen["EUR"]["seq"]) == ("255.00", 1)
        await other.transact({"userId": buyer.id}, "EUR", "WITHDRAWAL", "45.00")
        one = await own()
        assert (one["asset"], one["available"], one["seq"]) == ("EUR", "700.00", 5)
        refused = await api.transact({"userId": buyer.id}, "EUR", "WITHDRAWAL", "999.00")
        assert refused["errors"][0]["code"] == "INSUFFICIENT_BALANCE"
        await api.ask(CANCEL_ALL, id=maker["id"])
        one = await makers()
        assert (one["asset"], one["available"], one["locked"]) == ("CEA", "90", "0")
        for event in (own, makers):
            assert await none_within(event, 0.3)


async def test_all_market_makers_are_watched_also_those_still_to_come(api: Api, other: Api) -> None:
    first, trader = await api.maker(CEA="7"), await api.trader(EUR="5")
    (count,) = await api.sql("SELECT count(*) AS makers FROM market_maker_clients")
    async with other.watching() as session, following(session, BALANCES, makers=True) as event:
        now = await take(event, 3 * count["makers"])
        (mine,) = [one for one in now if (one["marketMakerId"], one["asset"]) == (first["id"], "CEA")]
        assert (mine["available"], mine["seq"]) == ("7", 1)
        await api.transact({"userId": trader.id}, "EUR", "DEPOSIT", "5")
        second = await api.maker(EUA="9")
        one = await event()
        assert (one["marketMakerId"], one["holderId"]) == (second["id"], second["user"]["id"])
        assert (one["asset"], one["available"], one["seq"]) == ("EUA", "9", 1)
        await api.transact({"marketMakerId": first["id"]}, "CEA", "DEPOSIT", "3")
        one = await event()
        assert (one["marketMakerId"], one["available"], one["seq"]) == (first["id"], "10", 2)


async def test_watchers_of_one_holder_come_and_go_and_each_sees_everything(api: Api) -> None:
    """The process reads an account once for all who want it, and begins again where a newcomer begins."""
    maker = await api.maker(EUR="1")
    holder = {"user": maker["user"]["id"]}

    async def euros(event: Any) -> tuple[str, int]:
        while (one := await event())["asset"] != "EUR" or one["holderId"] != maker["user"]["id"]:
            pass
        return one["available"], one["seq"]

    async def deposit() -> None:
        await api.transact({"marketMakerId": maker["id"]}, "EUR", "DEPOSIT", "1")

    async with api.watching() as session:
        async with following(session, BALANCES, **holder) as first, following(session, BALANCES, makers=True) as makers:
            assert await euros(first) == ("1.00", 1) == await euros(makers)
            await deposit()
            async with following(session, BALANCES, **holder) as second:
                assert await euros(second) == ("2.00", 2) == await euros(first)
                await deposit()
                assert await euros(second) == ("3.00", 3) == await euros(first)
            await deposit()
            assert await euros(first) == ("4.00", 4)
        await deposit()
        async with following(session, BALANCES, **holder) as third:
            assert await euros(third) == ("5.00", 5)
            await deposit()
            assert await euros(third) == ("6.00", 6)
            assert await none_within(third, 0.3)


async def test_who_joins_late_takes_nothing_from_those_who_were_there(
    api: Api, desk_world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new market maker is known to one watcher before the reader came to it: the other must still hear of it."""
    seqs, may_read = ledger.seqs, asyncio.Event()
    may_read.set()

    async def seqs_when_allowed(*arguments: Any, **options: Any) -> Any:
        await may_read.wait()
        return await seqs(*arguments, **options)

    monkeypatch.setattr(ledger, "seqs", seqs_when_allowed)
    (count,) = await api.sql("SELECT count(*) AS makers FROM market_maker_clients")
    async with aclosing(desk_world.holdings.balances(None)) as makers:
        for _ in range(3 * count["makers"]):
            await anext(makers)
        may_read.clear()
        await asyncio.sleep(feeds.POLL_S)
        maker = await api.maker(EUR="8")
        async with aclosing(desk_world.holdings.balances(UUID(maker["user"]["id"]))) as single:
            assert {(await anext(single)).seq for _ in Asset} == {0, 1}
            may_read.set()
            async with asyncio.timeout(5):
                seen = await anext(makers)
            assert (str(seen.market_maker_id), seen.asset, seen.available, seen.seq) == (
                maker["id"],
                Asset.EUR,
                Decimal(8),
                1,
            )


@pytest.mark.parametrize(
    ("document", "variables", "who", "code"),
    [
        (ORDERS, {}, "nobody", "UNAUTHENTICATED"),
        (BALANCES, {}, "nobody", "UNAUTHENTICATED"),
        (BALANCES, {"makers": True}, "trader", "FORBIDDEN"),
        (BALANCES, {"user": "another"}, "trader", "FORBIDDEN"),
        (BALANCES, {"user": "another"}, "admin", "BAD_REQUEST"),
        (BALANCES, {"user": "00000000-0000-4000-8000-000000000000"}, "admin", "BAD_REQUEST"),
        (BALANCES, {"user": "another", "makers": True}, "admin", "BAD_REQUEST"),
    ],
)
async def test_what_one_may_not_watch_is_refused(
    api: Api, document: str, variables: dict[str, Any], who: str, code: str
) -> None:
    token = (await api.trader()).token if who == "trader" else "" if who == "nobody" else None
    async with api.watching(token) as session, following(session, document, **variables) as event:
        with pytest.raises(TransportQueryError) as refused:
            await event()
        assert refused.value.errors is not None
        assert refused.value.errors[0]["extensions"]["code"] == code


async def test_a_trader_watches_himself_by_name_too(api: Api) -> None:
    trader = await api.trader(EUR="3")
    async with api.watching(trader.token) as session, following(session, BALANCES, user=trader.id) as event:
        assert {one["total"] for one in await take(event, 3)} == {"0", "3.00"}


# ----------------------------------------------------------------------------------------------------------- in trouble


async def test_a_watcher_who_does_not_keep_up_is_ended_with_an_error(
    api: Api, desk_world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "QUEUE_MAX", 3)
    maker = await api.maker(CEA="100")
    async with aclosing(desk_world.journal.orders(OrderFilter())) as slow, api.watching() as session:
        first = asyncio.create_task(anext(slow))
        async with following(session, ORDERS) as fast:
            await asyncio.sleep(BEGIN_S)
            placed = []
            for _ in range(6):
                placed.append((await api.sell(maker["id"], "60.00", "1"))["order"]["id"])
                assert (await fast())["id"] == placed[-1]
        assert str((await first).id) == placed[0]
        await asyncio.sleep(2 * feeds.POLL_S)
        with pytest.raises(RequestError) as ended:
            await anext(slow)
        assert ended.value.extensions == {"code": "RATE_LIMITED", "reason": "LAGGED"}
        assert "Subscribe again" in ended.value.message
    await api.ask(CANCEL_ALL, id=maker["id"])


async def test_nobody_watching_means_nobody_reading(desk_world: Services) -> None:
    feed: Any
    for feed, stream in (
        (desk_world.journal, desk_world.journal.trades(TradeFilter())),
        (desk_world.holdings, desk_world.holdings.balances(None)),
    ):
        waiting = asyncio.create_task(_drain(stream))
        await asyncio.sleep(BEGIN_S)
        assert feed._task is not None
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert feed._task is None and not feed._watchers
    assert desk_world.holdings._shown == {}


async def _drain(stream: Any) -> None:
    async with aclosing(stream):
        async for _ in stream:
            pass


async def test_a_reader_that_fails_ends_its_watchers_with_a_fault_and_begins_again(
    api: Api, desk_world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader = await api.trader(EUR="3")
    read = ledger.balances_after

    async def fail(*_: Any) -> list[Any]:
        raise ValueError("a row that cannot be read")

    monkeypatch.setattr(ledger, "balances_after", fail)
    async with api.watching(trader.token) as session, following(session, BALANCES) as event:
        await take(event, 3)
        await api.transact({"userId": trader.id}, "EUR", "DEPOSIT", "1")
        with pytest.raises(TransportQueryError) as ended:
            await event()
        assert ended.value.errors is not None
        assert ended.value.errors[0]["extensions"]["code"] == "INTERNAL"
        monkeypatch.setattr(ledger, "balances_after", read)
    async with api.watching(trader.token) as session, following(session, BALANCES) as event:
        await take(event, 3)
        await api.transact({"userId": trader.id}, "EUR", "DEPOSIT", "1")
        assert (await event())["available"] == "5.00"


async def test_nothing_is_lost_or_repeated_while_redis_is_away_and_after_it_came_back(
    api: Api, settings: Settings, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path, free_port(PORTS))
    redis.start()
    try:
        alone = settings.model_copy(update={"redis_url": redis.url})
        async with serving(alone) as first, serving(alone) as second:
            first.admin_token = second.admin_token = api.admin_token
            maker, buyer = await first.maker(CEA="100"), await first.trader(EUR="1000")
            asked = {"user": maker["user"]["id"]}
            async with (
                second.watching() as w0, following(w0, TRADES) as trades,
                second.watching() as w1, following(w1, ORDERS, filter={"marketMakerId": maker["id"]}) as seen,
                second.watching() as w2, following(w2, BALANCES, **asked) as balances,
            ):  # fmt: skip
                await take(balances, 3)
                made, placed = [], []
                for redis_is in ("here", "away", "away", "back", "back"):
                    if redis_is == "away":
                        redis.kill()
                    elif redis_is == "back" and redis._process is None:
                        redis.start()
                    placed.append((await first.sell(maker["id"], "20.00", "2"))["order"]["id"])
                    bought = await first.order(buyer, "BUY", "20.00", "2")
                    made.append(bought["trades"][0]["id"])
                assert [trade["id"] for trade in await take(trades, 5)] == made
                changes = await take(seen, 10)
                assert [(order["id"], order["status"]) for order in changes] == [
                    (order_id, status) for order_id in placed for status in ("OPEN", "FILLED")
                ]
                last = {one["asset"]: one for one in await take(balances, 15)}
                assert (last["CEA"]["available"], last["CEA"]["locked"], last["CEA"]["seq"]) == ("90", "0", 11)
                assert (last["EUR"]["available"], last["EUR"]["seq"]) == ("200.00", 5)
                for event in (trades, seen, balances):
                    assert await none_within(event, 1.2)
    finally:
        redis.kill()
