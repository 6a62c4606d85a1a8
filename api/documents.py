"""Read a GraphQL document: is it sound, and which root fields does an operation ask for.

Validation runs in two steps, structure before coercion. A document that fails the second step names only
what exists and is wrong in its arguments alone: for a mutation that is an attempt, and an attempt leaves a
ticket (`api.errors.uncoerced` tells). Errors of the two kinds are therefore never mixed in one answer.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    ASTValidationRule,
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ProvidedRequiredArgumentsRule,
    SelectionSetNode,
    StringValueNode,
    ValidationRule,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VariableNode,
    VariablesInAllowedPositionRule,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from api.errors import ERRORS_MAX, CoercionError
from api.scalars import UNSTORABLE, text_fault

EXACT_DIGITS_MAX: Final = 18  # any integer of so many digits fits 64 bits


class StorableTextRule(ValidationRule):
    """Refuse literals that hold characters no database column can hold."""

    def enter_string_value(self, node: StringValueNode, *_args: Any) -> None:
        if UNSTORABLE.search(node.value):
            self.report_error(GraphQLError(f"Argument refused: {text_fault(node.value)}.", node))


COERCION_RULES: Final[tuple[type[ASTValidationRule], ...]] = (
    ValuesOfCorrectTypeRule,
    ProvidedRequiredArgumentsRule,
    VariablesInAllowedPositionRule,
    MaybeNullValidationRule,
    OneOfInputValidationRule,
    StorableTextRule,
)
STRUCTURE_RULES: Final[tuple[type[ASTValidationRule], ...]] = tuple(
    rule for rule in specified_rules if rule not in COERCION_RULES
)
# Three of ours come from graphql-core; an update that drops or renames one must be seen.
assert len(STRUCTURE_RULES) == len(specified_rules) - 3


def fault_in(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
    """List what is wrong with a document: its structure, or else its arguments (each a CoercionError)."""
    errors = validate(schema, document, STRUCTURE_RULES, max_errors=ERRORS_MAX)
    if errors:
        return errors
    return [CoercionError.of(error) for error in validate(schema, document, COERCION_RULES, max_errors=ERRORS_MAX)]


def operation_of(document: DocumentNode, operation_name: str | None) -> OperationDefinitionNode | None:
    """Find the operation that is meant: the named one, or the only one."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if operation_name is None:
        return operations[0] if len(operations) == 1 else None
    return next((node for node in operations if node.name and node.name.value == operation_name), None)


@dataclass(frozen=True, slots=True)
class RootField:
    """One root field that an operation executes."""

    alias: str
    """Its key in the answer."""

    name: str
    node: FieldNode

    variables: Mapping[str, Any]
    """As sent, with the operation's defaults: nothing is coerced."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Read the arguments as plain JSON values, variables put in, nothing coerced or redacted."""
        return {argument.name.value: plain(argument.value, self.variables) for argument in self.node.arguments or ()}


def root_fields(
    document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any] | None
) -> list[RootField]:
    """List the root fields an operation executes, in its order.

    Fragments are followed, @skip and @include honoured, and a response key that is repeated executes once.
    Works on any document that parses, valid or not; an unknown operation has no fields.
    """
    operation = operation_of(document, operation_name)
    if operation is None:
        return []
    given = with_defaults(operation, variables or {})
    fields: dict[str, RootField] = {}
    for node in selected(operation.selection_set, fragments_of(document), given):
        alias = node.alias.value if node.alias else node.name.value
        if alias not in fields:
            fields[alias] = RootField(alias, node.name.value, node, given)
    return list(fields.values())


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def with_defaults(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        node.variable.name.value: plain(node.default_value, {})
        for node in operation.variable_definitions or ()
        if node.default_value is not None
    }
    return {**defaults, **variables}


def selected(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
) -> Iterator[FieldNode]:
    """Walk the fields of one level in the order of execution; each fragment is entered once."""
    entered: set[str] = set()
    walks = [iter(selection_set.selections)]
    while walks:
        node = next(walks[-1], None)
        if node is None:
            walks.pop()
        elif excluded(node.directives, variables):
            continue
        elif isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            walks.append(iter(node.selection_set.selections))
        elif isinstance(node, FragmentSpreadNode):
            fragment = fragments.get(node.name.value)
            if fragment and node.name.value not in entered:
                entered.add(node.name.value)
                walks.append(iter(fragment.selection_set.selections))


def excluded(directives: tuple[DirectiveNode, ...] | None, variables: Mapping[str, Any]) -> bool:
    """Tell whether @skip or @include leaves a selection out."""
    for directive in directives or ():
        unwanted = {"skip": True, "include": False}.get(directive.name.value)
        if unwanted is None:
            continue
        for argument in directive.arguments or ():
            if argument.name.value == "if" and plain(argument.value, variables) is unwanted:
                return True
    return False


def plain(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    """Read a literal as a plain JSON value with variables put in; one that was not sent is null.

    A number that JSON cannot carry exactly stays the text it was written as.
    """
    match node:
        case VariableNode():
            return variables.get(node.name.value)
        case NullValueNode():
            return None
        case IntValueNode():
            return int(node.value) if len(node.value) <= EXACT_DIGITS_MAX else node.value
        case FloatValueNode():
            number = float(node.value)
            return number if math.isfinite(number) else node.value
        case ListValueNode():
            return [plain(item, variables) for item in node.values]
        case ObjectValueNode():
            return {field.name.value: plain(field.value, variables) for field in node.fields}
        case StringValueNode() | BooleanValueNode() | EnumValueNode():
            return node.value
        case _:
            raise AssertionError(f"unknown kind of literal: {node.kind}")
