"""Reading: statements composed with SQLAlchemy on connections that cannot write, lists by keyset pages.

Each call is one short transaction of its own, so any number of fields may read at the same time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
from sqlalchemy import ClauseElement, ColumnElement, Executable, Select, func, literal, select, text, tuple_
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from db.migrate import sqlalchemy_url
from db.unit import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S
from domain import errors
from domain.tickets import instant

T = TypeVar("T")
PAGE_SIZE_MAX = 100
PAGE_SIZE = 50
COUNT_MAX = 10_000  # counting further costs more than knowing it is worth
POOL_TIMEOUT_S = 5.0
_FIGURE = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,8})?")  # as a cursor writes one


class Reader:
    """Connections for reading only."""

    def __init__(self, engine: AsyncEngine, statement_timeout_s: float, count_max: int | None) -> None:
        self._engine = engine
        self.statement_timeout_s = statement_timeout_s
        self.count_max = count_max  # how far a list is counted; None: to its end

    @classmethod
    def open(
        cls,
        url: str,
        *,
        role: str | None,
        size_max: int,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        count_max: int | None = COUNT_MAX,
    ) -> Reader:
        """Connect lazily as the login of the URL and act as the role."""
        settings = {
            "application_name": "carbondesk-read",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(statement_timeout_s * 1_000)),
            "timezone": "UTC",
            "jit": "off",
            # Filters are composed and their values skewed: a plan for any value would be a bad one for most.
            "plan_cache_mode": "force_custom_plan",
        }
        if role:
            settings["role"] = role
        engine = create_async_engine(
            sqlalchemy_url(url),
            isolation_level="AUTOCOMMIT",
            pool_size=size_max,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,  # an error in a log must not show what somebody searched for
            pool_pre_ping=True,  # a restarted server must not cost a reader an error
            connect_args={
                "server_settings": settings,
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": statement_timeout_s * 2,
            },
        )
        return cls(engine, statement_timeout_s, count_max)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            yield connection

    async def rows(self, statement: Select[Any]) -> Sequence[RowMapping]:
        """Run one statement."""
        async with self._connected() as connection:
            rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
            return rows

    async def sql(self, statement: str, **parameters: Any) -> Sequence[RowMapping]:
        """Run one statement that is clearer as text."""
        async with self._connected() as connection:
            return (await connection.execute(text(statement), parameters)).mappings().all()

    async def estimate(self, statement: Select[Any]) -> int:
        """Return how many rows the planner expects of a statement, which is not run."""
        async with self._connected() as connection:
            (plan,) = (await connection.execute(_Explain(statement))).scalar_one()
            return int(plan["Plan"]["Plan Rows"])

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Read everything as of one instant, for as long as it takes; nothing is written and nothing is waited for."""
        async with self._engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield Snapshot(self, connection)

    async def close(self) -> None:
        await self._engine.dispose()


class Snapshot(Reader):
    """One instant of the database, read by one statement at a time, whoever asks."""

    def __init__(self, of: Reader, connection: AsyncConnection) -> None:
        super().__init__(of._engine, of.statement_timeout_s, of.count_max)
        self._connection = connection
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn:
            yield self._connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Read as of the same instant."""
        yield self

    async def stream(self, statement: Select[Any], size: int) -> AsyncIterator[Sequence[RowMapping]]:
        """Run one statement behind a cursor of the server; yield its rows by so many."""
        options = {"yield_per": size}
        async with self._connection.stream(statement, execution_options=options) as result:
            async for rows in result.mappings().partitions(size):
                yield rows


class _Explain(Executable, ClauseElement):
    """What the planner thinks of a statement."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explain)
def _explained(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def is_overdue(error: DBAPIError) -> bool:
    """Tell whether the server gave up on a statement that took too long."""
    return isinstance(getattr(error.orig, "__cause__", None), asyncpg.QueryCanceledError)


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


def named(statement: Select[Any], key: Key) -> Select[Any]:
    """Return a statement that also answers with its key, under names that nothing else has."""
    return statement.add_columns(*(column.label(f"key_{index}") for index, column in enumerate(key.columns)))


def cut(statement: Select[Any], key: Key, window: Window) -> Select[Any]:
    """Return a statement bounded to a page and one row more, in the page's order.

    Raises: InvalidInput (page size, cursor).
    """
    return ordered(within(statement, key, window), key, window).limit(window.size + 1)


def within(statement: Select[Any], key: Key, window: Window) -> Select[Any]:
    """Return a statement bounded by the cursors of a page.

    Raises: InvalidInput (cursor).
    """
    if window.after is not None:
        statement = statement.where(_beyond(key, _decode(window.after, key, "after"), is_after=True))
    if window.before is not None:
        statement = statement.where(_beyond(key, _decode(window.before, key, "before"), is_after=False))
    return statement


def ordered(statement: Select[Any], key: Key, window: Window) -> Select[Any]:
    """Return a statement in the order in which a page is read: backwards, when it is asked for from the end."""
    is_descending = key.is_descending != window.is_backward
    return statement.order_by(*(column.desc() if is_descending else column.asc() for column in key.columns))


def finished(rows: Sequence[RowMapping], window: Window, read: Callable[[RowMapping], T]) -> Page[T]:
    """Return the page of rows that were read with `named` and `cut`."""
    size = window.size
    has_more, rows = len(rows) > size, rows[:size]
    if window.is_backward:
        rows = rows[::-1]
    names = [name for name in rows[0] if name.startswith("key_")] if rows else []
    items = [(_encode([row[name] for name in names]), read(row)) for row in rows]
    if window.is_backward:
        return Page(items, has_next=window.before is not None, has_previous=has_more)
    return Page(items, has_next=has_more, has_previous=window.after is not None)


async def count(reader: Reader, statement: Select[Any]) -> tuple[int, bool]:
    """Return how many rows a list has, as far as the reader counts, and whether that is exact."""
    most = reader.count_max
    bounded = statement.with_only_columns(literal(1), maintain_column_froms=True).order_by(None)
    if most is not None:
        bounded = bounded.limit(most + 1)
    (row,) = await reader.rows(select(func.count().label("rows")).select_from(bounded.subquery()))
    return counted(row["rows"], most)


def counted(rows: int, most: int | None) -> tuple[int, bool]:
    """Return a count of rows that was bounded to one more than `most`, and whether it is exact."""
    return (rows, True) if most is None else (min(rows, most), rows <= most)


def during(column: ColumnElement[datetime], start: datetime | None, end: datetime | None) -> list[ColumnElement[bool]]:
    """Return the conditions of a half-open window [start, end); an end that is not given is open."""
    conditions = [] if start is None else [column >= start]
    return conditions if end is None else [*conditions, column < end]


def _beyond(key: Key, values: list[Any], *, is_after: bool) -> ColumnElement[bool]:
    """Compare as rows: an index on the columns is entered at the place itself, however deep it lies."""
    place = tuple_(*(literal(value, column.type) for column, value in zip(key.columns, values, strict=True)))
    row = tuple_(*key.columns)
    return row < place if key.is_descending == is_after else row > place


def _encode(values: list[Any]) -> str:
    plain = [_written(value) for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if isinstance(value, int) else str(value)


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
    if kind is Decimal:
        if not _FIGURE.fullmatch(value):
            raise ValueError("not a key")
        return Decimal(value)
    return value
