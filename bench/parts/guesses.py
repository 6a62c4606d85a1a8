"""A flood of wrong logins over HTTP, in a process of its own: `python -m bench.parts.guesses` reads a plan and prints.

Plan: port, email (of the victim), count, at_once (connections), address (from which it comes, of 127.0.0.0/8).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import uvloop

LOGIN = "mutation($input: LoginInput!) { login(input: $input) { ticketId errors { code } accessToken } }"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send."""

    port: int
    email: str
    count: int
    at_once: int
    address: str


def request_of(email: str, password: str) -> bytes:
    """Write one login as it goes over the wire."""
    body = orjson.dumps({"query": LOGIN, "variables": {"input": {"email": email, "password": password}}})
    head = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> dict[str, object]:
    """Send one request; return the payload of its login."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    payload: dict[str, object] = orjson.loads(await reader.readexactly(length))["data"]["login"]
    return payload


async def worker(plan: Plan, numbers: Iterator[int], found: Counter[str]) -> None:
    """Guess until all guesses are made."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port, local_addr=(plan.address, 0))
    for number in numbers:
        payload = await asked(reader, writer, request_of(plan.email, f"wrong guess number {number}"))
        assert payload["accessToken"] is None
        found[orjson.dumps(payload["errors"]).decode()] += 1
        found[f"ticket {payload['ticketId']}"] += 1
    writer.close()


async def run(plan: Plan) -> dict[str, object]:
    """Send the flood; return how often each code and each ticket was the answer."""
    found: Counter[str] = Counter()
    numbers, started = iter(range(plan.count)), time.perf_counter()
    await asyncio.gather(*(worker(plan, numbers, found) for _ in range(plan.at_once)))
    seconds = time.perf_counter() - started
    refused = sum(count for name, count in found.items() if "TOO_MANY_ATTEMPTS" in name)
    tickets = [name.removeprefix("ticket ") for name in found if name.startswith("ticket ")]
    return {"seconds": seconds, "refused": refused, "tickets": tickets}


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(run(Plan(**orjson.loads(sys.stdin.buffer.read()))))))
