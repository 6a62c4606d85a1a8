"""The programs that show people how to follow a book, against the real market and against a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from api.socket import PROTOCOL
from api.watch import LostError, Watched
from tests.world import CANCEL_MARKET_ORDER, Api

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PACKAGES = Path(os.environ.get("NODE_FOLDER", Path(__file__).parents[2] / "dashboard")) / "node_modules"
LINE_S_MAX = 20.0
PROGRAMS = ("follow_book.py", "follow_book.mjs")


@asynccontextmanager
async def running(program: str, folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start an example as a person does."""
    command = [sys.executable, "-u", str(EXAMPLES / program)]
    if program.endswith(".mjs"):  # packages are found beside the program
        (folder / program).write_text((EXAMPLES / program).read_text(encoding="utf-8"), encoding="utf-8")
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(PACKAGES)
        command = ["node", "--experimental-websocket", "--no-warnings", str(folder / program)]
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def until_printed(stream: asyncio.StreamReader | None, wanted: str) -> None:
    assert stream is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(LINE_S_MAX):
            while wanted not in (line := (await stream.readline()).decode()):
                assert line, f"it ended after {lines}"
                lines.append(line)
    except TimeoutError:
        raise AssertionError(f"no {wanted!r} but {lines}") from None


@pytest.mark.parametrize("program", PROGRAMS)
async def test_an_example_keeps_the_book_of_the_market(api: Api, program: str, tmp_path: Path) -> None:
    assert len((EXAMPLES / program).read_text(encoding="utf-8").splitlines()) <= 80
    maker, buyer = await api.maker(CEA="1000"), await api.trader(EUR="10000")
    orders = [await api.sell(maker["id"], f"20.{number:02}", "10") for number in range(12)]
    await api.order(buyer, "BUY", "19.00", "5")
    async with running(program, tmp_path, "CEA", api.socket_url) as process:
        await until_printed(process.stdout, " 19.00 | 20.00")
        await api.ask(CANCEL_MARKET_ORDER, id=orders[0]["order"]["id"])
        await until_printed(process.stdout, " 19.00 | 20.01")
        await api.order(buyer, "BUY", "20.01", "12")
        await until_printed(process.stdout, " 20.01 | 20.02")
        (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
        await api.order(buyer, "BUY", "19.50", "1")
        await until_printed(process.stdout, f"CEA {row['sequence'] + 1} 20.01 | 20.02")
    await api.clear()


def book_checksum(text: str) -> int:
    return zlib.crc32(text.encode())


def snapshot(sequence: int) -> dict[str, Any]:
    levels = [{"price": "10.00", "quantity": "5"}]
    return {"reason": "SUBSCRIBED", "book": {"sequence": sequence, "bids": levels, "asks": [],
                                              "checksum": book_checksum("b:10.00:5;")}}  # fmt: skip


def delta(previous: int, sequence: int, quantity: str, checksum: int | None = None) -> dict[str, Any]:
    right = book_checksum(f"b:10.00:{quantity};" if quantity != "0" else "")
    return {"previousSequence": previous, "sequence": sequence, "checksum": right if checksum is None else checksum,
            "changes": [{"side": "BUY", "price": "10.00", "quantity": quantity}]}  # fmt: skip


# What the server tells at each connection, and after which sequence the program must have asked.
SCRIPT: list[tuple[int | None, list[dict[str, Any]]]] = [
    (None, [snapshot(5), delta(5, 6, "7")]),  # then the line is cut
    (6, [delta(6, 8, "9"), {"newest": 8, "at": "2026-01-01T00:00:00Z"}, delta(9, 10, "1")]),  # a gap
    (None, [snapshot(11), delta(11, 12, "3", checksum=1)]),  # another book than it should be
    (None, [snapshot(20), delta(20, 21, "0")]),
]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_an_example_resumes_after_a_cut_and_begins_anew_after_a_gap_or_a_wrong_book(
    program: str, tmp_path: Path
) -> None:
    asked: list[int | None] = []
    waiting = list(SCRIPT)

    async def misbehave(connection: ServerConnection) -> None:
        assert json.loads(await connection.recv())["type"] == "connection_init"
        await connection.send('{"type":"connection_ack"}')
        message = json.loads(await connection.recv())
        asked.append(message["payload"]["variables"]["after"])
        _, events = waiting.pop(0)
        for event in events:
            payload = {"data": {"orderBookChanges": event}}
            await connection.send(json.dumps({"id": message["id"], "type": "next", "payload": payload}))
        if len(waiting) == len(SCRIPT) - 1:
            await asyncio.sleep(0.3)
            connection.transport.abort()
        await connection.wait_closed()

    async with serve(misbehave, "127.0.0.1", 0, subprotocols=[PROTOCOL]) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(program, tmp_path, "CEA", f"ws://127.0.0.1:{port}") as process:
            await until_printed(process.stdout, "CEA 6 10.00 |")
            await until_printed(process.stdout, "CEA 8 10.00 |")
            await until_printed(process.stderr, "a gap between 8 and 9")
            await until_printed(process.stdout, "CEA 11 10.00 |")
            await until_printed(process.stderr, "not the book of 12")
            await until_printed(process.stdout, "CEA 20 10.00 |")
            await until_printed(process.stdout, "CEA 21 |")
    assert asked == [after for after, _ in SCRIPT]


# ------------------------------------------------------------------------------------------------------ in the terminal


async def test_watch_shows_the_ladder_its_sequence_and_that_it_is_live(api: Api) -> None:
    maker = await api.maker(CEA="1000")
    await api.sell(maker["id"], "41.50", "25")
    (row,) = await api.sql("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "watch", "cea", "--url", api.url.removesuffix("/graphql"), "--seconds", "3",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown = (await asyncio.wait_for(process.communicate(), LINE_S_MAX))[0].decode()
    assert process.returncode == 0
    for word in (f"#{row['sequence']}", "41.50", "25", "live,"):
        assert word in shown, shown
    await api.clear()


async def test_watch_says_what_is_wrong() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "watch", "CEA", "--url", "http://127.0.0.1:9/graphql", "--seconds", "1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown = (await asyncio.wait_for(process.communicate(), LINE_S_MAX))[0].decode()
    assert "no connection to ws://127.0.0.1:9/graphql" in shown
    refused = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "watch", "GOLD", stderr=asyncio.subprocess.PIPE
    )
    said = (await asyncio.wait_for(refused.communicate(), LINE_S_MAX))[1].decode()
    assert (refused.returncode, said) == (1, "carbondesk: there is no certificate GOLD: CEA and EUA are traded\n")


def test_a_watched_book_says_how_far_it_can_be_trusted() -> None:
    watched = Watched(trouble="")
    level = {"price": "10.00", "quantity": "5", "orderCount": 1}
    book = {"sequence": 5, "bids": [level], "asks": [], "checksum": book_checksum("b:10.00:5;")}
    watched.take({"__typename": "OrderBookSnapshot", "reason": "SUBSCRIBED", "book": book}, 100.0)
    beat = {"__typename": "OrderBookHeartbeat", "newest": 5, "at": "a"}
    watched.take(beat, 100.0)
    assert watched.state(101.0) == ("live, 1.0 s old", "green")
    watched.take(beat, 105.0)  # the same once more: the database has said nothing new
    assert watched.state(105.0) == ("stale: the database has said nothing for 5 s", "bold red")
    watched.take({**beat, "newest": 6, "at": "b"}, 106.0)
    assert watched.state(107.0) == ("live, 1.0 s old", "green")
    assert watched.state(108.5) == ("behind: the newest is 6", "bold yellow")
    change = {"side": "BUY", **level, "quantity": "0", "orderCount": 0}
    event = {"__typename": "OrderBookDelta", "previousSequence": 5, "sequence": 6, "changes": [change], "checksum": 0}
    watched.take(event, 108.5)
    assert watched.state(108.5) == ("live, 2.5 s old", "green")
    with pytest.raises(LostError, match="there was a gap"):
        watched.take({**event, "previousSequence": 9, "sequence": 10}, 109.0)
    watched.trouble = "no connection"
    assert watched.state(110.0) == ("no connection", "bold red")
