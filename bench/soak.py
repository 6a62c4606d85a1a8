"""Half of what a market can do, before 200 watchers, for as long as asked: what grows, slows down or is left open.

    make bench NAME=soak [ARGS="--minutes 30"]

One API process and its load, which is measured first; then half of that, evenly, while all watchers follow the book by
its changes. Looked at each second: the memory of the process, its tasks, its connections to PostgreSQL. Afterwards the
rows must be those that were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import aiohttp
import asyncpg
import orjson
import psutil

from bench.fanout import DOCUMENTS
from bench.orders import reconcile
from bench.parts.figures import Figure, conclude
from bench.parts.ground import fresh_database, prepared, processes_of

CLIENTS, WATCHERS = 16, 200
CAPACITY_S, CAPACITY_WARM_UP_S = 4.0, 1.0
WARM_UP_SHARE, WARM_UP_S_MIN = 0.25, 15.0  # caches fill, pools grow
WINDOWS = 12
RESTING_MAX = 20  # orders of each client in the book: it does not grow
REFUSED_MAX = 0.5  # of the cancels, which take what rests longest, many come too late
QUIET_S_MAX = 15.0
MINUTES = 2.0
CONNECTIONS = (
    "SELECT count(*) AS open, count(*) FILTER (WHERE state <> 'idle') AS busy FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'carbondesk-%'"
)
LEFT = ("sockets", "subscriptions", "executions", "tasks")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """The processes that are soaked, and who trades. tokens: as in bench.parts.load."""

    ports: list[int]
    pids: list[int]
    tokens: list[tuple[str, str]]
    environment: Mapping[str, str]
    owner: asyncpg.Connection[asyncpg.Record]


@dataclass(slots=True)
class Soaked:
    """What was seen. rss: bytes of all processes, each second; windows: latencies of each window, in seconds."""

    rate: float
    rss: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    windows: list[dict[str, float]] = field(default_factory=list)
    answered: list[dict[str, Any]] = field(default_factory=list)  # what each load counted
    messages: int = 0  # that the watchers got
    left: dict[str, int] = field(default_factory=dict)  # more than before

    @property
    def growth(self) -> float:
        """Memory at the end, as a part of what it was after the warm-up: medians of a quarter of the samples."""
        quarter = max(1, len(self.rss) // 4)
        return median(self.rss[-quarter:]) / median(self.rss[:quarter])

    @property
    def slowdown(self) -> float:
        """The 99th percentile of the later half of the windows, as a part of that of the earlier half."""
        tails = [window["p99"] for window in self.windows]
        half = len(tails) // 2
        return median(tails[half:]) / median(tails[:half])

    def figures(self) -> list[Figure]:
        return [
            Figure("memory_after/before", self.growth, "<=", 1.05),
            Figure("p99_later/earlier", self.slowdown, "<=", 1.5),
            Figure("faults", sum(len(one["faults"]) for one in self.answered), "<=", 0),
            *(Figure(f"{name}_left", count, "<=", 0) for name, count in self.left.items()),
        ]

    def __str__(self) -> str:
        tails = [f"{window['p99'] * 1e3:.0f}" for window in self.windows]
        return (
            f"{self.rate:,.0f}/s, memory {self.rss[0] / MIB:.1f} to {self.rss[-1] / MIB:.1f} MiB, connections"
            f" {min(self.connections)} to {max(self.connections)}, p99 of each window {' '.join(tails)} ms,"
            f" {self.messages:,} messages to watchers"
        )


async def started(target: Target, module: str, plan: Mapping[str, Any]) -> asyncio.subprocess.Process:
    """Start a part with a plan on its standard input, which stays open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=dict(target.environment), limit=256 * MIB,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(orjson.dumps(plan) + b"\n")
    await process.stdin.drain()
    return process


def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


async def load(target: Target, soaked: Soaked | None = None, **plan: Any) -> dict[str, Any]:
    """Run a load; the windows that it tells of go to `soaked`. Return what it counted."""
    process = await started(
        target, "bench.parts.load", {"path": "/graphql", "ports": target.ports, "tokens": target.tokens} | plan
    )
    assert process.stdin and process.stdout
    process.stdin.close()
    said: dict[str, Any] = {}
    try:
        async for line in process.stdout:
            said = orjson.loads(line)
            if soaked and said and "faults" not in said:
                soaked.windows.append(said)
        assert await process.wait() == 0
    finally:
        end(process)
    return said


async def metrics(target: Target) -> dict[str, int]:
    """Add up what the processes count."""
    found = dict.fromkeys(LEFT, 0)
    async with aiohttp.ClientSession() as session:
        for port in target.ports:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                for line in (await response.text()).splitlines():
                    name, _, value = line.removeprefix("carbondesk_").partition(" ")
                    if name in found:
                        found[name] += int(float(value))
    connections = await target.owner.fetchrow(CONNECTIONS)
    assert connections
    return found | {"busy_connections": connections["busy"]}


async def sample(target: Target, soaked: Soaked) -> None:
    """Look each second."""
    processes = [psutil.Process(pid) for pid in target.pids]
    while True:
        soaked.rss.append(sum(process.memory_info().rss for process in processes))
        soaked.connections.append((await target.owner.fetchrow(CONNECTIONS))["open"])  # type: ignore[index]
        await asyncio.sleep(1.0)


async def quiet(target: Target, before: Mapping[str, int]) -> dict[str, int]:
    """Wait until nothing more is open than before; return what is after all."""
    ends_at = time.monotonic() + QUIET_S_MAX
    while True:
        now = await metrics(target)
        left = {name: max(0, now[name] - before[name]) for name in now}
        if not any(left.values()) or time.monotonic() > ends_at:
            return left
        await asyncio.sleep(0.2)


async def soak(target: Target, seconds: float, watchers: int) -> Soaked:
    """Measure what the processes can do, let watchers in, trade at half of it, and look."""
    most = await load(target, seconds=CAPACITY_S, warm_up=CAPACITY_WARM_UP_S, seed=1, resting_max=RESTING_MAX)
    soaked = Soaked(most["orders"]["count"] / most["seconds"] / 2, answered=[most])
    before = await metrics(target)
    warm_up = max(WARM_UP_S_MIN, seconds * WARM_UP_SHARE) if seconds > 2 * WARM_UP_S_MIN else seconds / 2
    async with contextlib.AsyncExitStack() as stack:
        crowds = []
        for port in target.ports:
            plan = {"port": port, "watchers": watchers // len(target.ports), "query": DOCUMENTS["changes"],
                    "variables": {}, "counts_only": True}  # fmt: skip
            crowd = await started(target, "bench.parts.audience", plan)
            stack.callback(end, crowd)
            assert crowd.stdout and await asyncio.wait_for(crowd.stdout.readline(), 120) == b"seated\n"
            crowds.append(crowd)
        paced: dict[str, Any] = {"seed": 2, "rate": soaked.rate, "resting_max": RESTING_MAX, "warm_up": 0.0}
        soaked.answered.append(await load(target, seconds=warm_up, **paced))
        sampling = asyncio.create_task(sample(target, soaked))
        soaked.answered.append(
            await load(target, soaked, seconds=seconds - warm_up, window=(seconds - warm_up) / (WINDOWS + 0.5), **paced)
        )
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        for crowd in crowds:
            seen, _ = await crowd.communicate(b"")  # its input ends, so it tells
            soaked.messages += orjson.loads(seen)["messages"]
    soaked.left = await quiet(target, before)
    return soaked


def together(answered: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what several loads counted."""
    counts: dict[str, Any] = {name: sum(one[name] for one in answered) for name in ("answers", "trades", "placed")}
    refusals: dict[str, int] = {}
    for one in answered:
        for code, count in one["refusals"].items():
            refusals[code] = refusals.get(code, 0) + count
    return counts | {"refusals": refusals}


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--minutes", type=float, default=MINUTES, help="a quarter of it to warm up")
    asked.add_argument("--watchers", type=int, default=WATCHERS)
    given = asked.parse_args()
    async with prepared() as ground, fresh_database(ground) as owner:
        with processes_of(ground, ["-m", "api", "serve"], 1, "/readyz") as (processes, ports):
            target = Target(ports, [one.pid for one in processes], ground.tokens[:CLIENTS], ground.environment, owner)
            soaked = await soak(target, given.minutes * 60, given.watchers)
            print(f"measure: soak of {given.minutes:g} minutes before {given.watchers} watchers: {soaked}")
        await reconcile(owner, together(soaked.answered), "soak", REFUSED_MAX)
    return conclude(soaked.figures())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
