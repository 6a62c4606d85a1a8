"""The operator's commands: each change leaves a ticket without a user, with the tag `cli`; no secret is recorded."""

from __future__ import annotations

import asyncio
import getpass
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings
from tests.conftest import fresh_database
from tests.world import PASSWORD, Api, environment

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60


async def carbondesk(
    settings: Settings, *arguments: str, stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Type a command on the machine of the market."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=environment(settings) | more,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a command said on standard error beside log lines, which a busy machine may cause."""
    return [line for line in done.stderr.splitlines() if not line.startswith("{")]


async def typed(api: Api, settings: Settings, *arguments: str, stdin: str = "") -> tuple[str, Any]:
    """Type a command that makes one attempt; return what it said and its ticket's row."""
    count = await api.ticket_count()
    done = await carbondesk(settings, *arguments, stdin=stdin)
    assert (done.returncode, complaints(done)) == (0, [])
    (row,) = await api.tickets_since(count)
    assert f"(ticket {row['ticket_id']})" in done.stdout
    assert (row["user_id"], row["session_id"], row["status"]) == (None, None, "SUCCESS")
    assert "cli" in row["tags"]
    assert row["user_agent"] == f"carbondesk cli, {getpass.getuser()}"
    return done.stdout, row


async def test_an_admin_is_created_and_his_password_shown_once(api: Api, settings: Settings) -> None:
    said, row = await typed(api, settings, "admin", "create", "--email", "ops@desk.test", "--name", "Ops")
    assert (row["action_type"], row["summary"]) == ("USER_CREATED", "Created ADMIN")
    password = re.search(r"^password (\S+)$", said, re.MULTILINE)
    assert password is not None
    assert "created ADMIN ops@desk.test" in said
    assert password[1] not in row["request_payload"]
    assert (await api.ask("{ me { role } }", await api.login("ops@desk.test", password[1])))["me"]["role"] == "ADMIN"
    said, _ = await typed(
        api, settings, "admin", "create", "--email", "two@desk.test", "--name", "Two", "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    assert PASSWORD not in said
    assert await api.login("two@desk.test")


@pytest.mark.parametrize(("email", "stdin", "code", "message"), [
    ("ADMIN", "", "EMAIL_TAKEN", "belongs to another user already"),
    ("new@desk.test", "short\n", "INVALID_INPUT", "A password has 15 to 128 characters"),
    ("nobody", "", "INVALID_INPUT", "Enter a valid email address"),
])  # fmt: skip
async def test_a_refused_command_is_one_line_and_a_failed_ticket(
    api: Api, settings: Settings, email: str, stdin: str, code: str, message: str
) -> None:
    before, count = await api.state(), await api.ticket_count()
    asked = ["--email", api.admin_email if email == "ADMIN" else email, "--name", "N"]
    done = await carbondesk(settings, "admin", "create", *asked, *(["--password-stdin"] if stdin else []), stdin=stdin)
    (row,) = await api.tickets_since(count)
    assert done.returncode == 1
    assert (row["action_type"], row["status"], row["error_code"]) == ("USER_CREATED", "FAILED", code)
    (complaint,) = complaints(done)
    assert complaint.startswith("carbondesk: ")
    assert message in complaint
    assert row["ticket_id"] in complaint
    assert "password" not in done.stdout
    assert await api.state() == before


async def test_who_there_is_is_listed_without_a_ticket(api: Api, settings: Settings) -> None:
    trader, maker = await api.trader(), await api.maker()
    count = await api.ticket_count()
    everybody = await carbondesk(settings, "users")
    assert everybody.returncode == 0
    assert everybody.stdout.splitlines()[0].split() == ["EMAIL", "NAME", "ROLE", "ACTIVE", "KYC", "CREATED"]
    (line,) = [line for line in everybody.stdout.splitlines() if trader.email in line]
    assert line.split()[1:5] == ["Trader", "TRADER", "yes", "APPROVED"]
    assert maker["user"]["email"] in everybody.stdout
    admins = await carbondesk(settings, "users", "--role", "ADMIN", "--active")
    assert api.admin_email in admins.stdout
    assert trader.email not in admins.stdout
    wrong = await carbondesk(settings, "users", "--role", "BOSS")
    assert (wrong.returncode, "it is one of ADMIN, ANALYST, TRADER, MARKET_MAKER" in wrong.stderr) == (1, True)
    assert await api.ticket_count() == count


async def test_sessions_are_revoked(api: Api, settings: Settings) -> None:
    trader = await api.trader()
    said, row = await typed(api, settings, "sessions", "revoke", trader.email.upper())
    assert said.startswith(f"1 session of {trader.email.upper()} ended")
    assert (row["action_type"], row["entity_type"], row["entity_id"]) == ("ENTITY_MODIFIED", "USER", trader.id)
    assert (await api.post("{ me { id } }", None, trader.token)).status_code == 401
    count = await api.ticket_count()
    done = await carbondesk(settings, "sessions", "revoke", "nobody@desk.test")
    (failed,) = await api.tickets_since(count)
    assert (done.returncode, failed["error_code"]) == (1, "USER_NOT_FOUND")


async def test_settings_are_shown_and_changed(api: Api, settings: Settings) -> None:
    count = await api.ticket_count()
    shown = await carbondesk(settings, "settings")
    assert shown.stdout.splitlines() == ["halted      none", "price band  none", "market data public"]
    assert await api.ticket_count() == count
    said, row = await typed(api, settings, "settings", "--halt", "CEA", "--band", "7.5", "--closed")
    assert said.splitlines()[1:] == ["halted      CEA", "price band  7.50 %", "market data closed"]
    assert (row["action_type"], row["summary"]) == (
        "SETTINGS_CHANGED", "Halted: CEA; band: 7.50 %; market data: closed",
    )  # fmt: skip
    said, _ = await typed(api, settings, "settings", "--halt", "EUA", "--resume", "CEA", "--band", "none", "--public")
    assert said.splitlines()[1:] == ["halted      EUA", "price band  none", "market data public"]
    await typed(api, settings, "settings", "--resume", "EUA")
    for asked, message in (
        (["--halt", "CER"], "CER"),
        (["--band", "much"], "much"),
        (["--band", "101"], "at most 100"),
    ):
        done = await carbondesk(settings, "settings", *asked)
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (1, True, False)


async def test_a_start_without_an_admin_says_what_to_type(servers: Any, tmp_path: Path) -> None:
    async with fresh_database(servers) as url:
        empty = Settings(CARBONDESK_HOME=tmp_path, database_url=url, redis_url=servers.urls.redis_url)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        variables = environment(empty) | {"PORT": port, "HOST": "127.0.0.1"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api", "serve", cwd=ROOT, env=variables,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            line = (await asyncio.wait_for(process.stderr.readline(), SECONDS_MAX)).decode()
        finally:
            process.terminate()
            await process.wait()
        assert line.startswith("there is no active admin yet, so nobody can run the desk. Type: ")
        assert line.rstrip().endswith("admin create --email you@example.com --name 'Your Name'")
        done = await carbondesk(empty, "admin", "create", "--email", "you@example.com", "--name", "Your Name")
        assert done.returncode == 0, done.stderr
