"""The engine: text tables of limit orders that wait, and what a decision rests on."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain import errors, market
from domain.book import Book, OrderSide
from domain.errors import ErrorCode
from domain.market import Certificate, OrderType, Place, Placement, TimeInForce
from domain.money import Asset, CertificateType
from tests.domain.book_table import PLAIN, PLENTY, Table, holder_of, id_of, play

NEVER = datetime.min.replace(tzinfo=UTC)

# ------------------------------------------------------------------------------------------------------- text tables


def test_a_better_price_is_not_needed_to_trade() -> None:
    play("sell A 100 @ 25.50 / buy U 40 @ 25.50 / trade A U 40 @ 25.50 / rest A 60 / gone U")


def test_orders_that_do_not_meet_rest() -> None:
    play("sell A 100 @ 25.51 / buy U 40 @ 25.50 / rest A 100 / rest U 40")


def test_within_a_price_the_older_order_trades_first() -> None:
    play("""
        sell A 10 @ 25.50
        sell B 10 @ 25.50
        sell C 10 @ 25.50
        buy U 15 @ 25.50
        trade A U 10 @ 25.50
        trade B U 5 @ 25.50
        gone A
        rest B 5
        rest C 10
        buy V 10 @ 25.50
        trade B V 5 @ 25.50
        trade C V 5 @ 25.50
    """)


def test_a_partial_fill_keeps_its_place_in_the_queue() -> None:
    play("""
        sell A 10 @ 25.50
        sell B 10 @ 25.50
        buy U 1 @ 25.50
        trade A U 1 @ 25.50
        buy V 10 @ 25.50
        trade A V 9 @ 25.50
        trade B V 1 @ 25.50
    """)


def test_the_best_price_trades_before_the_older_order() -> None:
    play("""
        sell A 10 @ 25.60
        sell B 10 @ 25.40
        sell C 10 @ 25.50
        buy U 25 @ 25.60
        trade B U 10 @ 25.40
        trade C U 10 @ 25.50
        trade A U 5 @ 25.60
    """)
    play("""
        buy A 10 @ 25.40
        buy B 10 @ 25.60
        buy C 10 @ 25.50
        sell U 25 @ 25.40
        trade B U 10 @ 25.60
        trade C U 10 @ 25.50
        trade A U 5 @ 25.40
    """)


def test_the_resting_order_sets_the_price_on_both_sides() -> None:
    play("sell A 10 @ 20.00 / buy U 10 @ 30.00 / trade A U 10 @ 20.00")
    play("buy A 10 @ 30.00 / sell U 10 @ 20.00 / trade A U 10 @ 30.00")


def test_an_order_sweeps_up_to_its_limit_and_rests_there() -> None:
    play("""
        sell A 10 @ 25.50
        sell B 10 @ 25.60
        sell C 10 @ 25.70
        buy U 50 @ 25.60
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        rest U 30
        rest C 10
        sell D 40 @ 25.00
        trade U D 30 @ 25.60
        rest D 10
    """)


def test_a_cancelled_order_does_not_trade() -> None:
    play("""
        sell A 10 @ 25.50
        sell B 10 @ 25.50
        cancel A
        gone A
        buy U 10 @ 25.50
        trade B U 10 @ 25.50
        cancel A
        refused ORDER_NOT_OPEN
        cancel B
        refused ORDER_NOT_OPEN
        cancel Z
        refused ORDER_NOT_FOUND
    """)


def test_a_cancel_after_a_partial_fill_takes_only_the_rest() -> None:
    play("sell A 10 @ 25.50 / buy U 4 @ 25.50 / trade A U 4 @ 25.50 / rest A 6 / cancel A / gone A / buy V 1 @ 25.50")


def test_an_order_that_first_meets_its_own_holder_is_refused() -> None:
    play("""
        sell A1 10 @ 25.50
        sell B 10 @ 25.60
        buy A2 20 @ 25.60
        refused SELF_TRADE
        rest A1 10
        rest B 10
        buy A3 20 @ 25.49
        rest A3 20
    """)


def test_an_order_that_later_meets_its_own_holder_is_cut_there() -> None:
    play("""
        sell B 10 @ 25.40
        sell A1 10 @ 25.50
        sell C 10 @ 25.50
        buy A2 30 @ 25.60
        trade B A2 10 @ 25.40
        cut A2 20 SELF_TRADE
        gone A2
        rest A1 10
        rest C 10
    """)


def test_an_order_that_is_full_before_it_reaches_its_own_is_not_cut() -> None:
    play("sell B 10 @ 25.40 / sell A1 10 @ 25.50 / buy A2 10 @ 25.60 / trade B A2 10 @ 25.40 / rest A1 10")


def test_prices_off_the_grid_and_out_of_bounds_are_refused() -> None:
    play("""
        tick 0.05
        sell A 10 @ 25.52
        refused INVALID_PRICE
        sell A 10 @ 25.501
        refused INVALID_PRICE
        sell A 10 @ 0
        refused INVALID_PRICE
        sell A 10 @ -25.50
        refused INVALID_PRICE
        sell A 10 @ 1000000.05
        refused INVALID_PRICE
        sell A 10 @ 25.550
        rest A 10
        sell B 10 @ 1000000.00
        rest B 10
    """)


def test_quantities_off_the_lot_and_out_of_bounds_are_refused() -> None:
    play("""
        lot 10
        sell A 15 @ 25.50
        refused INVALID_QUANTITY
        sell A 10.5 @ 25.50
        refused INVALID_QUANTITY
        sell A 0 @ 25.50
        refused INVALID_QUANTITY
        sell A -10 @ 25.50
        refused INVALID_QUANTITY
        sell A 1000000010 @ 25.50
        refused INVALID_QUANTITY
        sell A 1000000000 @ 25.50
        rest A 1000000000
    """)


@pytest.mark.parametrize("figure", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+999999", "1E-999999", "9" * 60])
def test_figures_that_are_no_amounts_are_refused_and_never_a_fault(figure: str) -> None:
    play(f"sell A 10 @ {figure} / refused INVALID_PRICE / sell A {figure} @ 25.50 / refused INVALID_QUANTITY")


def test_a_price_is_never_rounded_to_the_grid() -> None:
    tail = "0" * 30
    play(f"sell A 10 @ 25.50{tail}1 / refused INVALID_PRICE / sell A 10 @ 25.50{tail} / rest A 10")
    play(f"sell A 10.{tail}1 @ 25.50 / refused INVALID_QUANTITY")


def test_a_halted_certificate_takes_cancels_only() -> None:
    play("""
        sell A 10 @ 25.50
        halt
        buy U 10 @ 25.50
        refused MARKET_HALTED
        cancel A
        gone A
        resume
        buy U 10 @ 25.50
        rest U 10
    """)


def test_rights_are_checked_in_their_order() -> None:
    play("""
        maker A
        inactive A
        buy A 10 @ 25.50
        refused SIDE_NOT_ALLOWED
        sell A 10 @ 25.50
        refused MARKET_MAKER_INACTIVE
        inactive U
        no-kyc U
        buy U 10 @ 25.50
        refused USER_INACTIVE
        no-kyc V
        halt
        funds V 0
        buy V 10 @ 25.50
        refused KYC_REQUIRED
    """)


def test_of_two_problems_the_first_of_the_list_is_answered() -> None:
    play("""
        inactive A
        sell A 0 @ 0
        refused INVALID_PRICE
        sell A 0 @ 25.50
        refused INVALID_QUANTITY
        sell A 1 @ 25.50
        refused USER_INACTIVE
        funds B 0
        halt
        sell B 1 @ 25.50
        refused MARKET_HALTED
        resume
        sell B 1 @ 25.50
        refused INSUFFICIENT_BALANCE
        funds C1 0
        sell C1 5 @ 25.50
        funds C 0
        buy C2 5 @ 25.50
        refused INSUFFICIENT_BALANCE
        funds C 12750
        buy C2 5 @ 25.50
        refused SELF_TRADE
    """)


def test_the_codes_stand_in_the_order_in_which_they_are_answered() -> None:
    order = list(ErrorCode)
    chain = [
        "INVALID_PRICE", "INVALID_QUANTITY", "MARKET_MAKER_NOT_FOUND", "IDEMPOTENCY_CONFLICT", "SIDE_NOT_ALLOWED",
        "MARKET_MAKER_INACTIVE", "USER_INACTIVE", "KYC_REQUIRED", "MARKET_HALTED", "INSUFFICIENT_BALANCE", "SELF_TRADE",
        "NO_LIQUIDITY",
    ]  # fmt: skip
    assert [order.index(ErrorCode(code)) for code in chain] == sorted(order.index(ErrorCode(code)) for code in chain)


def test_each_code_has_exactly_one_refusal() -> None:
    leaves = [leaf.code for leaf in errors.DomainError.__subclasses__()]
    assert sorted(leaves) == sorted(ErrorCode)


def request(**changed: Any) -> Place:
    asked: dict[str, Any] = {
        "holder_id": id_of("U"),
        "market_maker_id": None,
        "certificate_type": CertificateType.CEA,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price": Decimal("25.50"),
        "quantity": Decimal(10),
    }
    return Place(**(asked | changed))


def test_the_reserve_is_the_limit_times_the_quantity_or_the_certificates() -> None:
    buy = market.terms(request(), PLAIN)
    sell = market.terms(request(side=OrderSide.SELL), PLAIN)
    assert (Placement(buy, (), 10, 0, None).reserve, buy.reserved_asset) == (25_500, Asset.EUR)
    assert (Placement(sell, (), 10, 0, None).reserve, sell.reserved_asset) == (10, Asset.CEA)


def test_the_whole_balance_may_be_reserved_and_not_one_cent_more() -> None:
    book, terms = Book(CertificateType.CEA, 0, 0, None), market.terms(request(), PLAIN)
    party = Table().party("U")
    assert market.place(book, terms, party, PLAIN, available=25_500, locked=1).rested == 10
    with pytest.raises(errors.InsufficientBalance) as refused:
        market.place(book, terms, party, PLAIN, available=25_499, locked=1)
    assert refused.value.details == {"asset": "EUR", "requested": "255.00", "available": "254.99", "locked": "0.01"}
    assert book.orders == {}


@pytest.mark.parametrize("time_in_force", list(TimeInForce))
@pytest.mark.parametrize("order_type", list(OrderType))
def test_every_kind_of_order_is_taken_and_only_a_limit_order_without_force_rests(
    order_type: OrderType, time_in_force: TimeInForce
) -> None:
    price = Decimal("25.50") if order_type is OrderType.LIMIT else None
    terms = market.terms(request(order_type=order_type, time_in_force=time_in_force, price=price), PLAIN)
    assert (terms.order_type, terms.time_in_force, terms.price) == (order_type, time_in_force, 2_550 if price else None)
    book, party = Book(CertificateType.CEA, 0, 0, None), Table().party("U")
    if order_type is OrderType.LIMIT and time_in_force is TimeInForce.GTC:
        assert market.place(book, terms, party, PLAIN, PLENTY, 0).rested == 10
    else:
        with pytest.raises(errors.NoLiquidity):
            market.place(book, terms, party, PLAIN, PLENTY, 0)
    assert terms.is_all_or_nothing == (time_in_force is TimeInForce.FOK)


def test_a_limit_order_needs_a_price() -> None:
    for time_in_force in TimeInForce:
        with pytest.raises(errors.InvalidPrice) as refused:
            market.terms(request(price=None, time_in_force=time_in_force), PLAIN)
        assert (refused.value.field, refused.value.message) == ("price", "A LIMIT order needs a price.")


def test_a_market_order_has_no_price() -> None:
    for time_in_force in TimeInForce:
        with pytest.raises(errors.InvalidPrice) as refused:
            market.terms(request(order_type=OrderType.MARKET, time_in_force=time_in_force), PLAIN)
        assert (refused.value.field, refused.value.details) == ("price", {"requested": "25.50"})


def test_a_decision_changes_nothing() -> None:
    table = play("sell A 10 @ 25.50 / sell B 10 @ 25.60")
    before = [(price, level.quantity) for price, level in table.book.sides[OrderSide.SELL]]
    terms = market.terms(request(quantity=Decimal(15), price=Decimal("25.60")), PLAIN)
    first = market.place(table.book, terms, table.party("U"), PLAIN, PLENTY, 0)
    assert [fill.quantity for fill in first.fills] == [10, 5]
    assert [(price, level.quantity) for price, level in table.book.sides[OrderSide.SELL]] == before
    table.compare()


def test_an_order_of_somebody_else_is_not_found() -> None:
    table = play("sell A 10 @ 25.50")
    order = market.Order(
        id_of("A"), id_of("A"), None, CertificateType.CEA, OrderSide.SELL, OrderType.LIMIT, TimeInForce.GTC,
        Decimal("25.50"), Decimal(10), Decimal(0), Decimal(0), market.OrderStatus.OPEN, None, 1,
        NEVER, NEVER, "TKT-2026-000001",
    )  # fmt: skip
    for stranger in (id_of("B"), None):  # None: an admin, who cancels orders of market makers only
        with pytest.raises(errors.OrderNotFound):
            market.cancel(market.Cancel(str(order.id), stranger), order, table.book)
    assert market.cancel(market.Cancel(str(order.id), id_of("A")), order, table.book).remaining == 10


def test_names_and_holders_of_tables() -> None:
    assert (holder_of("A12"), holder_of("U")) == ("A", "U")
    assert isinstance(PLAIN, Certificate)
