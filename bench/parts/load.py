"""The load over HTTP, in a process of its own: `python -m bench.parts.load` reads a plan and prints what it measured.

Each client keeps one connection and one request under way. Written on bare protocols: on two cores every microsecond
of the client is one that the server does not get.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import orjson
import uvloop

from bench.parts.figures import percentile
from bench.parts.flow import Ask, Flow

ORDER = "id side status price quantity filledQuantity remainingQuantity averagePrice cancelReason ticketId"
ANSWER = (
    f"{{ ticketId errors {{ code message field details }} order {{ {ORDER} }}"
    " trades { id price quantity notional takerSide ticketId } }"
)
BRIEF = "{ ticketId errors { code } order { id status } trades { id } }"  # what a light client asks for
PLACE = f"mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {ANSWER} }}"
CANCEL = f"mutation($id: ID!) {{ cancelOrder(id: $id) {ANSWER} }}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. tokens: (resting, crossing) of each client; ports are taken in turn; seconds follow the warm-up.

    rate: answers a second of all clients together, 0 for as many as there are; resting_max: as in Flow;
    window: so many seconds are summed up and printed at a time, 0 for all of it at the end; light: ask for little.
    """

    path: str
    ports: list[int]
    tokens: list[tuple[str, str]]
    seconds: float
    warm_up: float
    seed: int
    rate: float = 0.0
    resting_max: int = 0
    window: float = 0.0
    light: bool = False


@dataclass(slots=True)
class Tally:
    """What was answered. Whole run: answers, trades, refusals, faults; after the warm-up: latencies in seconds."""

    answers: int = 0
    trades: int = 0
    placed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def encoded(self, rows: Sequence[float] = ()) -> bytes:
        """Write what was counted, and of latencies (also of bare rows) what is asked of them."""
        counted = ("answers", "trades", "placed", "refusals", "kinds", "faults", "seconds")
        times = {name: summary(values) for name, values in (("orders", self.latencies), ("rows", rows))}
        return orjson.dumps({name: getattr(self, name) for name in counted} | times)


def summary(latencies: Sequence[float]) -> dict[str, float] | None:
    """Return count, median, 95th and 99th percentile."""
    if not latencies:
        return None
    tails = {f"p{percent}": percentile(latencies, percent) for percent in (95, 99)}
    return {"count": len(latencies), "p50": median(latencies), **tails}


class Client(asyncio.Protocol):
    """One connection that asks, waits, and asks again until the end."""

    def __init__(self, plan: Plan, index: int, tally: Tally, ends_at: float, counts_from: float) -> None:
        self.plan, self.tally, self.ends_at, self.counts_from = plan, tally, ends_at, counts_from
        self.flow = Flow(plan.seed * 1_000 + index, plan.resting_max)
        self.every = len(plan.tokens) / plan.rate if plan.rate else 0.0
        self.next_at = time.perf_counter() + self.every * index / len(plan.tokens)
        head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n"
        )
        self.heads = [
            f"{head}Authorization: Bearer {token}\r\nContent-Length: ".encode() for token in plan.tokens[index]
        ]
        place, cancel = (document.replace(ANSWER, BRIEF) if plan.light else document for document in (PLACE, CANCEL))
        self.place = b'{"query":' + orjson.dumps(place) + b',"variables":{"input":'
        self.cancel = b'{"query":' + orjson.dumps(cancel) + b',"variables":{"id":'
        self.buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send_in_time()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.tally.faults.append(f"connection lost: {error!r}")
            self.done.set_result(None)

    def send_in_time(self) -> None:
        """Send now, or when it is time to; a client that is late does not hurry to catch up."""
        if not self.every:
            self.send()
            return
        now = time.perf_counter()
        self.next_at = max(now, self.next_at + self.every)
        asyncio.get_running_loop().call_later(self.next_at - now, self.send)

    def send(self) -> None:
        self.ask = ask = self.flow.next()
        if ask.kind == "cancel":
            body = self.cancel + orjson.dumps(ask.order_id) + b"}}"
        else:
            body = self.place + orjson.dumps(ask.input) + b"}}"
        self.sent_at = time.perf_counter()
        self.transport.write(b"%b%d\r\n\r\n%b" % (self.heads[ask.is_taker], len(body), body))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        length_at = head.index(b"content-length:") + 15
        length = int(head[length_at:].split(b"\r", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        now = time.perf_counter()
        if now >= self.counts_from:
            self.tally.latencies.append(now - self.sent_at)
        body = bytes(self.buffer[end + 4 :])
        self.buffer.clear()
        self.answered(self.ask, head, body)
        if now < self.ends_at:
            self.send_in_time()
        else:
            self.done.set_result(None)
            self.transport.close()

    def answered(self, ask: Ask, head: bytes, body: bytes) -> None:
        tally = self.tally
        tally.answers += 1
        tally.kinds[ask.kind] += 1
        answer = orjson.loads(body)
        if not head.startswith(b"http/1.1 200") or answer.get("errors"):
            tally.faults.append(body[:300].decode(errors="replace"))
            return
        payload = answer["data"]["cancelOrder" if ask.kind == "cancel" else "placeOrder"]
        if payload["errors"]:
            tally.refusals[payload["errors"][0]["code"]] += 1
            return
        tally.trades += len(payload["trades"])
        if ask.kind != "cancel":
            tally.placed += 1
        if ask.kind == "resting" and payload["order"]["status"] in {"OPEN", "PARTIALLY_FILLED"}:
            self.flow.rested(ask, payload["order"]["id"])


async def run(plan: Plan) -> Tally:
    """Ask until the time is up."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    counts_from = started + plan.warm_up
    ends_at = counts_from + plan.seconds
    clients = [Client(plan, index, tally, ends_at, counts_from) for index in range(len(plan.tokens))]
    for index, client in enumerate(clients):
        await loop.create_connection(lambda client=client: client, "127.0.0.1", plan.ports[index % len(plan.ports)])  # type: ignore[misc]
    summing = asyncio.create_task(sum_up(tally, plan.window)) if plan.window else None
    await asyncio.gather(*(client.done for client in clients))
    if summing:
        summing.cancel()
    tally.seconds = time.perf_counter() - counts_from
    return tally


async def sum_up(tally: Tally, window: float) -> None:
    """Print each window's latencies when it is over, and forget them."""
    while True:
        await asyncio.sleep(window)
        sys.stdout.write(orjson.dumps(summary(tally.latencies)).decode() + "\n")
        sys.stdout.flush()
        tally.latencies.clear()


if __name__ == "__main__":
    tally = uvloop.run(run(Plan(**orjson.loads(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(tally.encoded())
