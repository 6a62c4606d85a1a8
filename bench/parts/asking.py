"""Readers over HTTP, in a process of their own: `python -m bench.parts.asking` reads a plan, prints what it measured.

Each client keeps one connection and one request under way, on bare protocols, as bench/parts/load.py does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from bench.parts.load import summary


@dataclass(slots=True)
class Asking:
    """What to ask: bodies in turn, by so many clients, and what came of it. Units: seconds."""

    port: int
    path: str
    token: str | None
    bodies: list[str]
    clients: int
    warm_up: float
    seconds: float
    counts_from: float = 0.0
    latencies: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answered: int = 0
    bytes_max: int = 0


class Client(asyncio.Protocol):
    """One connection that asks, waits, and asks again until the end."""

    def __init__(self, asking: Asking, turn: int) -> None:
        self.asking, self.turn = asking, turn
        token = f"Authorization: Bearer {asking.token}\r\n" if asking.token else ""
        self.head = (
            f"POST {asking.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\n{token}Content-Length: "
        ).encode()
        self.buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.asking.faults.append(f"connection lost: {error!r}")
            self.done.set_result(None)

    def send(self) -> None:
        body = self.asking.bodies[self.turn % len(self.asking.bodies)].encode()
        self.turn += 1
        self.sent_at = time.perf_counter()
        self.transport.write(b"%b%d\r\n\r\n%b" % (self.head, len(body), body))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        if at < 0:
            self.asking.faults.append(f"no length: {head[:200]!r}")
            self.done.set_result(None)
            return
        length = int(head[at + 15 :].split(b"\r", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        asking, now = self.asking, time.perf_counter()
        asking.answered += 1
        asking.bytes_max = max(asking.bytes_max, length)
        if b'"errors":[{' in self.buffer[end : end + 4 + length] or not head.startswith(b"http/1.1 200"):
            asking.faults.append(bytes(self.buffer[end + 4 : end + 400]).decode(errors="replace"))
        if now >= asking.counts_from:
            asking.latencies.append(now - self.sent_at)
        self.buffer.clear()
        if now < asking.counts_from + asking.seconds and len(asking.faults) < 10:
            self.send()
        else:
            self.done.set_result(None)
            self.transport.close()


async def run(asking: Asking) -> dict[str, Any]:
    """Ask until the time is up."""
    loop = asyncio.get_running_loop()
    asking.counts_from = time.perf_counter() + asking.warm_up
    clients = [Client(asking, turn) for turn in range(asking.clients)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", asking.port)  # type: ignore[misc]
    await asyncio.gather(*(client.done for client in clients))
    seconds = time.perf_counter() - asking.counts_from
    return {"seconds": seconds, "faults": asking.faults, "answered": asking.answered, "bytes": asking.bytes_max,
            "times": summary(asking.latencies)}  # fmt: skip


if __name__ == "__main__":
    measured = uvloop.run(run(Asking(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(orjson.dumps(measured))
