"""What tickets cost: the same orders with and without an audit trail, side by side in one run.

    make bench NAME=ticketing [ARGS="--seconds 2 --rounds 3"]

full, ticketless        HTTP → GraphQL → commit → answer, one API process
desk, desk ticketless   the write path alone, in process
desk unindexed          with tickets, but only with the indexes of the table of tickets that keep it correct

"Ticketless" draws no numbers and writes no tickets, payloads or digests; its database has neither those tables nor the
indexes that find rows by their ticket (`bench/parts/ticketless.py`). Rounds are interleaved; the first is dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

import asyncpg

from bench.orders import SERVERS, UVICORN, WARM_UP
from bench.parts import ticketless
from bench.parts.figures import Figure, conclude, noise, ratios, spread
from bench.parts.flow import SEEDED_ORDERS
from bench.parts.ground import Ground, child, fresh_database, prepared, serving

ROUNDS, SECONDS = 6, 4.0
CLIENTS = (1, 16)
VARIANTS = ("full", "full ticketless", "desk", "desk ticketless", "desk unindexed")
UNINDEXED = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexrelid::regclass::text FROM pg_index
                WHERE indrelid IN ('ticket_logs'::regclass, 'ticket_payloads'::regclass) AND NOT indisunique
    LOOP EXECUTE 'DROP INDEX ' || name; END LOOP;
END $$
"""
SECONDARY = (
    "SELECT count(*) FROM pg_index WHERE indrelid IN ('ticket_logs'::regclass, 'ticket_payloads'::regclass)"
    " AND NOT indisunique"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One variant in one round. Units: rate answers a second, latencies milliseconds; tickets of one answer."""

    rate: float
    p50_ms: float
    p95_ms: float
    tickets: float


async def measure(ground: Ground, variant: str, clients: int, seconds: float, seed: int) -> Run:
    """Run one variant on a fresh database and reconcile its rows with its answers."""
    plan: dict[str, Any] = {"seconds": seconds, "warm_up": WARM_UP, "seed": seed}
    has_tickets = not variant.endswith("ticketless")
    async with fresh_database(ground) as owner:
        if not has_tickets:
            await owner.execute(ticketless.SCHEMA)
        elif variant.endswith("unindexed"):
            await owner.execute(UNINDEXED)
        if variant.startswith("full"):
            arguments, count, probe, path = SERVERS["full"]
            if not has_tickets:
                arguments = [*UVICORN, "bench.parts.ticketless:app"]
            with serving(ground, arguments, count, probe) as ports:
                plan |= {"path": path, "ports": ports, "tokens": ground.tokens[:clients]}
                measured = await asyncio.to_thread(child, ground, "bench.parts.load", plan)
        else:
            kind = "ticketed" if has_tickets else "ticketless"
            plan |= {"variant": kind, "holders": ground.holders[:clients]}
            measured = await asyncio.to_thread(child, ground, "bench.parts.alone", plan)
        assert not measured["faults"], f"{variant}: {measured['faults'][:3]}"
        tickets = await reconcile(owner, measured, variant, has_tickets=has_tickets)
    times = measured["orders"]
    rate = times["count"] / measured["seconds"]
    return Run(rate, times["p50"] * 1e3, times["p95"] * 1e3, tickets / measured["answers"])


async def reconcile(
    owner: asyncpg.Connection[asyncpg.Record], measured: dict[str, Any], variant: str, *, has_tickets: bool
) -> int:
    """Compare the rows with what was answered; return how many tickets were written."""
    found = await owner.fetchrow(
        "SELECT (SELECT count(*) FROM orders) AS placed, (SELECT count(*) FROM cash_market_trades) AS trades"
    )
    expected = {"placed": 2 * SEEDED_ORDERS + measured["placed"], "trades": measured["trades"]}
    assert found is not None
    assert dict(found) == expected, f"{variant}: {dict(found)} for {expected}"
    if not has_tickets:
        return 0
    tickets = await owner.fetchval("SELECT count(*) FROM ticket_logs")
    assert tickets >= measured["answers"] + found["trades"], f"{variant}: {tickets} tickets"
    return int(tickets - 2 * SEEDED_ORDERS)


def figures(runs: dict[tuple[int, str], list[Run]], indexes: int) -> list[Figure]:
    """Return what was asked: medians over rounds of what stood side by side in one round."""
    found: list[Figure] = []
    for clients in CLIENTS:
        one, other = runs[clients, "full"], runs[clients, "full ticketless"]
        for name, goal in (("p50_ms", 1.0), ("p95_ms", 5.0)):
            added = [getattr(mine, name) - getattr(bare, name) for mine, bare in zip(one, other, strict=True)]
            print(f"measure: added {name} at {clients} clients {spread(added)}")
            found.append(Figure(f"added_{name}@{clients}", median(added), "<=", goal))
        for kind, goal in (("full", 0.8), ("desk", 0.35)):
            values = ratios(*([run.rate for run in runs[clients, f"{kind}{end}"]] for end in ("", " ticketless")))
            print(f"measure: {kind} with tickets / without at {clients} clients {spread(values)}")
            found.append(Figure(f"{kind}/ticketless@{clients}", median(values), ">=", goal))
        whole, bare, unindexed = (
            median(1e6 / run.rate for run in runs[clients, variant])
            for variant in ("desk", "desk ticketless", "desk unindexed")
        )
        tickets = median(run.tickets for run in runs[clients, "desk"])
        print(
            f"measure: at {clients} clients a ticket costs {(whole - bare) / tickets:.0f} µs of the write path,"
            f" of that {(whole - unindexed) / tickets / indexes:.1f} µs for each of {indexes} secondary indexes;"
            f" {tickets:.2f} tickets an order"
        )
    return found


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of each variant in each round, after a warm-up")
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    given = asked.parse_args()
    runs: dict[tuple[int, str], list[Run]] = defaultdict(list)
    async with prepared() as ground:
        async with fresh_database(ground) as owner:
            indexes = await owner.fetchval(SECONDARY)
        for turn in range(given.rounds):
            segments = [(clients, variant) for clients in CLIENTS for variant in VARIANTS]
            random.shuffle(segments)
            for clients, variant in segments:
                run = await measure(ground, variant, clients, given.seconds, turn + 1)
                line = f"{run.rate:,.0f}/s, p50 {run.p50_ms:.2f} ms, p95 {run.p95_ms:.2f} ms"
                print(f"round {turn}: {variant} at {clients}: {line}", file=sys.stderr, flush=True)
                if turn or given.rounds == 1:
                    runs[clients, variant].append(run)
    for (clients, variant), found in sorted(runs.items()):
        rates = [run.rate for run in found]
        times = ", ".join(
            f"{name} {median(values):.2f} ms"
            for name, values in (("p50", [run.p50_ms for run in found]), ("p95", [run.p95_ms for run in found]))
        )
        print(f"measure: {variant} at {clients}: {median(rates):,.0f}/s, {times}, noise {noise(rates):.0%}")
    return conclude(figures(runs, indexes))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
