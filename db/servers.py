"""The two embedded servers: their data folders, their command lines, and how they show that they are ready.

Of the wheels only the programs are used: their Python sides open folders, add users and trust everybody.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ClassVar, Final

from db.place import ENVIRONMENT, EmbeddedError, Place, make_folder, open_private, run_as, write_private

DATABASE: Final = "carbondesk"  # name of the database and of the login that owns it
LOOPBACK: Final = "127.0.0.1"
POSTGRES_MAJOR: Final = "18"
LOG_BYTES_MAX: Final = 8 * 1024 * 1024  # at start a longer log becomes `.1`, so two of them are kept at most
LOG_TAIL_BYTES: Final = 1000  # a server that does not start says why in its last lines
PROBE_WAIT_S: Final = 1.0  # a server on loopback that does not answer in this time is not ready
LOGS: Final = "log"
STAGING: Final = "postgres.new"

POSTGRES_OPTIONS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # paths of homes are longer than the name of a socket may be
    "max_connections": "200",  # pools of several API processes, readers, sealer and tests beside each other
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints in a burst of orders
    "password_encryption": "scram-sha-256",
    "synchronous_commit": "on",
    "jit": "off",  # our statements are short: compiling one costs more than running it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "cluster_name": "carbondesk",
}
DURABLE: Final = {"fsync": "on", "full_page_writes": "on"}
FLEETING: Final = {"fsync": "off", "full_page_writes": "off"}  # for tests, whose data die with them

REDIS_OPTIONS: Final = {
    "bind": LOOPBACK,
    "protected-mode": "yes",
    "daemonize": "no",
    "save": '""',  # Redis dispenses and transports here: what it forgets, PostgreSQL knows
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",  # a refused write is seen and handled, an evicted key is silent
    "client-output-buffer-limit": "pubsub 32mb 8mb 10",  # a process that does not read its channel is cut off
}
# Commands that write files, load code or make this server follow another one: nobody here needs them.
REDIS_COMMANDS_OFF: Final = ("CONFIG", "DEBUG", "MODULE", "REPLICAOF", "SLAVEOF", "SAVE", "BGSAVE")


Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Passwords:
    """Passwords of the bootstrap superuser, of the owner login and of Redis."""

    postgres: str = field(repr=False)
    database: str = field(repr=False)
    redis: str = field(repr=False)


class Server(ABC):
    """One server: its data folder, its command line, and how it shows that it is ready."""

    name: ClassVar[str]  # of its folder, its log and its secret
    title: ClassVar[str]
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    stop_wait_s: ClassVar[float]

    def __init__(self, place: Place, port: int, passwords: Passwords, *, durable: bool) -> None:
        self.place = place
        self.port = port
        self.passwords = passwords
        self.durable = durable
        self.folder = place.root / self.name
        self.process: subprocess.Popen[bytes]

    @abstractmethod
    def prepare(self, say: Say, *, fresh: bool) -> None:
        """Make the data folder, or bring it up to the passwords where these are fresh."""

    @abstractmethod
    def command(self) -> list[str]:
        """Give program and arguments; no password is among them."""

    @abstractmethod
    def ready(self) -> bool:
        """Tell whether the process takes connections."""

    def configuration(self) -> bytes:
        """Give what the server reads from its standard input, where a password is seen by nobody else."""
        return b""

    def last_words(self) -> str:
        """Give the end of its log."""
        text = (self.place.home / LOGS / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")
        return text[-LOG_TAIL_BYTES:].strip()

    def owner(self) -> tuple[int, int] | None:
        return None if self.place.uid is None or self.place.gid is None else (self.place.uid, self.place.gid)

    def spawn(self) -> None:
        """Start the process, in a session of its own: a Ctrl-C in the terminal is for the supervisor alone."""
        with _open_log(self.place.home, self.name) as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=ENVIRONMENT,
                start_new_session=True,
                user=self.place.uid,
                group=self.place.gid,
                extra_groups=None if self.place.uid is None else [],
                umask=0o077,
            )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its log says why
            self.process.stdin.write(self.configuration())
            self.process.stdin.close()


class Postgres(Server):
    name = "postgres"
    title = "PostgreSQL"
    program = "postgres"
    stop_signal = signal.SIGINT  # "fast": sessions end, one checkpoint
    stop_wait_s = 30.0

    def prepare(self, say: Say, *, fresh: bool) -> None:
        if not self.folder.exists():
            self._create(say)
            return
        try:
            major = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise EmbeddedError(f"{self.folder} is no database: move it away and start again") from None
        if major != POSTGRES_MAJOR:
            raise EmbeddedError(
                f"{self.folder} is of PostgreSQL {major}, this is {POSTGRES_MAJOR}: dump it with that one"
            )
        if fresh:
            say("the passwords are gone: giving the database new ones")
            self._run_alone(
                self.folder,
                f"ALTER ROLE postgres PASSWORD '{self.passwords.postgres}';",
                f"ALTER ROLE {DATABASE} PASSWORD '{self.passwords.database}';",
            )

    def _create(self, say: Say) -> None:
        # Everything happens in a staging folder that is renamed at the end: there is never half a database.
        say("creating the database (PostgreSQL 18)")
        staging = self.place.root / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        make_folder(staging, mode=0o700, owner=self.owner())
        password, data = staging / "password", staging / "data"
        write_private(password, f"{self.passwords.postgres}\n")
        options = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--data-checksums"]
        # The builtin provider sorts by code point, as C.UTF-8 of libc does, and no update of libc changes an index.
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [*locale, "--text-search-config=simple", *([] if self.durable else ["--no-sync"])]
        run_as(self.place, [self.place.postgres_bin / "initdb", *options, "-D", data], staging)
        login = "LOGIN NOSUPERUSER CREATEROLE CREATEDB"
        self._run_alone(
            data,
            f"CREATE ROLE {DATABASE} {login} PASSWORD '{self.passwords.database}';",
            f"CREATE DATABASE {DATABASE} OWNER {DATABASE};",
        )
        data.rename(self.folder)
        shutil.rmtree(staging)

    def _run_alone(self, data: Path, *statements: str) -> None:
        # Single-user mode: the superuser never needs to connect, and no port is open before the passwords are set.
        program = self.place.postgres_bin / self.program
        # A refused statement holds a password, so it must not be repeated in what we report.
        options = ["-c", "password_encryption=scram-sha-256", "-c", "log_min_error_statement=panic"]
        alone: list[str | Path] = [program, "--single", "-D", data, *options, "postgres"]
        said = run_as(self.place, alone, data, "".join(f"{statement}\n" for statement in statements))
        if "ERROR:" in said:  # its exit code is 0 all the same
            raise EmbeddedError(f"the database could not be prepared: {said[-LOG_TAIL_BYTES:]}")

    def command(self) -> list[str]:
        options = POSTGRES_OPTIONS | (DURABLE if self.durable else FLEETING) | {"port": str(self.port)}
        settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        return [str(self.place.postgres_bin / self.program), "-D", str(self.folder), *settings]

    def ready(self) -> bool:
        # The server itself writes its pid in the first line of this file and its state in the eighth.
        try:
            lines = (self.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"


class Redis(Server):
    name = "redis"
    title = "Redis"
    program = "redis-server"
    stop_signal = signal.SIGTERM
    stop_wait_s = 5.0  # it has nothing to write

    def prepare(self, say: Say, *, fresh: bool) -> None:
        make_folder(self.folder, mode=0o700, owner=self.owner())

    def command(self) -> list[str]:
        return [str(self.place.redis_server), "-"]

    def configuration(self) -> bytes:
        options = REDIS_OPTIONS | {"port": str(self.port), "requirepass": self.passwords.redis}
        lines = [f"{name} {value}" for name, value in options.items()]
        lines += [f'rename-command {command} ""' for command in REDIS_COMMANDS_OFF]
        return "\n".join([*lines, ""]).encode()

    def ready(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=PROBE_WAIT_S) as connection:
                connection.sendall(f"AUTH {self.passwords.redis}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(100)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def _open_log(home: Path, name: str) -> IO[str]:
    path = make_folder(home / LOGS, mode=0o700) / f"{name}.log"
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return open_private(path)
