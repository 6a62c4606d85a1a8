"""How long until the last of N watchers has a committed change, beside what that is compared with, all in one run.

    make bench NAME=fanout [ARGS="--rounds 2 --updates 8 --watchers 100 500"]

ours    one API process: one execution and one encoding for all who watch the same
raw     bare Starlette web sockets, one loop that sends them the same bytes (bench/parts/wires.py)
stock   Strawberry's own handler, one execution per watcher (up to 500 watchers: beyond it the run would not end)

Orders are committed by a desk in this process, one at a time; the servers hear of them through Redis, as any other
process does; the watchers are a third process. The clock of a change starts when its commit was answered. There are two
documents: `changes` follows the book by its changes, `books` gets whole books of 25 levels a side. Rounds are
interleaved. The soak commits 50 orders a second before 500 watchers who follow changes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import orjson
import psutil

from api.app import services
from api.context import Services
from api.settings import Settings
from bench.parts.figures import Figure, conclude, noise, percentile, ratios, spread
from bench.parts.flow import MIDDLE, euros
from bench.parts.ground import Ground, attempt_of, fresh_database, place_of, prepared, processes_of

ROUNDS, UPDATES, WATCHERS = 4, 20, (100, 500, 2_000)
PAUSE_S = {100: 0.15, 500: 0.3, 2_000: 0.6}  # after each change: the slowest has told it to all by then
STOCK_PAUSE_S, STOCK_WATCHERS_MAX = 0.8, 500
SETTLE_S = 1.0
SOAK_S, SOAK_RATE, SOAK_WATCHERS = 20.0, 50, 500
DOCUMENTS = {
    "changes": """subscription { orderBookChanges(certificateType: CEA) { __typename
      ... on OrderBookSnapshot { book { sequence checksum
        bids { price quantity orderCount } asks { price quantity orderCount } } }
      ... on OrderBookDelta { sequence previousSequence checksum changes { side price quantity orderCount } at }
      ... on OrderBookHeartbeat { sequence at } } }""",
    "books": """subscription { orderBook(certificateType: CEA, depth: 25) { sequence checksum at
      bids { price quantity orderCount } asks { price quantity orderCount } } }""",
}
UVICORN = ["-m", "uvicorn", "--factory", "--port", "{port}", "--loop", "uvloop", "--http", "httptools",
           "--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--no-proxy-headers",
           "--no-server-header", "--no-access-log", "--log-level", "warning", "bench.parts.wires:app"]  # fmt: skip
VARIANTS = {"ours": ["-m", "api", "serve"], "raw": UVICORN, "stock": UVICORN}
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One variant before one crowd. Units: seconds; bytes."""

    last: float  # until the last watcher had a change, the median over changes
    p50: float  # over all watchers and changes
    p99: float
    cpu: float  # of the server, for each message
    memory: float  # of the server, for each watcher


class Desk:
    """Commits one order after the other in this process, each changes one level."""

    def __init__(self, ours: Services, holder: UUID, sequence: int) -> None:
        self.ours, self.holder, self.sequence = ours, holder, sequence
        self.chance = random.Random(sequence)
        self.committed: dict[int, float] = {}

    async def change(self) -> None:
        """Commit an order that rests, and note when."""
        price = euros(MIDDLE - self.chance.randint(1, 20))
        asked = {"certificateType": "CEA", "side": "BUY", "price": price, "quantity": "1"}
        attempt = attempt_of(self.holder, "placeOrder", {"input": asked})
        answer = await self.ours.desk.submit(attempt, place_of(self.holder, asked))
        assert answer.refusal is None
        self.sequence += 1
        self.committed[self.sequence] = time.perf_counter()


@asynccontextmanager
async def audience(ground: Ground, plan: dict[str, Any]) -> AsyncIterator[Callable[[], Any]]:
    """Seat watchers; yield what ends them and returns what they saw."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.parts.audience", env=ground.environment, limit=256 * MIB,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout
    process.stdin.write(orjson.dumps(plan) + b"\n")
    await process.stdin.drain()
    assert await asyncio.wait_for(process.stdout.readline(), 120) == b"seated\n"

    async def seen() -> Any:
        assert process.stdin and process.stdout
        process.stdin.close()
        text = await process.stdout.read()
        await process.wait()
        return orjson.loads(text)

    try:
        yield seen
    finally:
        if process.returncode is None:
            process.kill()


async def measure(
    ground: Ground, desk: Desk, variant: str, document: str, watchers: int, commit: Callable[[Desk], Any]
) -> Run:
    """Run one variant before one crowd."""
    with processes_of(ground, ["-c", _start(variant), *VARIANTS[variant]], 1, "/readyz") as (processes, ports):
        server = psutil.Process(processes[0].pid)
        await asyncio.sleep(SETTLE_S)
        empty = server.memory_info().rss
        plan = {"port": ports[0], "watchers": watchers, "query": DOCUMENTS[document], "variables": {}}
        async with audience(ground, plan) as seen:
            await asyncio.sleep(SETTLE_S)
            desk.committed.clear()
            before = server.cpu_times()
            await commit(desk)
            after = server.cpu_times()
            full = server.memory_info().rss
            found = await seen()
    arrivals = {sequence: times for sequence, times in found["arrivals"] if sequence in desk.committed}
    complete = {sequence: times for sequence, times in arrivals.items() if len(times) == watchers}
    assert max(complete, default=0) == desk.sequence, f"{variant}: not all watchers have the last change"
    delays = sorted(time - desk.committed[sequence] for sequence, times in arrivals.items() for time in times)
    messages = sum(len(times) for times in arrivals.values())
    cpu = after.user + after.system - before.user - before.system
    return Run(
        last=median(max(times) - desk.committed[sequence] for sequence, times in complete.items()),
        p50=median(delays),
        p99=percentile(delays, 99),
        cpu=cpu / messages,
        memory=(full - empty) / watchers,
    )


def _start(variant: str) -> str:
    """Return a program that says which wire it is and becomes what it was asked to be."""
    return (
        f"import os, sys; os.environ['WIRE'] = {variant!r}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )


async def one_by_one(desk: Desk, updates: int, pause_s: float) -> None:
    """Commit changes so far apart that each is told to all before the next."""
    for _ in range(updates):
        await desk.change()
        await asyncio.sleep(pause_s)
    await asyncio.sleep(pause_s)


async def steadily(desk: Desk) -> None:
    """Commit so many changes a second."""
    begun = time.perf_counter()
    for number in range(int(SOAK_S * SOAK_RATE)):
        await desk.change()
        await asyncio.sleep(max(0.0, begun + (number + 1) / SOAK_RATE - time.perf_counter()))
    await asyncio.sleep(SETTLE_S)


def figures(runs: dict[tuple[str, str, int], list[Run]], soaks: dict[str, Run]) -> list[Figure]:
    """Return the ratios with their goals: medians over rounds of what stood side by side in one round."""
    found: list[Figure] = []

    def value(variant: str, document: str, watchers: int, of: Callable[[Run], float]) -> list[float]:
        return [of(run) for run in runs[variant, document, watchers]]

    def ratio(name: str, one: list[float], other: list[float], relation: str, goal: float) -> None:
        values = ratios(one, other)
        print(f"measure: {name} {spread(values)}")
        found.append(Figure(name, median(values), relation, goal))

    sizes = {watchers for _, _, watchers in runs}
    for document in DOCUMENTS:
        for watchers, goal in ((500, 1.5), (2_000, 2.0)):
            if watchers in sizes:
                ours, raw = (value(variant, document, watchers, lambda run: run.last) for variant in ("ours", "raw"))
                ratio(f"last_ours/last_raw,{document}@{watchers}", ours, raw, "<=", goal)
        if 500 in sizes:
            ours, stock, bare = (
                value(variant, document, 500, lambda run: run.last) for variant in ("ours", "stock", "raw")
            )
            print(f"measure: last_stock/last_raw,{document}@500 {spread(ratios(stock, bare))}")
            ratio(f"last_stock/last_ours,{document}@500", stock, ours, ">=", 8.0)
            tail = median(value("ours", document, 500, lambda run: run.p99)) * 1e3
            found.append(Figure(f"p99_ms,{document}@500", tail, "<=", 100.0))
        most = max(sizes)
        ours, raw = (value(variant, document, most, lambda run: run.memory) for variant in ("ours", "raw"))
        ratio(f"memory_ours/memory_raw,{document}@{most}", ours, raw, "<=", 2.0)
    if soaks:
        found.append(Figure(f"soak_p99_ms@{SOAK_WATCHERS}", soaks["ours"].p99 * 1e3, "<=", 100.0))
    return found


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    asked.add_argument("--updates", type=int, default=UPDATES, help="changes in each run")
    asked.add_argument("--watchers", type=int, nargs="+", default=list(WATCHERS), choices=WATCHERS)
    asked.add_argument("--no-soak", action="store_true")
    given = asked.parse_args()
    runs: defaultdict[tuple[str, str, int], list[Run]] = defaultdict(list)
    soaks: dict[str, Run] = {}
    async with prepared() as ground, fresh_database(ground) as owner:
        settings = Settings(CARBONDESK_HOME=ground.home, database_url=ground.database_url, redis_url=ground.redis_url)
        async with services(settings) as ours:
            sequence = await owner.fetchval("SELECT sequence FROM books WHERE certificate_type = 'CEA'")
            desk = Desk(ours, UUID(ground.holders[0][0]), sequence)
            for turn in range(given.rounds):
                segments = [
                    (variant, document, watchers)
                    for variant in VARIANTS
                    for document in DOCUMENTS
                    for watchers in given.watchers
                    if variant != "stock" or watchers <= STOCK_WATCHERS_MAX
                ]
                random.shuffle(segments)
                for variant, document, watchers in segments:
                    pause = STOCK_PAUSE_S if variant == "stock" else PAUSE_S[watchers]
                    commit = partial(one_by_one, updates=given.updates, pause_s=pause)
                    run = await measure(ground, desk, variant, document, watchers, commit)
                    say(f"round {turn}: {variant} {document} at {watchers}", run)
                    if turn or given.rounds == 1:
                        runs[variant, document, watchers].append(run)
            if not given.no_soak:
                for variant in ("ours", "raw"):
                    soaks[variant] = await measure(ground, desk, variant, "changes", SOAK_WATCHERS, steadily)
    for (variant, document, watchers), found in sorted(runs.items(), key=lambda one: (one[0][1], one[0][2])):
        print(f"measure: {variant} {document} at {watchers}: {worded(found)}, noise {noise(lasts(found)):.0%}")
    for variant, run in soaks.items():
        print(f"measure: soak of {SOAK_RATE}/s, {variant} changes at {SOAK_WATCHERS}: {worded([run])}")
    return conclude(figures(runs, soaks))


def lasts(runs: list[Run]) -> list[float]:
    return [run.last for run in runs]


def worded(runs: list[Run]) -> str:
    last, p50, p99, cpu, memory = (
        median(getattr(run, name) for run in runs) for name in ("last", "p50", "p99", "cpu", "memory")
    )
    return (
        f"last {last * 1e3:.1f} ms, p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, {cpu * 1e6:.0f} us a message, "
        f"{memory / 1024:.0f} KiB a watcher"
    )


def say(name: str, run: Run) -> None:
    print(f"{name}: {worded([run])}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
