"""The rules of this house, made executable: each test is a rule, its first assertion that fails names the place."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    OperationDefinitionNode,
    Visitor,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    validate,
    visit,
)

from api import schema
from api.policy import Policy
from api.tickets import DECLARED
from db import tables
from domain import errors, office, stories
from domain.errors import DomainError, ErrorCode
from domain.tickets import ActionType

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
# Refusals of the contract that no mutation can come to yet; each leaves this list with the issue that brings it.
NOT_YET: dict[ErrorCode, str] = {}
# Who may look at the wall clock of his machine; every instant that is stored comes from the database.
WALL_CLOCK = {
    "api/books.py": "how fresh a picture is, is told by the process that shows it",
    "db/clock.py": "whether it has parted from the database's",
}
PRINTERS = ("api/cli.py", "scripts/", "bench/", "docs/examples/", "build_dashboard.py")


# --------------------------------------------------------------------------------------------------------------- files


@cache
def files() -> tuple[str, ...]:
    """List what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    return tuple(sorted({name for name in listed if name and (ROOT / name).is_file()}))


@cache
def text(name: str) -> str:
    """Read a file; a binary one is empty."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def sources(*folders: str) -> list[str]:
    """List the Python files of folders, or all."""
    return [name for name in files() if name.endswith(".py") and (not folders or name.startswith(folders))]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), name)


def imports(name: str) -> Iterator[tuple[str, int]]:
    """Yield each module that a file imports, also inside functions, with its line."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute"
            yield (node.module or "", node.lineno)


def package(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def calls(name: str) -> Iterator[tuple[str, str, int]]:
    """Yield (what stands before the last dot, the name called, line) of each call in a file."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node.lineno
            elif isinstance(node.func, ast.Name):
                yield "", node.func.id, node.lineno


def test_git_lists_our_files() -> None:
    assert {"api/app.py", "db/unit.py", "domain/market.py", "tests/test_tidy.py", "schema.graphql"} <= set(files())


# -------------------------------------------------------------------------------------------------------------- layers

EFFECTS = {"asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil", "socket",
           "subprocess", "tempfile", "threading", "time", "urllib"}  # fmt: skip
DOOR = {"api", "aiohttp", "gql", "graphql", "httpx", "starlette", "strawberry", "uvicorn", "websockets"}


def test_domain_imports_the_standard_library_and_itself_only() -> None:
    for name in sources("domain/"):
        for module, line in imports(name):
            found = package(module)
            assert found == "domain" or found in sys.stdlib_module_names, f"{name}:{line}: imports {module}"
            assert found not in EFFECTS, f"{name}:{line}: {module} reaches the world outside"


def test_domain_is_pure() -> None:
    for name in sources("domain/"):
        for node in ast.walk(tree(name)):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{name}: async in the domain"
        for before, called, line in calls(name):
            assert called not in {"open", "print", "input", "uuid1", "uuid4"}, f"{name}:{line}: {called}()"
            assert (before, called) != ("os", "urandom"), f"{name}:{line}: randomness"


def test_db_knows_nothing_of_the_door() -> None:
    for name in sources("db/"):
        for module, line in imports(name):
            assert package(module) not in DOOR, f"{name}:{line}: imports {module}"


def test_nobody_but_tests_and_bench_imports_api() -> None:
    for name in sources():
        if not name.startswith(("api/", "tests/", "bench/")):
            for module, line in imports(name):
                assert package(module) != "api", f"{name}:{line}: imports {module}"


def test_nothing_that_ships_imports_the_tests() -> None:
    for name in sources("api/", "db/", "domain/"):
        for module, line in imports(name):
            assert package(module) not in {"tests", "bench", "pytest", "hypothesis"}, f"{name}:{line}: {module}"


# -------------------------------------------------------------------------------------------------------------- commit

TRANSACTION_SQL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|START TRANSACTION|SAVEPOINT|END TRANSACTION)\b\s*(;|$|TO\b)")


def test_only_db_unit_begins_and_commits() -> None:
    for name in sources("api/", "db/", "domain/"):
        if name in ("db/unit.py", "db/migrate.py") or name.startswith("db/migrations/"):  # Alembic runs its own
            continue
        for before, called, line in calls(name):
            place = f"{name}:{line}"
            assert called not in {"begin", "begin_nested", "commit", "rollback", "begin_transaction"}, place
            if called == "transaction":  # a `Pool` of db/unit.py lends one; a connection would begin its own
                assert before.rpartition(".")[2] in {"pool", "_pool"}, place
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not TRANSACTION_SQL.match(node.value), f"{name}:{node.lineno}: {node.value!r}"


# ------------------------------------------------------------------------------------------------------ figures, clocks

SECONDS = re.compile(r".*_s(_max|_min)?|_redis_retry_at", re.IGNORECASE)  # a wait is a float of seconds, and no figure


def test_no_float_in_the_domain() -> None:
    for name in sources("domain/"):
        for node in ast.walk(tree(name)):
            is_float = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
            assert not is_float, f"{name}:{getattr(node, 'lineno', 0)}: a float"
            assert not (isinstance(node, ast.Name) and node.id == "float"), f"{name}: float"


def test_a_float_in_db_is_a_wait_in_seconds() -> None:
    for name in sources("db/"):
        for _, called, line in calls(name):
            assert called != "float", f"{name}:{line}: float()"
        waits: set[int] = set()
        for node in ast.walk(tree(name)):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [ast.unparse(target).rpartition(".")[2] for target in targets if target is not None]
            is_jitter = isinstance(node, ast.Call) and ast.unparse(node.func) == "random.uniform"
            if is_jitter or (isinstance(node, ast.Assign | ast.AnnAssign) and all(map(SECONDS.fullmatch, names))):
                waits |= {id(inner) for inner in ast.walk(node)}
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                assert id(node) in waits, f"{name}:{node.lineno}: {node.value} is not a wait in seconds"


def test_instants_come_from_the_database() -> None:
    clocks = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"),
              ("time", "time_ns")}  # fmt: skip
    lookers = set()
    for name in sources("api/", "db/", "domain/"):
        for before, called, _ in calls(name):
            if (before.rpartition(".")[2], called) in clocks:
                lookers.add(name)
    assert lookers == set(WALL_CLOCK)


def test_only_programs_for_people_print() -> None:
    for name in sources():
        if not name.startswith((*PRINTERS, "tests/")):
            for before, called, line in calls(name):
                assert (before, called) != ("", "print"), f"{name}:{line}"


# ---------------------------------------------------------------------------------------------------------------- words


def test_no_file_is_named_after_nothing() -> None:
    for name in files():
        words = set(re.split(r"[/._-]", name.lower()))
        assert not words & {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}, name
        assert not name.startswith("tests/") or Path(name).name != "__init__.py", f"{name} can shadow a package"


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "HA" + "CK")) + r")\b")
    for name in files():
        found = None if name.endswith(".lock") else later.search(text(name))
        assert not found, f"{name}: {found}"


@pytest.mark.parametrize("suffix", [".py", ".ts", ".tsx", ".css", ".sql", ".mjs"])
def test_a_file_has_at_most_600_lines(suffix: str) -> None:
    long = {name: len(text(name).splitlines()) for name in files() if name.endswith(suffix)}
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES_MAX} == {}


def test_a_function_has_at_most_70_lines() -> None:
    long = {}
    for name in sources("api/", "db/", "domain/", "scripts/", "build_dashboard.py"):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{name}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_every_module_says_what_it_is() -> None:
    for name in sources("api/", "db/", "domain/", "tests/"):
        if not name.startswith("db/migrations/env"):
            assert ast.get_docstring(tree(name)) or not text(name).strip(), name


# ----------------------------------------------------------------------------------------------------------- provenance


def test_no_file_names_a_registry() -> None:
    hosts = {
        ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("yarnpkg", "com"))
    }
    for variable in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if host := urlsplit(os.environ.get(variable, "")).hostname:
            hosts.add(host)
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    hosts |= {host for url in re.findall(r"https?://[^\s'\"]+", configured) if (host := urlsplit(url).hostname)}
    hosts -= {"localhost", "127.0.0.1"}
    resolved = re.compile(r'"resolved"\s*:\s*"https?:|--(extra-)?index-url[ =]+https?:|registry\s*=\s*https?:')
    for name in files():
        content = text(name)
        for host in hosts:
            assert host not in content, f"{name} names {host}"
        assert not resolved.search(content), name


def test_no_file_names_a_path_of_this_machine() -> None:
    places = {f"{ROOT}/", f"{ROOT.parent}/" if len(ROOT.parent.parts) > 1 else f"{ROOT}/", f"{Path.home()}/"}
    for name in files():
        for place in places:
            assert place == "//" or place not in text(name), f"{name} names {place}"


# ---------------------------------------------------------------------------------------------------- actions, refusals


def test_every_mutation_has_an_action_and_a_policy() -> None:
    mutation_type = schema.build()._schema.mutation_type
    assert mutation_type is not None
    assert set(mutation_type.fields) == set(DECLARED)
    for name, declared in DECLARED.items():
        assert isinstance(declared.action, ActionType), name
        assert isinstance(declared.policy, Policy), name


TELLERS = {stories.__name__, office.__name__}


def test_a_story_is_told_of_every_action_that_is_declared() -> None:
    for name, declared in DECLARED.items():
        assert getattr(declared.tell, "func", declared.tell).__module__ in TELLERS, name
        asked = {"input": {"marketMakerId": "x"}} if name == "placeMarketOrder" else {}
        failed = declared.tell(asked, None)
        assert failed.action_type is declared.action, name
        assert failed.summary and failed.entity_type and failed.tags, name


def test_every_leaf_of_the_error_tree_has_its_code_in_order_of_precedence() -> None:
    leaves = [leaf.code for leaf in DomainError.__subclasses__()]
    assert leaves == list(ErrorCode)


def test_every_refusal_that_can_happen_has_a_test() -> None:
    tests = "".join(text(name) for name in sources("tests/") if name != "tests/test_tidy.py")
    product = "".join(text(name) for name in sources("api/", "db/", "domain/"))
    leaves = {leaf.code: leaf.__name__ for leaf in DomainError.__subclasses__()}
    for code in ErrorCode:
        is_raised = re.search(rf"\b{leaves[code]}\(", product.replace(f"class {leaves[code]}(", "")) is not None
        assert is_raised is (code not in NOT_YET), f"{code}: raised {is_raised}; NOT_YET says otherwise"
        assert code in NOT_YET or f'"{code.value}"' in tests, f"{code} has no test"
    assert issubclass(errors.NoLiquidity, DomainError)


# --------------------------------------------------------------------------------------------------------------- schema


def test_schema_graphql_is_what_the_code_builds() -> None:
    assert text("schema.graphql") == schema.sdl(), "run `make schema`"


def described(kind: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    """Yield each thing of a type that needs a description."""
    yield kind.name, kind.description
    if isinstance(kind, GraphQLEnumType):
        yield from ((f"{kind.name}.{name}", value.description) for name, value in kind.values.items())
    elif isinstance(kind, GraphQLInputObjectType):
        yield from ((f"{kind.name}.{name}", field.description) for name, field in kind.fields.items())
    elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in kind.fields.items():
            yield f"{kind.name}.{name}", field.description
            yield from ((f"{kind.name}.{name}({key}:)", one.description) for key, one in field.args.items())


def test_everything_in_the_schema_is_described() -> None:
    missing = [
        name
        for kind in schema.build()._schema.type_map.values()
        if not is_introspection_type(kind) and not is_specified_scalar_type(kind)
        for name, description in described(kind)
        if not (description or "").strip()
    ]
    assert missing == []


# ------------------------------------------------------------------------------------------------------------ dashboard

TEMPLATE = re.compile(r"\bgraphql\(\s*`([^`]*)`")


def dashboard_documents() -> dict[str, DocumentNode]:
    """Parse each document of the dashboard, by file and place."""
    found = {}
    for name in files():
        if name.startswith("dashboard/src/") and name.endswith((".ts", ".tsx")):
            content = text(name)
            templates = TEMPLATE.findall(content)
            assert len(templates) == len(re.findall(r"\bgraphql\(\s*[`'\"]", content)), f"{name}: no plain template"
            for index, template in enumerate(templates):
                assert "${" not in template, f"{name}: a document is written out whole"
                found[f"{name}#{index}"] = parse(template)
    return found


class Spreads(Visitor):
    """Collect the fragments that a definition spreads."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.names.add(node.name.value)


def spread_in(node: OperationDefinitionNode | FragmentDefinitionNode) -> set[str]:
    spreads = Spreads()
    visit(node, spreads)
    return spreads.names


def test_every_document_of_the_dashboard_fits_the_schema() -> None:
    documents = dashboard_documents()
    assert documents
    definitions = [(place, node) for place, document in documents.items() for node in document.definitions]
    fragments: dict[str, FragmentDefinitionNode] = {}
    for place, node in definitions:
        if isinstance(node, FragmentDefinitionNode):
            assert node.name.value not in fragments, f"{place}: a second fragment {node.name.value}"
            fragments[node.name.value] = node
    exported = build_schema(text("schema.graphql"))
    used: set[str] = set()
    for place, node in definitions:
        if isinstance(node, OperationDefinitionNode):
            needed: set[str] = set()
            waiting = spread_in(node)
            while waiting:
                name = waiting.pop()
                assert name in fragments, f"{place}: no fragment {name}"
                needed.add(name)
                waiting |= spread_in(fragments[name]) - needed
            used |= needed
            whole = DocumentNode(definitions=(node, *(fragments[name] for name in sorted(needed))))
            assert validate(exported, whole) == [], place
    assert used == set(fragments), "a fragment that nobody spreads"


# --------------------------------------------------------------------------------------------------------------- tables

UDT_NAMES = {"Uuid": "uuid", "Text": "text", "Boolean": "bool", "Integer": "int4", "BigInteger": "int8",
             "Numeric": "numeric", "DateTime": "timestamptz", "LargeBinary": "bytea", "ARRAY": "_text",
             "JSONB": "jsonb", "TSVECTOR": "tsvector", "Xid8": "xid8"}  # fmt: skip


async def test_the_tables_of_the_code_are_the_tables_of_the_database(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "SELECT table_name, column_name, udt_name, is_nullable = 'YES' OR column_default IS NOT NULL"
            " OR is_identity = 'YES' OR is_generated = 'ALWAYS' AS may_be_left_out FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        )
        keys = await connection.fetch(
            "SELECT tc.table_name, kcu.column_name FROM information_schema.table_constraints tc"
            " JOIN information_schema.key_column_usage kcu USING (constraint_schema, constraint_name)"
            " WHERE tc.table_schema = 'public' AND tc.constraint_type = 'PRIMARY KEY'"
            " AND tc.table_name <> 'alembic_version'"
        )
    finally:
        await connection.close()
    stored = {(row["table_name"], row["column_name"]): row["udt_name"] for row in rows}
    coded = {
        (table.name, column.name): UDT_NAMES[type(column.type).__name__]
        for table in tables.metadata.tables.values()
        for column in table.columns
    }
    assert coded == stored
    assert {(row["table_name"], row["column_name"]) for row in keys} == {
        (table.name, column.name) for table in tables.metadata.tables.values() for column in table.primary_key.columns
    }
    optional = {(row["table_name"], row["column_name"]) for row in rows if row["may_be_left_out"]}
    for table in tables.metadata.tables.values():
        left_out = {(table.name, column.name) for column in table.columns} - {
            (table.name, column.name) for column in tables.written(table)
        }
        assert left_out <= optional, table.name
