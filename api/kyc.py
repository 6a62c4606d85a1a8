"""Hand out KYC documents: GET /kyc/{id}, to ADMIN, each time with a KYC_DOWNLOADED ticket, also when it is refused.

The answer leaves after the commit of its ticket. What comes out is a file to save: no browser shows or runs it here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

import db.kyc
from api.context import Context
from api.errors import Code, RequestError
from api.http import BODY_BYTES_MAX_SIGNED_IN, KIB, TICKET_HEADER, require_same_origin
from api.origin import Credential, credential_of, without_cookies
from api.policy import Policy, refusal
from db import ids
from db.outcomes import reader
from db.transaction import Write
from db.unit import Fault
from domain import office
from domain.errors import ErrorCode
from domain.kyc import ENCODED_LENGTH_MAX, KycDocument
from domain.people import uuid_or_none
from domain.tickets import ActionType, Attempt

PATH: Final = "/kyc/{id}"
FIELD: Final = "kycDocument"  # what the ticket's attempt is called, where a mutation would have its field
MALFORMED: Final = "[malformed]"  # what a ticket keeps of an id that is none: it may be anything, an access token too
STATUS: Final = {ErrorCode.NOT_FOUND: 404, ErrorCode.BUSY: 503}
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",  # should anything open it nevertheless
    "X-Content-Type-Options": "nosniff",
}
assert ENCODED_LENGTH_MAX + 16 * KIB < BODY_BYTES_MAX_SIGNED_IN, "the largest document fits a request"

ContextOf = Callable[[Request, Response], Awaitable[Context]]


async def download(request: Request, context_of: ContextOf) -> Response:
    """Answer one download, whatever happens."""
    if request.method != "GET":
        return refused(405, Code.BAD_REQUEST, "Documents are read by GET.", None, Allow="GET")
    try:
        if credential_of(request) is Credential.COOKIE:
            require_same_origin(request)
        elif credential_of(request) is Credential.BEARER:
            request = Request(without_cookies(request.scope), request.receive)
        return await _answer(await context_of(request, Response()), request.path_params["id"])
    except RequestError as error:
        code = Code((error.extensions or {})["code"])
        status = error.status or {Code.UNAUTHENTICATED: 401, Code.FORBIDDEN: 403}.get(code, 400)
        return refused(status, code, error.message, None)
    except Fault as fault:
        return refused(500, Code.INTERNAL, "Internal error.", fault.ticket_id)


async def _answer(context: Context, document_id: str) -> Response:
    """Record an attempt of somebody who is signed in, and answer it.

    Raises: RequestError (UNAUTHENTICATED), Fault.
    """
    if uuid_or_none(document_id) is None:
        document_id = MALFORMED
    denied = refusal(Policy.ADMIN, context.caller)
    if context.caller is None:
        raise RequestError("Sign in first.", Code.UNAUTHENTICATED)
    attempt = Attempt(
        attempt_id=ids.new(),
        field=FIELD,
        action_type=ActionType.KYC_DOWNLOADED,
        request={"id": document_id},
        started_at_ns=time.monotonic_ns(),
        user_id=context.caller.user.id,
        session_id=context.caller.session.id,
        ip_address=context.ip_address,
        user_agent=context.user_agent,
    )
    units = context.services.units
    if denied:
        story = office.of_downloaded_document(attempt.request, None)
        ticket_id = await units.shielded(units.record(attempt, story, Code.FORBIDDEN, denied.message))
        return refused(403, Code.FORBIDDEN, denied.message, ticket_id)
    found: list[bytes] = []

    async def work(write: Write) -> KycDocument:
        document, content = await db.kyc.content(write, document_id)
        found[:] = [content]
        return document

    answer = await units.shielded(units.run(attempt, work, office.of_downloaded_document, reader(KycDocument)))
    if answer.refusal or not answer.outcome:
        assert answer.refusal is not None
        status = STATUS.get(answer.refusal.code, 400)
        return refused(status, answer.refusal.code, answer.refusal.message, answer.ticket_id)
    document: KycDocument = answer.outcome
    headers = HEADERS | {"Content-Disposition": disposition(document.file_name), TICKET_HEADER: answer.ticket_id}
    return Response(found[0], 200, headers, document.content_type)


def disposition(file_name: str) -> str:
    """Say that a file is to be saved under its name; programs that know no UTF-8 get a name without it."""
    plain = file_name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def refused(status: int, code: str, message: str, ticket_id: str | None, **headers: str) -> Response:
    """Word a refusal as GraphQL does."""
    extensions: dict[str, Any] = {"code": str(code)}
    if ticket_id:
        extensions["ticketId"] = ticket_id
        headers[TICKET_HEADER] = ticket_id
    body = orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})
    return Response(body, status, {"Cache-Control": "no-store", **headers}, "application/json")
