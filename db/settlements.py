"""Settlements in the database: one insert-only row a trade, each with its own ticket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from db import tables
from db.market import trade_of
from db.transaction import Write
from domain import errors, office, settlements
from domain.market import Trade
from domain.settlements import SettledOutcome, SettledTogetherOutcome, Settlement
from domain.tickets import Draft

CONSTRAINT = "trade_settlements_pkey"


async def settle(write: Write, asked: Settlement) -> SettledOutcome:
    """Record the registry's reference of a trade.

    Raises: NotFound, AlreadyDecided.
    Locks: none; of two settlements of one trade the second waits for the first on the primary key.
    """
    found = await _trades(write, [asked])
    trade = settlements.decide(asked, found.get(asked.trade_id))
    write.root.related = (trade.ticket_id,)
    settled = _settled(write, trade, asked)
    await _store(write, [(settled, write.root)])
    return SettledOutcome(settled)


async def settle_together(write: Write, asked: Sequence[Settlement]) -> SettledTogetherOutcome:
    """Record the references of several trades, all or none, each with a child ticket.

    Raises: NotFound, AlreadyDecided; of several the first asked for is named.
    Locks: as above, in the order of the trades' ids.
    """
    found = await _trades(write, asked)
    trades = [
        _settled(write, settlements.decide(one, found.get(one.trade_id), index=index), one)
        for index, one in enumerate(asked)
    ]
    numbers = await write.draw(len(trades))
    rows = []
    for trade, number in zip(trades, numbers, strict=True):
        story = office.of_settled_trade(trade)
        related = (trade.ticket_id, write.root)
        draft = Draft(write.attempt, story, is_root=False, related=related, number=number)
        write.drafts.append(draft)
        rows.append((trade, draft))
    await _store(write, rows)
    return SettledTogetherOutcome(tuple(trades))


async def _trades(write: Write, asked: Iterable[Settlement]) -> dict[UUID | None, Trade]:
    rows = await write.connection.fetch(
        "SELECT t.*, s.settled_at, s.registry_reference FROM cash_market_trades t"
        " LEFT JOIN trade_settlements s ON s.trade_id = t.id WHERE t.id = ANY($1::uuid[])",
        [one.trade_id for one in asked],
    )
    return {row["id"]: trade_of(row) for row in rows}


def _settled(write: Write, trade: Trade, asked: Settlement) -> Trade:
    return replace(trade, settled_at=write.now, registry_reference=asked.reference)


async def _store(write: Write, settled: Iterable[tuple[Trade, Draft]]) -> None:
    rows = [
        (trade.id, trade.registry_reference, trade.settled_at, write.attempt.user_id, draft.ticket_id)
        for trade, draft in settled
    ]
    try:
        await write.insert(tables.trade_settlements, sorted(rows, key=lambda row: row[0]))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != CONSTRAINT:
            raise
        raise errors.AlreadyDecided(
            "Somebody else has settled one of these trades just now. Look at them again.", field="id"
        ) from error
