"""What one document may cost, and what is read from it before and after it runs."""

import time
from typing import Any

import pytest
from graphql import get_introspection_query, parse

from api import limits
from api.documents import root_fields
from api.errors import Code, presented, uncoerced
from api.limits import (
    ALIASES_MAX,
    CHARACTERS_REMEMBERED_MAX,
    DEPTH_MAX,
    DOCUMENT_CHARACTERS_MAX,
    DOCUMENTS_REMEMBERED_MAX,
    MERGES_MAX,
    REMEMBERED,
    REPEATS_MAX,
    ROOT_FIELDS_MAX,
    TOKENS_MAX,
    Known,
    Remembered,
    excess_of,
)
from tests.api.echo_app import Context, build_schema

SCHEMA = build_schema()


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", {True: Remembered(), False: Remembered()})


async def run(query: str, variables: dict[str, Any] | None = None, name: str | None = None) -> Any:
    return await SCHEMA.execute(query, variables, context_value=Context(None), operation_name=name)


async def refusal_of(query: str) -> dict[str, Any]:
    result = await run(query)
    assert result.data is None
    assert not uncoerced(result.errors)
    worded = presented(result.errors)
    assert len(worded) == 1
    return worded[0]


def deep(levels: int) -> str:
    return "{ node" + " { child" * (levels - 2) + " { name }" + " }" * (levels - 1)


def deep_by_fragments(levels: int) -> str:
    fragments = [f"fragment F{number} on Node {{ child {{ ...F{number + 1} }} }}" for number in range(levels - 2)]
    return "{ node { ...F0 } }" + " ".join(fragments) + f" fragment F{levels - 2} on Node {{ name }}"


def doubling(levels: int) -> str:
    """Build a bomb: 2 ** levels fields in a few hundred bytes."""
    fragments = [f"fragment F{number} on Node{{...F{number + 1} ...F{number + 1}}}" for number in range(levels)]
    return "{node{...F0}}" + "".join(fragments) + f"fragment F{levels} on Node{{a:name}}"


LOGIN = 'login(email: "a")'

WITHIN = {
    "depth": deep(DEPTH_MAX),
    "depth by fragments": deep_by_fragments(DEPTH_MAX),
    "aliases": "{" + " ".join(f"a{number}: __typename" for number in range(ROOT_FIELDS_MAX)) + "}",
    "root fields": "{ __typename " + " ".join(f"a{number}: __typename" for number in range(ROOT_FIELDS_MAX - 1)) + "}",
    "repeats": "{" + "__typename " * REPEATS_MAX + "}",
    "repeats that merge": "{" + "node { name } " * REPEATS_MAX + "}",
    "a key in many places": "{"
    + " ".join(f"a{number}: node {{ id name child {{ id name }} children {{ id name }} }}" for number in range(20))
    + "}",
    "introspection": get_introspection_query(input_value_deprecation=False),
    "one login per operation": f"mutation A {{ {LOGIN} }} mutation B {{ {LOGIN} }}",
    "one login by its key": f"mutation {{ {LOGIN} {LOGIN} }}",
}


@pytest.mark.parametrize("name", WITHIN)
async def test_a_document_within_the_limits_runs(name: str) -> None:
    result = await run(WITHIN[name], name="A" if "mutation A" in WITHIN[name] else None)
    assert result.errors is None


BEYOND = {
    "depth": (deep(DEPTH_MAX + 1), DEPTH_MAX, DEPTH_MAX + 1),
    "depth by inline fragments": (
        "{ node" + " { ... { child" * (DEPTH_MAX - 1) + " { name }" + " } }" * (DEPTH_MAX - 1) + " }",
        DEPTH_MAX,
        DEPTH_MAX + 1,
    ),
    "depth by fragments": (deep_by_fragments(DEPTH_MAX + 1), DEPTH_MAX, DEPTH_MAX + 1),
    "depth beside introspection": ("{ __schema { description } " + deep(DEPTH_MAX + 1)[1:], DEPTH_MAX, DEPTH_MAX + 1),
    "aliases": (
        "{node{" + " ".join(f"a{n}: name" for n in range(ALIASES_MAX + 1)) + "}}",
        ALIASES_MAX,
        ALIASES_MAX + 1,
    ),
    "aliases by fragments": (
        "fragment F on Node { a: name b: name }{" + " ".join(f"n{n}: node {{ ...F }}" for n in range(14)) + "}",
        ALIASES_MAX,
        42,
    ),
    "aliases doubled": (doubling(40), ALIASES_MAX, limits.FIGURE_SHOWN_MAX),
    "root fields": (
        "{" + " ".join(f"a{n}: __typename" for n in range(ROOT_FIELDS_MAX + 1)) + "}",
        ROOT_FIELDS_MAX,
        ROOT_FIELDS_MAX + 1,
    ),
    "root fields in a fragment": (
        "{...F} fragment F on Query {" + " ".join(f"a{n}: __typename" for n in range(ROOT_FIELDS_MAX + 1)) + "}",
        ROOT_FIELDS_MAX,
        ROOT_FIELDS_MAX + 1,
    ),
    "repeats": ("{" + "__typename " * (REPEATS_MAX + 1) + "}", REPEATS_MAX, REPEATS_MAX + 1),
    "repeats in children": ("{" + "node { name name } " * 31 + "}", REPEATS_MAX, 62),
    "repeats by fragments": (
        "{"
        + " ".join(f"...F{n}" for n in range(61))
        + "}"
        + "".join(f"fragment F{n} on Query {{ __typename }}" for n in range(61)),
        REPEATS_MAX,
        61,
    ),
    "merges": ("{" + "node { child { child { id name } } } " * 60 + "}", MERGES_MAX, 12_450),
    "logins": (f"mutation {{ a: {LOGIN} b: {LOGIN} }}", 1, 2),
    "logins in a fragment": (f"mutation {{ ...F {LOGIN} }} fragment F on Mutation {{ b: {LOGIN} }}", 1, 2),
}


@pytest.mark.parametrize("name", BEYOND)
async def test_a_document_beyond_a_limit_is_refused_with_figure_and_limit(name: str) -> None:
    query, limit, found = BEYOND[name]
    error = await refusal_of(query)
    assert error["extensions"]["code"] == Code.TOO_COMPLEX
    assert error["extensions"]["limit"] == limit
    assert error["extensions"]["found"] == found
    assert f"{limit:,}" in error["message"]


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{" + "__typename " * TOKENS_MAX + "}", TOKENS_MAX),
        ("#\n" * 1001 + "{ __typename }", 1000),
        ('{ echo(text: "' + "x" * DOCUMENT_CHARACTERS_MAX + '") }', DOCUMENT_CHARACTERS_MAX),
    ],
    ids=["tokens", "comments", "characters"],
)
async def test_a_text_beyond_a_limit_is_refused_while_it_is_read(query: str, limit: int) -> None:
    error = await refusal_of(query)
    assert error["extensions"]["code"] == Code.TOO_COMPLEX
    assert str(limit) in error["message"]


@pytest.mark.parametrize(
    "query",
    [
        doubling(20),
        doubling(200),
        deep_by_fragments(300),
        "{" + "node { child { child { child { name } } } } " * 200 + "}",
        "{" + ("node {" + " ".join(f"k{n} {{ id }}" for n in range(14)) + "} ") * 60 + "}",
        "{...F}" + " ".join(f"fragment F{n} on Query {{ ...F{n} }}" for n in range(400)),
        "{...F0}" + " ".join(f"fragment F{n} on Query {{ ...F{(n + 1) % 300} x }}" for n in range(300)),
        "{" + "...F " * 1300 + "} fragment F on Query { __typename }",
        "{" + "a { ...F } " * 300 + "} fragment F on Query {" + " ".join(f"k{n}" for n in range(1800)) + "}",
    ],
    ids=range(9),
)
async def test_no_document_takes_long_to_refuse(query: str) -> None:
    document = parse(query)
    started = time.perf_counter()
    excess_of(document)
    assert time.perf_counter() - started < 0.1  # 50 ms is the bar; a busy machine gets twice that


async def test_the_bomb_is_refused_within_50_ms() -> None:
    query = doubling(18)
    assert len(query) < 731
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        error = await refusal_of(query)
        best = min(best, time.perf_counter() - started)
    assert error["extensions"]["code"] == Code.TOO_COMPLEX
    assert best < 0.05


async def test_cycles_of_fragments_are_refused_by_validation() -> None:
    error = await refusal_of("{ node { ...A } } fragment A on Node { ...B } fragment B on Node { name ...A }")
    assert "itself" in error["message"]


# --- documents that passed


async def test_a_document_that_passed_is_remembered_and_one_that_failed_is_not() -> None:
    memory = limits.REMEMBERED[False]
    for _ in range(3):
        assert (await run("{ __typename }")).data == {"__typename": "Query"}
        assert (await run("{ nothing }")).errors
    assert (memory.hits, memory.misses, len(memory.documents)) == (2, 4, 1)


async def test_strangers_cannot_push_out_what_people_use() -> None:
    query = "{ __typename }"
    await SCHEMA.execute(query, context_value=Context("alice"))
    for number in range(20):
        await run(f"{{ a{number}: __typename }}")
    await SCHEMA.execute(query, context_value=Context("alice"))
    assert limits.REMEMBERED[True].hits == 1
    assert len(limits.REMEMBERED[True].documents) == 1


def test_the_memory_is_bounded_in_number_and_in_text() -> None:
    memory = Remembered()
    document = Known(parse("{ a }"))
    for number in range(DOCUMENTS_REMEMBERED_MAX + 10):
        memory.keep(SCHEMA._schema, str(number), document)
    assert len(memory.documents) == DOCUMENTS_REMEMBERED_MAX
    assert memory.find(SCHEMA._schema, "9") is None
    assert memory.find(SCHEMA._schema, "10") is document
    for number in range(100):
        memory.keep(SCHEMA._schema, f"{number:>10000}", document)
    assert memory.characters <= CHARACTERS_REMEMBERED_MAX
    assert memory.characters == sum(len(text) for _, text in memory.documents)
    memory.keep(SCHEMA._schema, "x" * CHARACTERS_REMEMBERED_MAX, document)
    assert all(len(text) <= 10_000 for _, text in memory.documents)


async def test_what_depends_on_the_request_is_checked_for_remembered_documents_too() -> None:
    query = "query A ($t: String!) { echo(text: $t) } query B { __typename }"
    assert (await run(query, {"t": "a"}, "A")).data == {"echo": "a"}
    assert (await run(query, {"t": "a"})).errors
    assert (await run(query, {"t": "a\x00"}, "A")).errors
    assert limits.REMEMBERED[False].hits == 2


def test_the_memory_of_the_process_serves_both_kinds_of_callers() -> None:
    assert REMEMBERED[True] is not REMEMBERED[False]


# --- what counts as an attempt


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("mutation { rename(name: 1) }", None, True),
        ("mutation { rename }", None, True),
        ('mutation { rename(name: "a", price: 1.5) }', None, True),
        ('mutation { rename(name: "a\\u0000") }', None, True),
        ("mutation ($n: Int!) { rename(name: $n) }", {"n": 1}, True),
        ("mutation ($n: String!) { rename(name: $n) }", {}, True),
        ("mutation ($n: String!) { rename(name: $n) }", {"n": None}, True),
        ("mutation ($n: String!) { rename(name: $n) }", {"n": {"a": 1}}, True),
        ("mutation ($n: String!) { rename(name: $n) }", {"n": "\ud800"}, True),
        ('mutation ($p: Decimal) { rename(name: "a", price: $p) }', {"p": "NaN"}, True),
        ('mutation { rename(name: "a") }', None, False),
        ("mutation { rename(name: 1) nothing }", None, False),
        ("mutation { rename(name: 1, colour: 2) }", None, False),
        ("mutation { rename(name: $n) }", {"n": "a"}, False),
        ("mutation { rename(name: 1)", None, False),
        ("mutation A { rename(name: 1) } mutation A { rename(name: 1) }", None, False),
        ("mutation {" + "rename(name: 1) " * 61 + "}", None, False),
        ("{ fault }", None, False),
    ],
)
async def test_only_arguments_that_do_not_coerce_are_an_attempt(
    query: str, variables: dict[str, Any] | None, expected: bool
) -> None:
    result = await run(query, variables)
    assert uncoerced(result.errors) is expected


# --- root fields


def fields(query: str, variables: dict[str, Any] | None = None, name: str | None = None) -> list[tuple[str, str, Any]]:
    return [(field.alias, field.name, field.arguments) for field in root_fields(parse(query), name, variables)]


def test_root_fields_come_in_order_with_plain_arguments() -> None:
    query = """mutation ($n: String, $d: String = "D", $i: In) {
      b: rename(name: $n) a: rename(name: "x", tags: ["t", $d], on: true, kind: LIMIT, none: null, count: 3,
        in: {n: $i})
      rename(name: $missing)
    }"""
    assert fields(query, {"n": "N\x00", "i": {"deep": [1]}}) == [
        ("b", "rename", {"name": "N\x00"}),
        (
            "a",
            "rename",
            {
                "name": "x",
                "tags": ["t", "D"],
                "on": True,
                "kind": "LIMIT",
                "none": None,
                "count": 3,
                "in": {"n": {"deep": [1]}},
            },
        ),
        ("rename", "rename", {"name": None}),
    ]


def test_root_fields_follow_fragments_and_directives_and_merge_keys() -> None:
    query = """mutation ($yes: Boolean!, $no: Boolean = false) {
      ...F ...F ... on Mutation { c: third ... @include(if: $no) { hidden } }
      first second @skip(if: $yes) second @include(if: $no) fourth @skip(if: $no) @include(if: $yes)
      fifth @skip(if: true) ...Missing ...G @skip(if: $yes)
    }
    fragment F on Mutation { first ...F ...H } fragment G on Mutation { hidden } fragment H on Mutation { h }"""
    assert [alias for alias, _, _ in fields(query, {"yes": True})] == ["first", "h", "c", "fourth"]


def test_root_fields_belong_to_the_operation_that_is_meant() -> None:
    query = "query A { a } mutation B { b }"
    assert fields(query, None, "B") == [("b", "b", {})]
    assert fields(query, None, "C") == []
    assert fields(query) == []


def test_root_fields_are_read_from_any_document_that_parses() -> None:
    assert fields("{ a(x: 1" + "0" * 5000 + ") a(x: 2) }") == [("a", "a", {"x": "1" + "0" * 5000})]
    assert fields("fragment F on Query { a }") == []
