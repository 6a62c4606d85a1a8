"""What a flood of wrong logins costs those who trade: the same orders calm and flooded, side by side in one run.

    make bench NAME=flood [ARGS="--seconds 4 --rounds 6 --clients 4"]

Each flooded run gets 500 wrong logins for one account, as fast as 32 connections send them from another address of this
machine, while the clients trade. Then the account's owner signs in with the right password. Rounds are interleaved; the
first is dropped. The flood, the load and the servers share the cores of one machine, so some of the growth is theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

import asyncpg

from api.auth import Passwords
from bench.parts import guesses
from bench.parts.figures import Figure, conclude, spread
from bench.parts.ground import Ground, child, fresh_database, prepared, serving

ROUNDS, SECONDS, CLIENTS = 6, 4.0, 4
LOGINS, AT_ONCE, STRANGER = 500, 32, "127.0.0.66"
PASSWORD = "the right one of the victim"
GROWTH_MS_MAX = 20.0
TICKETS_MAX = 6  # five free failures, and one above the limit within a minute


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Units: milliseconds, seconds. Of a calm one the last three are 0."""

    p99_ms: float
    rate: float
    flood_s: float = 0.0
    tickets: int = 0
    owner_ms: float = 0.0


async def victim(owner: asyncpg.Connection[asyncpg.Record], passwords: Passwords) -> str:
    """Create an account with a password; return its address."""
    email = f"victim-{uuid4()}@bench.test"
    await owner.execute(
        "INSERT INTO users (id, email, name, role, password_hash, kyc_status, created_at, updated_at)"
        " VALUES ($1, $2, 'Victim', 'TRADER', $3, 'APPROVED', now(), now())",
        uuid4(),
        email,
        await passwords.hash(PASSWORD),
    )
    return email


async def signed_in(port: int, email: str) -> float:
    """Sign in as the owner of the account does; return the milliseconds it took."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    payload = await guesses.asked(reader, writer, guesses.request_of(email, PASSWORD))
    writer.close()
    assert payload["accessToken"], f"the owner of the account did not get in: {payload}"
    return (time.perf_counter() - started) * 1e3


async def measure(
    ground: Ground, passwords: Passwords, clients: int, seconds: float, seed: int, *, is_flooded: bool
) -> Run:
    """Trade on a fresh database, with a flood or without."""
    async with fresh_database(ground) as owner:
        email = await victim(owner, passwords)
        with serving(ground, ["-m", "api", "serve"]) as ports:
            await signed_in(ports[0], email)  # from here the owner is known
            plan = {"seconds": seconds, "warm_up": 1.0, "seed": seed, "path": "/graphql", "ports": ports,
                    "tokens": ground.tokens[:clients]}  # fmt: skip
            trading = asyncio.create_task(asyncio.to_thread(child, ground, "bench.parts.load", plan))
            flood = None
            if is_flooded:
                await asyncio.sleep(1.5)  # the load has started and warmed up
                wrong = {"port": ports[0], "email": email, "count": LOGINS, "at_once": AT_ONCE, "address": STRANGER}
                flood = await asyncio.to_thread(child, ground, "bench.parts.guesses", wrong)
                owner_ms = await signed_in(ports[0], email)
            measured = await trading
        assert not measured["faults"], measured["faults"][:3]
        run = Run(measured["orders"]["p99"] * 1e3, measured["orders"]["count"] / measured["seconds"])
        if flood is None:
            return run
        rows = await owner.fetch("SELECT ticket_id FROM ticket_logs WHERE action_type = 'USER_LOGIN_FAILED'")
        assert set(flood["tickets"]) <= {row["ticket_id"] for row in rows}
        return Run(run.p99_ms, run.rate, flood["seconds"], len(rows), owner_ms)


async def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of each run, after a second of warm-up")
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="the first is dropped")
    asked.add_argument("--clients", type=int, default=CLIENTS)
    given = asked.parse_args()
    passwords = Passwords()
    runs: dict[bool, list[Run]] = {False: [], True: []}
    async with prepared() as ground:
        for turn in range(given.rounds):
            for is_flooded in (False, True):
                run = await measure(ground, passwords, given.clients, given.seconds, turn + 1, is_flooded=is_flooded)
                print(f"round {turn}: {'flooded' if is_flooded else 'calm'}: {run}", file=sys.stderr, flush=True)
                if turn or given.rounds == 1:
                    runs[is_flooded].append(run)
    passwords.stop()
    calm, flooded = runs[False], runs[True]
    print(f"measure: p99 calm {spread([run.p99_ms for run in calm])} ms at {median(r.rate for r in calm):,.0f}/s")
    print(
        f"measure: p99 flooded {spread([run.p99_ms for run in flooded])} ms at {median(r.rate for r in flooded):,.0f}/s"
    )
    print(f"measure: {LOGINS} wrong logins answered in {spread([run.flood_s for run in flooded])} s")
    print(f"measure: the owner signs in in {spread([run.owner_ms for run in flooded])} ms")
    growth = median(one.p99_ms - other.p99_ms for one, other in zip(flooded, calm, strict=True))
    return conclude([
        Figure("flood_p99_growth_ms", growth, "<=", GROWTH_MS_MAX),
        Figure("flood_tickets", max(run.tickets for run in flooded), "<=", TICKETS_MAX),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
