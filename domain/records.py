"""Values that are made by the thousand. Law: nobody changes one after it is made; mypy refuses every assignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with slots, frozen for mypy and not at run time.

    `dataclass(frozen=True)` sets each field through `object.__setattr__`: four times as slow to make. It stays the rule
    for everything that is not made several times for each order.
    """
    return dataclass(slots=True)(cls)
