"""Filters: conditions joined with and, or and not, in SQL and on a record that is at hand, from one declaration.

A filter is a dataclass whose fields are conditions; None is none. What a condition means is its `Term`, so a list, a
list inside another, an aggregate and a stream cannot differ. A condition on what is not there does not hold; `not` of
it therefore does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, Self, TypeVar

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, true

from domain import errors

FILTER_DEPTH_MAX = 4
FILTER_LEAVES_MAX = 50  # parts of one filter, all its branches together
FILTER_VALUES_MAX = 500  # values of one condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The branches of any filter."""

    all_of: Sequence[Self] | None = None
    any_of: Sequence[Self] | None = None
    none_of: Self | None = None

    def depth(self) -> int:
        """Levels of nesting, this one included."""
        return 1 + max((branch.depth() for branch in self.branches()), default=0)

    def branches(self) -> list[Self]:
        nested = [*(self.all_of or ()), *(self.any_of or ())]
        return [*nested, self.none_of] if self.none_of else nested

    def leaves(self) -> int:
        """Branches of the whole filter."""
        return 1 + sum(branch.leaves() for branch in self.branches())

    def asked(self) -> dict[str, Any]:
        """Return the conditions of this branch alone."""
        return {
            one.name: value
            for one in fields(self)
            if one.name not in BRANCHES and (value := getattr(self, one.name)) is not None
        }

    def every(self) -> list[Self]:
        """Return this and all that is nested in it."""
        return [self, *(one for branch in self.branches() for one in branch.every())]


BRANCHES = frozenset(one.name for one in fields(Filter))
F = TypeVar("F", bound=Filter)


@dataclass(frozen=True, slots=True)
class Term:
    """What a condition means: of a column, and of a record at hand."""

    holds: Callable[[Any], ColumnElement[bool]]
    fits: Callable[[Any, Any], bool]  # (record, value)


def check(wanted: Filter) -> None:
    """Refuse a filter that is too large.

    Raises: InvalidInput.
    """
    if wanted.depth() > FILTER_DEPTH_MAX or wanted.leaves() > FILTER_LEAVES_MAX:
        raise errors.InvalidInput(
            f"A filter has at most {FILTER_DEPTH_MAX} levels and {FILTER_LEAVES_MAX} parts.", field="filter"
        )
    for part in wanted.every():
        for value in part.asked().values():
            if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > FILTER_VALUES_MAX:
                raise errors.InvalidInput(
                    f"A condition has at most {FILTER_VALUES_MAX} values.", field="filter", found=len(value)
                )


def where(wanted: Filter, terms: Mapping[str, Term]) -> ColumnElement[bool]:
    """Return the condition of a filter all of whose conditions are terms.

    Raises: InvalidInput (nested too deep, too large).
    """
    check(wanted)
    return composed(wanted, lambda part: [terms[name].holds(value) for name, value in part.asked().items()])


def composed(wanted: Any, own: Callable[[Any], list[ColumnElement[bool]]]) -> ColumnElement[bool]:
    """Join the conditions of a filter's branches; own: those of one branch."""
    conditions = own(wanted)
    conditions += [composed(branch, own) for branch in wanted.all_of or ()]
    if wanted.any_of:
        conditions.append(or_(*(composed(branch, own) for branch in wanted.any_of)))
    if wanted.none_of is not None:
        conditions.append(not_(func.coalesce(composed(wanted.none_of, own), false())))
    return and_(true(), *conditions)


def fits(wanted: Filter, terms: Mapping[str, Term], record: Any) -> bool:
    """Tell whether a record is one of a list, as `where` does."""
    return (
        all(terms[name].fits(record, value) for name, value in wanted.asked().items())
        and all(fits(branch, terms, record) for branch in wanted.all_of or ())
        and (not wanted.any_of or any(fits(branch, terms, record) for branch in wanted.any_of))
        and (wanted.none_of is None or not fits(wanted.none_of, terms, record))
    )


def narrowed(wanted: F, **own: Any) -> F | None:
    """Return a filter that holds only for what is of somebody; None when it asks for what is of another."""
    if any(getattr(wanted, name) not in (None, value) for name, value in own.items()):
        return None
    return replace(wanted, **own)


# --------------------------------------------------------------------------------------------------------------- terms
# name: of the record's attribute; where it is left out, that of the column.


def equal(column: ColumnElement[Any], name: str = "") -> Term:
    """Be this value."""
    of = _reading(column, name)
    return Term(lambda value: column == _plain(value), lambda record, value: of(record) == value)


def one_of(column: ColumnElement[Any], name: str = "") -> Term:
    """Be one of these values."""
    of = _reading(column, name)
    return Term(
        lambda values: column.in_([_plain(value) for value in values]), lambda record, values: of(record) in values
    )


def at_least(column: ColumnElement[Any], name: str = "") -> Term:
    """Be this or more; of a time: then or later."""
    of = _reading(column, name)
    return Term(lambda value: column >= value, lambda record, value: (is_ := of(record)) is not None and is_ >= value)


def at_most(column: ColumnElement[Any], name: str = "") -> Term:
    """Be this or less."""
    of = _reading(column, name)
    return Term(lambda value: column <= value, lambda record, value: (is_ := of(record)) is not None and is_ <= value)


def before(column: ColumnElement[Any], name: str = "") -> Term:
    """Be earlier: windows are half-open."""
    of = _reading(column, name)
    return Term(lambda value: column < value, lambda record, value: (is_ := of(record)) is not None and is_ < value)


def present(column: ColumnElement[Any], name: str = "") -> Term:
    """Be there, or not be there."""
    of = _reading(column, name)
    return Term(
        lambda value: column.is_not(None) if value else column.is_(None),
        lambda record, value: (of(record) is not None) is value,
    )


def either(*terms: Term) -> Term:
    """Hold one of several conditions on the same value."""
    return Term(
        lambda value: or_(*(term.holds(value) for term in terms)),
        lambda record, value: any(term.fits(record, value) for term in terms),
    )


def containing(*columns: ColumnElement[Any], names: Sequence[str] = ()) -> Term:
    """Have a text in one of these columns, in any case."""
    of = [_reading(column, name) for column, name in zip(columns, names or [""] * len(columns), strict=True)]
    return Term(
        lambda text: or_(*(column.icontains(text, autoescape=True) for column in columns)),
        lambda record, text: any(text.lower() in str(read(record) or "").lower() for read in of),
    )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _reading(column: ColumnElement[Any], name: str) -> Callable[[Any], Any]:
    attribute = name or str(getattr(column, "key", ""))
    return lambda record: getattr(record, attribute)
