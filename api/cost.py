"""What a document may cost: a declared cost for every field, added up before anything runs.

One point stands for about 5 µs of this process. A field costs its weight; what is selected below it costs that again
for every object that a list can hold: as many as `first` or `last` ask for, the size of a page when they do not, the
declared size of other lists. So the figure is known before any SQL, is never too low by what happens to be stored, and
goes down with `first`. Every answer tells it in `extensions.cost`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.extensions import SchemaExtension
from strawberry.types.graphql import OperationType as GraphQLOperation

from api.context import Context
from api.documents import excluded, fragments_of, operation_of, plain, with_defaults
from api.errors import HandedOver, LimitError
from api.policy import ROLES, Policy
from api.rights import objects
from api.turns import HEAVY_POINTS_MIN
from db.aggregates import GROUP_ROWS_MAX
from db.read import PAGE_SIZE, PAGE_SIZE_MAX
from db.stats import BUCKETS_MAX, USERS_MAX
from db.tickets import RELATED_MAX
from domain.people import UserRole

POINT_US: Final = 5
COSTS_MAX: Final[Mapping[UserRole | None, int]] = {
    UserRole.ADMIN: 100_000,  # half a second
    UserRole.ANALYST: 100_000,
    UserRole.TRADER: 80_000,
    None: 20_000,
}
assert set(COSTS_MAX) == {*ROLES[Policy.OWNER], None}

LEAF: Final = 1
OBJECT: Final = 2
LOOKUP: Final = 10  # an object that is looked up, with others of its kind
LIST: Final = 20  # a statement, or a part of one
MUTATION: Final = 50
INTROSPECTION: Final = 5_000  # the whole schema is some thousand fields
COSTS_KEPT_MAX: Final = 64  # of one document, by its variables

# What costs more than its kind.
WEIGHTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("aggregateTickets", "aggregateTrades", "aggregateOrders", "aggregateTransactions"), 4_000),
    **dict.fromkeys(("ticketStats", "candles"), 2_000),
    **dict.fromkeys(("totalCount", "totalCountIsExact"), 100),
    **dict.fromkeys(("requestPayload", "responseData", "beforeState", "afterState", "changes"), 20),
    "balancesAsOf": 400,
    "operations": 400,
    "orderBook": 200,
    "relatedTickets": 200,
    "stats": 100,
    "ticketProof": 400,
}
# How many objects a list can hold whose arguments do not say.
SIZES: Final[Mapping[str, int]] = {
    "Query.balancesAsOf": 3,
    "Query.candles": BUCKETS_MAX,
    "Query.certificates": 2,
    "Query.sessions": 100,
    "MarketMaker.balances": 3,
    "User.balances": 3,
    "User.kycDocuments": 10,
    "Ticket.changes": 10,
    "Ticket.relatedTickets": RELATED_MAX,
    "TicketStats.actionsOverTime": 200,
    "TicketStats.byActionType": 40,
    "TicketStats.byErrorCode": 40,
    "TicketStats.byUser": USERS_MAX,
    "Operations.pools": 7,
    "Operations.streams": 2,
    "OrderBook.asks": 20,
    "OrderBook.bids": 20,
    "OrderBookDelta.changes": 20,
}
PAGED: Final = frozenset({"nodes", "edges", "groups"})  # as many as the field above asks for
PAYLOAD_SIZE: Final = 20  # of any list of a mutation's payload
LEVELS: Final = frozenset({"bids", "asks"})
DEPTH: Final = 20

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Points, and the way to what costs most."""

    points: int
    path: Path = ()


def require_declared(schema: GraphQLSchema) -> None:
    """Refuse a schema with a list of which nobody has said how long it can be.

    Raises: TypeError, naming it.
    """
    kinds = [schema.query_type, *objects(schema)]
    lists = {
        f"{kind.name}.{name}"
        for kind in kinds
        if kind and not kind.name.endswith("Payload")
        for name, found in kind.fields.items()
        if _is_list(found) and name not in PAGED and not is_leaf_type(get_named_type(found.type))
    }
    if wrong := sorted(lists ^ set(SIZES)):
        raise TypeError(f"api/cost.py: say how long these lists can be, or drop them: {', '.join(wrong)}")


def _is_list(found: GraphQLField) -> bool:
    return is_list_type(found.type.of_type if is_non_null_type(found.type) else found.type)


class Pricing:
    """Adds up one operation; each selection once for each length of list that it stands in."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._known: dict[tuple[int, str, int], Cost] = {}

    def selection(self, selection_set: SelectionSetNode, kind: GraphQLNamedType, size: int) -> Cost:
        """Return the cost of what is selected of one object; size: of the page that it is."""
        key = (id(selection_set), kind.name, size)
        if key not in self._known:
            costs = list(self._parts(selection_set, kind, size))
            most = max(costs, key=lambda cost: cost.points, default=Cost(0))
            self._known[key] = Cost(sum(cost.points for cost in costs), most.path)
        return self._known[key]

    def _parts(self, selection_set: SelectionSetNode, kind: GraphQLNamedType, size: int) -> Iterator[Cost]:
        for node in selection_set.selections:
            if excluded(node.directives, self._variables):
                continue
            if isinstance(node, FieldNode):
                yield self._field(node, kind, size)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                yield self.selection(fragment.selection_set, self._named(fragment.type_condition.name.value), size)
            elif isinstance(node, InlineFragmentNode):
                named = self._named(node.type_condition.name.value) if node.type_condition else kind
                yield self.selection(node.selection_set, named, size)

    def _named(self, name: str) -> GraphQLNamedType:
        return self._schema.type_map[name]

    def _field(self, node: FieldNode, kind: GraphQLNamedType, size: int) -> Cost:
        name = node.name.value
        if name.startswith("__"):
            return Cost(0 if name == "__typename" else INTROSPECTION, (name,))
        found = cast("Any", kind).fields[name]
        inner = get_named_type(found.type)
        if node.selection_set is None:
            return Cost(WEIGHTS.get(name, LEAF), (name,))
        asked = self._size(node, found, size)
        below = self.selection(node.selection_set, inner, asked)
        if _is_list(found):
            weight = WEIGHTS.get(name, 0 if name in PAGED else LIST)
            count = asked if name in PAGED | LEVELS else SIZES.get(f"{kind.name}.{name}", PAYLOAD_SIZE)
            return Cost(weight + count * (OBJECT + below.points), (name, *below.path))
        is_page = not PAGED.isdisjoint(getattr(inner, "fields", ()))
        is_there = getattr(found.resolve, "_is_default", False)
        weight = WEIGHTS.get(name, LIST if is_page else OBJECT if is_there else LOOKUP)
        return Cost(weight + below.points, (name, *below.path))

    def _size(self, node: FieldNode, found: GraphQLField, size: int) -> int:
        """Return how long the list is that a field asks for; what holds no list hands on what was asked above it."""
        given = {one.name.value: plain(one.value, self._variables) for one in node.arguments or ()}
        if "first" in found.args:
            most = PAGE_SIZE_MAX if "after" in found.args else GROUP_ROWS_MAX
            usual = PAGE_SIZE if "after" in found.args else found.args["first"].default_value
            usual = usual if isinstance(usual, int) else most
            wanted = given.get("first") if given.get("first") is not None else given.get("last")
            return min(max(wanted, 0), most) if type(wanted) is int else usual
        if "depth" in found.args:
            wanted = given.get("depth")
            return wanted if type(wanted) is int and wanted > 0 else DEPTH
        return size


def cost_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> Cost:
    """Return what an operation of a sound document may cost; one that has no end of fragments costs more than any."""
    root = schema.get_root_type(operation.operation)
    assert root is not None
    pricing = Pricing(schema, fragments_of(document), with_defaults(operation, variables))
    try:
        found = pricing.selection(operation.selection_set, root, 1)
    except RecursionError:
        return Cost(max(COSTS_MAX.values()) * 10)
    own = MUTATION * len(operation.selection_set.selections) if operation.operation is OperationType.MUTATION else 0
    return Cost(found.points + own, found.path)


def variables_of(operation: OperationDefinitionNode) -> list[str]:
    """Return the names of an operation's variables that a cost can depend on: figures and switches."""
    named = ((one.variable, get_name(one.type)) for one in operation.variable_definitions or ())
    return [variable.name.value for variable, kind in named if kind in ("Int", "Boolean")]


def get_name(node: Any) -> str:
    while not hasattr(node, "name"):
        node = node.type
    return str(node.name.value)


def refusal(cost: Cost, role: UserRole | None) -> LimitError | None:
    """Return why a document is refused; None when it is within its limit."""
    most = COSTS_MAX.get(role, COSTS_MAX[None])
    if cost.points <= most:
        return None
    who = "somebody who is not signed in" if role is None else f"role {role}"
    error = LimitError(
        f"This costs {cost.points:,} points; {most:,} are allowed at once to {who}. Most of it is "
        f"{'.'.join(cost.path)}: ask for fewer rows there with `first`, for fewer fields, or in several requests.",
        most,
        cost.points,
    )
    assert error.extensions is not None
    error.extensions["costliest"] = ".".join(cost.path)
    return error


def elsewhere(cost: Cost, context: Context) -> HandedOver | None:
    """Return what ends a query here that a reader process answers; None for what is answered by this process."""
    is_theirs = cost.points > HEAVY_POINTS_MIN or context.has_role(UserRole.ANALYST)
    return HandedOver() if context.has_readers and is_theirs else None


class Priced(SchemaExtension):
    """Prices each sound document before it runs, refuses one that costs too much, and says what it cost."""

    cost: Cost | None = None

    def on_validate(self) -> Iterator[None]:
        """Add up, once for each set of variables that matters."""
        operation = self.execution_context
        if not operation.pre_execution_errors and operation.graphql_document is not None:
            document, variables = operation.graphql_document, operation.variables or {}
            asked = operation_of(document, operation._provided_operation_name)
            if asked is not None:
                context = cast("Context", operation.context)
                self.cost = _remembered(operation.schema._schema, document, asked, variables, context.plans)
                error: GraphQLError | None = refusal(self.cost, self._role)
                if error is None and asked.operation is OperationType.QUERY:
                    error = elsewhere(self.cost, context)
                if error:
                    operation.pre_execution_errors = [error]
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        """Let a heavy query wait for its turn."""
        operation = self.execution_context
        points = self.cost.points if self.cost and operation.operation_type is GraphQLOperation.QUERY else 0
        context = cast("Context", operation.context)
        async with context.reading.turns.taken(points) as context.is_heavy:
            yield

    @property
    def _role(self) -> UserRole | None:
        caller = self.execution_context.context.caller
        return caller.user.role if caller else None

    def get_results(self) -> dict[str, Any]:
        """Tell the cost and its limit."""
        if self.cost is None:
            return {}
        return {"cost": {"requested": self.cost.points, "limit": COSTS_MAX.get(self._role, COSTS_MAX[None])}}


def _remembered(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    kept: dict[Any, Any] | None,
) -> Cost:
    if kept is None:
        return cost_of(schema, document, operation, variables)
    names, costs = kept.setdefault(("costs", id(operation)), (variables_of(operation), {}))
    values = tuple(variables.get(name, ...) for name in names)
    if any(isinstance(value, list | dict) for value in values):  # no figure and no switch: it will not coerce
        return cost_of(schema, document, operation, variables)
    if values not in costs:
        if len(costs) >= COSTS_KEPT_MAX:
            costs.clear()
        costs[values] = cost_of(schema, document, operation, variables)
    return cast("Cost", costs[values])
