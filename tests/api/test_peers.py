"""Programs of other people against the real application: graphql-http's audits, graphql-ws, urql and gql."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport

from tests.api.test_http import node
from tests.world import Api

SCHEMA = Path(__file__).parents[2] / "schema.graphql"
SCRIPT_SECONDS_MAX = 30
CERTIFICATES = [
    {"certificateType": "CEA", "name": "China Emission Allowance", "tickSize": "0.01", "isHalted": False},
    {"certificateType": "EUA", "name": "EU Allowance", "tickSize": "0.01", "isHalted": False},
]
FIVE_LINES = """
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
transport = AIOHTTPTransport("{url}", headers={{"Authorization": "Bearer {token}"}})
client = Client(transport=transport, fetch_schema_from_transport=True)
print(client.execute(gql("{{ me {{ email role }} orderBook(certificateType: CEA) {{ sequence }} }}")))
"""


async def test_all_public_audits_of_graphql_over_http_pass_without_a_warning(api: Api) -> None:
    assert await asyncio.to_thread(node, "audit.mjs", api.url) == {"ok": 61, "rest": []}


async def test_urql_asks_and_graphql_ws_watches_a_book_that_changes(api: Api) -> None:
    maker = await api.maker(CEA="100")
    asked = "{ certificates { certificateType name tickSize isHalted } }"
    watched = "subscription { orderBook(certificateType: CEA) { sequence asks { price } } }"
    peer = asyncio.create_task(asyncio.to_thread(node, "clients.mjs", api.url, asked, watched))
    cents = 0
    while not peer.done():
        cents += 1
        assert (await api.sell(maker["id"], f"25.{cents:02}", "1"))["errors"] == []
        await asyncio.sleep(0.1)
    outcome: dict[str, Any] = await peer
    assert outcome["urqlPost"] == outcome["urqlGet"] == {"data": {"certificates": CERTIFICATES}}
    books = [event["orderBook"] for event in outcome["events"]]
    assert len(books) == 3
    # A book may be sent again as it is: after 5 s, or after a resync.
    assert books[0]["sequence"] <= books[1]["sequence"] <= books[2]["sequence"]
    assert books[0]["sequence"] < books[2]["sequence"]
    for book in books:
        assert book["asks"] == [{"price": f"25.{cents:02}"} for cents in range(1, book["sequence"] + 1)][:20]


async def test_a_script_of_five_lines_asks_with_gql(api: Api) -> None:
    assert len(FIVE_LINES.strip().splitlines()) == 5
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FIVE_LINES.format(url=api.url, token=api.admin_token),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SCRIPT_SECONDS_MAX)
    assert process.returncode == 0, err.decode()
    answer = json.loads(out.decode().replace("'", '"'))
    assert answer["me"] == {"email": api.admin_email, "role": "ADMIN"}
    assert answer["orderBook"]["sequence"] >= 0


async def test_gql_validates_its_documents_against_the_exported_schema(api: Api) -> None:
    transport = AIOHTTPTransport(api.url, headers={"Authorization": f"Bearer {api.admin_token}"})
    async with Client(transport=transport, schema=SCHEMA.read_text(encoding="utf-8")) as session:
        answered = await session.execute(gql("{ certificates { certificateType name tickSize isHalted } }"))
    assert answered == {"certificates": CERTIFICATES}
