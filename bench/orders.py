"""Orders a second through the whole stack, durable, beside what they are compared with, all in one run.

    make bench NAME=orders [ARGS="--seconds 1 --rounds 2 --clients 16"]

full   HTTP → GraphQL → commit → answer, one API process (`two`: two of them)
orm    the same door and schema, one SQLAlchemy ORM unit of work per order
floor  the same transport, a mutation of the same shape that does nothing
bare   a Starlette route that reads and answers JSON
desk, orm alone   both write paths in process, without HTTP and GraphQL, with equal locks and equal rows
rows   bare durable transactions of one row

The load is a process of its own: 50 % resting, 35 % crossing orders, 15 % cancels. Every run starts from a copy of one
seeded database; afterwards its rows must be those that were answered. Rounds are interleaved; the first is dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import asyncpg

from bench.parts.figures import Figure, conclude, noise, ratios, spread
from bench.parts.flow import SEEDED_ORDERS
from bench.parts.ground import PLENTY, Ground, child, fresh_database, prepared, serving

ROUNDS, SECONDS, WARM_UP = 6, 5.0, 2.0
UVICORN = ["-m", "uvicorn", "--factory", "--port", "{port}", "--loop", "uvloop", "--http", "httptools", "--ws", "none",
           "--no-proxy-headers", "--no-server-header", "--no-access-log", "--log-level", "warning"]  # fmt: skip
SERVERS: dict[str, tuple[list[str], int, str, str]] = {  # arguments, processes, probe, path
    "full": (["-m", "api", "serve"], 1, "/readyz", "/graphql"),
    "two": (["-m", "api", "serve"], 2, "/readyz", "/graphql"),
    "orm": ([*UVICORN, "bench.parts.rival_app:app"], 1, "/readyz", "/graphql"),
    "floor": ([*UVICORN, "bench.parts.floor:app"], 1, "/healthz", "/graphql"),
    "bare": ([*UVICORN, "bench.parts.floor:app"], 1, "/healthz", "/bare"),
}
MARKETLESS = {"floor", "bare"}  # they answer without any row
VARIANTS = {
    1: ("full", "floor", "desk alone"),
    16: ("full", "two", "orm", "floor", "bare", "desk alone", "orm alone", "rows"),
    64: ("full", "two", "orm", "floor", "bare", "desk alone", "orm alone"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One variant in one round. Units: rate answers a second, latencies seconds."""

    rate: float
    p50: float
    p99: float
    row_p50: float | None


async def measure(ground: Ground, variant: str, clients: int, seconds: float, seed: int) -> Run:
    """Run one variant on a fresh database and reconcile its rows with its answers."""
    plan: dict[str, Any] = {"seconds": seconds, "warm_up": WARM_UP, "seed": seed}
    async with fresh_database(ground) as owner:
        if variant in SERVERS:
            arguments, count, probe, path = SERVERS[variant]
            with serving(ground, arguments, count, probe) as ports:
                plan |= {"path": path, "ports": ports, "tokens": ground.tokens[:clients]}
                measured = await asyncio.to_thread(child, ground, "bench.parts.load", plan)
        else:
            plan |= {"variant": variant.removesuffix(" alone"), "holders": ground.holders[:clients]}
            measured = await asyncio.to_thread(child, ground, "bench.parts.alone", plan)
        assert not measured["faults"], f"{variant}: {measured['faults'][:3]}"
        if variant not in MARKETLESS and variant != "rows":
            await reconcile(owner, measured, variant)
    rows = measured["rows"]
    times = rows if variant == "rows" else measured["orders"]
    return Run(times["count"] / measured["seconds"], times["p50"], times["p99"], rows["p50"] if rows else None)


async def reconcile(
    owner: asyncpg.Connection[asyncpg.Record], measured: dict[str, Any], variant: str, refused_max: float = 0.05
) -> None:
    """Compare the rows with what was answered; the seeded book was there before. refused_max: a part of the answers."""
    seeded = 2 * SEEDED_ORDERS
    found = await owner.fetchrow(
        "SELECT (SELECT count(*) FROM orders) AS placed, (SELECT count(*) FROM cash_market_trades) AS trades,"
        " (SELECT count(*) FROM ticket_logs WHERE attempt_id IS NOT NULL) AS roots,"
        " (SELECT count(*) FROM ticket_logs WHERE status = 'FAILED') AS failed,"
        " (SELECT count(*) FROM ticket_logs) - (SELECT count(*) FROM ticket_payloads) AS payloads_missing,"
        " (SELECT count(*) FROM ticket_logs WHERE attempt_id IS NULL) AS children,"
        " (SELECT count(*) FROM orders WHERE status = 'FILLED') AS filled,"
        " (SELECT count(*) FROM book_events) - (SELECT sum(sequence) FROM books) AS events_missing,"
        " (SELECT count(*) FROM (SELECT b.holder_id FROM balances b"
        "  LEFT JOIN asset_transactions t USING (holder_id, asset)"
        "  GROUP BY b.holder_id, b.asset HAVING b.available <> $1 + coalesce(sum(t.available_delta), 0)"
        "  OR b.locked <> coalesce(sum(t.locked_delta), 0) OR b.seq <> count(t.id)) AS x) AS balances_off",
        PLENTY,
    )
    assert found is not None
    refused = sum(measured["refusals"].values())
    expected = {
        "placed": seeded + measured["placed"],
        "trades": measured["trades"],
        "roots": seeded + measured["answers"],
        "failed": refused,
        "payloads_missing": 0,
        "children": found["trades"] + found["filled"],
        "events_missing": 0,
        "balances_off": 0,
    }
    assert expected == {name: found[name] for name in expected}, f"{variant}: {dict(found)} for {expected}"
    assert refused <= measured["answers"] * refused_max, f"{variant}: {measured['refusals']}"


class Runs:
    """Everything that was measured, by clients and variant, in the order of rounds."""

    def __init__(self) -> None:
        self.of: defaultdict[tuple[int, str], list[Run]] = defaultdict(list)

    def values(self, clients: int, variant: str, value: Callable[[Run], float]) -> list[float]:
        return [value(run) for run in self.of[clients, variant]]

    def ratio(self, clients: int, one: str, other: str) -> list[float]:
        return ratios(self.values(clients, one, rate), self.values(clients, other, rate))


def rate(run: Run) -> float:
    return run.rate


def p50(run: Run) -> float:
    return run.p50


def p99(run: Run) -> float:
    return run.p99


def figures(runs: Runs, clients: list[int]) -> list[Figure]:
    """Return the ratios with their goals: medians over rounds of what stood side by side in one round."""
    found: list[Figure] = []
    for count in (count for count in clients if count > 1):
        for name, one, other, goal in (
            ("full/orm", "full", "orm", 8.0),
            ("full/floor", "full", "floor", 0.45),
            ("desk/orm alone", "desk alone", "orm alone", 10.0),
            ("two processes/one", "two", "full", 1.0),
        ):
            values = runs.ratio(count, one, other)
            print(f"measure: {name} at {count} clients {spread(values)}")
            found.append(Figure(f"{name.replace(' ', '_')}@{count}", median(values), ">=", goal))
        print(f"measure: full/bare at {count} clients {spread(runs.ratio(count, 'full', 'bare'))}")
    if 16 in clients:
        tail = runs.values(16, "full", lambda run: run.p99 / run.p50)
        print(f"measure: p99/p50 at 16 clients {spread(tail)}")
        found.append(Figure("p99/p50@16", median(tail), "<=", 4.0))
    if 1 in clients:
        paths = runs.values(1, "desk alone", lambda run: run.p50 / (run.row_p50 or 1))
        print(f"measure: write path / bare one-row transaction at one client {spread(paths)}")
        found.append(Figure("desk_p50/row_p50@1", median(paths), "<=", 8.0))
        wholes = [
            whole / (path + 3 * floor)
            for whole, path, floor in zip(
                *(runs.values(1, variant, p50) for variant in ("full", "desk alone", "floor")), strict=True
            )
        ]
        print(f"measure: full p50 / (write path p50 + 3 floor p50) at one client {spread(wholes)}")
        found.append(Figure("full_p50/(desk_p50+3*floor_p50)@1", median(wholes), "<=", 1.0))
    return found


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of each variant in each round, after a warm-up")
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    asked.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], choices=[1, 16, 64])
    given = asked.parse_args()
    runs = Runs()
    async with prepared() as ground:
        for turn in range(given.rounds):
            segments = [(clients, variant) for clients in given.clients for variant in VARIANTS[clients]]
            random.shuffle(segments)
            for clients, variant in segments:
                run = await measure(ground, variant, clients, given.seconds, turn + 1)
                line = f"{run.rate:,.0f}/s, p50 {run.p50 * 1e3:.2f} ms, p99 {run.p99 * 1e3:.2f} ms"
                print(f"round {turn}: {variant} at {clients}: {line}", file=sys.stderr, flush=True)
                if turn or given.rounds == 1:
                    runs.of[clients, variant].append(run)
    for (clients, variant), found in sorted(runs.of.items()):
        rates, half, tail = ([value(run) for run in found] for value in (rate, p50, p99))
        times = f"p50 {median(half) * 1e3:.2f} ms, p99 {median(tail) * 1e3:.2f} ms"
        print(f"measure: {variant} at {clients}: {median(rates):,.0f}/s, {times}, noise {noise(rates):.0%}")
    return conclude(figures(runs, given.clients))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
