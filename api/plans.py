"""The fast path of lists: a selection over rows, compiled once, instead of one resolver for each field of each row.

graphql-core resolves and completes every field of every row by itself, about 3 µs each. Here a connection's selection
becomes a projection (`db.projections`: only the columns asked for, written by the database as they are sent) and
functions that build whole columns of the answer. Schema, policies, arguments and filters are those of the resolvers,
which call `of`; only what follows the page's statement differs. What is not known here, or may not be seen, or goes
wrong is left to stock execution, whose answer `tests/api/test_fast_path.py` compares byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import repeat
from typing import Any, Final, TypeAlias, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

import db.ledger
from api import rights
from api.context import LOADER_BATCH_MAX, Info
from api.rights import Sight
from db.lists import Listing, Way
from db.projections import NOUNS, Place, Projection
from db.read import PAGE_SIZE_MAX, Page, Reader, Row, Window, cursor_of
from domain.errors import DomainError
from domain.money import Asset
from domain.people import UserRole

PARENT: Final = "parent"  # the column before all others of lists of many parents
HELD: Final = "balances"
FLAGS: Final = "flags"  # where a document's plans keep the names of the variables that its directives ask
SEEN_BY: Final[Mapping[Sight, frozenset[UserRole | None]]] = {
    Sight.OPEN: frozenset({*UserRole, None}),
    **dict.fromkeys((Sight.HOLDER, Sight.OWN, Sight.OVERSIGHT), frozenset({UserRole.ADMIN, UserRole.ANALYST})),
    **dict.fromkeys((Sight.SELF, Sight.ADMIN), frozenset({UserRole.ADMIN})),
}
assert set(SEEN_BY) == set(Sight)

Details: TypeAlias = list[FieldDetails]
Plans: TypeAlias = dict[Any, Any]
Count: TypeAlias = Callable[[], Any]


class Unplanned(Exception):
    """A selection that only stock execution can answer."""


class Unanswered(Unplanned):
    """The same, for these arguments only."""


@dataclass(frozen=True, slots=True)
class Built:
    """A value as it is answered, which nothing has to complete."""

    value: Any


@dataclass(frozen=True, slots=True)
class Block:
    """Rows by their columns, those of their key last. below: what hangs on them, by what it hangs on."""

    columns: Sequence[Sequence[Any]]
    size: int
    keys: Sequence[Sequence[Any]]
    below: list[Mapping[Any, Any]] = field(default_factory=list)
    made: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Row], width: int) -> Block:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * width
        if rows and next(iter(rows[0].keys())) == PARENT:
            columns = columns[1:]
        return cls(columns[:width], len(rows), columns[width:])

    def objects(self, wanted: Objects) -> list[dict[str, Any]]:
        """Return the objects of all rows, made once."""
        if id(wanted) not in self.made:
            self.made[id(wanted)] = wanted.of(self)
        return self.made[id(wanted)]

    def cursor(self, index: int) -> str:
        return cursor_of([column[index] for column in self.keys])


@dataclass(frozen=True, slots=True)
class Span:
    """A page within a block, and what is counted of its whole list."""

    start: int
    stop: int
    has_next: bool
    has_previous: bool
    total: tuple[int, bool] | None = None


Column: TypeAlias = Callable[[Block], Iterable[Any]]  # the values of one field, of all rows
Part: TypeAlias = Callable[[Block, Span], Any]  # one field of a connection


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one selection, a row each."""

    names: tuple[str, ...]
    columns: tuple[Column, ...]

    def of(self, block: Block) -> list[dict[str, Any]]:
        if not self.names:
            return [{} for _ in range(block.size)]
        names = self.names
        values = zip(*(column(block) for column in self.columns), strict=True)
        return [dict(zip(names, row, strict=True)) for row in values]


@dataclass(frozen=True, slots=True)
class By:
    """A column of a parent, in place of its value."""

    name: str

    def __str__(self) -> str:
        raise Unplanned  # what is made of a value cannot be asked of all


@dataclass(frozen=True, slots=True)
class Hung:
    """The list of a parent as its resolver would load it, for whichever parent: what hangs on it by which column."""

    listing: Listing[Any, Any]
    way: Way
    by: str
    wanted: Any
    order: Enum | None = None
    first: int | None = None
    after: str | None = None

    async def pages(self, reader: Reader, keys: Sequence[Any], projection: Projection) -> dict[Any, Page[Any]]:
        """Return the page of each parent.

        Raises: InvalidInput.
        """
        window = Window(self.first, self.after, projection=projection)
        assert window.size <= PAGE_SIZE_MAX
        found: dict[Any, Page[Any]] = {key: Page([], has_next=False, has_previous=False) for key in keys}
        for some in _parts(keys if self.wanted is not None else ()):
            found |= await self.listing.pages(reader, self.way, some, self.wanted, window, self.order)
        return found

    async def counts(self, reader: Reader, keys: Sequence[Any]) -> dict[Any, tuple[int, bool]]:
        """Return the count of each parent's list."""
        found: dict[Any, tuple[int, bool]] = dict.fromkeys(keys, (0, True))
        for some in _parts(keys if self.wanted is not None else ()):
            found |= await self.listing.counts(reader, self.way, some, self.wanted)
        return found


def _parts(keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (keys[start : start + LOADER_BATCH_MAX] for start in range(0, len(keys), LOADER_BATCH_MAX))


HELD_BY: Final = {
    "User": Hung(db.ledger.BALANCES, db.ledger.BALANCES_OF_HOLDER, "id", True, first=len(Asset)),
    "MarketMaker": Hung(db.ledger.BALANCES, db.ledger.BALANCES_OF_HOLDER, "user_id", True, first=len(Asset)),
}
Asks: TypeAlias = Callable[[Any], Hung]  # of the info of the operation


@dataclass(frozen=True, slots=True)
class Below:
    """A list that hangs on each row: whose column that is, what is asked of it, and its own plan."""

    column: int
    asks: Asks
    plan: Plan

    async def values(self, reader: Reader, raw: Any, block: Block) -> Mapping[Any, Any]:
        """Return the value of each parent.

        Raises: InvalidInput, Unplanned.
        """
        hung, plan = self.asks(raw), self.plan
        keys = list(dict.fromkeys(key for key in block.columns[self.column] if key is not None))
        pages = await hung.pages(reader, keys, plan.projection)
        totals = await hung.counts(reader, keys) if plan.counts else {}
        own = Block.of([row for page in pages.values() for row in page.rows], len(plan.projection.columns))
        await plan.fill(reader, raw, own)
        found, start = {}, 0
        for key, page in pages.items():
            stop = start + len(page.rows)
            found[key] = plan.value(own, Span(start, stop, page.has_next, page.has_previous, totals.get(key)))
            start = stop
        return found


@dataclass(slots=True)
class Plan:
    """A connection's selection, compiled; or one of a bare list, which has no parts but its objects."""

    projection: Projection
    parts: list[tuple[str, Part]] = field(default_factory=list)
    bare: Objects | None = None
    below: list[Below] = field(default_factory=list)
    counts: bool = False

    async def built(self, info: Info, page: Page[Any], count: Count) -> Built:
        """Return the connection of a page that was read with this plan's projection.

        Raises: InvalidInput, Unplanned, and what `count` raises: stock execution has to say where.
        """
        block = Block.of(page.rows, len(self.projection.columns))
        await self.fill(info.context.reader, info._raw_info, block)
        total = await count() if self.counts else None
        return Built(self.value(block, Span(0, block.size, page.has_next, page.has_previous, total)))

    async def fill(self, reader: Reader, raw: Any, block: Block) -> None:
        """Load what hangs on the rows of a block."""
        block.below.extend(await asyncio.gather(*(one.values(reader, raw, block) for one in self.below)))

    def value(self, block: Block, span: Span) -> Any:
        """Return the connection, or the list, of a page."""
        if self.bare:
            return block.objects(self.bare)[span.start : span.stop]
        return {name: part(block, span) for name, part in self.parts}


def of(info: Info) -> Plan | None:
    """Return the plan of the connection that a resolver is about to answer; None: stock execution answers it."""
    context, raw = info.context, info._raw_info
    if context.plans is None or info.schema.execution_context_class is not Executor:
        return None
    role = context.caller.user.role if context.caller else None
    flags = context.plans.get(FLAGS)
    if flags is None:
        flags = context.plans[FLAGS] = flags_of(raw.operation.selection_set, raw.fragments)
    values = cast("dict[str, Any]", raw.variable_values)  # strawberry hands out the plain values
    key = (*map(id, raw.field_nodes), role, *(values.get(name) for name in flags))
    if key not in context.plans:
        try:
            context.plans[key] = Compiler(raw, role).connection()
        except Unanswered:
            return None
        except Unplanned:
            context.plans[key] = None
    return cast("Plan | None", context.plans[key])


def flags_of(selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> list[str]:
    """Return the variables that decide what a document selects."""
    names: set[str] = set()
    waiting = [selection_set, *(fragment.selection_set for fragment in fragments.values())]
    while waiting:
        for node in waiting.pop().selections:
            for directive in node.directives or ():
                values = [one.value for one in directive.arguments or ()]
                names.update(value.name.value for value in values if isinstance(value, VariableNode))
            if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
                waiting.append(node.selection_set)
    return sorted(names)


class Compiler:
    """Compiles one connection for callers of one role."""

    def __init__(self, raw: Any, role: UserRole | None) -> None:
        self._raw = raw
        self._role = role
        self._fragments = {name: FragmentDetails(node, None) for name, node in raw.fragments.items()}
        self._plans: list[Plan] = []  # the innermost last

    def connection(self) -> Plan:
        """Return the plan of the field that is being resolved.

        Raises: Unplanned.
        """
        kind = get_named_type(self._raw.return_type)
        return self._connection(kind, [FieldDetails(node, None, None) for node in self._raw.field_nodes])

    def _selected(self, kind: GraphQLNamedType, details: Details) -> Iterable[tuple[str, str, GraphQLField, Details]]:
        """Yield what is selected of an object: name in the answer, name of the field, field, nodes."""
        raw = self._raw
        assert isinstance(kind, GraphQLObjectType)
        values = VariableValues({}, cast("dict[str, Any]", raw.variable_values))
        grouped = collect_subfields(raw.schema, self._fragments, values, raw.operation, kind, details)
        for name, found in grouped.grouped_field_set.items():
            field_name = found[0].node.name.value
            yield name, field_name, cast("GraphQLField", raw.schema.get_field(kind, field_name)), found

    def _connection(self, kind: GraphQLNamedType, details: Details) -> Plan:
        node_kind = get_named_type(cast("GraphQLObjectType", kind).fields["nodes"].type)
        if node_kind.name not in NOUNS:
            raise Unplanned
        plan = Plan(Projection(node_kind.name))
        self._plans.append(plan)
        for name, field_name, _, found in self._selected(kind, details):
            plan.parts.append((name, self._part(plan, kind, node_kind, field_name, found)))
        self._plans.pop()
        return plan

    def _part(self, plan: Plan, kind: GraphQLNamedType, node_kind: GraphQLNamedType, name: str, found: Details) -> Part:
        fields = cast("GraphQLObjectType", kind).fields
        match name:
            case "__typename":
                return lambda _block, _span: kind.name
            case "nodes":
                nodes = self._objects(node_kind, found, plan.projection.root)
                return lambda block, span: block.objects(nodes)[span.start : span.stop]
            case "edges":
                edges = self._edges(get_named_type(fields[name].type), found, node_kind, plan.projection.root)
                return lambda block, span: block.objects(edges)[span.start : span.stop]
            case "pageInfo":
                told = self._page_info(get_named_type(fields[name].type), found)
                return lambda block, span: {name: tell(block, span) for name, tell in told}
            case "totalCount":
                plan.counts = True
                return lambda _block, span: span.total and span.total[0]
            case "totalCountIsExact":
                plan.counts = True
                return lambda _block, span: span.total and span.total[1]
        raise Unplanned

    def _edges(self, kind: GraphQLNamedType, details: Details, node_kind: GraphQLNamedType, place: Place) -> Objects:
        columns: dict[str, Column] = {}
        for name, field_name, _, found in self._selected(kind, details):
            if field_name == "node":
                columns[name] = self._objects(node_kind, found, place).of
            elif field_name == "cursor":
                columns[name] = lambda block: map(block.cursor, range(block.size))
            elif field_name == "__typename":
                columns[name] = always(kind.name)
            else:
                raise Unplanned
        return Objects(tuple(columns), tuple(columns.values()))

    def _page_info(self, kind: GraphQLNamedType, details: Details) -> list[tuple[str, Part]]:
        tells: dict[str, Part] = {
            "__typename": lambda _block, _span: kind.name,
            "hasNextPage": lambda _block, span: span.has_next,
            "hasPreviousPage": lambda _block, span: span.has_previous,
            "startCursor": lambda block, span: block.cursor(span.start) if span.stop > span.start else None,
            "endCursor": lambda block, span: block.cursor(span.stop - 1) if span.stop > span.start else None,
        }
        selected = list(self._selected(kind, details))
        if any(field_name not in tells for _, field_name, _, _ in selected):
            raise Unplanned
        return [(name, tells[field_name]) for name, field_name, _, _ in selected]

    def _objects(self, kind: GraphQLNamedType, details: Details, place: Place) -> Objects:
        columns: dict[str, Column] = {}
        for name, field_name, found_field, found in self._selected(kind, details):
            if field_name == "__typename":
                columns[name] = always(kind.name)
                continue
            sight = rights.sight_of(kind.name, field_name)
            if sight is None or self._role not in SEEN_BY[sight]:
                raise Unplanned
            python_name = cast("StrawberryField", found_field.extensions["strawberry-definition"]).python_name
            columns[name] = self._column(kind, found_field, python_name, found, place)
        return Objects(tuple(columns), tuple(columns.values()))

    def _column(
        self, above: GraphQLNamedType, found_field: GraphQLField, python_name: str, found: Details, place: Place
    ) -> Column:
        kind = get_named_type(found_field.type)
        if kind.name.endswith("Connection"):
            asks = partial(hung_of, cast("GraphQLObjectType", above), found_field, found)
            return self._below(place, asks, self._connection(kind, found))
        if python_name == HELD and kind.name == "Balance":
            if any(one.node.arguments for one in found):
                raise Unplanned  # of another time
            plan = Plan(Projection("Balance"))
            self._plans.append(plan)
            plan.bare = self._objects(kind, found, plan.projection.root)
            self._plans.pop()
            return self._below(place, lambda _raw: HELD_BY[above.name], plan)
        if found_field.args:
            raise Unplanned
        if is_leaf_type(kind):
            shown = place.shown(python_name)
            if shown is None:
                raise Unplanned
            indices, made = shown
            if made is None:
                return lambda block, index=indices[0]: block.columns[index]  # type: ignore[misc]
            return lambda block: [made(*one) for one in zip(*(block.columns[i] for i in indices), strict=True)]
        linked = place.linked(python_name)
        if linked is None:
            raise Unplanned
        objects, is_there = self._objects(kind, found, linked), linked.is_there
        assert is_there is not None
        return lambda block: [
            one if there else None for there, one in zip(block.columns[is_there], objects.of(block), strict=True)
        ]

    def _below(self, place: Place, asks: Asks, plan: Plan) -> Column:
        above, by = self._plans[-1], asks(self._raw).by
        column, index = place.raw(by), len(above.below)
        above.below.append(Below(column, asks, plan))
        return lambda block: [block.below[index].get(key) for key in block.columns[column]]


class Stranger:
    """The record of a parent that stands for all: it knows the names of its columns only."""

    def __getattr__(self, name: str) -> By:
        return By(name)


def hung_of(above: GraphQLObjectType, found_field: GraphQLField, details: Details, raw: Any) -> Hung:
    """Ask a resolver what it would load, for a parent that stands for all; it answers from `api.pages.nested`.

    It may do so at once only: whatever it would look up first is no matter of all parents.
    Raises: Unanswered (its arguments are wrong: stock execution says so for each parent there is), Unplanned.
    """
    kind = cast("StrawberryObjectDefinition", above.extensions["strawberry-definition"]).origin
    parent = object.__new__(kind)
    parent.record, parent.is_caller = Stranger(), False
    node = details[0].node
    asked = raw._replace(field_name=node.name.value, field_nodes=[one.node for one in details], parent_type=above,
                         return_type=found_field.type)  # fmt: skip
    try:
        arguments = get_argument_values(found_field, node, VariableValues({}, raw.variable_values))
        resolving = cast("Any", found_field.resolve)(parent, asked, **arguments)
    except GraphQLError:
        raise Unanswered from None
    try:
        resolving.send(None)
    except StopIteration as ended:
        if isinstance(ended.value, Hung):
            return ended.value
    except (GraphQLError, DomainError):
        raise Unanswered from None
    resolving.close()  # it waits for something: it is no list of a parent's
    raise Unplanned


def always(value: str) -> Column:
    return lambda block: repeat(value, block.size)


# ------------------------------------------------------------------------------------------------------------- executor


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Executes as graphql-core does, but takes what is built as it is, and lists of plain objects by whole columns."""

    def build_per_event_executor(self, payload: Any) -> Any:
        """Forget with each event of a subscription what was made out for it.

        graphql-core 3.3 remembers the subfields of every event for as long as the subscription lives: 2 KB an event.
        """
        event = super().build_per_event_executor(payload)
        event._relevant_sub_fields = {}
        return event

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Details,
        info: Any,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if type(result) is Built:
            return result.value
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: Details,
        info: Any,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        item_type = return_type.of_type
        kind = item_type.of_type if is_non_null_type(item_type) else item_type
        if isinstance(result, list | tuple) and is_object_type(kind) and kind.is_type_of is None:
            try:
                return self._plain(kind, field_details_list, result)
            except Exception:  # noqa: S110 - whatever it is, stock execution says it in the right words
                pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _plain(self, kind: GraphQLObjectType, details: Details, items: Sequence[Any]) -> list[dict[str, Any]]:
        """Build a list of objects whose selected fields are attributes that are leaves.

        Raises: whatever goes wrong.
        """
        columns: dict[str, list[Any]] = {}
        for name, found in self.collect_subfields(kind, details).grouped_field_set.items():
            field_name = found[0].node.name.value
            if field_name == "__typename":
                columns[name] = [kind.name] * len(items)
                continue
            found_field = kind.fields[field_name]
            is_required = is_non_null_type(found_field.type)
            leaf = found_field.type.of_type if is_required else found_field.type
            if not getattr(found_field.resolve, "_is_default", False) or found_field.args or not is_leaf_type(leaf):
                raise Unplanned
            attribute = cast("StrawberryField", found_field.extensions["strawberry-definition"]).python_name
            columns[name] = _coerced(leaf, [getattr(item, attribute) for item in items], is_required=is_required)
        if not columns:
            return [{} for _ in items]
        names = tuple(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _coerced(leaf: GraphQLLeafType, values: list[Any], *, is_required: bool) -> list[Any]:
    coerce = leaf.coerce_output_value
    found = [None if value is None else coerce(value) for value in values]
    if any(made is None and (is_required or value is not None) for made, value in zip(found, values, strict=True)):
        raise Unplanned
    return found
