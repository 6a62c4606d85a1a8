"""Sealed tickets in the schema: when a ticket was sealed, its proof, who may see it, and what the probe says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api import audit
from api.settings import Settings
from db import retention
from db.keys import KeyRefused, Signer, verifies
from domain import merkle, notes, seals
from tests.db.sealing import Sealing, sealing
from tests.world import Api

PROOF = """query($id: ID!) {
  ticket(ticketId: $id) { ticketId digest sealedAt }
  ticketProof(ticketId: $id) { ticketId leafIndex treeSize leafHash path checkpoint }
}"""
REFUSED = 'mutation { cancelMarketOrder(id: "x") { ticketId } }'  # leaves a FAILED ticket


@pytest.fixture
async def seal_it(settings: Settings, database: str) -> AsyncIterator[Sealing]:
    async with sealing(database, settings.home) as opened:
        yield opened


async def test_a_ticket_is_proved_once_it_is_sealed(api: Api, seal_it: Sealing) -> None:
    ticket_id = (await api.maker())["ticketId"]
    before = await api.ask(PROOF, id=ticket_id)
    assert before["ticket"]["sealedAt"] is None
    assert before["ticketProof"] is None
    await seal_it.seal()
    found = await api.ask(PROOF, id=ticket_id)
    proof, ticket = found["ticketProof"], found["ticket"]
    assert ticket["sealedAt"] is not None
    assert proof["ticketId"] == ticket_id
    leaf = seals.ticket_leaf(ticket_id, bytes.fromhex(ticket["digest"]))
    assert proof["leafHash"] == leaf.hex()
    assert_proves(proof, leaf, seal_it)


def assert_proves(proof: dict[str, Any], leaf: bytes, sealed: Sealing) -> None:
    note = notes.parse(proof["checkpoint"])
    assert note.is_signed_by(sealed.signer.public, verifies)
    assert note.checkpoint.size == int(proof["treeSize"])
    path = [bytes.fromhex(one) for one in proof["path"]]
    assert merkle.proves_inclusion(leaf, int(proof["leafIndex"]), int(proof["treeSize"]), path, note.checkpoint.root)


async def test_every_leaf_of_a_tree_with_inner_nodes_is_proved(api: Api, seal_it: Sealing, database: str) -> None:
    """Beyond 256 leaves a proof is made of kept inner nodes too."""
    for _ in range(6):
        for _ in range(50):
            await api.post(REFUSED)
        await seal_it.seal()
    owner = await asyncpg.connect(database)
    try:
        rows = await owner.fetch("SELECT ticket_id, digest FROM ticket_logs ORDER BY number")
        assert await owner.fetchval("SELECT count(*) FROM audit_nodes") >= 1
    finally:
        await owner.close()
    assert len(rows) > 300
    for row in rows[:: len(rows) // 25]:
        found = await api.ask(PROOF, id=row["ticket_id"])
        assert_proves(found["ticketProof"], seals.ticket_leaf(row["ticket_id"], row["digest"]), seal_it)


@pytest.mark.parametrize("ticket_id", ["TKT-2026-99999999", "x", ""])
async def test_what_is_no_ticket_has_no_proof(api: Api, ticket_id: str) -> None:
    found = await api.ask(PROOF, id=ticket_id)
    assert found.data == {"ticket": None, "ticketProof": None}


async def test_a_trader_may_not_ask_for_a_proof(api: Api, seal_it: Sealing) -> None:
    trader = await api.trader()
    asked = await api.ask('{ ticketProof(ticketId: "TKT-2026-000001") { leafHash } }', trader.token)
    assert [error["extensions"]["code"] for error in asked.errors] == ["FORBIDDEN"]


async def test_the_probe_tells_how_far_the_sealer_is_behind(api: Api, seal_it: Sealing) -> None:
    probe = api.url.replace("/graphql", "/readyz")
    async with httpx.AsyncClient() as client:
        await api.maker()
        await seal_it.seal()
        ready = (await client.get(probe)).json()
        assert (ready["status"], ready["sealing"], ready["sealLagSeconds"]) == ("ready", "ok", 0)
        await api.sql("UPDATE audit_head SET alarm = 'x'")
        assert (await client.get(probe)).json()["sealing"] == "stopped"
        await api.sql("UPDATE audit_head SET alarm = NULL")


async def test_an_archived_payload_is_null_and_everything_else_stays(
    api: Api, seal_it: Sealing, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id = (await api.maker())["ticketId"]
    await seal_it.seal()
    before = await api.ticket(ticket_id)
    monkeypatch.setattr(retention, "OLDER_THAN_MIN", timedelta(0))
    said: list[str] = []
    stages: set[str] = set()
    for is_dry in (True, False):
        await audit.archive_payloads(
            settings, timedelta(0), said.append, lambda stage, _done, _all: stages.add(stage), is_dry=is_dry
        )
        assert bool(stages) is not is_dry
    assert stages == {"archiving", "deleting"}
    assert said[1] == "nothing was changed"
    after = await api.ticket(ticket_id)
    gone = {"requestPayload", "responseData", "beforeState", "afterState"}
    assert before["requestPayload"]
    assert {name: after[name] for name in gone} == dict.fromkeys(gone)
    kept = before.keys() - gone - {"changes"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    archived = await api.ask(
        "{ tickets(filter: { actionTypes: [DATA_ARCHIVED] }, first: 1) { nodes { status tags user { id } } } }"
    )
    assert archived["tickets"]["nodes"] == [{"status": "SUCCESS", "tags": ["retention", "cli"], "user": None}]
    await seal_it.seal()
    report = await asyncio.to_thread(
        audit.verify_market, settings, api.database_url, said.append, None, None, settings.home / "archive"
    )
    assert report.is_clean, report.breaks


async def test_retention_without_the_key_changes_nothing(
    api: Api, seal_it: Sealing, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await api.maker()
    await seal_it.seal()
    monkeypatch.setattr(retention, "OLDER_THAN_MIN", timedelta(0))
    elsewhere = settings.model_copy(update={"home": tmp_path})
    count = await api.sql("SELECT count(*) AS n FROM ticket_payloads")
    with pytest.raises(KeyRefused, match="only where the sealer's key is"):
        await audit.archive_payloads(elsewhere, timedelta(0), lambda _: None, lambda *_: None, is_dry=False)
    Signer.of_home(tmp_path / "secrets")
    with pytest.raises(retention.RetentionRefused, match="this tree is sealed by"):
        await audit.archive_payloads(elsewhere, timedelta(0), lambda _: None, lambda *_: None, is_dry=False)
    assert await api.sql("SELECT count(*) AS n FROM ticket_payloads") == count
