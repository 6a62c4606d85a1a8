"""What a ticket says of the deeds of the back office: people, documents, settlements, the rules of the market.

As in `domain.stories`, which has the deeds of the market: no free text of people in a summary.
"""

from __future__ import annotations

from typing import Any

from domain.certificates import CertificateOutcome, Settings, SettingsOutcome
from domain.kyc import KycDocument, KycOutcome
from domain.market import Certificate, Trade
from domain.people import DepositOutcome, PasswordOutcome, SessionsOutcome, UserOutcome
from domain.settlements import SettledOutcome, SettledTogetherOutcome
from domain.stories import Request, named, of_deposit, of_user, orders_line, user_state
from domain.tickets import ActionType, EntityType, Story


def of_updated_user(request: Request, outcome: UserOutcome | None) -> Story:
    """USER_UPDATED."""
    return _of_changed_user(ActionType.USER_UPDATED, "Update", request, outcome)


def of_deleted_user(request: Request, outcome: UserOutcome | None) -> Story:
    """USER_DELETED."""
    return _of_changed_user(ActionType.USER_DELETED, "Deactivate", request, outcome)


def _of_changed_user(action: ActionType, verb: str, request: Request, outcome: UserOutcome | None) -> Story:
    if outcome is None:
        return of_user(action, (f"{verb} user", ""), request, None)
    cancelled = len(outcome.cancelled_orders)
    more = (f"{orders_line(cancelled)} cancelled" if cancelled else "", _ended(outcome.sessions_revoked))
    after: dict[str, Any] = {"user": user_state(outcome.user), "sessionsRevoked": outcome.sessions_revoked}
    if "password" in (request.get("input") or {}):
        after["passwordChanged"] = True
    return Story(
        action,
        ", ".join([f"{verb}d {outcome.user.role}", *filter(None, more)]),
        EntityType.USER,
        str(outcome.user.id),
        before={"user": user_state(outcome.before)} if outcome.before else None,
        after=after,
        tags=("user",),
    )


def _ended(sessions: int) -> str:
    return f"{sessions} session{'' if sessions == 1 else 's'} ended" if sessions else ""


def of_changed_password(request: Request, outcome: PasswordOutcome | None) -> Story:
    """ENTITY_MODIFIED, of the user."""
    if outcome is None:
        return Story(
            ActionType.ENTITY_MODIFIED, "Change own password: refused", EntityType.USER, tags=("user", "session")
        )
    return Story(
        ActionType.ENTITY_MODIFIED,
        ", ".join(filter(None, ("Changed own password", _ended(outcome.sessions_revoked)))),
        EntityType.USER,
        str(outcome.user.id),
        after={"passwordChanged": True, "sessionsRevoked": outcome.sessions_revoked, "sessionId": outcome.session.id},
        tags=("user", "session"),
    )


def of_revoked_sessions(request: Request, outcome: SessionsOutcome | None) -> Story:
    """ENTITY_MODIFIED, of the session that was named, else of the user."""
    session_id = named(request.get("sessionId"))
    kind = EntityType.SESSION if session_id else EntityType.USER
    if outcome is None:
        entity_id = session_id or named(request.get("userId"))
        return Story(ActionType.ENTITY_MODIFIED, "End sessions: refused", kind, entity_id, tags=("session",))
    return Story(
        ActionType.ENTITY_MODIFIED,
        f"{_ended(len(outcome.session_ids)) or 'No session was open'}: {outcome.user.role}",
        kind,
        session_id or str(outcome.user.id),
        after={"userId": outcome.user.id, "sessionsRevoked": list(outcome.session_ids)},
        tags=("session",),
    )


# ----------------------------------------------------------------------------------------------------------------- kyc


def of_uploaded_document(request: Request, outcome: KycOutcome | None) -> Story:
    """KYC_UPLOADED."""
    if outcome is None or outcome.document is None:
        return Story(ActionType.KYC_UPLOADED, "Upload KYC document: refused", EntityType.KYC_DOCUMENT, tags=("kyc",))
    document = outcome.document
    return Story(
        ActionType.KYC_UPLOADED,
        f"Uploaded {document.kind}, {document.size_bytes} bytes of {document.content_type}",
        EntityType.KYC_DOCUMENT,
        str(document.id),
        before={"user": user_state(outcome.before)} if outcome.before else None,
        after={"user": user_state(outcome.user), "document": _document_state(document)},
        tags=("kyc",),
    )


def of_downloaded_document(request: Request, outcome: KycDocument | None) -> Story:
    """KYC_DOWNLOADED."""
    entity_id = named(request.get("id"))
    if outcome is None:
        summary = "Download KYC document: refused"
        return Story(ActionType.KYC_DOWNLOADED, summary, EntityType.KYC_DOCUMENT, entity_id, tags=("kyc",))
    return Story(
        ActionType.KYC_DOWNLOADED,
        f"Downloaded {outcome.kind}, {outcome.size_bytes} bytes of {outcome.content_type}",
        EntityType.KYC_DOCUMENT,
        str(outcome.id),
        after={"document": _document_state(outcome)},
        tags=("kyc",),
    )


def _document_state(document: KycDocument) -> Request:
    return {
        "id": document.id,
        "userId": document.user_id,
        "kind": document.kind,
        "fileName": document.file_name,
        "contentType": document.content_type,
        "bytes": document.size_bytes,
        "sha256": document.sha256,
    }


def of_rejected_kyc(request: Request, outcome: KycOutcome | None) -> Story:
    """KYC_REJECTED."""
    return of_user(ActionType.KYC_REJECTED, ("Reject KYC", "Rejected KYC of"), request, outcome)


# --------------------------------------------------------------------------------------------- deposits and settlements


def of_rejected_deposit(request: Request, outcome: DepositOutcome | None) -> Story:
    """DEPOSIT_REJECTED."""
    return of_deposit(ActionType.DEPOSIT_REJECTED, ("Reject deposit", "Rejected"), request, outcome)


def of_settled(request: Request, outcome: SettledOutcome | None) -> Story:
    """TRADE_SETTLED, of one trade."""
    if outcome is None:
        entity_id = named(request.get("id"))
        return Story(
            ActionType.TRADE_SETTLED, "Settle trade: refused", EntityType.TRADE, entity_id, tags=("settlement",)
        )
    return of_settled_trade(outcome.trade)


def of_settled_trade(trade: Trade) -> Story:
    """TRADE_SETTLED: the ticket that the settlement's row names."""
    return Story(
        ActionType.TRADE_SETTLED,
        f"Settled {trade.quantity:f} {trade.certificate_type} @ {trade.price:f}",
        EntityType.TRADE,
        str(trade.id),
        trade.market_maker_id,
        before={"trade": {"id": trade.id, "status": "EXECUTED", "registryReference": None}},
        after={"trade": {"id": trade.id, "status": trade.status, "registryReference": trade.registry_reference}},
        tags=("settlement", "market-maker") if trade.market_maker_id else ("settlement",),
    )


def of_settled_together(request: Request, outcome: SettledTogetherOutcome | None) -> Story:
    """TRADE_SETTLED, of no trade: each that was settled has a ticket of its own."""
    if outcome is None:
        return Story(ActionType.TRADE_SETTLED, "Settle trades: refused", EntityType.TRADE, tags=("settlement",))
    count = len(outcome.trades)
    return Story(
        ActionType.TRADE_SETTLED,
        f"Settled {count} trade{'' if count == 1 else 's'}",
        EntityType.TRADE,
        tags=("settlement",),
    )


# ------------------------------------------------------------------------------------------------- rules of the market


def of_updated_certificate(request: Request, outcome: CertificateOutcome | None) -> Story:
    """CERTIFICATE_MODIFIED."""
    return _of_certificate(ActionType.CERTIFICATE_MODIFIED, "Update {certificate}", request, outcome)


def of_updated_price(request: Request, outcome: CertificateOutcome | None) -> Story:
    """PRICE_UPDATED."""
    return _of_certificate(ActionType.PRICE_UPDATED, "Reference price of {certificate}", request, outcome)


def _of_certificate(action: ActionType, wording: str, request: Request, outcome: CertificateOutcome | None) -> Story:
    certificate = named(request.get("certificateType"))
    if outcome is None:
        summary = f"{wording.format(certificate=certificate or 'certificate')}: refused"
        return Story(action, summary, EntityType.CERTIFICATE, certificate, tags=("certificate",))
    now = outcome.certificate
    figures = f"tick {now.tick_size:f}, lot {now.lot_size:f}"
    if action is ActionType.PRICE_UPDATED:
        figures = f"{now.reference_price:f}"
    return Story(
        action,
        f"{wording.format(certificate=now.certificate_type)}: {figures}",
        EntityType.CERTIFICATE,
        now.certificate_type.value,
        before={"certificate": _certificate_state(outcome.before)},
        after={"certificate": _certificate_state(now)},
        tags=("certificate",),
    )


def _certificate_state(certificate: Certificate) -> Request:
    return {
        "certificateType": certificate.certificate_type,
        "name": certificate.name,
        "description": certificate.description,
        "tickSize": certificate.tick_size,
        "lotSize": certificate.lot_size,
        "referencePrice": certificate.reference_price,
        "isHalted": certificate.is_halted,
    }


def of_changed_settings(request: Request, outcome: SettingsOutcome | None) -> Story:
    """SETTINGS_CHANGED."""
    if outcome is None:
        return Story(ActionType.SETTINGS_CHANGED, "Change settings: refused", EntityType.SETTINGS, tags=("settings",))
    now = outcome.settings
    return Story(
        ActionType.SETTINGS_CHANGED,
        f"Halted: {', '.join(now.halted_certificates) or 'none'}; band: {_percent(now)};"
        f" market data: {'public' if now.public_market_data else 'closed'}",
        EntityType.SETTINGS,
        before={"settings": _settings_state(outcome.before)},
        after={"settings": _settings_state(now)},
        tags=("settings",),
    )


def _percent(settings: Settings) -> str:
    return "none" if settings.price_band_percent is None else f"{settings.price_band_percent:f} %"


def _settings_state(settings: Settings) -> Request:
    return {
        "haltedCertificates": ", ".join(settings.halted_certificates),
        "priceBandPercent": settings.price_band_percent,
        "publicMarketData": settings.public_market_data,
    }
