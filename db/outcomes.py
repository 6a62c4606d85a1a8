"""Outcomes as JSON: what a ticket keeps as its response, and what a repeated idempotency key is answered with.

Keys are written as the schema words them (camelCase). Decimals, instants and ids stay what they are until the ticket
is written in its canonical form.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from db import ids

T = TypeVar("T")
_LEAVES = {str, int, bool, Decimal, datetime, type(None), UUID, type(ids.new())}  # seen most often, and hold nothing
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def as_json(outcome: Any) -> Any:
    """Write an outcome: a record becomes an object, a tuple a list."""
    if isinstance(outcome, (tuple, list)):
        return [as_json(item) for item in outcome]
    kind: Any = type(outcome)
    names = _names(kind)
    if not names:
        return outcome
    return {key: value if type(value := getattr(outcome, name)) in _LEAVES else as_json(value) for name, key in names}


def reader(outcome_type: type[T]) -> Callable[[Any], T]:
    """Return the function that reads such an outcome back."""
    return lambda stored: _adapter(outcome_type).validate_python(_rekeyed(stored))


def _rekeyed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_snake(key): _rekeyed(item) for key, item in value.items()}
    return [_rekeyed(item) for item in value] if isinstance(value, list) else value


@cache
def _names(kind: type[Any]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a record with their keys; none of what is no record."""
    if not hasattr(kind, "__dataclass_fields__"):
        return ()
    return tuple((one.name, to_camel(one.name)) for one in fields(kind))


@cache
def _snake(key: str) -> str:
    return _CAPITAL.sub(lambda found: f"_{found[1].lower()}", key)


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
