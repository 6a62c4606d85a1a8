"""The two ways of writing the canonical form agree: a difference would be a false alarm."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from db import evidence
from domain.tickets import canonical, effect_line, plain

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_stored_json_is_written_as_it_was_hashed(value: Any) -> None:
    recorded = plain(value)
    stored = json.dumps(recorded, indent=1)  # other spaces and escapes, as jsonb has its own
    assert evidence._canonical(stored) == canonical(recorded)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=6))
def test_a_row_is_written_as_it_was_hashed(values: list[str | None]) -> None:
    assert orjson.dumps(["orders", *values]).decode() == effect_line("orders", values)
