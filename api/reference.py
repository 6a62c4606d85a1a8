"""The parts of docs/ that are written from the code: settings, metrics, every type and field of the schema.

`make schema` writes them; the tests compare.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    ast_from_value,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)
from pydantic.fields import FieldInfo

from api.console import RefusedError, console
from api.settings import is_secret, variables

DOCS: Final = Path("docs")
OPERATIONS: Final = DOCS / "operations.md"
REFERENCE: Final = DOCS / "reference.md"
BEGIN, END = "<!-- {}: written by `make schema` -->", "<!-- end of {} -->"


def docs(
    write: Annotated[
        bool, typer.Option("--write", help="Write the files instead of naming those that differ.")
    ] = False,
) -> None:
    """Write what docs/ says of settings, metrics and the schema from the code."""
    stale = [path for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    for path in stale if write else []:
        path.write_text(pages()[path], encoding="utf-8")
        console.print(f"{path} written")
    if stale and not write:
        raise RefusedError(f"{', '.join(map(str, stale))}: run `make schema`")
    if not stale:
        console.print("docs/ is up to date")
    sys.stdout.flush()


def pages() -> Mapping[Path, str]:
    """Return each page that is written from the code, as it must be."""
    text = OPERATIONS.read_text(encoding="utf-8")
    for name, table in (("settings", settings_table()), ("metrics", metrics_table())):
        text = replaced(text, name, table)
    return {OPERATIONS: text, REFERENCE: reference(Path("schema.graphql").read_text(encoding="utf-8"))}


def replaced(text: str, name: str, part: str) -> str:
    """Put a part between its marks."""
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise RefusedError(f"{OPERATIONS} has no marks for its {name}")
    return f"{before}{begin}\n{part}{end}{after}"


# ----------------------------------------------------------------------------------------------------------- operations


def settings_table() -> str:
    """Return what an operator may set."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in variables():
        files = f" or `{name}_FILE`" if is_secret(field) else ""
        lines.append(f"| `{name}`{files} | {_default(field)} | {_cell(field.description)} |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{int(value)}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def metrics_table() -> str:
    """Return what /metrics counts."""
    from api.metrics import described

    lines = ["| metric | kind | what |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {kind} | {_cell(text)} |" for name, kind, text in described()]
    return "\n".join(lines) + "\n"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


# --------------------------------------------------------------------------------------------------------------- schema


def reference(sdl: str) -> str:
    """Return every type and field of the schema, for people to read and link to."""
    built = build_schema(sdl)
    return "\n".join([*_reference(built), ""])


def _reference(built: GraphQLSchema) -> Iterator[str]:
    yield from (
        "# Reference",
        "",
        "Every operation and type, written from `schema.graphql`. [The API](api.md) explains.",
    )
    roots = (built.query_type, built.mutation_type, built.subscription_type)
    for root, title in zip(roots, ("Queries", "Mutations", "Subscriptions"), strict=True):
        assert root is not None
        yield from ("", f"## {title}")
        for name, field in sorted(root.fields.items()):
            yield from _operation(f"{root.name.lower()} {name}", field)
    kinds = sorted(built.type_map.values(), key=lambda kind: kind.name)
    for title, wanted in (
        ("Objects", (GraphQLObjectType, GraphQLInterfaceType)),
        ("Unions", (GraphQLUnionType,)),
        ("Inputs", (GraphQLInputObjectType,)),
        ("Enums", (GraphQLEnumType,)),
        ("Scalars", (GraphQLScalarType,)),
    ):
        yield from ("", f"## {title}")
        for kind in kinds:
            is_ours = not is_introspection_type(kind) and not is_specified_scalar_type(kind)
            if isinstance(kind, wanted) and is_ours and kind not in roots:
                yield from _type(kind)


def _operation(name: str, field: GraphQLField) -> Iterator[str]:
    yield from ("", f"### {name}", "", _cell(field.description), "", f"Answers {_link(field.type)}.")
    if field.args:
        yield from ("", "| argument | type | |", "| --- | --- | --- |")
        for key, argument in field.args.items():
            yield f"| `{key}` | {_link(argument.type)}{_given(argument)} | {_cell(argument.description)} |"


def _type(kind: GraphQLNamedType) -> Iterator[str]:
    yield from ("", f"### {kind.name}", "", _cell(kind.description))
    if isinstance(kind, GraphQLUnionType):
        yield from ("", "One of " + ", ".join(_link(one) for one in kind.types) + ".")
    if isinstance(kind, GraphQLEnumType):
        yield from ("", "| value | |", "| --- | --- |")
        yield from (f"| `{name}` | {_cell(value.description)} |" for name, value in kind.values.items())
    if isinstance(kind, GraphQLInputObjectType):
        yield from ("", "| field | type | |", "| --- | --- | --- |")
        for name, given in kind.fields.items():
            yield f"| `{name}` | {_link(given.type)} | {_cell(given.description)} |"
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        yield from ("", "| field | type | |", "| --- | --- | --- |")
        for name, field in kind.fields.items():
            arguments = ", ".join(f"{key}: {one.type}" for key, one in field.args.items())
            shown = f"`{name}({arguments})`" if arguments else f"`{name}`"
            yield f"| {shown} | {_link(field.type)} | {_cell(field.description)} |"


def _given(argument: GraphQLArgument) -> str:
    if argument.default_value is Undefined:
        return ""
    node = ast_from_value(argument.default_value, argument.type)
    return f" = `{print_ast(node)}`" if node else ""


def _link(kind: Any) -> str:
    named = get_named_type(kind)
    if is_specified_scalar_type(named):
        return f"`{kind}`"
    return f"[`{kind}`](#{named.name.lower()})"
