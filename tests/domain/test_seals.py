"""Leaves and proofs: what a leaf binds, and that a proof reads as it was written."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from domain import seals
from domain.notes import NotANote, PublicKey
from domain.seals import Proof, read_proof
from domain.tickets import Payload

NOW = datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC)
DIGEST = hashlib.sha256(b"ticket").digest()
KEY = PublicKey("carbondesk/1", b"\x01" * 32)
PROOF = Proof({"ticket_id": "TKT-2026-000001", "summary": "s"}, ["[]"], 3, 9, [DIGEST], "note", KEY)


def test_the_leaves_are_what_the_docs_say() -> None:
    ticket = f'\x00["ticket","TKT-2026-000001","{DIGEST.hex()}"]'
    assert seals.ticket_leaf("TKT-2026-000001", DIGEST) == hashlib.sha256(ticket.encode()).digest()
    void = '\x00["void","2026","5","9","3","never \\"used\\"","2026-05-04T12:30:15.123456Z"]'
    assert seals.void_leaf(2026, 5, 9, 3, 'never "used"', NOW) == hashlib.sha256(void.encode()).digest()


def test_each_figure_of_a_void_moves_its_leaf() -> None:
    leaves = {
        seals.void_leaf(2026, 5, 9, 3, "x", NOW), seals.void_leaf(2027, 5, 9, 3, "x", NOW),
        seals.void_leaf(2026, 4, 9, 3, "x", NOW), seals.void_leaf(2026, 5, 8, 3, "x", NOW),
        seals.void_leaf(2026, 5, 9, 2, "x", NOW), seals.void_leaf(2026, 5, 9, 3, "y", NOW),
        seals.void_leaf(2026, 5, 9, 3, "x", NOW.replace(microsecond=0)),
    }  # fmt: skip
    assert len(leaves) == 7


@pytest.mark.parametrize("payload", [None, Payload(b"s" * 32, {"a": 1}, None, None, {"b": ["2"]})])
def test_a_proof_reads_as_it_was_written(payload: Payload | None) -> None:
    proof = Proof(PROOF.content, PROOF.effects, 3, 9, PROOF.path, "note", KEY, payload)
    bundle = proof.as_json()
    assert read_proof(bundle) == proof
    assert ("payload" in bundle) is (payload is not None)


@pytest.mark.parametrize(("field", "value"), [
    ("format", "x"), ("ticket", None), ("ticket", {}), ("effects", 1), ("leafIndex", "x"), ("treeSize", None),
    ("path", ["x"]), ("path", [1]), ("publicKey", "x"), ("payload", {"salt": "00"}),
])  # fmt: skip
def test_what_is_no_proof_is_refused(field: str, value: object) -> None:
    with pytest.raises(NotANote):
        read_proof(PROOF.as_json() | {field: value})
    with pytest.raises(NotANote):
        read_proof({key: one for key, one in PROOF.as_json().items() if key != field or field == "payload"} | (
            {"payload": 3} if field == "payload" else {}
        ))  # fmt: skip
