"""Identity checks: documents that are what their bytes say, decided once, handed out to admins with a ticket each."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from domain.kyc import DOCUMENT_BYTES_MAX, DOCUMENTS_MAX
from tests.world import PASSWORD, PLACE_ORDER, Api, Trader

pytestmark = pytest.mark.usefixtures("lawful")
ERRORS = "ticketId errors { code message field details }"
DOCUMENT = "id kind fileName contentType bytes sha256 uploadedAt ticketId"
UPLOAD = f"""mutation($input: UploadKycDocumentInput!) {{ uploadKycDocument(input: $input) {{ {ERRORS}
  user {{ id kycStatus kycReason }} document {{ {DOCUMENT} }} }} }}"""
APPROVE = f"mutation($id: ID!) {{ approveKyc(userId: $id) {{ {ERRORS} user {{ id kycStatus }} }} }}"
REJECT = f"""mutation($id: ID!, $reason: String!) {{ rejectKyc(userId: $id, reason: $reason) {{ {ERRORS}
  user {{ id kycStatus kycReason }} }} }}"""
DOCUMENTS = f"query($id: ID!) {{ user(id: $id) {{ kycStatus kycReason kycDocuments {{ {DOCUMENT} }} }} }}"
PDF = b"%PDF-1.7\n% canary-of-a-passport\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR canary"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF canary"
LARGE = pytest.mark.filterwarnings("ignore:Sending a large body")  # the client of these tests may lose its time
BUY = {"certificateType": "CEA", "side": "BUY", "price": "10.00", "quantity": "1"}


def paper(content: bytes = PDF, **other: str) -> dict[str, str]:
    return {
        "kind": "PASSPORT",
        "fileName": "passport.pdf",
        "contentType": "application/pdf",
        "contentBase64": base64.b64encode(content).decode(),
        **other,
    }


async def upload(api: Api, trader: Trader, **asked: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.ask(UPLOAD, trader.token, input=paper(**asked)))["uploadKycDocument"]
    assert payload["errors"] == []
    return payload


async def download(api: Api, document_id: str, token: str | None = None, **headers: str) -> httpx.Response:
    if token := api.admin_token if token is None else token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient() as client:
        return await client.get(f"{api.url.removesuffix('/graphql')}/kyc/{document_id}", headers=headers)


async def stored_text(api: Api) -> str:
    """Return whatever the trail holds, as text."""
    (row,) = await api.sql(
        "SELECT (SELECT string_agg(t::text, '') FROM ticket_logs t) || (SELECT string_agg(p::text, '')"
        " FROM ticket_payloads p) AS text"
    )
    text: str = row["text"]
    return text


# ------------------------------------------------------------------------------------------------------------ uploading


async def test_a_document_is_stored_and_waits_for_a_decision(api: Api) -> None:
    trader = await api.trader(kyc=False)
    payload = await upload(api, trader)
    assert payload["user"] == {"id": trader.id, "kycStatus": "PENDING", "kycReason": None}
    document = payload["document"]
    assert {name: document[name] for name in ("kind", "fileName", "contentType", "bytes", "sha256", "ticketId")} == {
        "kind": "PASSPORT",
        "fileName": "passport.pdf",
        "contentType": "application/pdf",
        "bytes": len(PDF),
        "sha256": hashlib.sha256(PDF).hexdigest(),
        "ticketId": payload["ticketId"],
    }
    (row,) = await api.sql("SELECT content, user_id::text FROM kyc_documents WHERE id = $1", document["id"])
    assert (row["content"], row["user_id"]) == (PDF, trader.id)
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityType"], ticket["entityId"]) == (
        "KYC_UPLOADED", f"Uploaded PASSPORT, {len(PDF)} bytes of application/pdf", "KYC_DOCUMENT", document["id"],
    )  # fmt: skip
    assert ticket["requestPayload"]["input"] == {**paper(), "contentBase64": "[redacted]"}
    assert {"path": "user.kycStatus", "before": "NONE", "after": "PENDING"} in ticket["changes"]
    for token in (None, trader.token):
        assert (await api.ask(DOCUMENTS, token, id=trader.id))["user"]["kycDocuments"] == [document]


@LARGE
async def test_every_allowed_type_is_taken_and_a_document_of_5_mb_too(api: Api) -> None:
    trader = await api.trader(kyc=False)
    largest = PDF + b"x" * (DOCUMENT_BYTES_MAX - len(PDF))
    for content, media_type, kind in (
        (PNG, "image/png", "id_card"), (JPEG, " IMAGE/JPEG ", "OTHER"),
        (largest, "application/pdf", "PROOF_OF_ADDRESS"),
    ):  # fmt: skip
        payload = await upload(api, trader, content=content, contentType=media_type, kind=kind, fileName="scan")
        assert payload["document"]["bytes"] == len(content)
        assert payload["document"]["kind"] == kind.upper()
        assert payload["document"]["contentType"] == media_type.strip().lower()
    response = await download(api, payload["document"]["id"])
    assert response.content == largest


@pytest.mark.parametrize(("sent", "stored"), [
    ("../../etc/passwd", "passwd.pdf"),
    ("C:\\Users\\me\\pass port.PDF", "pass port.PDF"), ("invoice.exe", "invoice.exe.pdf"),
    ("a\r\nSet-Cookie: x.pdf", "a_Set-Cookie_ x.pdf"), ('q"uote;.pdf', "q_uote_.pdf"),
    ("\u202efdp.exe", "_fdp.exe.pdf"),
    ("Führerschein.pdf", "Führerschein.pdf"), ("...", "document.pdf"), ("/", "document.pdf"), ("护照.pdf", "护照.pdf"),
])  # fmt: skip
async def test_a_file_name_is_nothing_but_a_name(api: Api, sent: str, stored: str) -> None:
    trader = await api.trader(kyc=False)
    payload = await upload(api, trader, fileName=sent)
    assert payload["document"]["fileName"] == stored
    response = await download(api, payload["document"]["id"])
    disposition = response.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert "\n" not in disposition
    assert disposition.isascii()
    assert disposition.count(";") == 2


WRONG_PAPERS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "SELFIE"}, "kind"),
    ({"kind": ""}, "kind"),
    ({"contentType": "text/html"}, "contentType"),
    ({"contentType": "application/pdf; charset=x"}, "contentType"),
    ({"contentType": "image/svg+xml"}, "contentType"),
    ({"fileName": ""}, "fileName"),
    ({"fileName": " \t"}, "fileName"),
    ({"fileName": "x" * 129}, "fileName"),
    ({"contentBase64": ""}, "contentBase64"),
    ({"contentBase64": "JVBERi0"}, "contentBase64"),  # no padding
    ({"contentBase64": "JVBERi0xLjc=\n"}, "contentBase64"),
    ({"contentBase64": "JVBE Ri0x"}, "contentBase64"),
    ({"contentBase64": "JVBERi0x===="}, "contentBase64"),
    ({"contentBase64": "JVBERi0xLg=="[:-3] + "h=="}, "contentBase64"),  # bits beyond the last byte
    ({"contentBase64": "data:application/pdf;base64,JVBERi0x"}, "contentBase64"),
    ({"contentBase64": "_-__"}, "contentBase64"),  # the alphabet of URLs
    ({"contentBase64": "ＪＶＢＥ"}, "contentBase64"),
    ({"content": PNG}, "contentBase64"),
    ({"content": PDF, "contentType": "image/png"}, "contentBase64"),
    ({"content": b"\xff\xd8 no", "contentType": "image/jpeg"}, "contentBase64"),
    ({"content": b" %PDF-1.7"}, "contentBase64"),
    ({"content": b"MZ\x90\x00"}, "contentBase64"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG_PAPERS, ids=[str(index) for index in range(len(WRONG_PAPERS))])
async def test_a_wrong_document_is_refused(api: Api, wrong: dict[str, Any], field: str) -> None:
    trader = await api.trader(kyc=False)
    refusal = await api.refused("INVALID_INPUT", UPLOAD, trader.token, input=paper(**wrong))
    assert refusal["field"] == field
    assert refusal["ticket"]["action_type"] == "KYC_UPLOADED"


@LARGE
@pytest.mark.parametrize("length", [DOCUMENT_BYTES_MAX + 1, DOCUMENT_BYTES_MAX + 300_000])
async def test_a_document_above_5_mb_is_refused_with_the_figures(api: Api, length: int) -> None:
    trader = await api.trader(kyc=False)
    asked = paper(PDF + b"x" * (length - len(PDF)))
    refusal = await api.refused("INVALID_INPUT", UPLOAD, trader.token, input=asked)
    assert refusal["field"] == "contentBase64"
    assert refusal["details"]["bytesMax"] == DOCUMENT_BYTES_MAX
    assert abs(refusal["details"]["bytes"] - length) < 3


async def test_somebody_s_documents_have_a_bound(api: Api) -> None:
    trader = await api.trader(kyc=False)
    for _ in range(DOCUMENTS_MAX):
        await upload(api, trader)
    refusal = await api.refused("INVALID_INPUT", UPLOAD, trader.token, input=paper())
    assert refusal["details"] == {"documents": DOCUMENTS_MAX, "documentsMax": DOCUMENTS_MAX}


async def test_the_bytes_of_a_document_are_in_no_ticket(api: Api) -> None:
    trader = await api.trader(kyc=False)
    payload = await upload(api, trader)
    await download(api, payload["document"]["id"])
    await api.refused("INVALID_INPUT", UPLOAD, trader.token, input=paper(kind="SELFIE"))
    await api.post(UPLOAD, {"input": {**paper(), "kind": 5}}, trader.token)  # does not coerce
    await api.post(
        f'mutation {{ uploadKycDocument(input: {{kind: "X", fileName: "f", contentType: "c", contentBase64:'
        f' "{base64.b64encode(PDF).decode()}"}}) {{ ticketId }} }}',
        None,
        trader.token,
    )
    text = await stored_text(api)
    for canary in ("canary-of-a-passport", base64.b64encode(PDF).decode()[:24], PDF.hex()[:32]):
        assert canary not in text


# ------------------------------------------------------------------------------------------------------------- deciding


async def test_orders_need_an_approved_check(api: Api) -> None:
    trader = await api.trader(kyc=False, EUR="100")
    await api.refused("KYC_REQUIRED", PLACE_ORDER, trader.token, input=BUY)
    await upload(api, trader)
    await api.refused("KYC_REQUIRED", PLACE_ORDER, trader.token, input=BUY)
    rejected = (await api.ask(REJECT, id=trader.id, reason=" The scan cannot be read. "))["rejectKyc"]
    assert rejected["user"] == {"id": trader.id, "kycStatus": "REJECTED", "kycReason": "The scan cannot be read."}
    await api.refused("KYC_REQUIRED", PLACE_ORDER, trader.token, input=BUY)
    for token in (None, trader.token):
        assert (await api.ask(DOCUMENTS, token, id=trader.id))["user"]["kycReason"] == "The scan cannot be read."
    ticket = await api.ticket(rejected["ticketId"])
    assert (ticket["actionType"], ticket["summary"]) == ("KYC_REJECTED", "Rejected KYC of TRADER")
    assert "scan" not in ticket["summary"]
    assert ticket["requestPayload"] == {"userId": trader.id, "reason": " The scan cannot be read. "}

    again = await upload(api, trader, content=PNG, contentType="image/png")
    assert again["user"] == {"id": trader.id, "kycStatus": "PENDING", "kycReason": None}
    approved = (await api.ask(APPROVE, id=trader.id))["approveKyc"]
    assert (approved["errors"], approved["user"]["kycStatus"]) == ([], "APPROVED")
    placed = (await api.ask(PLACE_ORDER, trader.token, input=BUY))["placeOrder"]
    assert (placed["errors"], placed["order"]["status"]) == ([], "OPEN")


async def test_a_check_is_decided_once(api: Api) -> None:
    trader = await api.trader()
    for document, token, asked, field in (
        (APPROVE, None, {"id": trader.id}, "userId"),
        (REJECT, None, {"id": trader.id, "reason": "late"}, "userId"),
        (UPLOAD, trader.token, {"input": paper()}, None),
    ):
        refusal = await api.refused("ALREADY_DECIDED", document, token, **asked)
        assert (refusal["field"], refusal["details"]) == (field, {"status": "APPROVED"})
    refused = await api.trader(kyc=False)
    await api.ask(REJECT, id=refused.id, reason="No")
    for document, more in ((APPROVE, {}), (REJECT, {"reason": "Again"})):
        refusal = await api.refused("ALREADY_DECIDED", document, id=refused.id, **more)
        assert refusal["details"] == {"status": "REJECTED"}


async def test_a_rejection_names_somebody_and_says_why(api: Api) -> None:
    trader, maker = await api.trader(kyc=False), await api.maker()
    for reason in ("", "  ", "x" * 2_001):
        assert (await api.refused("INVALID_INPUT", REJECT, id=trader.id, reason=reason))["field"] == "reason"
    for user_id in (str(uuid4()), "x", maker["user"]["id"]):
        assert (await api.refused("USER_NOT_FOUND", REJECT, id=user_id, reason="No"))["field"] == "userId"
    await api.refused("INVALID_INPUT", REJECT, id="x", reason="")


async def test_documents_and_reasons_are_for_admins_and_their_owner(api: Api) -> None:
    trader, maker = await api.trader(kyc=False, EUR="100"), await api.maker(CEA="5")
    await upload(api, trader)
    await api.ask(REJECT, id=trader.id, reason="No")
    email = f"analyst-{uuid4().hex[:8]}@desk.test"
    await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } } }",
        input={"email": email, "name": "A", "role": "ANALYST", "password": PASSWORD},
    )
    analyst = await api.login(email)
    await api.ask("mutation($id: ID!) { deleteMarketMaker(id: $id) { ticketId } }", id=maker["id"])
    found = await api.ask(
        "{ tickets { nodes { user { id kycReason kycDocuments { id } deposits { totalCount } } } } }", analyst
    )
    users = [node["user"] for node in found["tickets"]["nodes"] if node["user"] and node["user"]["id"] == trader.id]
    assert users
    assert {json.dumps(user) for user in users} == {
        json.dumps({"id": trader.id, "kycReason": None, "kycDocuments": [], "deposits": {"totalCount": 0}})
    }


# ---------------------------------------------------------------------------------------------------------- downloading


async def test_a_document_comes_as_a_file_with_a_ticket_each_time(api: Api) -> None:
    trader = await api.trader(kyc=False)
    document_id = (await upload(api, trader, fileName="Pass Müller.pdf"))["document"]["id"]
    before = await api.state()
    for _ in range(2):
        count = await api.ticket_count()
        response = await download(api, document_id)
        assert (response.status_code, response.content) == (200, PDF)
        assert response.headers["content-type"] == "application/pdf"
        assert response.headers["content-disposition"] == (
            "attachment; filename=\"Pass M_ller.pdf\"; filename*=UTF-8''Pass%20M%C3%BCller.pdf"
        )
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "sandbox" in response.headers["content-security-policy"]
        (row,) = await api.tickets_since(count)
        assert (row["ticket_id"], row["action_type"], row["status"]) == (
            response.headers["x-ticket-id"], "KYC_DOWNLOADED", "SUCCESS",
        )  # fmt: skip
        assert (row["entity_type"], row["entity_id"]) == ("KYC_DOCUMENT", document_id)
        assert row["summary"] == f"Downloaded PASSPORT, {len(PDF)} bytes of application/pdf"
        assert row["session_id"] is not None
    assert await api.state() == before


@pytest.mark.parametrize("unknown", [str(uuid4()), "x", "1" * 36, "%00", "%ED%A0%80", "a" * 500])
async def test_a_document_that_is_not_there_leaves_a_ticket_too(api: Api, unknown: str) -> None:
    count = await api.ticket_count()
    response = await download(api, unknown)
    assert response.status_code == 404
    (row,) = await api.tickets_since(count)
    assert (row["action_type"], row["status"], row["error_code"]) == ("KYC_DOWNLOADED", "FAILED", "NOT_FOUND")
    assert response.json()["errors"] == [
        {"message": "There is no such document.", "extensions": {"code": "NOT_FOUND", "ticketId": row["ticket_id"]}}
    ]
    assert response.headers["x-ticket-id"] == row["ticket_id"]


async def test_an_access_token_in_the_path_is_not_kept(api: Api) -> None:
    trader = await api.trader(kyc=False)
    for token in (api.admin_token, trader.token):
        response = await download(api, token, token)
        assert response.headers["x-ticket-id"]
        assert token not in response.text
        assert token not in await stored_text(api)


async def test_only_an_admin_reads_documents(api: Api) -> None:
    trader = await api.trader(kyc=False)
    document_id = (await upload(api, trader))["document"]["id"]
    count = await api.ticket_count()
    response = await download(api, document_id, trader.token)  # not even his own
    (row,) = await api.tickets_since(count)
    assert (response.status_code, row["action_type"], row["status"], row["error_code"]) == (
        403, "KYC_DOWNLOADED", "FAILED", "FORBIDDEN",
    )  # fmt: skip
    assert response.json()["errors"][0]["extensions"] == {"code": "FORBIDDEN", "ticketId": row["ticket_id"]}
    count = await api.ticket_count()
    for token, headers, status in (
        ("", {}, 401),
        ("stolen", {}, 401),
        ("", {"Cookie": f"carbondesk={api.admin_token}"}, 403),  # no proof of the same site
        ("", {"Cookie": f"carbondesk={api.admin_token}", "Origin": "https://evil.example"}, 403),
    ):
        response = await download(api, document_id, token, **headers)
        assert (response.status_code, b"canary" in response.content) == (status, False)
    assert await api.ticket_count() == count
    same_site = {"Cookie": f"carbondesk={api.admin_token}", "Sec-Fetch-Site": "same-origin"}
    assert (await download(api, document_id, "", **same_site)).content == PDF


async def test_a_document_is_read_by_get_only(api: Api) -> None:
    count = await api.ticket_count()
    async with httpx.AsyncClient() as client:
        for method in ("HEAD", "POST", "DELETE"):
            response = await client.request(
                method,
                f"{api.url.removesuffix('/graphql')}/kyc/{uuid4()}",
                headers={"Authorization": f"Bearer {api.admin_token}"},
            )
            assert response.status_code == 405
    assert await api.ticket_count() == count
