"""Migrations: a populated database is brought forward, and its tickets stand as they stood."""

from __future__ import annotations

import asyncpg

from db import migrate
from db.embedded import Servers
from tests.conftest import fresh_database
from tests.db.invariants import assert_invariants
from tests.db.process import process

BACK_TO_0002 = """
DROP TABLE kyc_documents;
ALTER TABLE users DROP COLUMN kyc_reason;
DROP TABLE ticket_payload_search, ticket_counts, ticket_folds;
DROP FUNCTION ticket_payload_words;
DROP INDEX ticket_logs_entity_type, ticket_logs_for_makers, ticket_logs_for_nobody, ticket_leases_closed;
DROP TABLE audit_leaves, audit_nodes, audit_checkpoints, audit_head, payload_archives, rewrites;
ALTER TABLE ticket_logs DROP COLUMN payload_hmac;
ALTER TABLE ticket_voids DROP COLUMN txid;
UPDATE alembic_version SET version_num = '0002';
"""


async def test_0003_gives_each_ticket_the_hmac_of_its_payload(servers: Servers) -> None:
    async with fresh_database(servers) as url:
        async with process(url) as one:
            trader, maker = await one.trader("1000"), await one.maker("100")
            await one.place(maker, "SELL", "10", "25.00")
            await one.place(trader, "BUY", "10", "25.00")
        owner = await asyncpg.connect(url)
        try:
            tickets = "SELECT ticket_id, digest, payload_hmac, txid FROM ticket_logs ORDER BY year, number"
            before = [tuple(row.values()) for row in await owner.fetch(tickets)]
            await owner.execute(BACK_TO_0002)
            assert await migrate.upgrade(url) == ["0003", "0004", "0005"]
            assert [tuple(row.values()) for row in await owner.fetch(tickets)] == before
            assert await owner.fetchval("SELECT count(*) FROM rewrites") == 1
            assert await owner.fetchval("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'append_only%'"
                                        " AND tgenabled <> 'A'") == 0  # fmt: skip
            async with process(url) as one:
                await one.trader("5")  # and the application writes on
            await assert_invariants(owner)
        finally:
            await owner.close()


async def test_an_empty_database_has_nothing_rewritten(database: str) -> None:
    owner = await asyncpg.connect(database)
    try:
        assert await owner.fetchval("SELECT count(*) FROM rewrites") == 0
    finally:
        await owner.close()
