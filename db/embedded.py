"""The embedded default: a real PostgreSQL 18 and a real Redis, from the binaries inside two wheels.

Law: one supervisor owns the servers of a home (a lock that dies with it); everybody else attaches and never stops them.
A server is ended by its own pid, and one that a killed supervisor left behind only after its working folder proved that
it is ours.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

import psutil

from db.place import (
    EmbeddedError,
    find_place,
    forget_place,
    make_folder,
    open_private,
    state_folder,
    write_private,
)
from db.servers import (
    DATABASE,
    LOGS,
    LOOPBACK,
    PROBE_WAIT_S,
    STAGING,
    Passwords,
    Postgres,
    Redis,
    Say,
    Server,
)

__all__ = [
    "AlreadyRunningError",
    "EmbeddedError",
    "NotRunningError",
    "Servers",
    "Urls",
    "attach",
    "erase",
    "start",
    "supervisor",
    "was_killed",
]

SECRET_BYTES: Final = 24  # 192 bits: beyond guessing, and still one short line
POLL_S: Final = 0.01  # how often a starting server is looked at
LOCK_WAIT_S: Final = 1.0  # somebody who only looks at the lock, or a supervisor just ending, gets this long
START_WAIT_S: Final = 120.0  # crash recovery replays at most `max_wal_size` of log
START_TRIES_MAX: Final = 6  # a port can be taken between our look and the bind; backends of a killed server linger
START_PAUSE_S: Final = 0.2  # grows with each try: 3 s in all
ORPHAN_STOP_S: Final = 15.0  # then it is killed: its log of writes makes that safe

LOCK: Final = "supervisor.lock"
PORTS: Final = "ports.json"
SECRETS: Final = "secrets"


class AlreadyRunningError(EmbeddedError):
    """Say that another supervisor owns the servers of this home."""


class NotRunningError(EmbeddedError):
    """Say that there is nothing to attach to."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the two servers answer; the texts hold passwords and stay out of `repr`."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)


class Servers:
    """The servers of a home, owned by this process until `stop`."""

    def __init__(self, lock: IO[str]) -> None:
        """Hold the lock of a home; `start` adds the rest."""
        self.urls = Urls("", "")
        self._lock = lock
        self._running: list[Server] = []

    def pid(self, name: str) -> int:
        """Tell the process of `postgres` or `redis`."""
        return next(server.process.pid for server in self._running if server.name == name)

    def folder(self, name: str) -> Path:
        """Tell where the data of `postgres` or `redis` are."""
        return next(server.folder for server in self._running if server.name == name)

    def revive(self) -> list[str]:
        """Restart each server that died and name it; the URLs stay true.

        Raises: EmbeddedError where one does not come back.
        """
        dead = [server for server in self._running if server.process.poll() is not None]
        for server in dead:
            _end_orphans(server.folder, type(server))
            server.spawn()
        for server in dead:
            _settle(server, may_move=False)
        return [server.title for server in dead]

    def stop(self) -> None:
        """End the servers, PostgreSQL after a checkpoint, and free the home; a second call does nothing."""
        running, self._running = self._running, []
        for server in running:
            server.process.send_signal(server.stop_signal)
        for server in running:
            _wait_or_kill(server)
        if not self._lock.closed:
            self._lock.truncate(0)  # an empty file says that nothing was left running
            self._lock.close()  # never unlinked: somebody may hold the same file open

    def __enter__(self) -> Self:
        """Give the running servers."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        self.stop()


def start(
    home: Path, say: Say, *, database_url: str | None = None, redis_url: str | None = None, durable: bool = True
) -> Servers:
    """Create what is missing under `home`, start the servers that no given URL replaces, and own them.

    Raises: AlreadyRunningError, EmbeddedError.
    """
    home = home.resolve()
    with _refusals_named(home):
        make_folder(home)
        servers = Servers(_take_lock(home))
        try:
            _start_missing(servers, home, say, database_url, redis_url, durable=durable)
        except BaseException:
            servers.stop()
            raise
    return servers


def attach(home: Path, *, database_url: str | None = None, redis_url: str | None = None) -> Urls:
    """Find the running servers of a home, which stay their supervisor's.

    Raises: NotRunningError, EmbeddedError.
    """
    home = home.resolve()
    if database_url is not None and redis_url is not None:
        return Urls(database_url, redis_url)
    with _refusals_named(home):
        if supervisor(home) is None:
            raise NotRunningError(f"carbondesk is not running in {home}: start it with `make run`")
        passwords, fresh = _passwords(home)
        ports = _read_ports(home)
        answering = all(_answers(port) for port in ports.values())
        if fresh or not ports or not answering:
            raise NotRunningError(f"carbondesk is still starting in {home}: try again in a moment")
    return _urls(passwords, ports, database_url, redis_url)


def supervisor(home: Path) -> int | None:
    """Tell the process that owns the servers of a home, if there is one.

    Raises: EmbeddedError.
    """
    with _refusals_named(home), contextlib.suppress(FileNotFoundError), (home / LOCK).open(encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0)
    return None


def was_killed(home: Path) -> bool:
    """Tell whether the last supervisor of a home ended without stopping what it had started.

    Raises: EmbeddedError.
    """
    with _refusals_named(home):
        lock = home / LOCK
        return lock.is_file() and lock.stat().st_size > 0 and supervisor(home) is None


def erase(home: Path) -> list[Path]:
    """Delete the data, passwords and logs of a home whose servers do not run, and name what went.

    Raises: AlreadyRunningError, EmbeddedError.
    """
    home = home.resolve()
    if not home.is_dir():
        return []
    with _refusals_named(home), _take_lock(home):
        for root in (home, state_folder(home)):
            for kind in (Postgres, Redis):
                _end_processes_in(root / kind.name, kind.program)
        (home / LOCK).unlink()  # held until this block ends
        ours = [home / name for name in (Postgres.name, STAGING, Redis.name, LOGS, SECRETS, PORTS)]
        gone = [path for path in ours if path.exists()]
        for path in gone:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return [*gone, *forget_place(home)]


def _start_missing(
    servers: Servers, home: Path, say: Say, database_url: str | None, redis_url: str | None, *, durable: bool
) -> None:
    if database_url is not None and redis_url is not None:
        servers.urls = Urls(database_url, redis_url)
        return
    place = find_place(home, say)
    passwords, fresh = _passwords(home)
    kinds: list[type[Server]] = [kind for kind, url in ((Postgres, database_url), (Redis, redis_url)) if url is None]
    for kind in kinds:
        _end_orphans(place.root / kind.name, kind)  # before the ports are looked at: they may hold ours
    ports = _free_ports(_read_ports(home))
    wanted: list[Server] = [kind(place, ports[kind.name], passwords, durable=durable) for kind in kinds]
    for server in wanted:
        server.prepare(say, fresh=fresh)
    if fresh:
        _store_passwords(home, passwords)
    for server in wanted:
        server.spawn()
        servers._running.append(server)
    for server in wanted:
        _settle(server, may_move=True)
        ports[server.name] = server.port
    write_private(home / PORTS, json.dumps(ports))
    servers.urls = _urls(passwords, ports, database_url, redis_url)


def _urls(passwords: Passwords, ports: dict[str, int], database_url: str | None, redis_url: str | None) -> Urls:
    return Urls(
        database_url or f"postgresql://{DATABASE}:{passwords.database}@{LOOPBACK}:{ports['postgres']}/{DATABASE}",
        redis_url or f"redis://:{passwords.redis}@{LOOPBACK}:{ports['redis']}/0",
    )


@contextlib.contextmanager
def _refusals_named(home: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence."""
    try:
        yield
    except PermissionError as error:
        raise EmbeddedError(
            f"no permission for {error.filename or home}: start as the user who made {home}, "
            f"or set CARBONDESK_HOME to a folder of your own"
        ) from error
    except OSError as error:
        raise EmbeddedError(
            f"{home} cannot be used ({error.filename}: {error.strerror}): set CARBONDESK_HOME to another folder"
        ) from error


def _take_lock(home: Path) -> IO[str]:
    """Own the home until the file is closed or this process ends, however it ends."""
    lock = open_private(home / LOCK)  # not passed on to children: Python's files are not inherited
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.seek(0)
                owner = lock.read() or "unknown"
                lock.close()
                raise AlreadyRunningError(
                    f"carbondesk already runs in {home} (process {owner}): stop it first, "
                    f"or set CARBONDESK_HOME to another folder and PORT to another port"
                ) from None
            time.sleep(POLL_S)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _passwords(home: Path) -> tuple[Passwords, bool]:
    """Give the stored passwords, or fresh ones and True."""
    folder = home / SECRETS
    try:
        return Passwords(*((folder / name).read_text(encoding="ascii").strip() for name in Passwords.__slots__)), False
    except FileNotFoundError:
        return Passwords(*(secrets.token_urlsafe(SECRET_BYTES) for _ in Passwords.__slots__)), True


def _store_passwords(home: Path, passwords: Passwords) -> None:
    folder = make_folder(home / SECRETS, mode=0o700)
    for name in Passwords.__slots__:
        write_private(folder / name, f"{getattr(passwords, name)}\n")


def _read_ports(home: Path) -> dict[str, int]:
    try:
        ports = json.loads((home / PORTS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {name: int(ports[name]) for name in ("postgres", "redis") if name in ports}


def _free_ports(remembered: dict[str, int]) -> dict[str, int]:
    """Keep each remembered port that is still free and find one for the others."""
    return {
        name: remembered[name] if name in remembered and _is_free(remembered[name]) else _any_port()
        for name in ("postgres", "redis")
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: old connections do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=PROBE_WAIT_S).close()
    except OSError:
        return False
    return True


def _settle(server: Server, *, may_move: bool) -> None:
    """Wait until a spawned server is ready, starting it again where its port or its last life was in the way."""
    deadline = time.monotonic() + START_WAIT_S
    tries = 1
    while not server.ready():
        if server.process.poll() is not None:
            if tries == START_TRIES_MAX:
                raise EmbeddedError(f"{server.title} does not start: {server.last_words()}")
            time.sleep(START_PAUSE_S * tries)
            tries += 1
            if may_move and not _is_free(server.port):
                server.port = _any_port()
            server.spawn()
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{server.title} is not ready after {START_WAIT_S:.0f} s: see {server.place.home / LOGS}"
            )
        time.sleep(POLL_S)


def _wait_or_kill(server: Server) -> None:
    for harsher in (signal.SIGQUIT, signal.SIGKILL):
        try:
            server.process.wait(server.stop_wait_s)
            return
        except subprocess.TimeoutExpired:
            server.process.send_signal(harsher)
    server.process.wait()


def _end_orphans(folder: Path, kind: type[Server]) -> None:
    """End what a killed supervisor, or a killed PostgreSQL, left running in a data folder."""
    if kind is Postgres and not (folder / "postmaster.pid").exists():
        return  # the last stop was a clean one
    _end_processes_in(folder, kind.program)
    # PostgreSQL refuses to start where this file names a living process, also when that is somebody else's by now.
    (folder / "postmaster.pid").unlink(missing_ok=True)


def _end_processes_in(folder: Path, program: str) -> None:
    # Both servers work in their data folder, so it proves whose they are; ids and names alone prove nothing.
    ours = [process for process in psutil.process_iter(["name", "cwd", "ppid"]) if _is_in(process, folder, program)]
    pids = {process.pid for process in ours}
    heads = [process for process in ours if process.info["ppid"] not in pids]  # they end their children themselves
    for process in heads:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    stubborn = _still_there(ours, ORPHAN_STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _still_there(stubborn, ORPHAN_STOP_S)


def _still_there(processes: list[psutil.Process], wait_s: float) -> list[psutil.Process]:
    """Wait for processes that are not our children to end and give those that did not."""
    deadline = time.monotonic() + wait_s
    while (alive := [process for process in processes if _is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE  # its new parent may not reap it soon
    except psutil.NoSuchProcess:
        return False


def _is_in(process: psutil.Process, folder: Path, program: str) -> bool:
    return bool(process.info["name"] == program and process.info["cwd"] == str(folder))
