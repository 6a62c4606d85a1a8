"""Lists as Relay connections with keyset cursors: what a page costs does not depend on how deep it lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast

import strawberry
from sqlalchemy import Select
from sqlalchemy.exc import DBAPIError

from api import plans
from api.context import Info
from api.errors import Code, RequestError
from db import read
from db.read import PAGE_SIZE, PAGE_SIZE_MAX, Page, Reader, Window, is_overdue
from db.unit import STATEMENT_TIMEOUT_S
from domain.errors import DomainError

N = TypeVar("N")
R = TypeVar("R")
F = TypeVar("F")

FILTER = strawberry.argument(description="Which ones; all when not given.")
First: TypeAlias = Annotated[
    int | None,
    strawberry.argument(description=f"How many from the start, at most {PAGE_SIZE_MAX}; {PAGE_SIZE} when not given."),
]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Cursor: only what comes after it.")]
Last: TypeAlias = Annotated[
    int | None, strawberry.argument(description=f"How many from the end, at most {PAGE_SIZE_MAX}.")
]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="Cursor: only what comes before it.")]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more comes after it.")
    has_previous_page: bool = strawberry.field(description="Whether more comes before it.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item.")


@strawberry.type(description="An item of a list and its cursor.")
class Edge(Generic[N]):
    cursor: str = strawberry.field(description="Where the item stands in the list.")
    node: N = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[N]):
    edges: list[Edge[N]] = strawberry.field(description="The items with their cursors.")
    nodes: list[N] = strawberry.field(description="The items.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")
    count: strawberry.Private[Callable[[], Awaitable[tuple[int, bool]]]]

    @strawberry.field(description="How many items the whole list has, counted up to 10,000; costs a query of its own.")
    async def total_count(self) -> int:
        return (await self.count())[0]

    @strawberry.field(description="Whether totalCount is exact.")
    async def total_count_is_exact(self) -> bool:
        return (await self.count())[1]


@dataclass(frozen=True, slots=True)
class Counted(Generic[F]):
    """How a list counts itself: (count, whether it is exact)."""

    count: Callable[[Reader, F], Awaitable[tuple[int, bool]]]


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Say what to do when the database gives up on a question that would take too long.

    Raises: RequestError (TOO_COMPLEX).
    """
    try:
        yield
    except DBAPIError as error:
        if not is_overdue(error):
            raise
        message = f"This took longer than {STATEMENT_TIMEOUT_S:.0f} s. Narrow the filter: a window of time helps most."
        raise RequestError(message, Code.TOO_COMPLEX, field="filter") from error


async def _counted(
    reader: Reader, statement_of: Callable[[F], Select[Any]] | Counted[F], wanted: F
) -> tuple[int, bool]:
    async with in_time():
        if isinstance(statement_of, Counted):
            return await statement_of.count(reader, wanted)
        return await read.count(reader, statement_of(wanted))


async def page_of(
    info: Info,
    load: Callable[[Reader, F, Window], Awaitable[Page[R]]],
    wanted: F | None,
    node_of: Callable[[R], N],
    statement_of: Callable[[F], Select[Any]] | Counted[F],
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    kind: type[Connection[N]] = Connection,
) -> Connection[N]:
    """Load one page as a Connection, or the subclass `kind`. wanted None: a filter that nothing can match.

    statement_of: what is counted for totalCount; a list that counts in its own way gives a `Counted`.
    Raises: RequestError (BAD_REQUEST: page size, cursor, filter; TOO_COMPLEX: not found in time).
    """
    reader = info.context.reader
    plan = plans.of(info)
    known: list[tuple[int, bool]] = []

    async def count() -> tuple[int, bool]:
        if not known:
            known.append((0, True) if wanted is None else await _counted(reader, statement_of, wanted))
        return known[0]

    try:
        window = Window(first, after, last, before, plan.projection if plan else None)
        assert window.size <= PAGE_SIZE_MAX
        page: Page[R] = Page([], False, False)
        if wanted is not None:
            async with in_time():
                page = await load(reader, wanted, window)
    except DomainError as error:
        raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error
    if plan:
        return cast("Connection[N]", await plan.built(page, count))
    edges = [Edge(cursor=cursor, node=node_of(item)) for cursor, item in page.items]
    return kind(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        count=count,
    )
