"""Identity checks. Law: a decision is made once per upload: NONE → PENDING → APPROVED, or REJECTED → PENDING again.

An admin who has seen the papers elsewhere may decide without an upload. Documents are what their bytes say they are;
they are stored for good, and their bytes appear in nothing but the answer to a recorded download.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from domain import errors, people
from domain.people import KycStatus, User

MIB = 1024 * 1024
DOCUMENT_BYTES_MAX = 5 * MIB  # a scanned passport in print quality; in base64 it fits the body of a request
ENCODED_LENGTH_MAX = (DOCUMENT_BYTES_MAX + 2) // 3 * 4
DOCUMENTS_MAX = 20  # of one user: 100 MB, for good
FILE_NAME_LENGTH_MAX = 128  # every file system takes it
KINDS = (
    "PASSPORT",
    "ID_CARD",
    "RESIDENCE_PERMIT",
    "DRIVING_LICENCE",
    "PROOF_OF_ADDRESS",
    "COMPANY_REGISTER",
    "OTHER",
)
PDF, PNG, JPEG = "application/pdf", "image/png", "image/jpeg"
# What a file of a type begins with, and how its name may end; the first ending is added where none fits.
BEGINNINGS = {PDF: b"%PDF-", PNG: b"\x89PNG\r\n\x1a\n", JPEG: b"\xff\xd8\xff"}
ENDINGS = {PDF: (".pdf",), PNG: (".png",), JPEG: (".jpg", ".jpeg")}
assert BEGINNINGS.keys() == ENDINGS.keys()

_UNWANTED = re.compile(r'[\\/:*?"<>|;%\x00-\x1f\x7f]+')
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class KycDocument:
    """A stored document without its bytes. Units: size bytes."""

    id: UUID
    user_id: UUID
    kind: str
    file_name: str
    content_type: str
    size_bytes: int
    sha256: str
    uploaded_at: datetime
    ticket_id: str


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to store, its shape checked."""

    kind: str
    file_name: str
    content_type: str
    content: bytes = field(repr=False)
    sha256: str


@dataclass(frozen=True, slots=True)
class KycOutcome:
    """A user as an upload or a decision left him, as he was before, and the document that was uploaded."""

    user: User
    before: User | None = None
    document: KycDocument | None = None


def new_document(kind: str, file_name: str, content_type: str, content_base64: str) -> NewDocument:
    """Check the shape of a document to upload.

    Raises: InvalidInput (kind, file name, type, base64, size, or bytes of another type).
    """
    wanted = kind.strip().upper()
    if wanted not in KINDS:
        raise errors.InvalidInput(f"The kind of document is one of {', '.join(KINDS)}.", field="kind")
    media_type = content_type.strip().lower()
    if media_type not in BEGINNINGS:
        raise errors.InvalidInput(f"A document is one of {', '.join(BEGINNINGS)}.", field="contentType")
    name = stored_name(file_name, media_type)
    content = _decoded(content_base64)
    if not content.startswith(BEGINNINGS[media_type]):
        raise errors.InvalidInput(
            f"These bytes are not {media_type}. Send the file as it is, with the type that it has.",
            field="contentBase64",
            contentType=media_type,
        )
    return NewDocument(wanted, name, media_type, content, hashlib.sha256(content).hexdigest())


def stored_name(file_name: str, content_type: str) -> str:
    """Return a name that no file system, header or person can take for anything else: no folders, no controls.

    Raises: InvalidInput (empty, longer than FILE_NAME_LENGTH_MAX).
    """
    people.text(file_name, field="fileName", length_max=FILE_NAME_LENGTH_MAX, label="The file name")
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", file_name))[-1]
    plain = "".join("_" if unicodedata.category(one)[0] == "C" else one for one in _UNWANTED.sub("_", last))
    name = _SPACES.sub(" ", plain).strip(" .") or "document"
    endings = ENDINGS[content_type]
    if not name.lower().endswith(endings):
        name += endings[0]
    stem, dot, ending = name.rpartition(".")
    return f"{stem[: FILE_NAME_LENGTH_MAX - len(ending) - 1]}{dot}{ending}"


def _decoded(encoded: str) -> bytes:
    # The length comes first: what is too large is not even decoded.
    if len(encoded) > ENCODED_LENGTH_MAX:
        raise _too_large(len(encoded) // 4 * 3)
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if base64.b64encode(content).decode() != encoded or not content:
        raise errors.InvalidInput(
            "The content is standard base64 with padding, without line breaks or a data: prefix.", field="contentBase64"
        )
    if len(content) > DOCUMENT_BYTES_MAX:
        raise _too_large(len(content))
    return content


def _too_large(size_bytes: int) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"A document has at most {DOCUMENT_BYTES_MAX} bytes (5 MB). Scan it in a lower resolution.",
        field="contentBase64",
        bytes=size_bytes,
        bytesMax=DOCUMENT_BYTES_MAX,
    )


def upload(user: User, documents: int) -> User:
    """Return the user as a new document leaves him: waiting for a decision.

    Raises: InvalidInput (DOCUMENTS_MAX), AlreadyDecided (approved).
    """
    if documents >= DOCUMENTS_MAX:
        raise errors.InvalidInput(
            f"There are {documents} documents of yours already; more are not taken. Ask the desk.",
            documents=documents,
            documentsMax=DOCUMENTS_MAX,
        )
    if user.kyc_status is KycStatus.APPROVED:
        raise errors.AlreadyDecided(
            "Your KYC is APPROVED already; no further document is needed.", status=user.kyc_status.value
        )
    return replace(user, kyc_status=KycStatus.PENDING, kyc_reason=None)


def decide(user: User, status: KycStatus, reason: str | None = None) -> User:
    """Return the user as a decision leaves him.

    Raises: AlreadyDecided.
    """
    if user.kyc_status in (KycStatus.APPROVED, KycStatus.REJECTED):
        hint = "" if user.kyc_status is KycStatus.APPROVED else "; a new document opens it again"
        raise errors.AlreadyDecided(
            f"The KYC of this user is {user.kyc_status} already{hint}.", field="userId", status=user.kyc_status.value
        )
    return replace(user, kyc_status=status, kyc_reason=reason)
