"""A populated database is migrated while clients trade and somebody reads for long: nobody waits, nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from pathlib import Path
from uuid import UUID

import pytest

from api.app import services
from bench.parts.ground import attempt_of, place_of
from db import migrate
from tests.conftest import owner_of
from tests.faults.history import Trading, clients_of, patience, trading
from tests.faults.market import Market
from tests.sizes import POPULATED

SEED = 20_261_213
CLIENTS = 8
AT_ONCE = 500
READ_S = 3.0  # a reader holds every table for so long when the migration begins
STALL_S_MAX = 1.0
MIGRATION = '''
"""What a next release may bring: columns, a law that old rows are held to, an index.

Revision ID: next
"""

from alembic import op

revision = "next"
down_revision = "{head}"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE ticket_logs ADD COLUMN region text",
    "ALTER TABLE orders ADD COLUMN note text CHECK (length(note) <= 100)",
    "ALTER TABLE asset_transactions ADD CONSTRAINT small CHECK (amount < 1e15) NOT VALID",
    "ALTER TABLE asset_transactions VALIDATE CONSTRAINT small",
    "CREATE INDEX orders_note ON orders (note) WHERE note IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
'''


async def populate(market: Market, count: int) -> None:
    """Let traders place so many resting orders, by the desk of a process of ours."""
    traders = [UUID(trader.id) for trader in await market.traders(4, CEA=str(10 * count))]
    rng = random.Random(SEED)
    async with services(market.settings) as ours:
        for _ in range(0, count, AT_ONCE):
            waiting = []
            for _ in range(AT_ONCE):
                holder = rng.choice(traders)
                asked = {"certificateType": "CEA", "side": "SELL", "quantity": "1"}
                asked["price"] = f"{rng.randint(3_000, 9_000) / 100:.2f}"
                waiting.append(
                    ours.desk.submit(attempt_of(holder, "placeOrder", {"input": asked}), place_of(holder, asked))
                )
            assert all(answer.refusal is None for answer in await asyncio.gather(*waiting))


def longest_wait(at_work: Trading, since: float, until: float) -> float:
    """Return the longest time between two answers to anybody."""
    answers = sorted(one.told_at for one in at_work.entries if one.told and since <= one.told_at <= until)
    return max(later - earlier for earlier, later in itertools.pairwise([since, *answers, until]))


async def test_a_populated_database_is_migrated_under_load(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await populate(market, POPULATED)
    await market.verify()
    head = await market.one_value("SELECT version_num FROM alembic_version")
    (tmp_path / "next.py").write_text(MIGRATION.format(head=head), encoding="utf-8")
    monkeypatch.setattr(migrate, "VERSIONS", [*migrate.VERSIONS, tmp_path])
    tried = []
    monkeypatch.setattr(migrate.log, "info", lambda *said, **more: tried.append(said))
    async with trading(market, await clients_of(market, SEED, CLIENTS)) as at_work, owner_of(
        market.api.database_url
    ) as reader:  # fmt: skip
        await at_work.answers_again(time.monotonic())
        begun = time.monotonic()
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await reader.fetch("SELECT FROM ticket_logs, orders LIMIT 1")
            migrating = asyncio.create_task(migrate.upgrade(market.api.database_url))
            await asyncio.sleep(READ_S)
            assert not migrating.done(), "the reader was in its way"
        assert await migrating == ["next"]
        ended = time.monotonic()
        await at_work.answers_again(ended)
    assert tried, "it gave way"
    waited = longest_wait(at_work, begun, ended)
    assert waited <= STALL_S_MAX * patience(), f"nobody was answered for {waited:.1f} s"
    with capsys.disabled():
        print(  # noqa: T201 - figures for the log
            f"\n[{POPULATED:,} orders migrated in {ended - begun:.1f} s, gave way {len(tried)} times, longest wait"
            f" {waited:.2f} s: {await at_work.check()}]",
            end=" ",
        )
