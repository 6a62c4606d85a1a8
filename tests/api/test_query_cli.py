"""`carbondesk query`: from a file with a question to a table or a file, and what it says when that does not work."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cells import csv_line
from api.query import CONTROLS, MORE, Format, Lines, columns_of, flat, rows_in
from tests.world import PASSWORD, Api

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60
MAKERS = """query Makers($active: Boolean) {
  marketMakers(filter: { isActive: $active }, first: 2) { nodes { name description stats { trades } user { email } }
    pageInfo { hasNextPage } } }"""


@pytest.fixture(scope="module", autouse=True)
async def makers(api: Api) -> None:
    for name in ("Alpha", "=Beta", "Gamma"):
        await api.maker(name=name)
    await api.sql("UPDATE market_maker_clients SET description = E'a \\x1b[31m\n\"b\"' WHERE name = '=Beta'")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "makers.graphql"
    path.write_text(MAKERS)
    return path


async def carbondesk(
    api: Api, *arguments: object, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Ask as the admin, unless the environment says who asks."""
    who = environment or {"CARBONDESK_TOKEN": api.admin_token}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "api", "query", "--url", api.url, *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": "", "HOME": "/nowhere", **who},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def files(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def test_one_page_is_shown_as_a_table_and_leaves_no_ticket(api: Api, document: Path) -> None:
    count = await api.ticket_count()
    done = await carbondesk(api, document)
    assert (done.returncode, done.stderr) == (0, f"2 rows{MORE}\n")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["name", "description", "stats.trades", "user.email"]
    assert lines[0].split()[:3] == ["=Beta", "a", '�[31m�"b"'], "an escape sequence is not for the terminal"
    assert len(lines) == 2
    assert await api.ticket_count() == count


async def test_all_pages_are_a_table_with_a_ticket(api: Api, document: Path) -> None:
    done = await carbondesk(api, document, "--all", "--variables", '{"active": true}')
    assert (done.returncode, done.stderr) == (0, "3 rows\n")
    assert "Gamma" in done.stdout
    assert (await api.sql("SELECT summary FROM ticket_logs ORDER BY year DESC, number DESC LIMIT 1"))[0][
        "summary"
    ] == "Exported 3 rows of marketMakers as NDJSON"


async def test_a_file_is_whole_or_not_there(api: Api, document: Path, tmp_path: Path) -> None:
    path = tmp_path / "makers.csv"
    done = await carbondesk(api, document, "--all", "-f", "csv", "-o", path)
    assert done.returncode == 0
    assert done.stderr.startswith(f"3 rows in {path} (ticket TKT-")
    assert done.stdout == ""
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert [row["name"] for row in rows] == ["'=Beta", "Alpha", "Gamma"]
    assert rows[0]["description"] == 'a \x1b[31m\n"b"'
    assert files(tmp_path) == ["makers.csv", "makers.graphql"]


async def test_one_page_of_a_file_says_that_there_are_more(api: Api, document: Path, tmp_path: Path) -> None:
    done = await carbondesk(api, document, "-f", "ndjson")
    assert done.returncode == 0
    assert done.stderr.endswith(f"{MORE}\n")
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["=Beta", "Alpha"]
    path = tmp_path / "makers.parquet"
    assert (await carbondesk(api, document, "-f", "parquet", "-o", path, "--all")).returncode == 0
    assert polars.read_parquet(path)["stats.trades"].to_list() == [0, 0, 0]


async def test_a_password_of_the_environment_signs_in_and_out_again(api: Api, document: Path) -> None:
    open_before = await sessions(api)
    who = {"CARBONDESK_EMAIL": api.admin_email, "CARBONDESK_PASSWORD": PASSWORD}
    done = await carbondesk(api, document, **who)
    assert (done.returncode, "Alpha" in done.stdout) == (0, True)
    assert await sessions(api) == open_before
    wrong = await carbondesk(api, document, **(who | {"CARBONDESK_PASSWORD": "wrong horse battery"}))
    assert wrong.returncode == 1
    assert wrong.stderr.startswith(f"carbondesk: signing in as {api.admin_email} was refused: ")
    assert "wrong horse" not in wrong.stderr


async def sessions(api: Api) -> int:
    return len((await api.ask("{ sessions { id } }"))["sessions"])


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        ((), "{ marketMakers { nodes { nme } } }", "carbondesk: 1:26: Cannot query field 'nme' on type 'MarketMaker'."),
        (("-f", "csv"), "{ marketMakers { nodes { nme } } }", "'nme'"),
        (("-f", "csv"), "{ me { name } }", "name is no list: a file has the rows of one. (BAD_REQUEST, ticket TKT-"),
        ((), "{ users {", "Syntax Error"),
        (("-v", "{"), MAKERS, "--variables is not valid JSON"),
        (("-v", "[]"), MAKERS, "--variables takes a JSON object"),
        (("-v", "@/nowhere.json"), MAKERS, "this cannot be read"),
        (("-o", "x.txt"), MAKERS, "a table is for the eye"),
        (("-f", "csv", "-o", "/nowhere/x.csv"), MAKERS, "/nowhere/x.csv cannot be written: No such file"),
        (("--url", "http://desk.example.com"), MAKERS, "in clear text: use https"),
        (("--url", "ftp://desk"), MAKERS, "is no address of an API"),
    ],
)
async def test_a_refusal_is_one_line(
    api: Api, tmp_path: Path, arguments: tuple[str, ...], text: str, message: str
) -> None:
    document = tmp_path / "q.graphql"
    document.write_text(text)
    done = await carbondesk(api, document, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.startswith("carbondesk: ")
    assert done.stderr.count("\n") == 1
    assert files(tmp_path) == ["q.graphql"]


async def test_nobody_to_ask_is_said(api: Api, document: Path) -> None:
    done = await carbondesk(api, document, CARBONDESK_HOME="/nowhere")
    assert (done.returncode, "set CARBONDESK_TOKEN" in done.stderr) == (1, True)


async def test_a_document_may_come_from_standard_input(api: Api) -> None:
    done = await carbondesk(api, "-", stdin="{ certificates { certificateType } }")
    assert (done.returncode, done.stdout.split()) == (0, ["certificateType", "CEA", "EUA"])


# ---------------------------------------------------------------------------------------------- an API that breaks off


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Serve one answer to everything."""

    async def serve(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        head = await reading.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reading.readexactly(length)
        writing.write(answer)
        await writing.drain()
        writing.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


HEAD = b"HTTP/1.1 200 OK\r\nX-Row-Count: 2\r\nX-Ticket-ID: TKT-2026-000001\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (HEAD + b'8\r\n{"a":1}\n\r\n', "does not answer"),
        (HEAD + b'8\r\n{"a":1}\n\r\n0\r\n\r\n', "the file broke off: 1 of 2 rows"),
        (b"", "does not answer"),
    ],
)
async def test_a_file_that_breaks_off_is_not_kept(
    api: Api, document: Path, tmp_path: Path, answer: bytes, message: str
) -> None:
    async with answering(answer) as url:
        done = await carbondesk(api, document, "--url", url, "-f", "ndjson", "-o", tmp_path / "x.ndjson")
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert files(tmp_path) == ["makers.graphql"]


async def test_a_redirect_does_not_take_the_token_along(api: Api, document: Path) -> None:
    async with answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") as url:
        done = await carbondesk(api, document, "--url", url)
    assert (done.returncode, done.stderr) == (1, "carbondesk: the API answered 302 Found\n")


async def test_no_api_at_all_is_unknown(api: Api, document: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = await carbondesk(api, document, "--url", url)
    assert done.returncode == 2
    assert done.stderr == f"carbondesk: {url} does not answer: [Errno 111] Connection refused\n"


# ------------------------------------------------------------------------------------------------------------ the parts


@given(st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=4), max_size=6), st.data())
def test_rows_of_csv_are_counted_whatever_their_cells_hold(rows: list[list[str]], data: st.DataObject) -> None:
    text = b"".join(csv_line(row) for row in [["a", "b"], *rows])
    lines = Lines(Format.CSV)
    while text:
        size = data.draw(st.integers(1, len(text)))
        lines.count(text[:size])
        text = text[size:]
    assert lines.rows == len(rows)


def test_rows_are_found_wherever_the_list_stands() -> None:
    page = {"nodes": [{"a": 1}], "pageInfo": {"hasNextPage": True}, "totalCount": 5}
    assert rows_in({"marketMaker": {"__typename": "MarketMaker", "orders": page}}) == ([{"a": 1}], True)
    assert rows_in({"orders": {"edges": [{"cursor": "c", "node": {"a": 1}}]}}) == ([{"a": 1}], False)
    assert rows_in({"certificates": [{"a": 1}]}) == ([{"a": 1}], False)
    assert rows_in({"me": {"name": "x", "role": "ADMIN"}}) == ([{"name": "x", "role": "ADMIN"}], False)
    groups = {"aggregateTrades": {"groups": [{"count": 1}], "hasMore": True}}
    assert rows_in(groups) == ([{"count": 1}], True)
    assert rows_in({"marketMaker": None}) == ([], False)


def test_an_object_that_is_null_in_one_row_has_its_columns_from_another() -> None:
    rows = [flat({"a": None, "t": ["x", "y"], "l": [{"k": 1}]}), flat({"a": {"b": True, "c": 1.5}})]
    assert columns_of(rows) == ["t", "l", "a.b", "a.c"]
    assert rows[0]["t"] == "x;y"
    assert (rows[0]["l"], rows[1]["a.b"]) == ('[{"k":1}]', "true")


def test_no_control_character_reaches_the_terminal() -> None:
    assert CONTROLS.sub("�", "a\x1b]0;x\x07\x9bz\n") == "a�]0;x��z�"
