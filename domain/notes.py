"""Signed notes and checkpoints, as C2SP writes them: texts that unrelated tools can verify.

A checkpoint is the text of three lines, origin, size and root; a note is a text, an empty line and the signatures under
it. Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from domain.merkle import HASH_BYTES

ED25519 = b"\x01"  # how the format names the algorithm
PUBLIC_KEY_BYTES = SEED_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4
NOTE_LENGTH_MAX = 2_000
SIZE_DIGITS_MAX = 18
SIGNATURE_MARK = "— "
PRIVATE_MARK = "PRIVATE+KEY+"

_NAME = re.compile(r"[^\s+]{1,200}")
_SIZE = re.compile(rf"0|[1-9][0-9]{{0,{SIZE_DIGITS_MAX - 1}}}", re.ASCII)

Verifies: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""Tell whether a signature is that of a public key under a message: (public key, signature, message)."""


class NotANote(ValueError):
    """Say why a text is no note, checkpoint or key."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who signs: a name and an Ed25519 key."""

    name: str
    raw: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.raw).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        """Write it as verifiers take it: name+id+key."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(ED25519 + self.raw)}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read what `str` wrote.

        Raises: NotANote.
        """
        name, key_id, raw = _key_parts(text.strip())
        key = cls(name, raw)
        if key.key_id.hex() != key_id:
            raise NotANote("the id of this public key is not that of its name and bytes")
        return key


def private_text(key: PublicKey, seed: bytes) -> str:
    """Write a private key as signers of notes keep it."""
    return f"{PRIVATE_MARK}{key.name}+{key.key_id.hex()}+{_base64(ED25519 + seed)}"


def parse_private(text: str) -> tuple[str, bytes]:
    """Read (name, seed) of what `private_text` wrote.

    Raises: NotANote.
    """
    if not text.startswith(PRIVATE_MARK):
        raise NotANote("this is no private key of a signer of notes")
    name, _, seed = _key_parts(text.strip().removeprefix(PRIVATE_MARK))
    return name, seed


def _key_parts(text: str) -> tuple[str, str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
        raise NotANote("a key is written name+id+base64")
    raw = _bytes(parts[2])
    if raw[:1] != ED25519 or len(raw) != 1 + PUBLIC_KEY_BYTES:
        raise NotANote("this is no Ed25519 key")
    return parts[0], parts[1], raw[1:]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the root of the tree of a size, of the log of an origin."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def signed(text: str, key: PublicKey, signature: bytes) -> str:
    """Write the note of a text that one key signed."""
    return f"{text}\n{SIGNATURE_MARK}{key.name} {_base64(key.key_id + signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was read: its text, and (name, key id, signature) of each line under it."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @property
    def checkpoint(self) -> Checkpoint:
        """What the text says.

        Raises: NotANote.
        """
        lines = self.text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise NotANote("a checkpoint has three lines: origin, size, root")
        root = _bytes(lines[2])
        if not lines[0] or not _SIZE.fullmatch(lines[1]) or len(root) != HASH_BYTES:
            raise NotANote("origin, size or root of this checkpoint cannot be read")
        return Checkpoint(lines[0], int(lines[1]), root)

    def is_signed_by(self, key: PublicKey, verifies: Verifies) -> bool:
        """Tell whether a line is the signature of this key; lines of other keys do not count."""
        ours = [signature for name, key_id, signature in self.signatures if (name, key_id) == (key.name, key.key_id)]
        return bool(ours) and all(verifies(key.raw, signature, self.text.encode()) for signature in ours)


def parse(text: str) -> Note:
    """Read a note.

    Raises: NotANote.
    """
    if len(text) > NOTE_LENGTH_MAX:
        raise NotANote("this note is too long")
    body, separator, under = text.rpartition("\n\n")
    if not separator or not under.endswith("\n"):
        raise NotANote("a note is a text, an empty line and signatures")
    return Note(body + "\n", tuple(_signature(line) for line in under[:-1].split("\n")))


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, separator, encoded = line.removeprefix(SIGNATURE_MARK).partition(" ")
    raw = _bytes(encoded)
    if not line.startswith(SIGNATURE_MARK) or not separator or not _NAME.fullmatch(name) or len(raw) <= KEY_ID_BYTES:
        raise NotANote("a signature is written — name base64")
    return name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotANote("this is no base64") from None
    if _base64(raw) != text:
        raise NotANote("this base64 is not written in its one way")
    return raw
