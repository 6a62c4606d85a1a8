"""Exports of queries: all pages of one list, of one instant, with the rights of the query itself, each a ticket."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import polars
import pytest

from api import exports
from api.cells import Column, Kind, file_of
from api.questions import question_of
from api.schema import build
from api.wire import Asked
from tests.api.test_exports import cursors
from tests.world import PASSWORD, Api, Trader

ORDERS = """query Sales($maker: ID!, $filter: OrderFilter) { marketMaker(id: $maker) { orders(filter: $filter) {
  nodes { id price quantity averagePrice priority createdAt marketMaker { name } user { name email } } } } }"""
PAGED = "query($maker: ID!, $after: String) { marketMaker(id: $maker) { orders(first: 100, after: $after) {" \
    " nodes { id } pageInfo { hasNextPage endCursor } } } }"  # fmt: skip
COUNT = 230  # orders: three pages
WIDE = " ".join(f"d{number}: digest" for number in range(36))  # more than all buffers on the way hold, in 10,000 rows


@pytest.fixture(scope="module")
async def market(api: Api) -> tuple[str, Trader]:
    """Give a market maker with a name that a spreadsheet would run, and more orders than two pages hold: three sold."""
    created = await api.maker(name="=HYPERLINK(1)", CEA="100000")
    for index in range(COUNT):
        await api.sell(created["id"], f"{20 + index // 100}.{index % 100:02d}", "1")
    one = await api.trader(EUR="10000")
    await api.order(one, "BUY", "20.02", "3")
    await api.order(one, "BUY", "19.00", "5")
    return created["id"], one


@pytest.fixture(scope="module")
def maker(market: tuple[str, Trader]) -> str:
    return market[0]


@pytest.fixture(scope="module")
def trader(market: tuple[str, Trader]) -> Trader:
    return market[1]


@pytest.fixture(scope="module")
async def analyst(api: Api) -> str:
    created = await api.ask(
        "mutation($i: CreateUserInput!) { createUser(input: $i) { errors { code } } }",
        i={"email": "analyst@query.test", "name": "A", "role": "ANALYST", "password": PASSWORD},
    )
    assert created["createUser"]["errors"] == []
    return await api.login("analyst@query.test")


async def export(
    api: Api, kind: str, query: str, token: str | None = None, pages: str | None = None, **variables: Any
) -> httpx.Response:
    """Ask for a file; token as in `Api.ask`."""
    token = api.admin_token if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"query": query, "variables": variables, **({"pages": pages} if pages else {})}
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(address(api, kind), json=body, headers=headers)


def address(api: Api, kind: str) -> str:
    return f"{api.url.removesuffix('/graphql')}/export/query.{kind}"


def table(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def ids(api: Api, maker: str) -> list[str]:
    """Return the orders as the schema pages through them."""
    found: list[str] = []
    cursor = None
    while True:
        page = (await api.ask(PAGED, maker=maker, after=cursor))["marketMaker"]["orders"]
        found += [node["id"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


# ------------------------------------------------------------------------------------------------------------ the file


async def test_a_table_has_all_pages_in_the_order_of_the_list(api: Api, maker: str, trader: Trader) -> None:
    response = await export(api, "csv", ORDERS, maker=maker)
    rows = table(response)
    assert list(rows[0]) == ["id", "price", "quantity", "averagePrice", "priority", "createdAt", "marketMaker.name",
                             "user.name", "user.email"]  # fmt: skip
    assert [row["id"] for row in rows] == await ids(api, maker)
    assert response.headers["x-row-count"] == str(COUNT) == str(len(rows))
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert rows[0]["marketMaker.name"] == "'=HYPERLINK(1)"
    assert (rows[-1]["price"], rows[-1]["averagePrice"], rows[0]["averagePrice"]) == ("20.00", "20.0000", "")
    assert "x-has-next-page" not in response.headers


async def test_lines_of_json_are_the_nodes_as_the_schema_words_them(api: Api, maker: str) -> None:
    wanted = {"statuses": ["FILLED"]}
    response = await export(api, "ndjson", ORDERS, maker=maker, filter=wanted)
    nodes = (await api.ask(ORDERS, maker=maker, filter=wanted))["marketMaker"]["orders"]["nodes"]
    assert [json.loads(line) for line in response.text.splitlines()] == nodes
    assert len(nodes) == 3


async def test_parquet_keeps_types_and_every_digit(api: Api, maker: str) -> None:
    response = await export(api, "parquet", ORDERS, maker=maker)
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    frame = polars.read_parquet(response.content)
    assert frame.schema == {
        "id": polars.String,
        "price": polars.Decimal(38, 8),
        "quantity": polars.Decimal(38, 8),
        "averagePrice": polars.Decimal(38, 8),
        "priority": polars.Int64,
        "createdAt": polars.Datetime("us", "UTC"),
        "marketMaker.name": polars.String,
        "user.name": polars.String,
        "user.email": polars.String,
    }
    rows = table(await export(api, "csv", ORDERS, maker=maker))
    assert frame["id"].to_list() == [row["id"] for row in rows]
    assert frame["price"].to_list() == [Decimal(row["price"]) for row in rows]
    assert frame["createdAt"].to_list() == [datetime.fromisoformat(row["createdAt"]) for row in rows]
    assert frame["averagePrice"].null_count() == COUNT - 3
    assert set(frame["marketMaker.name"]) == {"=HYPERLINK(1)"}  # nothing there runs it


async def test_edges_fragments_aliases_and_directives_become_columns(api: Api, maker: str) -> None:
    query = """query Q($maker: ID!, $with: Boolean = false) { mm: marketMaker(id: $maker) { __typename ...O } }
        fragment O on MarketMaker { orders(first: 1) { pageInfo { hasNextPage } edges { cursor ...E } } }
        fragment E on OrderEdge { node { number: id by: marketMaker { name } side @include(if: $with) } }"""
    rows = table(await export(api, "csv", query, maker=maker))
    assert (len(rows), list(rows[0])) == (COUNT, ["cursor", "number", "by.name"])
    assert list(table(await export(api, "csv", query.replace("= false", "= true"), maker=maker))[0])[-1] == "side"


async def test_lists_in_a_row_are_one_cell(api: Api, maker: str) -> None:
    query = "{ marketMakers { nodes { id balances { asset available } stats { trades lastTradeAt } } } }"
    (row,) = [row for row in table(await export(api, "csv", query)) if row["id"] == maker]
    assert json.loads(row["balances"])[0] == {"asset": "CEA", "available": str(100_000 - COUNT)}
    assert (row["stats.trades"], row["stats.lastTradeAt"][:2]) == ("3", "20")
    tickets = "query($maker: ID!) { marketMaker(id: $maker) { tickets(orderBy: OLDEST) { nodes {" \
        " ticketId tags durationMs requestPayload sealedAt } } } }"  # fmt: skip
    first = table(await export(api, "csv", tickets, maker=maker))[0]
    assert json.loads(first["requestPayload"])["input"]["name"] == "=HYPERLINK(1)"
    frame = polars.read_parquet((await export(api, "parquet", tickets, maker=maker)).content)
    assert frame["tags"].dtype == polars.List(polars.String)
    assert ";".join(frame["tags"][0]) == first["tags"]


async def test_a_plain_list_has_one_page(api: Api) -> None:
    query = "{ certificates { certificateType tickSize lastTrade { price } isHalted } }"
    rows = table(await export(api, "csv", query))
    assert [row["certificateType"] for row in rows] == ["CEA", "EUA"]
    assert (rows[0]["tickSize"], rows[0]["isHalted"]) == ("0.01", "false")


async def test_groups_are_a_list_that_says_when_it_was_cut(api: Api, maker: str, trader: Trader) -> None:
    query = """query($maker: ID!, $first: Int) { aggregateOrders(groupBy: [STATUS], first: $first,
        filter: { marketMakerId: $maker }) { hasMore groups { status count marketMaker { name } } } }"""
    response = await export(api, "csv", query, maker=maker)
    assert {row["status"]: row["count"] for row in table(response)} == {"FILLED": "3", "OPEN": str(COUNT - 3)}
    assert "x-has-next-page" not in response.headers
    cut = await export(api, "csv", query, maker=maker, first=1)
    assert (len(table(cut)), cut.headers["x-has-next-page"]) == (1, "true")


async def test_one_page_is_the_page_that_is_asked_for(api: Api, maker: str) -> None:
    query = "query($maker: ID!) { orders(filter: { marketMakerId: $maker }, last: 7) { nodes { id } } }"
    everything = await ids(api, maker)
    rows = table(await export(api, "csv", query, pages="ONE", maker=maker))
    assert [row["id"] for row in rows] == everything[-7:]
    query = query.replace("last: 7", "first: 7")
    first = await export(api, "csv", query, pages="ONE", maker=maker)
    assert (len(table(first)), first.headers["x-has-next-page"]) == (7, "true")
    assert [row["id"] for row in table(await export(api, "csv", query, maker=maker))] == everything


async def test_nobody_there_has_no_rows(api: Api) -> None:
    response = await export(api, "csv", ORDERS, maker="00000000-0000-4000-8000-000000000000")
    assert (table(response), response.headers["x-row-count"]) == ([], "0")
    assert response.text.startswith("id,price")
    empty = await export(api, "parquet", ORDERS, maker="00000000-0000-4000-8000-000000000000")
    assert polars.read_parquet(empty.content).shape == (0, 9)


async def test_a_get_is_answered_as_a_post_is(api: Api, maker: str) -> None:
    query = urlencode({"query": ORDERS, "variables": json.dumps({"maker": maker}), "operationName": "Sales"})
    async with httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {api.admin_token}"}) as client:
        response = await client.get(f"{address(api, 'csv')}?{query}")
    assert response.text == (await export(api, "csv", ORDERS, maker=maker)).text


async def test_more_than_a_list_counts_is_exported_whole(api: Api) -> None:
    await api.sql(
        "INSERT INTO ticket_leases (year, lo, hi, is_shared)"
        " SELECT year, 5000000, 5020000, false FROM ticket_leases LIMIT 1"
    )
    await api.sql(
        'INSERT INTO ticket_logs (year, number, ticket_id, "timestamp", action_type, status, summary, digest,'
        " payload_hmac, tags)"
        " SELECT extract(year FROM now())::int, n, 'TKT-' || extract(year FROM now()) || '-' || n, now(),"
        " 'ENTITY_MODIFIED', 'SUCCESS', 'many', sha256('x'), sha256(''), '{many}'"
        " FROM generate_series(5000001, 5010345) AS n"
    )
    await api.sql(
        "INSERT INTO ticket_payloads (year, number, salt) SELECT year, number, sha256('x') FROM ticket_logs"
        " WHERE number > 5000000"
    )
    query = '{ tickets(filter: { tags: ["many"] }) { nodes { ticketId user { name } } } }'
    response = await export(api, "parquet", query)
    numbers = polars.read_parquet(response.content)["ticketId"].to_list()
    assert response.headers["x-row-count"] == "10345" == str(len(set(numbers)))
    assert numbers == sorted(numbers, reverse=True)


async def test_a_file_is_of_one_instant(api: Api, maker: str) -> None:
    """Rows that come while a file is sent are not in it, though they stand at its front and its end."""
    reading, writing = await started(api, f"{{ tickets(orderBy: OLDEST) {{ nodes {{ ticketId {WIDE} }} }} }}", "ndjson")
    head = await reading.readuntil(b"\r\n\r\n")
    count = int(head.lower().split(b"x-row-count: ")[1].split(b"\r\n")[0])
    assert await cursors(api, 1)
    for _ in range(3):
        await api.maker()
    body = await reading.read(-1)
    writing.close()
    lines = [line for line in body.split(b"\n") if line.startswith(b"{")]
    assert len(lines) == count


# ---------------------------------------------------------------------------------------------------------- the rights


async def test_a_file_shows_what_the_query_shows(api: Api, maker: str, trader: Trader, analyst: str) -> None:
    rows = table(await export(api, "csv", ORDERS, analyst, maker=maker))
    assert {row["user.email"] for row in rows} == {""}
    own = table(await export(api, "csv", "{ orders { nodes { id user { email } marketMaker { name } } } }",
                             trader.token))  # fmt: skip
    assert [(row["user.email"], row["marketMaker.name"]) for row in own] == [(trader.email, "")] * 2
    denied = await export(api, "csv", "{ users { nodes { id } } }", analyst)
    assert (denied.status_code, denied.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    assert (await export(api, "csv", "{ trades { nodes { id } } }", "")).status_code == 401


async def test_an_export_is_a_ticket_that_holds_query_and_variables(api: Api, maker: str) -> None:
    count = await api.ticket_count()
    response = await export(
        api, "ndjson", ORDERS, maker=maker, filter={"statuses": ["FILLED"], "certificateType": "CEA"}
    )
    (row,) = await api.tickets_since(count)
    assert row["ticket_id"] == response.headers["x-ticket-id"]
    assert (row["action_type"], row["status"], row["summary"], row["tags"]) == (
        "DATA_EXPORTED", "SUCCESS", "Exported 3 rows of marketMaker.orders as NDJSON", ["export", "query"]
    )  # fmt: skip
    request = json.loads(row["request_payload"])
    assert request.pop("document").startswith("query Sales($maker: ID!, $filter: OrderFilter) {")
    assert request == {
        "format": "ndjson", "list": "marketMaker.orders", "operationName": "Sales", "pages": "ALL",
        "variables": {"maker": maker, "filter": {"certificateType": "CEA", "statuses": ["FILLED"]}},
    }  # fmt: skip
    assert json.loads(row["response_data"]) == {"format": "ndjson", "rows": 3}


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("{ orders { nodes { nothing } } }", "BAD_REQUEST", "nothing"),
        ("{ orders {", "BAD_REQUEST", "Syntax Error"),
        ("{ orders { nodes { id } } trades { nodes { id } } }", "BAD_REQUEST", "orders, trades"),
        ("{ me { name } }", "BAD_REQUEST", "name is no list"),
        ("{ orders { totalCount } }", "BAD_REQUEST", "Ask for nodes or for edges"),
        ("{ orders { nodes { id } edges { cursor } } }", "BAD_REQUEST", "Ask for nodes or for edges"),
        ("{ orders(last: 5) { nodes { id } } }", "BAD_REQUEST", "from the first"),
        ("{ marketMakers { nodes { orders { nodes { id } } } } }", "BAD_REQUEST", "orders is a list with pages"),
        ("{ orders(filter: { userId: 1.5 }) { nodes { id } } }", "BAD_REQUEST", "ID cannot represent"),
        ("query($a: OrderFilter!) { orders(filter: $a) { nodes { id } } }", "BAD_REQUEST", "$a"),
        ('mutation { login(input: { email: "a@b.c", password: "canary-1234" }) { ticketId } }', "BAD_REQUEST",
         "An export is of a query"),
        ("{ tickets(filter: { userId: \"x\", not: { not: { not: { not: {} } } } }) { nodes { id } } }", "BAD_REQUEST",
         "at most 4 levels"),
        ('{ orders(after: "nowhere") { nodes { id } } }', "BAD_REQUEST", "from the first"),
    ],
)  # fmt: skip
async def test_what_is_no_list_is_refused_with_a_failed_ticket(api: Api, query: str, code: str, message: str) -> None:
    count = await api.ticket_count()
    response = await export(api, "csv", query)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (400, code)
    assert message in error["message"]
    (row,) = await api.tickets_since(count)
    assert (row["action_type"], row["status"], row["error_code"]) == ("DATA_EXPORTED", "FAILED", code)
    assert error["extensions"]["ticketId"] == row["ticket_id"] == response.headers["x-ticket-id"]
    assert "canary-1234" not in str(dict(row))


async def test_what_is_no_request_is_refused(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.admin_token}"}
    good = {"query": "{ orders { nodes { id } } }"}
    async with httpx.AsyncClient(headers=headers) as client:
        for body, message in (
            ({**good, "page": "ALL"}, "page is none of them"),
            ({**good, "pages": "SOME"}, "pages is ALL or ONE."),
            ([good], "not batched"),
            ({**good, "query": "{" + " " * 70_000}, "larger than"),
        ):
            response = await client.post(address(api, "csv"), json=body)
            assert message in response.json()["errors"][0]["message"]
            assert response.status_code in (400, 413)
        assert (await client.post(address(api, "csv"), content="{}")).status_code == 415
        assert (await client.post(address(api, "xlsx"), json=good)).status_code == 404
        refused = await client.put(address(api, "csv"), json=good)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
        twice = await client.get(f"{address(api, 'csv')}?query=a&query=b")
        assert (twice.status_code, "once" in twice.text) == (400, True)
    async with httpx.AsyncClient(cookies={"carbondesk": api.admin_token}) as client:
        assert (await client.post(address(api, "csv"), json=good)).status_code == 403
        own = {"Sec-Fetch-Site": "same-origin"}
        assert (await client.post(address(api, "csv"), json=good, headers=own)).status_code == 200


# ------------------------------------------------------------------------------------------------------------ the wire


async def started(api: Api, query: str, kind: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a file and do not read it."""
    host = urlsplit(api.url)
    reading, writing = await asyncio.open_connection(host.hostname, host.port, limit=4_096)
    path = f"/export/query.{kind}?{urlencode({'query': query})}"
    head = f"GET {path} HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {api.admin_token}\r\nConnection: close\r\n\r\n"
    writing.write(head.encode())
    return reading, writing


@pytest.mark.parametrize("kind", ["csv", "parquet"])
async def test_a_client_that_goes_away_ends_the_file(api: Api, kind: str) -> None:
    query = f'{{ tickets(filter: {{ tags: ["many"] }}) {{ nodes {{ ticketId {WIDE} user {{ name }} }} }} }}'
    reading, writing = await started(api, query, kind)
    await reading.readuntil(b"\r\n\r\n")
    assert await cursors(api, 1)
    writing.transport.abort()
    assert await cursors(api, 0)


async def test_exports_beyond_the_limit_are_busy(api: Api) -> None:
    query = f"{{ tickets {{ nodes {{ ticketId {WIDE} }} }} }}"
    held = []
    for _ in range(exports.EXPORTS_MAX):
        reading, writing = await started(api, query, "ndjson")
        await reading.readuntil(b"\r\n\r\n")
        held.append(writing)
    count = await api.ticket_count()
    busy = await export(api, "csv", "{ orders { nodes { id } } }")
    assert (busy.status_code, busy.json()["errors"][0]["extensions"]["code"]) == (503, "RATE_LIMITED")
    assert [row["error_code"] for row in await api.tickets_since(count)] == ["BUSY"]
    for writing in held:
        writing.transport.abort()
    assert await cursors(api, 0)


# ----------------------------------------------------------------------------------------------------------- the parts


async def pages(*parts: list[dict[str, Any]]) -> AsyncIterator[list[dict[str, Any]]]:
    for part in parts:
        yield part


async def test_parquet_holds_every_kind_of_cell_and_null() -> None:
    columns = [
        Column("d", ("d",), Kind.DECIMAL), Column("i", ("i",), Kind.INTEGER), Column("f", ("f",), Kind.FLOAT),
        Column("b", ("b",), Kind.BOOLEAN), Column("t", ("t",), Kind.INSTANT), Column("l", ("l",), Kind.LIST),
        Column("j", ("j", "k"), Kind.JSON),
    ]  # fmt: skip
    full = {"d": "-123456789012345678901234567890.12345678", "i": "9007199254740993", "f": 0.1, "b": False,
            "t": "2026-11-25T14:00:00.123Z", "l": ["a", "b"], "j": {"k": {"x": [1]}}}  # fmt: skip
    nulls: dict[str, Any] = dict.fromkeys(full)
    parts = [part async for part in file_of("parquet", columns, pages([full], [], [nulls, full]))]
    rows = polars.read_parquet(b"".join(parts)).rows()
    assert rows[0] == rows[2] == (
        Decimal("-123456789012345678901234567890.12345678"), 2**53 + 1, 0.1, False,
        datetime(2026, 11, 25, 14, 0, 0, 123_000, tzinfo=UTC), ["a", "b"], '{"x":[1]}',
    )  # fmt: skip
    assert rows[1][:5] == (None,) * 5


async def test_parquet_never_rounds() -> None:
    column = Column("d", ("d",), Kind.DECIMAL)
    for off_scale in ("0.123456789", "1E+5", "9" * 31):
        with pytest.raises(ValueError, match="does not fit"):
            async for _ in file_of("parquet", [column], pages([{"d": off_scale}])):
                pass


async def test_parquet_is_sent_in_parts_of_bounded_size() -> None:
    taken = 0

    async def many() -> AsyncIterator[list[dict[str, Any]]]:
        nonlocal taken
        for page in range(1_000):
            taken += 1
            yield [{"a": f"{page}-{row}-" + "x" * 50} for row in range(100)]

    parts = file_of("parquet", [Column("a", ("a",), Kind.TEXT)], many())
    seen = [(taken, len(part)) async for part in parts]
    assert taken == 1_000
    assert len(seen) > 5
    assert seen[0][0] < 500, "the first part leaves before the last page is read"


async def test_what_goes_wrong_while_a_page_is_read_ends_the_file() -> None:
    async def broken() -> AsyncIterator[list[dict[str, Any]]]:
        yield [{"a": "x"}] * 20_000
        raise KeyError("nothing there")

    with pytest.raises(KeyError, match="nothing there"):
        async for _ in file_of("parquet", [Column("a", ("a",), Kind.TEXT)], broken()):
            pass


@pytest.mark.parametrize(("first", "size"), [("first: 7", 7), ("first: $n", 30), ("", 100), ("first: 0", 100)])
def test_a_page_is_as_large_as_the_document_says(first: str, size: int) -> None:
    arguments = f"({first})" if first else ""
    query = f"{'query($n: Int)' if '$n' in first else ''} {{ orders{arguments} {{ nodes {{ id }} }} }}"
    question = question_of(build()._schema, Asked(query, {"n": 30}, None, None), 100)
    assert f"orders(first: {size}, after: $after)" in question.paging


async def test_a_page_that_costs_too_much_is_refused_and_a_smaller_one_is_not(api: Api, maker: str) -> None:
    related = "relatedTickets(depth: 1) { ticketId } " + " ".join(
        f"r{index}: relatedTickets(depth: 1) {{ ticketId }}" for index in range(12)
    )
    query = f"query($maker: ID!) {{ tickets(FIRST filter: {{ marketMakerId: $maker }}) {{ nodes {{ {related} }} }} }}"
    refused = await export(api, "csv", query.replace("FIRST", ""), maker=maker)
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["extensions"]["code"]) == (400, "TOO_COMPLEX")
    assert "ticketId" in error["extensions"]
    assert (await export(api, "csv", query.replace("FIRST", "first: 20,"), maker=maker)).status_code == 200


async def test_the_callers_own_token_is_not_recorded(api: Api) -> None:
    count = await api.ticket_count()
    query = "query($s: String) { tickets(filter: { search: $s }) { nodes { ticketId } } }"
    assert (await export(api, "csv", query, s=api.admin_token)).status_code == 200
    (row,) = await api.tickets_since(count)
    assert json.loads(row["request_payload"])["variables"] == "[redacted]"
    assert api.admin_token not in str(dict(row))


def test_a_variable_named_as_the_cursor_is_left_alone() -> None:
    query = "query($after: ID!) { marketMaker(id: $after) { orders { nodes { id } } } }"
    question = question_of(build()._schema, Asked(query, {"after": "x"}, None, None), 100)
    assert question.after == "after_"
    assert "query ($after: ID!, $after_: String)" in question.paging
