"""Reading: statements composed with SQLAlchemy on connections that cannot write, lists by keyset pages.

Each call is one short transaction of its own, so any number of fields may read at the same time.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, text
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db.migrate import sqlalchemy_url
from db.unit import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S
from domain import errors
from domain.tickets import instant

T = TypeVar("T")
PAGE_SIZE_MAX = 100
PAGE_SIZE = 50
COUNT_MAX = 10_000  # counting further costs more than knowing it is worth
POOL_TIMEOUT_S = 5.0


class Reader:
    """Connections for reading only."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, role: str | None, size_max: int) -> Reader:
        """Connect lazily as the login of the URL and act as the role."""
        settings = {
            "application_name": "carbondesk-read",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(STATEMENT_TIMEOUT_S * 1_000)),
            "timezone": "UTC",
            "jit": "off",
        }
        if role:
            settings["role"] = role
        engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=size_max,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,  # a restarted server must not cost a reader an error
            connect_args={
                "server_settings": settings,
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_S * 2,
            },
        )
        return cls(engine.execution_options(isolation_level="AUTOCOMMIT"))

    async def rows(self, statement: Select[Any]) -> Sequence[RowMapping]:
        """Run one statement."""
        async with self._engine.connect() as connection:
            rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
            return rows

    async def sql(self, statement: str, **parameters: Any) -> Sequence[RowMapping]:
        """Run one statement that is clearer as text."""
        async with self._engine.connect() as connection:
            return (await connection.execute(text(statement), parameters)).mappings().all()

    async def close(self) -> None:
        await self._engine.dispose()


@dataclass(frozen=True, slots=True)
class Window:
    """Which page of a list is asked for."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def is_backward(self) -> bool:
        return self.last is not None

    @property
    def size(self) -> int:
        """Rows wanted.

        Raises: InvalidInput.
        """
        if self.first is not None and self.last is not None:
            raise errors.InvalidInput("Give first or last, not both.", field="last")
        size = self.first if self.first is not None else self.last
        if size is None:
            return PAGE_SIZE
        if not 0 <= size <= PAGE_SIZE_MAX:
            name = "last" if self.is_backward else "first"
            raise errors.InvalidInput(f"{name} must be from 0 to {PAGE_SIZE_MAX}.", field=name, requested=size)
        return size


@dataclass(frozen=True, slots=True)
class Key:
    """The order of a list: columns that together are unique, all in one direction."""

    columns: tuple[ColumnElement[Any], ...]
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, each item with its cursor."""

    items: list[tuple[str, T]]
    has_next: bool
    has_previous: bool


async def page(
    reader: Reader, statement: Select[Any], key: Key, window: Window, read: Callable[[RowMapping], T]
) -> Page[T]:
    """Read one page by its key; what a page costs does not depend on how deep it lies.

    Raises: InvalidInput (page size, cursor).
    """
    size = window.size
    names = [f"key_{index}" for index in range(len(key.columns))]
    statement = statement.add_columns(*(column.label(name) for column, name in zip(key.columns, names, strict=True)))
    if window.after is not None:
        statement = statement.where(_beyond(key, _decode(window.after, key, "after"), is_after=True))
    if window.before is not None:
        statement = statement.where(_beyond(key, _decode(window.before, key, "before"), is_after=False))
    is_descending = key.is_descending != window.is_backward
    statement = statement.order_by(*(column.desc() if is_descending else column.asc() for column in key.columns))
    rows = list(await reader.rows(statement.limit(size + 1)))
    has_more, rows = len(rows) > size, rows[:size]
    if window.is_backward:
        rows.reverse()
    items = [(_encode([row[name] for name in names]), read(row)) for row in rows]
    if window.is_backward:
        return Page(items, has_next=window.before is not None, has_previous=has_more)
    return Page(items, has_next=has_more, has_previous=window.after is not None)


async def count(reader: Reader, statement: Select[Any]) -> tuple[int, bool]:
    """Return how many rows a list has, up to COUNT_MAX, and whether that is exact."""
    bounded = (
        statement.with_only_columns(literal(1), maintain_column_froms=True)
        .order_by(None)
        .limit(COUNT_MAX + 1)
        .subquery()
    )
    (row,) = await reader.rows(select(func.count().label("rows")).select_from(bounded))
    found: int = row["rows"]
    return min(found, COUNT_MAX), found <= COUNT_MAX


def during(column: ColumnElement[datetime], start: datetime | None, end: datetime | None) -> list[ColumnElement[bool]]:
    """Return the conditions of a half-open window [start, end); an end that is not given is open."""
    conditions = [] if start is None else [column >= start]
    return conditions if end is None else [*conditions, column < end]


def _beyond(key: Key, values: list[Any], *, is_after: bool) -> ColumnElement[bool]:
    """Compare column by column: (a, b) < (x, y) is a < x or (a = x and b < y)."""
    is_less = key.is_descending == is_after
    alternatives = []
    for index, column in enumerate(key.columns):
        equal = [one == value for one, value in zip(key.columns[:index], values, strict=False)]
        step = column < values[index] if is_less else column > values[index]
        alternatives.append(and_(*equal, step))
    return or_(*alternatives)


def _encode(values: list[Any]) -> str:
    plain = [instant(value) if isinstance(value, datetime) else value if isinstance(value, int) else str(value)
             for value in values]  # fmt: skip
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str, key: Key, field: str) -> list[Any]:
    try:
        plain = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        values = [_typed(value, column) for value, column in zip(plain, key.columns, strict=True)]
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise errors.InvalidInput(
            "This cursor is not one of this list. Take it from pageInfo or an edge of the same list.", field=field
        ) from None
    return values


def _typed(value: Any, column: ColumnElement[Any]) -> Any:
    kind = column.type.python_type
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("naive")
        return moment
    if kind is UUID:
        return UUID(value)
    if kind is int:
        if type(value) is not int or not 0 <= value < 2**63:
            raise ValueError("not a key")
        return value
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("not a key")
    return value
