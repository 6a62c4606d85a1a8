"""The README's tour, block by block: what it asks is asked, and what it shows is what is answered.

A `graphql` block starts with a comment that says whose token it needs. A `json` block is the answer to the block before
it, asked anew for each. Ids, tickets, tokens and cursors differ from run to run; everything else must be equal.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from tests.world import PASSWORD, Api, Trader

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "docs" / "examples"
BLOCK = re.compile(r"^```(graphql|json|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(README)]
DOCUMENTS = [text for language, text in BLOCKS if language == "graphql"]
CALLERS = ("# as nobody", "# as the admin", "# as the trader")
PLACEHOLDER = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')
DIFFERENT = {"id", "ticketId", "accessToken", "endCursor"}  # from run to run
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TICKET = re.compile(r"TKT-\d{4}-\d{6,}")
FIRST_LINE_S = 10.0


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    """Lay out the book that the README shows; return the trader who will buy."""
    maker = await api.maker(CEA="100")
    await api.sell(maker["id"], "12.03", "100")
    bidder = await api.trader(EUR="10000")
    await api.order(bidder, "BUY", "12.01", "400")
    return await api.trader(EUR="100000")


def test_documents_are_valid() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    assert len(DOCUMENTS) >= 11
    for document in DOCUMENTS:
        assert document.startswith(CALLERS), document
        assert validate(schema, parse(document)) == [], document


async def test_tour(api: Api, trader: Trader) -> None:
    tokens = dict(zip(CALLERS, ("", api.admin_token, trader.token), strict=True))
    known = {
        "ADMIN_PASSWORD": PASSWORD,
        "TRADER_EMAIL": trader.email,
        "TRADER_PASSWORD": PASSWORD,
        "SELL_PRICE": "12.02",
    }
    document = ""
    for (language, text), (following, _) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if language == "graphql":
            document = PLACEHOLDER.sub(lambda match: f'"{known[match[1]]}"', text)
            document = document.replace("admin@carbondesk.local", api.admin_email)
        if language == "json" or (language == "graphql" and following != "json"):
            answered = await answer(api, document, tokens)
            if language == "json":
                assert comparable(answered) == comparable(json.loads(text)), document
            remember(known, answered["data"])
    assert {name for text in DOCUMENTS for name in PLACEHOLDER.findall(text)} == set(known)


async def answer(api: Api, document: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Send a document as the README's `ask` does."""
    response = await api.post(document, token=tokens[document.splitlines()[0]])
    answered: dict[str, Any] = response.json()
    assert response.status_code == 200
    assert "errors" not in answered, answered
    assert answered["extensions"].pop("cost")  # of every answer; the README leaves it out
    if not answered["extensions"]:
        del answered["extensions"]
    return answered


def remember(known: dict[str, str], data: dict[str, Any]) -> None:
    """Keep what the README tells its reader to keep."""
    match data:
        case {"createMarketMaker": {"marketMaker": {"id": maker_id}}}:
            known["MARKET_MAKER_ID"] = maker_id
        case {"placeMarketOrder": {"order": {"id": order_id}}}:
            known["ORDER_ID"] = order_id
        case {"placeOrder": {"ticketId": ticket_id}}:
            known["TICKET_ID"] = ticket_id


def comparable(value: Any) -> Any:
    """Blank out what differs from run to run, and keep what kind of thing it is."""
    match value:
        case dict():
            return {key: "…" if key in DIFFERENT and item else comparable(item) for key, item in value.items()}
        case list():
            return [comparable(item) for item in value]
        case str():
            return TICKET.sub("TKT", UUID.sub("UUID", value))
        case _:
            return value


@asynccontextmanager
async def running(name: str, *arguments: str, **environment: str) -> AsyncIterator[asyncio.StreamReader]:
    """Start an example as a person does; give what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        str(EXAMPLES / name),
        *arguments,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.communicate()


async def test_book_watcher(api: Api) -> None:
    (code,) = [text for language, text in BLOCKS if language == "python"]
    head, body = code.split("\n\n", 1)
    example = (EXAMPLES / "watch_book.py").read_text(encoding="utf-8")
    assert head in example
    assert example.endswith(body)
    async with running("watch_book.py", "EUA", api.socket_url) as lines:
        line = (await asyncio.wait_for(lines.readline(), FIRST_LINE_S)).decode()
    assert line.startswith("EUA {'sequence': 0, 'bestBid': None, 'bestAsk': None, 'lastPrice': None, 'at': '20")


async def test_ticket_watcher(api: Api) -> None:
    async with running("watch_tickets.py", api.socket_url, TOKEN=api.admin_token) as lines:
        printed = asyncio.ensure_future(lines.readline())
        tickets = []
        async with asyncio.timeout(FIRST_LINE_S):
            while not printed.done():  # the stream begins when the watcher is connected
                tickets.append((await api.maker())["ticketId"])
                await asyncio.wait([printed], timeout=0.2)
        ticket_id, action, status, *summary = printed.result().decode().split()
    assert ticket_id in tickets
    assert [action, status, *summary[:3]] == ["MM_CREATED", "SUCCESS", "Created", "market", "maker"]
