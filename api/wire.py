"""Turn bytes into an operation and answers into bytes: strict JSON in strict UTF-8, the same on every transport."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from api.errors import RequestError

# orjson refuses a lone surrogate and a number beyond a double as it refuses broken JSON; the first two are JSON, and
# values that do not coerce.
BEYOND_ORJSON: Final = re.compile(rb"\\u[dD][89a-fA-F]|[0-9][eE]\+?[0-9]{3}|[0-9]{300}")
INTEGER_DIGITS_MAX: Final = 19  # of 64 bits; a longer one becomes a float, as orjson has it


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation as a client asked for it."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


def decoded(data: str | bytes) -> Any:
    """Decode strict JSON in strict UTF-8.

    Lone surrogates and huge numbers (as infinite) pass here and are refused as values, where the attempt is recorded.
    Raises: json.JSONDecodeError.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as refusal:
        raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
        if not BEYOND_ORJSON.search(raw):
            raise
        try:
            return json.loads(raw.decode("utf-8"), parse_constant=refuse_constant, parse_int=integer)
        except (ValueError, RecursionError):
            raise refusal from None


def integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else float(digits)


def refuse_constant(name: str) -> None:
    raise ValueError(name)


def encoded(data: object) -> bytes:
    """Encode an answer as JSON."""
    try:
        return orjson.dumps(data)
    except TypeError:  # a lone surrogate echoed in a message, an integer beyond 64 bits
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii")


def asked_of(data: object) -> Asked:
    """Check the shape of a request.

    Raises: RequestError.
    """
    if isinstance(data, list):
        raise RequestError("Operations are not batched: send one object per request.")
    if not isinstance(data, dict):
        raise RequestError('Send a JSON object such as {"query": "{ __typename }"}.')
    query, name = data.get("query"), data.get("operationName")
    variables, extensions = data.get("variables"), data.get("extensions")
    if not isinstance(query, str) or not query.strip():
        raise RequestError("`query` must be a string that holds a GraphQL document.")
    if name is not None and not isinstance(name, str):
        raise RequestError("`operationName` must be a string or null.")
    if variables is not None and not isinstance(variables, dict):
        raise RequestError("`variables` must be an object or null.")
    if extensions is not None and not isinstance(extensions, dict):
        raise RequestError("`extensions` must be an object or null.")
    return Asked(query, variables, name or None, extensions)
