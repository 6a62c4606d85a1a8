"""The program people start: what it refuses in one line, and that nothing outlives it."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from db import embedded

ROOT = Path(__file__).parents[2]
READY_WAIT_S = 60
END_WAIT_S = 20
SECOND_START_S = 5  # what the issue allows, from the first line to "ready"


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    cleared = {"DATABASE_URL": "", "DATABASE_APP_URL": "", "REDIS_URL": "", "HOST": "", "FLOW": ""}
    return os.environ | cleared | {"CARBONDESK_HOME": str(home), "PORT": str(port), "DEMO": "0"} | more


def carbondesk(*arguments: str, home: Path, port: int, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=environment(home, port, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READY_WAIT_S,
        check=False,
    )


@contextmanager
def running(home: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the whole program until it says that it is ready; give it and what it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "api", "run"], cwd=ROOT, env=environment(home, port), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            assert process.poll() is None, said
            yield process, said
        finally:
            process.terminate()
            process.wait(END_WAIT_S)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:  # our own
            return bool(answer.status == 200)
    except OSError:
        return False


def until(true: Callable[[], bool], wait_s: float = END_WAIT_S) -> None:
    deadline = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_taken_port_is_said_first_with_what_to_do_and_nothing_is_started(home: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = carbondesk("run", home=home, port=port)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert f"PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "eighty"), ("PORT", "70000"), ("DATABASE_URL", "mysql://u:hidden@h/d"), ("DEMO", "perhaps")],
)
def test_a_wrong_setting_is_refused_by_its_name_and_never_repeated(home: Path, variable: str, value: str) -> None:
    done = carbondesk("run", home=home, port=1, **{variable: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"carbondesk: {variable}: ")
    assert "hidden" not in done.stderr
    assert not home.exists()


@pytest.mark.parametrize(("command", "code"), [("serve", 1), ("verify", 2)])
def test_commands_that_need_a_running_market_say_so(home: Path, port: int, command: str, code: int) -> None:
    done = carbondesk(command, home=home, port=port)
    assert done.returncode == code
    assert "make run" in done.stderr
    assert "Traceback" not in done.stderr


def test_reset_without_an_answer_deletes_nothing(home: Path, port: int) -> None:
    home.mkdir()
    kept = home / "logins.json"
    kept.write_text("[]", encoding="ascii")
    done = carbondesk("reset", home=home, port=port)
    assert done.returncode == 1
    assert "YES=1" in done.stderr
    assert kept.exists()


def test_the_market_starts_is_found_again_and_ends_with_its_supervisor(home: Path, port: int) -> None:
    with running(home, port) as (process, said):
        assert f"http://127.0.0.1:{port}" in said
        assert answers(port)
        logins = home / "logins.json"
        assert stat.S_IMODE(logins.stat().st_mode) == 0o600
        [admin] = json.loads(logins.read_text(encoding="utf-8"))
        assert admin["role"] == "ADMIN"
        assert admin["email"] in said
        assert admin["password"] in said

        second = carbondesk("run", home=home, port=port)
        assert second.returncode == 1
        assert f"process {process.pid}" in second.stderr
        refused = carbondesk("reset", "--yes", home=home, port=port)
        assert refused.returncode == 1
        assert "stop it first" in refused.stderr
        assert answers(port)
    assert process.returncode == 0
    assert not answers(port)
    assert embedded.supervisor(home) is None

    with running(home, port) as (process, said):  # the data are kept and the second start is quick
        verified = carbondesk("verify", home=home, port=port)  # attaches, and leaves everything running
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "laws hold" in verified.stdout
        assert admin["email"] in said
        ready_s = re.search(r"ready in ([0-9.]+) s", said)
        assert ready_s is not None
        assert float(ready_s.group(1)) < SECOND_START_S


def test_what_dies_is_started_again_and_a_killed_supervisor_leaves_no_api(home: Path, port: int) -> None:
    with running(home, port) as (process, _):
        [api] = [child for child in psutil.Process(process.pid).children() if "serve" in child.cmdline()]
        api.kill()
        until(lambda: answers(port))
        postgres = int((home / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        os.kill(postgres, signal.SIGKILL)
        until(lambda: embedded_answers(home, postgres))
        [api] = [child for child in psutil.Process(process.pid).children() if "serve" in child.cmdline()]
        process.kill()
        process.wait()
        with running(home, port):  # takes port, data and servers over
            assert answers(port)
            assert not api.is_running() or api.status() == psutil.STATUS_ZOMBIE


def embedded_answers(home: Path, dead: int) -> bool:
    try:
        lines = (home / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return lines[0] != str(dead) and len(lines) >= 8 and lines[7].strip() == "ready"
