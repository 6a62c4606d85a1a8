"""Orders a second by 1, 2 and 4 API processes behind one address, what each order costs, and a standby that follows.

    make bench NAME=scale [ARGS="--rounds 3 --seconds 5"]

All processes listen on one port (SO_REUSEPORT): the kernel deals connections out. The load asks for little, so that
most of a small machine is left for what is measured. Processor time is counted for the API, PostgreSQL and the load
apart: unlike orders a second it hardly depends on who else uses the machine. Bytes are those that tables, indexes and
the log of writes grew by, for each order placed or ticket written. Every run starts from a copy of one seeded database;
its rows must be those that were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import resource
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import asyncpg
import psutil

from api.supervisor import BACKLOG, Child, wait_ready
from bench.orders import reconcile
from bench.parts.figures import Figure, conclude, noise, percentile, ratios, spread
from bench.parts.ground import Ground, child, free_port, fresh_database, prepared
from bench.parts.standby import standby_of

PROCESSES = (1, 2, 4)
CLIENTS, SECONDS, WARM_UP, ROUNDS = 32, 5.0, 2.0, 4
LAG_EVERY_S = 0.02
SIZES = """SELECT relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
  JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname = 'public'"""


@dataclass(frozen=True, slots=True)
class Run:
    """One number of processes in one round. Units: answers a second, seconds, CPU seconds and bytes an answer."""

    rate: float
    p50: float
    p99: float
    api: float
    postgres: float
    load: float
    wal: float
    orders: int
    tickets: int
    grown: dict[str, int]  # bytes by table, indexes and all


@contextlib.contextmanager
def behind_one_address(ground: Ground, count: int) -> Iterator[tuple[list[int], int]]:
    """Start so many API processes on one port; yield their process ids and the port."""
    with contextlib.ExitStack() as stack:
        port, pids = free_port(), []
        for number in range(count):
            listener = stack.enter_context(socket.socket(proto=socket.IPPROTO_TCP))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(BACKLOG)
            arguments = ["serve", "--supervised", str(listener.fileno())]
            one = Child(f"API {number}", arguments, ground.environment, listener.fileno())
            one.start()
            stack.callback(one.stop)
            wait_ready(one, f"http://127.0.0.1:{port}")
            pids.append(one.pid or 0)
        time.sleep(1.0)  # the last of them is ready too, whoever answered the probe
        yield pids, port


def cpu_of(pids: list[int]) -> float:
    """Add up the processor time of processes, in seconds."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def cpu_of_postgres(head: int) -> float:
    """Add up the processor time of a server and its backends, those that ended too."""
    total = 0.0
    for process in [psutil.Process(head), *psutil.Process(head).children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


async def sizes(owner: asyncpg.Connection[asyncpg.Record]) -> tuple[dict[str, int], int]:
    """Return the bytes of each table, and the place in the log of writes."""
    rows = await owner.fetch(SIZES)
    written = await owner.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
    return {row["name"]: row["bytes"] for row in rows}, written


async def measure(ground: Ground, head: int, count: int, seconds: float, seed: int) -> Run:
    """Run so many processes on a fresh database."""
    async with fresh_database(ground) as owner:
        with behind_one_address(ground, count) as (pids, port):
            before, wal = await sizes(owner)
            counts = await owner.fetchrow("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM ticket_logs)")
            api, postgres, ours = cpu_of(pids), cpu_of_postgres(head), resource.getrusage(resource.RUSAGE_CHILDREN)
            plan = {"path": "/graphql", "ports": [port], "tokens": ground.tokens[:CLIENTS], "light": True}
            plan |= {"seconds": seconds, "warm_up": WARM_UP, "seed": seed}
            measured = await asyncio.to_thread(child, ground, "bench.parts.load", plan)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            api, postgres = cpu_of(pids) - api, cpu_of_postgres(head) - postgres
            after, wal_after = await sizes(owner)
            now = await owner.fetchrow("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM ticket_logs)")
        assert not measured["faults"], measured["faults"][:3]
        await reconcile(owner, measured, f"{count} processes")
    assert counts and now
    answers, times = measured["answers"], measured["orders"]
    return Run(
        times["count"] / measured["seconds"], times["p50"], times["p99"], api / answers, postgres / answers,
        (used.ru_utime + used.ru_stime - ours.ru_utime - ours.ru_stime) / answers, (wal_after - wal) / answers,
        now[0] - counts[0], now[1] - counts[1], {name: after[name] - before[name] for name in after},
    )  # fmt: skip


async def follow(ground: Ground, seconds: float) -> list[float]:
    """Let a standby follow under load; return how long it took each time to have what was committed, in seconds."""
    lags: list[float] = []
    with behind_one_address(ground, 1) as (_, port), standby_of(ground) as url:
        plan: dict[str, Any] = {"path": "/graphql", "ports": [port], "tokens": ground.tokens[:CLIENTS], "light": True}
        plan |= {"seconds": seconds, "warm_up": WARM_UP, "seed": 1}
        loading = asyncio.create_task(asyncio.to_thread(child, ground, "bench.parts.load", plan))
        owner, replica = await asyncpg.connect(ground.database_url), await asyncpg.connect(url)
        try:
            while not loading.done():
                at = await owner.fetchval("SELECT pg_current_wal_flush_lsn()::text")
                begun = time.perf_counter()
                reached = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
                while not await replica.fetchval(reached, at):  # noqa: ASYNC110 - another server has no event
                    await asyncio.sleep(0.001)
                lags.append(time.perf_counter() - begun)
                await asyncio.sleep(LAG_EVERY_S)
            assert not (await loading)["faults"]
            rows = "SELECT count(*), max(number) FROM ticket_logs"
            assert tuple(await owner.fetchrow(rows)) == tuple(await replica.fetchrow(rows))  # type: ignore[arg-type]
        finally:
            await replica.close()
            await owner.close()
    return lags


def tell_costs(runs: list[Run]) -> None:
    """Print what an order costs, all kinds of requests together, and what it leaves on disk."""
    for name in ("api", "postgres", "load"):
        print(f"measure: CPU of {name} {median(getattr(run, name) for run in runs) * 1e3:.2f} ms an answer")
    print(f"measure: log of writes {median(run.wal for run in runs):,.0f} bytes an answer")
    orders, tickets = sum(run.orders for run in runs), sum(run.tickets for run in runs)
    grown: defaultdict[str, int] = defaultdict(int)
    for run in runs:
        for name, size in run.grown.items():
            grown[name] += size
    whole = sum(grown.values()) / orders
    print(f"measure: {tickets / orders:.2f} tickets an order; all tables {whole:,.0f} bytes an order")
    for name, size in sorted(grown.items(), key=lambda item: -item[1]):
        if size > orders:
            print(f"measure: {name} {size / orders:,.0f} bytes an order, {size / tickets:,.0f} a ticket")


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of each run, after a warm-up")
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    given = asked.parse_args()
    runs: defaultdict[int, list[Run]] = defaultdict(list)
    async with prepared() as ground:
        head = int((ground.home / "postgres" / "postmaster.pid").read_text(encoding="ascii").split()[0])
        for turn in range(given.rounds):
            for count in random.sample(PROCESSES, len(PROCESSES)):
                run = await measure(ground, head, count, given.seconds, turn + 1)
                line = f"{run.rate:,.0f}/s, p50 {run.p50 * 1e3:.1f} ms, p99 {run.p99 * 1e3:.1f} ms"
                print(f"round {turn}: {count} processes: {line}", file=sys.stderr, flush=True)
                if turn or given.rounds == 1:
                    runs[count].append(run)
        async with fresh_database(ground):
            lags = await follow(ground, given.seconds)
    for count, found in sorted(runs.items()):
        rates = [run.rate for run in found]
        times = (
            f"p50 {median(run.p50 for run in found) * 1e3:.1f} ms, p99 {median(run.p99 for run in found) * 1e3:.1f} ms"
        )
        costs = f"CPU {median(run.api + run.postgres for run in found) * 1e3:.2f} ms an answer"
        print(f"measure: {count} processes: {median(rates):,.0f}/s, {times}, {costs}, noise {noise(rates):.0%}")
    tell_costs(runs[1])
    cores = os.cpu_count() or 1
    one = {name: median(getattr(run, name) for run in runs[1]) for name in ("api", "postgres", "load")}
    print(
        f"measure: one process fills its core at {1 / one['api']:,.0f}/s; with PostgreSQL and the load that takes"
        f" {sum(one.values()) / one['api']:.2f} cores of {cores} (load average now {os.getloadavg()[0]:.1f}), so two"
        f" processes on this machine come to {cores * one['api'] / sum(one.values()):.2f} times that at most"
    )
    print(f"measure: standby behind by p50 {median(lags) * 1e3:.1f} ms, p99 {percentile(lags, 99) * 1e3:.1f} ms")
    of = {count: [run.rate for run in found] for count, found in runs.items()}
    for count in PROCESSES[1:]:
        print(f"measure: {count} processes/one {spread(ratios(of[count], of[1]))}")
    return conclude(
        [
            Figure("two_processes/one", median(ratios(of[2], of[1])), ">=", 1.3),
            Figure("standby_lag_p99_s", percentile(lags, 99), "<=", 1.0),
        ]
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
