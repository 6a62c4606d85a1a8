"""Finding tickets: how a page of a list is found fast, whatever is asked for, among millions.

Every list is ordered by (year, number) and every index by a field ends with them, so a page is read from where it
begins. Three things are not left to the planner, which assumes that whatever is frequent is frequent everywhere:

- Keys first: the page's keys are read from an index alone, then its rows. A walk over all tickets never looks cheaper.
- Several values of one field are one walk each, merged.
- Words, tags and relations: rare ones are looked up and sorted; of frequent ones the newest tickets are looked
  through first.

A window of time is also one of numbers, since leases of numbers are taken and closed in time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    false,
    select,
    text,
    true,
    tuple_,
    union,
    union_all,
)

from db import filters, read, search, tables, tickets
from db.lists import Listing, Way, stored
from db.read import Key, Page, Reader, Window
from db.search import Columns, Search
from db.tickets import TicketFilter, TicketRecord, record_of

RARE_MAX = 1_000  # matches that are looked up and sorted at once, by the planner's estimate
PROBE_TICKETS = 20_000  # newest tickets that are looked through for frequent words: some 30 ms
LEASE_SLACK_S = 60  # a ticket's time is taken before its number's lease, by less than a transaction may last

logs = tables.ticket_logs.c
Place: TypeAlias = tuple[int, int]


class TicketOrder(Enum):
    """The order of a list of tickets."""

    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


def key_of(at: Columns, *, is_newest_first: bool) -> Key:
    """Return the order of a list of tickets."""
    return Key((at.year, at.number), is_descending=is_newest_first)


async def tickets_page(
    reader: Reader, wanted: TicketFilter, window: Window, order: Enum | None = None
) -> Page[TicketRecord]:
    """Return tickets by their number.

    Raises: InvalidInput (filter, page size, cursor).
    """
    is_newest_first = order is not TicketOrder.OLDEST
    bare = replace(window, projection=None)
    if wanted == replace(wanted, search=None, related_to=None, tags=None, date_from=None, date_to=None):

        def build() -> Select[Any]:
            tickets.where(wanted)  # refuses what is too large
            return _rows_of(_walked(wanted, Span(), bare, is_newest_first), window, is_newest_first)

        rows = await reader.asked(("tickets", repr(wanted), is_newest_first, window), build)
    else:
        keys = await _keys(reader, wanted, bare, is_newest_first)
        rows = await reader.rows(_rows_of(keys, window, is_newest_first))
    return read.finished(rows, window, record_of)


def _rows_of(keys: Select[Any] | list[Place], window: Window, is_newest_first: bool) -> Select[Any]:
    """Return the statement of the rows of a page's keys."""
    key = key_of(logs, is_newest_first=is_newest_first)
    statement = read.shown(read.named(select(tables.ticket_logs), key), key, window)
    if isinstance(keys, list):
        statement = statement.where(tuple_(logs.year, logs.number).in_(keys) if keys else false())
    else:
        found = keys.subquery("found")
        statement = statement.join(found, and_(found.c.year == logs.year, found.c.number == logs.number))
    return read.ordered(statement, key, window).limit(window.size + 1)


async def durations(reader: Reader, wanted: TicketFilter, most: int) -> list[Decimal]:
    """Return how long the newest attempts of a filter took, at most so many. Units: milliseconds."""
    condition = and_(tickets.where(wanted), logs.duration_ms.is_not(None), _span(await _spanned(reader, wanted), logs))
    newest = key_of(logs, is_newest_first=True)
    statement = read.ordered(select(logs.duration_ms).where(condition), newest, Window()).limit(most)
    return [row["duration_ms"] for row in await reader.rows(statement)]


async def tickets_counted(reader: Reader, wanted: TicketFilter) -> tuple[int, bool]:
    """Return how many tickets a filter has, as far as the reader counts, and whether that is exact."""
    if reader.count_max is None:
        return await read.count(reader, select(tables.ticket_logs).where(await exported(reader, wanted)))
    condition, found = tickets.where(wanted), search.parsed(wanted.search or "")
    if found is None or not wanted.searches_payloads:
        return await read.count(reader, select(tables.ticket_logs).where(condition))
    sources = await _places_of_words(reader, found, replace(wanted, search=None))
    bounded = [source.whole().limit(reader.count_max + 1).subquery() for source in sources]
    keys = [select(place.c.year, place.c.number) for place in bounded]
    return await read.count(reader, select(union(*keys).subquery())) if keys else (0, True)


async def exported(reader: Reader, wanted: TicketFilter) -> ColumnElement[bool]:
    """Return the condition of a whole list, with words looked up instead of looked for in every ticket.

    Raises: InvalidInput.
    """
    condition, found = tickets.where(wanted), search.parsed(wanted.search or "")
    if found is not None:
        rest = replace(wanted, search=None)
        keys = [source.whole() for source in await _places_of_words(reader, found, rest)]
        condition = tuple_(logs.year, logs.number).in_(union(*keys)) if keys else false()
        condition = and_(condition, tickets.where(rest))
    return and_(condition, _span(await _spanned(reader, wanted), logs))


# ---------------------------------------------------------------------------------------------------------------- lists


class _Tickets(Listing[TicketFilter, TicketRecord]):
    """The list of tickets: one is found as fast as this module can; those of many parents along their indexes."""

    async def page(
        self, reader: Reader, wanted: TicketFilter, window: Window, order: Enum | None = None
    ) -> Page[TicketRecord]:
        return await tickets_page(reader, wanted, window, order)

    async def count(self, reader: Reader, wanted: TicketFilter) -> tuple[int, bool]:
        return await tickets_counted(reader, wanted)

    async def pages(
        self,
        reader: Reader,
        way: Way,
        parents: Sequence[Any],
        wanted: TicketFilter,
        window: Window,
        order: Enum | None = None,
    ) -> dict[Any, Page[TicketRecord]]:
        if len(parents) == 1:
            (name,) = stored(way, parents)
            own = filters.narrowed(wanted, **{str(way[0].key): name})
            found = Page[TicketRecord]([], False, False) if own is None else await self.page(reader, own, window, order)
            return {parents[0]: found}
        span = await _spanned(reader, wanted)
        within = _span(span, logs)
        bounded: Listing[TicketFilter, TicketRecord] = Listing(
            lambda asked: self.statement(asked).where(within), self.keys, self.record, ("tickets", span)
        )
        return await bounded.pages(reader, way, parents, wanted, window, order)


TICKETS = _Tickets(
    lambda wanted: select(tables.ticket_logs).where(tickets.where(wanted)),
    {
        TicketOrder.NEWEST: key_of(logs, is_newest_first=True),
        TicketOrder.OLDEST: key_of(logs, is_newest_first=False),
    },
    record_of,
)
TICKETS_OF_MAKER, TICKETS_OF_USER, TICKETS_ABOUT = (logs.market_maker_id,), (logs.user_id,), (logs.entity_id,)


# ---------------------------------------------------------------------------------------------------------------- spans


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers that a window of time can hold; None is no bound."""

    first: Place | None = None
    last: Place | None = None


_FIRST = """
SELECT year, lo FROM (
    (SELECT year, lo FROM ticket_leases WHERE closed_at IS NULL ORDER BY year, lo LIMIT 1)
    UNION ALL (SELECT year, lo FROM ticket_leases
               WHERE closed_at >= CAST(:at AS timestamptz) - make_interval(secs => :slack) ORDER BY year, lo LIMIT 1)
) AS open_then ORDER BY year, lo LIMIT 1
"""
_LAST = """
SELECT year, hi FROM ticket_leases WHERE leased_at < CAST(:at AS timestamptz) + make_interval(secs => :slack)
ORDER BY year DESC, lo DESC LIMIT 1
"""


async def _spanned(reader: Reader, wanted: TicketFilter) -> Span | None:
    """Return the numbers of a filter's window of time; None when no lease was open in it."""
    first = last = None
    if wanted.date_from is not None:
        rows = await reader.sql(_FIRST, at=wanted.date_from, slack=LEASE_SLACK_S)
        if not rows:
            return None
        first = (rows[0]["year"], rows[0]["lo"])
    if wanted.date_to is not None:
        rows = await reader.sql(_LAST, at=wanted.date_to, slack=LEASE_SLACK_S)
        if not rows:
            return None
        last = (rows[0]["year"], rows[0]["hi"])
    return Span(first, last)


def _span(span: Span | None, at: Columns) -> ColumnElement[bool]:
    if span is None:
        return false()
    row = tuple_(at.year, at.number)
    conditions = [row >= tuple_(*span.first)] if span.first else []
    return and_(true(), *conditions, *([row <= tuple_(*span.last)] if span.last else []))


# ----------------------------------------------------------------------------------------------------------------- keys


async def _keys(
    reader: Reader, wanted: TicketFilter, window: Window, is_newest_first: bool
) -> Select[Any] | list[Place]:
    """Return the keys of a page and one more: as a statement, or as what several statements found."""
    tickets.where(wanted)  # refuses what is too large, also of the parts taken out below
    span = await _spanned(reader, wanted)
    if sources := await _sources(reader, wanted):
        keys: set[Place] = set()  # what two sources give is one
        for source in sources:
            keys.update(await _keys_of(reader, source, span, window, is_newest_first))
        is_descending = is_newest_first != window.is_backward
        return list(itertools.islice(sorted(keys, reverse=is_descending), window.size + 1))
    return _walked(wanted, span, window, is_newest_first)


def _walked(wanted: TicketFilter, span: Span | None, window: Window, is_newest_first: bool) -> Select[Any]:
    """Return the statement of a page's keys along the indexes."""
    key = key_of(logs, is_newest_first=is_newest_first)
    walks = [
        read.cut(select(logs.year, logs.number).where(tickets.where(one), _span(span, logs)), key, window)
        for one in _single_valued(wanted)
    ]
    if len(walks) == 1:
        return walks[0]
    merged = union_all(*walks).subquery()
    both = key_of(merged.c, is_newest_first=is_newest_first)
    return read.ordered(select(merged.c.year, merged.c.number), both, window).limit(window.size + 1)


def _single_valued(wanted: TicketFilter) -> list[TicketFilter]:
    """Take a filter apart into disjoint ones by the values of the one field whose values are several."""
    if len(actions := list(dict.fromkeys(wanted.action_types or ()))) > 1:
        return [replace(wanted, action_types=[action]) for action in actions]
    if len(codes := list(dict.fromkeys(wanted.error_codes or ()))) > 1:
        return [replace(wanted, error_codes=[code]) for code in codes]
    return [wanted]


# -------------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a page is looked for that no index has in order: a table with year and number, what must match in it, and
    the rest of the filter.

    is_walked: whether the table is worth a walk from its newest rows.
    """

    table: FromClause
    match: Callable[[Columns], ColumnElement[bool]]
    rest: TicketFilter
    is_walked: bool = True

    def whole(self) -> Select[Any]:
        """Return all its keys."""
        return self._with_rest(
            select(self.table.c.year, self.table.c.number).where(self.match(self.table.c)), self.table
        )

    def walk(self, span: Span | None, key: Callable[[Columns], Key], window: Window) -> Select[Any]:
        """Return its keys among the PROBE_TICKETS that come first."""
        first = read.within(select(self.table).where(_span(span, self.table.c)), key(self.table.c), window)
        inner = read.ordered(first, key(self.table.c), window).limit(PROBE_TICKETS).subquery()
        return self._with_rest(select(inner.c.year, inner.c.number).where(self.match(inner.c)), inner)

    def _with_rest(self, statement: Select[Any], place: FromClause) -> Select[Any]:
        if self.rest == TicketFilter(searches_payloads=self.rest.searches_payloads):
            return statement
        if "tags" in place.c:  # the ticket itself
            return statement.where(tickets.where(self.rest, place.c))
        is_same = and_(place.c.year == logs.year, place.c.number == logs.number)
        return statement.join(tables.ticket_logs, is_same).where(tickets.where(self.rest))


async def _sources(reader: Reader, wanted: TicketFilter) -> list[_Source]:
    """Return where a page has to be looked for that no index has in order; none when one has."""
    found = search.parsed(wanted.search or "")
    if found is not None:
        return await _places_of_words(reader, found, replace(wanted, search=None))
    if (ticket_id := wanted.related_to) is not None:
        rest = replace(wanted, related_to=None)
        both = (tickets.points_to, tickets.is_pointed_to_by)
        return [_Source(tables.ticket_logs, partial(way, ticket_id), rest, is_walked=False) for way in both]
    if wanted.tags:
        tagged, rest = replace(TicketFilter(), tags=wanted.tags, needs_all_tags=wanted.needs_all_tags), wanted
        return [_Source(tables.ticket_logs, partial(tickets.where, tagged), replace(rest, tags=None))]
    return []


async def _places_of_words(reader: Reader, found: Search, rest: TicketFilter) -> list[_Source]:
    sources: list[_Source] = []
    if found.ticket_id or found.uuid:
        sources.append(_Source(tables.ticket_logs, partial(search.is_named, found), rest, is_walked=False))
    if found.tickets:
        sources.append(_Source(tables.ticket_logs, partial(search.in_ticket, found), rest))
    if rest.searches_payloads and found.payloads:
        sources.append(_Source(tables.ticket_payload_search, partial(search.in_words, found), rest))
        # Written out, so that the planner sees how few tickets lie beyond it; what is folded meanwhile is found twice.
        (fold,) = await reader.sql("SELECT txid::text AS txid FROM ticket_folds WHERE name = 'words'")
        beyond = text(f"ticket_logs.txid >= '{int(fold['txid'])}'::xid8")
        sources.append(
            _Source(tables.ticket_logs, lambda at: and_(beyond, search.in_payload(found, at)), rest, is_walked=False)
        )
    return sources


async def _keys_of(
    reader: Reader, source: _Source, span: Span | None, window: Window, is_newest_first: bool
) -> list[Place]:
    """Walk from the page on where matches are frequent; look them up and sort where they are not, or not there."""

    def key(at: Columns) -> Key:
        return key_of(at, is_newest_first=is_newest_first)

    size = window.size + 1
    if source.is_walked:
        matches: Select[Any] = select(source.table.c.year).where(source.match(source.table.c))
        if await reader.estimate(matches) > RARE_MAX:
            walked = source.walk(span, key, window)
            rows = await reader.rows(read.ordered(walked, key(walked.selected_columns), window).limit(size))
            if len(rows) == size:
                return [(row["year"], row["number"]) for row in rows]
    within = read.within(source.whole().where(_span(span, source.table.c)), key(source.table.c), window)
    apart = within.offset(0).subquery()  # planned by itself: without an order it is not worth a walk
    rows = await reader.rows(read.ordered(select(apart.c.year, apart.c.number), key(apart.c), window).limit(size))
    return [(row["year"], row["number"]) for row in rows]
