"""A standby of the embedded PostgreSQL, made with the wheel's own `pg_basebackup`: where analysts can be sent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from bench.parts.ground import Ground, free_port
from db.place import find_place, make_folder, run_as
from db.servers import LOOPBACK, POSTGRES_OPTIONS

READY_S_MAX = 60.0
STOP_S_MAX = 30.0


@contextlib.contextmanager
def standby_of(ground: Ground) -> Iterator[str]:
    """Copy the running server, let the copy follow it, and end it afterwards; yield the URL of the same database there.

    The superuser's password, which the copy needs to follow, stands in its data folder, as pg_basebackup writes it.
    """
    place = find_place(ground.home, lambda _: None)
    port, primary = free_port(), urlsplit(ground.database_url)
    owner = None if place.uid is None or place.gid is None else (place.uid, place.gid)
    folder = make_folder(ground.home / "standby", mode=0o700, owner=owner)
    password = (ground.home / "secrets" / "postgres").read_text(encoding="ascii").strip()
    source = f"host={LOOPBACK} port={primary.port} user=postgres password={password}"
    copy: list[str | Path] = [
        "-D",
        folder,
        "-d",
        source,
        "--write-recovery-conf",
        "--wal-method=stream",
        "--checkpoint=fast",
    ]
    run_as(place, [place.postgres_bin / "pg_basebackup", *copy], folder)
    options = POSTGRES_OPTIONS | {"port": str(port), "hot_standby": "on", "hot_standby_feedback": "on"}
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [place.postgres_bin / "postgres", "-D", folder, *settings],
        cwd=folder, user=place.uid, group=place.gid, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        extra_groups=None if place.uid is None else [], umask=0o077, env={"PATH": os.defpath, "TZ": "UTC"},
    )  # fmt: skip
    try:
        ends_at = time.monotonic() + READY_S_MAX
        while not _is_ready(folder / "postmaster.pid"):
            assert process.poll() is None and time.monotonic() < ends_at, "the standby did not start"
            time.sleep(0.05)
        login = primary.netloc.rpartition("@")[0]
        yield urlunsplit(primary._replace(netloc=f"{login}@{LOOPBACK}:{port}"))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S_MAX)


def _is_ready(file: Path) -> bool:
    try:
        return file.read_text(encoding="utf-8").splitlines()[7].strip() in ("ready", "standby")
    except (FileNotFoundError, IndexError):
        return False
