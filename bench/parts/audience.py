"""Watchers in a process of their own: `python -m bench.parts.audience` reads a plan, says when all watch, and, when its
input ends, prints when each event came to each of them. Bare protocols: the second core should not be what is measured.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import orjson
import uvloop

HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
SEQUENCE = b'"sequence":'
HEADER_MAX = 10
OPEN_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to watch what. counts_only: when each event came is not kept, which a long watch has no room for."""

    port: int
    watchers: int
    query: str
    variables: dict[str, Any]
    counts_only: bool = False


def masked(message: dict[str, Any]) -> bytes:
    """Put a message into a frame as clients send it; a mask of zeros changes nothing."""
    data = orjson.dumps(message)
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + data


class Seat(asyncio.Protocol):
    """One watcher."""

    def __init__(self, plan: Plan, arrivals: defaultdict[int, list[float]]) -> None:
        self.plan = plan
        self.arrivals = arrivals
        self.buffer = bytearray()
        self.is_open = False
        self.messages = 0
        self.bytes = 0
        self.seated: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(HANDSHAKE.format(port=self.plan.port).encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self.buffer
        buffer += data
        if not self.is_open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert buffer.startswith(b"HTTP/1.1 101"), bytes(buffer)
            del buffer[: end + 4]
            self.is_open = True
            self.transport.write(masked({"type": "connection_init"}))
        at = 0
        while len(buffer) - at >= 2:
            length, head = buffer[at + 1], 2
            if length >= 126:
                head = 4 if length == 126 else HEADER_MAX
                if len(buffer) - at < head:
                    break
                length = int.from_bytes(buffer[at + 2 : at + head], "big")
            if len(buffer) - at < head + length:
                break
            self.frame(buffer[at] & 0x0F, buffer[at + head : at + head + length], now)
            at += head + length
        del buffer[:at]

    def frame(self, opcode: int, data: bytearray, now: float) -> None:
        if opcode == 9:
            self.transport.write(bytes([0x8A, 0x80 | len(data)]) + b"\0\0\0\0" + data)
        if opcode != 1:
            return
        at = data.find(SEQUENCE)
        if at < 0:
            if data.find(b"connection_ack") >= 0:
                asked = {"query": self.plan.query, "variables": self.plan.variables}
                self.transport.write(masked({"id": "1", "type": "subscribe", "payload": asked}))
            return
        self.messages += 1
        self.bytes += len(data)
        at += len(SEQUENCE)
        end = at
        while 48 <= data[end] <= 57:
            end += 1
        if not self.plan.counts_only and data.find(b"Heartbeat", 0, at) < 0:
            self.arrivals[int(data[at:end])].append(now)
        if not self.seated.done():
            self.seated.set_result(None)


async def watch(plan: Plan) -> None:
    """Watch until the input ends."""
    loop = asyncio.get_running_loop()
    arrivals: defaultdict[int, list[float]] = defaultdict(list)
    seats: list[Seat] = []
    for _ in range(0, plan.watchers, OPEN_AT_ONCE):
        group = [Seat(plan, arrivals) for _ in range(min(OPEN_AT_ONCE, plan.watchers - len(seats)))]
        seats += group
        await asyncio.gather(
            *(loop.create_connection(lambda seat=seat: seat, "127.0.0.1", plan.port) for seat in group)  # type: ignore[misc]
        )
        await asyncio.gather(*(seat.seated for seat in group))
    sys.stdout.write("seated\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    seen = {sequence: times for sequence, times in arrivals.items() if sequence}
    counted = {"messages": sum(seat.messages for seat in seats), "bytes": sum(seat.bytes for seat in seats)}
    sys.stdout.write(orjson.dumps({"arrivals": list(seen.items()), **counted}).decode())


if __name__ == "__main__":
    uvloop.run(watch(Plan(**orjson.loads(sys.stdin.buffer.readline()))))
