"""What a request about a person must look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from domain import errors, people
from domain.people import Deposit, DepositStatus, UserRole

SECRET = "correct horse battery"


@pytest.mark.parametrize("address", ["a@b.co", " Trader@Desk.Test ", "x+y@sub.domain.example", "ü@exämple.org"])
def test_addresses_are_taken_without_white_space(address: str) -> None:
    assert people.email(address) == address.strip()


@pytest.mark.parametrize(
    "address", ["", " ", "a", "a@b", "a@@b.co", "a b@c.de", "@b.co", "a@b.", "a@.b", "a" * 250 + "@b.co"]
)
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        people.email(address)
    assert refused.value.field == "email"


@pytest.mark.parametrize("length", [0, 14, 129, 10_000])
def test_a_password_of_the_wrong_length_is_refused_and_not_repeated(length: int) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        people.password("s" * length)
    assert refused.value.details == {"length": length}
    assert "sss" not in refused.value.message


def test_passwords_of_the_bounds_are_taken() -> None:
    assert len(people.password("s" * 15)) + len(people.password("s" * 128)) == 143


def test_a_market_maker_is_no_user_to_create() -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        people.new_user("mm@desk.test", "Maker", UserRole.MARKET_MAKER, SECRET)
    assert refused.value.field == "role"


def test_a_new_user_is_cleaned() -> None:
    new = people.new_user(" t@desk.test ", " Trader ", UserRole.TRADER, SECRET)
    assert (new.email, new.name, new.role, new.password) == ("t@desk.test", "Trader", "TRADER", SECRET)


@pytest.mark.parametrize(("name", "is_taken"), [("", False), ("   ", False), ("x" * 64, True), ("x" * 65, False)])
def test_names_have_one_to_64_characters(name: str, is_taken: bool) -> None:
    if is_taken:
        assert people.new_user("t@desk.test", name, UserRole.ADMIN, SECRET).name == name
    else:
        with pytest.raises(errors.InvalidInput) as refused:
            people.new_user("t@desk.test", name, UserRole.ADMIN, SECRET)
        assert refused.value.field == "name"


def test_optional_text_may_be_empty_but_not_long() -> None:
    assert people.optional_text("  ", field="notes", length_max=5, label="The note") is None
    assert people.optional_text(None, field="notes", length_max=5, label="The note") is None
    assert people.optional_text(" abcde ", field="notes", length_max=5, label="The note") == "abcde"
    with pytest.raises(errors.InvalidInput):
        people.optional_text("abcdef", field="notes", length_max=5, label="The note")


@pytest.mark.parametrize("text", ["", None, "x", "0" * 31, "g" * 32, "{" + "0" * 35, "urn:uuid:" + "0" * 27, "٠" * 32])
def test_a_malformed_id_names_nothing(text: str | None) -> None:
    found = people.uuid_or_none(text)
    assert found is None or found.int == 0, "digits of other scripts may read as digits, never as a fault"


def test_an_id_is_read_in_both_forms() -> None:
    one = uuid4()
    assert people.uuid_or_none(str(one)) == people.uuid_or_none(one.hex) == UUID(str(one))


def test_a_deposit_is_decided_once() -> None:
    now = datetime.now(UTC)
    deposit = Deposit(
        uuid4(), uuid4(), Decimal(5), "R", DepositStatus.PENDING, None, now, None, None, "TKT-2026-000001"
    )
    assert people.decide_deposit(deposit, str(deposit.id)) is deposit
    with pytest.raises(errors.NotFound):
        people.decide_deposit(None, "x")
    for status in (DepositStatus.APPROVED, DepositStatus.REJECTED):
        with pytest.raises(errors.AlreadyDecided) as refused:
            people.decide_deposit(replace(deposit, status=status), str(deposit.id))
        assert refused.value.details == {"status": status}
