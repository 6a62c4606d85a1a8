"""Tickets: ids past 999,999, one canonical form, a digest that every column moves, payloads that cannot hurt."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import tickets
from domain.tickets import (
    ActionType,
    Attempt,
    Draft,
    EntityType,
    FieldChange,
    Payload,
    Story,
    Ticket,
    TicketStatus,
    canonical,
    changes,
    parse_ticket_id,
    plain,
    ticket_id,
    write_up,
)

NOW = datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC)
TICKET = Ticket(
    year=2026, number=1_234, timestamp=NOW, action_type=ActionType.ORDER_PLACED, status=TicketStatus.SUCCESS,
    summary="SELL 100 CEA @ 25.50", error_code=None, error_message=None, user_id=UUID(int=1),
    market_maker_id=UUID(int=2), entity_type=EntityType.ORDER, entity_id="o", ip_address="10.0.0.1",
    user_agent="gql", session_id=UUID(int=3), duration_ms=Decimal("1.250"), related_ticket_ids=("TKT-2026-000001",),
    tags=("order",), attempt_id=UUID(int=4),
)  # fmt: skip
PAYLOAD = Payload(b"s" * 32, {"a": 1}, {"b": 2}, {"c": 3}, {"d": 4})
EFFECTS = [tickets.effect_line("orders", ["x", Decimal("1.50"), NOW, None])]
ANOTHER: dict[str, Any] = {
    "year": 2027, "number": 1_235, "timestamp": NOW + timedelta(microseconds=1),
    "action_type": ActionType.ORDER_CANCELLED, "status": TicketStatus.FAILED, "summary": "SELL 100 CEA @ 25.51",
    "error_code": "BUSY", "error_message": "m", "user_id": None, "market_maker_id": None,
    "entity_type": EntityType.TRADE, "entity_id": None,
    "ip_address": "10.0.0.2", "user_agent": None, "session_id": None, "duration_ms": Decimal("1.251"),
    "related_ticket_ids": (), "tags": ("order", "x"), "attempt_id": None,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize(("number", "text"), [
    (1, "TKT-2026-000001"), (999_999, "TKT-2026-999999"), (1_000_000, "TKT-2026-1000000"),
    (10**17, f"TKT-2026-{10**17}"),
])  # fmt: skip
def test_ids_grow_past_six_digits(number: int, text: str) -> None:
    assert ticket_id(2026, number) == text
    assert parse_ticket_id(text) == (2026, number)


@pytest.mark.parametrize("text", [
    "", "TKT-2026-00001", "TKT-2026-0000001", "TKT-2026-01000000", "tkt-2026-000001", "TKT-26-000001",
    " TKT-2026-000001", "TKT-2026-000001\n", "TKT-2026-٠٠٠٠٠١", "TKT-2026-" + "9" * 19, "TKT-2026-00000x",
    "TKT2026000001", "TKT-2026--00001",
])  # fmt: skip
def test_what_is_no_id_is_none(text: str) -> None:
    assert parse_ticket_id(text) is None


# ------------------------------------------------------------------------------------------------------------- digest


def digest(ticket: Ticket, payload: Payload, effects: list[str]) -> bytes:
    return tickets.digest(ticket, tickets.hmac_of(payload), effects)


def test_the_digest_covers_every_column() -> None:
    assert set(ANOTHER) == {field.name for field in fields(Ticket)}
    seen = {digest(TICKET, PAYLOAD, EFFECTS)}
    for name, value in ANOTHER.items():
        changed = replace(TICKET, **{name: value})
        assert changed != TICKET
        seen.add(digest(changed, PAYLOAD, EFFECTS))
    assert len(seen) == len(ANOTHER) + 1


def test_the_digest_covers_the_payload_its_salt_and_the_effects() -> None:
    other: dict[str, Any] = {field.name: {"x": 0} for field in fields(Payload)} | {"salt": b"t" * 32}
    variants = [replace(PAYLOAD, **{name: value}) for name, value in other.items()]
    seen = {digest(TICKET, payload, EFFECTS) for payload in [PAYLOAD, *variants]}
    seen |= {digest(TICKET, PAYLOAD, effects) for effects in ([], [*EFFECTS, EFFECTS[0]], ["orders"])}
    assert len(seen) == len(variants) + 4


def test_values_do_not_slide_between_neighbouring_columns() -> None:
    one = replace(TICKET, tags=("a", "b"), related_ticket_ids=())
    assert digest(one, PAYLOAD, []) != digest(replace(one, tags=("a,b",)), PAYLOAD, [])
    assert digest(one, PAYLOAD, []) != digest(replace(one, tags=(), related_ticket_ids=("a", "b")), PAYLOAD, [])
    assert digest(one, replace(PAYLOAD, request=None, response={"a": 1}), []) != digest(
        one, replace(PAYLOAD, request={"a": 1}, response=None), []
    )
    assert digest(replace(one, entity_id="None"), PAYLOAD, []) != digest(replace(one, entity_id=None), PAYLOAD, [])


def test_the_order_of_effects_does_not_count() -> None:
    lines = [tickets.effect_line("orders", [index]) for index in range(3)]
    assert digest(TICKET, PAYLOAD, lines) == digest(TICKET, PAYLOAD, lines[::-1])


def test_the_digest_is_the_one_of_version_1() -> None:
    """A change of the canonical form must come with a new DIGEST_VERSION: old tickets would no longer verify."""
    assert digest(TICKET, PAYLOAD, EFFECTS).hex() == "395f59836b88ff0f31c776778e4b7feffc4262e8baecff456191c599594ca519"


def test_an_instant_is_the_same_in_every_zone() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert tickets.instant(elsewhere) == tickets.instant(NOW) == "2026-05-04T12:30:15.123456Z"
    assert digest(replace(TICKET, timestamp=elsewhere), PAYLOAD, []) == digest(TICKET, PAYLOAD, [])


# ----------------------------------------------------------------------------------------------------- canonical form


def test_the_canonical_form_is_sorted_and_tight() -> None:
    assert canonical({"b": [1, None, True], "a": "ü"}) == '{"a":"ü","b":[1,null,true]}'


@pytest.mark.parametrize(("value", "form"), [
    ("a\x00b", "a\\u0000b"),
    ("\ud800x", "\\ud800x"),
    ({"k\x00": "\udfff"}, {"k\\u0000": "\\udfff"}),
    (2**63, str(2**63)),
    (-(2**63), -(2**63)),
    (True, True),
    (1.5, "1.5"),
    (math.inf, "inf"),
    (math.nan, "nan"),
    (Decimal("1E+2"), "100"),
    (Decimal("25.50"), "25.50"),
    (Decimal("NaN"), "NaN"),
    (NOW, "2026-05-04T12:30:15.123456Z"),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (b"\x00", "b'\\x00'"),
    ({1}, [1]),
    (StrEnum("E", {"A": "a"}).A, "a"),  # type: ignore[attr-defined]
])  # fmt: skip
def test_plain_values(value: Any, form: Any) -> None:
    assert plain(value) == form
    canonical(plain(value)).encode()


def test_a_long_string_is_cut_and_says_so() -> None:
    assert plain("x" * 2_000) == "x" * 2_000
    assert plain("x" * 10**6) == "x" * 2_000 + "… [1000000 characters]"


def test_a_deep_structure_ends_in_a_marker() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    flat = canonical(plain(deep))
    assert "too deep" in flat
    assert "bottom" not in flat
    assert flat.count("[[") < 10


def test_a_wide_structure_is_bounded() -> None:
    assert len(plain(list(range(10_000)))) == tickets.ITEMS_MAX
    assert len(plain({str(index): index for index in range(10_000)})) == tickets.ITEMS_MAX


@pytest.mark.parametrize(
    "value",
    [10**5_000, -(10**5_000), Decimal("1E+999999"), Decimal("1E-999999"), Decimal("-1E+99999")],
    ids=list("abcde"),
)
def test_figures_of_monstrous_length_stay_short(value: Any) -> None:
    assert len(canonical(plain(value))) < 3_000


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.decimals() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)


@given(json_like)
@settings(max_examples=200, deadline=None)
def test_whatever_is_recorded_can_be_stored(value: Any) -> None:
    form = plain(value)
    text = canonical(form)
    assert "\x00" not in text
    text.encode()
    assert json.loads(text) == form


# -------------------------------------------------------------------------------------------------------- writing up


def attempt(**changed: Any) -> Attempt:
    given: dict[str, Any] = {
        "attempt_id": uuid4(), "field": "placeOrder", "action_type": ActionType.ORDER_PLACED,
        "request": {"input": {"price": "25.50"}}, "started_at_ns": 1_000_000, "tags": ("order", "cli"),
    }  # fmt: skip
    return Attempt(**(given | changed))


def test_a_root_ticket_has_attempt_and_duration_and_a_child_has_neither() -> None:
    draft = Draft(attempt(), Story(ActionType.ORDER_PLACED, "s", tags=("order",)), number=(2026, 7))
    root = write_up(draft, NOW, 3_500_999)
    assert (root.ticket_id, root.duration_ms, root.attempt_id) == (
        "TKT-2026-000007",
        Decimal("2.500"),
        draft.attempt.attempt_id,
    )
    assert root.tags == ("order", "cli")
    draft.is_root = False
    child = write_up(draft, NOW, 3_500_999)
    assert (child.duration_ms, child.attempt_id) == (None, None)


def test_hostile_text_of_a_ticket_is_made_storable() -> None:
    hostile = "a\x00\ud800"
    story = Story(ActionType.ORDER_PLACED, hostile * 1_000, EntityType.ORDER, hostile)
    draft = Draft(attempt(ip_address=hostile, user_agent=hostile), story, error_code="INTERNAL", error_message=hostile)
    draft.number = (2026, 7)
    ticket = write_up(draft, NOW, 1_000_000)
    for text in (ticket.summary, ticket.error_message, ticket.entity_id, ticket.ip_address, ticket.user_agent):
        assert text is not None
        assert "\x00" not in text
        text.encode()
    assert len(ticket.summary) <= tickets.SUMMARY_LENGTH_MAX


def test_related_tickets_are_named_once_in_order() -> None:
    other = Draft(attempt(), Story(ActionType.ORDER_PLACED, "s"), number=(2026, 8))
    draft = Draft(attempt(), Story(ActionType.ORDER_PLACED, "s"), related=("TKT-2026-000009", other, "TKT-2026-000009"))
    assert draft.related_ticket_ids == ("TKT-2026-000009", "TKT-2026-000008")


def test_equal_inputs_hash_equally_whatever_their_order() -> None:
    one, other = attempt(request={"a": "1", "b": "2"}), attempt(request={"b": "2", "a": "1"})
    assert one.input_hash == other.input_hash != attempt(request={"a": "1", "b": "3"}).input_hash


# ------------------------------------------------------------------------------------------------------------ changes


def test_changes_name_the_leaves_that_moved() -> None:
    before = {"balances": {"CEA": {"available": "10000", "locked": "0"}}, "order": None, "gone": 1, "same": [1]}
    after = {"balances": {"CEA": {"available": "9900", "locked": "100"}}, "order": {"status": "OPEN"}, "same": [1]}
    assert changes(before, after) == [
        FieldChange("balances.CEA.available", "10000", "9900"),
        FieldChange("balances.CEA.locked", "0", "100"),
        FieldChange("gone", 1, None),
        FieldChange("order.status", None, "OPEN"),
    ]
    assert changes(None, None) == changes(before, before) == []
    assert changes(None, {"a": 1}) == [FieldChange("a", None, 1)]
