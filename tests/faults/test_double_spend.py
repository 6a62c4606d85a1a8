"""Double spend: many requests at once, over all processes, each for the whole of one balance. One gets it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import pytest

from tests.faults.market import TRANSACT, Market, Told, told_of
from tests.sizes import RIVAL_ROUNDS
from tests.world import CANCEL_ORDER, PLACE_ORDER, Trader

SEED = 20_261_206
RIVALS = 32
CEA, EUR = "100", "1000"
# Far from each other, so that none of them ever meets another one.
SELL = {"certificateType": "CEA", "side": "SELL", "price": "99.00", "quantity": CEA}
BUY = {"certificateType": "CEA", "side": "BUY", "price": "10.00", "quantity": "100"}
ORDERED = "placeOrder(input: $input) { ticketId errors { code } order { id } }"
TWO_ORDERS = f"mutation($input: PlaceOrderInput!) {{ a: {ORDERED} b: {ORDERED} }}"
WITHDRAWN = "createTransaction(input: $input) { ticketId errors { code } transaction { id } }"
TWO_WITHDRAWALS = f"mutation($input: CreateTransactionInput!) {{ a: {WITHDRAWN} b: {WITHDRAWN} }}"
Rivals: TypeAlias = list[Awaitable[Sequence[Told]]]


def withdrawal(trader: Trader, asset: str) -> dict[str, str]:
    amount = CEA if asset == "CEA" else EUR
    return {"userId": trader.id, "asset": asset, "transactionType": "WITHDRAWAL", "amount": amount}


def singly(market: Market, trader: Trader, asset: str) -> Rivals:
    """Ask for all of an asset by orders and by withdrawals, one in a request."""
    order = SELL if asset == "CEA" else BUY

    async def one(number: int) -> Sequence[Told]:
        if number % 3:  # processes are taken by turns, two or four of them: each gets requests of both kinds
            return [await market.ask(number, PLACE_ORDER, trader.token, input=order)]
        return [await market.ask(number, TRANSACT, market.api.admin_token, input=withdrawal(trader, asset))]

    return [one(number) for number in range(RIVALS)]


def by_twos(market: Market, trader: Trader, asset: str) -> Rivals:
    """Ask for all of an asset twice in one document, under two aliases."""
    order = SELL if asset == "CEA" else BUY

    async def two(number: int) -> Sequence[Told]:
        if number % 3:
            body = await market.document(number, TWO_ORDERS, trader.token, input=order)
        else:
            asked = withdrawal(trader, asset)
            body = await market.document(number, TWO_WITHDRAWALS, market.api.admin_token, input=asked)
        return list(told_of(body).values())

    return [two(number) for number in range(RIVALS // 2)]


async def restore(market: Market, trader: Trader, winner: Told, asset: str) -> Told:
    """Give back what the winner took."""
    if order := winner.payload.get("order"):
        undone = await market.ask(0, CANCEL_ORDER, trader.token, id=order["id"])
    else:
        undone = await market.transact(0, trader.id, "DEPOSIT", asset, CEA if asset == "CEA" else EUR)
    assert undone.code is None
    return undone


@pytest.mark.parametrize("way", [singly, by_twos])
async def test_of_rivals_for_a_whole_balance_one_gets_it(
    market: Market, capsys: pytest.CaptureFixture[str], way: Callable[[Market, Trader, str], Rivals]
) -> None:
    (trader,) = await market.traders(1, CEA=CEA, EUR=EUR)
    rng, known, won_by = random.Random(SEED), await market.root_tickets(), Counter[str]()
    for number in range(RIVAL_ROUNDS):
        place = f"seed {SEED}, round {number}"
        asset = "CEA" if number % 2 else "EUR"
        rivals = way(market, trader, asset)
        rng.shuffle(rivals)
        told = [one for answer in await asyncio.gather(*rivals) for one in answer]
        winners = [one for one in told if one.code is None]
        assert (len(told), len(winners)) == (RIVALS, 1), place
        known |= {one.ticket_id: None if one is winners[0] else "INSUFFICIENT_BALANCE" for one in told}
        assert Counter(one.code for one in told) == {None: 1, "INSUFFICIENT_BALANCE": RIVALS - 1}, place
        won_by["order" if winners[0].payload.get("order") else "withdrawal"] += 1
        restored = await restore(market, trader, winners[0], asset)
        known[restored.ticket_id] = None
    assert await market.root_tickets() == known
    assert won_by.keys() == {"order", "withdrawal"}
    with capsys.disabled():
        print(f"\n[{RIVAL_ROUNDS} rounds of {RIVALS}, {way.__name__}: won by {dict(won_by)}]", end=" ")  # noqa: T201
