"""Define what a value may look like at the door: decimals, instants, 64-bit integers, JSON and plain text.

Each scalar refuses with a sentence that says what to send instead; graphql-core turns it into a BAD_REQUEST.
Text has no scalar of its own: GraphQL reserves the name String, so `unstorable` is applied to all
variables and `api.documents` to all literals, once per operation.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NewType

import strawberry
from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    NullValueNode,
    StringValueNode,
    ValueNode,
    value_from_ast_untyped,
)
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

BigInt = NewType("BigInt", int)

DECIMAL_TEXT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,8})?")
DECIMAL_INTEGER_MAX: Final = 10**12 - 1  # twelve digits, as in the text form
BIG_INT_MIN: Final = -(2**63)
BIG_INT_MAX: Final = 2**63 - 1
# RFC 3339, seconds optional; what is finer than a microsecond is cut off, as PostgreSQL stores no more.
DATE_TIME_TEXT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
JSON_DEPTH_MAX: Final = 32  # variables and JSON values; the deepest input of the schema needs six
SHOWN_CHARACTERS_MAX: Final = 80  # of a refused value in a message

NUL: Final = "\x00"  # PostgreSQL stores it in neither text nor jsonb
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # lone surrogates have no UTF-8 form


def shown(value: object) -> str:
    """Quote a refused value for a message, short and printable."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return "a huge integer"
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


def shown_literal(node: ValueNode) -> str:
    """Quote a refused literal as it was written, as far as it is short."""
    match node:
        case StringValueNode(value=text):
            return shown(text)
        case IntValueNode(value=text) | FloatValueNode(value=text) | EnumValueNode(value=text):
            return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"
        case BooleanValueNode(value=flag):
            return "true" if flag else "false"
        case NullValueNode():
            return "null"
        case _:
            return f"a {node.kind.removesuffix('_value')}"


# --- Decimal


def refused_decimal(found: str) -> GraphQLError:
    return GraphQLError(
        'Expected a decimal: a string of up to 12 digits, with up to 8 more after a point, such as "25.50", '
        f"or a whole number; no sign, no exponent. Found {found}."
    )


def decimal_in(value: object) -> Decimal:
    """Read a Decimal from a variable.

    Raises: GraphQLError.
    """
    if isinstance(value, str) and DECIMAL_TEXT.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= DECIMAL_INTEGER_MAX:
        return Decimal(value)
    raise refused_decimal(shown(value))


def decimal_literal_in(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> Decimal:
    """Read a Decimal from a literal: a string or an integer.

    Raises: GraphQLError.
    """
    if isinstance(node, StringValueNode) and DECIMAL_TEXT.fullmatch(node.value):
        return Decimal(node.value)
    if isinstance(node, IntValueNode) and DECIMAL_TEXT.fullmatch(node.value):
        return Decimal(node.value)
    raise refused_decimal(shown_literal(node))


def decimal_out(value: object) -> str:
    """Write a Decimal with the digits it has and never an exponent.

    Raises: GraphQLError.
    """
    if isinstance(value, Decimal) and value.is_finite():
        return format(value or abs(value), "f")  # zero has no sign
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise GraphQLError(f"Decimal cannot represent {shown(value)}")


# --- DateTime


def refused_date_time(found: str) -> GraphQLError:
    return GraphQLError(
        "Expected an instant as an ISO 8601 string with an explicit offset, such as "
        f'"2026-01-31T09:30:00Z" or "2026-01-31T10:30:00+01:00". Found {found}.'
    )


def date_time_in(value: object) -> datetime:
    """Read an instant from a variable, in UTC.

    Raises: GraphQLError.
    """
    if not isinstance(value, str) or not DATE_TIME_TEXT.fullmatch(value):
        raise refused_date_time(shown(value))
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February; the year 0 or 10000 once in UTC
        raise refused_date_time(f"{shown(value)}, which no calendar has") from None


def date_time_literal_in(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> datetime:
    """Read an instant from a literal.

    Raises: GraphQLError.
    """
    if isinstance(node, StringValueNode):
        return date_time_in(node.value)
    raise refused_date_time(shown_literal(node))


def date_time_out(value: object) -> str:
    """Write an instant in UTC with microseconds and Z.

    Raises: GraphQLError.
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise GraphQLError(f"DateTime cannot represent {shown(value)}")
    return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


# --- BigInt


def refused_big_int(found: str) -> GraphQLError:
    return GraphQLError(f"Expected an integer of 64 bits, such as 42. Found {found}.")


def big_int_in(value: object) -> int:
    """Read a 64-bit integer from a variable.

    Raises: GraphQLError.
    """
    if isinstance(value, int) and not isinstance(value, bool) and BIG_INT_MIN <= value <= BIG_INT_MAX:
        return value
    raise refused_big_int(shown(value))


def big_int_literal_in(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> int:
    """Read a 64-bit integer from a literal.

    Raises: GraphQLError.
    """
    if isinstance(node, IntValueNode) and len(node.value) <= len(str(BIG_INT_MIN)):
        return big_int_in(int(node.value))
    raise refused_big_int(shown_literal(node))


def big_int_out(value: object) -> int:
    """Write a 64-bit integer as a JSON number.

    Raises: GraphQLError.
    """
    if isinstance(value, int) and not isinstance(value, bool) and BIG_INT_MIN <= value <= BIG_INT_MAX:
        return value
    raise GraphQLError(f"BigInt cannot represent {shown(value)}")


# --- JSON


def json_fault(value: object, depth: int = JSON_DEPTH_MAX) -> str | None:
    """Say what keeps a value from being strict JSON that every reader understands alike; none when nothing does."""
    if value is None or isinstance(value, bool | str):
        return None
    if isinstance(value, int):
        return None if BIG_INT_MIN <= value <= BIG_INT_MAX else "an integer beyond 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is not finite"
    if depth == 0:
        return f"a value nested deeper than {JSON_DEPTH_MAX}"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "a key that is no string"
        return next(filter(None, (json_fault(item, depth - 1) for item in value.values())), None)
    if isinstance(value, list | tuple):
        return next(filter(None, (json_fault(item, depth - 1) for item in value)), None)
    return f"a {type(value).__name__}"


def json_in(value: object) -> object:
    """Read a JSON value from a variable.

    Raises: GraphQLError.
    """
    if fault := json_fault(value):
        raise GraphQLError(f"Expected a JSON value. Found {fault}.")
    return value


def json_literal_in(node: ValueNode, variables: Mapping[str, Any] | None = None) -> object:
    """Read a JSON value from a literal.

    Raises: GraphQLError.
    """
    try:
        value = value_from_ast_untyped(node, dict(variables) if variables else None)
    except ValueError:  # Python refuses to convert integers of more than 4,300 digits
        raise GraphQLError("Expected a JSON value. Found an integer beyond 64 bits.") from None
    return json_in(value)


def json_out(value: object) -> object:
    """Hand a JSON value to the encoder.

    Raises: GraphQLError.
    """
    if fault := json_fault(value):
        raise GraphQLError(f"JSON cannot represent {fault}")
    return value


# --- text


def unstorable(value: object, depth: int = JSON_DEPTH_MAX) -> str | None:
    """Say where a decoded JSON value, keys included, holds text that no database column can; none when nowhere.

    Shape: "at input.name[2]: …"; a value nested deeper than the limit is reported as well.
    """
    found = unstorable_path(value, depth)
    if found is None:
        return None
    path, fault = found
    return f"at {path.removeprefix('.')}: {fault}" if path else fault


def unstorable_path(value: object, depth: int) -> tuple[str, str] | None:
    if isinstance(value, str):
        return ("", text_fault(value)) if UNSTORABLE.search(value) else None
    if not isinstance(value, dict | list):
        return None
    if depth == 0:
        return "", f"nested deeper than {JSON_DEPTH_MAX}"
    if isinstance(value, dict):
        for key, item in value.items():
            if UNSTORABLE.search(key):
                return f".{escaped(key[:SHOWN_CHARACTERS_MAX])}", text_fault(key)
            if found := unstorable_path(item, depth - 1):
                return f".{key[:SHOWN_CHARACTERS_MAX]}{found[0]}", found[1]
        return None
    for index, item in enumerate(value):
        if found := unstorable_path(item, depth - 1):
            return f"[{index}]{found[0]}", found[1]
    return None


def text_fault(text: str) -> str:
    """Name the first character that makes a text unstorable."""
    match = UNSTORABLE.search(text)
    assert match is not None
    code = f"U+{ord(match[0]):04X}"
    name = "a NUL character" if match[0] == NUL else "half of a surrogate pair"
    return f"text must not contain {name} ({code}, character {match.start() + 1}); remove it"


def escaped(value: Any) -> Any:
    """Copy a JSON value with every unstorable character written as \\uXXXX, so that evidence can be kept."""
    if isinstance(value, str):
        return UNSTORABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", value)
    if isinstance(value, dict):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return value


SCALARS: Final[dict[object, ScalarDefinition]] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description=(
            'An exact decimal number. Out: a string with the scale of its kind, such as `"25.50"` for prices and EUR '
            'and `"100"` for certificates, negative with `-`, never an exponent. In: a string of up to 12 digits with '
            "up to 8 more after a point, or a whole number; floats, signs and exponents are refused."
        ),
        specified_by_url="https://www.w3.org/TR/xmlschema11-2/#decimal",
        serialize=decimal_out,
        parse_value=decimal_in,
        parse_literal=decimal_literal_in,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "An instant, ISO 8601. Out: UTC with microseconds and `Z`. In: any explicit offset; a time without "
            "an offset is refused."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=date_time_out,
        parse_value=date_time_in,
        parse_literal=date_time_literal_in,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, at most 32 levels deep, integers of at most 64 bits.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=json_out,
        parse_value=json_in,
        parse_literal=json_literal_in,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A signed integer of 64 bits as a JSON number: sequences, priorities, checksums, large counts.",
        specified_by_url="https://www.w3.org/TR/xmlschema11-2/#long",
        serialize=big_int_out,
        parse_value=big_int_in,
        parse_literal=big_int_literal_in,
    ),
}
"""For `StrawberryConfig(scalar_map=SCALARS)`."""
