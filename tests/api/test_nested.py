"""Lists inside lists: one statement for all parents, however many, and each list what it would be alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from db import read
from db.tickets import RELATED_MAX
from tests import history
from tests.history import History
from tests.world import Api

DEEP = """query($n: Int, $m: Int) { marketMakers(first: $n, orderBy: NEWEST) { totalCount nodes { name user { id }
  balances { total } stats { trades }
  orders(first: $m, orderBy: LARGEST, filter: { statuses: [FILLED] }) { totalCount nodes { id ticket { ticketId }
    trades(first: $m) { totalCount nodes { id price buyer { id name
      trades(first: 2, orderBy: PRICE_HIGHEST) { nodes { id } } }
      sellOrder { id user { id } tickets(first: 1) { totalCount nodes { ticketId } } } } }
    transactions(first: $m) { nodes { id } } } }
  trades(first: $m) { nodes { id buyOrder { id } } }
  transactions(first: $m, filter: { reasons: [DEPOSIT] }) { totalCount nodes { id holder { id } } }
  tickets(first: $m) { totalCount nodes { ticketId user { id } relatedTickets { ticketId } sealedAt } } } } }"""
PEOPLE = """query($n: Int) { users(first: $n, filter: { role: TRADER }) { nodes { id balances { total }
  orders(first: 2) { nodes { id } } deposits(first: 1) { nodes { id } } tickets(first: 2) { nodes { ticketId } }
  kycDocuments { id } trades(first: 3) { totalCount nodes { id } } transactions(first: 1) { nodes { id } } } } }"""


# What a process asks every second for itself.
OF_THE_PROCESS = ("SELECT books.certificate_type, books.sequence", "SELECT price_band_percent, public_market_data")


@pytest.fixture(scope="module")
async def past(api: Api) -> History:
    for _ in range(9):
        await api.maker(CEA="5")
    return await history.write(api, 240, seed=3)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note every statement that any reader of this process runs."""
    statements: list[str] = []
    fetch = read.Reader._fetch

    async def noting(self: read.Reader, sql: str, values: Any) -> Any:
        if not sql.lstrip().startswith(OF_THE_PROCESS):
            statements.append(sql)
        return await fetch(self, sql, values)

    with monkeypatch.context() as patched:
        patched.setattr(read.Reader, "_fetch", noting)
        yield statements


async def test_statements_do_not_grow_with_parents_at_any_depth(
    api: Api, past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases: tuple[tuple[str, list[dict[str, Any]]], ...] = (
        (DEEP, [{"n": 2, "m": 2}, {"n": 12, "m": 2}, {"n": 12, "m": 5}]),
        (PEOPLE, [{"n": 2}, {"n": 3}]),
    )
    for document, sizes in cases:
        counts = []
        for size in sizes:
            with counted(monkeypatch) as statements:
                answered = await api.ask(document, **size)
            assert answered.errors == []
            counts.append(len(statements))
        # Who is asked for at several depths may be looked up in one statement or in two, as the moments fall.
        assert max(counts) <= counts[0] + 2 < 32, counts


async def test_two_parents_cost_as_much_as_twelve_and_one_statement_each(
    api: Api, past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = "query($n: Int) { marketMakers(first: $n, orderBy: NEWEST) { nodes { orders(first: 3) { nodes { id"
    document += " trades(first: 3) { nodes { id buyer { id } } } } } } } }"
    for size in (2, 12):
        with counted(monkeypatch) as statements:
            await api.ask(document, n=size)
        # Makers, their orders, the trades of those; the buyers are looked up together, or read with the trades.
        assert 3 <= len(statements) <= 4, statements


ALONE = {
    "orders": "orders(filter: $o, orderBy: $ob, first: $n, after: $a)",
    "trades": "trades(filter: $t, orderBy: $tb, first: $n)",
    "transactions": "transactions(filter: $x, orderBy: $xb, first: $n)",
    "tickets": "tickets(filter: $k, orderBy: OLDEST, first: $n)",
}
TYPES = "$o: OrderFilter, $ob: OrdersBy, $t: TradeFilter, $tb: TradesBy, $x: TransactionFilter, $xb: TransactionsBy,"
TYPES += " $k: TicketFilter, $n: Int, $a: String"
PAGE = "{ totalCount totalCountIsExact edges { cursor node { id } } pageInfo { hasNextPage endCursor } }"


async def test_each_list_is_what_it_is_alone(api: Api, past: History) -> None:
    asked: dict[str, Any] = {
        "o": {"or": [{"priceMin": "50"}, {"orderType": "MARKET"}], "not": {"side": "BUY"}}, "ob": "PRICE_LOWEST",
        "t": {"quantityMin": "40", "certificateType": "CEA"}, "tb": "LARGEST", "x": {"assets": ["CEA", "EUR"]},
        "xb": "SMALLEST", "k": {"not": {"status": "FAILED"}}, "n": 4,
    }  # fmt: skip
    lists = " ".join(f"{name}: {call} {PAGE}" for name, call in ALONE.items())
    for root in ("marketMakers(first: 100)", "users(first: 100)"):
        single = "marketMaker" if root.startswith("m") else "user"
        every = await api.ask(f"query({TYPES}) {{ {root} {{ nodes {{ id {lists} }} }} }}", **asked)
        nodes = every[root.split("(", maxsplit=1)[0]]["nodes"]
        assert len(nodes) >= 3
        for node in nodes:
            alone = await api.ask(f"query($id: ID!, {TYPES}) {{ {single}(id: $id) {{ id {lists} }} }}", id=node["id"],
                                  **asked)  # fmt: skip
            assert alone[single] == node
    seen = {name: sum(node[name]["totalCount"] for node in nodes) for name in ALONE}
    assert all(seen.values()), seen


async def test_a_list_inside_agrees_with_the_same_list_at_the_root(api: Api, past: History) -> None:
    maker, user = past.makers[1]
    inside = await api.ask(
        "query($id: ID!) { marketMaker(id: $id) { orders(first: 100) { nodes { id } }"
        " trades(first: 100) { nodes { id } } transactions(first: 100) { nodes { id } }"
        " tickets(first: 100) { nodes { id } } } }", id=str(maker),
    )  # fmt: skip
    root = await api.ask(
        "query($id: ID!, $user: ID!) { orders(filter: { marketMakerId: $id }, first: 100) { nodes { id } }"
        " trades(filter: { marketMakerId: $id }, first: 100) { nodes { id } }"
        " transactions(filter: { holderId: $user }, first: 100) { nodes { id } }"
        " tickets(filter: { marketMakerId: $id }, first: 100) { nodes { id } } }", id=str(maker), user=str(user),
    )  # fmt: skip
    assert inside["marketMaker"] == root.data
    assert all(found["nodes"] for found in inside["marketMaker"].values())


async def test_cursors_of_a_list_inside_lead_on(api: Api, past: History) -> None:
    document = "query($id: ID!, $n: Int, $a: String, $ob: TradesBy) { user(id: $id) {"
    document += (
        " trades(first: $n, after: $a, orderBy: $ob) { totalCount nodes { id } pageInfo { hasNextPage endCursor }"
    )
    document += " } } }"
    own = past.traders[0].id
    mine = [one for one in past.trades if own in (str(one["buyer_id"]), str(one["seller_id"]))]
    keys: dict[str, Callable[[dict[str, Any]], Any]] = {
        "NEWEST": lambda one: one["executed_at"],
        "LARGEST": lambda one: one["price"] * one["quantity"],
        "PRICE_HIGHEST": lambda one: one["price"],
    }
    for order, key in keys.items():
        walked: list[str] = []
        after = None
        while True:
            page = (await api.ask(document, id=own, n=7, a=after, ob=order))["user"]["trades"]
            walked += [node["id"] for node in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert page["totalCount"] == len(mine) == len(set(walked)) == len(walked)
        by_id = {str(one["id"]): key(one) for one in mine}
        assert [by_id[one] for one in walked] == sorted(by_id.values(), reverse=True)


async def test_related_tickets_of_many_are_those_of_each(api: Api, past: History) -> None:
    maker = await api.maker(CEA="50")
    for price in ("11.00", "12.00", "13.00"):
        await api.sell(maker["id"], price, "1")
    await api.ask("mutation($id: ID!) { cancelAllMarketOrders(marketMakerId: $id) { ticketId } }", id=maker["id"])
    nodes = (await api.ask("{ tickets(first: 40) { nodes { id relatedTickets(depth: 3) { id } } } }"))["tickets"][
        "nodes"
    ]
    for node in nodes:
        alone = await api.ask("query($id: ID!) { ticket(ticketId: $id) { id relatedTickets(depth: 3) { id } } }",
                              id=node["id"])  # fmt: skip
        assert alone["ticket"] == node
    assert 3 <= max(len(node["relatedTickets"]) for node in nodes) <= RELATED_MAX
