"""Exports: whole, of one instant, announced, defused, and each a ticket before its first byte."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import exports
from api.cells import NUMBER, csv_line, defused
from api.settings import Settings
from tests.world import PASSWORD, Api, Trader

HIDDEN = {"userEmail", "requestPayload", "responseData", "beforeState", "afterState"}
TICKETS = """query($filter: TicketFilter) { tickets(filter: $filter, first: 100) { nodes {
  ticketId timestamp actionType status summary errorCode errorMessage user { id name email }
  marketMaker { id name } entityType entityId ipAddress userAgent sessionId durationMs relatedTicketIds tags digest
  requestPayload responseData beforeState afterState } } }"""
REQUEST = "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { ticketId errors { code } } }"
EVIL = ("=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", 'a "quoted", text\r\nof two lines', "-5.00")


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    one = await api.trader(EUR="1000")
    for amount in ("1", "2", "0", "3"):
        await api.ask(REQUEST, one.token, i={"amount": amount, "reference": "=1+1"})
    return one


@pytest.fixture(scope="module")
async def analyst(api: Api) -> str:
    created = await api.ask(
        "mutation($i: CreateUserInput!) { createUser(input: $i) { errors { code } } }",
        i={"email": "analyst@exports.test", "name": "A", "role": "ANALYST", "password": PASSWORD},
    )
    assert created["createUser"]["errors"] == []
    return await api.login("analyst@exports.test")


async def export(api: Api, kind: str, wanted: Any = None, token: str | None = None, **other: Any) -> httpx.Response:
    """Ask for a file; token as in `Api.ask`."""
    token = api.admin_token if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    parameters = {**({} if wanted is None else {"filter": json.dumps(wanted)}), **other}
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(f"{api.url.removesuffix('/graphql')}/export/tickets.{kind}", params=parameters,
                                headers=headers)  # fmt: skip


def table(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


# ------------------------------------------------------------------------------------------------------------ the file


async def test_lines_of_json_are_the_tickets_as_the_schema_words_them(api: Api, trader: Trader) -> None:
    wanted = {"userId": trader.id}
    response = await export(api, "ndjson", wanted)
    lines = [json.loads(line) for line in response.text.splitlines()]
    expected = (await api.ask(TICKETS, filter=wanted))["tickets"]["nodes"]
    assert lines == expected
    assert len(lines) == 5
    assert response.headers["x-row-count"] == "5"
    assert response.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    older = await export(api, "ndjson", wanted, orderBy="OLDEST")
    assert [json.loads(line) for line in older.text.splitlines()] == expected[::-1]


async def test_a_table_has_a_header_and_the_same_tickets(api: Api, trader: Trader) -> None:
    wanted = {"userId": trader.id, "status": "SUCCESS"}
    response = await export(api, "csv", wanted)
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    ticket_id = response.headers["x-ticket-id"]
    assert response.headers["content-disposition"] == f'attachment; filename="{ticket_id}.csv"'
    rows = table(response)
    nodes = (await api.ask(TICKETS, filter=wanted))["tickets"]["nodes"]
    assert [row["ticketId"] for row in rows] == [node["ticketId"] for node in nodes]
    for row, node in zip(rows, nodes, strict=True):
        assert row["summary"] == node["summary"]
        assert (row["userId"], row["userEmail"], row["timestamp"]) == (trader.id, trader.email, node["timestamp"])
        assert row["tags"] == ";".join(node["tags"])
        assert json.loads(row["requestPayload"]) == node["requestPayload"]
        assert row["afterState"] == "" if node["afterState"] is None else json.loads(row["afterState"])


async def test_words_of_payloads_are_exported_to_an_admin_only(api: Api, trader: Trader, analyst: str) -> None:
    await api.ask(REQUEST, trader.token, i={"amount": "7", "reference": "wolpertinger"})
    assert len(table(await export(api, "csv", {"search": "wolperting"}))) == 1
    assert table(await export(api, "csv", {"search": "wolperting"}, analyst)) == []
    assert (await export(api, "csv", {"search": "'"})).headers["x-row-count"] == "0"


async def test_an_analyst_gets_neither_payloads_nor_emails(api: Api, trader: Trader, analyst: str) -> None:
    wanted = {"userId": trader.id}
    rows = table(await export(api, "csv", wanted, analyst))
    assert not HIDDEN & rows[0].keys()
    assert set(table(await export(api, "csv", wanted))[0]) - set(rows[0]) == HIDDEN
    response = await export(api, "ndjson", wanted, analyst)
    for line in map(json.loads, response.text.splitlines()):
        assert not HIDDEN & line.keys()
        assert line["user"] == {"id": trader.id, "name": "Trader"}
    assert trader.email not in response.text


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
        " FROM generate_series(5000001, 5012345) AS n"
    )
    await api.sql(
        "INSERT INTO ticket_payloads (year, number, salt) SELECT year, number, sha256('x') FROM ticket_logs"
        " WHERE number > 5000000"
    )
    response = await export(api, "ndjson", {"tags": ["many"]})
    numbers = [json.loads(line)["ticketId"] for line in response.text.splitlines()]
    assert response.headers["x-row-count"] == "12345" == str(len(set(numbers)))
    assert numbers == sorted(numbers, reverse=True)


# ---------------------------------------------------------------------------------------------------------- the ticket


async def test_an_export_is_a_ticket_that_names_its_rows_and_its_filter(api: Api, trader: Trader) -> None:
    count = await api.ticket_count()
    response = await export(api, "csv", {"userId": trader.id, "status": "FAILED"}, orderBy="OLDEST")
    (row,) = await api.tickets_since(count)
    assert row["ticket_id"] == response.headers["x-ticket-id"]
    assert (row["action_type"], row["status"], row["summary"]) == (
        "DATA_EXPORTED", "SUCCESS", "Exported 1 ticket as CSV"
    )  # fmt: skip
    assert json.loads(row["request_payload"]) == {
        "format": "csv", "filter": {"userId": trader.id, "status": "FAILED"}, "orderBy": "OLDEST"
    }  # fmt: skip
    assert json.loads(row["response_data"]) == {"format": "csv", "rows": 1}
    assert (row["ip_address"], row["tags"]) == ("127.0.0.1", ["export"])
    assert row["attempt_id"] and row["user_id"] and row["session_id"]
    everything = await export(api, "ndjson")
    assert everything.headers["x-ticket-id"] not in everything.text  # the snapshot is older than the ticket
    assert response.headers["x-ticket-id"] in everything.text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"filter": "{"}, "filter is not valid JSON"),
        ({"filter": '{"statuss": "FAILED"}'}, "statuss"),
        ({"filter": '{"status": "MAYBE"}'}, "MAYBE"),
        ({"filter": '{"dateFrom": "yesterday"}'}, "filter.dateFrom: Expected an instant"),
        ({"filter": "[1]"}, "TicketFilter"),
        ({"filter": '{"search": "\\u0000"}'}, "NUL"),
        ({"filters": "{}"}, "An export takes filter and orderBy"),
        ({"orderBy": "RANDOM"}, "orderBy is NEWEST or OLDEST."),
        ({"filter": '{"search": "' + "x" * 40_000 + '"}'}, "An export takes filter and orderBy"),
        ({"filter": '{"not":{"not":{"not":{"not":{}}}}}'}, "at most 4 levels"),
    ],
)
async def test_a_bad_request_is_refused_with_a_failed_ticket(
    api: Api, parameters: dict[str, str], message: str
) -> None:
    count = await api.ticket_count()
    response = await export(api, "csv", **parameters)
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert message in error["message"]
    (row,) = await api.tickets_since(count)
    assert (row["action_type"], row["status"], row["error_code"]) == ("DATA_EXPORTED", "FAILED", "BAD_REQUEST")
    assert error["extensions"]["ticketId"] == row["ticket_id"] == response.headers["x-ticket-id"]


async def test_a_trader_is_denied_with_a_ticket_and_nobody_without(api: Api, trader: Trader) -> None:
    count = await api.ticket_count()
    denied = await export(api, "csv", token=trader.token)
    (row,) = await api.tickets_since(count)
    assert denied.status_code == 403
    assert denied.json()["errors"][0]["extensions"] == {"code": "FORBIDDEN", "ticketId": row["ticket_id"]}
    assert (row["status"], row["error_code"], str(row["user_id"])) == ("FAILED", "FORBIDDEN", trader.id)
    for token in ("", "wrong"):
        assert (await export(api, "csv", token=token)).status_code == 401
    assert (await export(api, "pdf")).status_code == 404
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {api.admin_token}"}) as client:
        address = f"{api.url.removesuffix('/graphql')}/export/tickets.csv"
        for method in ("POST", "HEAD", "DELETE"):
            refused = await client.request(method, address)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert await api.ticket_count() == count + 1


async def test_a_cookie_counts_from_this_site_only(api: Api) -> None:
    address = f"{api.url.removesuffix('/graphql')}/export/tickets.csv?filter=" + '{"status":"FAILED"}'
    async with httpx.AsyncClient(cookies={"carbondesk": api.admin_token}) as client:
        for headers, status in (
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Origin": api.url.removesuffix("/graphql")}, 200),
            ({}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "https://elsewhere.test"}, 403),
        ):
            assert (await client.get(address, headers=headers)).status_code == status, headers


async def test_exports_beyond_the_limit_are_busy(api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    count = await api.ticket_count()
    host = urlsplit(api.url)
    request = (
        f"GET /export/tickets.ndjson HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {api.admin_token}\r\n\r\n"
    ).encode()
    held = []
    for _ in range(exports.EXPORTS_MAX):  # clients that do not read: their files fill every buffer on the way
        reading, writing = await asyncio.open_connection(host.hostname, host.port, limit=1_024)
        writing.write(request)
        await reading.readuntil(b"\r\n\r\n")
        held.append(writing)
    busy = await export(api, "csv", {"tags": ["many"]})
    assert busy.status_code == 503
    assert busy.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    rows = await api.tickets_since(count)
    assert [row["error_code"] for row in rows] == [None, None, "BUSY"]
    for writing in held:
        writing.transport.abort()
    assert await cursors(api, 0)
    assert (await export(api, "csv", {"tags": ["no such"]})).status_code == 200


async def cursors(api: Api, count: int) -> bool:
    """Wait until so many exports hold a snapshot."""
    async with asyncio.timeout(10):
        while True:
            (row,) = await api.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'carbondesk-export'"
                " AND datname = current_database() AND state LIKE 'idle in transaction%'"
            )
            if row["count"] == count:
                return True
            await asyncio.sleep(0.05)


async def test_a_client_that_goes_away_stops_the_cursor(api: Api) -> None:
    host = urlsplit(api.url)
    reading, writing = await asyncio.open_connection(host.hostname, host.port, limit=1_024)
    writing.write(
        f"GET /export/tickets.ndjson HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {api.admin_token}\r\n\r\n".encode()
    )
    await reading.readuntil(b"\r\n\r\n")
    assert await cursors(api, 1)
    writing.transport.abort()
    assert await cursors(api, 0)


# ----------------------------------------------------------------------------------------------------------- the cells


def test_what_a_spreadsheet_would_run_is_defused_and_numbers_are_not() -> None:
    for cell in EVIL[:6]:
        assert defused(cell) == f"'{cell}"
    for cell in ("-5.00", "+3", "-1", "12", "", "TKT-2026-000001", "a=b"):
        assert defused(cell) == cell
    assert defused("-1-1") == "'-1-1"
    assert defused("\x00x") == "'\x00x"


@given(st.lists(st.one_of(st.text(st.characters(exclude_characters="\x00", codec="utf-8")),
                          st.sampled_from(EVIL)), min_size=2, max_size=8))  # fmt: skip
def test_any_line_is_read_back_and_holds_no_formula(cells: list[str]) -> None:
    (read,) = csv.reader(io.StringIO(csv_line(cells).decode(), newline=""))
    assert read == [defused(cell) for cell in cells]
    for cell in read:
        assert cell[:1] not in ("=", "@", "\t", "\r")
        assert cell[:1] not in ("+", "-") or NUMBER.fullmatch(cell)


@pytest.fixture(scope="module", autouse=True)
async def _tidy(api: Api) -> AsyncIterator[None]:
    yield
    assert await cursors(api, 0)
