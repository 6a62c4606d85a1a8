"""Bound what one document may cost before it is validated, and remember documents that passed.

Every figure is computed in time linear in the document: fragments are surveyed once each and then added up,
so a fragment that is spread a million times over costs as much as one that is spread once.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import ParseOptions

from api.documents import fault_in, fragments_of, selected
from api.errors import Code, CoercionError, LimitError, RequestError
from api.scalars import unstorable

TOKENS_MAX: Final = 4_000  # about 20 ms of parsing
COMMENTS_MAX: Final = 1_000
DOCUMENT_CHARACTERS_MAX: Final = 128 * 1024  # the lexer walks each character; large values belong in variables
DEPTH_MAX: Final = 14
ALIASES_MAX: Final = 40  # fragments expanded
ROOT_FIELDS_MAX: Final = 20
REPEATS_MAX: Final = 60  # of one response key where its fields merge
MERGES_MAX: Final = 10_000  # pairs of fields or fragments that validation compares at most, about 7 µs each
LOGINS_MAX: Final = 1  # each costs a password hash; guessing is counted per request

LOGIN_FIELD: Final = "login"
INTROSPECTION_FIELDS: Final = frozenset({"__schema", "__type"})  # deep by nature; graphql-core bounds it

DOCUMENTS_REMEMBERED_MAX: Final = 512
# The syntax tree of a document weighs up to 300 times its text: 75 MB at the very worst, 5 MB in practice.
CHARACTERS_REMEMBERED_MAX: Final = 256 * 1024
DOCUMENT_REMEMBERED_MAX: Final = 16 * 1024

PARSE_OPTIONS: Final = cast(
    "ParseOptions",  # strawberry names one option; graphql-core takes these
    {
        "max_lexical_tokens": TOKENS_MAX,
        "max_comments": COMMENTS_MAX,
        "max_source_length": DOCUMENT_CHARACTERS_MAX,
    },
)

assert DOCUMENT_REMEMBERED_MAX < CHARACTERS_REMEMBERED_MAX
assert REPEATS_MAX * (REPEATS_MAX - 1) // 2 < MERGES_MAX


# --- figures


@dataclass(slots=True)
class Survey:
    """What one operation or fragment holds itself, spreads not yet added."""

    depth: int = 0
    aliases: int = 0

    spreads: list[tuple[str, int | None]] = field(default_factory=list)
    """Fragments spread, with the number of fields above; none inside introspection, whose depth is not counted."""

    places: list[tuple[Counter[str], set[str]]] = field(default_factory=list)
    """Where fields merge, the top first: how often each response key stands there, and which fragments do."""


def survey_of(selection_set: SelectionSetNode) -> Survey:
    """Walk one definition once, merging the fields of one response key as execution does."""
    survey = Survey()
    waiting: list[tuple[list[SelectionSetNode], int | None]] = [([selection_set], 0)]
    while waiting:
        merged, above = waiting.pop()
        if above is not None:
            survey.depth = max(survey.depth, above + 1)
        for below, introspects in survey_place(survey, merged, above).values():
            waiting.append((below, None if introspects or above is None else above + 1))
    return survey


def survey_place(
    survey: Survey, merged: list[SelectionSetNode], above: int | None
) -> dict[str, tuple[list[SelectionSetNode], bool]]:
    """Count the fields of one place; return what lies below each response key, and whether it is introspection."""
    keys: Counter[str] = Counter()
    spreads: set[str] = set()
    below: dict[str, tuple[list[SelectionSetNode], bool]] = {}
    waiting = list(merged)
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                keys[key] += 1
                survey.aliases += node.alias is not None
                if node.selection_set:
                    introspects = node.name.value in INTROSPECTION_FIELDS
                    below.setdefault(key, ([], introspects))[0].append(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                spreads.add(node.name.value)
                survey.spreads.append((node.name.value, above))
    survey.places.append((keys, spreads))
    return below


@dataclass(frozen=True, slots=True)
class Totals:
    """What one operation or fragment holds with its fragments added."""

    depth: int
    aliases: int
    top: Counter[str]
    """How often each response key stands at the top."""


def totals_of(surveys: dict[str, Survey]) -> dict[str, Totals]:
    """Add fragments up, innermost first and without recursion.

    A spread that closes a cycle adds nothing; validation refuses it.
    """
    totals: dict[str, Totals] = {}
    for root, survey in surveys.items():
        if root in totals:
            continue
        path = [(root, iter(survey.spreads))]
        entered = {root}
        while path:
            name, spreads = path[-1]
            for spread, _ in spreads:
                if spread in surveys and spread not in entered and spread not in totals:
                    path.append((spread, iter(surveys[spread].spreads)))
                    entered.add(spread)
                    break
            else:
                path.pop()
                totals[name] = sum_of(surveys[name], totals)
    return totals


def sum_of(survey: Survey, totals: dict[str, Totals]) -> Totals:
    depth, aliases = survey.depth, survey.aliases
    for name, above in survey.spreads:
        if name in totals:
            aliases += totals[name].aliases
            if above is not None:
                depth = max(depth, above + totals[name].depth)
    return Totals(depth, aliases, at_one_place(*survey.places[0], totals))


def at_one_place(keys: Counter[str], spreads: set[str], totals: dict[str, Totals]) -> Counter[str]:
    counted = Counter(keys)
    for name in spreads:
        if name in totals:
            counted.update(totals[name].top)
    return counted


def merges_of(surveys: Sequence[Survey]) -> int:
    """Estimate, from above, the pairs that the rule about overlapping fields compares."""
    keys: Counter[str] = Counter()
    fragments = 0
    for survey in surveys:
        for place, spreads in survey.places:
            keys.update(place)
            fragments += len(spreads) * (len(spreads) - 1) // 2
    return fragments + sum(count * (count - 1) // 2 for count in keys.values())


# --- limits


def excess_of(document: DocumentNode) -> LimitError | None:
    """Name the first limit a document exceeds, with the figure; none when it is within all of them."""
    fragments = fragments_of(document)
    inner = {name: survey_of(fragment.selection_set) for name, fragment in fragments.items()}
    totals = totals_of(inner)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    outer = [survey_of(operation.selection_set) for operation in operations]
    for operation, survey in zip(operations, outer, strict=True):
        total = sum_of(survey, totals)
        if total.depth > DEPTH_MAX:
            return LimitError(
                f"The document is {total.depth} levels deep; {DEPTH_MAX} are allowed.", DEPTH_MAX, total.depth
            )
        if total.aliases > ALIASES_MAX:
            return too_many("aliases, fragments expanded", total.aliases, ALIASES_MAX)
        names = {
            node.alias.value if node.alias else node.name.value: node.name.value
            for node in selected(operation.selection_set, fragments, {})
        }
        if len(names) > ROOT_FIELDS_MAX:
            return too_many("root fields in one operation", len(names), ROOT_FIELDS_MAX)
        logins = sum(name == LOGIN_FIELD for name in names.values())
        if operation.operation is OperationType.MUTATION and logins > LOGINS_MAX:
            return too_many(f"fields {LOGIN_FIELD} in one operation", logins, LOGINS_MAX)
    for survey in (*outer, *inner.values()):
        for place in survey.places:
            for key, count in at_one_place(*place, totals).items():
                if count > REPEATS_MAX:
                    return too_many(f'repeats of "{key}" in one place', count, REPEATS_MAX)
    merges = merges_of((*outer, *inner.values()))
    return too_many("pairs of fields to merge", merges, MERGES_MAX) if merges > MERGES_MAX else None


def introspects(document: DocumentNode) -> bool:
    """Tell whether a document asks for the schema anywhere, fragments included."""
    waiting: list[SelectionSetNode] = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode) and node.name.value in INTROSPECTION_FIELDS:
                return True
            if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
                waiting.append(node.selection_set)
    return False


FIGURE_SHOWN_MAX: Final = 10**9  # expanded fragments can count to figures of hundreds of digits


def too_many(what: str, found: int, limit: int) -> LimitError:
    found = min(found, FIGURE_SHOWN_MAX)
    return LimitError(f"The document has {found:,} {what}; {limit:,} are allowed.", limit, found)


# --- documents that passed


@dataclass(frozen=True, slots=True)
class Known:
    """A document that passed, and what is compiled of it as it is used."""

    document: DocumentNode
    plans: dict[Any, Any] = field(default_factory=dict)


class Remembered:
    """Keep the documents that passed, least recently used out first, bounded in number and in text."""

    def __init__(self) -> None:
        self.documents: OrderedDict[tuple[GraphQLSchema, str], Known] = OrderedDict()
        self.characters = 0
        self.hits = 0
        self.misses = 0

    def find(self, schema: GraphQLSchema, text: str) -> Known | None:
        known = self.documents.get((schema, text))
        if known is None:
            self.misses += 1
            return None
        self.hits += 1
        self.documents.move_to_end((schema, text))
        return known

    def keep(self, schema: GraphQLSchema, text: str, known: Known) -> None:
        if len(text) > DOCUMENT_REMEMBERED_MAX or (schema, text) in self.documents:
            return
        self.documents[schema, text] = known
        self.characters += len(text)
        while len(self.documents) > DOCUMENTS_REMEMBERED_MAX or self.characters > CHARACTERS_REMEMBERED_MAX:
            (_, oldest), _ = self.documents.popitem(last=False)
            self.characters -= len(oldest)


# Two, so that strangers cannot push out the documents that people at work use all day.
REMEMBERED: Final = {True: Remembered(), False: Remembered()}


def signed_in(context: object) -> bool:
    """Tell whether an operation has a caller: `context.caller` is set."""
    caller = context.get("caller") if isinstance(context, dict) else getattr(context, "caller", None)
    return caller is not None


class CheckedDocument(SchemaExtension):
    """Parse, bound and validate each document once, and refuse what no execution may see."""

    known: Known | None = None

    def on_parse(self) -> Iterator[None]:
        """Take a document that passed before; else have it parsed within bounds."""
        operation = self.execution_context
        self.memory = REMEMBERED[signed_in(operation.context)]
        self.known = self.memory.find(operation.schema._schema, operation.query or "")
        if self.known:
            operation.graphql_document = self.known.document
        else:
            operation.parse_options = PARSE_OPTIONS
        yield

    def on_validate(self) -> Iterator[None]:
        """Put limits before validation, and what depends on this one request after it."""
        operation = self.execution_context
        document = operation.graphql_document
        assert document is not None
        assert operation.query is not None
        errors: list[GraphQLError] = []
        if not self.known:
            excess: GraphQLError | None = excess_of(document)
            if not excess and getattr(operation.context, "hides_schema", False) and introspects(document):
                excess = RequestError("Sign in to read the schema.", Code.UNAUTHENTICATED)
            errors = [excess] if excess else fault_in(operation.schema._schema, document)
            if not errors:
                self.known = Known(document)
                self.memory.keep(operation.schema._schema, operation.query, self.known)
        if self.known and hasattr(operation.context, "plans"):
            operation.context.plans = self.known.plans
        if not errors:
            errors = [*request_faults(document, operation._provided_operation_name, operation.variables)]
        operation.pre_execution_errors = errors  # even none: strawberry would validate once more
        yield


def request_faults(
    document: DocumentNode, operation_name: str | None, variables: dict[str, Any] | None
) -> Iterator[GraphQLError]:
    """Name what is wrong with the request around a sound document."""
    if operation_name is None and sum(isinstance(node, OperationDefinitionNode) for node in document.definitions) > 1:
        yield RequestError("The document holds several operations: send operationName to say which one to run.")
    elif fault := unstorable(variables or {}):
        yield CoercionError(f"Variables refused {fault}.", extensions={"code": "BAD_REQUEST"})


EXTENSIONS: Final[list[type[SchemaExtension] | Callable[[], SchemaExtension]]] = [CheckedDocument]
"""For `strawberry.Schema(extensions=[*EXTENSIONS, …])`: first, so that later extensions see checked documents."""
