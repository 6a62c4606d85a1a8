"""What an operator does at the command line: the first admin, who there is, ending sessions, the settings.

Each change is an attempt like any other, with a ticket: its user is null, its tag is `cli`, and its user agent says who
typed it. It is for whoever holds the login of the database, when nobody can sign in.
"""

import asyncio
import contextlib
import secrets
import shlex
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.console import RefusedError, complaints, console, who
from api.settings import load
from db import embedded

if TYPE_CHECKING:
    from api.context import Services
    from db.transaction import Write
    from db.unit import Answer

TAGS: Final = ("cli",)
# Read aloud and typed without doubt: no 0/o, no 1/l/i. 20 of 31 symbols are 99 bits.
PASSWORD_SYMBOLS: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # noqa: S105 - an alphabet
PASSWORD_GROUPS: Final = 4
PASSWORD_GROUP_LENGTH: Final = 5
CREATE_ADMIN: Final = "admin create --email you@example.com --name 'Your Name'"

admin = typer.Typer(help="Who runs the desk.", no_args_is_help=True)
sessions = typer.Typer(help="Who is signed in.", no_args_is_help=True)


@admin.callback()
def _admin() -> None:
    """Admins are created here when nobody can sign in to do it."""


@sessions.callback()
def _sessions() -> None:
    """Sessions are ended here when nobody can sign in to do it."""


@admin.command("create")
def create_admin(
    email: Annotated[str, typer.Option(help="Address to sign in with.")],
    name: Annotated[str, typer.Option(help="Display name.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of making one up.")
    ] = False,
) -> None:
    """Create an admin; prints a password once, unless one is given."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else new_password()
    answer = asyncio.run(_create_admin(email, name, password))
    _say(f"created ADMIN {email.strip()}", answer)
    if not password_stdin:
        console.print(f"password {password}", markup=False)
        console.print("It is shown this once. Sign in and change it.")


@sessions.command("revoke")
def revoke_sessions(email: Annotated[str, typer.Argument(help="Whose sessions.")]) -> None:
    """End every session of a user."""
    answer = asyncio.run(_revoke(email))
    ended = len(answer.outcome.session_ids) if answer.outcome else 0
    _say(f"{ended} session{'' if ended == 1 else 's'} of {email} ended", answer)


def users(
    role: Annotated[str | None, typer.Option(help="ADMIN, ANALYST, TRADER or MARKET_MAKER only.")] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Only those.")] = None,
) -> None:
    """List who there is."""
    rows = asyncio.run(_users(role, active))
    table = [("EMAIL", "NAME", "ROLE", "ACTIVE", "KYC", "CREATED"), *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), markup=False)


def settings(
    halt: Annotated[list[str] | None, typer.Option(help="Halt a certificate, CEA or EUA; may be repeated.")] = None,
    resume: Annotated[list[str] | None, typer.Option(help="Let a certificate trade again; may be repeated.")] = None,
    band: Annotated[str | None, typer.Option(help="Price band in percent, or `none`.")] = None,
    public: Annotated[bool | None, typer.Option("--public/--closed", help="Market data for anybody.")] = None,
) -> None:
    """Show the settings of the market, and change what is named."""
    _check_certificates([*(halt or ()), *(resume or ())])
    answer, now = asyncio.run(_settings(set(halt or ()), set(resume or ()), band, public))
    if answer is not None:
        _say("settings changed", answer)
    percent = "none" if now.price_band_percent is None else f"{now.price_band_percent:f} %"
    console.print(f"halted      {', '.join(now.halted_certificates) or 'none'}")
    console.print(f"price band  {percent}")
    console.print(f"market data {'public' if now.public_market_data else 'closed'}")


def say_what_is_missing(database_url: str) -> None:
    """Say what to type when nobody can run the desk; silent where that cannot be found out, as the start will tell."""
    import asyncpg

    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        if not asyncio.run(_has_admin(database_url)):
            complaints.print(
                f"there is no active admin yet, so nobody can run the desk. Type: {program()} {CREATE_ADMIN}",
                markup=False,
            )


def new_password() -> str:
    """Return a password to be read out once."""
    symbols = [secrets.choice(PASSWORD_SYMBOLS) for _ in range(PASSWORD_GROUPS * PASSWORD_GROUP_LENGTH)]
    starts = range(0, len(symbols), PASSWORD_GROUP_LENGTH)
    return "-".join("".join(symbols[start : start + PASSWORD_GROUP_LENGTH]) for start in starts)


def program() -> str:
    """Return how this program is called here."""
    return "carbondesk" if Path(sys.argv[0]).name == "carbondesk" else f"{shlex.quote(sys.executable)} -m api"


# --------------------------------------------------------------------------------------------------- what they come to


async def _create_admin(email: str, name: str, password: str) -> "Answer[Any]":
    import db.people
    from domain.people import UserRole, new_user

    async with _opened() as opened:
        password_hash = await opened.passwords.hash(password)

        async def work(write: "Write") -> Any:
            return await db.people.create(write, new_user(email, name, UserRole.ADMIN, password), password_hash)

        asked = {"email": email, "name": name, "role": UserRole.ADMIN.value, "password": password}
        return await _attempt(opened, "createUser", {"input": asked}, work)


async def _revoke(email: str) -> "Answer[Any]":
    import db.people
    import db.sessions

    async with _opened() as opened:
        found = await db.people.id_of(opened.pool, email)
        user_id = str(found) if found else email

        async def work(write: "Write") -> Any:
            return await db.sessions.revoke_asked(write, None, user_id, None)

        return await _attempt(opened, "revokeSessions", {"userId": user_id}, work)


async def _settings(
    halt: set[str], resume: set[str], band: str | None, public: bool | None
) -> "tuple[Answer[Any] | None, Any]":
    import db.certificates
    from domain.certificates import SettingsChange, check_settings
    from domain.money import CertificateType

    async with _opened() as opened:
        now = await db.certificates.settings(opened.reader)
        if not (halt or resume or band is not None or public is not None):
            return None, now
        halted = frozenset(map(CertificateType, ({*now.halted_certificates} | halt) - resume))
        percent = _percent(band)
        change = SettingsChange(halted, band is not None, percent, public)

        async def work(write: "Write") -> Any:
            return await db.certificates.update_settings(write, check_settings(change))

        asked = {"haltedCertificates": sorted(halted), "priceBandPercent": band, "publicMarketData": public}
        answer = await _attempt(opened, "updateSettings", {"input": asked}, work)
        return answer, answer.outcome.settings if answer.outcome else now


def _percent(band: str | None) -> Decimal | None:
    if band is None or band == "none":
        return None
    try:
        return Decimal(band)
    except InvalidOperation:
        raise RefusedError(f"--band is a number of percent, or `none`; not {band!r}") from None


def _check_certificates(names: list[str]) -> None:
    from domain.money import CertificateType

    for name in names:
        if name not in set(CertificateType):
            raise RefusedError(f"there is no certificate {name!r}: it is one of {', '.join(CertificateType)}")


async def _users(role: str | None, active: bool | None) -> list[tuple[str, ...]]:
    import db.people
    from api.app import database_name
    from db.read import PAGE_SIZE_MAX, Reader, Window
    from domain.people import UserRole

    if role is not None and role not in set(UserRole):
        raise RefusedError(f"there is no role {role!r}: it is one of {', '.join(UserRole)}")
    wanted = db.people.UserFilter(role=None if role is None else UserRole(role), is_active=active)
    url = _urls().database_url
    reader = Reader.open(url, role=f"{database_name(url)}_app", size_max=1)
    rows: list[tuple[str, ...]] = []
    after: str | None = None
    try:
        while True:
            page = await db.people.USERS.page(reader, wanted, Window(PAGE_SIZE_MAX, after))
            for _, user in page.items:
                is_active = "yes" if user.is_active else "no"
                created = f"{user.created_at:%Y-%m-%d}"
                rows.append((user.email, user.name, user.role.value, is_active, user.kyc_status.value, created))
            if not page.has_next:
                return rows
            after = page.items[-1][0]
    finally:
        await reader.close()


async def _has_admin(database_url: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(database_url)
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM users WHERE role = 'ADMIN' AND is_active)"))
    finally:
        await connection.close()


# ------------------------------------------------------------------------------------------------------------ attempts


def _urls() -> embedded.Urls:
    known = load()
    return embedded.attach(known.home, database_url=known.database_url, redis_url=known.redis_url)


@contextlib.asynccontextmanager
async def _opened() -> "AsyncIterator[Services]":
    """Open the market that the environment names, as a process of its own."""
    from api import logs
    from api.app import services

    logs.configure()  # warnings go to standard error; what a command answers stands alone on standard output
    urls = _urls()
    known = {"database_url": urls.database_url, "redis_url": urls.redis_url}
    async with services(load().model_copy(update=known)) as opened:
        yield opened


async def _attempt(
    opened: "Services", field: str, arguments: Mapping[str, Any], work: "Callable[[Write], Awaitable[Any]]"
) -> "Answer[Any]":
    """Do what a mutation does, as the operator."""
    from api.tickets import DECLARED  # filled by the schema, which `_opened` has imported
    from db import ids
    from domain.tickets import Attempt

    declared = DECLARED[field]
    attempt = Attempt(
        attempt_id=ids.new(),
        field=declared.name,
        action_type=declared.action,
        request=declared.recorded(arguments),
        started_at_ns=time.monotonic_ns(),
        user_agent=f"carbondesk cli, {who()}",
        tags=TAGS,
    )
    return await opened.units.run(attempt, work, declared.tell, declared.outcome_of)


def _say(done: str, answer: "Answer[Any]") -> None:
    if answer.refusal:
        raise RefusedError(f"{answer.refusal.message} (ticket {answer.ticket_id})")
    console.print(f"{done} (ticket {answer.ticket_id})", markup=False)
