"""Exact amounts: what is off its scale is refused, nothing is rounded."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import money
from domain.errors import InvalidAmount
from domain.money import Asset


@pytest.mark.parametrize(("text", "decimals", "smallest"), [
    ("25.50", 2, 2_550), ("25.5", 2, 2_550), ("25.500", 2, 2_550), ("0.01", 2, 1), ("1E+2", 0, 100), ("-3", 0, -3),
    ("0.005", 2, None), ("1.5", 0, None), ("NaN", 2, None), ("sNaN", 2, None), ("Infinity", 2, None),
    ("-Infinity", 0, None), ("1E+999999", 0, None), ("1E-999999", 2, None), ("9" * 60, 0, None),
    ("1." + "0" * 40 + "1", 0, None), ("1." + "0" * 40, 0, 1),
])  # fmt: skip
def test_units_are_exact_or_none(text: str, decimals: int, smallest: int | None) -> None:
    assert money.units(Decimal(text), decimals) == smallest


@pytest.mark.parametrize(
    "figure", ["0", "-1", "-0", "NaN", "sNaN", "Infinity", "-Infinity", "1000000000000.01", "1E+30", "0.005"]
)
def test_an_amount_is_positive_bounded_and_on_scale(figure: str) -> None:
    with pytest.raises(InvalidAmount) as refused:
        money.amount(Asset.EUR, Decimal(figure))
    assert refused.value.details["requested"] == str(Decimal(figure))


def test_certificates_are_whole() -> None:
    assert money.amount(Asset.CEA, Decimal("100.0")) == 100
    with pytest.raises(InvalidAmount, match="whole certificates"):
        money.amount(Asset.EUA, Decimal("0.5"))


def test_the_greatest_amount_is_taken() -> None:
    assert money.amount(Asset.EUR, money.AMOUNT_MAX) == 10**14


@given(st.integers(-(10**17), 10**17), st.sampled_from(list(Asset)))
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_back(smallest: int, asset: Asset) -> None:
    figure = money.decimal(asset, smallest)
    assert money.units(figure, money.DECIMALS[asset]) == smallest
    assert money.of_asset(asset, figure) == figure
    assert f"{figure:f}".partition(".")[2].__len__() == money.DECIMALS[asset]


@given(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from([0, 2]))
@settings(max_examples=300, deadline=None)
def test_no_decimal_is_a_fault(value: Decimal, decimals: int) -> None:
    smallest = money.units(value, decimals)
    assert smallest is None or Decimal(smallest).scaleb(-decimals) == value


def test_stored_figures_are_read_with_their_decimals() -> None:
    assert str(money.eur(Decimal("25.5"))) == "25.50"
    assert str(money.whole(Decimal("100.0"))) == "100"
    assert str(money.price(2_550)) == "25.50"
