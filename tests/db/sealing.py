"""A sealer for tests: the real one, on a key and files of its own; and something for it to seal."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from db import tables
from db.keys import Signer
from db.seal import CONNECTIONS_MAX, Round, Sealer
from db.transaction import Write
from db.unit import Pool
from db.witness import Witness
from domain.makers import MakerOutcome
from domain.money import Asset
from domain.tickets import ActionType, EntityType, Story
from tests.db.process import Process

REFUSALS_EACH = 30  # so that some rounds make a tree with inner nodes that are kept


@dataclass
class Sealing:
    """A sealer, its connections, its key and what it writes outside."""

    sealer: Sealer
    pool: Pool
    signer: Signer
    witness: Witness

    async def seal(self) -> Round:
        return await self.sealer.seal_all()


@contextlib.asynccontextmanager
async def sealing(url: str, home: Path, signer: Signer | None = None) -> AsyncIterator[Sealing]:
    """Open a sealer on a database, as `carbondesk seal` does; with a key of its own it acts as the owner."""
    role = None if signer else f"{urlsplit(url).path.lstrip('/')}_sealer"
    pool = await Pool.open(url, role=role, size_max=CONNECTIONS_MAX, name="seal")
    try:
        signer, witness = signer or Signer.of_home(home / "secrets"), Witness(home / "checkpoints")
        yield Sealing(Sealer(pool, signer, witness), pool, signer, witness)
    finally:
        await pool.close()


async def trade(one: Process, holders: Sequence[UUID], maker: MakerOutcome, base: int) -> None:
    """Leave tickets of many kinds: orders, trades, cancels, deposits, refusals."""
    buyer, other = holders
    for step in range(3):
        await one.place(maker, "SELL", "10", f"{base}.0{step}")
        await one.place(buyer, "BUY", "15", f"{base}.0{step}")
        resting = await one.place(other, "BUY", "3", "1.00")
        assert resting.outcome
        await one.cancel(resting.outcome.order.id, other)
    await one.transact(buyer, Asset.EUR, "5")
    for _ in range(REFUSALS_EACH):
        await one.cancel(UUID(int=7), buyer)


async def settle(one: Process) -> None:
    """Settle a trade as its mutation will: an insert-only row that names its ticket."""
    trade_id = (await one.pool.fetch("SELECT id FROM cash_market_trades LIMIT 1"))[0]["id"]

    async def work(write: Write) -> None:
        await write.insert(
            tables.trade_settlements, [(trade_id, "REG-1", write.now, write.attempt.user_id, write.ticket_id)]
        )

    story = Story(ActionType.TRADE_SETTLED, "Settled", EntityType.TRADE, str(trade_id))
    answer = await one.run("settleTrade", {}, work, lambda _asked, _done: story, type(None))
    assert answer.refusal is None
