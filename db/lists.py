"""Lists: one page of a list, or the same page of the list of each of many parents, in one statement.

A list inside another (the orders of each market maker) is read for all parents at once: each parent's part is a
statement of its own behind LATERAL, bounded to its page, so that what is read does not grow with what is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
    true,
    union_all,
)

from db import read
from db.read import Key, Page, Reader, Window
from db.tables import Row

T = TypeVar("T")
F = TypeVar("F")

# Columns by which a list hangs on its parents. Several: a row has the parent in at most one of them.
Way = tuple[ColumnElement[Any], ...]


@dataclass(frozen=True, eq=False)
class Listing(Generic[F, T]):
    """How a list is read: the statement of a filter, its orders with the usual one first, the record of a row.

    Whatever reads a list raises InvalidInput (filter, page size, cursor).
    """

    statement: Callable[[F], Select[Any]]
    keys: Mapping[Any, Key]
    record: Callable[[Row], T]
    form: Hashable = None  # of a listing that is made for one question: what tells its statements from others

    def key(self, order: Enum | None) -> Key:
        """Return the key of an order, the usual one when none is named."""
        return self.keys[order] if order is not None else next(iter(self.keys.values()))

    async def page(self, reader: Reader, wanted: F, window: Window, order: Enum | None = None) -> Page[T]:
        """Return one page."""

        def build() -> Select[Any]:
            key = self.key(order)
            return read.cut(read.named(self.statement(wanted), key), key, window)

        question = (self if self.form is None else self.form, repr(wanted), order, window)
        rows = await reader.asked(question, build)
        return read.finished(rows, window, self.record)

    async def count(self, reader: Reader, wanted: F) -> tuple[int, bool]:
        """Return how many rows a list has, as far as the reader counts, and whether that is exact."""
        return await read.count(reader, self.statement(wanted))

    async def pages(
        self, reader: Reader, way: Way, parents: Sequence[Any], wanted: F, window: Window, order: Enum | None = None
    ) -> dict[Any, Page[T]]:
        """Return the same page of each parent's list, in one statement."""
        key, given = self.key(order), stored(way, parents)
        rows = await reader.asked(
            (self if self.form is None else self.form, *map(id, way), repr(wanted), order, window),
            lambda: self._of_parents(key, way, wanted, window),
            parents=list(given),
        )
        found: dict[Any, list[Any]] = {name: [] for name in given}
        for row in rows:
            found[row["parent"]].append(row)
        return {given[name]: read.finished(mine, window, self.record) for name, mine in found.items()}

    def _of_parents(self, key: Key, way: Way, wanted: F, window: Window) -> Select[Any]:
        above = _parents(way, [])
        statement = read.named(self.statement(wanted), key)
        arms = [read.cut(statement.where(column == above.c.id), key, window) for column in way]
        inner = arms[0]
        if len(arms) > 1:
            both = _together(arms, above).lateral("arms")
            inner = read.ordered(select(both), _named_key(both, key), window).limit(window.size + 1)
        part = inner.lateral("part")
        whole = select(above.c.id.label("parent"), part).select_from(above.join(part, true()))
        return read.ordered(whole.order_by(above.c.id), _named_key(part, key), window)

    async def counts(self, reader: Reader, way: Way, parents: Sequence[Any], wanted: F) -> dict[Any, tuple[int, bool]]:
        """Return the count of each parent's list as `count` does, in one statement."""
        given, most = stored(way, parents), reader.count_max
        above = _parents(way, list(given))
        arms = [self.statement(wanted).where(column == above.c.id).with_only_columns(column) for column in way]
        if most is not None:
            arms = [arm.limit(most + 1) for arm in arms]
        bounded = _together(arms, above).lateral()
        part = select(func.count().label("rows")).select_from(bounded).lateral("part")
        rows = await reader.rows(select(above.c.id.label("parent"), part.c.rows).select_from(above.join(part, true())))
        return {given[row["parent"]]: read.counted(row["rows"], most) for row in rows}


def stored(way: Way, parents: Sequence[Any]) -> dict[Any, Any]:
    """Return parents by what a row has of them: tickets name what they are about by a text."""
    return {str(parent) if isinstance(way[0].type, Text) else parent: parent for parent in parents}


def _parents(way: Way, parents: Sequence[Any]) -> FromClause:
    kind = ARRAY(way[0].type)
    given = cast(bindparam("parents", list(parents), kind), kind)
    return func.unnest(given).table_valued("id", name="above").render_derived()


def _together(arms: Sequence[Select[Any]], above: FromClause) -> CompoundSelect[Any]:
    """Return what several statements give that look at the same parent."""
    return union_all(*(select(arm.correlate(above).lateral()) for arm in arms))


def _named_key(part: FromClause, key: Key) -> Key:
    columns = tuple(part.c[f"key_{index}"] for index in range(len(key.columns)))
    return Key(columns, key.is_descending)
