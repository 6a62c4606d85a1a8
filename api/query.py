"""`carbondesk query FILE.graphql`: ask the API over HTTP, and see the answer as a table or keep it as a file.

A table is read through /graphql. A file comes from /export/query.*, so it is whole, of one instant, and a ticket. Who
asks is named by CARBONDESK_TOKEN, or CARBONDESK_EMAIL and CARBONDESK_PASSWORD, or is asked for; never by an argument,
which every user of the machine can read.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from api.console import RefusedError, complaints

TOKEN, EMAIL, PASSWORD = "CARBONDESK_TOKEN", "CARBONDESK_EMAIL", "CARBONDESK_PASSWORD"
SILENT_S_MAX: Final = 150.0  # a count of everything may take two minutes before the first byte
TABLE_ROWS_MAX: Final = 1_000  # more are for a file
TABLE_WIDTH: Final = 4_000  # of what is not a terminal: nothing is cut
CHUNK_BYTES: Final = 64 * 1024
EXIT_REFUSED, EXIT_UNKNOWN = 1, 2
LOGIN: Final = """mutation Login($input: LoginInput!) {
  login(input: $input) { accessToken errors { code message } } }"""
LOGOUT: Final = "mutation Logout { logout { errors { code } } }"
MORE: Final = "; there are more: --all for all pages of a list, first for more groups"
CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")  # what a terminal would obey
FRAMES: Final = frozenset({"pageInfo", "totalCount", "totalCountIsExact", "hasMore", "__typename"})


class Format(StrEnum):
    """How an answer is shown or kept."""

    TABLE = "table"
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Unanswered(Exception):
    """Say why nothing is known: the API does not answer, or broke off."""


def query(
    file: Annotated[Path, typer.Argument(help="A GraphQL document; - reads standard input.")],
    variables: Annotated[str, typer.Option("--variables", "-v", help="JSON, or @FILE with JSON.")] = "{}",
    operation: Annotated[str | None, typer.Option(help="Which operation, when the document has several.")] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="A table to look at, or a file.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; else standard output.")
    ] = None,
    all_pages: Annotated[
        bool, typer.Option("--all", help="All pages of the list, not only the one that is asked for.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="Of another API, such as https://desk.example.com.")] = None,
) -> None:
    """Ask the API a query; show its one list as a table, or keep it as CSV, lines of JSON or Parquet.

    Who asks: CARBONDESK_TOKEN, or CARBONDESK_EMAIL and CARBONDESK_PASSWORD, or what you type when asked.

    Exit code: 0 when everything is there, 1 when it was refused, 2 when the API did not answer or broke off.
    """
    asked = _asked(file, variables, operation)
    if format is Format.TABLE and output:
        raise RefusedError("a table is for the eye: choose --format csv, ndjson or parquet with --output")
    if format is Format.PARQUET and output is None and sys.stdout.isatty():
        raise RefusedError("Parquet is not for a terminal: name a file with --output")
    try:
        with signed_in(_base(url)) as session:
            if format is Format.TABLE:
                _show(session, asked, is_whole=all_pages)
            else:
                _keep(session, asked, format, output, is_whole=all_pages)
    except Unanswered as trouble:
        complaints.print(f"carbondesk: {trouble}", markup=False)
        raise typer.Exit(EXIT_UNKNOWN) from None


def _asked(file: Path, variables: str, operation: str | None) -> dict[str, Any]:
    """Return the body of a request.

    Raises: RefusedError.
    """
    try:
        document = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        text = Path(variables[1:]).read_text(encoding="utf-8") if variables.startswith("@") else variables
    except (OSError, UnicodeError) as error:
        raise RefusedError(f"this cannot be read: {error}") from None
    try:
        given = json.loads(text)
    except ValueError as error:
        raise RefusedError(f"--variables is not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise RefusedError('--variables takes a JSON object, such as {"certificateType": "CEA"}')
    return {"query": document, "variables": given, **({"operationName": operation} if operation else {})}


def _base(url: str | None) -> str:
    """Return where the API answers, without a path.

    Raises: RefusedError.
    """
    if url is None:
        from api import supervisor
        from api.settings import load

        settings = load()
        return supervisor.url_of(settings.host, settings.port)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise RefusedError(f"{url} is no address of an API, such as https://desk.example.com")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise RefusedError(f"{url} would send your session in clear text: use https")
    return url.removesuffix("/").removesuffix("/graphql")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ---------------------------------------------------------------------------------------------------------- the session


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token is for the address it was given for."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Session:
    """An API and who asks it."""

    base: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if _is_loopback(urlsplit(self.base).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    @contextlib.contextmanager
    def post(self, path: str, body: Mapping[str, Any]) -> Iterator[http.client.HTTPResponse]:
        """Send JSON and give the answer.

        Raises: RefusedError (what the API refuses), Unanswered.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "carbondesk query"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, headers)  # noqa: S310 - see _base
        try:
            with self._opener.open(request, timeout=SILENT_S_MAX) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(_refusal(error)) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unanswered(f"{self.base} does not answer: {reason or type(error).__name__}") from None

    def ask(self, body: Mapping[str, Any]) -> Any:
        """Return the data of an operation.

        Raises: RefusedError, Unanswered.
        """
        with self.post("/graphql", body) as answer:
            try:
                said = json.load(answer)
            except ValueError:
                raise Unanswered(f"{self.base} does not answer as an API") from None
        if said.get("errors"):
            raise RefusedError(_worded(said["errors"]))
        return said["data"]


@contextlib.contextmanager
def signed_in(base: str) -> Iterator[Session]:
    """Sign in, and out again; a token that was given is used and left as it is.

    Raises: RefusedError, Unanswered.
    """
    if token := os.environ.get(TOKEN):
        yield Session(base, token)
        return
    email, password = _login()
    session = Session(base)
    login = session.ask({"query": LOGIN, "variables": {"input": {"email": email, "password": password}}})["login"]
    if login["errors"]:
        raise RefusedError(f"signing in as {email} was refused: {login['errors'][0]['message']}")
    session.token = login["accessToken"]
    try:
        yield session
    finally:
        with contextlib.suppress(RefusedError, Unanswered):
            session.ask({"query": LOGOUT})


def _login() -> tuple[str, str]:
    """Return what to sign in with, from the environment or from whoever sits there.

    Raises: RefusedError.
    """
    email, password = os.environ.get(EMAIL), os.environ.get(PASSWORD)
    if email and password:
        return email, password
    if not sys.stdin.isatty():
        raise RefusedError(f"nobody can be asked to sign in: set {TOKEN}, or {EMAIL} and {PASSWORD}")
    try:
        email = email or typer.prompt("Email", err=True)
        return email, password or typer.prompt("Password", hide_input=True, err=True)
    except typer.Abort:
        raise RefusedError("nobody signed in") from None


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return _worded(json.load(error)["errors"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the API answered {error.code} {error.reason}"


def _worded(errors: Sequence[Mapping[str, Any]]) -> str:
    """Put errors of the API into lines, each with its place, its code and its ticket."""
    lines = []
    for error in errors:
        places = [f"{place['line']}:{place['column']}" for place in error.get("locations") or ()][:1]
        path = [".".join(map(str, error["path"]))] if error.get("path") else []
        known = error.get("extensions") or {}
        told = [known["code"]] if known.get("code") else []
        told += [f"ticket {known['ticketId']}"] if known.get("ticketId") else []
        where = " ".join((*places, *path))
        lines.append(f"{where + ': ' if where else ''}{error['message']}{' (' + ', '.join(told) + ')' if told else ''}")
    return CONTROLS.sub(" ", "; ".join(lines))


# ------------------------------------------------------------------------------------------------------------ the table


def _show(session: Session, asked: Mapping[str, Any], *, is_whole: bool) -> None:
    """Print a table.

    Raises: RefusedError, Unanswered.
    """
    if is_whole:
        with session.post("/export/query.ndjson", asked) as answer:
            count = int(answer.headers["X-Row-Count"])
            if count > TABLE_ROWS_MAX:
                raise RefusedError(
                    f"{count:,} rows are too many for a table of {TABLE_ROWS_MAX:,}: choose --format csv, ndjson or "
                    "parquet"
                )
            rows, has_next = [json.loads(line) for line in answer], False
    else:
        rows, has_next = rows_in(session.ask(asked))
    cells = [flat(row) for row in rows]
    names = columns_of(cells)
    table = Table(*map(escape, names), box=None, pad_edge=False)
    for row in cells:
        table.add_row(*(Text(CONTROLS.sub("�", row.get(name, ""))) for name in names))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else TABLE_WIDTH)
    if names:
        console.print(table)
    _say(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{MORE if has_next else ''}")


def rows_in(data: Any) -> tuple[list[Any], bool]:
    """Return the rows of the one list in an answer, and whether more pages follow; an object is a row."""
    if isinstance(data, list):
        return data, False
    if not isinstance(data, dict):
        return [] if data is None else [{"value": data}], False
    has_next = bool((data.get("pageInfo") or {}).get("hasNextPage"))
    if "nodes" in data:
        return data["nodes"], has_next
    if "edges" in data:
        return [edge.get("node", edge) for edge in data["edges"]], has_next
    has_next = has_next or bool(data.get("hasMore"))
    inner = [value for name, value in data.items() if name not in FRAMES]
    if len(inner) == 1 and (inner[0] is None or isinstance(inner[0], dict | list)):
        rows, has_more = rows_in(inner[0])
        return rows, has_next or has_more
    return [data], False


def flat(row: Any, above: str = "") -> dict[str, str]:
    """Return the cells of a row, those of objects in it under their names."""
    if not isinstance(row, dict):
        return {above or "value": _cell(row)}
    cells: dict[str, str] = {}
    for name, value in row.items():
        path = f"{above}.{name}" if above else name
        cells |= flat(value, path) if isinstance(value, dict) else {path: _cell(value)}
    return cells


def columns_of(cells: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the columns of all rows in order; an object that is null in one row has its columns from another."""
    names = list(dict.fromkeys(name for row in cells for name in row))
    return [name for name in names if not any(other.startswith(f"{name}.") for other in names)]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case list() if not any(isinstance(item, dict | list) for item in value):
            return ";".join(map(_cell, value))
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ------------------------------------------------------------------------------------------------------------- the file


def _keep(session: Session, asked: Mapping[str, Any], kind: Format, output: Path | None, *, is_whole: bool) -> None:
    """Write a file, or standard output.

    Raises: RefusedError, Unanswered.
    """
    body = {**asked, "pages": "ALL" if is_whole else "ONE"}
    with session.post(f"/export/query.{kind}", body) as answer:
        count, ticket_id = int(answer.headers["X-Row-Count"]), answer.headers["X-Ticket-ID"]
        has_next = answer.headers["X-Has-Next-Page"] == "true"
        with _opened(output) as file:
            found = _copied(answer, file, kind, count)
            if found is not None and found != count:
                raise Unanswered(f"the file broke off: {found:,} of {count:,} rows")
        if output:
            _part(output).replace(output)
    where = f" in {output}" if output else ""
    _say(f"{count:,} row{'' if count == 1 else 's'}{where} (ticket {ticket_id}){MORE if has_next else ''}")


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    """Open what is written to. A file has another name until it is whole, and is deleted when it does not become so."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = _part(output)
    try:
        with part.open("wb") as file:
            yield file
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is not None:
            raise RefusedError(f"{output} cannot be written: {error.strerror}") from None
        raise


def _part(output: Path) -> Path:
    return output.with_name(f"{output.name}.part")


def _copied(answer: http.client.HTTPResponse, file: IO[bytes], kind: Format, count: int) -> int | None:
    """Copy a file with progress on standard error; return how many rows it had, where they can be counted."""
    lines = Lines(kind)
    total = None if kind is Format.PARQUET else count
    unit = DownloadColumn() if total is None else TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows")
    columns, is_hidden = (BarColumn(), unit, TimeElapsedColumn()), not complaints.is_terminal
    with Progress(*columns, console=complaints, transient=True, disable=is_hidden) as progress:
        task = progress.add_task("", total=total)
        while chunk := answer.read1(CHUNK_BYTES):
            file.write(chunk)
            done = lines.count(chunk)
            progress.update(task, advance=len(chunk)) if done is None else progress.update(task, completed=done)
    return lines.rows


class Lines:
    """The rows of a text as it passes. A line of CSV does not end within quotes; its first one is the header."""

    def __init__(self, kind: Format) -> None:
        self.kind = kind
        self.rows = None if kind is Format.PARQUET else -1 if kind is Format.CSV else 0
        self._is_quoted = False

    def count(self, chunk: bytes) -> int | None:
        """Take another part; return how many rows there were so far, None where they cannot be counted."""
        if self.rows is None:
            return None
        if self.kind is Format.NDJSON:
            self.rows += chunk.count(b"\n")
            return self.rows
        for index, part in enumerate(chunk.split(b'"')):
            self._is_quoted ^= index > 0
            self.rows += 0 if self._is_quoted else part.count(b"\n")
        return max(self.rows, 0)


def _say(text: str) -> None:
    complaints.print(text, markup=False)
