"""Reading: statements composed with SQLAlchemy on connections that cannot write, lists by keyset pages.

Each call is one short transaction of its own, so any number of fields may read at the same time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, Dialect, Select, func, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import asyncpg as postgresql_asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.sql.compiler import SQLCompiler

from db import unit
from db.projections import Projection
from db.transaction import Connection
from db.unit import CONNECT_TIMEOUT_S, LOST, STATEMENT_TIMEOUT_S, Figures
from domain import errors
from domain.tickets import instant

T = TypeVar("T")
PAGE_SIZE_MAX = 100
PAGE_SIZE = 50
COUNT_MAX = 10_000  # counting further costs more than knowing it is worth
POOL_TIMEOUT_S = 5.0
STATEMENTS_KEPT_MAX = 500  # forms of statements, about 30 kB each
QUESTIONS_KEPT_MAX = 1_000  # statements with their values, about 5 kB each

Row: TypeAlias = "asyncpg.Record"
_FIGURE = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,8})?")  # as a cursor writes one


class Reader:
    """Connections for reading only. Errors of the server are raised as SQLAlchemy's, so that one name catches them."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], statement_timeout_s: float, count_max: int | None) -> None:
        self._pool = pool
        self._turn: asyncio.Lock | None = None
        self.statement_timeout_s = statement_timeout_s
        self.count_max = count_max  # how far a list is counted; None: to its end

    @classmethod
    def open(
        cls,
        url: str,
        *,
        role: str | None,
        size_max: int,
        name: str = "read",
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        count_max: int | None = COUNT_MAX,
        is_parallel: bool = True,
    ) -> Reader:
        """Connect when first asked, as the login of the URL, and act as the role.

        is_parallel: whether the server may take several of its cores for one statement.
        """
        settings = {
            "application_name": f"carbondesk-{name}",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(statement_timeout_s * 1_000)),
            "timezone": "UTC",
            "jit": "off",
            # Filters are composed and their values skewed: a plan for any value would be a bad one for most.
            "plan_cache_mode": "force_custom_plan",
        }
        if not is_parallel:
            settings["max_parallel_workers_per_gather"] = "0"
        if role:
            settings["role"] = role
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=statement_timeout_s * 2,
            max_inactive_connection_lifetime=300,
            server_settings=settings,
            init=_decode_json,
            reset=_as_it_is,
        )
        return cls(pool, statement_timeout_s, count_max)

    @cached_property
    def in_turn(self) -> Reader:
        """The same connections for those who together use one at a time, and wait for it."""
        found = Reader(self._pool, self.statement_timeout_s, self.count_max)
        found._turn = asyncio.Lock()
        return found

    def figures(self, name: str) -> Figures:
        """How many connections are open, in use and allowed."""
        size = self._pool.get_size()
        return Figures(name, size, size - self._pool.get_idle_size(), self._pool.get_max_size())

    async def rows(self, statement: Select[Any]) -> Sequence[Row]:
        """Run one statement."""
        return await self._fetch(*compiled(statement))

    async def asked(self, question: Hashable, build: Callable[[], Select[Any]], **late: Any) -> Sequence[Row]:
        """Run the statement of a question, which is built the first time only; late: values that change by name."""
        return await self._fetch(*worded(question, build, late))

    async def sql(self, statement: str, **parameters: Any) -> Sequence[Row]:
        """Run one statement that is clearer as text."""
        return await self._fetch(*bound(statement, parameters))

    async def _fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Row]:
        """Run a statement once more when a restarted server, or a proxy, had closed the connection."""
        for is_last in (False, True):
            try:
                async with self._connection() as connection:
                    return await connection.fetch(sql, *values)
            except DBAPIError as error:
                if is_last or not isinstance(error.orig, LOST):
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._turn or nullcontext(), self._acquired() as connection:
            yield connection

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        try:
            await self._pool  # makes nothing but itself, the first time
            connection = await self._pool.acquire(timeout=POOL_TIMEOUT_S)
        except TimeoutError as error:
            raise NoConnectionError(f"no connection was free within {POOL_TIMEOUT_S:.0f} s") from error
        except (*LOST, asyncpg.PostgresError) as error:
            raise _translated(error) from error
        try:
            yield connection
        except (*LOST, asyncpg.PostgresError) as error:
            raise _translated(error) from error
        finally:
            await self._pool.release(connection)

    async def estimate(self, statement: Select[Any]) -> int:
        """Return how many rows the planner expects of a statement, which is not run."""
        sql, values = compiled(statement)
        ((plan,),) = await self._fetch(f"EXPLAIN (FORMAT JSON) {sql}", values)
        return int(plan[0]["Plan"]["Plan Rows"])

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Read everything as of one instant, for as long as it takes; nothing is written and nothing is waited for."""
        async with self._connection() as connection, unit.snapshot(connection):
            yield Snapshot(self, connection)

    async def close(self) -> None:
        """End every connection; one that is still at work is not waited for long."""
        await self._pool
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            self._pool.terminate()


class Snapshot(Reader):
    """One instant of the database, read by one statement at a time, whoever asks."""

    def __init__(self, of: Reader, connection: Connection) -> None:
        super().__init__(of._pool, of.statement_timeout_s, of.count_max)
        self._own = connection
        self._own_turn = asyncio.Lock()

    @property
    def in_turn(self) -> Snapshot:
        """This, as it is."""
        return self

    async def _fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Row]:
        with _translating():
            async with self._own_turn:
                return await self._own.fetch(sql, *values)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Read as of the same instant."""
        yield self

    async def stream(self, statement: Select[Any], size: int) -> AsyncIterator[Sequence[Row]]:
        """Run one statement behind a cursor of the server; yield its rows by so many."""
        sql, values = compiled(statement)
        with _translating():
            async with self._own_turn:
                cursor = await self._own.cursor(sql, *values)
                while rows := await cursor.fetch(size):
                    yield rows


async def _decode_json(connection: asyncpg.Connection[Row]) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _as_it_is(connection: asyncpg.Connection[Row]) -> None:
    """Take a connection back; nothing outlives its transaction, and nothing was ever set but for one."""


def _translated(error: Exception) -> DBAPIError:
    return DBAPIError(None, None, error, hide_parameters=True)


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except (*LOST, asyncpg.PostgresError) as error:
        raise _translated(error) from error


# ----------------------------------------------------------------------------------------------------------- statements


class _Kept(Generic[T]):
    """What was made, by what it was made of; the least recently used go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def find(self, form: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept, or keep what is made now."""
        found = self._kept.get(form)
        if found is not None:
            self._kept.move_to_end(form)
            return found
        made = self._kept[form] = make()
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True)
class Worded:
    """A statement in SQL, its values in order and their names."""

    sql: str
    values: Sequence[Any]
    names: Sequence[str]


_DIALECT: Dialect = postgresql_asyncpg.dialect()  # type: ignore[no-untyped-call]
_COMPILED: _Kept[SQLCompiler] = _Kept(STATEMENTS_KEPT_MAX)  # one for each form: only values differ
_WORDED: _Kept[Worded] = _Kept(QUESTIONS_KEPT_MAX)  # with their values


def compiled(statement: Select[Any]) -> tuple[str, Sequence[Any]]:
    """Return a statement as SQL with its values in order."""
    found = _worded(statement)
    return found.sql, found.values


def worded(question: Hashable, build: Callable[[], Select[Any]], late: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """Return the statement of a question as SQL with its values in order.

    To build one anew and find it by its form takes two tenths of a millisecond, to compile it three more.
    """
    found = _WORDED.find(question, lambda: _worded(build()))
    if not late:
        return found.sql, found.values
    return found.sql, [late.get(name, value) for name, value in zip(found.names, found.values, strict=True)]


def _worded(statement: Select[Any]) -> Worded:
    key = statement._generate_cache_key()
    if key is None:
        made, extracted = statement.compile(dialect=_DIALECT), None
    else:
        made = _COMPILED.find(key.key, lambda: statement.compile(dialect=_DIALECT, cache_key=key))
        extracted = key.bindparams
    values = made.construct_params(extracted_parameters=extracted, _no_postcompile=True)
    if made.post_compile_params or made.literal_execute_params:
        expanded = made._process_parameters_for_postcompile(values)
        return Worded(expanded.statement, expanded.positional_parameters, expanded.positiontup or ())
    names = made.positiontup or ()
    return Worded(str(made), [values[name] for name in names], names)


def bound(statement: str, parameters: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """Return a statement with :names as SQL with its values in order."""
    made = _COMPILED.find(statement, lambda: text(statement).compile(dialect=_DIALECT))
    return str(made), [parameters[name] for name in made.positiontup or ()]


def is_overdue(error: DBAPIError) -> bool:
    """Tell whether the server gave up on a statement that took too long."""
    return isinstance(error.orig, asyncpg.QueryCanceledError)


@dataclass(frozen=True, slots=True)
class Window:
    """Which page of a list is asked for, and what of its rows; without a projection, all of them as records."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    projection: Projection | None = None

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
    """One page of a list, each item with its cursor; of a projection the rows, which end with their key."""

    items: list[tuple[str, T]]
    has_next: bool
    has_previous: bool
    rows: Sequence[Row] = ()


def shown(statement: Select[Any], key: Key, window: Window) -> Select[Any]:
    """Return a statement that answers with what a window shows instead of its own columns, if that is less."""
    return named(window.projection.of(statement), key) if window.projection else statement


def named(statement: Select[Any], key: Key) -> Select[Any]:
    """Return a statement that also answers with its key, under names that nothing else has."""
    return statement.add_columns(*(column.label(f"key_{index}") for index, column in enumerate(key.columns)))


def cut(statement: Select[Any], key: Key, window: Window) -> Select[Any]:
    """Return a statement bounded to a page and one row more, in the page's order.

    Raises: InvalidInput (page size, cursor).
    """
    return ordered(within(shown(statement, key, window), key, window), key, window).limit(window.size + 1)


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


def finished(rows: Sequence[Row], window: Window, read: Callable[[Row], T]) -> Page[T]:
    """Return the page of rows that were read with `named` and `cut`."""
    size = window.size
    has_more, rows = len(rows) > size, rows[:size]
    if window.is_backward:
        rows = rows[::-1]
    has_next = window.before is not None if window.is_backward else has_more
    has_previous = has_more if window.is_backward else window.after is not None
    if window.projection:
        return Page([], has_next, has_previous, rows)
    names = [name for name, _ in rows[0].items() if name.startswith("key_")] if rows else []
    return Page([(cursor_of([row[name] for name in names]), read(row)) for row in rows], has_next, has_previous)


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


def cursor_of(values: Sequence[Any]) -> str:
    """Return the cursor of a row with this key."""
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
