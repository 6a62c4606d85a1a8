"""The fast path of lists: a selection over rows, compiled once, instead of one resolver for each field of each row.

graphql-core resolves and completes every field of every row by itself, about 3 µs each. Here a connection's selection
becomes a projection (`db.projections`: only the columns asked for, written by the database as they are sent) and
functions that build whole columns of the answer. Schema, policies, arguments and filters are those of the resolvers,
which call `of`; only what follows the page's statement differs. What is not known here, or may not be seen, or goes
wrong is left to stock execution, whose answer `tests/api/test_fast_path.py` compares byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, TypeAlias, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
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
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from api import rights
from api.context import Info
from api.rights import Sight
from db.projections import NOUNS, Place, Projection
from db.read import Page, Row, cursor_of
from domain.people import UserRole

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


@dataclass(frozen=True, slots=True)
class Built:
    """A value as it is answered, which nothing has to complete."""

    value: Any


@dataclass(frozen=True, slots=True)
class Block:
    """Rows by their columns, those of their key last."""

    columns: Sequence[Sequence[Any]]
    size: int
    keys: Sequence[Sequence[Any]]

    @classmethod
    def of(cls, rows: Sequence[Row], width: int) -> Block:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * width
        return cls(columns[:width], len(rows), columns[width:])

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


@dataclass(slots=True)
class Plan:
    """A connection's selection, compiled."""

    projection: Projection
    parts: list[tuple[str, Part]] = field(default_factory=list)
    counts: bool = False

    async def built(self, page: Page[Any], count: Count) -> Built:
        """Return the connection of a page that was read with this plan's projection."""
        block = Block.of(page.rows, len(self.projection.columns))
        total = await count() if self.counts else None
        span = Span(0, block.size, page.has_next, page.has_previous, total)
        return Built({name: part(block, span) for name, part in self.parts})


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
        for name, field_name, _, found in self._selected(kind, details):
            plan.parts.append((name, self._part(plan, kind, node_kind, field_name, found)))
        return plan

    def _part(self, plan: Plan, kind: GraphQLNamedType, node_kind: GraphQLNamedType, name: str, found: Details) -> Part:
        fields = cast("GraphQLObjectType", kind).fields
        match name:
            case "__typename":
                return lambda _block, _span: kind.name
            case "nodes":
                nodes = self._objects(node_kind, found, plan.projection.root)
                return lambda block, span: nodes.of(block)[span.start : span.stop]
            case "edges":
                edges = self._edges(get_named_type(fields[name].type), found, node_kind, plan.projection.root)
                return lambda block, span: edges.of(block)[span.start : span.stop]
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
            columns[name] = self._column(found_field, python_name, found, place)
        return Objects(tuple(columns), tuple(columns.values()))

    def _column(self, found_field: GraphQLField, python_name: str, found: Details, place: Place) -> Column:
        kind = get_named_type(found_field.type)
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


def always(value: str) -> Column:
    return lambda block: repeat(value, block.size)


# ------------------------------------------------------------------------------------------------------------- executor


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Executes as graphql-core does, but takes what is built as it is, and lists of plain objects by whole columns."""

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
