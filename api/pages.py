"""Lists as Relay connections with keyset cursors: what a page costs does not depend on how deep it lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import Enum
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast

import strawberry
from sqlalchemy.exc import DBAPIError

from api import plans, repeats
from api.context import Info
from api.errors import Code, RequestError
from db.lists import Listing, Way
from db.read import PAGE_SIZE, PAGE_SIZE_MAX, Page, Window, is_overdue
from db.unit import STATEMENT_TIMEOUT_S
from domain.errors import DomainError

N = TypeVar("N")
R = TypeVar("R")
F = TypeVar("F")

FILTER = strawberry.argument(description="Which ones; all when not given.")
ORDER = strawberry.argument(description="Which come first; as the list says when not given.")
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


@asynccontextmanager
async def in_time(seconds: float = STATEMENT_TIMEOUT_S) -> AsyncIterator[None]:
    """Say what to do when the database gives up on a question that would take too long.

    Raises: RequestError (TOO_COMPLEX).
    """
    try:
        yield
    except DBAPIError as error:
        if not is_overdue(error):
            raise
        message = f"This took longer than {seconds:.0f} s. Narrow the filter: a window of time helps most."
        raise RequestError(message, Code.TOO_COMPLEX, field="filter") from error


async def page_of(
    info: Info,
    listing: Listing[F, R],
    wanted: F | None,
    node_of: Callable[[R], N],
    order: Enum | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    kind: type[Connection[N]] = Connection,
) -> Connection[N]:
    """Load one page as a Connection, or the subclass `kind`. wanted None: a filter that nothing can match.

    Raises: RequestError (BAD_REQUEST: page size, cursor, filter; TOO_COMPLEX: not found in time).
    """
    reader = info.context.reader

    async def load(window: Window) -> Page[R] | None:
        return None if wanted is None else await listing.page(reader, wanted, window, order)

    async def count() -> tuple[int, bool]:
        return (0, True) if wanted is None else await listing.count(reader, wanted)

    return await _connection(info, Window(first, after, last, before), load, count, node_of, kind)


async def nested(
    info: Info,
    listing: Listing[F, R],
    way: Way,
    parent: Any,
    wanted: F | None,
    node_of: Callable[[R], N],
    order: Enum | None = None,
    first: int | None = None,
    after: str | None = None,
    kind: type[Connection[N]] = Connection,
) -> Connection[N]:
    """Load the page of a parent's list, together with those of all parents of whom the same is asked.

    Raises: RequestError as `page_of`.
    """
    if isinstance(parent, plans.By):
        return cast("Connection[N]", plans.Hung(listing, way, parent.name, wanted, order, first, after))
    reader, loaders = info.context.reader, info.context.loaders
    asked = (*map(str, way), repr(wanted))

    async def load(window: Window) -> Page[R] | None:
        if wanted is None:
            return None
        each = loaders.each(
            ("page", *asked, order, window),
            lambda parents: listing.pages(reader, way, parents, wanted, window, order),
        )
        return await each.load(parent)

    async def count() -> tuple[int, bool]:
        if wanted is None:
            return 0, True
        each = loaders.each(("count", *asked), lambda parents: listing.counts(reader, way, parents, wanted))
        return await each.load(parent) or (0, True)

    return await _connection(info, Window(first, after), load, count, node_of, kind)


async def _connection(
    info: Info,
    window: Window,
    load: Callable[[Window], Awaitable[Page[R] | None]],
    count: Callable[[], Awaitable[tuple[int, bool]]],
    node_of: Callable[[R], N],
    kind: type[Connection[N]],
) -> Connection[N]:
    def counting() -> Callable[[], Awaitable[tuple[int, bool]]]:
        known: list[tuple[int, bool]] = []

        async def counted() -> tuple[int, bool]:
            if not known:
                async with in_time(info.context.reader.statement_timeout_s):
                    known.append(await count())
            return known[0]

        return counted

    async def loaded(window: Window) -> Page[R]:
        try:
            assert window.size <= PAGE_SIZE_MAX
            async with in_time(info.context.reader.statement_timeout_s):
                return await load(window) or Page([], has_next=False, has_previous=False)
        except DomainError as error:
            raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error

    if plan := plans.of(info):
        shown = replace(window, projection=plan.projection)

        async def again(info: Info) -> plans.Built:
            page = await loaded(shown)
            async with in_time(info.context.reader.statement_timeout_s):
                return await plan.built(info, page, counting())

        page = await loaded(shown)
        try:
            async with in_time(info.context.reader.statement_timeout_s):
                built = await plan.built(info, page, counting())
        except (plans.Unplanned, DomainError, RequestError):
            pass  # stock execution says where it went wrong
        else:
            repeats.note(info, again)
            return cast("Connection[N]", built)
    page = await loaded(window)
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
        count=counting(),
    )
