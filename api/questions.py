"""A document's one list: where it stands, what its columns are, and the document that asks for one of its pages.

    query Sales($id: ID!) { marketMaker(id: $id) { trades { nodes { price buyer { name } } } } }

asks for `marketMaker.trades`, whose columns are `price` and `buyer.name`. A list is a connection, or a plain list of
objects, which has one page. What stands beside it says nothing about its rows and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    IntValueNode,
    NamedTypeNode,
    NameNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    parse,
    print_ast,
    visit,
)

from api.cells import Column, Kind, Row
from api.documents import fault_in, fragments_of, operation_of, plain, selected, with_defaults
from api.errors import RequestError
from api.limits import PARSE_OPTIONS, excess_of, request_faults
from api.wire import Asked

COLUMNS_MAX: Final = 200
CURSOR: Final = "after"  # the variable of a page's document
ROWS, PAGE, NEXT, END = "rows", "page", "hasNextPage", "endCursor"  # keys of its answer
MORE: Final = "hasMore"  # beside a plain list that was cut: there is more than was asked for
PAGING: Final = frozenset({"first", "after", "last", "before"})
ITEMS: Final = frozenset({"nodes", "edges"})
FRAMES: Final = frozenset({"pageInfo", "totalCount", "totalCountIsExact", "__typename"})  # say nothing about a row
KINDS: Final = {
    "Decimal": Kind.DECIMAL,
    "Int": Kind.INTEGER,
    "BigInt": Kind.INTEGER,
    "Float": Kind.FLOAT,
    "Boolean": Kind.BOOLEAN,
    "DateTime": Kind.INSTANT,
    "JSON": Kind.JSON,
}
Fields = Mapping[str, list[FieldNode]]


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer."""

    rows: Sequence[Row]
    has_next: bool
    end: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """What a document asks for. `document` is the text of its operation alone, without what it does not use."""

    name: str  # of the list: the fields that lead to it
    operation_name: str | None
    document: str
    variables: Mapping[str, Any]
    columns: Sequence[Column]
    path: tuple[str, ...]
    is_connection: bool
    says_more: bool  # whether the answer says if a plain list was cut
    counting: str  # the document that asks for totalCount
    paging: str  # the document that asks for a page after the cursor in the variable `after`
    after: str  # its name there

    def page_of(self, data: Mapping[str, Any]) -> Page:
        """Read the answer to `paging` or `document`."""
        found = self._at(data)
        if not self.is_connection:
            has_next = self.says_more and bool((self._at(data, above=1) or {}).get(MORE))
            return Page(found or [], has_next, end=None)
        if found is None:
            return Page([], has_next=False, end=None)
        return Page(found[ROWS], found[PAGE][NEXT], found[PAGE][END])

    def count_of(self, data: Mapping[str, Any]) -> int:
        """Read the answer to `counting`; there are no rows where there is no object that has them."""
        found = self._at(data)
        return 0 if found is None else int(found["totalCount"])

    def _at(self, data: Mapping[str, Any], above: int = 0) -> Any:
        found: Any = data
        for key in self.path[: len(self.path) - above]:
            if found is None:
                return None
            found = found[key]
        return found


def question_of(schema: GraphQLSchema, asked: Asked, page_size: int, *, is_whole: bool = True) -> Question:
    """Read a document and its variables, for all pages of its list or for the one it asks for.

    Raises: GraphQLError (whatever /graphql would refuse before it runs; BAD_REQUEST: it does not ask for one list, or
    wants all pages from another than the first).
    """
    document = parse(asked.query, **PARSE_OPTIONS)
    faults = [fault] if (fault := excess_of(document)) else fault_in(schema, document)
    faults = faults or list(request_faults(document, asked.operation_name, asked.variables))
    if faults:
        raise faults[0]
    operation = operation_of(document, asked.operation_name)
    if operation is None:
        raise RequestError("The document holds no such operation.")
    if operation.operation is not OperationType.QUERY:
        raise RequestError("An export is of a query: this is none.")
    return _Reading(schema, document, operation, asked.variables or {}, page_size, is_whole).question()


class _Reading:
    """One document while it is read."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        page_size: int,
        is_whole: bool,
    ) -> None:
        self.schema = schema
        self.operation = operation
        self.fragments = fragments_of(document)
        self.given = with_defaults(operation, variables)
        self.variables = variables
        self.page_size = page_size
        self.is_whole = is_whole

    def question(self) -> Question:
        """Walk to the list, and word the documents that ask for it."""
        way, kind, above = self._way()
        says_more = MORE in above.fields
        last = way[-1][0]
        is_connection = isinstance(kind, GraphQLObjectType)
        after = _free(CURSOR, {node.variable.name.value for node in self.operation.variable_definitions or ()})
        if isinstance(kind, GraphQLObjectType):
            items = self._items(way[-1])
            of_items = _item_type(kind.fields[items[0].name.value])
            columns = list(self._columns(self._grouped(items), of_items, (), items[0].name.value == "edges"))
            rows = _field(items[0].name.value, _merged(items), alias=ROWS)
            page = _field("pageInfo", SelectionSetNode(selections=(_field(NEXT), _field(END))), alias=PAGE)
            as_asked = SelectionSetNode(selections=(rows, page))
            page_size = self._page_size(last)
            forward = [one for one in last.arguments or () if one.name.value not in PAGING]
            of_page = [*forward, _argument("first", IntValueNode(value=str(page_size))),
                       _argument("after", _variable(after))]  # fmt: skip
            paging = self._worded(way, of_page, as_asked, after)
            counting = self._worded(way, forward, SelectionSetNode(selections=(_field("totalCount"),)))
        else:
            columns = list(self._columns(self._grouped(way[-1]), _object(kind), (), is_edge=False))
            as_asked, counting, paging = _merged(way[-1]), "", ""
        self._require_columns(columns)
        return Question(
            name=".".join(nodes[0].name.value for nodes in way),
            operation_name=self.operation.name.value if self.operation.name else None,
            document=self._worded(way, last.arguments or (), as_asked, beside=(_field(MORE),) if says_more else ()),
            variables=self.variables,
            columns=columns,
            path=tuple(_key(nodes[0]) for nodes in way),
            is_connection=is_connection,
            says_more=says_more,
            counting=counting,
            paging=paging,
            after=after,
        )

    # ----------------------------------------------------------------------------------------------- reading a document

    def _way(self) -> tuple[list[list[FieldNode]], GraphQLOutputType, GraphQLObjectType]:
        """Return the fields that lead to the list, its type, that of a connection or a list, and what it stands in.

        Raises: RequestError.
        """
        way: list[list[FieldNode]] = []
        kind: Any = self.schema.query_type
        sets = [self.operation.selection_set]
        while True:
            fields = {
                key: nodes
                for key, nodes in self._by_key(sets).items()
                if nodes[0].name.value not in ("__typename", MORE)
            }
            if len(fields) != 1:
                raise RequestError(
                    f"A file has the rows of one list, and this asks for {', '.join(fields) or 'none'}"
                    f"{' in ' + way[-1][0].name.value if way else ''}. Ask for one of them at a time."
                )
            (nodes,) = fields.values()
            way.append(nodes)
            field = kind.fields.get(nodes[0].name.value)
            found = get_nullable_type(field.type) if field else None
            if isinstance(found, GraphQLList) and isinstance(get_named_type(found), GraphQLObjectType):
                return way, found, kind
            if not isinstance(found, GraphQLObjectType):
                raise RequestError(f"{nodes[0].name.value} is no list: a file has the rows of one.")
            if _is_connection(found):
                return way, found, kind
            kind, sets = found, [node.selection_set for node in nodes if node.selection_set]

    def _items(self, nodes: list[FieldNode]) -> list[FieldNode]:
        """Return what asks for the items of a connection.

        Raises: RequestError.
        """
        fields = self._grouped(nodes)
        asked = [found for found in fields.values() if found[0].name.value in ITEMS]
        beside = [key for key, found in fields.items() if found[0].name.value not in ITEMS | FRAMES]
        if len(asked) != 1 or beside:
            raise RequestError(
                f"Ask for nodes or for edges of {nodes[0].name.value}, once, and for nothing else than pageInfo and "
                "totalCount beside them."
            )
        return asked[0]

    def _page_size(self, node: FieldNode) -> int:
        """Return how many rows a page has: what the document says, so that it says what a page costs, or the most.

        Raises: RequestError (all pages are wanted, from another than the first: X-Row-Count counts them all).
        """
        given = {argument.name.value: plain(argument.value, self.given) for argument in node.arguments or ()}
        if self.is_whole and any(given.get(name) is not None for name in ("after", "last", "before")):
            raise RequestError(
                "All pages are read, from the first: leave after, last and before away, or ask for one page."
            )
        first = given.get("first")
        return first if type(first) is int and 0 < first < self.page_size else self.page_size

    def _columns(
        self, fields: Fields, kind: GraphQLObjectType, path: tuple[str, ...], is_edge: bool
    ) -> Iterator[Column]:
        """Yield the columns of an object, those of objects in it under their names.

        Raises: RequestError (a list that has pages of its own).
        """
        for key, nodes in fields.items():
            name, here = nodes[0].name.value, (*path, key)
            heading = ".".join(step for step in here[1 if is_edge and len(here) > 1 else 0 :])
            field = kind.fields.get(name)
            if field is None:  # __typename
                yield Column(heading, here, Kind.TEXT)
                continue
            found, of = get_nullable_type(field.type), get_named_type(field.type)
            if isinstance(of, GraphQLObjectType) and _is_connection(of):
                raise RequestError(
                    f"{heading} is a list with pages of its own: a file has the rows of one list. Ask for "
                    f"{heading} from the top, or leave it away."
                )
            if isinstance(found, GraphQLList):
                is_plain = not isinstance(of, GraphQLObjectType)
                yield Column(heading, here, Kind.LIST if is_plain and of.name not in KINDS else Kind.JSON)
            elif isinstance(found, GraphQLObjectType):
                yield from self._columns(self._grouped(nodes), found, here, is_edge)
            else:
                yield Column(heading, here, KINDS.get(of.name, Kind.TEXT))

    def _require_columns(self, columns: Sequence[Column]) -> None:
        names = [column.name for column in columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise RequestError(f"Two columns would be named {', '.join(twice)}: give one an alias.")
        if len(names) > COLUMNS_MAX:
            raise RequestError(f"A file has at most {COLUMNS_MAX} columns; this asks for {len(names)}.")

    def _grouped(self, nodes: Sequence[FieldNode]) -> Fields:
        return self._by_key([node.selection_set for node in nodes if node.selection_set])

    def _by_key(self, sets: Sequence[SelectionSetNode]) -> Fields:
        fields: dict[str, list[FieldNode]] = {}
        for one in sets:
            for node in selected(one, self.fragments, self.given):
                fields.setdefault(_key(node), []).append(node)
        return fields

    # ----------------------------------------------------------------------------------------------- wording a document

    def _worded(
        self,
        way: Sequence[Sequence[FieldNode]],
        arguments: Sequence[ArgumentNode],
        asked: SelectionSetNode,
        cursor: str | None = None,
        beside: tuple[FieldNode, ...] = (),
    ) -> str:
        """Word the operation that asks for nothing but the list, with what it uses of variables and fragments."""
        for depth, nodes in reversed(list(enumerate(way))):
            own = arguments if depth == len(way) - 1 else nodes[0].arguments or ()
            field = FieldNode(
                alias=nodes[0].alias,
                name=nodes[0].name,
                arguments=tuple(own),
                directives=(),
                selection_set=asked,
            )
            asked = SelectionSetNode(selections=(field, *(beside if depth == len(way) - 1 else ())))
        fragments = self._fragments_in(asked)
        used = {name for node in (asked, *fragments) for name in _names_in(node, VariableNode)}
        definitions = [node for node in self.operation.variable_definitions or () if node.variable.name.value in used]
        if cursor:
            kind = NamedTypeNode(name=NameNode(value="String"))
            definitions.append(VariableDefinitionNode(variable=_variable(cursor), type=kind, directives=()))
        operation = OperationDefinitionNode(
            operation=OperationType.QUERY,
            name=self.operation.name,
            variable_definitions=tuple(definitions),
            directives=(),
            selection_set=asked,
        )
        return print_ast(DocumentNode(definitions=(operation, *fragments)))

    def _fragments_in(self, node: Node) -> list[FragmentDefinitionNode]:
        found: dict[str, FragmentDefinitionNode] = {}
        waiting: list[Node] = [node]
        while waiting:
            for name in _names_in(waiting.pop(), FragmentSpreadNode):
                if name not in found:
                    found[name] = self.fragments[name]
                    waiting.append(self.fragments[name])
        return list(found.values())


def _is_connection(kind: GraphQLObjectType) -> bool:
    return all(name in kind.fields for name in ("nodes", "pageInfo", "totalCount"))


def _item_type(field: GraphQLField) -> GraphQLObjectType:
    return _object(field.type)


def _object(kind: GraphQLOutputType) -> GraphQLObjectType:
    named = get_named_type(kind)
    assert isinstance(named, GraphQLObjectType)
    return named


def _key(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _merged(nodes: Sequence[FieldNode]) -> SelectionSetNode:
    """Return everything that is asked for of one field, wherever it is asked for."""
    return SelectionSetNode(
        selections=tuple(one for node in nodes if node.selection_set for one in node.selection_set.selections)
    )


def _field(name: str, asked: SelectionSetNode | None = None, alias: str | None = None) -> FieldNode:
    return FieldNode(
        name=NameNode(value=name),
        alias=NameNode(value=alias) if alias else None,
        arguments=(),
        directives=(),
        selection_set=asked,
    )


def _argument(name: str, value: IntValueNode | VariableNode) -> ArgumentNode:
    return ArgumentNode(name=NameNode(value=name), value=value)


def _variable(name: str) -> VariableNode:
    return VariableNode(name=NameNode(value=name))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _names_in(node: Node, kind: type[VariableNode] | type[FragmentSpreadNode]) -> list[str]:
    """List the variables or the spreads below a node."""
    names: list[str] = []

    class Names(Visitor):
        def enter(self, found: Node, *_: Any) -> None:
            if isinstance(found, kind):
                names.append(found.name.value)

    visit(node, Names())
    return names
