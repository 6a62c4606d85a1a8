"""The processes of one `carbondesk run`: the API and what else is started beside it.

Law: a child never outlives its supervisor. Each one holds the reading end of a pipe whose other end only the supervisor
has, so that it also learns of a supervisor that was killed. The listening socket is the supervisor's: while the API is
started again, callers wait instead of being refused.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Final

BACKLOG: Final = 1024  # connections that wait while the API is started again
POLL_S: Final = 0.05  # how often a starting API is asked whether it is ready
READY_WAIT_S: Final = 60.0  # imports, pools and the books of a long day
PROBE_WAIT_S: Final = 2.0
STOP_WAIT_S: Final = 15.0  # longer than the API's own grace for open requests
ORPHAN_WAIT_S: Final = 3.0  # an API without supervisor has no database soon: it does not wait for its callers
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 10.0
STABLE_S: Final = 60.0  # a child that lived this long starts with the first pause again

Say = Callable[[str], None]


class PortError(Exception):
    """Say why the address cannot be listened on, and what to do."""


class StartError(Exception):
    """Say that a child did not come up."""


class Child:
    """One `python -m api …`, started again with growing pauses when it dies."""

    def __init__(
        self,
        title: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        fd: int | None = None,
        stop_wait_s: float = STOP_WAIT_S,
        told: bytes = b"",
    ) -> None:
        """Remember how to start it, and what to tell it by its standard input; `start` does."""
        self.title = title
        self.command = [sys.executable, "-m", "api", *arguments]
        self._environment = dict(environment)
        self._fd = fd
        self._told = told
        self._stop_wait_s = stop_wait_s
        self._pause_s = BACKOFF_FIRST_S
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process in a session of its own: a Ctrl-C in the terminal is for the supervisor alone."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # of the life before
        self._process = subprocess.Popen(
            self.command,
            env=self._environment,
            stdin=subprocess.PIPE,  # it closes when we end
            pass_fds=() if self._fd is None else (self._fd,),
            start_new_session=True,
            bufsize=0,
        )
        if self._told and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already, which is noticed elsewhere
                self._process.stdin.write(self._told)
        self._started_at = time.monotonic()
        self._restart_at = None

    def exit_code(self) -> int | None:
        """Tell how the process ended; None while it lives."""
        return self._process.poll() if self._process is not None else None

    def revive(self, say: Say) -> None:
        """Notice that the process died, say so, and start it again when its pause is over."""
        code = self.exit_code()
        if code is None:
            return
        now = time.monotonic()
        if self._restart_at is None:
            if now - self._started_at > STABLE_S:
                self._pause_s = BACKOFF_FIRST_S
            say(f"{self.title} ended ({_reason(code)}): starting it again in {self._pause_s:g} s")
            self._restart_at = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, BACKOFF_MAX_S)
        elif now >= self._restart_at:
            self.start()

    def stop(self) -> None:
        """End the process, by force where it does not end by itself."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self._stop_wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def listen(host: str, port: int) -> socket.socket:
    """Take the address before anything else is started.

    Raises: PortError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise PortError(f"HOST={host} is no address of this machine") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last run do not count
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortError(_why_not(error, host, port)) from None
    return listener


def wait_ready(child: Child, url: str) -> None:
    """Wait until the API says that it can serve.

    Raises: StartError.
    """
    deadline = time.monotonic() + READY_WAIT_S
    while not _answers(f"{url}/readyz"):
        code = child.exit_code()
        if code is not None:
            raise StartError(f"{child.title} did not start ({_reason(code)}): the lines above say why")
        if time.monotonic() > deadline:
            raise StartError(f"{child.title} is not ready after {READY_WAIT_S:.0f} s: {url}/readyz says why")
        time.sleep(POLL_S)


def end_with_parent() -> None:
    """Let this child end when its supervisor does, however that ends."""
    threading.Thread(target=_wait_for_parent, name="parent", daemon=True).start()


def url_of(host: str, port: int) -> str:
    """Give the address that a person on this machine opens."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not listened on
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return f"port {port} on {host} is taken: stop what uses it, or choose another one with PORT={other}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed for this user: choose one above 1023 with PORT=8000"
    return f"HOST={host} PORT={port} cannot be listened on: {error.strerror}"


def _answers(url: str) -> bool:
    # The address is our own, so a proxy of the environment must not be asked for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PROBE_WAIT_S) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _wait_for_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when the other end of the pipe is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_WAIT_S)
    os._exit(1)
