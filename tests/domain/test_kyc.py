"""Documents are what their bytes say; a check is decided once per upload."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors, kyc
from domain.people import KycStatus, User, UserRole

USER = User(uuid4(), "t@desk.test", "T", UserRole.TRADER, True, KycStatus.NONE, datetime(2026, 1, 2, tzinfo=UTC))


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_document_is_cleaned_and_hashed() -> None:
    new = kyc.new_document(" id_card ", "a/b.pdf", "Application/PDF", encoded(b"%PDF-1"))
    assert (new.kind, new.file_name, new.content_type, new.content) == (
        "ID_CARD",
        "b.pdf",
        "application/pdf",
        b"%PDF-1",
    )
    assert len(new.sha256) == 64
    assert "PDF-1" not in repr(new)


@given(st.text(min_size=1, max_size=200), st.sampled_from(sorted(kyc.ENDINGS)))
def test_whatever_a_file_is_called_its_stored_name_is_harmless(name: str, content_type: str) -> None:
    try:
        stored = kyc.stored_name(name, content_type)
    except errors.InvalidInput:
        assert not name.strip() or len(name.strip()) > kyc.FILE_NAME_LENGTH_MAX
        return
    assert 1 <= len(stored) <= kyc.FILE_NAME_LENGTH_MAX
    assert stored.lower().endswith(kyc.ENDINGS[content_type])
    assert not set(stored) & set('\\/:*?"<>|;%\r\n\t\x00')
    assert stored.isprintable()
    assert not stored.startswith((".", " "))


@given(st.binary(min_size=1, max_size=64))
def test_base64_is_read_in_its_one_form_only(content: bytes) -> None:
    text = encoded(b"%PDF-" + content)
    assert kyc.new_document("OTHER", "x", kyc.PDF, text).content == b"%PDF-" + content
    for other in (text + "\n", " " + text, text.rstrip("=") + "=" * ((text.count("=") + 1) % 3 or 1), text + "A"):
        if other != text:
            with pytest.raises(errors.InvalidInput) as refused:
                kyc.new_document("OTHER", "x", kyc.PDF, other)
            assert refused.value.field == "contentBase64"


def test_what_is_too_large_is_not_decoded() -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        kyc.new_document("OTHER", "x", kyc.PDF, "!" * (kyc.ENCODED_LENGTH_MAX + 1))
    assert refused.value.details["bytesMax"] == 5 * 1024 * 1024


@pytest.mark.parametrize(("status", "after"), [
    (KycStatus.NONE, KycStatus.PENDING), (KycStatus.PENDING, KycStatus.PENDING),
    (KycStatus.REJECTED, KycStatus.PENDING), (KycStatus.APPROVED, None),
])  # fmt: skip
def test_an_upload_waits_for_a_decision(status: KycStatus, after: KycStatus | None) -> None:
    before = replace(USER, kyc_status=status, kyc_reason="No")
    if after is None:
        with pytest.raises(errors.AlreadyDecided):
            kyc.upload(before, 0)
    else:
        assert (kyc.upload(before, 0).kyc_status, kyc.upload(before, 0).kyc_reason) == (after, None)
    with pytest.raises(errors.InvalidInput):
        kyc.upload(before, kyc.DOCUMENTS_MAX)


@pytest.mark.parametrize("status", [KycStatus.NONE, KycStatus.PENDING])
def test_what_is_not_decided_is_decided(status: KycStatus) -> None:
    before = replace(USER, kyc_status=status)
    assert kyc.decide(before, KycStatus.APPROVED).kyc_status is KycStatus.APPROVED
    rejected = kyc.decide(before, KycStatus.REJECTED, "No")
    assert (rejected.kyc_status, rejected.kyc_reason) == (KycStatus.REJECTED, "No")
    for decided in (KycStatus.APPROVED, KycStatus.REJECTED):
        with pytest.raises(errors.AlreadyDecided) as refused:
            kyc.decide(replace(before, kyc_status=decided), KycStatus.APPROVED)
        assert refused.value.details == {"status": decided}
