"""A market with a past: trades, orders and tickets of a year, written by the database itself and quickly.

They are what readers are asked about. No ticket's digest is valid and no ledger row says how the trades were settled.
"""

from __future__ import annotations

import asyncpg

MAKERS, TRADERS = 20, 200
ORDERS, TICKETS = 100_000, 200_000
BUSY = 10_000  # of the newest orders: all trades are theirs, so that a list of their trades is long
DAYS = 365
STATEMENT_S = 600

TABLES = ("ticket_logs", "orders", "cash_market_trades")

_PEOPLE = f"""
INSERT INTO users (id, email, name, role, password_hash, kyc_status, created_at, updated_at)
SELECT md5('user' || i)::uuid, 'past-' || i || '@bench.test', 'Person ' || i,
       CASE WHEN i <= {MAKERS} THEN 'MARKET_MAKER' ELSE 'TRADER' END, CASE WHEN i > {MAKERS} THEN 'x' END, 'APPROVED',
       now(), now()
FROM generate_series(1, {MAKERS + TRADERS}) AS i;
INSERT INTO market_maker_clients (id, user_id, name, description, created_at, updated_at)
SELECT md5('maker' || i)::uuid, md5('user' || i)::uuid, 'MM-' || lpad(i::text, 3, '0'), 'A maker of the bench', now(),
       now()
FROM generate_series(1, {MAKERS}) AS i;
INSERT INTO balances (holder_id, asset, market_maker_id, available, locked, seq)
SELECT u.id, a, m.id, (1000 + abs(hashtext(u.id || a)) % 100000), 10, 1
FROM users u LEFT JOIN market_maker_clients m ON m.user_id = u.id CROSS JOIN unnest(ARRAY['CEA', 'EUA', 'EUR']) AS a
WHERE u.email LIKE 'past-%';
"""

_ORDERS = f"""
INSERT INTO orders (id, user_id, market_maker_id, certificate_type, side, order_type, time_in_force, price, quantity,
                    priority, created_at, ticket_id, filled_quantity, filled_notional, status, updated_at)
SELECT md5('order' || i)::uuid, md5('user' || who)::uuid,
       CASE WHEN who <= {MAKERS} THEN md5('maker' || who)::uuid END,
       CASE WHEN i % 2 = 0 THEN 'CEA' ELSE 'EUA' END, CASE WHEN who <= {MAKERS} OR i % 3 = 0 THEN 'SELL' ELSE 'BUY' END,
       'LIMIT', 'GTC', round(20 + (i % 500) / 100.0, 2), 10, -i,
       now() - make_interval(secs => i * {DAYS * 86_400 / ORDERS}),
       'TKT-2001-000001', 10, 200, 'FILLED', now()
FROM (SELECT i, 1 + abs(hashtext('o' || i)) % {MAKERS + TRADERS} AS who FROM generate_series(1, {ORDERS}) AS i) AS o;
"""

_TRADES = f"""
INSERT INTO cash_market_trades (id, certificate_type, sequence, price, quantity, buy_order_id, sell_order_id, buyer_id,
                                seller_id, market_maker_id, taker_side, position, executed_at, ticket_id)
SELECT md5('trade' || i)::uuid, CASE WHEN i % 3 = 0 THEN 'EUA' ELSE 'CEA' END, -i,
       round(20 + (abs(hashtext('p' || i)) % 1000) / 100.0, 2), 1 + abs(hashtext('q' || i)) % 500,
       md5('order' || 1 + i % {BUSY})::uuid, md5('order' || 1 + (i + 1) % {BUSY})::uuid,
       md5('user' || {MAKERS} + 1 + i % {TRADERS})::uuid, md5('user' || 1 + i % {MAKERS})::uuid,
       md5('maker' || 1 + i % {MAKERS})::uuid, 'BUY', 0, now() - make_interval(secs => i * $1::float8),
       'TKT-2001-000001'
FROM generate_series(1, $2::bigint) AS i
"""

_TICKETS = f"""
INSERT INTO ticket_logs (year, number, ticket_id, "timestamp", action_type, status, summary, error_code, error_message,
                         user_id, market_maker_id, entity_type, entity_id, ip_address, user_agent, session_id,
                         duration_ms, related_ticket_ids, tags, attempt_id, digest, payload_hmac)
SELECT 2001, i, 'TKT-2001-' || lpad(i::text, 6, '0'), '2001-01-01Z'::timestamptz + make_interval(secs => i),
       CASE WHEN i % 5 = 0 THEN 'MM_ORDER_CANCELLED' ELSE 'MM_ORDER_PLACED' END,
       CASE WHEN i % 4 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, 'SELL 10 CEA at 25.50 for a market maker',
       CASE WHEN i % 4 = 0 THEN 'INSUFFICIENT_BALANCE' END, CASE WHEN i % 4 = 0 THEN 'Less is available.' END,
       md5('user' || {MAKERS} + 1 + i % {TRADERS})::uuid, md5('maker' || 1 + i % {MAKERS})::uuid, 'ORDER',
       md5('order' || 1 + i % {ORDERS}), '10.0.0.' || i % 250, 'bench', NULL, round((i % 900) / 10.0, 1), '{{}}',
       ARRAY['order', 'market-maker'], md5('attempt' || i)::uuid, sha256(i::text::bytea), sha256(i::text::bytea)
FROM generate_series(1, {TICKETS}) AS i;
"""


async def write(owner: asyncpg.Connection[asyncpg.Record], trades: int) -> None:
    """Fill a migrated database. Indexes and foreign keys are taken off first; the keys hold, and are not looked at."""
    await owner.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
    again: list[str] = []
    for table in TABLES:
        again += await _taken_off(owner, table)
    for statement in (_PEOPLE, _TICKETS, _ORDERS):
        await owner.execute(statement, timeout=STATEMENT_S)
    await owner.execute(_TRADES, DAYS * 86_400 / trades, trades, timeout=STATEMENT_S)
    for statement in again:
        await owner.execute(statement, timeout=STATEMENT_S)
    await owner.execute("UPDATE ticket_folds SET txid = pg_snapshot_xmax(pg_current_snapshot())")
    await owner.execute("RESET synchronous_commit")
    await owner.execute("VACUUM (ANALYZE)", timeout=STATEMENT_S)


async def _taken_off(owner: asyncpg.Connection[asyncpg.Record], table: str) -> list[str]:
    """Take plain indexes and foreign keys off a table; return the statements that make them again."""
    keys = await owner.fetch(
        "SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE conrelid = $1::text::regclass AND contype = 'f'",
        table,
    )
    indexes = await owner.fetch(
        "SELECT indexname AS name, indexdef AS definition FROM pg_indexes"
        " WHERE tablename = $1 AND indexdef NOT LIKE 'CREATE UNIQUE%'",
        table,
    )
    for key in keys:
        await owner.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{key["name"]}"')
    for index in indexes:
        await owner.execute(f'DROP INDEX "{index["name"]}"')
    return [
        *(index["definition"] for index in indexes),
        *(f'ALTER TABLE {table} ADD CONSTRAINT "{key["name"]}" {key["definition"]} NOT VALID' for key in keys),
    ]
