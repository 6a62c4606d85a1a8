"""The ledger on paper: the table of laws, row by row, and what trades conserve."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import errors, ledger, market, money
from domain.book import Fill, OrderSide, Resting
from domain.ledger import TYPE_OF_REASON, Account, Change, Move, TransactionReason, TransactionType
from domain.market import CancelReason, OrderType, Placement, Terms, TimeInForce
from domain.money import Asset, CertificateType

HOLDER, OTHER, MAKER = uuid4(), uuid4(), uuid4()


@pytest.mark.parametrize(("reason", "kind", "amount", "available", "locked"), [
    ("DEPOSIT", "DEPOSIT", +7, +7, 0),
    ("WITHDRAWAL", "WITHDRAWAL", -7, -7, 0),
    ("LOCK", "TRADE_DEBIT", -7, -7, +7),
    ("RELEASE", "TRADE_CREDIT", +7, +7, -7),
    ("SETTLE_OUT", "TRADE_CREDIT", +7, 0, -7),
    ("SETTLE_IN", "TRADE_CREDIT", +7, +7, 0),
])  # fmt: skip
def test_the_table_of_laws(reason: str, kind: str, amount: int, available: int, locked: int) -> None:
    move = Move(HOLDER, None, Asset.EUR, TransactionReason(reason), 7)
    assert TYPE_OF_REASON[move.reason] == kind
    assert (move.signed_amount, move.deltas) == (amount, (available, locked))
    before = Account(HOLDER, None, Asset.EUR, 10, 10, 4)
    after = ledger.apply(before, move)
    assert after == replace(before, available=10 + available, locked=10 + locked, seq=5)


def test_every_reason_stands_in_the_table() -> None:
    assert set(TYPE_OF_REASON) == set(TransactionReason)


@pytest.mark.parametrize("reason", [TransactionReason.WITHDRAWAL, TransactionReason.LOCK])
def test_available_never_falls_below_zero(reason: TransactionReason) -> None:
    account = Account(HOLDER, None, Asset.EUR, 699, 1, 1)
    with pytest.raises(errors.InsufficientBalance) as refused:
        ledger.apply(account, Move(HOLDER, None, Asset.EUR, reason, 700))
    assert refused.value.details == {"asset": "EUR", "requested": "7.00", "available": "6.99", "locked": "0.01"}


@pytest.mark.parametrize("reason", [TransactionReason.RELEASE, TransactionReason.SETTLE_OUT])
def test_locked_below_zero_is_a_fault_of_ours(reason: TransactionReason) -> None:
    with pytest.raises(AssertionError):
        ledger.apply(Account(HOLDER, None, Asset.EUR, 10, 6, 1), Move(HOLDER, None, Asset.EUR, reason, 7))


def test_a_deposit_above_the_greatest_balance_is_refused() -> None:
    most = money.units(money.BALANCE_MAX, 2)
    assert most is not None
    account = Account(HOLDER, None, Asset.EUR, most - 1, 0, 1)
    move = Move(HOLDER, None, Asset.EUR, TransactionReason.DEPOSIT, 1)
    assert ledger.apply(account, move).available == most
    with pytest.raises(errors.InvalidAmount):
        ledger.apply(account, replace(move, amount=2))


def test_only_deposits_and_withdrawals_are_made_by_hand() -> None:
    account = Account(HOLDER, MAKER, Asset.CEA, 10, 0, 1)
    for kind in (TransactionType.TRADE_CREDIT, TransactionType.TRADE_DEBIT):
        with pytest.raises(errors.InvalidInput):
            ledger.change(account, Change(None, None, Asset.CEA, kind, Decimal(5), None))
    withdrawal = Change(None, None, Asset.CEA, TransactionType.WITHDRAWAL, Decimal(5), None)
    assert ledger.change(account, withdrawal) == Move(HOLDER, MAKER, Asset.CEA, TransactionReason.WITHDRAWAL, 5)


def resting(side: OrderSide, price: int, left: int) -> Resting:
    return Resting(uuid4(), OTHER, MAKER, side, price, left, 1, "TKT-2026-000001")


def terms_of(side: OrderSide, price: int | None, quantity: int) -> Terms:
    """Return a limit order that waits, or with no price one at market."""
    order_type = OrderType.MARKET if price is None else OrderType.LIMIT
    return Terms(CertificateType.CEA, side, order_type, TimeInForce.GTC, price, quantity, 1)


def placement_of(terms: Terms, *fills: Fill, cut: CancelReason | None = None) -> Placement:
    unfilled = terms.quantity - sum(fill.quantity for fill in fills)
    return Placement(terms, fills, unfilled, sum(fill.quantity * fill.resting.price for fill in fills), cut)


def test_example_3_of_the_seed_mints_nothing() -> None:
    """10,000 CEA, sell 100: 9,900/100, after the fill 9,900/0; a buyer at a better limit gets the difference back."""
    seller = Account(OTHER, MAKER, Asset.CEA, 10_000, 0, 1)
    placed = placement_of(terms_of(OrderSide.SELL, 2_550, 100))
    seller = ledger.apply(seller, ledger.lock(OTHER, MAKER, placed))
    assert (seller.available, seller.locked) == (9_900, 100)
    buy = terms_of(OrderSide.BUY, 2_600, 100)
    moves = ledger.settle(buy, Fill(resting(OrderSide.SELL, 2_550, 100), 100, True), HOLDER, None)
    assert [(move.holder_id == HOLDER, move.asset, move.reason, move.amount) for move in moves] == [
        (False, "CEA", "SETTLE_OUT", 100),
        (True, "EUR", "SETTLE_OUT", 255_000),
        (True, "CEA", "SETTLE_IN", 100),
        (False, "EUR", "SETTLE_IN", 255_000),
        (True, "EUR", "RELEASE", 5_000),
    ]
    seller = ledger.apply(seller, moves[0])
    assert (seller.available, seller.locked) == (9_900, 0)


def test_no_release_of_nothing() -> None:
    buy = terms_of(OrderSide.BUY, 2_550, 100)
    moves = ledger.settle(buy, Fill(resting(OrderSide.SELL, 2_550, 100), 100, True), HOLDER, None)
    assert [move.reason for move in moves] == ["SETTLE_OUT", "SETTLE_OUT", "SETTLE_IN", "SETTLE_IN"]


def test_a_resting_buyer_pays_his_own_price() -> None:
    sell = terms_of(OrderSide.SELL, 2_000, 30)
    moves = ledger.settle(sell, Fill(resting(OrderSide.BUY, 2_550, 30), 30, True), HOLDER, None)
    assert {(move.holder_id, move.asset): move.deltas for move in moves} == {
        (HOLDER, Asset.CEA): (0, -30),
        (OTHER, Asset.EUR): (0, -76_500),
        (OTHER, Asset.CEA): (30, 0),
        (HOLDER, Asset.EUR): (76_500, 0),
    }


def test_a_cancel_gives_back_what_is_left() -> None:
    assert ledger.release(resting(OrderSide.BUY, 2_550, 30), CertificateType.EUA).amount == 76_500
    sold = ledger.release(resting(OrderSide.SELL, 2_550, 30), CertificateType.EUA)
    assert (sold.amount, sold.asset, sold.holder_id, sold.market_maker_id) == (30, Asset.EUA, OTHER, MAKER)


@pytest.mark.parametrize(("side", "asset", "amount"), [(OrderSide.BUY, "EUR", 178_500), (OrderSide.SELL, "CEA", 70)])
def test_a_cut_gives_back_what_neither_traded_nor_rests(side: OrderSide, asset: str, amount: int) -> None:
    other = OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY
    fills = (Fill(resting(other, 2_550, 30), 30, True),)
    placement = placement_of(terms_of(side, 2_550, 100), *fills, cut=CancelReason.SELF_TRADE)
    move = ledger.release_cut(placement, HOLDER, None)
    assert move is not None
    assert (move.asset, move.amount, move.reason, placement.rested) == (asset, amount, "RELEASE", 0)


@given(st.sampled_from(list(OrderSide)), st.integers(1, market.PRICE_MAX), st.integers(0, 10**6), st.integers(1, 10**9))
@settings(max_examples=200, deadline=None)
def test_each_fill_is_neutral_and_uses_up_what_it_reserved(
    side: OrderSide, price: int, better: int, quantity: int
) -> None:
    limit = price + better if side is OrderSide.BUY else max(1, price - better)
    terms = replace(terms_of(side, limit, quantity), certificate_type=CertificateType.EUA)
    other = OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY
    fill = Fill(resting(other, price, quantity), quantity, True)
    moves = ledger.settle(terms, fill, HOLDER, None)
    for asset in (Asset.EUR, Asset.EUA):
        assert sum(sum(move.deltas) for move in moves if move.asset is asset) == 0
    mine = [move for move in moves if move.holder_id == HOLDER and move.asset is terms.reserved_asset]
    assert sum(move.deltas[1] for move in mine) == -placement_of(terms, fill).reserve


def test_a_purchase_at_market_locks_what_its_fills_cost_and_its_cut_gives_nothing_back() -> None:
    fills = (
        Fill(resting(OrderSide.SELL, 2_550, 30), 30, True),
        Fill(resting(OrderSide.SELL, 2_601, 70), 10, False),
    )
    terms = terms_of(OrderSide.BUY, None, 100)
    placement = placement_of(terms, *fills, cut=CancelReason.CASH_EXHAUSTED)
    assert (placement.cost, placement.reserve, placement.unfilled, placement.rested) == (102_510, 102_510, 60, 0)
    lock = ledger.lock(HOLDER, None, placement)
    assert (lock.asset, lock.reason, lock.amount) == (Asset.EUR, "LOCK", 102_510)
    assert ledger.release_cut(placement, HOLDER, None) is None
    account = ledger.apply(Account(HOLDER, None, Asset.EUR, 102_510, 0, 0), lock)
    for fill in fills:
        moves = ledger.settle(terms, fill, HOLDER, None)
        assert [move.reason for move in moves] == ["SETTLE_OUT", "SETTLE_OUT", "SETTLE_IN", "SETTLE_IN"]
        account = ledger.apply(account, moves[1])
    assert (account.available, account.locked) == (0, 0)


def test_a_sale_at_market_locks_the_whole_quantity_and_its_cut_gives_the_rest_back() -> None:
    fills = (Fill(resting(OrderSide.BUY, 2_550, 30), 30, True),)
    placement = placement_of(terms_of(OrderSide.SELL, None, 100), *fills, cut=CancelReason.MARKET_REMAINDER)
    lock, release = ledger.lock(OTHER, MAKER, placement), ledger.release_cut(placement, OTHER, MAKER)
    assert release is not None
    assert (lock.asset, lock.amount, release.asset, release.amount) == (Asset.CEA, 100, Asset.CEA, 70)
