"""Market orders, IOC, FOK and the price band: one text table for each rule, and each pair of rules that can meet."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain import market, money
from domain.market import Band
from tests.domain.book_table import PLAIN, play

ASKS = """
    sell A 10 @ 25.50
    sell B 10 @ 25.60
    sell C 10 @ 25.70
"""
BIDS = """
    buy A 10 @ 25.70
    buy B 10 @ 25.60
    buy C 10 @ 25.50
"""


# ----------------------------------------------------------------------------------------------- immediate or cancel


def test_what_an_ioc_order_does_not_get_at_once_is_cut() -> None:
    play("""
        sell A 30 @ 25.50
        buy U 40 @ 25.50 ioc
        trade A U 30 @ 25.50
        cut U 10 IOC_REMAINDER
        gone U
        gone A
    """)
    play("buy A 30 @ 25.50 / sell U 40 @ 25.50 ioc / trade A U 30 @ 25.50 / cut U 10 IOC_REMAINDER / gone U")


def test_an_ioc_order_takes_every_level_up_to_its_limit_and_none_beyond() -> None:
    play(f"""{ASKS}
        buy U 40 @ 25.60 ioc
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        cut U 20 IOC_REMAINDER
        rest C 10
    """)
    play(f"""{BIDS}
        sell U 40 @ 25.60 ioc
        trade A U 10 @ 25.70
        trade B U 10 @ 25.60
        cut U 20 IOC_REMAINDER
        rest C 10
    """)


def test_an_ioc_order_that_gets_everything_is_full() -> None:
    play("sell A 30 @ 25.50 / buy U 30 @ 25.60 ioc / trade A U 30 @ 25.50 / gone A / gone U")


def test_an_ioc_order_without_a_match_is_no_order() -> None:
    play("buy U 40 @ 25.50 ioc / refused NO_LIQUIDITY requested=40 offered=0 / gone U")
    table = play(f"{ASKS} / buy U 40 @ 25.49 ioc / refused NO_LIQUIDITY requested=40 offered=0 / rest A 10 / gone U")
    assert (table.book.sequence, table.book.priority) == (3, 3)


def test_an_ioc_purchase_locks_its_limit_and_pays_the_better_price() -> None:
    play(f"""{ASKS}
        buy U 15 @ 25.70 ioc
        trade A U 10 @ 25.50
        trade B U 5 @ 25.60
        locks U 385.50
    """)


def test_an_ioc_order_needs_the_whole_reserve_even_if_little_would_trade() -> None:
    play("""
        sell A 1 @ 25.50
        funds U 101999
        buy U 40 @ 25.50 ioc
        refused INSUFFICIENT_BALANCE requested=1020.00 available=1019.99 locked=0.00
        funds U 102000
        buy U 40 @ 25.50 ioc
        trade A U 1 @ 25.50
        cut U 39 IOC_REMAINDER
        locks U 1020.00
    """)


def test_an_ioc_order_that_first_meets_its_own_holder_is_refused() -> None:
    play("sell A1 10 @ 25.50 / sell B 10 @ 25.50 / buy A2 5 @ 25.50 ioc / refused SELF_TRADE / rest A1 10")


def test_an_ioc_order_that_later_meets_its_own_holder_is_cut_there() -> None:
    play("""
        sell B 10 @ 25.40
        sell A1 10 @ 25.50
        sell C 10 @ 25.50
        buy A2 30 @ 25.60 ioc
        trade B A2 10 @ 25.40
        cut A2 20 SELF_TRADE
        rest A1 10
        rest C 10
    """)


# ------------------------------------------------------------------------------------------------------- fill or kill


def test_a_fok_order_trades_whole_through_several_levels() -> None:
    play(f"""{ASKS}
        buy U 25 @ 25.70 fok
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        trade C U 5 @ 25.70
        locks U 642.50
        rest C 5
        gone U
    """)


def test_a_fok_order_may_take_the_last_certificate_within_its_limit() -> None:
    play(f"{ASKS} / buy U 20 @ 25.60 fok / trade A U 10 @ 25.50 / trade B U 10 @ 25.60 / rest C 10")
    play(f"{ASKS} / buy U 21 @ 25.60 fok / refused NO_LIQUIDITY requested=21 offered=20 / rest A 10 / rest B 10")
    play(f"{BIDS} / sell U 20 @ 25.60 fok / trade A U 10 @ 25.70 / trade B U 10 @ 25.60 / rest C 10")
    play(f"{BIDS} / sell U 21 @ 25.60 fok / refused NO_LIQUIDITY requested=21 offered=20 / rest A 10 / rest B 10")


def test_a_fok_order_that_cannot_be_filled_is_no_order() -> None:
    play("buy U 1 @ 25.50 fok / refused NO_LIQUIDITY requested=1 offered=0 / gone U")
    table = play(f"{ASKS} / buy U 31 @ 99.00 fok / refused NO_LIQUIDITY requested=31 offered=30 / rest A 10 / gone U")
    assert (table.book.sequence, table.book.priority, table.book.last_price) == (3, 3, None)


def test_a_fok_order_with_its_own_holder_s_order_in_the_way_is_refused() -> None:
    play("""
        sell A1 10 @ 25.50
        sell B 10 @ 25.60
        buy A2 5 @ 25.60 fok
        refused SELF_TRADE
        sell C 10 @ 25.40
        buy A3 10 @ 25.60 fok
        trade C A3 10 @ 25.40
        sell D 10 @ 25.40
        buy A4 11 @ 25.60 fok
        refused NO_LIQUIDITY requested=11 offered=10
        rest D 10
        rest A1 10
    """)


def test_a_fok_order_needs_the_whole_reserve() -> None:
    play("""
        sell A 40 @ 20.00
        funds U 101999
        buy U 40 @ 25.50 fok
        refused INSUFFICIENT_BALANCE requested=1020.00
        funds U 102000
        buy U 40 @ 25.50 fok
        trade A U 40 @ 20.00
        locks U 1020.00
    """)


# ---------------------------------------------------------------------------------------------------------- at market


def test_a_market_order_takes_level_after_level() -> None:
    play(f"""{ASKS}
        buy U 25 market
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        trade C U 5 @ 25.70
        rest C 5
        gone U
    """)
    play(f"""{BIDS}
        sell U 25 market
        trade A U 10 @ 25.70
        trade B U 10 @ 25.60
        trade C U 5 @ 25.50
        rest C 5
        gone U
    """)


def test_within_a_price_a_market_order_takes_the_older_order_first() -> None:
    play("sell A 10 @ 25.50 / sell B 10 @ 25.50 / buy U 12 market / trade A U 10 @ 25.50 / trade B U 2 @ 25.50")


@pytest.mark.parametrize("force", ["", "gtc", "ioc"])
def test_a_market_order_never_rests(force: str) -> None:
    play(f"""{ASKS}
        buy U 40 market {force}
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        trade C U 10 @ 25.70
        cut U 10 MARKET_REMAINDER
        gone U
        buy V 1 market {force}
        refused NO_LIQUIDITY requested=1 offered=0
        sell V 1 market {force}
        refused NO_LIQUIDITY requested=1 offered=0
    """)


def test_a_purchase_at_market_locks_exactly_what_its_fills_cost() -> None:
    play(f"""{ASKS}
        buy U 25 market
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        trade C U 5 @ 25.70
        locks U 639.50
    """)
    play(f"""{ASKS}
        funds U 63950
        buy U 25 market
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        trade C U 5 @ 25.70
        locks U 639.50
    """)


def test_a_purchase_at_market_ends_where_the_cash_ends() -> None:
    play(f"""{ASKS}
        funds U 63949
        buy U 25 market
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        trade C U 4 @ 25.70
        cut U 1 CASH_EXHAUSTED
        locks U 613.80
        rest C 6
    """)


def test_cash_that_ends_between_two_orders_cuts_without_a_further_trade() -> None:
    play(f"{ASKS} / funds U 25500 / buy U 25 market / trade A U 10 @ 25.50 / cut U 15 CASH_EXHAUSTED / rest B 10")
    play(f"{ASKS} / funds U 25500 / buy U 10 market / trade A U 10 @ 25.50 / locks U 255.00")


def test_cash_that_buys_nothing_is_insufficient_with_the_figures_of_one_lot() -> None:
    play(f"""{ASKS}
        funds U 2549
        buy U 25 market
        refused INSUFFICIENT_BALANCE asset=EUR requested=25.50 available=25.49 locked=0.00
        gone U
        funds U 2550
        buy U 25 market
        trade A U 1 @ 25.50
        cut U 24 CASH_EXHAUSTED
        funds V 0
        buy V 1 market
        refused INSUFFICIENT_BALANCE requested=25.50 available=0.00
    """)


def test_a_sale_at_market_needs_all_certificates_whatever_the_book_offers() -> None:
    play("""
        buy A 1 @ 25.50
        funds U 39
        sell U 40 market
        refused INSUFFICIENT_BALANCE asset=CEA requested=40 available=39 locked=0
        rest A 1
        funds U 40
        sell U 40 market
        trade A U 1 @ 25.50
        cut U 39 MARKET_REMAINDER
        locks U 40
    """)


def test_a_fok_order_at_market_is_filled_whole_or_refused() -> None:
    play(f"{ASKS} / buy U 31 market fok / refused NO_LIQUIDITY requested=31 offered=30 / rest A 10 / gone U")
    play(f"{ASKS} / buy U 11 market fok / trade A U 10 @ 25.50 / trade B U 1 @ 25.60 / locks U 280.60")
    play(f"{BIDS} / sell U 31 market fok / refused NO_LIQUIDITY requested=31 offered=30 / rest A 10")
    play(f"{BIDS} / sell U 11 market fok / trade A U 10 @ 25.70 / trade B U 1 @ 25.60 / locks U 11")
    play("buy U 1 market fok / refused NO_LIQUIDITY requested=1 offered=0")


def test_a_fok_purchase_at_market_that_the_cash_does_not_cover_names_its_cost() -> None:
    play(f"""{ASKS}
        funds U 28059
        buy U 11 market fok
        refused INSUFFICIENT_BALANCE asset=EUR requested=280.60 available=280.59
        rest A 10
        funds U 28060
        buy U 11 market fok
        trade A U 10 @ 25.50
        trade B U 1 @ 25.60
    """)


@pytest.mark.parametrize("force", ["", "ioc", "fok"])
def test_a_market_order_that_first_meets_its_own_holder_is_refused(force: str) -> None:
    play(f"sell A1 10 @ 25.50 / sell B 10 @ 25.60 / buy A2 5 market {force} / refused SELF_TRADE / rest A1 10")
    play(f"buy A1 10 @ 25.50 / buy B 10 @ 25.40 / sell A2 5 market {force} / refused SELF_TRADE / rest A1 10")


def test_a_market_order_that_later_meets_its_own_holder_is_cut_there_and_all_or_nothing_refused() -> None:
    asks = "sell B 10 @ 25.40 / sell A1 10 @ 25.50 / sell C 10 @ 25.60"
    play(f"{asks} / buy A2 15 market / trade B A2 10 @ 25.40 / cut A2 5 SELF_TRADE / locks A2 254.00 / rest C 10")
    play(f"{asks} / buy A2 15 market fok / refused NO_LIQUIDITY requested=15 offered=10 / rest B 10")
    play(f"{asks} / buy A2 10 market / trade B A2 10 @ 25.40 / rest A1 10")
    bids = "buy B 10 @ 25.60 / buy A1 10 @ 25.50 / buy C 10 @ 25.40"
    play(f"{bids} / sell A2 15 market / trade B A2 10 @ 25.60 / cut A2 5 SELF_TRADE / locks A2 15 / rest A1 10")


def test_a_market_maker_sells_at_market_and_does_not_buy() -> None:
    play("""
        maker M
        buy A 10 @ 25.50
        sell M 4 market
        trade A M 4 @ 25.50
        sell M 4 @ 25.40 fok
        trade A M 4 @ 25.50
        sell M 4 @ 25.40 ioc
        trade A M 2 @ 25.50
        cut M 2 IOC_REMAINDER
        buy M 1 market
        refused SIDE_NOT_ALLOWED
        buy M 1 @ 25.50 ioc
        refused SIDE_NOT_ALLOWED
    """)


# ------------------------------------------------------------------------------------------------------------ lots


def test_cash_buys_whole_lots_only() -> None:
    play("""
        lot 10
        sell A 100 @ 25.50
        funds U 89249
        buy U 50 market
        trade A U 30 @ 25.50
        cut U 20 CASH_EXHAUSTED
        locks U 765.00
        rest A 70
        funds V 25499
        buy V 50 market
        refused INSUFFICIENT_BALANCE requested=255.00 available=254.99
        buy W 15 market
        refused INVALID_QUANTITY requested=15 lotSize=10
    """)


def test_cash_is_counted_in_lots_at_each_price() -> None:
    play("""
        lot 10
        sell A 20 @ 10.00
        sell B 100 @ 20.00
        funds U 65000
        buy U 100 market
        trade A U 20 @ 10.00
        trade B U 20 @ 20.00
        cut U 60 CASH_EXHAUSTED
        locks U 600.00
    """)


def test_what_was_left_of_smaller_lots_is_bought_when_the_cash_pays_it_whole() -> None:
    """The lot grew while five rested: they are no lot, but the cash covers them, so it is not exhausted."""
    asks = "sell A 5 @ 10.00 / sell B 5 @ 10.00 / lot 10"
    play(f"{asks} / funds U 10000 / buy U 10 market / trade A U 5 @ 10.00 / trade B U 5 @ 10.00 / locks U 100.00")
    play(f"{asks} / funds U 10000 / buy U 10 market fok / trade A U 5 @ 10.00 / trade B U 5 @ 10.00")
    play(f"{asks} / funds U 5000 / buy U 10 market / trade A U 5 @ 10.00 / cut U 5 CASH_EXHAUSTED / rest B 5")
    play(f"{asks} / funds U 4999 / buy U 10 market / refused INSUFFICIENT_BALANCE requested=100.00 available=49.99")
    play(f"{asks} / funds U 9999 / buy U 10 market fok / refused INSUFFICIENT_BALANCE requested=100.00 available=99.99")


# ------------------------------------------------------------------------------------------------------ the price band


def test_a_limit_order_lies_within_the_band_and_both_ends_belong_to_it() -> None:
    play("""
        band 24.00 26.00
        sell A 10 @ 26.01
        refused INVALID_PRICE requested=26.01 lowest=24.00 highest=26.00
        sell A 10 @ 26.00
        rest A 10
        buy B 10 @ 23.99
        refused INVALID_PRICE requested=23.99 lowest=24.00 highest=26.00
        buy B 10 @ 24.00
        rest B 10
        buy C 10 @ 26.01
        refused INVALID_PRICE
        sell C 10 @ 23.99
        refused INVALID_PRICE
        buy C 10 @ 26.00
        trade A C 10 @ 26.00
        sell D 10 @ 24.00
        trade B D 10 @ 24.00
    """)


@pytest.mark.parametrize("force", ["ioc", "fok"])
def test_a_limit_order_with_force_lies_within_the_band_too(force: str) -> None:
    play(f"""
        sell A 10 @ 25.00
        band 24.00 26.00
        buy U 10 @ 26.01 {force}
        refused INVALID_PRICE lowest=24.00 highest=26.00
        sell U 10 @ 23.99 {force}
        refused INVALID_PRICE lowest=24.00 highest=26.00
        buy U 10 @ 26.00 {force}
        trade A U 10 @ 25.00
    """)


def test_a_market_order_stops_at_the_band() -> None:
    play(f"""{ASKS}
        band 24.00 25.60
        buy U 25 market
        trade A U 10 @ 25.50
        trade B U 10 @ 25.60
        cut U 5 PRICE_BAND
        locks U 511.00
        rest C 10
    """)
    play(f"""{BIDS}
        band 25.60 27.00
        sell U 25 market
        trade A U 10 @ 25.70
        trade B U 10 @ 25.60
        cut U 5 PRICE_BAND
        locks U 25
        rest C 10
    """)


def test_a_market_order_with_nothing_in_the_band_is_no_order() -> None:
    play(f"{ASKS} / band 24.00 25.49 / buy U 5 market / refused NO_LIQUIDITY requested=5 offered=0 / rest A 10")
    play(f"{BIDS} / band 25.71 27.00 / sell U 5 market / refused NO_LIQUIDITY requested=5 offered=0 / rest A 10")


def test_a_fok_order_at_market_counts_only_what_the_band_admits() -> None:
    play(f"{ASKS} / band 24.00 25.60 / buy U 21 market fok / refused NO_LIQUIDITY requested=21 offered=20 / rest A 10")
    play(f"{ASKS} / band 24.00 25.60 / buy U 20 market fok / trade A U 10 @ 25.50 / trade B U 10 @ 25.60")


def test_an_empty_book_is_a_market_remainder_and_not_the_band() -> None:
    play("sell A 10 @ 25.50 / band 24.00 26.00 / buy U 11 market / trade A U 10 @ 25.50 / cut U 1 MARKET_REMAINDER")


def test_without_a_band_every_price_is_good() -> None:
    play("""
        band 24.00 26.00
        band none
        sell A 10 @ 99.00
        buy B 10 @ 0.01
        sell C 5 market
        trade B C 5 @ 0.01
        buy D 5 market
        trade A D 5 @ 99.00
    """)


def test_the_band_is_a_percentage_around_the_reference_price() -> None:
    certificate = replace(PLAIN, reference_price=Decimal("25.00"))
    assert market.band(certificate, Decimal(4)) == Band(2_400, 2_600)
    assert market.band(certificate, Decimal("0.01")) == Band(2_500, 2_500)
    assert market.band(certificate, Decimal(100)) == Band(0, 5_000)


def test_without_reference_price_or_percentage_there_is_no_band() -> None:
    assert market.band(PLAIN, Decimal(4)) is None
    assert market.band(replace(PLAIN, reference_price=Decimal("25.00")), None) is None
    assert market.band(PLAIN, None) is None


@pytest.mark.parametrize("reference", [1, 7, 99, 2_555, 8_333, market.PRICE_MAX])
@pytest.mark.parametrize("percent", ["0.01", "0.33", "7.77", "33.33", "99.99"])
def test_no_price_of_the_band_is_further_from_the_reference_than_the_percentage(reference: int, percent: str) -> None:
    limits = market.band(replace(PLAIN, reference_price=money.price(reference)), Decimal(percent))
    assert limits is not None
    hundredths = int(Decimal(percent) * 100)  # all in integers: |price - reference| * 10,000 <= reference * hundredths
    for inside in (limits.lowest, limits.highest):
        assert abs(inside - reference) * 10_000 <= reference * hundredths
    for outside in (limits.lowest - 1, limits.highest + 1):
        assert abs(outside - reference) * 10_000 > reference * hundredths


# --------------------------------------------------------------------------------------------------- halt and rights


@pytest.mark.parametrize("kind", ["@ 25.50", "@ 25.50 ioc", "@ 25.50 fok", "market", "market ioc", "market fok"])
def test_halted_certificates_and_people_without_right_take_no_kind_of_order(kind: str) -> None:
    play(f"""
        sell A 10 @ 25.50
        halt
        buy U 10 {kind}
        refused MARKET_HALTED
        sell U 10 {kind}
        refused MARKET_HALTED
        cancel A
        gone A
        resume
        sell B 10 @ 25.50
        inactive V
        buy V 10 {kind}
        refused USER_INACTIVE
        no-kyc W
        buy W 10 {kind}
        refused KYC_REQUIRED
        buy U 10 {kind}
        trade B U 10 @ 25.50
    """)


# ---------------------------------------------------------------------------------------------- two problems at once


def test_shape_comes_before_rights_and_rights_before_the_book() -> None:
    play("""
        band 24.00 26.00
        lot 10
        inactive V
        buy V 5 @ 27.00 ioc
        refused INVALID_PRICE
        buy V 5 market
        refused INVALID_QUANTITY
        buy V 10 market
        refused USER_INACTIVE
        no-kyc W
        halt
        buy W 10 market fok
        refused KYC_REQUIRED
        buy U 10 market
        refused MARKET_HALTED
        resume
        buy U 10 market
        refused NO_LIQUIDITY
    """)


def test_the_tick_is_named_before_the_band() -> None:
    play("tick 0.05 / band 24.00 26.00 / buy U 10 @ 26.01 / refused INVALID_PRICE tickSize=0.05")


def test_a_balance_that_is_too_small_is_named_before_own_orders_and_the_book() -> None:
    play("""
        sell A1 10 @ 25.50
        funds A 100
        buy A2 10 @ 25.50 ioc
        refused INSUFFICIENT_BALANCE requested=255.00
        buy A2 10 @ 20.00 fok
        refused INSUFFICIENT_BALANCE requested=200.00
        sell A2 101 market
        refused INSUFFICIENT_BALANCE requested=101
        sell A2 100 market
        refused NO_LIQUIDITY
    """)


def test_a_purchase_at_market_needs_cash_only_for_what_it_meets() -> None:
    """No figure can be named where nothing is offered: own orders, an empty book and the band come first then."""
    play("funds A 0 / buy A 10 market / refused NO_LIQUIDITY")
    play("sell A1 10 @ 25.50 / funds A 0 / buy A2 10 market / refused SELF_TRADE")
    play("sell B 10 @ 25.50 / band 20.00 25.00 / funds A 0 / buy A 10 market / refused NO_LIQUIDITY")


def test_what_a_purchase_at_market_meets_first_stops_it() -> None:
    """Cash, own order and band: the nearest one is the reason of the cut."""
    asks = "sell B 10 @ 25.00 / sell A1 10 @ 25.10 / sell C 10 @ 25.20"
    play(f"{asks} / funds A 24999 / buy A2 20 market / trade B A2 9 @ 25.00 / cut A2 11 CASH_EXHAUSTED")
    play(f"{asks} / funds A 25000 / buy A2 20 market / trade B A2 10 @ 25.00 / cut A2 10 SELF_TRADE")
    play(f"{asks} / band 20.00 25.00 / buy A2 20 market / trade B A2 10 @ 25.00 / cut A2 10 PRICE_BAND")
    play(f"{asks} / band 20.00 25.00 / funds U 25000 / buy U 20 market / trade B U 10 @ 25.00 / cut U 10 PRICE_BAND")
    play(f"{asks} / funds U 25000 / buy U 20 market / trade B U 10 @ 25.00 / cut U 10 CASH_EXHAUSTED")


def test_an_all_or_nothing_purchase_that_lacks_cash_and_offers_names_the_cash() -> None:
    asks = "sell B 10 @ 25.00 / sell A1 10 @ 25.10"
    play(f"{asks} / funds U 100 / buy U 99 market fok / refused INSUFFICIENT_BALANCE requested=501.00 available=1.00")
    play(f"{asks} / funds A 100 / buy A2 99 market fok / refused INSUFFICIENT_BALANCE requested=250.00 available=1.00")
    play(f"{asks} / funds A 25000 / buy A2 99 market fok / refused NO_LIQUIDITY requested=99 offered=10")
