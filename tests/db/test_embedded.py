"""The embedded PostgreSQL and Redis: made, found again after any death, owned by one, closed to others."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, ResponseError

from db import embedded
from db.embedded import Urls

OWNER = """
import sys, time
from pathlib import Path
from db import embedded
servers = embedded.start(Path(sys.argv[1]), print)
print("up", flush=True)
time.sleep(60)
"""
SETTINGS = {
    "data_checksums": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "server_encoding": "UTF8",
    "synchronous_commit": "on",
}
SECOND_START_S = 1.5  # what design allows; 0.1 s on an idle machine


def mute(_: str) -> None:
    pass


@contextmanager
def owned_elsewhere(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process own the servers, as a supervisor does."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert any(line == "up\n" for line in process.stdout)
        try:
            yield process
        finally:
            process.kill()


async def one(urls: Urls, statement: str) -> object:
    connection = await asyncpg.connect(urls.database_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_the_servers_are_what_the_design_asks_for(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        connection = await asyncpg.connect(servers.urls.database_url)
        rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(SETTINGS))
        login = await connection.fetchrow(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        owner = await connection.fetchval(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        )
        order = await connection.fetchval("SELECT string_agg(t, '' ORDER BY t) FROM unnest('{a,B,é,Z}'::text[]) t")
        version = connection.get_server_version()
        await connection.close()
    assert version.major == 18
    assert {row["name"]: row["setting"] for row in rows} == SETTINGS
    assert login is not None
    assert tuple(login) == ("carbondesk", False, True, True)
    assert owner == "carbondesk"
    assert order == "BZaé"  # by code point, whatever the machine's locale says


async def test_data_and_urls_survive_a_restart_which_is_quick(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        first = servers.urls
        await one(first, "CREATE TABLE kept AS SELECT 42 AS figure")
    started = time.monotonic()
    with embedded.start(home, mute) as servers:
        took_s = time.monotonic() - started
        assert servers.urls == first
        assert await one(servers.urls, "SELECT figure FROM kept") == 42
    assert took_s < SECOND_START_S


async def test_wrong_passwords_are_refused_by_both(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        wrong = Urls(*(url.replace("@", "x@") for url in (servers.urls.database_url, servers.urls.redis_url)))
        with pytest.raises(AuthenticationError):
            Redis.from_url(wrong.redis_url).ping()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await one(wrong, "SELECT 1")


def test_redis_has_no_command_that_writes_files_or_loads_code(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        client = Redis.from_url(servers.urls.redis_url, decode_responses=True)
        assert client.info("memory")["maxmemory_policy"] == "noeviction"
        assert client.info("persistence")["aof_enabled"] == 0
        for command in ("CONFIG GET dir", "MODULE LIST", "DEBUG SLEEP 0", "REPLICAOF NO ONE", "SAVE"):
            with pytest.raises(ResponseError, match="unknown command"):
                client.execute_command(*command.split())  # type: ignore[no-untyped-call]
        client.close()


def test_passwords_are_readable_by_their_owner_alone_and_on_no_command_line(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        folder = home / "secrets"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        passwords = {path.name: path.read_text(encoding="ascii").strip() for path in folder.iterdir()}
        assert set(passwords) == {"postgres", "database", "redis"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        processes = [psutil.Process(servers.pid(name)) for name in ("postgres", "redis")]
        seen = [text for process in processes for text in (*process.cmdline(), *process.environ().values())]
        assert not any(password in text for password in passwords.values() for text in seen)
        assert not any(password in repr(servers.urls) for password in passwords.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its rights up")
def test_the_servers_of_root_run_without_its_rights(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        assert all(psutil.Process(servers.pid(name)).uids().real != 0 for name in ("postgres", "redis"))
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's servers reach what the user reaches")
async def test_what_the_servers_of_root_cannot_reach_lives_under_var_lib(home: Path) -> None:
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    said: list[str] = []
    with embedded.start(closed / "home", said.append) as servers:
        assert await one(servers.urls, "SELECT 1") == 1
        assert not (closed / "home" / "postgres").exists()
    assert any("/var/lib/carbondesk-" in line for line in said)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700  # left as it was
    gone = embedded.erase(closed / "home")
    assert any(path.parent == Path("/var/lib") for path in gone)
    assert not any(path.exists() for path in gone)


def test_a_second_owner_is_refused_and_the_first_goes_on(home: Path) -> None:
    with owned_elsewhere(home) as owner:
        with pytest.raises(embedded.AlreadyRunningError, match=f"process {owner.pid}"):
            embedded.start(home, mute)
        assert embedded.supervisor(home) == owner.pid
        with pytest.raises(embedded.AlreadyRunningError):
            embedded.erase(home)
        assert Redis.from_url(embedded.attach(home).redis_url).ping()


async def test_attach_finds_the_servers_and_leaves_them_running(home: Path) -> None:
    with pytest.raises(embedded.NotRunningError, match="make run"):
        embedded.attach(home)
    with embedded.start(home, mute) as servers:
        urls = embedded.attach(home)
        assert urls == servers.urls
        assert await one(urls, "SELECT 1") == 1
    with pytest.raises(embedded.NotRunningError):
        embedded.attach(home)


def test_given_urls_replace_the_servers(home: Path) -> None:
    with embedded.start(home, mute, database_url="postgresql://elsewhere/db") as servers:
        assert servers.urls.database_url == "postgresql://elsewhere/db"
        assert Redis.from_url(servers.urls.redis_url).ping()
        assert not (home / "postgres").exists()


async def test_a_killed_supervisor_leaves_nothing_in_the_way(home: Path) -> None:
    with owned_elsewhere(home) as owner:
        urls = embedded.attach(home)
        await one(urls, "CREATE TABLE kept AS SELECT 42 AS figure")
        owner.kill()
        owner.wait()
        assert embedded.was_killed(home)
        orphan = int((home / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        with embedded.start(home, mute) as servers:
            assert servers.urls == urls
            assert servers.pid("postgres") != orphan
            assert await one(servers.urls, "SELECT figure FROM kept") == 42
    assert not embedded.was_killed(home)


async def test_killed_servers_come_back_with_all_that_was_committed(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        await one(servers.urls, "CREATE TABLE kept AS SELECT 42 AS figure")
        assert servers.revive() == []
        for name in ("postgres", "redis"):
            os.kill(servers.pid(name), signal.SIGKILL)
            psutil.Process(servers.pid(name)).wait(5)
        assert servers.revive() == ["PostgreSQL", "Redis"]
        assert await one(servers.urls, "SELECT figure FROM kept") == 42
        assert Redis.from_url(servers.urls.redis_url).ping()


def test_a_stale_pid_file_that_names_a_stranger_is_no_obstacle_and_no_death_sentence(home: Path) -> None:
    with embedded.start(home, mute):
        pass
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (home / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n", encoding="ascii")
        with embedded.start(home, mute) as servers:
            assert psutil.Process(servers.pid("postgres")).is_running()
        assert stranger.poll() is None
        stranger.kill()


async def test_lost_passwords_are_replaced_and_the_data_stay(home: Path) -> None:
    with embedded.start(home, mute) as servers:
        before = servers.urls
        await one(before, "CREATE TABLE kept AS SELECT 42 AS figure")
    for path in (home / "secrets").iterdir():
        path.unlink()
    with embedded.start(home, mute) as servers:
        assert servers.urls != before
        assert await one(servers.urls, "SELECT figure FROM kept") == 42


def test_erase_deletes_what_is_ours_and_nothing_else(home: Path) -> None:
    with embedded.start(home, mute):
        pass
    (home / "note.txt").write_text("somebody else's", encoding="ascii")
    embedded.erase(home)
    assert [path.name for path in home.iterdir()] == ["note.txt"]


def test_a_home_that_cannot_be_used_is_refused_in_one_sentence(home: Path) -> None:
    home.write_text("a file", encoding="ascii")
    with pytest.raises(embedded.EmbeddedError, match="CARBONDESK_HOME"):
        embedded.start(home, mute)
    home.unlink()
