"""Questions drawn at random from the schema: selections, fragments, aliases, directives, arguments right and wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

DEPTH_MAX: Final = 6
LISTS: Final = ("tickets", "orders", "trades", "marketMakers", "users", "deposits")
SINGLES: Final = ("me", "order", "user", "marketMaker", "ticket", "certificates", "settings")
# What differs from one look to the next, or from one snapshot to the next.
CHANGING: Final = frozenset({"sealedAt", "lastSeenAt"})
# How often an argument is left out: most cursors are those of another list, and two ends of a list are one too many.
RARE: Final = {"after": 0.85, "before": 0.95, "last": 0.9, "filter": 0.6}
COSTLY: Final = frozenset({"relatedTickets"})  # a statement for each row


@dataclass(frozen=True)
class Question:
    """A document with its variables."""

    text: str
    variables: dict[str, Any]


@dataclass
class Drawer:
    """Draws questions. values: what an argument or an input field of a name may be given, right and wrong."""

    schema: GraphQLSchema
    dice: random.Random
    values: dict[str, Callable[[], Any]]
    fragments: list[str] = field(default_factory=list)
    variables: dict[str, tuple[str, Any]] = field(default_factory=dict)
    names: int = 0

    def question(self) -> Question:
        """Draw one document with one to three root fields."""
        self.fragments, self.variables, self.names = [], {}, 0
        query = self.schema.query_type
        assert query is not None
        roots = self.dice.choices(LISTS, k=self.dice.choice((1, 1, 1, 2)))
        if self.dice.random() < 0.25:
            roots.append(self.dice.choice(SINGLES))
        body = " ".join(self.one(query, name, 0, is_renamed=True) for name in roots)
        if self.dice.random() < 0.1:
            body += " __typename"
        given = ", ".join(f"${name}: {kind}" for name, (kind, _) in self.variables.items())
        head = f"query Q({given})" if given else "query Q"
        values = {name: value for name, (_, value) in self.variables.items() if value is not ...}
        return Question(f"{head} {{ {body} }} {' '.join(self.fragments)}", values)

    def fresh(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def one(self, kind: GraphQLObjectType, name: str, depth: int, *, is_renamed: bool) -> str:
        """Write one field with its arguments and its selection."""
        found = kind.fields[name]
        inner = get_named_type(found.type)
        text = f"{self.fresh('a')}: {name}" if is_renamed or found.args else name
        text += self.arguments(found) + self.directive()
        return text if is_leaf_type(inner) else f"{text} {self.selection(inner, depth + 1)}"

    def selection(self, kind: Any, depth: int) -> str:
        """Write a selection, parts of it in fragments."""
        if not isinstance(kind, GraphQLObjectType):
            return "{ __typename }"
        parts = [self.part(kind, depth) for _ in range(self.dice.randint(1, 5))]
        if kind.name.endswith("Connection"):
            parts.append(self.one(kind, self.dice.choice(("nodes", "nodes", "edges")), depth, is_renamed=False))
        return "{ " + " ".join(parts) + " }"

    def part(self, kind: GraphQLObjectType, depth: int) -> str:
        chance = self.dice.random()
        if chance < 0.08:
            return "__typename"
        if chance < 0.16 and depth < DEPTH_MAX:
            condition = self.dice.choice((f" on {kind.name}", ""))
            return f"...{condition}{self.directive()} {self.selection(kind, depth + 1)}"
        if chance < 0.24 and depth < DEPTH_MAX:
            name = self.fresh("F")
            body = self.selection(kind, depth + 1)
            self.fragments.append(f"fragment {name} on {kind.name} {body}")
            return f"...{name}{self.directive()}"
        fields = {
            name: found
            for name, found in kind.fields.items()
            if name not in CHANGING and (name not in COSTLY or depth < 3)
        }
        if depth >= DEPTH_MAX:
            fields = {name: found for name, found in fields.items() if is_leaf_type(get_named_type(found.type))}
        if not fields:
            return "__typename"
        leaves = [name for name, found in fields.items() if is_leaf_type(get_named_type(found.type))]
        name = self.dice.choice(leaves if leaves and self.dice.random() < 0.7 else list(fields))
        is_object = not is_leaf_type(get_named_type(fields[name].type))
        # The same response key twice merges; under another name it is another field.
        return self.one(
            kind,
            name,
            depth,
            is_renamed=self.dice.random() < 0.15 or (is_object and depth > 1 and self.dice.random() < 0.3),
        )

    def directive(self) -> str:
        chance = self.dice.random()
        if chance > 0.1:
            return ""
        name = "skip" if chance < 0.05 else "include"
        if self.dice.random() < 0.5:
            return f" @{name}(if: {self.dice.choice(('true', 'false'))})"
        variable = self.fresh("v")
        self.variables[variable] = ("Boolean!", self.dice.random() < 0.5)
        return f" @{name}(if: ${variable})"

    # --- arguments

    def arguments(self, found: GraphQLField) -> str:
        given = []
        for name, argument in found.args.items():
            if not is_non_null_type(argument.type) and self.dice.random() < RARE.get(name, 0.55):
                continue
            value = self.value(argument.type, name)
            if value is ...:
                continue
            if self.dice.random() < 0.4:
                variable = self.fresh("v")
                is_absent = not is_non_null_type(argument.type) and self.dice.random() < 0.1
                self.variables[variable] = (str(argument.type), ... if is_absent else value)
                given.append(f"{name}: ${variable}")
            else:
                given.append(f"{name}: {self.literal(value, argument.type)}")
        return f"({', '.join(given)})" if given else ""

    def value(self, kind: Any, name: str, depth: int = 0) -> Any:
        """Draw a value as JSON; ... for none."""
        if is_non_null_type(kind):
            return self.value(kind.of_type, name, depth)
        if self.dice.random() < 0.03 and depth == 0:
            return None
        if is_list_type(kind):
            drawn = [self.value(kind.of_type, name, depth + 1) for _ in range(self.dice.randint(1, 2))]
            return [one for one in drawn if one is not ... and one is not None]
        named = get_named_type(kind)
        if isinstance(named, GraphQLEnumType):
            return self.dice.choice(list(named.values))
        if isinstance(named, GraphQLInputObjectType):
            if depth > 1:
                return ...
            names = self.dice.sample(list(named.fields), min(len(named.fields), self.dice.randint(1, 2)))
            drawn_fields = {one: self.value(named.fields[one].type, one, depth + 1) for one in names}
            return {one: value for one, value in drawn_fields.items() if value is not ...}
        if name in self.values:
            return self.values[name]()
        return self.dice.random() < 0.5 if named.name == "Boolean" else ...

    def literal(self, value: Any, kind: Any) -> str:
        """Write a value as GraphQL does."""
        if is_non_null_type(kind):
            return self.literal(value, kind.of_type)
        if value is None:
            return "null"
        if isinstance(value, list):
            return "[" + ", ".join(self.literal(one, kind.of_type) for one in value) + "]"
        named = get_named_type(kind)
        if isinstance(named, GraphQLInputObjectType):
            return "{ " + ", ".join(f"{n}: {self.literal(v, named.fields[n].type)}" for n, v in value.items()) + " }"
        if isinstance(value, bool):
            return "true" if value else "false"
        return f'"{value}"' if isinstance(value, str) and not isinstance(named, GraphQLEnumType) else str(value)
