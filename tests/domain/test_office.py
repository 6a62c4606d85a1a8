"""The desk's decisions about users, settlements and rules, and what their tickets say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from domain import certificates, errors, office, people, settlements
from domain.book import OrderSide
from domain.certificates import (
    CertificateChange,
    CertificateOutcome,
    OpenOrders,
    Settings,
    SettingsChange,
    SettingsOutcome,
)
from domain.kyc import KycDocument, KycOutcome
from domain.ledger import Balance
from domain.market import Certificate, Order, OrderStatus, OrderType, TimeInForce, Trade
from domain.money import Asset, CertificateType
from domain.people import (
    Deposit,
    DepositOutcome,
    DepositStatus,
    KycStatus,
    PasswordOutcome,
    Session,
    SessionsOutcome,
    Standing,
    User,
    UserChange,
    UserOutcome,
    UserRole,
)  # fmt: skip
from domain.settlements import SettledOutcome, SettledTogetherOutcome
from domain.tickets import ActionType, Story, canonical, plain

NOW = datetime(2026, 5, 4, tzinfo=UTC)
CANARY = "canary free text"
USER = User(uuid4(), f"{CANARY}@desk.test", CANARY, UserRole.TRADER, True, KycStatus.REJECTED, NOW, CANARY)
SESSION = Session(uuid4(), USER.id, NOW, NOW, NOW, "10.0.0.1", CANARY)
ORDER = Order(
    uuid4(), USER.id, None, CertificateType.CEA, OrderSide.SELL, OrderType.LIMIT, TimeInForce.GTC, Decimal("25.50"),
    Decimal(100), Decimal(40), Decimal("1020.00"), OrderStatus.PARTIALLY_FILLED, None, 1, NOW, NOW, "TKT-2026-000001",
)  # fmt: skip
TRADE = Trade(
    uuid4(), CertificateType.CEA, 2, Decimal("25.50"), Decimal(40), uuid4(), ORDER.id, USER.id, uuid4(), None,
    OrderSide.BUY, NOW, "TKT-2026-000002",
)  # fmt: skip
SETTLED = replace(TRADE, settled_at=NOW, registry_reference=CANARY)
DEPOSIT = Deposit(
    uuid4(), USER.id, Decimal("10.00"), CANARY, DepositStatus.REJECTED, CANARY, NOW, NOW, None, "TKT-2026-000003"
)
DOCUMENT = KycDocument(uuid4(), USER.id, "PASSPORT", CANARY, "image/png", 7, "0" * 64, NOW, "TKT-2026-000004")
CEA = Certificate(CertificateType.CEA, CANARY, CANARY, Decimal("0.01"), Decimal(1), Decimal("12.50"), False)
SETTINGS = Settings((), None, True)
ALONE, IDLE = Standing(0, (), 0), Standing(0, (), 1)

STORIES: list[tuple[Story, ActionType, str]] = [
    (office.of_updated_user({}, UserOutcome(USER, USER)), ActionType.USER_UPDATED, "Updated TRADER"),
    (office.of_updated_user({}, UserOutcome(USER, USER, (ORDER, ORDER), 1)), ActionType.USER_UPDATED,
     "Updated TRADER, 2 open orders cancelled, 1 session ended"),
    (office.of_deleted_user({}, UserOutcome(USER, USER, (), 2)), ActionType.USER_DELETED,
     "Deactivated TRADER, 2 sessions ended"),
    (office.of_changed_password({}, PasswordOutcome(USER, SESSION, 0)), ActionType.ENTITY_MODIFIED,
     "Changed own password"),
    (office.of_revoked_sessions({}, SessionsOutcome(USER, ())), ActionType.ENTITY_MODIFIED,
     "No session was open: TRADER"),
    (office.of_uploaded_document({}, KycOutcome(USER, USER, DOCUMENT)), ActionType.KYC_UPLOADED,
     "Uploaded PASSPORT, 7 bytes of image/png"),
    (office.of_downloaded_document({}, DOCUMENT), ActionType.KYC_DOWNLOADED,
     "Downloaded PASSPORT, 7 bytes of image/png"),
    (office.of_rejected_kyc({}, KycOutcome(USER, USER)), ActionType.KYC_REJECTED, "Rejected KYC of TRADER"),
    (office.of_rejected_deposit({}, DepositOutcome(DEPOSIT, DEPOSIT)), ActionType.DEPOSIT_REJECTED,
     "Rejected deposit of 10.00 EUR"),
    (office.of_settled({}, SettledOutcome(SETTLED)), ActionType.TRADE_SETTLED, "Settled 40 CEA @ 25.50"),
    (office.of_settled_together({}, SettledTogetherOutcome((SETTLED,))), ActionType.TRADE_SETTLED, "Settled 1 trade"),
    (office.of_updated_certificate({}, CertificateOutcome(CEA, CEA)), ActionType.CERTIFICATE_MODIFIED,
     "Update CEA: tick 0.01, lot 1"),
    (office.of_updated_price({}, CertificateOutcome(CEA, CEA)), ActionType.PRICE_UPDATED,
     "Reference price of CEA: 12.50"),
    (office.of_changed_settings({}, SettingsOutcome(SETTINGS, SETTINGS)), ActionType.SETTINGS_CHANGED,
     "Halted: none; band: none; market data: public"),
]  # fmt: skip


@pytest.mark.parametrize(("story", "action", "summary"), STORIES, ids=[summary for *_, summary in STORIES])
def test_a_summary_tells_the_deed_and_no_free_text(story: Story, action: ActionType, summary: str) -> None:
    assert (story.action_type, story.summary) == (action, summary)
    assert CANARY not in summary
    canonical(plain(story.before))
    canonical(plain(story.after))


def test_a_refused_deed_names_what_it_was_about() -> None:
    for tell, asked, entity_id in (
        (office.of_updated_user, {"id": "u"}, "u"),
        (office.of_revoked_sessions, {"sessionId": "s"}, "s"),
        (office.of_revoked_sessions, {"userId": "u"}, "u"),
        (office.of_downloaded_document, {"id": "d" * 100}, "d" * 64),
        (office.of_rejected_kyc, {"userId": "u"}, "u"),
        (office.of_settled, {"id": "t"}, "t"),
        (office.of_updated_price, {"certificateType": "CEA"}, "CEA"),
    ):
        story: Story = tell(asked, None)
        assert story.entity_id == entity_id
        assert story.summary.endswith(": refused")


# --------------------------------------------------------------------------------------------------------------- users


def test_a_change_leaves_what_it_does_not_name() -> None:
    assert people.decide_change(USER, UserChange(), ALONE, is_own=False) == USER
    changed = people.decide_change(USER, UserChange(name="N", is_active=False), ALONE, is_own=True)
    assert changed == replace(USER, name="N", is_active=False)


@pytest.mark.parametrize(("change", "ends"), [
    (UserChange(name="N"), False), (UserChange(role=UserRole.TRADER), False), (UserChange(is_active=True), False),
    (UserChange(role=UserRole.ADMIN), True), (UserChange(is_active=False), True), (UserChange(password="p" * 15), True),
])  # fmt: skip
def test_sessions_end_with_the_rights_that_opened_them(change: UserChange, ends: bool) -> None:
    after = people.decide_change(USER, change, IDLE, is_own=False)
    assert people.ends_sessions(USER, after, change) is ends


@pytest.mark.parametrize("change", [UserChange(is_active=False), UserChange(role=UserRole.ANALYST)])
def test_the_last_admin_stays(change: UserChange) -> None:
    admin = replace(USER, role=UserRole.ADMIN)
    with pytest.raises(errors.InvalidInput):
        people.decide_change(admin, change, ALONE, is_own=True)
    assert people.decide_change(admin, change, IDLE, is_own=True) != admin
    asleep = replace(admin, is_active=False)
    assert people.decide_change(asleep, UserChange(role=UserRole.ANALYST), ALONE, is_own=False).role is UserRole.ANALYST


def test_an_account_of_zeros_is_no_balance() -> None:
    zero = Balance(USER.id, None, Asset.CEA, Decimal(0), Decimal(0), 4)
    for standing, is_kept in (
        (Standing(0, (zero,), 1), False),
        (Standing(0, (replace(zero, locked=Decimal(1)),), 1), True),
        (Standing(1, (), 1), True),
    ):
        change = UserChange(role=UserRole.ANALYST)
        if is_kept:
            with pytest.raises(errors.InvalidInput):
                people.decide_change(USER, change, standing, is_own=False)
        else:
            assert people.decide_change(USER, change, standing, is_own=False).role is UserRole.ANALYST
    same = UserChange(role=UserRole.TRADER)
    assert people.decide_change(USER, same, Standing(3, (), 0), is_own=False) == USER


def test_a_password_is_not_in_a_change_s_text() -> None:
    assert "hidden" not in repr(UserChange(password="hidden"))


# --------------------------------------------------------------------------------------------------- settlements, rules


def test_a_trade_is_settled_once() -> None:
    asked = settlements.settlement(str(TRADE.id), " R ")
    assert (asked.trade_id, asked.reference) == (TRADE.id, "R")
    assert settlements.decide(asked, TRADE) is TRADE
    with pytest.raises(errors.AlreadyDecided):
        settlements.decide(asked, SETTLED)
    with pytest.raises(errors.NotFound):
        settlements.decide(asked, None)


@pytest.mark.parametrize(("asked", "details"), [
    ([], {"trades": 0, "tradesMax": 100}),
    ([("x", "R"), ("y", "R"), ("x", "R")], {"id": "x", "index": 2}),
    ([("x", "R"), ("y", "")], {"index": 1}),
])  # fmt: skip
def test_settlements_of_a_wrong_shape_are_refused(asked: list[tuple[str, str]], details: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        settlements.settlements(asked)
    assert refused.value.details == details


def test_a_grid_is_changed_when_every_open_order_is_on_it() -> None:
    change = certificates.check(CertificateChange(description="", tick_size=Decimal("0.1"), lot_size=Decimal("10.0")))
    after = certificates.changed(CEA, change, OpenOrders(5, 0, 0))
    assert after == replace(CEA, description=None, tick_size=Decimal("0.10"), lot_size=Decimal(10))
    assert f"{after.tick_size:f}" == "0.10"
    with pytest.raises(errors.InvalidPrice):
        certificates.changed(CEA, change, OpenOrders(5, 1, 1))
    with pytest.raises(errors.InvalidQuantity):
        certificates.changed(CEA, change, OpenOrders(5, 0, 1))
    kept = certificates.changed(CEA, CertificateChange(name="N"), OpenOrders(5, 1, 1))  # they were so before
    assert kept.name == "N"


@pytest.mark.parametrize("value", ["0", "0.001", "1000000.01", "NaN", "Infinity"])
def test_a_reference_price_is_a_price(value: str) -> None:
    with pytest.raises(errors.InvalidPrice):
        certificates.price(Decimal(value))


def test_settings_change_only_where_they_are_named() -> None:
    known = list(CertificateType)
    now = Settings((CertificateType.CEA,), Decimal("5.00"), False)
    assert certificates.changed_settings(now, SettingsChange(), known) == now
    opened = certificates.changed_settings(now, SettingsChange(frozenset(), True, None, True), known)
    assert opened == Settings((), None, True)
    checked = certificates.check_settings(SettingsChange(None, True, Decimal("7.5"), None))
    assert f"{checked.price_band_percent:f}" == "7.50"
    for wrong in ("0", "100.01", "0.001", "NaN"):
        with pytest.raises(errors.InvalidInput):
            certificates.check_settings(SettingsChange(None, True, Decimal(wrong), None))
