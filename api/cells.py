"""Cells of a file: values as the wire has them, put into CSV, lines of JSON or Parquet, a bounded part at a time."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

import orjson

if TYPE_CHECKING:
    from arro3.core import Array, DataType, RecordBatch

MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
RUNS_IN_SPREADSHEETS: Final = frozenset("=+-@\t\r\x00")
NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
DECIMAL_DIGITS: Final = 38  # of Parquet's decimal in 128 bits
DECIMAL_SCALE: Final = 8  # as fine as any Decimal of the schema
EXACT_DECIMAL: Final = re.compile(rf"-?[0-9]{{1,{DECIMAL_DIGITS - DECIMAL_SCALE}}}(\.[0-9]{{1,{DECIMAL_SCALE}}})?")
GROUP_ROWS: Final = 10_000  # of one part of a Parquet file: some megabytes while it is packed
JOINED_BY: Final = ";"  # the items of a list in one cell

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")
Row = Mapping[str, Any]


class Kind(Enum):
    """What a column holds: what stands in its cells as the wire has it."""

    TEXT = "String"
    DECIMAL = "Decimal"
    INTEGER = "Int"
    FLOAT = "Float"
    BOOLEAN = "Boolean"
    INSTANT = "DateTime"
    LIST = "a list of texts"
    JSON = "JSON"  # and objects in lists


@dataclass(frozen=True, slots=True)
class Column:
    """A column and where its value stands in a row."""

    name: str
    path: tuple[str, ...]
    kind: Kind

    def of(self, row: Row) -> Any:
        """Return the value; None where an object on the way is null."""
        value: Any = row
        for step in self.path:
            if value is None:
                return None
            value = value[step]
        return value


# ------------------------------------------------------------------------------------------------------------- the text


def csv_line(values: Sequence[Any]) -> bytes:
    """Write a line: RFC 4180, with CR LF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([defused("" if value is None else str(value)) for value in values])
    return line.getvalue().encode()


def defused(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula; a number is none."""
    if cell[:1] in RUNS_IN_SPREADSHEETS and cell and not NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def text_of(value: Any, kind: Kind) -> str | None:
    """Write a value as the text of one cell."""
    if value is None or isinstance(value, str):
        return value if kind is not Kind.JSON or value is None else json_text(value)
    if kind is Kind.LIST:
        return JOINED_BY.join("" if item is None else str(item) for item in value)
    return json_text(value)


def json_text(value: Any) -> str:
    """Write a value as JSON."""
    return orjson.dumps(value).decode()


def csv_part(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """Write rows as lines of CSV."""
    return b"".join(csv_line([text_of(column.of(row), column.kind) for column in columns]) for row in rows)


def json_part(rows: Sequence[Row]) -> bytes:
    """Write rows as lines of JSON, as the wire has them."""
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


# ------------------------------------------------------------------------------------------------------------- the file


async def file_of(
    kind: str, columns: Sequence[Column], pages: AsyncIterator[Sequence[Row]]
) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a file, in the order of its bytes."""
    match kind:
        case "csv":
            yield csv_line([column.name for column in columns])
            async for rows in pages:
                yield csv_part(columns, rows)
        case "ndjson":
            async for rows in pages:
                yield json_part(rows)
        case _:
            async with aclosing(_parquet(columns, pages)) as parts:
                async for part in parts:
                    yield part


# -------------------------------------------------------------------------------------------------------------- Parquet


class _Gone(Exception):
    """Nobody wants the rest."""


class _Loop:
    """The event loop as a thread asks it: one thing at a time, and nothing any more once it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._is_closed = False
        self.failed: Exception | None = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do something, and wait for it in the thread.

        Raises: what the work raises, _Gone.
        """
        try:
            return asyncio.run_coroutine_threadsafe(self._done(work), self._loop).result()
        except CancelledError:
            raise _Gone from None

    async def _done(self, work: Coroutine[Any, Any, T]) -> T:
        if self._is_closed:
            work.close()
            raise _Gone
        self._task = asyncio.current_task()
        try:
            return await work
        except Exception as error:
            self.failed = error
            raise
        finally:
            self._task = None

    async def close(self) -> None:
        """End what is under way; the thread ends with it."""
        self._is_closed = True
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])


class _Sink:
    """A file for who writes in the thread; each part waits until it has been taken."""

    closed = False

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue()

    def write(self, part: bytes) -> int:
        self._loop.wait(self._handed_over(bytes(part)))
        return len(part)

    async def _handed_over(self, part: bytes) -> None:
        self.parts.put_nowait(part)
        await self.parts.join()

    def flush(self) -> None:
        """Everything is handed over already."""

    def seek(self, *_: int) -> int:
        """Parts are written one behind the other; who writes wants to see this and does not call it."""
        raise io.UnsupportedOperation


async def _parquet(columns: Sequence[Column], pages: AsyncIterator[Sequence[Row]]) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a Parquet file: a thread packs a group of rows, asks for the next, and hands out its bytes.

    Raises: what `pages` raises; ValueError (a decimal that the column cannot hold).
    """
    groups, loop = _groups(pages), _Loop()
    sink = _Sink(loop)
    work = asyncio.create_task(asyncio.to_thread(_pack, columns, groups, loop, sink))
    work.add_done_callback(lambda _: sink.parts.put_nowait(None))
    try:
        while (part := await sink.parts.get()) is not None:
            yield part
            sink.parts.task_done()
        try:
            work.result()
        except Exception as error:  # what went wrong says more than what the library made of it
            raise loop.failed or error from None
    finally:
        await loop.close()
        await asyncio.gather(work, return_exceptions=True)


async def _groups(pages: AsyncIterator[Sequence[Row]]) -> AsyncGenerator[list[Row], None]:
    group: list[Row] = []
    async for rows in pages:
        group += rows
        if len(group) >= GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _pack(columns: Sequence[Column], groups: AsyncGenerator[list[Row], None], loop: _Loop, sink: _Sink) -> None:
    """Write a Parquet file, in a thread."""
    from arro3.core import Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet

    schema = Schema([Field(column.name, _type(column.kind)) for column in columns])

    def batches() -> Iterator[RecordBatch]:
        while rows := loop.wait(anext(groups, None)):
            try:
                yield RecordBatch([_array(column, rows) for column in columns], schema=schema)
            except Exception as error:
                loop.failed = error
                raise

    reader = RecordBatchReader.from_batches(schema, batches())
    write_parquet(reader, cast("IO[bytes]", sink), max_row_group_size=GROUP_ROWS, compression="zstd(3)")


def _type(kind: Kind) -> DataType:
    from arro3.core import DataType

    match kind:
        case Kind.DECIMAL:
            return DataType.decimal128(DECIMAL_DIGITS, DECIMAL_SCALE)
        case Kind.INTEGER:
            return DataType.int64()
        case Kind.FLOAT:
            return DataType.float64()
        case Kind.BOOLEAN:
            return DataType.bool()
        case Kind.INSTANT:
            return DataType.timestamp("us", tz="UTC")
        case Kind.LIST:
            return DataType.list(DataType.utf8())
        case _:
            return DataType.utf8()


def _array(column: Column, rows: Sequence[Row]) -> Array:
    """Return the cells of a column.

    Raises: ValueError.
    """
    from arro3.core import Array, DataType

    values, kind = [column.of(row) for row in rows], column.kind
    match kind:
        case Kind.DECIMAL:
            return Array([_exact(value) for value in values], type=DataType.utf8()).cast(_type(kind))
        case Kind.INTEGER:
            return Array([None if value is None else int(value) for value in values], type=_type(kind))
        case Kind.INSTANT:
            return Array([_microseconds(value) for value in values], type=DataType.int64()).cast(_type(kind))
        case Kind.FLOAT | Kind.BOOLEAN:
            return Array(values, type=_type(kind))
        case Kind.LIST:
            return _lists(values)
        case _:
            return Array([text_of(value, kind) for value in values], type=_type(kind))


def _exact(value: str | None) -> str | None:
    if value is not None and not EXACT_DECIMAL.fullmatch(value):  # the cast would round it
        raise ValueError(f"{value} does not fit a decimal of {DECIMAL_DIGITS} digits, {DECIMAL_SCALE} after the point")
    return value


def _microseconds(value: str | None) -> int | None:
    if value is None:
        return None
    return (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)


def _lists(values: Sequence[Sequence[Any] | None]) -> Array:
    """Return lists of texts; of none, as of an empty list, nothing is known but that it is empty."""
    from arro3.core import Array, DataType, list_array

    ends = itertools.accumulate((len(value or ()) for value in values), initial=0)
    items = [None if item is None else str(item) for value in values for item in value or ()]
    return list_array(Array(list(ends), type=DataType.int32()), Array(items, type=DataType.utf8()))
