"""PostgreSQL gives no more connections, and units of work come in floods: each ends in time, and all recovers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests.faults.history import clients_of, patience, trading
from tests.faults.market import Market, Told
from tests.sizes import EXHAUSTED_S

SEED = 20_261_214
CLIENTS, AT_ONCE = 4, 100
REFUSED_S_MAX = 2.0 + 2.5  # the wait for a connection, and as long again for that of the ticket; and some work
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


async def test_no_more_connections_is_busy_and_passes(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    """Let units of work, half of which fail, ask for many more connections than the database gives."""
    (holder,) = await market.traders(1, EUR="1000000")
    name = await market.one_value("SELECT current_database()")
    codes: Counter[str | None] = Counter()
    slowest = 0.0

    async def ask(number: int) -> Told:
        nonlocal slowest
        begun = time.monotonic()
        kind, amount = ("WITHDRAWAL", "100000000") if number % 2 else ("DEPOSIT", "1")
        told = await market.transact(number, holder.id, kind, "EUR", amount)
        slowest = max(slowest, time.monotonic() - begun) if told.code == "BUSY" else slowest
        return told

    async with trading(market, await clients_of(market, SEED, CLIENTS, pause_s=0.01)) as at_work:
        before = await market.root_tickets()
        await market.api.sql(f'ALTER DATABASE "{name}" CONNECTION LIMIT {await market.one_value(OPEN)}')
        told: list[Told] = []
        try:
            ends_at = time.monotonic() + EXHAUSTED_S
            while time.monotonic() < ends_at:
                told += await asyncio.gather(*map(ask, range(AT_ONCE)))
        finally:
            await market.api.sql(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        codes.update(one.code for one in told)
        back = time.monotonic()
        await at_work.answers_again(back)
        again = await asyncio.gather(*map(ask, range(AT_ONCE)))
        at_work.roots_before |= {one.ticket_id: one.code for one in (*told, *again)}
    assert codes.keys() <= {None, "INSUFFICIENT_BALANCE", "BUSY"} and codes[None] and codes["INSUFFICIENT_BALANCE"]
    assert slowest <= REFUSED_S_MAX * patience()
    tickets = {one.ticket_id: one.code for one in told}
    assert len(tickets) == len(told) and before.keys().isdisjoint(tickets)
    assert tickets.items() <= (await market.root_tickets()).items()
    done = codes[None] + sum(one.code is None for one in again)
    assert await market.api.balance(holder.id, "EUR") == (f"{1_000_000 + done}.00", "0.00")
    with capsys.disabled():
        print(  # noqa: T201 - figures for the log
            f"\n[no more connections: {dict(codes)}, slowest BUSY {slowest:.1f} s; meanwhile {await at_work.check()}]",
            end=" ",
        )
