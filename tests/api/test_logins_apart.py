"""A market as docker-compose.yml runs it: logins made by `migrate --logins`, secrets in files, each with its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from api import supervisor
from api.settings import variables
from api.supervisor import Child
from db.embedded import Servers
from tests.conftest import drop_database, urls_of

LOGINS = ("app", "sealer", "retention")


@dataclass
class Stack:
    """A new database, the files with its secrets, and its servers."""

    servers: Servers
    name: str
    folder: Path

    def environment(self, *secret: str) -> dict[str, str]:
        """Return what a container of that service has: files of its own secrets, and no other."""
        ours = {name for name, _ in variables()} | {f"{name}_FILE" for name, _ in variables()}
        plain = {name: value for name, value in os.environ.items() if name not in ours}
        files = {f"{one.upper()}_FILE": str(self.folder / one) for one in (*secret, "redis_url")}
        home = str(self.folder / "home")
        return {**plain, **files, "CARBONDESK_ENV": "production", "DEMO": "0", "CARBONDESK_HOME": home}

    def carbondesk(self, *arguments: str, secret: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api", *arguments],
            env=self.environment(*secret), capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip


ALL = ("database_url", *(f"database_{login}_url" for login in LOGINS))


@pytest.fixture(scope="module")
async def stack(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    name = f"apart_{secrets.token_hex(4)}"
    folder = tmp_path_factory.mktemp("secrets")
    owner_url = urls_of(name, servers.urls.database_url)
    parts = urlsplit(owner_url)
    (folder / "database_url").write_text(owner_url)
    (folder / "redis_url").write_text(servers.urls.redis_url)
    for login in LOGINS:
        host = f"{name}_{login}_login:{secrets.token_urlsafe(12)}@{parts.hostname}:{parts.port}"
        (folder / f"database_{login}_url").write_text(urlunsplit(parts._replace(netloc=host)) + "\n")
    owner = await asyncpg.connect(servers.urls.database_url)
    await owner.execute(f'CREATE DATABASE "{name}"')
    yield Stack(servers, name, folder)
    await drop_database(owner, name)
    for login in LOGINS:
        await owner.execute(f'DROP ROLE IF EXISTS "{name}_{login}_login"')
    for group in ("app", "sealer", "retention", "analyst"):
        await owner.execute(f'DROP ROLE IF EXISTS "{name}_{group}"')
    await owner.close()


async def test_logins_are_made_with_the_rights_of_one_group_each(stack: Stack) -> None:
    done = stack.carbondesk("migrate", "--logins", secret=ALL)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for login in LOGINS:
        url = (stack.folder / f"database_{login}_url").read_text().strip()
        assert f"{stack.name}_{login}_login may act as {login}" in said
        assert str(urlsplit(url).password) not in said
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(f'SET ROLE "{stack.name}_{login}"')
            others = [one for one in LOGINS if one != login]
            for other in others:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(f'SET ROLE "{stack.name}_{other}"')
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("UPDATE ticket_logs SET summary = 'x'")
        finally:
            await connection.close()


async def test_a_login_gets_the_password_that_its_url_has_now(stack: Stack) -> None:
    path = stack.folder / "database_retention_url"
    before = path.read_text().strip()
    parts = urlsplit(before)
    path.write_text(before.replace(parts.password or "", "another_password"))
    assert stack.carbondesk("migrate", "--logins", secret=ALL).returncode == 0
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(before)
    await (await asyncpg.connect(path.read_text().strip())).close()


async def test_the_owner_is_not_made_a_login_of_the_api(stack: Stack) -> None:
    kept = (stack.folder / "database_app_url").read_text()
    (stack.folder / "database_app_url").write_text((stack.folder / "database_url").read_text())
    refused = stack.carbondesk("migrate", "--logins", secret=ALL)
    (stack.folder / "database_app_url").write_text(kept)
    assert refused.returncode == 1 and "DATABASE_APP_URL: " in refused.stderr
    assert "owns the database: name another login" in refused.stderr and refused.stderr.count("\n") == 1


async def test_api_and_sealer_work_with_their_own_logins_alone(stack: Stack) -> None:
    made = stack.carbondesk("admin", "create", "--email", "a@desk.test", "--name", "A", secret=ALL)
    assert made.returncode == 0, made.stderr
    with supervisor.listen("127.0.0.1", 0) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        child = Child("the API", ["serve", "--supervised", str(listener.fileno())],
                      stack.environment("database_app_url"), listener.fileno())  # fmt: skip
        child.start()
    try:
        supervisor.wait_ready(child, base)
        async with httpx.AsyncClient() as client:
            ready = (await client.get(f"{base}/readyz")).json()
        assert (ready["mode"], ready["appendOnly"], ready["redis"]) == ("production", "by login", "ok")
    finally:
        child.stop()
    sealed = stack.carbondesk("seal", "--once", secret=("database_sealer_url",))
    assert sealed.returncode == 0, sealed.stderr
    assert "sealed by carbondesk/" in sealed.stdout
