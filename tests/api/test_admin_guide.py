"""The admin's guide, document by document: each is valid, is answered as the guide says, and no mutation is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import FieldNode, OperationDefinitionNode, OperationType, build_schema, parse, validate

from api.policy import Policy
from api.tickets import DECLARED
from tests.world import PASSWORD, Api

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "admin-guide.md").read_text(encoding="utf-8")
DOCUMENTS = re.findall(r"^```graphql\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"# as (nobody|the admin|the trader)(?:, refused: ([A-Z_]+))?")
PLACEHOLDER = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')
TRADER = "nora.quist@example.com"


def head(document: str) -> tuple[str, str | None]:
    """Return who asks, and the code that it is refused with."""
    match = HEAD.fullmatch(document.splitlines()[0])
    assert match is not None, document
    return match[1], match[2]


def mutations(document: str) -> Iterator[str]:
    """List the root fields of a mutation."""
    for node in parse(document).definitions:
        if isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION:
            yield from (one.name.value for one in node.selection_set.selections if isinstance(one, FieldNode))


def test_documents_are_valid_and_ask_for_refusals() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    assert len(DOCUMENTS) > 20
    for document in DOCUMENTS:
        head(document)
        assert validate(schema, parse(document)) == [], document
        assert document.count("errors {") == len(list(mutations(document))), document


def test_every_mutation_of_an_admin_is_in_the_guide() -> None:
    shown = {name for document in DOCUMENTS for name in mutations(document)}
    assert {name for name, one in DECLARED.items() if one.policy is Policy.ADMIN} <= shown


@pytest.fixture
async def token_of(api: Api) -> dict[str, str]:
    return {"nobody": "", "the admin": api.admin_token, "the trader": ""}


async def test_the_day_goes_as_the_guide_says(api: Api, token_of: dict[str, str]) -> None:
    known: dict[str, str] = {}
    for document in DOCUMENTS:
        who, code = head(document)
        if who == "the trader" and not token_of[who]:
            token_of[who] = await api.login(TRADER, PASSWORD)
        body = (
            await api.post(PLACEHOLDER.sub(lambda match: f'"{known[match[1]]}"', document), None, token_of[who])
        ).json()
        assert "errors" not in body, (document, body)
        refusals = [
            error["code"]
            for payload in body["data"].values()
            if isinstance(payload, dict)
            for error in payload.get("errors", ())
        ]
        assert refusals == ([code] if code else []), (document, body)
        await remember(api, known, body["data"], token_of)
    assert set(PLACEHOLDER.findall(GUIDE)) == set(known) - {"DOCUMENT_ID"}


async def remember(api: Api, known: dict[str, str], data: dict[str, Any], token_of: dict[str, str]) -> None:
    """Keep what the guide tells its reader to keep."""
    match data:
        case {"nora": {"user": nora}, "paul": {"user": paul}}:
            known |= {"TRADER_ID": nora["id"], "OTHER_ID": paul["id"]}
        case {"users": {"nodes": [{"id": trader_id, "kycDocuments": [document]}]}}:
            assert trader_id == known["TRADER_ID"]
            known["DOCUMENT_ID"] = document["id"]
            await downloaded(api, document["id"])
        case {"first": {"deposit": first}, "second": {"deposit": second}}:
            known |= {"DEPOSIT_ID": first["id"], "OTHER_DEPOSIT_ID": second["id"]}
        case {"deposits": {"nodes": nodes}}:
            assert [node["id"] for node in nodes] == [known["OTHER_DEPOSIT_ID"], known["DEPOSIT_ID"]]
        case {"createTransaction": {"balance": balance}}:
            assert balance == {"available": "4000.00", "locked": "0.00"}
        case {"createMarketMaker": {"marketMaker": maker}}:
            known["MARKET_MAKER_ID"] = maker["id"]
        case {"last": {"order": order}}:
            known["ORDER_ID"] = order["id"]
        case {"trades": {"nodes": [third, second, first]}}:
            known |= {"TRADE_ID": first["id"], "SECOND_TRADE_ID": second["id"], "THIRD_TRADE_ID": third["id"]}
        case {"settleTrades": {"trades": trades}}:
            assert [trade["status"] for trade in trades] == ["SETTLED", "SETTLED"]
        case {"changePassword": {"accessToken": token, "sessionsRevoked": ended}}:
            assert ended == 1
            token_of["the trader"] = token


async def downloaded(api: Api, document_id: str) -> None:
    """Read a document as the guide's command does."""
    async with httpx.AsyncClient() as client:
        response = await client.get(
            f"{api.url.removesuffix('/graphql')}/kyc/{document_id}",
            headers={"Authorization": f"Bearer {api.admin_token}"},
        )
    assert (response.status_code, response.content) == (200, b"%PDF-1.7\n%%EOF\n")
