"""Notes and keys: the vectors of the format's first implementation, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain import notes
from domain.notes import Checkpoint, NotANote, PublicKey

# From the documentation of golang.org/x/mod/sumdb/note.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
SIGNED = f"{TEXT}\n— PeterNeumann {SIGNATURE}\n"
SEED = b"\x07" * 32
ROOT = hashlib.sha256(b"root").digest()


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def sign(seed: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private.public_key().public_bytes_raw(), private.sign


def test_the_published_keys_and_note() -> None:
    key = PublicKey.parse(PUBLIC)
    name, seed = notes.parse_private(PRIVATE)
    public, signature_of = sign(seed)
    assert PublicKey(name, public) == key
    assert str(key) == PUBLIC
    assert notes.private_text(key, seed) == PRIVATE
    note = notes.parse(SIGNED)
    assert note.text == TEXT
    assert note.is_signed_by(key, verifies)
    assert signature_of(TEXT.encode()) == note.signatures[0][2]
    assert not notes.parse(SIGNED.replace("think", "thank")).is_signed_by(key, verifies)


def test_the_id_of_a_key_is_made_of_its_name_and_bytes() -> None:
    public, _ = sign(SEED)
    assert PublicKey("log", public).key_id == hashlib.sha256(b"log\n\x01" + public).digest()[:4]
    assert PublicKey("gol", public).key_id != PublicKey("log", public).key_id


def test_a_checkpoint_reads_as_it_was_written() -> None:
    public, signature_of = sign(SEED)
    key = PublicKey("carbondesk/1", public)
    checkpoint = Checkpoint("carbondesk/1", 12, ROOT)
    text = notes.signed(checkpoint.text, key, signature_of(checkpoint.text.encode()))
    note = notes.parse(text)
    assert note.checkpoint == checkpoint
    assert note.is_signed_by(key, verifies)
    other, _ = sign(b"\x08" * 32)
    assert not note.is_signed_by(PublicKey("carbondesk/1", other), verifies)
    assert not note.is_signed_by(PublicKey("carbondesk/2", public), verifies)


@pytest.mark.parametrize("text", [
    "", "a\nb\n", "a\n\n", "a\n\n— name\n", "a\n\nname AAAAAAAA\n", "a\n\n— name AAAA\n", "a\n\n— na me AAAAAAAA\n",
    "a\n\n— name !!!!\n", "a\n\n— name AAAAAAAA", "a\n\n— name AAAAAAB=\n" , "x" * 3_000,
])  # fmt: skip
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        notes.parse(text)


@pytest.mark.parametrize(
    "text", ["o\n1\n", "o\n01\nAA==\n", "o\n-1\nAA==\n", "o\n1\nAA==\n", "\n1\nAA==\n", "o\n1\nx\ny\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        _ = notes.Note(text, ()).checkpoint


@pytest.mark.parametrize("text", ["", "name", "name+00000000", "na me+c74f20a3+AA==", PUBLIC.replace("c74f", "c74e"),
                                  PRIVATE, "name+00000000+AAAA"])  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        PublicKey.parse(text)
    if text != PRIVATE:
        with pytest.raises(NotANote):
            notes.parse_private(text)
