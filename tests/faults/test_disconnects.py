"""Clients and processes that go away with an attempt under way: it was done whole or not at all, and its key tells."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from api.app import WRITE_CONNECTIONS_MAX
from tests.faults.market import TRANSACT, Market, Told, asked, heads
from tests.sizes import DISCONNECTS
from tests.world import PLACE_ORDER, Trader, serving_apart

SEED = 20_261_208
GONE_AFTER_S_MAX = 0.05
AT_ONCE = 16
CUT_EVERY = 10  # one of so many clients leaves before its last byte
UNDER_WAY = 64  # requests that a process has in hand when it is told to end
FLOOD = 200  # units of work at once; a process has 12 connections for them


def request(market: Market, trader: Trader, number: int) -> tuple[str, str, dict[str, str]]:
    """Return document, token and input of an attempt: orders by the desk and withdrawals by units of work, by turns."""
    key = {"idempotencyKey": f"{trader.id} {number}"}
    if number % 2:
        order = {"certificateType": "CEA", "side": "SELL", "price": "30.00", "quantity": "1"}
        return PLACE_ORDER, trader.token, order | key
    withdrawal = {"userId": trader.id, "asset": "EUA", "transactionType": "WITHDRAWAL", "amount": "1"}
    return TRANSACT, market.api.admin_token, withdrawal | key


async def send_and_leave(market: Market, trader: Trader, number: int, after_s: float) -> None:
    """Send an attempt, or nearly all of it, and close the connection after so many seconds, whatever came by then."""
    document, token, variables = request(market, trader, number)
    address = urlsplit(market.served[number // 2 % len(market.served)].url)
    body = asked(document, {"input": variables})
    lines = [f"POST {address.path} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in heads(token).items()]
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write("\r\n".join([*lines, "", ""]).encode() + (body[:-1] if is_cut(number) else body))
    await asyncio.sleep(after_s)
    writer.transport.abort()  # at once: nothing that is still to be sent is waited for
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def is_cut(number: int) -> bool:
    return number % CUT_EVERY == CUT_EVERY - 1


async def effects(market: Market, trader: Trader) -> dict[str, str]:
    """Return the ticket of each effect of a trader's attempts: what it is of, by ticket."""
    rows = await market.api.sql(
        "SELECT ticket_id, 'order' AS kind FROM orders WHERE user_id = $1 UNION ALL"
        " SELECT ticket_id, 'withdrawal' FROM asset_transactions WHERE holder_id = $1 AND reason = 'WITHDRAWAL'",
        trader.id,
    )
    assert len({row["ticket_id"] for row in rows}) == len(rows)
    return {row["ticket_id"]: row["kind"] for row in rows}


async def settled(market: Market, trader: Trader, number: int) -> Told:
    """Repeat an attempt under its key: it is done now, or it was and is answered once more."""
    document, token, variables = request(market, trader, number)
    return await market.ask(number, document, token, input=variables)


async def test_a_client_that_disconnects_leaves_an_attempt_that_was_done_whole_or_not_at_all(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    (trader,) = await market.traders(1, CEA=str(DISCONNECTS), EUA=str(DISCONNECTS), EUR="1")
    before, rng, room = await market.root_tickets(), random.Random(SEED), asyncio.Semaphore(AT_ONCE)

    async def leave(number: int, after_s: float) -> None:
        async with room:
            await send_and_leave(market, trader, number, after_s)

    async with asyncio.TaskGroup() as group:
        for number in range(DISCONNECTS):
            group.create_task(leave(number, rng.uniform(0, GONE_AFTER_S_MAX)))
    await market.is_left_quiet()

    done = await effects(market, trader)
    repeated = await asyncio.gather(*(settled(market, trader, number) for number in range(DISCONNECTS)))
    assert {told.code for told in repeated} == {None}
    replayed = {told.ticket_id for told in repeated if told.is_replay}
    assert done.keys() <= replayed, f"seed {SEED}"
    assert not any(told.is_replay for number, told in enumerate(repeated) if is_cut(number)), f"seed {SEED}"
    kinds = {told.ticket_id: "withdrawal" if number % 2 == 0 else "order" for number, told in enumerate(repeated)}
    assert len(kinds) == DISCONNECTS
    assert await effects(market, trader) == kinds
    assert await market.root_tickets() == before | dict.fromkeys(kinds)
    with capsys.disabled():
        print(f"\n[{DISCONNECTS} disconnects: {len(replayed)} attempts had been done]", end=" ")  # noqa: T201
    await _every_connection_is_there(market, trader)


async def _every_connection_is_there(market: Market, trader: Trader) -> None:
    """Let as many units of work as each process has connections wait for one balance at the same time."""
    count = WRITE_CONNECTIONS_MAX * len(market.served)
    blocker = await asyncpg.connect(market.api.database_url)
    try:
        async with blocker.transaction():
            await blocker.execute("SELECT FROM balances WHERE holder_id = $1 FOR UPDATE", trader.id)
            waiting = [
                asyncio.create_task(market.transact(at, trader.id, "DEPOSIT", "EUR", "1")) for at in range(count)
            ]
            await market.await_value(
                count,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'carbondesk-write' AND wait_event_type = 'Lock'",
            )
    finally:
        await blocker.close()
    assert {told.code for told in await asyncio.gather(*waiting)} == {None}


async def test_a_process_that_is_told_to_end_answers_what_it_has_in_hand(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    (trader,) = await market.traders(1, CEA=str(UNDER_WAY), EUA=str(UNDER_WAY))
    async with serving_apart(market.settings, "an API that ends") as ending:
        there = replace(market, served=[ending])
        await asyncio.gather(*(there.document(0, "{ __typename }", trader.token) for _ in range(UNDER_WAY)))
        before = await market.root_tickets()
        waiting = [asyncio.create_task(settled(there, trader, number)) for number in range(UNDER_WAY)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(ending.child.stop)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    answered = {number: one for number, one in enumerate(answers) if isinstance(one, Told)}
    unknown = [one for one in answers if not isinstance(one, Told)]
    assert all(isinstance(one, aiohttp.ClientError) for one in unknown), unknown
    assert {one.code for one in answered.values()} == {None}
    repeated = await asyncio.gather(*(settled(market, trader, number) for number in range(UNDER_WAY)))
    for number, told in answered.items():
        assert replace(told, is_replay=True) == repeated[number]
    assert {told.code for told in repeated} == {None}
    assert (await effects(market, trader)).keys() == {told.ticket_id for told in repeated}
    assert await market.root_tickets() == before | {told.ticket_id: None for told in repeated}
    with capsys.disabled():
        done = sum(told.is_replay for told in repeated)
        print(f"\n[SIGTERM: of {UNDER_WAY} requests {len(answered)} answered, {done} done]", end=" ")  # noqa: T201


async def test_more_units_of_work_than_connections_all_end_with_a_ticket(market: Market) -> None:
    """Half of them fail, all on one balance; who finds no connection in time is told so, and the others act."""
    (trader,) = await market.traders(1, EUR="1")
    before = await market.root_tickets()
    told = await asyncio.gather(
        *(
            market.transact(
                number, trader.id, *(("WITHDRAWAL", "EUR", "1000000") if number % 4 < 2 else ("DEPOSIT", "EUR", "1"))
            )
            for number in range(FLOOD)
        )
    )
    codes = Counter(one.code for one in told)
    assert codes.keys() <= {None, "INSUFFICIENT_BALANCE", "BUSY"}
    assert await market.root_tickets() == before | {one.ticket_id: one.code for one in told}
    assert await market.api.balance(trader.id, "EUR") == (f"{codes[None] + 1}.00", "0.00")
    await _every_connection_is_there(market, trader)
