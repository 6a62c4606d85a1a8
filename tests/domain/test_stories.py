"""What a ticket says of each deed: the action follows field, input and outcome; no free text of people in a summary."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from domain import stories
from domain.book import OrderSide
from domain.kyc import KycOutcome
from domain.ledger import Account, Balance, Transaction, TransactionOutcome, TransactionReason, TransactionType
from domain.makers import Maker, MakerOutcome
from domain.market import Order, OrderStatus, OrderType, TimeInForce, Trade
from domain.money import Asset, CertificateType
from domain.people import (
    Deposit,
    DepositOutcome,
    DepositStatus,
    KycStatus,
    LoginOutcome,
    Session,
    User,
    UserOutcome,
    UserRole,
)
from domain.tickets import ActionType, Story

NOW = datetime(2026, 5, 4, tzinfo=UTC)
CANARY = "canary free text"
USER = User(uuid4(), f"{CANARY}@desk.test", CANARY, UserRole.TRADER, True, KycStatus.PENDING, NOW)
SESSION = Session(uuid4(), USER.id, NOW, NOW, NOW, "10.0.0.1", CANARY)
MAKER = Maker(uuid4(), uuid4(), "MM-Alpha", CANARY, True, NOW, NOW, None)
ORDER = Order(
    uuid4(), MAKER.user_id, MAKER.id, CertificateType.CEA, OrderSide.SELL, OrderType.LIMIT, TimeInForce.GTC,
    Decimal("25.50"), Decimal(100), Decimal(40), Decimal("1020.00"), OrderStatus.PARTIALLY_FILLED, None, 1, NOW, NOW,
    "TKT-2026-000001",
)  # fmt: skip
TRADE = Trade(
    uuid4(), CertificateType.CEA, 2, Decimal("25.50"), Decimal(40), uuid4(), ORDER.id, USER.id, MAKER.user_id, MAKER.id,
    OrderSide.BUY, NOW, "TKT-2026-000002",
)  # fmt: skip
DEPOSIT = Deposit(
    uuid4(), USER.id, Decimal("10.00"), CANARY, DepositStatus.PENDING, CANARY, NOW, None, None, "TKT-2026-000003"
)


def entry(kind: TransactionType, amount: str) -> TransactionOutcome:
    row = Transaction(
        uuid4(), MAKER.user_id, MAKER.id, Asset.CEA, kind, TransactionReason(kind.value), Decimal(amount),
        Decimal(amount), Decimal(0), Decimal(100), Decimal(5), 3, CANARY, None, None, None, NOW, "TKT-2026-000004",
    )  # fmt: skip
    return TransactionOutcome(row, Balance(row.holder_id, row.market_maker_id, row.asset, Decimal(100), Decimal(5), 3))


SUCCESSES: list[tuple[Story, ActionType, str]] = [
    (stories.of_login({}, LoginOutcome(USER, SESSION)), ActionType.USER_LOGIN, "TRADER signed in"),
    (stories.of_logout({}, LoginOutcome(USER, SESSION)), ActionType.USER_LOGOUT, "Signed out"),
    (stories.of_created_maker({}, MakerOutcome(MAKER, balances=(Balance(
        MAKER.user_id, MAKER.id, Asset.CEA, Decimal(10_000), Decimal(0), 1),))), ActionType.MM_CREATED,
     "Created market maker MM-Alpha with 10000 CEA"),
    (stories.of_created_maker({}, MakerOutcome(MAKER)), ActionType.MM_CREATED, "Created market maker MM-Alpha"),
    (stories.of_updated_maker({}, MakerOutcome(MAKER, MAKER)), ActionType.MM_UPDATED, "Updated market maker MM-Alpha"),
    (stories.of_deleted_maker({}, MakerOutcome(MAKER, MAKER, cancelled_orders=(ORDER,))), ActionType.MM_DELETED,
     "Deactivated market maker MM-Alpha, 1 open order cancelled"),
    (stories.of_deleted_maker({}, MakerOutcome(MAKER, MAKER, cancelled_orders=(ORDER, ORDER))), ActionType.MM_DELETED,
     "Deactivated market maker MM-Alpha, 2 open orders cancelled"),
    (stories.of_transaction({}, entry(TransactionType.DEPOSIT, "50")), ActionType.ASSET_DEPOSIT, "Deposit of 50 CEA"),
    (stories.of_transaction({}, entry(TransactionType.WITHDRAWAL, "-50")), ActionType.ASSET_WITHDRAWAL,
     "Withdrawal of 50 CEA"),
    (stories.of_placed({"input": {"marketMakerId": "x"}}, ORDER, "MM-Alpha"), ActionType.MM_ORDER_PLACED,
     "SELL 100 CEA @ 25.50 for MM-Alpha"),
    (stories.of_placed({"input": {}}, replace(ORDER, market_maker_id=None)), ActionType.ORDER_PLACED,
     "SELL 100 CEA @ 25.50"),
    (stories.of_cancelled({}, ORDER, is_maker=True), ActionType.MM_ORDER_CANCELLED,
     "Cancelled SELL 100 CEA @ 25.50, 60 of 100 left"),
    (stories.of_cancelled({}, ORDER, is_maker=False), ActionType.ORDER_CANCELLED,
     "Cancelled SELL 100 CEA @ 25.50, 60 of 100 left"),
    (stories.of_cancelled_all({}, MakerOutcome(MAKER)), ActionType.MM_ORDER_CANCELLED,
     "Cancelled 0 open orders of MM-Alpha"),
    (stories.of_cancelled_all({"certificateType": "CEA"}, MakerOutcome(MAKER, cancelled_orders=(ORDER,))),
     ActionType.MM_ORDER_CANCELLED, "Cancelled 1 open CEA order of MM-Alpha"),
    (stories.of_trade(TRADE), ActionType.MM_TRADE_EXECUTED, "40 CEA @ 25.50 = 1020.00 EUR"),
    (stories.of_trade(replace(TRADE, market_maker_id=None)), ActionType.TRADE_EXECUTED, "40 CEA @ 25.50 = 1020.00 EUR"),
    (stories.of_filled(ORDER.id, None, OrderSide.SELL, "CEA"), ActionType.ORDER_FILLED, "SELL order of CEA filled"),
    (stories.of_created_user({}, UserOutcome(USER)), ActionType.USER_CREATED, "Created TRADER"),
    (stories.of_approved_kyc({}, KycOutcome(USER, USER)), ActionType.KYC_APPROVED, "Approved KYC of TRADER"),
    (stories.of_requested_deposit({}, DepositOutcome(DEPOSIT)), ActionType.DEPOSIT_REQUESTED,
     "Requested deposit of 10.00 EUR"),
    (stories.of_approved_deposit({}, DepositOutcome(DEPOSIT, DEPOSIT)), ActionType.DEPOSIT_APPROVED,
     "Approved deposit of 10.00 EUR"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "action", "summary"), SUCCESSES, ids=[str(one[1]) + one[2][-6:] for one in SUCCESSES]
)
def test_a_success_is_told_in_figures(story: Story, action: ActionType, summary: str) -> None:
    assert (story.action_type, story.summary) == (action, summary)
    assert story.entity_type is not None
    assert story.entity_id is not None
    assert CANARY not in story.summary


FAILURES: list[tuple[Story, ActionType]] = [
    (stories.of_login({"input": {"email": CANARY}}, None), ActionType.USER_LOGIN_FAILED),
    (stories.of_logout({}, None), ActionType.USER_LOGOUT),
    (stories.of_created_maker({"input": {"name": CANARY}}, None), ActionType.MM_CREATED),
    (stories.of_updated_maker({"id": "x" * 100}, None), ActionType.MM_UPDATED),
    (stories.of_deleted_maker({"id": "x"}, None), ActionType.MM_DELETED),
    (stories.of_transaction({"input": {"transactionType": "WITHDRAWAL"}}, None), ActionType.ASSET_WITHDRAWAL),
    (stories.of_transaction({"input": None}, None), ActionType.ASSET_DEPOSIT),
    (stories.of_placed({"input": {"marketMakerId": CANARY, "quantity": "5"}}, None), ActionType.MM_ORDER_PLACED),
    (stories.of_placed({}, None), ActionType.ORDER_PLACED),
    (stories.of_cancelled({"id": "x" * 100}, None, is_maker=True), ActionType.MM_ORDER_CANCELLED),
    (stories.of_cancelled_all({"marketMakerId": "x" * 100}, None), ActionType.MM_ORDER_CANCELLED),
    (stories.of_created_user({"input": {"name": CANARY}}, None), ActionType.USER_CREATED),
    (stories.of_approved_kyc({"userId": "x"}, None), ActionType.KYC_APPROVED),
    (stories.of_requested_deposit({"input": {"reference": CANARY}}, None), ActionType.DEPOSIT_REQUESTED),
    (stories.of_approved_deposit({"id": "x"}, None), ActionType.DEPOSIT_APPROVED),
]


@pytest.mark.parametrize(("story", "action"), FAILURES, ids=[str(one[1]) for one in FAILURES])
def test_a_failure_is_told_by_what_was_asked(story: Story, action: ActionType) -> None:
    assert story.action_type is action
    assert "efused" in story.summary or action is ActionType.USER_LOGOUT
    assert CANARY not in story.summary
    assert story.entity_id is None or len(story.entity_id) <= 64
    assert (story.before, story.after) == (None, None)


def test_a_deposit_tells_the_balance_before_and_after() -> None:
    story = stories.of_transaction({}, entry(TransactionType.DEPOSIT, "50"))

    def balance(state: Any) -> Any:
        return state["balances"][Asset.CEA]

    assert balance(story.before) == {"available": Decimal(50), "locked": Decimal(5)}
    assert balance(story.after) == {"available": Decimal(100), "locked": Decimal(5)}


def test_an_account_is_told_in_its_own_units() -> None:
    state = stories.account_state(Account(USER.id, None, Asset.EUR, 12_345, 5, 1))
    assert state["balances"] == {Asset.EUR: {"available": Decimal("123.45"), "locked": Decimal("0.05")}}


def test_a_change_of_a_user_tells_both_states_without_secrets() -> None:
    story = stories.of_approved_kyc({}, KycOutcome(replace(USER, kyc_status=KycStatus.APPROVED), USER))
    assert story.before is not None
    assert story.after is not None
    assert (story.before["user"]["kycStatus"], story.after["user"]["kycStatus"]) == ("PENDING", "APPROVED")
    assert set(story.after["user"]) == {"id", "email", "name", "role", "isActive", "kycStatus", "kycReason"}


def test_an_order_line_without_a_price_is_at_market() -> None:
    assert stories.order_line(replace(ORDER, price=None)) == "SELL 100 CEA at market"
