"""What a request about a market maker must look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from domain import errors, makers
from domain.makers import Maker, MakerChange
from domain.money import Asset

NOW = datetime(2026, 5, 4, tzinfo=UTC)
MAKER = Maker(uuid4(), uuid4(), "MM-Alpha", "First", True, NOW, NOW, None)


def test_a_new_maker_is_cleaned_and_its_balances_counted_in_smallest_units() -> None:
    new = makers.new_maker(" MM ", " mm@desk.test ", " ", [(Asset.EUR, Decimal("1.50")), (Asset.CEA, Decimal(10))])
    assert (new.name, new.email, new.description) == ("MM", "mm@desk.test", None)
    assert new.initial_balances == ((Asset.EUR, 150), (Asset.CEA, 10))


def test_an_asset_is_named_once() -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        makers.new_maker("MM", "mm@desk.test", None, [(Asset.CEA, Decimal(1)), (Asset.CEA, Decimal(2))])
    assert refused.value.field == "initialBalances"


@pytest.mark.parametrize("amount", ["0", "-1", "0.5", "NaN", "1E+400"])
def test_a_wrong_initial_balance_is_refused(amount: str) -> None:
    with pytest.raises(errors.InvalidAmount) as refused:
        makers.new_maker("MM", "mm@desk.test", None, [(Asset.CEA, Decimal(amount))])
    assert refused.value.field == "initialBalances"


@pytest.mark.parametrize(("name", "email"), [("", "mm@desk.test"), ("x" * 65, "mm@desk.test"), ("MM", "nobody")])
def test_a_wrong_shape_is_refused(name: str, email: str) -> None:
    with pytest.raises(errors.InvalidInput):
        makers.new_maker(name, email, None, [])


def test_a_change_leaves_what_it_does_not_name() -> None:
    later = NOW + timedelta(hours=1)
    assert makers.changed(MAKER, MakerChange(), later) == replace(MAKER, updated_at=later)
    assert makers.changed(MAKER, MakerChange(is_active=False), later) == replace(
        MAKER, is_active=False, updated_at=later
    )


def test_an_empty_description_clears_it() -> None:
    change = makers.check(MakerChange(description="  "))
    assert change.description == ""
    assert makers.changed(MAKER, change, NOW).description is None
    assert makers.check(MakerChange()).description is None
    assert makers.check(MakerChange(description="")).description == ""


def test_a_change_is_checked() -> None:
    assert makers.check(MakerChange(name=" New ")).name == "New"
    with pytest.raises(errors.InvalidInput):
        makers.check(MakerChange(name=" "))
    with pytest.raises(errors.InvalidInput):
        makers.check(MakerChange(description="x" * 2_001))


def test_a_maker_that_is_not_there() -> None:
    assert makers.found(MAKER, "x") is MAKER
    with pytest.raises(errors.MarketMakerNotFound) as refused:
        makers.found(None, "x", field="marketMakerId")
    assert (refused.value.field, refused.value.details) == ("marketMakerId", {"id": "x"})
