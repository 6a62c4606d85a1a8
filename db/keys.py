"""The sealer's key: an Ed25519 key in a file of its own, 0600, never in the environment, the database or the API.

The file is written as signers of notes keep keys; beside the checkpoints stands the public half for whoever verifies.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from db.place import make_folder, open_private
from domain.notes import SEED_BYTES, Checkpoint, NotANote, PublicKey, parse_private, private_text, signed

KEY_FILE = "seal.key"
ORIGIN = "carbondesk/"
ORIGIN_BYTES = 8  # random: no two markets seal under one name


class KeyRefused(Exception):
    """Say why the key cannot be used, and what to do."""


class Signer:
    """Signs the checkpoints of one origin."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def of_home(cls, folder: Path, *, may_make: bool = True) -> Signer:
        """Read the key in a folder of secrets; make one where there is none and one may be made.

        Raises: KeyRefused.
        """
        path = folder / KEY_FILE
        if not path.exists():
            if not may_make:
                raise KeyRefused(f"there is no {path}: only where the sealer's key is can this be signed")
            make_folder(folder, mode=0o700)
            _make(path)
        if path.stat().st_mode & 0o077:
            raise KeyRefused(f"{path} can be read by others: its mode must be 0600, and who saw it can seal like you")
        try:
            return cls(*parse_private(path.read_text(encoding="ascii")))
        except (NotANote, UnicodeDecodeError) as error:
            raise KeyRefused(f"{path} holds no key: {error}") from None

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed note of a tree."""
        return self.sign_text(Checkpoint(self.public.name, size, root).text)

    def sign_text(self, text: str) -> str:
        """Return the signed note of any other text; its first line must not be an origin."""
        return signed(text, self.public, self._key.sign(text.encode()))


def verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is that of an Ed25519 key under a message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _make(path: Path) -> None:
    """Write a new key; of two who do, the first wins and the other reads it."""
    seed = os.urandom(SEED_BYTES)
    signer = Signer(f"{ORIGIN}{secrets.token_hex(ORIGIN_BYTES)}", seed)
    making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open_private(making) as file:
        file.write(private_text(signer.public, seed) + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(making, path)
    making.unlink()
