"""Outcomes as JSON: what a ticket keeps as its response, and what a repeated idempotency key is answered with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def as_json(outcome: Any) -> Any:
    """Write an outcome: decimals, instants and ids as strings."""
    return None if outcome is None else _adapter(type(outcome)).dump_python(outcome, mode="json")


def reader(outcome_type: type[T]) -> Callable[[Any], T]:
    """Return the function that reads such an outcome back."""
    return lambda stored: _adapter(outcome_type).validate_python(stored)


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
