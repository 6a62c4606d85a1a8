"""The authorisation matrix, made from the schema: what is asked for every field, and what each caller may get."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)
from graphql.pyutils import Undefined
from strawberry.schema.config import StrawberryConfig

from api.policy import ROLES, Allow, Policy
from api.queries import Query
from api.rights import FRAMES, ROOTS, Sight, sight_of
from api.subscriptions import Subscription
from api.tickets import DECLARED
from domain.people import UserRole
from tests.world import Api

NAMES = StrawberryConfig().name_converter
OVERSEERS = {UserRole.ADMIN, UserRole.ANALYST}
# Of tickets few at the root too: each has up to 50 that are related, and each of those as many.
PAGE, NESTED_PAGE = 25, 3
FRAME = "totalCount totalCountIsExact pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
PLAIN = {"Decimal": '"1"', "Int": "1", "Float": "1", "BigInt": "1", "Boolean": "false", "JSON": "{}",
         "DateTime": '"2026-01-01T00:00:00Z"'}  # fmt: skip

# --- what may be told apart by its owner: a new type with an owner is one line
OWNED = {
    "AssetTransaction": "SELECT id, ARRAY[holder_id] AS owners FROM asset_transactions",
    "Deposit": "SELECT id, ARRAY[user_id] AS owners FROM deposits",
    "Order": "SELECT id, ARRAY[user_id] AS owners FROM orders",
    "Session": "SELECT id, ARRAY[user_id] AS owners FROM user_sessions",
    "Trade": "SELECT t.id, ARRAY[b.user_id, s.user_id] AS owners FROM cash_market_trades t"
    " JOIN orders b ON b.id = t.buy_order_id JOIN orders s ON s.id = t.sell_order_id",
    "User": "SELECT id, ARRAY[id] AS owners FROM users",
}

# --- how far a root field opens to somebody whom its policy lets in; all it has when not named here
ROWS = {
    "attempt": Sight.SELF,  # not even ADMIN: it is about one's own keys
    "balancesAsOf": Sight.HOLDER,
    "deposits": Sight.SELF,
    "me": Sight.SELF,
    "order": Sight.HOLDER,
    "orders": Sight.HOLDER,
    "sessions": Sight.SELF,
    "transactions": Sight.HOLDER,
    "user": Sight.SELF,
}


# --- arguments without which a field that could do without them has no answer, or an empty one
NEEDED = {
    "balancesAsOf": '(userId: "x", at: "2026-01-01T00:00:00Z")',
    "candles": '(certificateType: CEA, bucket: DAY, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z")',
}


@dataclass(frozen=True)
class Asker:
    """Somebody at the door. role: None for nobody; is_ended: holds a token that is good no more."""

    name: str
    token: str
    user_id: str | None = None
    role: UserRole | None = None
    is_ended: bool = False

    def is_let_in(self, policy: Policy) -> bool:
        """Tell whether a policy lets him in, by its declaration."""
        if policy in ROLES:
            return self.role in ROLES[policy]
        return policy is not Policy.SIGNED_IN or self.role is not None

    def sees(self, sight: Sight, owners: set[str], linked: set[str]) -> bool:
        """Tell whether he sees a field. owners: of the object; linked: of what the field leads to."""
        match sight:
            case Sight.OPEN:
                return True
            case Sight.SELF:
                return self.role is UserRole.ADMIN or self.user_id in owners
            case Sight.HOLDER:
                return self.role in OVERSEERS or self.user_id in owners
            case Sight.OWN:
                return self.role in OVERSEERS or self.user_id in linked
            case Sight.OVERSIGHT:
                return self.role in OVERSEERS
            case Sight.ADMIN:
                return self.role is UserRole.ADMIN


async def session_of(api: Api, user_id: str, **columns: str) -> str:
    """Open a session without a password; columns: SQL by which it differs from a fresh one."""
    token = secrets.token_urlsafe(32)
    values = {"created_at": "now()", "last_seen_at": "now()", "expires_at": "now() + interval '1 hour'", **columns}
    await api.sql(
        f"INSERT INTO user_sessions (id, user_id, token_sha256, {', '.join(values)})"
        f" VALUES ($1, $2, $3, {', '.join(values.values())})",
        uuid4(),
        user_id,
        hashlib.sha256(token.encode()).digest(),
    )
    return token


# --- policies


def policies(root: Any) -> dict[str, Policy]:
    """Return the policy of each field of a root type; it stands outermost, so nothing runs before it."""
    found = {}
    for one in root.__strawberry_definition__.fields:
        allows = [extension for extension in one.extensions if isinstance(extension, Allow)]
        assert len(allows) == 1, f"{one.python_name} declares no policy"
        assert one.extensions[-1] is allows[0], f"something runs before the policy of {one.python_name}"
        found[NAMES.get_graphql_name(one)] = allows[0].policy
    return found


def all_policies() -> dict[str, dict[str, Policy]]:
    """Return the policies of all root fields, by root type."""
    return {
        "Query": policies(Query),
        "Mutation": {name: declared.policy for name, declared in DECLARED.items()},
        "Subscription": policies(Subscription),
    }


# --- documents


def literal(kind: Any) -> str:
    """Write the smallest value of an input type that coerces and names nothing that exists."""
    if isinstance(kind, GraphQLNonNull):
        return literal(kind.of_type)
    if isinstance(kind, GraphQLList):
        return f"[{literal(kind.of_type)}]"
    if isinstance(kind, GraphQLEnumType):
        return str(next(iter(kind.values)))
    if isinstance(kind, GraphQLInputObjectType):
        needed = {name: one.type for name, one in kind.fields.items() if isinstance(one.type, GraphQLNonNull)}
        return "{" + ", ".join(f"{name}: {literal(one)}" for name, one in needed.items()) + "}"
    return PLAIN.get(kind.name, '"x"')


def arguments(one: GraphQLField) -> str:
    """Write the arguments that a field cannot do without, and of a page inside others less than costs too much."""
    needed = [
        f"{name}: {literal(argument.type)}"
        for name, argument in one.args.items()
        if isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined
    ]
    if {"first", "after"} <= set(one.args):
        is_short = "last" not in one.args or get_named_type(one.type).name == "TicketConnection"
        needed.append(f"first: {NESTED_PAGE if is_short else PAGE}")
    return f"({', '.join(needed)})" if needed else ""


def called(name: str, one: GraphQLField, given: str | None = None) -> str:
    """Write a field with its arguments and nothing below it."""
    return f"{name}{NEEDED.get(name, arguments(one)) if given is None else given}"


def below(kind: Any) -> str:
    """Write a selection that any composite type takes."""
    return "" if is_leaf_type(get_named_type(kind)) else " { __typename }"


Composite = (GraphQLObjectType, GraphQLInterfaceType)


def leaves(kind: Any) -> str:
    """Select every leaf of an object."""
    return " ".join(called(name, one) for name, one in kind.fields.items() if is_leaf_type(get_named_type(one.type)))


def shallow(kind: Any) -> str:
    """Select the leaves of an object, and of what it leads to only whether it is there and which it is."""
    if not isinstance(kind, Composite):
        return "__typename"
    parts = ["__typename", leaves(kind)]
    for name, one in kind.fields.items():
        linked = get_named_type(one.type)
        if is_leaf_type(linked):
            continue
        if linked.name.endswith("Connection"):
            parts.append(f"{called(name, one)} {{ totalCount nodes {{ {_id(linked.fields['nodes'].type)} }} }}")
        elif not linked.name.endswith("Edge"):
            parts.append(f"{called(name, one)} {{ {_id(linked)} }}")
    return " ".join(parts)


def _id(kind: Any) -> str:
    named = get_named_type(kind)
    return "__typename id" if isinstance(named, Composite) and "id" in named.fields else "__typename"


def selections(kind: Any) -> Iterator[str]:
    """Yield selections of an object that together hold each of its fields, and the fields of what those lead to."""
    if kind.name.endswith("Connection"):
        node = get_named_type(kind.fields["nodes"].type)
        yield f"{FRAME} edges {{ cursor node {{ {_id(node)} }} }} nodes {{ {leaves(node)} }}"
        for one in selections(node):
            yield f"nodes {{ {one} }}"
        return
    identity = _id(kind)
    yield f"{identity} {leaves(kind)}"
    for name, one in kind.fields.items():
        linked = get_named_type(one.type)
        if is_leaf_type(linked):
            continue
        if linked.name.endswith("Connection"):
            node = get_named_type(linked.fields["nodes"].type)
            frame = f"{FRAME} edges {{ cursor node {{ {_id(node)} }} }}"
            yield f"{identity} {called(name, one)} {{ {frame} nodes {{ {shallow(node)} }} }}"
        else:
            yield f"{identity} {called(name, one)} {{ {shallow(linked)} }}"


# --- comparing


def is_empty(value: Any) -> bool:
    """Tell whether a value shows nothing."""
    if isinstance(value, Mapping) and "nodes" in value:
        return not value["nodes"] and not value.get("totalCount") and not value.get("edges")
    return value is None or value == []


@dataclass
class Comparison:
    """What one caller got beside what a caller who sees everything got; `faults` names where that is wrong."""

    schema: GraphQLSchema
    owners: Mapping[tuple[str, str], set[str]]
    filled: set[str] = field(default_factory=set)
    """Fields of which the one who sees everything has seen a value, so that denying it means something."""

    cells: int = 0
    faults: list[str] = field(default_factory=list)

    def owners_of(self, kind: str, value: Any, around: set[str]) -> set[str]:
        """Return whose an object is: by its id, by the holder it names, else whose it stands in."""
        if not isinstance(value, Mapping):
            return around
        if kind == "Balance" and value.get("holderId"):
            return {value["holderId"]}
        return self.owners.get((kind, str(value.get("id"))), around)

    def rows(self, asker: Asker, name: str, kind: Any, whole: Any, seen: Any) -> None:
        """Compare what a root field gave; who asks may see fewer rows of it."""
        sight, type_name = ROWS.get(name, Sight.OPEN), get_named_type(kind).name
        if type_name.endswith("Connection"):
            node = get_named_type(get_named_type(kind).fields["nodes"].type)
            frame = {key: value for key, value in (seen or {}).items() if key not in ("nodes", "edges")}
            self.filled |= {f"{type_name}.{key}" for key in frame}
            self._rows(asker, name, node, sight, (whole or {}).get("nodes") or [], (seen or {}).get("nodes") or [])
        else:
            of_whole, of_seen = [one if isinstance(one, list) else [one] if one else [] for one in (whole, seen)]
            self._rows(asker, name, get_named_type(kind), sight, of_whole, of_seen)

    def _rows(self, asker: Asker, name: str, kind: Any, sight: Sight, whole: list[Any], seen: list[Any]) -> None:
        by_id = {one.get("id"): one for one in whole} if all("id" in one for one in whole) else None
        for index, one in enumerate(seen):
            owners = self.owners_of(kind.name, one, set())
            if not asker.sees(sight, owners, owners) and sight is not Sight.OPEN and name != "attempt":
                self.faults.append(f"{asker.name} got a row of {name} that is not his: {one}")
            reference = by_id.get(one.get("id")) if by_id is not None else whole[index] if index < len(whole) else None
            self.compare(asker, kind, reference, one, owners, name)
        got = {one.get("id") for one in seen}
        for one in whole:
            owners = self.owners_of(kind.name, one, set())
            if by_id is not None and one.get("id") not in got and asker.sees(sight, owners, owners):
                self.faults.append(f"{asker.name} did not get {name} {one.get('id')}")

    def compare(self, asker: Asker, kind: Any, whole: Any, seen: Any, owners: set[str], path: str) -> None:
        """Compare one object; `whole` None: only what must be hidden is known."""
        if not isinstance(kind, Composite) or not isinstance(seen, Mapping):
            return
        for name, value in seen.items():
            if name == "__typename":
                continue
            place, linked = f"{path}.{name}", get_named_type(kind.fields[name].type)
            sight = sight_of(kind.name, name)
            assert sight is not None
            reference = whole.get(name) if isinstance(whole, Mapping) else None
            of_linked = self.owners_of(linked.name, reference or value, owners)
            self.cells += 1
            if not is_empty(reference):
                self.filled.add(f"{kind.name}.{name}")
            if not asker.sees(sight, owners, of_linked):
                if not is_empty(value):
                    self.faults.append(f"{asker.name} sees {place} ({kind.name}.{name}: {sight.value}): {value}")
                continue
            is_of_own_rows = "Aggregate" in kind.name  # groups are of the rows that one sees
            if is_empty(value) and not is_empty(reference) and not is_of_own_rows:
                self.faults.append(f"{asker.name} does not see {place} ({kind.name}.{name}: {sight.value})")
            self._inside(asker, linked, reference, value, of_linked, place)

    def _inside(self, asker: Asker, linked: Any, whole: Any, seen: Any, owners: set[str], place: str) -> None:
        if linked.name.endswith(FRAMES) and isinstance(seen, Mapping):
            self.filled |= {f"{linked.name}.{key}" for key in seen}
        if isinstance(seen, Mapping) and "nodes" in seen:
            linked = get_named_type(linked.fields["nodes"].type)
            whole, seen = (whole or {}).get("nodes"), seen["nodes"]
        if isinstance(seen, list):
            known = {json.dumps(one.get("id")): one for one in whole or () if isinstance(one, Mapping)}
            for index, one in enumerate(seen):
                if isinstance(one, Mapping):
                    place_of = whole[index] if whole and len(whole) == len(seen) else None
                    reference = known.get(json.dumps(one["id"])) if "id" in one else place_of
                    self.compare(asker, linked, reference, one, self.owners_of(linked.name, one, owners), place)
        else:
            self.compare(asker, linked, whole, seen, owners, place)


def reachable(schema: GraphQLSchema) -> set[str]:
    """Name the fields of all objects that a query can lead to."""
    assert schema.query_type
    waiting: list[Any] = [schema.query_type]
    entered: set[str] = set()
    found: set[str] = set()
    while waiting:
        kind = waiting.pop()
        if kind.name in entered or not isinstance(kind, Composite):
            continue
        entered.add(kind.name)
        if kind.name not in ROOTS:
            found |= {f"{kind.name}.{name}" for name in kind.fields}
        waiting += [get_named_type(one.type) for one in kind.fields.values()]
    return found
