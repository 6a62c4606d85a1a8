"""The schema itself refuses: every CHECK, key, trigger and right, tried with SQL as the owner and as the roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import tables
from db.embedded import Servers
from tests.db.invariants import assert_invariants
from tests.db.process import Process, process
from tests.db.site import superuser_url

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
APPEND_ONLY = [
    "ticket_logs", "ticket_payloads", "ticket_voids", "cash_market_trades", "trade_settlements", "book_events",
    "asset_transactions", "kyc_documents",
]  # fmt: skip
# What the application may change, and nothing else: columns by table.
CHANGEABLE = {
    "users": "email name role password_hash is_active kyc_status updated_at kyc_reason",
    "user_sessions": "last_seen_at revoked_at",
    "market_maker_clients": "name description is_active updated_at",
    "certificates": "name description tick_size lot_size reference_price is_halted",
    "settings": "price_band_percent public_market_data",
    "books": "sequence priority last_price",
    "orders": "filled_quantity filled_notional status cancel_reason updated_at",
    "balances": "available locked seq",
    "deposits": "status reason decided_at decided_by",
    "ticket_leases": "closed_at",
    "ticket_folds": "txid",
    "ticket_counts": "tickets last_at",
}
NO_NUMBERS = ["'NaN'", "'Infinity'", "'-Infinity'"]


class Rows:
    """The ids of one of each: what statements below refer to as {name}."""

    def __init__(self, ids: dict[str, object]) -> None:
        self.ids = ids

    def __call__(self, statement: str) -> str:
        return statement.format_map(
            {name: f"'{value}'" for name, value in self.ids.items()} | {"uuid": "gen_random_uuid()"}
        )


@pytest.fixture(scope="module")
async def rows(servers: Servers, database: str) -> AsyncIterator[Rows]:
    """Make one of each thing through the write path."""
    async with process(database, servers.urls.redis_url) as one:
        yield Rows(await one_of_each(one))


async def one_of_each(one: Process) -> dict[str, object]:
    buyer, maker = await one.trader("10000"), await one.maker("1000")
    sell = await one.place(maker, "SELL", "100", "25.50")
    buy = await one.place(buyer, "BUY", "40", "25.60")
    refused = await one.place(buyer, "BUY", "1000000", "25.60")
    assert sell.outcome is not None
    assert buy.outcome is not None
    return {
        "admin": one.admin_id,
        "buyer": buyer,
        "maker": maker.maker.id,
        "maker_user": maker.maker.user_id,
        "sell": sell.outcome.order.id,
        "buy": buy.outcome.order.id,
        "trade": buy.outcome.trades[0].id,
        "success": buy.ticket_id,
        "failed": refused.ticket_id,
    }


@pytest.fixture
async def owner(database: str, rows: Rows) -> AsyncIterator[Connection]:
    """Act as the migrating login, in a transaction that is undone."""
    connection = await asyncpg.connect(database)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture
async def app(database: str, owner: Connection) -> Connection:
    """Act as the application."""
    await owner.execute(f'SET ROLE "{urlsplit(database).path[1:]}_app"')
    return owner


async def refused(connection: Connection, statement: str, *errors: type[Exception]) -> str:
    """Run a statement to the end of its constraints; it must fail for one of these reasons."""
    with pytest.raises(errors) as raised:
        await checked(connection, statement)
    return str(raised.value)


async def checked(connection: Connection, statement: str) -> None:
    async with connection.transaction():
        await connection.execute(statement)
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


# ------------------------------------------------------------------------------------------------------------- checks

SETS: list[tuple[str, str, list[str]]] = [
    ("balances", "available", ["-1", "-0.01", "0.001", "1e15 + 1", *NO_NUMBERS]),
    ("balances", "locked", ["-1", "-0.01", "0.001", "1e15 + 1", *NO_NUMBERS]),
    ("balances", "seq", ["-1"]),
    ("orders", "filled_quantity", ["-1", "0.5", "quantity + 1", *NO_NUMBERS]),
    ("orders", "filled_notional", ["0.001", "1e15 + 1", *NO_NUMBERS]),
    ("orders", "status", ["'open'", "'CANCELLED'", "'EXPIRED'", "''"]),
    ("orders", "cancel_reason", ["'REQUESTED'"]),
    ("orders", "quantity", ["0", "-1", "1.5", "1000000001", *NO_NUMBERS]),
    ("orders", "price", ["0", "-1", "0.001", "1000000.01", "NULL", *NO_NUMBERS]),
    ("orders", "side", ["'buy'", "'HOLD'"]),
    ("orders", "order_type", ["'STOP'", "'MARKET'"]),
    ("orders", "time_in_force", ["'DAY'"]),
    ("orders", "certificate_type", ["'VER'"]),
    ("orders", "ticket_status", ["'FAILED'"]),
    ("certificates", "tick_size", ["0", "-0.01", "0.001", *NO_NUMBERS]),
    ("certificates", "lot_size", ["0", "0.5", "-1", *NO_NUMBERS]),
    ("certificates", "reference_price", ["0", "-1", "25.555", *NO_NUMBERS]),
    ("books", "sequence", ["-1"]),
    ("books", "priority", ["-1"]),
    ("books", "last_price", ["0", "0.001", *NO_NUMBERS]),
    ("users", "role", ["'ROOT'", "'MARKET_MAKER'"]),
    ("users", "kyc_status", ["'MAYBE'"]),
    ("users", "name", ["''", "repeat('x', 65)"]),
    ("users", "email", ["'a'", "repeat('x', 255)"]),
    ("market_maker_clients", "name", ["''", "repeat('x', 65)"]),
    ("market_maker_clients", "description", ["repeat('x', 2001)"]),
]


@pytest.mark.parametrize(("table", "column", "value"), [(t, c, value) for t, c, values in SETS for value in values])
async def test_a_wrong_value_is_refused(owner: Connection, table: str, column: str, value: str) -> None:
    where = {"orders": "status = 'PARTIALLY_FILLED'", "users": "role = 'TRADER'"}.get(table, "true")
    await refused(
        owner,
        f"UPDATE {table} SET {column} = {value} WHERE {where}",
        asyncpg.CheckViolationError,
        asyncpg.NotNullViolationError,
    )


async def test_certificates_are_held_whole(owner: Connection) -> None:
    await refused(owner, "UPDATE balances SET available = 0.5 WHERE asset = 'CEA'", asyncpg.CheckViolationError)
    await owner.execute("UPDATE balances SET available = 0.5 WHERE asset = 'EUR'")


LEDGER = (
    "INSERT INTO asset_transactions (id, holder_id, asset, transaction_type, reason, amount, available_delta,"
    " locked_delta, balance_after, locked_after, seq, created_at, ticket_id)"
    " VALUES ({{uuid}}, {{buyer}}, '{asset}', '{kind}', '{reason}', {amount}, {available}, {locked}, {after}, 0,"
    " 1000, now(), {{success}})"
)
LEDGER_RIGHT = {"asset": "CEA", "kind": "DEPOSIT", "reason": "DEPOSIT", "amount": "5", "available": "5", "locked": "0",
                "after": "5"}  # fmt: skip


@pytest.mark.parametrize("wrong", [
    {"amount": "0", "available": "0"}, {"amount": "-5", "available": "-5"}, {"available": "6"}, {"locked": "1"},
    {"amount": "0.5", "available": "0.5"}, {"after": "-1"}, {"asset": "USD"}, {"kind": "GIFT"}, {"reason": "GIFT"},
    {"kind": "WITHDRAWAL"}, {"reason": "WITHDRAWAL"}, {"reason": "LOCK", "kind": "TRADE_DEBIT"},
    {"reason": "RELEASE", "kind": "TRADE_CREDIT"}, {"reason": "SETTLE_OUT", "kind": "TRADE_CREDIT"},
    {"reason": "SETTLE_IN", "kind": "TRADE_DEBIT"}, {"asset": "EUR", "amount": "0.001", "available": "0.001"},
    *({"amount": figure, "available": figure} for figure in [*NO_NUMBERS, "1e15 + 1"]),
], ids=str)  # fmt: skip
async def test_a_ledger_row_that_breaks_the_law_is_refused(
    owner: Connection, rows: Rows, wrong: dict[str, str]
) -> None:
    await refused(owner, rows(LEDGER.format(**(LEDGER_RIGHT | wrong))), asyncpg.CheckViolationError)


async def test_a_ledger_row_that_keeps_the_law_is_taken(owner: Connection, rows: Rows) -> None:
    async with owner.transaction():
        await owner.execute(rows(LEDGER.format(**LEDGER_RIGHT)))
        await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")


TICKET = (
    'INSERT INTO ticket_logs (year, number, ticket_id, "timestamp", action_type, status, summary, error_code,'
    " entity_type, entity_id, user_id, market_maker_id, session_id, duration_ms, attempt_id, digest, payload_hmac)"
    " VALUES ({year}, {number}, {ticket_id}, '2026-06-01Z', {action}, {status}, {summary}, {error},"
    " {entity_type}, {entity_id}, {user}, {maker}, {session}, {duration}, {attempt}, {digest}, {hmac})"
)
TICKET_RIGHT = {
    "year": "2026", "number": "900000", "ticket_id": "'TKT-2026-900000'", "action": "'MM_CREATED'",
    "status": "'SUCCESS'", "summary": "'s'", "error": "NULL", "entity_type": "NULL",
    "entity_id": "NULL", "user": "NULL", "maker": "NULL", "session": "NULL", "duration": "1.5", "attempt": "NULL",
    "digest": "sha256('x')", "hmac": "sha256('x')",
}  # fmt: skip


@pytest.mark.parametrize("wrong", [
    {"number": "0"}, {"number": "900001"}, {"ticket_id": "'TKT-2026-0900000'"}, {"ticket_id": "'tkt-2026-900000'"},
    {"year": "2025", "ticket_id": "'TKT-2025-900000'"}, {"action": "'mm'"}, {"status": "'MAYBE'"},
    {"status": "'FAILED'"},
    {"error": "'BUSY'"}, {"summary": "repeat('x', 501)"}, {"entity_type": "'COW'"}, {"entity_id": "repeat('x', 65)"},
    {"duration": "-1"}, {"duration": "0.0001"}, {"duration": "1e9"}, {"duration": "'NaN'"}, {"digest": "'x'"},
    {"hmac": "'x'"},
    {"user": "gen_random_uuid()"}, {"maker": "gen_random_uuid()"}, {"session": "gen_random_uuid()"},
], ids=str)  # fmt: skip
async def test_a_wrong_ticket_is_refused(owner: Connection, wrong: dict[str, str]) -> None:
    statement = TICKET.format(**(TICKET_RIGHT | wrong))
    await refused(owner, statement, asyncpg.CheckViolationError, asyncpg.ForeignKeyViolationError)


async def test_a_ticket_id_past_six_digits_is_taken_only_unpadded(owner: Connection) -> None:
    async with owner.transaction():
        right = TICKET_RIGHT | {"number": "1000000", "ticket_id": "'TKT-2026-1000000'"}
        await owner.execute(TICKET.format(**right))
    await refused(
        owner,
        TICKET.format(**(right | {"number": "1000001", "ticket_id": "'TKT-2026-01000001'"})),
        asyncpg.CheckViolationError,
    )


async def test_an_attempt_and_a_number_have_one_ticket(owner: Connection, rows: Rows) -> None:
    attempt = await owner.fetchval(rows("SELECT attempt_id FROM ticket_logs WHERE ticket_id = {success}"))
    await refused(owner, TICKET.format(**(TICKET_RIGHT | {"attempt": f"'{attempt}'"})), asyncpg.UniqueViolationError)
    taken = await owner.fetchval(rows("SELECT number FROM ticket_logs WHERE ticket_id = {success}"))
    year = await owner.fetchval(rows("SELECT year FROM ticket_logs WHERE ticket_id = {success}"))
    again = TICKET_RIGHT | {"number": str(taken), "year": str(year), "ticket_id": f"'TKT-{year}-{taken:06d}'"}
    await refused(owner, TICKET.format(**again), asyncpg.UniqueViolationError, asyncpg.CheckViolationError)


# ----------------------------------------------------------------------------------------- a failure has no effects

DOCUMENT = (
    "INSERT INTO kyc_documents (id, user_id, kind, file_name, content_type, size_bytes, sha256, uploaded_at, ticket_id,"
    " content) VALUES ({{uuid}}, {{buyer}}, 'PASSPORT', 'p.pdf', 'application/pdf', {size}, encode({sha}, 'hex'),"
    " now(), {ticket}, '%PDF-')"
)
TO_BE_KEPT = "INSERT INTO trade_settlements VALUES ({trade}, 'R', now(), {admin}, {success}); " + DOCUMENT.format(
    ticket="{success}", sha="sha256('%PDF-')", size=5
)
NAMES_A_TICKET = {
    "orders": "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', {uuid}, 'priority', 10000,"
    " 'ticket_id', {failed}))).* FROM orders o WHERE id = {sell}",
    "cash_market_trades": "INSERT INTO cash_market_trades SELECT (jsonb_populate_record(t, jsonb_build_object("
    "'id', {uuid}, 'position', 9, 'ticket_id', {failed}))).* FROM cash_market_trades t WHERE id = {trade}",
    "trade_settlements": "INSERT INTO trade_settlements VALUES ({trade}, 'R', now(), {admin}, {failed})",
    "book_events": "INSERT INTO book_events SELECT (jsonb_populate_record(e, jsonb_build_object('sequence', 10000,"
    " 'ticket_id', {failed}))).* FROM book_events e WHERE order_id = {sell} AND kind = 'PLACED'",
    "asset_transactions": LEDGER.format(**LEDGER_RIGHT).replace("{success}", "{failed}"),
    "deposits": "INSERT INTO deposits (id, user_id, amount, reference, created_at, ticket_id)"
    " VALUES ({uuid}, {buyer}, 1, 'R', now(), {failed})",
    "kyc_documents": DOCUMENT.format(ticket="{failed}", sha="sha256('%PDF-')", size=5),
    "idempotency": "INSERT INTO idempotency"
    " VALUES ({admin}, 'f', 'k', sha256('x'), {failed}, 'SUCCESS', '{{}}', now())",
}


@pytest.mark.parametrize("table", NAMES_A_TICKET)
async def test_a_failed_ticket_can_have_no_effect(owner: Connection, rows: Rows, table: str) -> None:
    statement = rows(NAMES_A_TICKET[table])
    assert await refused(owner, statement, asyncpg.ForeignKeyViolationError)
    async with owner.transaction():
        await owner.execute(statement.replace(str(rows.ids["failed"]), str(rows.ids["success"])))
        await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("table", [one for one in NAMES_A_TICKET if one != "idempotency"])
async def test_the_status_that_an_effect_names_cannot_be_another(owner: Connection, rows: Rows, table: str) -> None:
    async with owner.transaction():
        found = await owner.fetch(
            "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'f' AND condeferred"
            " AND confrelid = 'ticket_logs'::regclass",
            table,
        )
    assert len(found) == 1, "one deferred key to the ticket"


@pytest.mark.parametrize("statement", [
    "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', {uuid}, 'priority', 10001,"
    " 'side', 'BUY'))).* FROM orders o WHERE id = {sell}",
    "INSERT INTO cash_market_trades SELECT (jsonb_populate_record(t, jsonb_build_object('id', {uuid}, 'position', 9,"
    " 'buyer_id', seller_id))).* FROM cash_market_trades t WHERE id = {trade}",
    "INSERT INTO ticket_voids (year, lo, hi, lease_id, reason) SELECT year, 10, 9, id, 'x' FROM ticket_leases LIMIT 1",
    "INSERT INTO ticket_leases (year, lo, hi, is_shared) VALUES (2026, 0, 5, true)",
    "INSERT INTO ticket_leases (year, lo, hi, is_shared) VALUES (1999, 1, 5, true)",
    "INSERT INTO ticket_payloads (year, number, salt) VALUES (2026, 1, 'short')",
    "INSERT INTO deposits (id, user_id, amount, reference, status, created_at, ticket_id)"
    " VALUES ({uuid}, {buyer}, 1, 'R', 'APPROVED', now(), {success})",
    "INSERT INTO deposits (id, user_id, amount, reference, created_at, ticket_id)"
    " VALUES ({uuid}, {buyer}, 0, 'R', now(), {success})",
    "INSERT INTO deposits (id, user_id, amount, reference, created_at, ticket_id)"
    " VALUES ({uuid}, {buyer}, 'NaN', 'R', now(), {success})",
    DOCUMENT.format(ticket="{success}", sha="sha256('%PDF')", size=5),
    DOCUMENT.format(ticket="{success}", sha="sha256('%PDF-')", size=4),
    "INSERT INTO idempotency VALUES ({admin}, 'f', repeat('k', 65), sha256('x'), {success}, 'SUCCESS', '{{}}', now())",
    "INSERT INTO idempotency VALUES ({admin}, 'f', '', sha256('x'), {success}, 'SUCCESS', '{{}}', now())",
    "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at)"
    " VALUES ({uuid}, {buyer}, 'short', now(), now(), now())",
    "INSERT INTO market_maker_clients (id, user_id, name, created_at, updated_at)"
    " VALUES ({uuid}, {buyer}, 'M', now(), now())",
])  # fmt: skip
async def test_a_wrong_row_is_refused(owner: Connection, rows: Rows, statement: str) -> None:
    await refused(owner, rows(statement), asyncpg.CheckViolationError)


@pytest.mark.parametrize("statement", [
    "INSERT INTO ticket_leases (year, lo, hi, is_shared) SELECT year, lo, hi, true FROM ticket_leases",
    "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)"
    " SELECT gen_random_uuid(), upper(email), 'x', 'TRADER', 'x', now(), now() FROM users WHERE id = {buyer}",
    "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', {uuid}))).* FROM orders o"
    " WHERE id = {sell}",
    "INSERT INTO trade_settlements SELECT {trade}, 'R', now(), {admin}, {success} FROM generate_series(1, 2)",
])  # fmt: skip
async def test_what_is_unique_stays_unique(owner: Connection, rows: Rows, statement: str) -> None:
    await refused(owner, rows(statement), asyncpg.UniqueViolationError)


# ------------------------------------------------------------------------------------------------------ makers, logins


async def test_a_maker_has_no_password(owner: Connection, rows: Rows) -> None:
    for statement in (
        "UPDATE users SET password_hash = 'x' WHERE id = {maker_user}",
        "UPDATE users SET password_hash = NULL WHERE id = {buyer}",
        "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)"
        " VALUES ({uuid}, 'm@desk.test', 'M', 'MARKET_MAKER', 'x', now(), now())",
    ):
        assert "users_maker_has_no_password" in await refused(owner, rows(statement), asyncpg.CheckViolationError)


@pytest.mark.parametrize("can_sign_in", ["DEFAULT", "false"])
async def test_a_maker_has_no_session(owner: Connection, rows: Rows, can_sign_in: str) -> None:
    statement = (
        "INSERT INTO user_sessions (id, user_id, can_sign_in, token_sha256, created_at, last_seen_at, expires_at)"
        f" VALUES ({{uuid}}, {{maker_user}}, {can_sign_in}, sha256('t'), now(), now(), now())"
    )
    await refused(owner, rows(statement), asyncpg.ForeignKeyViolationError, asyncpg.CheckViolationError)


async def test_a_user_with_a_session_cannot_become_a_maker(owner: Connection, rows: Rows) -> None:
    await owner.execute(
        rows(
            "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at)"
            " VALUES ({uuid}, {buyer}, sha256('t'), now(), now(), now())"
        )
    )
    await refused(
        owner,
        rows("UPDATE users SET role = 'MARKET_MAKER', password_hash = NULL WHERE id = {buyer}"),
        asyncpg.ForeignKeyViolationError,
    )


# --------------------------------------------------------------------------------------------------------- append only


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_not_even_the_owner_changes_what_is_written(owner: Connection, rows: Rows, table: str) -> None:
    column = {"ticket_payloads": "year", "trade_settlements": "settled_by"}.get(table, "ticket_id")
    column = "year" if table == "ticket_voids" else column
    await owner.execute(
        "INSERT INTO ticket_voids (year, lo, hi, lease_id, reason)"
        " SELECT 2020, 1, 1, id, 'x' FROM ticket_leases LIMIT 1"
    )
    await owner.execute(rows(TO_BE_KEPT))
    await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        assert "append-only" in await refused(owner, statement, asyncpg.InsufficientPrivilegeError)


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_nor_a_superuser_who_plays_replica(servers: Servers, database: str, rows: Rows, table: str) -> None:
    """Triggers that are only ENABLEd would be skipped under session_replication_role = replica; these are ALWAYS."""
    connection = await asyncpg.connect(superuser_url(servers, database))
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(
                "INSERT INTO ticket_voids (year, lo, hi, lease_id, reason) VALUES (2021, 1, 1, 1, 'x')"
            )
            await connection.execute(rows(TO_BE_KEPT))
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                assert "append-only" in await refused(connection, statement, asyncpg.InsufficientPrivilegeError)
            raise _Undo
    except _Undo:
        pass
    finally:
        await connection.close()


class _Undo(Exception):
    pass


# -------------------------------------------------------------------------------------------------------------- rights


@pytest.mark.parametrize("table", [*tables.metadata.tables])
async def test_the_application_has_only_the_verbs_it_needs(app: Connection, table: str) -> None:
    allowed = CHANGEABLE.get(table, "").split()
    for column in tables.metadata.tables[table].columns:
        assert (
            await app.fetchval("SELECT has_column_privilege($1, $2, 'UPDATE')", table, column.name)
        ) == (column.name in allowed), f"{table}.{column.name}"  # fmt: skip
    assert await app.fetchval("SELECT has_table_privilege($1, 'DELETE')", table) == (
        table in {"idempotency", "ticket_counts"}
    )
    assert not await app.fetchval("SELECT has_table_privilege($1, 'TRUNCATE')", table)
    assert not await app.fetchval("SELECT has_table_privilege($1, 'TRIGGER')", table)
    assert await app.fetchval("SELECT has_table_privilege($1, 'SELECT')", table)


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_the_application_cannot_change_what_is_written(app: Connection, table: str) -> None:
    for statement in (
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"ALTER TABLE {table} DISABLE TRIGGER append_only",
        f"DROP TABLE {table} CASCADE",
    ):
        await refused(app, statement, asyncpg.InsufficientPrivilegeError)
    column = next(iter(tables.metadata.tables[table].columns)).name
    await refused(app, f"UPDATE {table} SET {column} = {column}", asyncpg.InsufficientPrivilegeError)


@pytest.mark.parametrize("statement", [
    TICKET.format(**TICKET_RIGHT).replace("(year,", "(txid, year,").replace("VALUES (", "VALUES ('1', "),
    "INSERT INTO ticket_leases (id, year, lo, hi, is_shared) OVERRIDING SYSTEM VALUE VALUES (1, 2026, 1, 2, true)",
    "INSERT INTO ticket_leases (year, lo, hi, is_shared, leased_at) VALUES (2026, 1, 2, true, now())",
    "INSERT INTO ticket_voids (year, lo, hi, lease_id, reason, created_at) VALUES (2026, 1, 2, 1, 'x', now())",
    "INSERT INTO certificates (certificate_type, name) VALUES ('CEA', 'x')",
    "INSERT INTO books (certificate_type) VALUES ('CEA')",
    "CREATE TABLE mine (id int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SET session_replication_role = replica",
    "ALTER ROLE current_user SUPERUSER",
])  # fmt: skip
async def test_the_application_cannot_forge(app: Connection, statement: str) -> None:
    await refused(app, statement, asyncpg.InsufficientPrivilegeError, asyncpg.GeneratedAlwaysError)


async def test_the_roles_beside_it_read_and_erase_no_more_than_they_may(database: str, owner: Connection) -> None:
    name = urlsplit(database).path[1:]

    async def may(role: str, table: str, verb: str) -> bool:
        found: bool = await owner.fetchval("SELECT has_table_privilege($1, $2, $3)", f"{name}_{role}", table, verb)
        return found

    for table in tables.metadata.tables:
        for verb in ("INSERT", "UPDATE", "TRUNCATE"):
            assert not await may("analyst", table, verb)
            assert not await may("retention", table, verb)
        assert await may("retention", table, "DELETE") == (table == "ticket_payloads")
    for secret in ("ticket_payloads", "user_sessions", "idempotency", "users"):
        assert not await may("analyst", secret, "SELECT")
    for column, is_seen in (("name", True), ("email", False), ("password_hash", False)):
        assert (
            await owner.fetchval("SELECT has_column_privilege($1, 'users', $2, 'SELECT')", f"{name}_analyst", column)
        ) is is_seen


async def test_retention_erases_payloads_and_the_ticket_stays(database: str, owner: Connection, rows: Rows) -> None:
    await owner.execute(f'SET ROLE "{urlsplit(database).path[1:]}_retention"')
    erased = await owner.execute(
        rows("DELETE FROM ticket_payloads p USING ticket_logs t WHERE (t.year, t.number) = (p.year, p.number)"
             " AND t.ticket_id = {success}")
    )  # fmt: skip
    assert erased == "DELETE 1"
    await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert await owner.fetchval(rows("SELECT count(*) FROM ticket_logs WHERE ticket_id = {success}")) == 1
    await refused(owner, "DELETE FROM ticket_logs", asyncpg.InsufficientPrivilegeError)


async def test_every_table_and_column_of_the_schema_is_known(owner: Connection) -> None:
    """`db/tables.py` writes by position: a column that only one side knows would shift every row."""
    found: dict[str, set[str]] = {}
    for row in await owner.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    ):
        found.setdefault(row["table_name"], set()).add(row["column_name"])
    found.pop("alembic_version")
    known = {name: {column.name for column in table.columns} for name, table in tables.metadata.tables.items()}
    assert found == known


async def test_every_key_to_a_ticket_is_deferred(owner: Connection) -> None:
    eager = await owner.fetch(
        "SELECT conrelid::regclass AS child, conname FROM pg_constraint WHERE contype = 'f' AND NOT condeferred"
        " AND confrelid = 'ticket_logs'::regclass"
    )
    assert eager == []


async def test_nothing_was_changed_by_all_this(database: str, rows: Rows) -> None:
    connection = await asyncpg.connect(database)
    try:
        report = await assert_invariants(connection)
    finally:
        await connection.close()
    assert report.rows["cash_market_trades"] == 1
    assert isinstance(rows.ids["buyer"], UUID)
    assert uuid4() not in rows.ids.values()
