"""The program `carbondesk`: run, serve, seal, migrate, verify, proof, retention, schema, flow, watch, reset, query
(`api.query`), and more from `api.office` and `api.backups`.

Whatever is heavy is imported where it is used, so that the first line appears at once. What a person can put right is
one line that says what to do; a traceback means a defect of ours.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn
from urllib.parse import urlsplit

import typer
from rich.progress import Progress as Bar
from rich.progress import TaskID

from api import backups, office, query, reading, reference
from api import logins as login_file
from api.console import Progress, RefusedError, complaints, console
from api.logins import LOGINS, Login
from api.settings import Settings, SettingsError, load, require_servable
from db import embedded
from db.embedded import EmbeddedError, Urls

if TYPE_CHECKING:
    from socket import socket

    from api.supervisor import Child

FIRST_START: Final = "first-start"  # there while the market is being filled: what an interruption leaves is deleted
LOOK_S: Final = 0.25  # how often the supervisor looks after its processes
ORPHAN_WAIT_S: Final = 5.0  # an API whose supervisor was killed ends by itself in this time
ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHECKPOINTS: Final = "checkpoints"  # of no use without the database that they are of; archives are kept
SCHEMA_FILE: Final = Path("schema.graphql")
EXIT_BROKEN, EXIT_UNKNOWN = 1, 2  # of `verify`: a law is broken; that could not be found out

app = typer.Typer(
    help="carbondesk: the back office of a spot market for carbon certificates.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it would print local variables, passwords among them
)


@app.command()
def run(
    flow: Annotated[
        bool, typer.Option("--flow", envvar="FLOW", help="Also start simulated traders that keep the market moving.")
    ] = False,
) -> None:
    """Start everything: PostgreSQL and Redis where no URL replaces them, the API and the dashboard."""
    from api import supervisor

    progress = Progress()
    settings = load()
    require_servable(settings)
    listener = _listen(settings)
    console.print(f"[bold]carbondesk {metadata_version()}[/bold] [dim]in {settings.home}[/dim]")
    children: list[Child] = []
    with _signals_raised(), contextlib.ExitStack() as cleanup:
        cleanup.callback(listener.close)
        _forget_half_a_start(settings, progress)
        servers = cleanup.enter_context(_start_servers(settings, progress))
        cleanup.callback(_stop_children, children)
        logins = _prepare_market(settings, servers.urls, progress)
        environment = _child_environment(settings, servers.urls)
        sealer = supervisor.Child("the sealer", ["seal", "--supervised"], environment)
        children.append(sealer)  # the first: it ends last, when everything there is has committed
        sealer.start()
        api = supervisor.Child(
            "the API",
            ["serve", "--supervised", str(listener.fileno())],
            environment,
            listener.fileno(),
            supervisor.STOP_WAIT_S + settings.drain_s,
        )
        children.append(api)
        api.start()
        url = supervisor.url_of(settings.host, settings.port)
        supervisor.wait_ready(api, url)
        flow = flow and _with_traders(logins, progress)
        if flow:
            traders = supervisor.Child("the simulated traders", ["flow", "--supervised"], environment)
            children.append(traders)
            traders.start()
        _say_ready(settings, url, logins, progress, flow=flow)
        _look_after(servers, children, progress)


@app.command()
def serve(supervised: Annotated[int | None, typer.Option(hidden=True)] = None) -> None:
    """Serve the API alone, in the foreground, on the servers that the URLs name or that a running `run` owns."""
    from api import supervisor

    settings = load()
    require_servable(settings)
    if supervised is None:
        listener = supervisor.listen(settings.host, settings.port)
    else:
        listener = _inherited(supervised)
        supervisor.end_with_parent()
    # Who serves needs no login but the API's own.
    url = settings.database_url or settings.database_app_url
    urls = embedded.attach(settings.home, database_url=url, redis_url=settings.redis_url)
    os.environ.update(_child_environment(settings, urls))
    if supervised is None:
        console.print(f"serving on {supervisor.url_of(settings.host, settings.port)}")
        office.say_what_is_missing(urls.database_url)
    from api import serving
    from api.app import serve_app

    serving.serve(serve_app(), listener, settings.drain_s)


@app.command()
def migrate(
    logins: Annotated[
        bool, typer.Option("--logins", help="Also make the logins that DATABASE_APP_URL and its like name.")
    ] = False,
) -> None:
    """Bring the database to the newest schema, starting the embedded servers for it where they do not run."""
    progress = Progress()
    settings = load()
    with contextlib.ExitStack() as cleanup:
        try:
            urls = embedded.attach(settings.home, database_url=settings.database_url, redis_url=settings.redis_url)
        except embedded.NotRunningError:
            urls = cleanup.enter_context(_start_servers(settings, progress)).urls
        _migrate(urls.database_url, progress)
        if logins:
            _make_logins(settings, urls.database_url, progress)


@app.command()
def seal(
    once: Annotated[bool, typer.Option("--once", help="Seal what waits now, and end.")] = False,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Seal tickets: append them to the signed tree, about a second after they happened. `run` starts this too."""
    from api import audit, logs, supervisor
    from db.keys import KeyRefused
    from db.seal import SealBroken

    settings = load()
    logs.configure(settings.log_level)
    if supervised:
        supervisor.end_with_parent()
    url = settings.database_url or settings.database_sealer_url
    urls = embedded.attach(settings.home, database_url=url, redis_url=settings.redis_url)
    settings = settings.model_copy(update={"database_url": urls.database_url})
    try:
        with audit.refusals_named():
            asyncio.run(_until_told(audit.seal_market(settings, Progress().say, is_once=once)))
    except (KeyRefused, audit.AuditRefused) as refusal:
        raise RefusedError(str(refusal)) from None
    except SealBroken as broken:
        raise RefusedError(f"sealing stopped: {broken}. `carbondesk verify` says more") from None


@app.command()
def verify(
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder with a copy of the checkpoints; else the one of CARBONDESK_HOME.")
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(help="The sealer's key, or a file with it; else the one beside the checkpoints."),
    ] = None,
    archive: Annotated[Path | None, typer.Option(help="Also check the archived payloads in this folder.")] = None,
) -> None:
    """Recompute every law of the market from the rows of DATABASE_URL, or of a running `run`.

    Exit code: 0 when all hold, 1 when one is broken, 2 when that cannot be found out.
    """
    from api import audit

    progress = Progress()
    try:
        settings = load()
        url = settings.database_url or embedded.attach(settings.home, redis_url=settings.redis_url).database_url
        with audit.refusals_named():
            report = audit.verify_market(settings, url, progress.say, checkpoints, public_key, archive)
    except (SettingsError, EmbeddedError, audit.AuditRefused) as refusal:
        complaints.print(f"carbondesk: {refusal}", markup=False)
        raise typer.Exit(EXIT_UNKNOWN) from None
    for line in report.summary(progress.seconds):
        progress.say(line)
    if not report.is_clean:
        raise typer.Exit(EXIT_BROKEN)


@app.command()
def proof(
    ticket_id: Annotated[str, typer.Argument(help="TKT-YYYY-NNNNNN.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a file instead of printing.")] = None,
    with_payload: Annotated[
        bool, typer.Option("--with-payload", help="Show request, answer and states too, not only their HMAC.")
    ] = False,
) -> None:
    """Write what proves a ticket: its content, its way to the root of the tree, and the signed checkpoint."""
    from api import audit

    settings = load()
    url = settings.database_url or embedded.attach(settings.home, redis_url=settings.redis_url).database_url
    try:
        with audit.refusals_named():
            bundle = asyncio.run(audit.prove(settings, url, ticket_id, with_payload=with_payload))
    except audit.AuditRefused as refusal:
        raise RefusedError(str(refusal)) from None
    text = json.dumps(bundle, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
        console.print(f"{output} written: check it with `carbondesk verify-proof {output}`", markup=False)


@app.command(name="verify-proof")
def verify_proof(
    file: Annotated[Path, typer.Argument(help="What `carbondesk proof` wrote.")],
    key: Annotated[
        str | None, typer.Option("--key", "--public-key", help="The sealer's public key, or a file with it.")
    ] = None,
) -> None:
    """Check a proof, with no database and no settings.

    Exit code: 0 when it proves its ticket, 1 when it does not, 2 when that cannot be found out.
    """
    from api import audit

    try:
        is_proved = audit.check_proof(file, key, lambda line: console.print(line, markup=False))
    except audit.AuditRefused as refusal:
        complaints.print(f"carbondesk: {refusal}", markup=False)
        raise typer.Exit(EXIT_UNKNOWN) from None
    if not is_proved:
        raise typer.Exit(EXIT_BROKEN)


@app.command()
def retention(
    older_than: Annotated[str, typer.Option("--older-than", help="Days, such as 400d.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be archived, and change nothing.")] = False,
) -> None:
    """Move the payloads of old, sealed tickets into a signed archive. Tickets, digests and proofs stay."""
    from api import audit
    from db.keys import KeyRefused
    from db.retention import RetentionRefused

    days = re.fullmatch(r"([1-9][0-9]{0,4})d", older_than, re.ASCII)
    if not days:
        raise RefusedError("--older-than takes days, such as 400d")
    settings = load()
    urls = embedded.attach(settings.home, database_url=settings.database_url, redis_url=settings.redis_url)
    settings = settings.model_copy(update={"database_url": urls.database_url})
    age, say = timedelta(days=int(days[1])), Progress().say
    try:
        with audit.refusals_named(), Bar(console=console, transient=True) as bar:
            stages: dict[str, TaskID] = {}

            def advance(stage: str, done: int, total: int) -> None:
                if stage not in stages:
                    stages[stage] = bar.add_task(stage, total=total)
                bar.update(stages[stage], completed=done)

            asyncio.run(audit.archive_payloads(settings, age, say, advance, is_dry=dry_run))
    except (RetentionRefused, KeyRefused, audit.AuditRefused) as refusal:
        raise RefusedError(str(refusal)) from None


@app.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help=f"Write {SCHEMA_FILE} instead of printing.")] = False,
) -> None:
    """Print the GraphQL schema as the code has it."""
    from api.schema import sdl

    text = sdl()
    if not write:
        sys.stdout.write(text)
    elif SCHEMA_FILE.is_file() and SCHEMA_FILE.read_text(encoding="utf-8") == text:
        console.print(f"{SCHEMA_FILE} is up to date")
    else:
        SCHEMA_FILE.write_text(text, encoding="utf-8")
        console.print(f"{SCHEMA_FILE} written")


@app.command()
def flow(supervised: Annotated[bool, typer.Option(hidden=True)] = False) -> None:
    """Trade as the demo's traders through the public API until stopped, so that the streams can be watched."""
    from api import logs, supervisor
    from api.flow import trade

    settings = load()
    logs.configure()
    if supervised:
        supervisor.end_with_parent()
    logins = login_file.read(settings.home)
    if not _has_traders(logins):
        raise RefusedError(f"there are no demo traders in {settings.home}: start the market first with `make run`")
    asyncio.run(_until_told(trade(supervisor.url_of(settings.host, settings.port), logins)))


@app.command()
def watch(
    certificate: Annotated[str, typer.Argument(help="CEA or EUA.")] = "CEA",
    url: Annotated[str | None, typer.Option(help="Of another API, such as http://127.0.0.1:8000.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long; else with Ctrl-C.")] = None,
) -> None:
    """Show a live order book in the terminal: the best levels, their age, and whether they can be trusted."""
    from api import supervisor
    from api.watch import watch as show

    certificate = certificate.upper()
    if certificate not in {"CEA", "EUA"}:
        raise RefusedError(f"there is no certificate {certificate}: CEA and EUA are traded")
    settings = load()
    address = url or supervisor.url_of(settings.host, settings.port)
    if address.startswith("http"):
        address = address.replace("http", "ws", 1)
    if not urlsplit(address).path.strip("/"):
        address = f"{address.rstrip('/')}/graphql"
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(show(address, certificate, seconds))


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete the embedded market: its database, its passwords and its demo logins."""
    settings = load()
    if settings.database_url is not None:
        raise RefusedError(
            "DATABASE_URL is set, and reset deletes only the embedded database: unset it, or empty yours"
        )
    pid = embedded.supervisor(settings.home)
    if pid is not None:
        raise RefusedError(f"carbondesk runs in {settings.home} (process {pid}): stop it first")
    if not yes and not _is_confirmed(f"Delete the market in {settings.home} with all its data?"):
        raise RefusedError("nothing was deleted")
    ours = [path for path in (settings.home / LOGINS, settings.home / FIRST_START) if path.exists()]
    for path in ours:
        path.unlink()
    gone = [*ours, *embedded.erase(settings.home)]
    if (settings.home / CHECKPOINTS).is_dir():
        shutil.rmtree(settings.home / CHECKPOINTS)
        gone.append(settings.home / CHECKPOINTS)
    for path in gone:
        console.print(f"deleted {path}", markup=False)
    if not gone:
        console.print(f"there is nothing to delete in {settings.home}", markup=False)


app.add_typer(office.admin, name="admin")
app.command("users")(office.users)
app.command("query")(query.query)
app.add_typer(office.sessions, name="sessions")
app.command("settings")(office.settings)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("reader", hidden=True)(reading.reader)
app.command("docs", hidden=True)(reference.docs)


def main() -> None:
    """Run the command line; a refusal is one line and exit code 1."""
    from api.supervisor import PortError, StartError

    try:
        app()
    except (SettingsError, EmbeddedError, PortError, StartError, RefusedError) as refusal:
        complaints.print(f"carbondesk: {refusal}", markup=False)
        sys.exit(1)


def metadata_version() -> str:
    """Give the version of the installed package; a checkout has none."""
    try:
        return metadata.version("carbondesk")
    except metadata.PackageNotFoundError:
        return "(checkout)"


def _listen(settings: Settings) -> "socket":
    """Take the address; the API of a killed supervisor gets the time to let go of it."""
    from api import supervisor

    deadline = time.monotonic() + (ORPHAN_WAIT_S if embedded.was_killed(settings.home) else 0)
    while True:
        try:
            return supervisor.listen(settings.host, settings.port)
        except supervisor.PortError as refusal:
            if time.monotonic() < deadline:
                time.sleep(LOOK_S)
                continue
            pid = embedded.supervisor(settings.home)
            hint = f" (carbondesk already runs in {settings.home}, process {pid})" if pid is not None else ""
            raise supervisor.PortError(f"{refusal}{hint}") from None


@contextlib.contextmanager
def _signals_raised() -> Iterator[None]:
    """Turn the first Ctrl-C or request to end into an orderly stop, and do not let a second one disturb it."""

    ends = [each for each in ENDS if signal.getsignal(each) is not signal.SIG_IGN]  # nohup stays in force

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for each in ends:
            signal.signal(each, signal.SIG_IGN)
        os.write(sys.stdout.fileno(), b"\nstopping ...\n")  # the console may be in the middle of a line
        raise KeyboardInterrupt(number)

    for each in ends:
        signal.signal(each, stop)
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped; the data are kept")


def _is_confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, default=False)
    except typer.Abort:
        raise RefusedError("nothing was deleted: nobody answered. Without a question: make reset YES=1") from None


def _forget_half_a_start(settings: Settings, progress: Progress) -> None:
    # The API has never served what an interrupted first start left, so nobody misses it.
    marker = settings.home / FIRST_START
    if not marker.exists():
        return
    if settings.database_url is not None:
        raise RefusedError(f"the first start was interrupted: empty the database and delete {marker}, then start again")
    progress.say("the first start was interrupted: starting over")
    embedded.erase(settings.home)
    marker.unlink()


def _start_servers(settings: Settings, progress: Progress) -> embedded.Servers:
    servers = embedded.start(
        settings.home, progress.say, database_url=settings.database_url, redis_url=settings.redis_url
    )
    own = [name for name, url in (("PostgreSQL", settings.database_url), ("Redis", settings.redis_url)) if url is None]
    if own:
        progress.say(f"{' and '.join(own)} ready")
    return servers


def _prepare_market(settings: Settings, urls: Urls, progress: Progress) -> list[Login]:
    """Migrate, and fill an empty market: with the demo, or with one admin."""
    _migrate(urls.database_url, progress)
    if asyncio.run(_has_people(urls.database_url)):
        office.say_what_is_missing(urls.database_url)
        return login_file.read(settings.home)
    from api import demo

    marker = settings.home / FIRST_START
    marker.touch()
    if settings.demo:
        logins = asyncio.run(demo.seed(settings, urls, progress.say))
    else:
        logins = [asyncio.run(demo.admin_only(settings, urls, progress.say))]
    login_file.write(settings.home, logins)
    marker.unlink()
    return logins


def _migrate(database_url: str, progress: Progress) -> None:
    from asyncpg import PostgresError
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from db.migrate import upgrade

    try:
        applied = asyncio.run(upgrade(database_url))
    except (OSError, PostgresError, SQLAlchemyError) as error:
        where = make_url(database_url).render_as_string(hide_password=True)
        raise RefusedError(f"the database at {where} cannot be migrated: {str(error).splitlines()[0]}") from error
    if applied:
        progress.say(f"schema migrated: {', '.join(applied)}")


def _make_logins(settings: Settings, database_url: str, progress: Progress) -> None:
    from asyncpg import PostgresError

    from db.separation import LoginRefused, make_login

    wanted = {
        "app": ("DATABASE_APP_URL", settings.database_app_url),
        "sealer": ("DATABASE_SEALER_URL", settings.database_sealer_url),
        "retention": ("DATABASE_RETENTION_URL", settings.database_retention_url),
    }
    for group, (name, url) in wanted.items():
        if url is None:
            continue
        try:
            login = asyncio.run(make_login(database_url, url, group))
        except (LoginRefused, OSError, PostgresError) as refusal:
            raise RefusedError(f"{name}: {refusal}") from None
        progress.say(f"{login} may act as {group}, with the password of {name}")


async def _has_people(database_url: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(database_url)
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM users)"))
    finally:
        await connection.close()


def _child_environment(settings: Settings, urls: Urls) -> dict[str, str]:
    """Name the embedded servers; what the operator gave, in files maybe, a child reads for itself."""
    known = {"CARBONDESK_HOME": str(settings.home)}
    if settings.database_url is None:
        known["DATABASE_URL"] = urls.database_url
    if settings.redis_url is None:
        known["REDIS_URL"] = urls.redis_url
    return os.environ | known


def _inherited(fd: int) -> "socket":
    import socket

    return socket.socket(fileno=fd)


def _has_traders(logins: list[Login]) -> bool:
    return any(login.role == "TRADER" for login in logins)


def _with_traders(logins: list[Login], progress: Progress) -> bool:
    """Tell whether there is somebody to simulate."""
    if not _has_traders(logins):
        progress.say("this market has no demo traders, so none are simulated")
        return False
    return True


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do something endless until a request to end, and let it tidy up."""
    task = asyncio.current_task()
    assert task is not None
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def _stop_children(children: "list[Child]") -> None:
    for child in reversed(children):  # the traders before the API that they call
        child.stop()


def _say_ready(settings: Settings, url: str, logins: list[Login], progress: Progress, *, flow: bool) -> None:
    progress.say(f"ready in {progress.seconds:.1f} s")
    rows = [("Dashboard", url), ("GraphQL", f"{url}/graphql")]
    admin = next((login for login in logins if login.role == "ADMIN"), None)
    if admin is not None:
        rows += [("Admin", f"{admin.email}  password {admin.password}"), ("All logins", str(settings.home / LOGINS))]
    if flow:
        rows.append(("Traders", "simulated ones keep the market moving"))
    rows.append(("Stop", "Ctrl-C; the data are kept"))
    console.print()
    for name, text in rows:
        console.print(f"  [bold]{name:<12}[/bold]", end="")
        console.print(text, markup=False)
    console.print()


def _look_after(servers: embedded.Servers, children: "list[Child]", progress: Progress) -> NoReturn:
    """Start again what dies, until a signal ends this."""
    while True:
        time.sleep(LOOK_S)
        for title in servers.revive():
            progress.say(f"{title} had ended and runs again")
        for child in children:
            child.revive(progress.say)
