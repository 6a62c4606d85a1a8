"""Idempotency: each key sent many times at once over all processes has one effect, one ticket and one answer."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from tests.faults.market import TRANSACT, Market, Told
from tests.sizes import KEYS
from tests.world import PLACE_MARKET_ORDER, PLACE_ORDER, Trader

SEED = 20_261_207
COPIES = 20
SENT_AT_ONCE = 100  # all copies of five keys
KINDS = 4
assert KEYS % KINDS == 0


class Keys:
    """What is sent under each key: a resting order, one that trades, a market maker's, and a withdrawal, by turns."""

    def __init__(self, market: Market, seller: Trader, buyer: Trader, maker_id: str) -> None:
        self.market, self.seller, self.buyer, self.maker_id = market, seller, buyer, maker_id
        self.turned_away: dict[str, str | None] = {}  # BUSY is no answer of a key: whoever gets it asks again

    def request(self, key: int, extra: int = 0) -> tuple[str, str, dict[str, str]]:
        """Return document, token and input of a key; with an extra it is another input."""
        quantity, name = str(key % 50 + 1 + extra), f"key-{key}"
        order = {"certificateType": "CEA", "quantity": quantity, "idempotencyKey": name}
        admin = self.market.api.admin_token
        if key % KINDS == 0:
            return PLACE_ORDER, self.seller.token, {**order, "side": "SELL", "price": "30.00"}
        if key % KINDS == 1:
            return PLACE_ORDER, self.buyer.token, {**order, "side": "BUY", "price": "25.00"}
        if key % KINDS == 2:
            return PLACE_MARKET_ORDER, admin, {**order, "price": "31.00", "marketMakerId": self.maker_id}
        asked = {"userId": self.seller.id, "asset": "EUA", "transactionType": "WITHDRAWAL", "amount": quantity}
        return TRANSACT, admin, {**asked, "idempotencyKey": name}

    async def send(self, at: int, key: int, extra: int = 0) -> Told:
        document, token, asked = self.request(key, extra)
        while (told := await self.market.ask(at, document, token, input=asked)).code == "BUSY":
            self.turned_away[told.ticket_id] = told.code
        return told


async def effects(market: Market) -> tuple[int, int]:
    """Count orders and withdrawals."""
    orders = await market.one_value("SELECT count(*) FROM orders")
    return orders, await market.one_value("SELECT count(*) FROM asset_transactions WHERE reason = 'WITHDRAWAL'")


async def test_keys_sent_twenty_times_at_once_have_one_effect_each(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    holdings = {"CEA": str(100 * KEYS), "EUA": str(100 * KEYS), "EUR": str(10_000 * KEYS)}
    seller, buyer, offering = await market.traders(3, **holdings)
    maker = await market.api.maker(CEA=holdings["CEA"])
    offer = {"certificateType": "CEA", "side": "SELL", "price": "25.00", "quantity": holdings["CEA"]}
    assert (await market.ask(0, PLACE_ORDER, offering.token, input=offer)).code is None
    keys = Keys(market, seller, buyer, maker["id"])
    before, had = await market.root_tickets(), await effects(market)

    sends = [(key, copy) for key in range(KEYS) for copy in range(COPIES)]
    random.Random(SEED).shuffle(sends)
    sends.sort(key=lambda send: send[0] // (SENT_AT_ONCE // COPIES))  # five keys at a time, their copies in any order
    room, started = asyncio.Semaphore(SENT_AT_ONCE), time.perf_counter()

    async def send(key: int, copy: int) -> tuple[int, Told]:
        async with room:
            return key, await keys.send(copy, key)

    answers: dict[int, list[Told]] = {}
    for key, told in await asyncio.gather(*(send(*one) for one in sends)):
        answers.setdefault(key, []).append(told)
    seconds = time.perf_counter() - started

    tickets: dict[str, str | None] = {}
    for key, told_of_key in answers.items():
        first = told_of_key[0]
        assert first.code is None, f"seed {SEED}, key {key}: {first}"
        assert all(told.payload == first.payload for told in told_of_key), f"seed {SEED}, key {key}"
        assert [told.is_replay for told in told_of_key].count(False) == 1, f"seed {SEED}, key {key}"
        assert len(first.payload.get("trades", [])) == (1 if key % KINDS == 1 else 0), key
        tickets[first.ticket_id] = None
    assert len(tickets) == KEYS
    assert await market.root_tickets() == before | tickets | keys.turned_away
    assert await effects(market) == (had[0] + KEYS * 3 // KINDS, had[1] + KEYS // KINDS)
    with capsys.disabled():
        print(f"\n[{KEYS} keys x {COPIES} in {seconds:.1f} s, {len(keys.turned_away)} times BUSY]", end=" ")  # noqa: T201 - a figure for the log
    await _other_input_is_refused(keys, {key: told[0] for key, told in answers.items()})


async def _other_input_is_refused(keys: Keys, first: dict[int, Told]) -> None:
    """Send each used key with another input to every process: always a conflict, with a ticket of its own."""
    market = keys.market
    before, had = await market.root_tickets(), await effects(market)
    sends = [(at, key) for key in range(KEYS) for at in range(len(market.served))]
    room = asyncio.Semaphore(SENT_AT_ONCE)

    async def send(at: int, key: int) -> Told:
        async with room:
            return await keys.send(at, key, extra=1)

    answers = await asyncio.gather(*(send(*one) for one in sends))
    conflicts: dict[str, str | None] = {}
    for (_, key), told in zip(sends, answers, strict=True):
        assert told.code == "IDEMPOTENCY_CONFLICT", key
        named: dict[str, Any] = told.payload["errors"][0]["details"]
        assert named == {"ticketId": first[key].ticket_id}
        conflicts[told.ticket_id] = told.code
    assert len(conflicts) == len(sends)
    assert await market.root_tickets() == before | conflicts | keys.turned_away
    assert await effects(market) == had
