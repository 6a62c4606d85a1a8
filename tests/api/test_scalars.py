"""What a value may look like at the door, in variables and in literals alike."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLScalarType

from api.errors import Code, presented, uncoerced
from api.scalars import JSON_DEPTH_MAX, date_time_out, decimal_out, escaped, json_out, unstorable
from tests.api.echo_app import Context, build_schema

SCHEMA = build_schema()


async def outcome(field: str, kind: str, value: Any, literal: str) -> list[Any]:
    """Send a value as a variable and as a literal; list what came back, or the code of the refusal."""
    outcomes: list[Any] = []
    for query, variables in (
        (f"query ($value: {kind}!) {{ {field}(value: $value) }}", {"value": value}),
        (f"{{ {field}(value: {literal}) }}", None),
    ):
        result = await SCHEMA.execute(query, variables, context_value=Context(None))
        if result.errors:
            assert uncoerced(result.errors)
            assert result.data is None
            worded = presented(result.errors)
            assert "found" in worded[0]["message"].lower() or "must not" in worded[0]["message"]
            outcomes.append(worded[0]["extensions"]["code"])
        else:
            assert result.data is not None
            outcomes.append(result.data[field])
    return outcomes


@pytest.mark.parametrize(
    ("value", "literal", "read"),
    [
        ("0", '"0"', "0"),
        ("25.50", '"25.50"', "25.50"),
        ("100", '"100"', "100"),
        (100, "100", "100"),
        (0, "0", "0"),
        (999_999_999_999, "999999999999", "999999999999"),
        ("999999999999.99999999", '"999999999999.99999999"', "999999999999.99999999"),
        ("000000000001.50000000", '"000000000001.50000000"', "1.50000000"),
        ("0.00000001", '"0.00000001"', "0.00000001"),
    ],
)
async def test_decimals_are_read_exactly(value: Any, literal: str, read: str) -> None:
    assert await outcome("decimal", "Decimal", value, literal) == [read, read]


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (1.5, "1.5"),
        (1e3, "1e3"),
        (True, "true"),
        (-1, "-1"),
        ("-1", '"-1"'),
        ("+1", '"+1"'),
        ("1e3", '"1e3"'),
        ("1E400", '"1E400"'),
        ("NaN", '"NaN"'),
        ("Infinity", '"Infinity"'),
        ("", '""'),
        (" 1", '" 1"'),
        ("1\n", '"1\\n"'),
        ("1.", '"1."'),
        (".5", '".5"'),
        ("1,5", '"1,5"'),
        ("1_000", '"1_000"'),
        ("0x10", '"0x10"'),
        ("١٢", '"١٢"'),
        ("1.123456789", '"1.123456789"'),
        ("1234567890123", '"1234567890123"'),
        (1_234_567_890_123, "1234567890123"),
        (10**5000, "1" + "0" * 5000),
        ([1], "[1]"),
        ({"a": 1}, "{a: 1}"),
        ("1\x00", '"1\\u0000"'),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or value < 10**20 else "huge",
)
async def test_other_decimals_do_not_coerce(value: Any, literal: str) -> None:
    assert await outcome("decimal", "Decimal", value, literal) == [Code.BAD_REQUEST] * 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal(100), "100"),
        (Decimal("1E+2"), "100"),
        (Decimal("25.50"), "25.50"),
        (Decimal("-25.50"), "-25.50"),
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("-0.00"), "0.00"),
        (Decimal("0.0000"), "0.0000"),
        (7, "7"),
    ],
)
def test_decimals_are_written_without_exponent(value: Any, text: str) -> None:
    assert decimal_out(value) == text


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), 1.5, True, "1", None])
def test_no_other_value_is_written_as_a_decimal(value: Any) -> None:
    with pytest.raises(GraphQLError):
        decimal_out(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31T09:30Z", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31T09:30:00.5+01:00", "2026-01-31T08:30:00.500000Z"),
        ("2026-01-31T09:30:00.123456789-05:30", "2026-01-31T15:00:00.123456Z"),
        ("2024-02-29T23:59:59.999999+00:00", "2024-02-29T23:59:59.999999Z"),
    ],
)
async def test_instants_are_read_with_any_explicit_offset(value: str, read: str) -> None:
    assert await outcome("instant", "DateTime", value, f'"{value}"') == [read, read]


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("2026-01-31T09:30:00", '"2026-01-31T09:30:00"'),
        ("2026-01-31", '"2026-01-31"'),
        ("2026-01-31 09:30:00Z", '"2026-01-31 09:30:00Z"'),
        ("2026-02-30T09:30:00Z", '"2026-02-30T09:30:00Z"'),
        ("2026-01-31T24:00:00Z", '"2026-01-31T24:00:00Z"'),
        ("2026-01-31T09:30:60Z", '"2026-01-31T09:30:60Z"'),
        ("20260131T093000Z", '"20260131T093000Z"'),
        ("2026-W05-6T09:30:00Z", '"2026-W05-6T09:30:00Z"'),
        ("0001-01-01T00:00:00+01:00", '"0001-01-01T00:00:00+01:00"'),
        ("0000-01-01T00:00:00Z", '"0000-01-01T00:00:00Z"'),
        ("9999-12-31T23:59:59-01:00", '"9999-12-31T23:59:59-01:00"'),
        ("now", '"now"'),
        ("", '""'),
        (1_767_225_600, "1767225600"),
        (True, "true"),
    ],
)
async def test_other_instants_do_not_coerce(value: Any, literal: str) -> None:
    assert await outcome("instant", "DateTime", value, literal) == [Code.BAD_REQUEST] * 2


def test_instants_are_written_in_utc_with_microseconds() -> None:
    assert date_time_out(datetime(2026, 1, 31, 9, 30, tzinfo=UTC)) == "2026-01-31T09:30:00.000000Z"
    east = timezone(timedelta(hours=2))
    assert date_time_out(datetime(2026, 1, 31, 9, 30, 0, 5, tzinfo=east)) == "2026-01-31T07:30:00.000005Z"
    with pytest.raises(GraphQLError):
        date_time_out(datetime(2026, 1, 31))  # noqa: DTZ001 - the naive one is the case


@pytest.mark.parametrize("value", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
async def test_big_integers_have_64_bits(value: int) -> None:
    assert await outcome("big", "BigInt", value, str(value)) == [value, value]


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (2**63, str(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (1.0, "1.0"),
        ("1", '"1"'),
        (True, "true"),
        (10**5000, "1" + "0" * 5000),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or value < 10**20 else "huge",
)
async def test_other_integers_do_not_coerce(value: Any, literal: str) -> None:
    assert await outcome("big", "BigInt", value, literal) == [Code.BAD_REQUEST] * 2


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [{"a": [1, 1.5, "x", True, None]}, [], "text", 0, nested(JSON_DEPTH_MAX - 1)])
async def test_json_is_read_as_it_is(value: Any) -> None:
    query = "query ($value: JSON!) { json(value: $value) }"
    result = await SCHEMA.execute(query, {"value": value}, context_value=Context(None))
    assert result.data == {"json": value}


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (float("nan"), "1e999"),
        (2**63, str(2**63)),
        (10**5000, "1" + "0" * 5000),
        (nested(JSON_DEPTH_MAX + 1), "[" * (JSON_DEPTH_MAX + 1) + "1" + "]" * (JSON_DEPTH_MAX + 1)),
    ],
    ids=["not finite", "65 bits", "5,000 digits", "too deep"],
)
async def test_other_json_does_not_coerce(value: Any, literal: str) -> None:
    query = "query ($value: JSON!) { json(value: $value) }"
    for result in (
        await SCHEMA.execute(query, {"value": value}, context_value=Context(None)),
        await SCHEMA.execute(f"{{ json(value: {literal}) }}", context_value=Context(None)),
    ):
        assert uncoerced(result.errors)
        assert presented(result.errors or [])[0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_integers_of_thousands_of_digits_are_refused_as_int_too() -> None:
    result = await SCHEMA.execute(f"{{ integer(value: 1{'0' * 5000}) }}", context_value=Context(None))
    assert uncoerced(result.errors)
    assert len(presented(result.errors or [])[0]["message"]) <= 500


@pytest.mark.parametrize("value", [Decimal(1), datetime.now(UTC), {1: 2}, float("inf"), {"a": {"b": object()}}, 2**64])
def test_no_other_value_is_written_as_json(value: Any) -> None:
    with pytest.raises(GraphQLError):
        json_out(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"input": {"name": ["ok", "a\x00b"]}}, "at input.name[1]: text must not contain a NUL character (U+0000"),
        ({"a": {"b\ud800": 1}}, "at a.b\\ud800: text must not contain half of a surrogate pair (U+D800"),
        ({"a": nested(JSON_DEPTH_MAX)}, f"nested deeper than {JSON_DEPTH_MAX}"),
        ({"a": "\U0001f3c3\n\t\x7f\uffff", "b": [None, 1, True]}, None),
    ],
)
def test_unstorable_text_is_found_wherever_it_stands(value: Any, place: str | None) -> None:
    found = unstorable(value)
    assert found is None if place is None else found is not None and place in found


def test_evidence_with_unstorable_text_can_be_kept() -> None:
    assert escaped({"a\x00": ["b\ud800", 1, None]}) == {"a\\u0000": ["b\\ud800", 1, None]}


def test_every_scalar_is_described_and_specified() -> None:
    for name in ("Decimal", "DateTime", "BigInt", "JSON"):
        scalar = SCHEMA._schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        assert scalar.description
        assert scalar.specified_by_url
