"""Seals. Law: each ticket and each void is one leaf of one tree, and a leaf binds all of what it stands for.

A proof carries everything that is needed to follow one ticket from its columns to a signed checkpoint, so that it can
be checked by somebody who has neither the database nor this program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain import merkle, notes
from domain.notes import NotANote, PublicKey, Verifies
from domain.tickets import Payload, canonical, digest_of, effects_hash, hmac_of, instant

PROOF_FORMAT = "carbondesk-proof/1"
PARTS = ("request", "response", "before", "after")


class LeafKind(StrEnum):
    """What a leaf stands for."""

    TICKET = "ticket"
    VOID = "void"


def ticket_leaf(ticket_id: str, digest: bytes) -> bytes:
    """Return the leaf hash of a ticket: over ["ticket", its id, its digest in hex]."""
    return merkle.leaf_hash(f'["ticket","{ticket_id}","{digest.hex()}"]'.encode())


def void_leaf(year: int, lo: int, hi: int, lease_id: int, reason: str, created_at: datetime) -> bytes:
    """Return the leaf hash of a void: over ["void", year, lo, hi, lease, reason, instant], every value a string."""
    content = ["void", str(year), str(lo), str(hi), str(lease_id), reason, instant(created_at)]
    return merkle.leaf_hash(canonical(content).encode())


@dataclass(frozen=True, slots=True)
class Proof:
    """One ticket and its way to a checkpoint. payload: where it was asked for and is still there."""

    content: Mapping[str, Any]
    effects: Sequence[str]
    leaf_index: int
    tree_size: int
    path: Sequence[bytes]
    checkpoint: str
    key: PublicKey
    payload: Payload | None = None

    @property
    def leaf(self) -> bytes:
        return ticket_leaf(str(self.content["ticket_id"]), digest_of(self.content))

    def as_json(self) -> dict[str, Any]:
        """Write it as people hand it on."""
        bundle = {
            "format": PROOF_FORMAT,
            "ticket": dict(self.content),
            "effects": list(self.effects),
            "digest": digest_of(self.content).hex(),
            "leafHash": self.leaf.hex(),
            "leafIndex": self.leaf_index,
            "treeSize": self.tree_size,
            "path": [one.hex() for one in self.path],
            "checkpoint": self.checkpoint,
            "publicKey": str(self.key),
        }
        if self.payload:
            parts = {name: getattr(self.payload, name) for name in PARTS}
            bundle["payload"] = {"salt": self.payload.salt.hex(), **parts}
        return bundle


def read_proof(bundle: Any) -> Proof:
    """Read what `Proof.as_json` wrote.

    Raises: NotANote when it is no such thing.
    """
    try:
        if bundle["format"] != PROOF_FORMAT:
            raise NotANote(f"this is no proof of the format {PROOF_FORMAT}")
        given = bundle.get("payload")
        proof = Proof(
            content={str(name): value for name, value in bundle["ticket"].items()},
            effects=[str(line) for line in bundle["effects"]],
            leaf_index=int(bundle["leafIndex"]),
            tree_size=int(bundle["treeSize"]),
            path=[bytes.fromhex(one) for one in bundle["path"]],
            checkpoint=str(bundle["checkpoint"]),
            key=PublicKey.parse(bundle["publicKey"]),
            payload=Payload(bytes.fromhex(given["salt"]), *(given[name] for name in PARTS)) if given else None,
        )
        assert isinstance(proof.content["ticket_id"], str)
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise NotANote(f"this is no proof: {error!r}") from None
    except ValueError as error:
        raise NotANote(f"this is no proof: {error}") from None
    return proof


def broken_by(proof: Proof, bundle: Mapping[str, Any], key: PublicKey, verifies: Verifies) -> str | None:
    """Return the first step of a proof that does not follow, in words; None when it proves its ticket."""
    if effects_hash(proof.effects) != proof.content.get("effects"):
        return "the rows that name the ticket are not those that its digest covers"
    if proof.payload and hmac_of(proof.payload).hex() != proof.content.get("payload"):
        return "the payload is not the one that the ticket binds"
    if digest_of(proof.content).hex() != bundle.get("digest"):
        return "the digest is not that of the ticket"
    if proof.leaf.hex() != bundle.get("leafHash"):
        return "the leaf is not that of the ticket"
    note = notes.parse(proof.checkpoint)
    checkpoint = note.checkpoint
    if checkpoint.origin != key.name or not note.is_signed_by(key, verifies):
        return f"the checkpoint is not signed by the key {key.name}+{key.key_id.hex()}"
    if checkpoint.size != proof.tree_size:
        return f"the checkpoint is of a tree of {checkpoint.size} leaves, the proof of one of {proof.tree_size}"
    if not merkle.proves_inclusion(proof.leaf, proof.leaf_index, proof.tree_size, proof.path, checkpoint.root):
        return "the path does not lead from the leaf to the root of the checkpoint"
    return None
