"""Lists: keyset pages in both directions, exact counts, filters that mean what they say, cursors nobody can forge."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text

import db.finding
import db.tickets
from tests.world import CANCEL_MARKET_ORDER, PASSWORD, Api, Trader

PAGE = "edges { cursor node { id } } nodes { id } totalCount totalCountIsExact pageInfo {"
PAGE += " hasNextPage hasPreviousPage startCursor endCursor }"
ARGUMENTS = "first: $first, after: $after, last: $last, before: $before"
VARIABLES = "$first: Int, $after: String, $last: Int, $before: String"
ORDERS = f"query({VARIABLES}, $filter: OrderFilter) {{ orders({ARGUMENTS}, filter: $filter) {{ {PAGE} }} }}"
TRADES = f"query({VARIABLES}, $filter: TradeFilter) {{ trades({ARGUMENTS}, filter: $filter) {{ {PAGE} }} }}"
TICKETS = f"query({VARIABLES}, $filter: TicketFilter) {{ tickets({ARGUMENTS}, filter: $filter) {{ {PAGE} }} }}"
LISTS = {
    "orders": ORDERS,
    "trades": TRADES,
    "tickets": TICKETS,
    "marketMakers": f"query({VARIABLES}) {{ marketMakers({ARGUMENTS}) {{ {PAGE} }} }}",
    "users": f"query({VARIABLES}) {{ users({ARGUMENTS}) {{ {PAGE} }} }}",
    "deposits": f"query({VARIABLES}) {{ deposits({ARGUMENTS}) {{ {PAGE} }} }}",
}


@dataclass
class World:
    """Two makers, two traders, seven orders, three trades: all lists in the order newest first."""

    api: Api
    makers: list[dict[str, Any]] = field(default_factory=list)
    traders: list[Trader] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    trades: list[str] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)  # tickets
    traded: list[str] = field(default_factory=list)

    def keep(self, payload: dict[str, Any]) -> None:
        assert payload["errors"] == []
        self.orders.insert(0, payload["order"]["id"])
        self.placed.insert(0, payload["ticketId"])
        for trade in payload["trades"]:
            self.trades.insert(0, trade["id"])
            self.traded.insert(0, trade["ticketId"])


@pytest.fixture(scope="module")
async def world(api: Api) -> World:
    one = World(api)
    one.makers = [await api.maker(f"MM-{name}", CEA="100", EUA="100") for name in ("Page-A", "Page-B")]
    one.traders = [await api.trader(EUR="10000") for _ in range(2)]
    first, second = one.makers
    one.keep(await api.sell(first["id"], "25.00", "10"))
    one.keep(await api.sell(second["id"], "26.00", "10"))
    one.keep(await api.sell(second["id"], "70.00", "10", "EUA"))
    one.keep(await api.order(one.traders[0], "BUY", "25.00", "4"))  # trade 1: first maker, partly
    one.keep(await api.order(one.traders[1], "BUY", "70.00", "10", "EUA"))  # trade 2: second maker, full
    one.keep(await api.order(one.traders[1], "BUY", "25.00", "6"))  # trade 3: first maker, full
    one.keep(await api.sell(first["id"], "99.00", "1"))
    cancelled = (await api.ask(CANCEL_MARKET_ORDER, id=one.orders[0]))["cancelMarketOrder"]
    assert cancelled["errors"] == []
    for trader in one.traders:
        await api.ask(
            "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { ticketId } }",
            trader.token,
            i={"amount": "5", "reference": "R"},
        )
    return one


async def ids(world: World, name: str, **filter: Any) -> list[str]:
    """Return the ids of a filtered list; assert that its count agrees."""
    page = (await world.api.ask(LISTS[name], filter=filter, first=100))[name]
    assert (page["totalCount"], page["totalCountIsExact"]) == (len(page["nodes"]), True)
    assert [edge["node"] for edge in page["edges"]] == page["nodes"]
    return [node["id"] for node in page["nodes"]]


# ---------------------------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("name", LISTS)
async def test_pages_forward_and_backward_hold_every_item_once(world: World, name: str) -> None:
    api, document = world.api, LISTS[name]
    whole = (await api.ask(document, first=100))[name]
    everything = [node["id"] for node in whole["nodes"]]
    assert len(everything) == len(set(everything)) >= 2
    assert (whole["pageInfo"]["hasNextPage"], whole["pageInfo"]["hasPreviousPage"]) == (False, False)
    forward: list[str] = []
    page = (await api.ask(document, first=2))[name]
    while True:
        forward += [node["id"] for node in page["nodes"]]
        info = page["pageInfo"]
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        assert info["hasPreviousPage"] is (len(forward) > len(page["nodes"]))
        assert page["totalCount"] == len(everything)
        if not info["hasNextPage"]:
            break
        page = (await api.ask(document, first=2, after=info["endCursor"]))[name]
    assert forward == everything
    backward: list[str] = []
    page = (await api.ask(document, last=2))[name]
    while True:
        backward = [node["id"] for node in page["nodes"]] + backward
        info = page["pageInfo"]
        assert info["hasNextPage"] is (len(backward) > len(page["nodes"]))
        if not info["hasPreviousPage"]:
            break
        page = (await api.ask(document, last=2, before=info["startCursor"]))[name]
    assert backward == everything


async def test_a_page_may_lie_between_two_cursors(world: World) -> None:
    whole = (await world.api.ask(ORDERS, first=100))["orders"]["edges"]
    between = await world.api.ask(ORDERS, after=whole[1]["cursor"], before=whole[4]["cursor"])
    assert [edge["node"] for edge in between["orders"]["edges"]] == [edge["node"] for edge in whole[2:4]]


async def test_a_page_does_not_shift_when_something_newer_comes(world: World) -> None:
    page = (await world.api.ask(TICKETS, first=3))["tickets"]
    await world.api.ask(CANCEL_MARKET_ORDER, id="x")
    rest = (await world.api.ask(TICKETS, first=1, after=page["pageInfo"]["endCursor"]))["tickets"]
    again = (await world.api.ask(TICKETS, first=5))["tickets"]
    assert again["nodes"][4] == rest["nodes"][0]
    assert [node["id"] for node in again["nodes"][1:4]] == [node["id"] for node in page["nodes"]]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [{"first": -1}, {"first": 101}, {"last": -1}, {"last": 101}, {"first": 1, "last": 1}])
async def test_a_page_has_0_to_100_items(world: World, name: str, size: dict[str, Any]) -> None:
    answered = await world.api.ask(LISTS[name], **size)
    (error,) = answered.errors
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["extensions"]["field"] == list(size)[-1]
    assert error["message"] in (
        "first must be from 0 to 100.", "last must be from 0 to 100.", "Give first or last, not both."
    )  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
async def test_an_empty_page_still_counts(world: World, name: str) -> None:
    page = (await world.api.ask(LISTS[name], first=0))[name]
    assert (page["edges"], page["nodes"]) == ([], [])
    assert page["totalCount"] >= 2
    assert page["pageInfo"] == {
        "hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None
    }  # fmt: skip


def cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


NAME_AND_ID = cursor(["2026-01-01", "11111111-2222-4333-8444-555555555555"])
FORGED = ["", "x", "!!!!", "é", "TKT-2026-000001", cursor([]), cursor([1]), cursor([1, 2, 3]), cursor({}), cursor(None),
          cursor(["a", "b"]), cursor([2**70, 1]), cursor([True, True]), cursor([-1, -1]), cursor([1.5, 2]),
          cursor(["2026-01-01T00:00:00", "x"]), NAME_AND_ID,
          cursor(["9999999-01-01T00:00:00Z", "x"]), cursor(["a\x00b", "a\x00b"]), cursor([None, None]),
          base64.urlsafe_b64encode(b"[" * 50_000).decode(), base64.urlsafe_b64encode(b"\xff\xfe").decode(),
          cursor("7" * 5_000)]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("argument", ["after", "before"])
async def test_a_forged_cursor_is_a_bad_request(world: World, name: str, argument: str) -> None:
    for forged in FORGED:
        if name == "marketMakers" and forged == NAME_AND_ID:
            continue  # a place in this list, whoever wrote it
        answered = await world.api.ask(LISTS[name], **{argument: forged})
        (error,) = answered.errors
        assert error["extensions"]["code"] == "BAD_REQUEST", forged[:80]
        assert error["extensions"].get("field", argument) == argument
        assert "cursor" in error["message"], forged[:80]


async def test_a_cursor_of_another_list_is_a_bad_request(world: World) -> None:
    of_tickets = (await world.api.ask(TICKETS, first=1))["tickets"]["pageInfo"]["endCursor"]
    of_makers = (await world.api.ask(LISTS["marketMakers"], first=1))["marketMakers"]["pageInfo"]["endCursor"]
    for name, foreign in (("orders", of_tickets), ("tickets", of_makers), ("marketMakers", of_tickets)):
        answered = await world.api.ask(LISTS[name], after=foreign)
        assert [error["extensions"]["code"] for error in answered.errors] == ["BAD_REQUEST"], name


# -------------------------------------------------------------------------------------------------------------- filters


async def test_orders_are_filtered(world: World) -> None:
    last, third, eua, first_bid, sell_eua, sell_b, sell_a = world.orders
    first, second = world.makers
    assert await ids(world, "orders") == world.orders
    assert await ids(world, "orders", marketMakerId=first["id"]) == [last, sell_a]
    assert await ids(world, "orders", hasMarketMaker=True) == [last, sell_eua, sell_b, sell_a]
    assert await ids(world, "orders", hasMarketMaker=False) == [third, eua, first_bid]
    assert await ids(world, "orders", userId=world.traders[1].id) == [third, eua]
    assert await ids(world, "orders", userId=second["user"]["id"]) == [sell_eua, sell_b]
    assert await ids(world, "orders", certificateType="EUA") == [eua, sell_eua]
    assert await ids(world, "orders", side="BUY", certificateType="CEA") == [third, first_bid]
    assert await ids(world, "orders", statuses=["OPEN"]) == [sell_b]
    assert await ids(world, "orders", statuses=["CANCELLED", "OPEN"]) == [last, sell_b]
    assert await ids(world, "orders", statuses=[]) == []
    assert await ids(world, "orders", marketMakerId=first["id"], userId=second["user"]["id"]) == []


async def test_a_window_is_half_open(world: World) -> None:
    created = {
        str(row["id"]): row["created_at"].isoformat()
        for row in await world.api.sql("SELECT id, created_at FROM orders")
    }
    middle = created[world.orders[3]]
    assert await ids(world, "orders", createdFrom=middle) == world.orders[:4]
    assert await ids(world, "orders", createdTo=middle) == world.orders[4:]
    assert await ids(world, "orders", createdFrom=middle, createdTo=middle) == []


async def test_trades_are_filtered(world: World) -> None:
    third, second, first = world.trades
    assert await ids(world, "trades") == [third, second, first]
    assert await ids(world, "trades", certificateType="CEA") == [third, first]
    assert await ids(world, "trades", marketMakerId=world.makers[1]["id"]) == [second]
    assert await ids(world, "trades", userId=world.traders[1].id) == [third, second]
    assert await ids(world, "trades", userId=world.makers[0]["user"]["id"]) == [third, first]  # as seller
    assert await ids(world, "trades", status="EXECUTED") == [third, second, first]
    assert await ids(world, "trades", status="SETTLED") == []
    assert await ids(world, "trades", dateTo="2020-01-01T00:00:00Z") == []


async def test_transactions_are_filtered(world: World) -> None:
    document = """query($id: ID!, $filter: TransactionFilter, $first: Int, $after: String) { marketMaker(id: $id) {
      transactions(filter: $filter, first: $first, after: $after) { nodes { asset reason amount } totalCount
      pageInfo { hasNextPage endCursor } } } }"""

    async def rows(**filter: Any) -> list[str]:
        page = (await world.api.ask(document, id=world.makers[0]["id"], filter=filter))["marketMaker"]["transactions"]
        assert page["totalCount"] == len(page["nodes"])
        return [f"{node['asset']} {node['reason']} {node['amount']}" for node in page["nodes"]]

    assert await rows(asset="EUR") == ["EUR SETTLE_IN 150.00", "EUR SETTLE_IN 100.00"]
    assert await rows(transactionTypes=["TRADE_DEBIT"]) == ["CEA LOCK -1", "CEA LOCK -10"]
    assert await rows(asset="CEA", transactionTypes=["TRADE_CREDIT", "DEPOSIT"]) == [
        "CEA RELEASE 1", "CEA SETTLE_OUT 6", "CEA SETTLE_OUT 4", "CEA DEPOSIT 100"
    ]  # fmt: skip
    assert await rows(dateFrom="2999-01-01T00:00:00Z") == []
    seen: list[str] = []
    after = None
    while True:
        page = (await world.api.ask(document, id=world.makers[0]["id"], first=3, after=after))["marketMaker"]
        seen += [f"{node['asset']} {node['reason']} {node['amount']}" for node in page["transactions"]["nodes"]]
        if not page["transactions"]["pageInfo"]["hasNextPage"]:
            break
        after = page["transactions"]["pageInfo"]["endCursor"]
    assert seen == await rows()


async def test_tickets_are_filtered_by_what_they_say(world: World) -> None:
    placed, traded = world.placed, world.traded
    _, second = world.makers
    assert await ids(world, "tickets", actionTypes=["MM_ORDER_PLACED", "ORDER_PLACED"]) == placed
    assert await ids(world, "tickets", actionTypes=["MM_TRADE_EXECUTED"]) == traded
    assert await ids(world, "tickets", actionTypes=[]) == []
    assert await ids(world, "tickets", marketMakerId=second["id"], actionTypes=["MM_TRADE_EXECUTED"]) == [traded[1]]
    of_trader = await ids(world, "tickets", userId=world.traders[0].id, hasMarketMaker=False, entityType="ORDER")
    assert placed[3] in of_trader
    assert await ids(world, "tickets", entityId=world.orders[0], actionTypes=["MM_ORDER_PLACED"]) == [placed[0]]
    failed = await world.api.ask(CANCEL_MARKET_ORDER, id="not-an-order")
    ticket_id = failed["cancelMarketOrder"]["ticketId"]
    assert await ids(world, "tickets", status="FAILED", entityId="not-an-order") == [ticket_id]
    assert await ids(world, "tickets", errorCodes=["ORDER_NOT_FOUND"], entityId="not-an-order") == [ticket_id]
    assert await ids(world, "tickets", errorCodes=["NO_SUCH_CODE"]) == []
    ticket = await world.api.ticket(ticket_id)
    assert ticket_id in await ids(world, "tickets", sessionId=ticket["sessionId"])
    assert ticket_id in await ids(world, "tickets", ipAddress="127.0.0.1")
    assert await ids(world, "tickets", ipAddress="10.0.0.1") == []
    assert await ids(world, "tickets", dateFrom="2999-01-01T00:00:00Z") == []


async def test_tickets_are_filtered_by_any_or_all_of_some_tags(world: World) -> None:
    both = await ids(world, "tickets", tags=["order", "market-maker"], tagMode="ALL")
    either = await ids(world, "tickets", tags=["order", "market-maker"])
    orders, makers = await ids(world, "tickets", tags=["order"]), await ids(world, "tickets", tags=["market-maker"])
    assert set(both) == set(orders) & set(makers)
    assert set(either) == set(orders) | set(makers)
    assert set(both) < set(either)
    assert await ids(world, "tickets", tags=["no such tag"]) == []
    assert await ids(world, "tickets", tags=["order", "no such tag"], tagMode="ALL") == []


async def test_tickets_are_filtered_by_their_relations_in_both_directions(world: World) -> None:
    first_sale, first_trade, first_bid = world.placed[6], world.traded[2], world.placed[3]
    around = await ids(world, "tickets", relatedTo=first_sale)
    assert first_trade in around
    assert first_bid not in around
    around = await ids(world, "tickets", relatedTo=first_trade)
    assert {first_sale, first_bid} <= set(around)
    assert first_trade not in around
    assert await ids(world, "tickets", relatedTo="TKT-1999-000001") == []


async def test_tickets_are_found_by_words(world: World) -> None:
    ticket_id = world.placed[6]
    assert await ids(world, "tickets", search=ticket_id) == [ticket_id]
    assert await ids(world, "tickets", search=f" {ticket_id.lower()} ") == [ticket_id]
    assert ticket_id in await ids(world, "tickets", search="25.00 cea sell")
    assert await ids(world, "tickets", search="xylophone") == []
    assert await ids(world, "tickets", search="sell -sell") == []
    for strange in ("", "   ", "'", '"', "a & | ! ( )", "%", "\\", "<->", "x" * 5_000):
        await ids(world, "tickets", search=strange)


async def test_tickets_are_filtered_by_and_or_not(world: World) -> None:
    trades = await ids(world, "tickets", actionTypes=["MM_TRADE_EXECUTED"])
    orders = await ids(world, "tickets", actionTypes=["ORDER_PLACED"])
    everything = await ids(world, "tickets")
    trade, order = {"actionTypes": ["MM_TRADE_EXECUTED"]}, {"actionTypes": ["ORDER_PLACED"]}
    assert set(await ids(world, "tickets", **{"or": [trade, order]})) == {*trades, *orders}
    assert await ids(world, "tickets", **{"and": [trade, order]}) == []
    of_second = {"marketMakerId": world.makers[1]["id"]}
    assert await ids(world, "tickets", **{"and": [trade, of_second]}) == [world.traded[1]]
    assert set(await ids(world, "tickets", **{"not": trade})) == set(everything) - set(trades)
    # of a column that may be empty, too: not "of the second maker" holds for tickets of no maker
    others = set(await ids(world, "tickets", **{"not": of_second}))
    assert others == set(everything) - set(await ids(world, "tickets", **of_second))
    assert set(await ids(world, "tickets", **{"not": {"or": [trade, order]}, "status": "SUCCESS"})) == set(
        await ids(world, "tickets", status="SUCCESS")
    ) - {*trades, *orders}


async def test_a_filter_is_bounded_in_depth_and_size(world: World) -> None:
    deep: dict[str, Any] = {}
    for _ in range(4):
        deep = {"not": deep}
    many: dict[str, Any] = {"or": [{} for _ in range(50)]}
    for wanted in (deep, many):
        answered = await world.api.ask(TICKETS, filter=wanted)
        (error,) = answered.errors
        assert error["extensions"] == {"code": "BAD_REQUEST", "field": "filter"}
        assert error["message"] == "A filter has at most 4 levels and 50 parts."
    await ids(world, "tickets", **deep["not"])


@pytest.mark.parametrize("unknown", ["", "nobody", "1" * 36, "x" * 500, "11111111-2222-4333-8444-555555555555"])
async def test_an_id_that_names_nothing_matches_nothing(world: World, unknown: str) -> None:
    for name, key in (
        ("orders", "userId"), ("orders", "marketMakerId"), ("trades", "userId"), ("trades", "marketMakerId"),
        ("tickets", "userId"), ("tickets", "marketMakerId"), ("tickets", "sessionId"), ("tickets", "entityId"),
        ("tickets", "relatedTo"),
    ):  # fmt: skip
        assert await ids(world, name, **{key: unknown}) == [], (name, key)
    answered = await world.api.ask(
        "query($f: DepositFilter) { deposits(filter: $f) { nodes { id } totalCount } }", f={"userId": unknown}
    )
    assert answered["deposits"] == {"nodes": [], "totalCount": 0}


async def test_people_and_makers_are_searched(world: World) -> None:
    api = world.api
    makers = "query($f: MarketMakerFilter) { marketMakers(filter: $f) { nodes { name } } }"

    async def names(**wanted: Any) -> list[str]:
        return [node["name"] for node in (await api.ask(makers, f=wanted))["marketMakers"]["nodes"]]

    assert await names(search="page") == ["MM-Page-A", "MM-Page-B"]
    assert await names(search="page-b@") == []
    assert await names(search="%") == []
    assert await names(isActive=False) == []
    users = "query($f: UserFilter) { users(filter: $f) { nodes { id } } }"
    found = await api.ask(users, f={"role": "TRADER", "kycStatus": "APPROVED", "isActive": True})
    assert {node["id"] for node in found["users"]["nodes"]} == {trader.id for trader in world.traders}
    found = await api.ask(users, f={"search": world.traders[0].email.upper()})
    assert found["users"]["nodes"] == [{"id": world.traders[0].id}]
    deposits = await api.ask(
        "query($f: DepositFilter) { deposits(filter: $f) { totalCount } }",
        f={"statuses": ["PENDING"], "userId": world.traders[0].id},
    )
    assert deposits["deposits"]["totalCount"] == 1


# --------------------------------------------------------------------------------------------- words, payloads, orders


async def test_words_are_found_by_their_beginnings_in_any_case_and_order(world: World) -> None:
    sale = world.placed[6]  # SELL 10 CEA @ 25.00 for MM-Page-A
    for search in ("SELL 10 cea", "for mm-page-a", "Page", "pag sel", "25.0", "@ 25.00", '"10 CEA"', "order -traded",
                   sale[:-3], sale.rpartition("-")[2], "insuff -sell"):  # fmt: skip
        found = await ids(world, "tickets", search=search)
        assert (sale in found) is (search != "insuff -sell"), search
    assert await ids(world, "tickets", search='"for CEA"') == []
    assert await ids(world, "tickets", search="ell") == []  # the middle of a word is none of its beginnings


async def test_an_id_finds_what_it_names(world: World) -> None:
    order, sale = world.orders[6], world.placed[6]
    assert sale in await ids(world, "tickets", search=order)
    of_maker = await ids(world, "tickets", search=world.makers[0]["id"].upper())
    assert set(await ids(world, "tickets", marketMakerId=world.makers[0]["id"])) <= set(of_maker)
    assert set(await ids(world, "tickets", userId=world.traders[0].id)) <= set(
        await ids(world, "tickets", search=world.traders[0].id)
    )
    assert await ids(world, "tickets", search="11111111-2222-4333-8444-999999999999") == []


async def folded(api: Api, ticket_id: str) -> None:
    """Wait until the words of a ticket's payload are folded."""
    is_there = "SELECT FROM ticket_payload_search JOIN ticket_logs USING (year, number) WHERE ticket_id = $1"
    async with asyncio.timeout(10):
        while not await api.sql(is_there, ticket_id):  # noqa: ASYNC110 - the other side is a database
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("is_folded", [False, True])
async def test_payloads_are_searched_for_an_admin_only_whether_folded_or_not(world: World, is_folded: bool) -> None:
    api, word = world.api, f"quagga{int(is_folded)}"
    answered = await api.ask(
        "mutation($i: CreateTransactionInput!) { createTransaction(input: $i) { ticketId errors { code } } }",
        i={"userId": world.traders[0].id, "asset": "EUR", "transactionType": "DEPOSIT", "amount": "1.23",
           "notes": f"A {word.upper()}, of üñïçødé and no-reply@x.test"},
    )  # fmt: skip
    ticket_id = answered["createTransaction"]["ticketId"]
    if is_folded:
        await folded(api, ticket_id)
    for search in (word, word[:5] + word[6:], "reply@x.test", f"{word} üñïç", f"{word} -jackalope", f'"a {word}"'):
        found = await ids(world, "tickets", search=search, status="SUCCESS")
        assert (ticket_id in found) is (search != word[:5] + word[6:]), search
    assert await ids(world, "tickets", search=f"{word} -reply") == []
    assert await ids(world, "tickets", search=word, tags=["order"]) == []
    assert await ids(world, "tickets", search=word, tags=["ledger"]) == [ticket_id]
    either = {"or": [{"search": word}, {"actionTypes": ["MM_CREATED"]}]}
    assert ticket_id in await ids(world, "tickets", **either)
    analyst = f"{word}@analysts.test"
    await api.ask(
        "mutation($i: CreateUserInput!) { createUser(input: $i) { ticketId } }",
        i={"email": analyst, "name": "A", "role": "ANALYST", "password": PASSWORD},
    )
    token = await api.login(analyst)
    for wanted in ({"search": word}, {"or": [{"search": word}]}, {"and": [{"search": word}]}):
        page = (await api.ask(TICKETS, token, filter=wanted))["tickets"]
        assert (page["nodes"], page["totalCount"]) == ([], 0)


async def test_words_of_an_erased_payload_are_gone(world: World) -> None:
    api = world.api
    answered = await api.ask(
        "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { ticketId } }",
        world.traders[0].token, i={"amount": "1", "reference": "hippogriff"},
    )  # fmt: skip
    ticket_id = answered["requestDeposit"]["ticketId"]
    await folded(api, ticket_id)
    assert await ids(world, "tickets", search="hippogriff") == [ticket_id]
    role = f"{urlsplit(api.database_url).path[1:]}_retention"
    connection = await asyncpg.connect(api.database_url)
    await connection.execute(f'SET ROLE "{role}"')
    await connection.execute(
        "DELETE FROM ticket_payloads p USING ticket_logs t WHERE (t.year, t.number) = (p.year, p.number)"
        " AND t.ticket_id = $1",
        ticket_id,
    )
    await connection.close()
    assert await ids(world, "tickets", search="hippogriff") == []


async def test_tickets_come_oldest_first_when_asked(world: World) -> None:
    document = TICKETS.replace("$filter: TicketFilter", "$filter: TicketFilter, $o: TicketOrder").replace(
        "filter: $filter", "filter: $filter, orderBy: $o"
    )
    filters: list[dict[str, Any]] = [
        {}, {"tags": ["order"]}, {"search": "cea"}, {"actionTypes": ["ORDER_PLACED", "MM_ORDER_PLACED"]},
        {"relatedTo": world.traded[2]}, {"dateFrom": "2020-01-01T00:00:00Z"},
    ]  # fmt: skip
    for wanted in filters:
        newest = await ids(world, "tickets", **wanted)
        seen: list[str] = []
        after = None
        while True:
            page = (await world.api.ask(document, filter=wanted, o="OLDEST", first=3, after=after))["tickets"]
            seen += [node["id"] for node in page["nodes"]]
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
        assert seen == newest[::-1], wanted
        last = (await world.api.ask(document, filter=wanted, o="OLDEST", last=2))["tickets"]["nodes"]
        assert [node["id"] for node in last] == newest[:2][::-1]


async def test_frequent_words_are_found_by_a_walk_as_they_are_by_a_look_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything: list[dict[str, Any]] = [
        {"search": "cea"},
        {"tags": ["order"]},
        {"search": "sell page", "status": "SUCCESS"},
    ]
    looked_up = [await ids(world, "tickets", **wanted) for wanted in everything]
    monkeypatch.setattr(db.finding, "RARE_MAX", -1)
    for most in (1, 5, 20_000):
        monkeypatch.setattr(db.finding, "PROBE_TICKETS", most)
        for wanted, expected in zip(everything, looked_up, strict=True):
            page = (await world.api.ask(TICKETS, filter=wanted, first=2))["tickets"]
            assert [node["id"] for node in page["nodes"]] == expected[:2], (wanted, most)
            rest = await world.api.ask(TICKETS, filter=wanted, first=100, after=page["pageInfo"]["endCursor"])
            assert [node["id"] for node in rest["tickets"]["nodes"]] == expected[2:]


async def test_too_many_words_are_a_bad_request(world: World) -> None:
    (error,) = (await world.api.ask(TICKETS, filter={"search": "word " * 33})).errors
    assert error["extensions"] == {"code": "BAD_REQUEST", "field": "filter"}


async def test_what_takes_too_long_says_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "(SELECT pg_sleep(20) IS NULL)"
    monkeypatch.setattr(db.tickets, "where", lambda *_: text(slow))
    (error,) = (await world.api.ask("{ tickets { nodes { id } } }")).errors
    assert error["extensions"] == {"code": "TOO_COMPLEX", "field": "filter"}
    assert "a window of time helps most" in error["message"]
