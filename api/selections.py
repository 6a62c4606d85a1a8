"""Which fields are asked for below a field, so that what is not asked for is not computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from strawberry.types.nodes import FragmentSpread, InlineFragment, SelectedField

from api.context import Info


def names_below(info: Info, *path: str) -> set[str]:
    """Return the names of the fields that are selected at a path below the field that is resolved."""
    found: list[Any] = [one for field in info.selected_fields for one in _fields(field.selections)]
    for step in path:
        found = [one for field in found if field.name == step for one in _fields(field.selections)]
    return {field.name for field in found}


def _fields(selections: Iterable[Any]) -> Iterator[SelectedField]:
    for selection in selections:
        if isinstance(selection, SelectedField):
            yield selection
        elif isinstance(selection, FragmentSpread | InlineFragment):
            yield from _fields(selection.selections)
