"""Outcomes as JSON: what a ticket keeps as its response, and what a repeated idempotency key is answered with.

Keys are written as the schema words them (camelCase), decimals, instants and ids as strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

T = TypeVar("T")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def as_json(outcome: Any) -> Any:
    """Write an outcome."""
    return None if outcome is None else _rekeyed(_adapter(type(outcome)).dump_python(outcome, mode="json"), _camel)


def reader(outcome_type: type[T]) -> Callable[[Any], T]:
    """Return the function that reads such an outcome back."""
    return lambda stored: _adapter(outcome_type).validate_python(_rekeyed(stored, _snake))


def _rekeyed(value: Any, key_of: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key_of(key): _rekeyed(item, key_of) for key, item in value.items()}
    return [_rekeyed(item, key_of) for item in value] if isinstance(value, list) else value


@cache
def _snake(key: str) -> str:
    return _CAPITAL.sub(lambda found: f"_{found[1].lower()}", key)


_camel: Callable[[str], str] = cache(to_camel)  # the fields of our own records: a few dozen
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
