"""What readers get: answers a second beside PostGraphile 5 and beside hand-written SQL, all in one run.

    make bench NAME=reads [ARGS="--rounds 2 --seconds 2 --trades 100000 --without-peer"]

tickets  the 50 newest failed tickets, eight fields and the market maker of each
makers   20 market makers, their balances and their last 10 orders
days     trades, quantity and notional of each day and certificate over all trades (latency of one client)

ours     one API process without readers, signed in as an analyst
reader   the same question sent on by an API process to its reader, which yields to all others
peer     PostGraphile 5 (bench/parts/postgraphile.py brings it by npm), without any caller
hand     Starlette and asyncpg, one hand-written statement for each question, its JSON built by hand

All read one database. Then traders place orders alone, and beside 4 analysts who ask the same process, which has a
reader, the heaviest documents that their limit lets through, in a loop. Rounds are interleaved; the first is dropped
when there are several.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import orjson
import psutil
from graphql import parse

from api import auth, schema
from api.cost import COSTS_MAX, cost_of
from api.documents import operation_of
from bench.parts import past, postgraphile
from bench.parts.figures import Figure, conclude, noise, ratios, spread
from bench.parts.ground import READY_WAIT_S, Ground, child, fresh_database, prepared, processes_of, serving
from db.people import token_sha256
from domain.people import UserRole

ROUNDS, SECONDS, WARM_UP, TRADES = 5, 4.0, 1.0, 1_000_000
CLIENTS = 16
ANALYSTS, TRADERS, WEIGHINGS = 4, 4, 5
PEER_MIN, HAND_MIN, DAYS_MAX = 1.5, 0.4, 1.2
P50_MAX, P99_MAX, HEAVIEST_S_MAX, HEAVIEST_MIB_MAX = 1.2, 1.5, 1.0, 100.0
OUR = ("ours", "reader")
MIB = 1024 * 1024
HAND = ["-m", "uvicorn", "--factory", "--port", "{port}", "--loop", "uvloop", "--http", "httptools", "--ws", "none",
        "--no-proxy-headers", "--no-server-header", "--no-access-log", "--log-level", "warning",
        "bench.parts.hand:app"]  # fmt: skip
OURS = {
    "tickets": "query Tickets($filter: TicketFilter, $first: Int) { tickets(filter: $filter, first: $first) { nodes {"
    " ticketId timestamp actionType status summary errorCode durationMs tags marketMaker { id name isActive } } } }",
    "makers": "query Makers($orders: Int) { marketMakers(first: 20) { nodes { id name isActive"
    " balances { asset available locked }"
    " orders(first: $orders) { nodes { id side price quantity status createdAt } } } } }",
    "days": "{ aggregateTrades(groupBy: [CERTIFICATE_TYPE], bucket: DAY, first: 1000) { groups { from"
    " certificateType count quantitySum notionalSum } } }",
}
VARIABLES: dict[str, dict[str, Any]] = {
    "tickets": {"filter": {"status": "FAILED"}, "first": 50},
    "makers": {"orders": 10},
    "days": {},
}
PEER = {
    "tickets": "query Tickets($first: Int) { allTicketLogs(first: $first, orderBy: PRIMARY_KEY_DESC,"
    ' condition: { status: "FAILED" }) { nodes { ticketId timestamp actionType status summary errorCode durationMs tags'
    " marketMakerClientByMarketMakerId { id name isActive } } } }",
    "makers": "query Makers($orders: Int) { allMarketMakerClients(first: 20, orderBy: PRIMARY_KEY_ASC) { nodes { id"
    " name isActive userByUserId { balancesByHolderId { nodes { asset available locked } }"
    " ordersByUserId(first: $orders, orderBy: PRIMARY_KEY_DESC) {"
    " nodes { id side price quantity status createdAt } } } } } }",
}


FIELDS = "id price quantity notional executedAt takerSide status ticketId buyer { name }"
# The heaviest documents that an analyst may send, of which the second is one that no plan can answer.
HEAVIEST = {
    "planned": "query Q($n: Int!) { orders(first: 100, filter: { hasMarketMaker: true }) { nodes { id"
    " trades(first: $n) { nodes {"
    f" {FIELDS} }} }} }} }} }}",
    "stock": "query Q($n: Int!) { orders(first: 100, filter: { hasMarketMaker: true }) { nodes { id"
    " trades(first: $n) { nodes {"
    f" {FIELDS} marketMaker {{ balance(asset: CEA) {{ available }} }} }} }} }} }} }}",
}


@dataclass(slots=True)
class Runs:
    """What was measured, by question and variant, in the order of rounds. Units: answers a second; seconds."""

    rates: defaultdict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    halves: defaultdict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    alone: list[tuple[float, float]] = field(default_factory=list)  # p50, p99 of placing orders
    beside: list[tuple[float, float]] = field(default_factory=list)
    heaviest: dict[str, tuple[float, float]] = field(default_factory=dict)  # p50; MiB more than before


async def reader_of(owner: asyncpg.Connection[asyncpg.Record]) -> str:
    """Make an analyst with a session; return the token."""
    user, token = uuid4(), auth.new_token()
    await owner.execute(
        "INSERT INTO users (id, email, name, role, password_hash, kyc_status, created_at, updated_at)"
        " VALUES ($1::uuid, $1::uuid || '@bench.test', 'Analyst', 'ANALYST', 'x', 'APPROVED', now(), now())",
        user,
    )
    await owner.execute(
        "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at)"
        " VALUES (gen_random_uuid(), $1, $2, now(), now(), now() + interval '1 day')",
        user,
        token_sha256(token),
    )
    return token


def bodies(question: str, variant: str) -> list[str]:
    """Return what is sent; to us and to the peer as documents with variables, some of which change."""
    if variant == "hand":
        return ["{}"]
    variables = VARIABLES[question]
    if variant == "peer":
        variables = {name: value for name, value in variables.items() if name != "filter"}
    document = OURS[question] if variant in OUR else PEER[question]
    return [orjson.dumps({"query": document, "variables": variables}).decode()]


async def asked(ground: Ground, plan: dict[str, Any]) -> dict[str, Any]:
    measured = await asyncio.to_thread(child, ground, "bench.parts.asking", plan)
    faults = [fault for fault in measured["faults"] if "RATE_LIMITED" not in fault]  # who waited too long for his turn
    assert not faults, faults[:2]
    return measured


async def question(
    ground: Ground, runs: Runs, name: str, ports: dict[str, int], token: str, given: argparse.Namespace, turn: int
) -> None:
    """Ask one question of each variant in turn."""
    clients = 1 if name == "days" else CLIENTS
    variants = [variant for variant in ports if (variant, name) != ("peer", "days")]
    for variant in random.sample(variants, len(variants)):
        path = f"/{name}" if variant == "hand" else "/graphql"
        plan = {"port": ports[variant], "path": path, "token": token if variant in OUR else None,
                "bodies": bodies(name, variant), "clients": clients, "warm_up": WARM_UP,
                "seconds": given.seconds}  # fmt: skip
        measured = await asked(ground, plan)
        rate = measured["times"]["count"] / measured["seconds"]
        half = measured["times"]["p50"]
        line = f"{rate:,.0f}/s, p50 {half * 1e3:.2f} ms, {measured['bytes']:,} bytes"
        print(f"round {turn}: {name}, {variant}: {line}", file=sys.stderr, flush=True)
        if turn or given.rounds == 1:
            runs.rates[name, variant].append(rate)
            runs.halves[name, variant].append(half)


def heaviest(document: str) -> str:
    """Return a document with as many rows as an analyst's limit lets through, as it is sent."""
    built = schema.build()._schema
    parsed = parse(document)
    operation = operation_of(parsed, None)
    assert operation is not None
    most = COSTS_MAX[UserRole.ANALYST]
    costs = {n: cost_of(built, parsed, operation, {"n": n}).points for n in range(1, 101)}
    found = max(n for n, points in costs.items() if points <= most)
    print(f"measure: heaviest with {found} of 100 rows: {costs[found]:,} of {most:,} points")
    return orjson.dumps({"query": document, "variables": {"n": found}}).decode()


async def reading(port: int) -> None:
    """Wait until the reader of an API process answers."""
    async with asyncio.timeout(READY_WAIT_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                if (await answer.json())["readers"] == "1 of 1":
                    return
            await asyncio.sleep(0.1)


def resident(pid: int) -> int:
    """Return the bytes in memory of an API process and its reader."""
    process = psutil.Process(pid)
    return sum(int(one.memory_info().rss) for one in (process, *process.children(recursive=True)))


async def weigh(ground: Ground, runs: Runs, token: str, bodies: dict[str, str]) -> None:
    """Send each of the heaviest documents to an API of its own some times; note how long, and how much memory."""
    for name, body in bodies.items():
        with processes_of(ground, ["-m", "api", "serve"], 1, "/readyz") as (processes, ports):
            await reading(ports[0])
            before = peak = resident(processes[0].pid)
            plan = {"port": ports[0], "path": "/graphql", "token": token, "bodies": [body], "clients": 1,
                    "warm_up": 0.0, "seconds": 0.0}  # fmt: skip
            took: list[float] = []
            for _ in range(WEIGHINGS):
                asking = asyncio.create_task(asked(ground, plan))
                while not asking.done():
                    await asyncio.sleep(0.02)
                    peak = max(peak, resident(processes[0].pid))
                measured = asking.result()
                took.append(measured["times"]["p50"])
        runs.heaviest[name] = median(took), (peak - before) / MIB
        times, memory = ", ".join(f"{one * 1e3:.0f}" for one in took), (peak - before) / MIB
        print(f"measure: heaviest, {name}: {times} ms, {measured['bytes']:,} bytes, memory +{memory:.0f} MiB")


async def trading(
    ground: Ground, runs: Runs, port: int, token: str, bodies: list[str], given: argparse.Namespace, turn: int
) -> None:
    """Place orders alone and beside analysts."""
    for is_beside in random.sample((False, True), 2):
        plan = {"path": "/graphql", "ports": [port], "tokens": ground.tokens[:TRADERS], "seconds": given.seconds,
                "warm_up": WARM_UP, "seed": 2 * turn + is_beside + 1}  # fmt: skip
        placing = asyncio.create_task(asyncio.to_thread(child, ground, "bench.parts.load", plan))
        if is_beside:
            reading = {"port": port, "path": "/graphql", "token": token, "bodies": bodies, "clients": ANALYSTS,
                       "warm_up": 0.0, "seconds": given.seconds + 2 * WARM_UP}  # fmt: skip
            read = await asked(ground, reading)
        measured = await placing
        assert not measured["faults"], measured["faults"][:2]
        p50, p99 = measured["orders"]["p50"], measured["orders"]["p99"]
        more = f", {read['answered']} answers to analysts" if is_beside else ""
        which = "beside analysts" if is_beside else "alone"
        line = f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms{more}"
        print(f"round {turn}: orders {which}: {line}", file=sys.stderr, flush=True)
        if turn or given.rounds == 1:
            (runs.beside if is_beside else runs.alone).append((p50, p99))


@contextlib.contextmanager
def peers(ground: Ground, given: argparse.Namespace) -> Iterator[dict[str, int]]:
    """Serve all variants; yield their ports."""
    with contextlib.ExitStack() as stack:
        ports = {"ours": stack.enter_context(serving(ground, ["-m", "api", "serve"], READERS="0"))[0]}
        ports["reader"] = stack.enter_context(serving(ground, ["-m", "api", "serve"]))[0]
        ports["hand"] = stack.enter_context(serving(ground, HAND, probe="/healthz"))[0]
        if not given.without_peer:
            home: Path = stack.enter_context(postgraphile.installed())
            ports["peer"] = stack.enter_context(postgraphile.serving(ground, home))
        yield ports


def figures(runs: Runs, questions: Sequence[str]) -> list[Figure]:
    """Return the ratios with their goals."""
    found: list[Figure] = []
    for name in questions:
        for variant in (*OUR, "peer", "hand"):
            if rates := runs.rates.get((name, variant)):
                half = median(runs.halves[name, variant]) * 1e3
                print(
                    f"measure: {name}, {variant}: {median(rates):,.0f}/s, p50 {half:.2f} ms, noise {noise(rates):.0%}"
                )
        if name == "days":
            values = ratios(runs.halves[name, "ours"], runs.halves[name, "hand"])
            print(f"measure: days, ours / hand, p50 {spread(values)}")
            found.append(Figure("days_ours/hand_p50", median(values), "<=", DAYS_MAX))
            continue
        for other, goal in (("peer", PEER_MIN), ("hand", HAND_MIN)):
            if (name, other) in runs.rates:
                values = ratios(runs.rates[name, "ours"], runs.rates[name, other])
                print(f"measure: {name}, ours / {other} {spread(values)}")
                found.append(Figure(f"{name}_ours/{other}", median(values), ">=", goal))
    for index, (name, most) in enumerate((("p50", P50_MAX), ("p99", P99_MAX))):
        if runs.alone:
            values = ratios([one[index] for one in runs.beside], [one[index] for one in runs.alone])
            print(f"measure: orders {name}, beside analysts / alone {spread(values)}")
            found.append(Figure(f"orders_{name}_beside/alone", median(values), "<=", most))
    for name, (slowest, mib) in runs.heaviest.items():
        found.append(Figure(f"heaviest_{name}_s", slowest, "<=", HEAVIEST_S_MAX))
        found.append(Figure(f"heaviest_{name}_MiB", mib, "<=", HEAVIEST_MIB_MAX))
    return found


async def main() -> int:
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--seconds", type=float, default=SECONDS, help="of each variant in each round")
    asking.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped when there are several")
    asking.add_argument("--trades", type=int, default=TRADES)
    asking.add_argument("--without-peer", action="store_true", help="where there is no npm")
    asking.add_argument("--questions", nargs="+", default=[*OURS], choices=[*OURS])
    asking.add_argument("--without-trading", action="store_true", help="ask the questions only")
    given = asking.parse_args()
    runs = Runs()
    async with prepared() as ground, fresh_database(ground) as owner:
        await past.write(owner, given.trades)
        token = await reader_of(owner)
        with peers(ground, given) as ports:
            await reading(ports["reader"])
            for turn in range(given.rounds):
                for name in given.questions:
                    await question(ground, runs, name, ports, token, given, turn)
        if not given.without_trading:
            bodies = {name: heaviest(document) for name, document in HEAVIEST.items()}
            await weigh(ground, runs, token, bodies)
            with serving(ground, ["-m", "api", "serve"]) as (port,):
                await reading(port)
                for turn in range(given.rounds):
                    await trading(ground, runs, port, token, list(bodies.values()), given, turn)
    return conclude(figures(runs, given.questions))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
