"""Verify: clean on a random market of every order type; each law finds its forgery and names the ticket."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import asyncpg
import pytest

from db import folds, laws, numbers, people, verify_tree
from db.embedded import Servers
from db.verify import LAWS, Report, examine, verify
from domain import stories
from domain.book import OrderSide
from domain.market import CancelReason, OrderType, Place, TimeInForce
from domain.money import Asset, CertificateType
from domain.people import DepositOutcome
from tests.conftest import drop_database, urls_of
from tests.db.process import Process, process

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ROOT = Path(__file__).parents[2]
SEED = 20_261_122
TASKS = 8
COMMANDS_EACH = 30
KINDS = [
    (OrderType.LIMIT, TimeInForce.GTC), (OrderType.LIMIT, TimeInForce.GTC), (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.IOC), (OrderType.LIMIT, TimeInForce.FOK), (OrderType.MARKET, TimeInForce.IOC),
]  # fmt: skip


Kind: TypeAlias = tuple[OrderType, TimeInForce]


async def place(
    one: Process, holder: UUID, side: str, quantity: int, price: str | None, kind: Kind, book: str
) -> UUID | None:
    """Place an order of any kind; return it when it is open."""
    limit = Decimal(price) if price and kind[0] is OrderType.LIMIT else None
    certificate = CertificateType(book)
    command = Place(holder, None, certificate, OrderSide(side), *kind, limit, Decimal(quantity))
    answer = await one.desk.submit(one.attempt("placeOrder", {"input": {"quantity": str(quantity)}}, holder), command)
    order = answer.outcome.order if answer.outcome else None
    return order.id if order and order.status in ("OPEN", "PARTIALLY_FILLED") else None


async def trade_at_random(one: Process, traders: list[UUID], rng: random.Random) -> None:
    waiting: list[tuple[UUID, UUID]] = []
    for _ in range(COMMANDS_EACH):
        if waiting and rng.random() < 0.2:
            await one.cancel(*waiting.pop(rng.randrange(len(waiting))))
            continue
        holder, kind = rng.choice(traders), rng.choice(KINDS)
        price = f"{25 + rng.randint(-8, 8) / 100:.2f}"
        side, book = rng.choice(["BUY", "SELL"]), rng.choice(["CEA", "CEA", "EUA"])
        if order_id := await place(one, holder, side, rng.randint(1, 60), price, kind, book):
            waiting.append((order_id, holder))


async def trade_to_each_cut(one: Process, owner: Owner) -> None:
    """Meet a band, the end of the cash, one's own order and the end of the book, and leave both books open."""
    rich, poor, seller = await one.trader("100000"), await one.trader("60"), await one.trader("0", "1000")
    limit, market = KINDS[0], KINDS[-1]
    for trader in (rich, seller):
        await one.transact(trader, Asset.EUA, "500")
    await owner.execute("UPDATE orders SET updated_at = updated_at")  # they change: no transaction binds them
    for price, quantity in (("20.00", 2), ("20.00", 3), ("20.10", 2)):
        await place(one, seller, "SELL", quantity, price, limit, "CEA")
    await place(one, poor, "BUY", 4, None, market, "CEA")  # pays 2 of the first seller's and 1 of the second's
    await owner.execute("UPDATE settings SET price_band_percent = 1")
    await owner.execute("UPDATE certificates SET reference_price = 19.85")
    await place(one, rich, "BUY", 9, None, market, "CEA")  # stops before 20.10 at 1 % above 19.85
    await owner.execute("UPDATE settings SET price_band_percent = NULL")
    await place(one, rich, "SELL", 5, "20.15", limit, "EUA")
    await place(one, seller, "SELL", 2, "20.15", limit, "EUA")
    await place(one, seller, "SELL", 2, "20.12", limit, "EUA")
    await place(one, rich, "BUY", 9, "20.15", limit, "EUA")  # meets its own order


async def request_deposits(one: Process, trader: UUID) -> None:
    for is_approved in (True, False):
        made = await one.run(
            "requestDeposit", {}, lambda write: people.request_deposit(write, trader, Decimal(50), "R-1"),
            stories.of_requested_deposit, DepositOutcome,
        )  # fmt: skip
        assert made.outcome
        if is_approved:
            await approve_deposit(one, str(made.outcome.deposit.id))


async def approve_deposit(one: Process, deposit_id: str) -> None:
    await one.run(
        "approveDeposit", {}, lambda write: people.approve_deposit(write, deposit_id),
        stories.of_approved_deposit, DepositOutcome,
    )  # fmt: skip


@pytest.fixture(scope="module")
async def market(servers: Servers, database: str) -> AsyncIterator[Owner]:
    """Trade at random in every way there is; give the owner's connection."""
    owner = await asyncpg.connect(database)
    for redis_url in (None, servers.urls.redis_url):
        async with process(database, redis_url) as one:
            maker = await one.maker("500")
            traders = [await one.trader("20000", "800") for _ in range(6)]
            for trader in traders:
                await one.transact(trader, Asset.EUA, "800", key=f"key-{trader}")
            rngs = [random.Random(SEED + number) for number in range(TASKS)]
            await asyncio.gather(*(trade_at_random(one, traders, rng) for rng in rngs))
            if redis_url:
                for holder, order_id in await owner.fetch(
                    "SELECT user_id, id FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED')"
                ):
                    await one.cancel(order_id, holder)
                await trade_to_each_cut(one, owner)
            await one.place(maker, "SELL", "40", "25.90")
            await one.place(maker, "SELL", "40", "25.95")
            await request_deposits(one, traders[0])
            await one.transact(traders[0], Asset.EUR, "10", "WITHDRAWAL")
            gone = await one.maker("50")
            await one.place(gone, "SELL", "5", "26.00")
            await one.delete_maker(gone.maker.id)
            await one.transact(traders[0], Asset.EUR, "1000000", "WITHDRAWAL")  # refused
    async with process(database) as late:  # leases anew, so that the first process's lease can be closed
        await late.maker()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numbers, "CLOSE_AFTER_S", 0.0)
            assert await numbers.close_old_leases(late.desk_pool)
        while await folds.step(late.desk_pool, "counts", 300):
            pass
    yield owner
    await owner.close()


async def silent(connection: Owner) -> Report:
    return await examine(connection, lambda _: None)


async def test_a_random_market_of_every_order_type_is_clean(market: Owner) -> None:
    said: list[str] = []
    report = await verify(market, said.append)
    assert report.is_clean, report.breaks
    assert [line for line in said if line.startswith("ok")] == [
        f"ok      {law.name}: {law.sentence} ({report.looked_at(law)})" for law in LAWS
    ]
    assert report.rows["cash_market_trades"] > 100
    assert report.rows["ticket_voids"] > 0
    assert report.in_flight > 0
    reasons = {row["cancel_reason"] for row in await market.fetch("SELECT DISTINCT cancel_reason FROM orders")}
    assert reasons == {None, *CancelReason}


async def test_freezing_rows_hides_no_transaction(market: Owner) -> None:
    await market.execute("VACUUM (FREEZE) asset_transactions, ticket_logs, book_events")
    assert (await verify(market, lambda _: None)).is_clean


# ------------------------------------------------------------------------------------------------------------ forgeries


@dataclass(frozen=True)
class Forgery:
    """Who must find it; what is forged and what must be named: (key, name); how it is done, with that key."""

    law: str
    pick: str
    change: str

    def __str__(self) -> str:
        return f"{self.law}: {self.change[:60]}"


LEDGER = "SELECT id AS key, ticket_id AS name FROM asset_transactions WHERE "
ORDER = "SELECT id AS key, ticket_id AS name FROM orders WHERE "
TRADE = "SELECT id AS key, ticket_id AS name FROM cash_market_trades WHERE "
EVENT = "SELECT ticket_id AS key, ticket_id AS name FROM book_events WHERE "
TICKET = "SELECT ticket_id AS key, ticket_id AS name FROM ticket_logs WHERE "
BALANCE = "SELECT holder_id AS key, holder_id AS name FROM balances WHERE asset = 'EUR' AND available > 1 AND "
CLOSED = "ticket_leases l WHERE closed_at IS NOT NULL AND "
TWO_TRADES = (
    "(certificate_type, sequence) IN (SELECT certificate_type, sequence FROM cash_market_trades GROUP BY 1, 2"
    " HAVING count(*) = 2 ORDER BY 1, 2 LIMIT 1)"
)
FORGERIES = [
    Forgery("balances", BALANCE + "true",
            "UPDATE balances SET available = available + 1 WHERE holder_id = $1 AND asset = 'EUR'"),
    Forgery("balances", BALANCE + "true", "DELETE FROM balances WHERE holder_id = $1 AND asset = 'EUR'"),
    Forgery("amounts", BALANCE + "true",
            "UPDATE balances SET available = 'NaN' WHERE holder_id = $1 AND asset = 'EUR'"),
    Forgery("amounts", BALANCE + "true", "UPDATE balances SET available = -1 WHERE holder_id = $1 AND asset = 'EUR'"),
    Forgery("running", LEDGER + "reason = 'LOCK'",
            "UPDATE asset_transactions SET locked_after = locked_after + 1 WHERE id = $1"),
    Forgery("running", LEDGER + "seq = 5",
            "UPDATE asset_transactions SET available_delta = available_delta - 1 WHERE id = $1"),
    Forgery("running",
            "SELECT l.id AS key, n.ticket_id AS name FROM asset_transactions l JOIN asset_transactions n USING"
            " (holder_id, asset) WHERE l.seq = 5 AND n.seq = 6", "DELETE FROM asset_transactions WHERE id = $1"),
    Forgery("reasons", LEDGER + "reason = 'LOCK'", "UPDATE asset_transactions SET reason = 'SETTLE_OUT' WHERE id = $1"),
    Forgery("reasons", LEDGER + "reason = 'SETTLE_IN'",
            "UPDATE asset_transactions SET amount = amount + 1 WHERE id = $1"),
    Forgery("conservation",
            "SELECT holder_id AS key, 'asset EUR' AS name FROM balances WHERE asset = 'EUR' AND available > 1",
            "UPDATE balances SET available = available + 0.01 WHERE holder_id = $1 AND asset = 'EUR'"),
    Forgery("legs", TRADE + "taker_side = 'BUY'", "UPDATE asset_transactions SET trade_id = NULL"
            " WHERE trade_id = $1 AND reason = 'SETTLE_IN' AND asset = 'EUR'"),
    Forgery("legs", TRADE + "taker_side = 'SELL'", "DELETE FROM asset_transactions WHERE trade_id = $1"),
    Forgery("legs", TRADE + "true", "UPDATE asset_transactions SET locked_delta = locked_delta - 1 WHERE trade_id = $1"
            " AND reason = 'SETTLE_OUT' AND asset <> 'EUR'"),
    Forgery("strays", LEDGER + "reason = 'LOCK'", "UPDATE asset_transactions SET order_id = NULL WHERE id = $1"),
    Forgery("strays", LEDGER + "reason = 'DEPOSIT'",
            "UPDATE asset_transactions SET trade_id = gen_random_uuid() WHERE id = $1"),
    Forgery("deposits", "SELECT id AS key, id AS name FROM deposits WHERE status = 'APPROVED'",
            "UPDATE deposits SET amount = amount + 1 WHERE id = $1"),
    Forgery("deposits", "SELECT id AS key, id AS name FROM deposits WHERE status = 'PENDING'",
            "UPDATE deposits SET status = 'APPROVED', decided_at = now() WHERE id = $1"),
    Forgery("fills", ORDER + "status = 'FILLED'",
            "UPDATE orders SET filled_quantity = filled_quantity - 1 WHERE id = $1"),
    Forgery("fills", ORDER + "filled_quantity > 0",
            "UPDATE orders SET filled_notional = filled_notional + 1 WHERE id = $1"),
    Forgery("fills", ORDER + "status = 'OPEN'", "UPDATE orders SET status = 'PARTIALLY_FILLED' WHERE id = $1"),
    Forgery("reserves", ORDER + "status = 'OPEN'", "UPDATE orders SET quantity = quantity + 1 WHERE id = $1"),
    Forgery("reserves", ORDER + "order_type = 'MARKET' AND side = 'BUY'", "UPDATE asset_transactions"
            " SET available_delta = available_delta - 1, locked_delta = locked_delta + 1 WHERE order_id = $1"
            " AND reason = 'LOCK'"),
    Forgery("locked", "SELECT id AS key, user_id AS name FROM orders WHERE status = 'OPEN'",
            "UPDATE orders SET status = 'CANCELLED', cancel_reason = 'REQUESTED' WHERE id = $1"),
    Forgery("crossed", ORDER + "status = 'OPEN' AND price = 25.95", "UPDATE orders SET side = 'BUY' WHERE id = $1"),
    Forgery("prices", TRADE + "taker_side = 'BUY'", "UPDATE cash_market_trades SET price = price + 0.01 WHERE id = $1"),
    Forgery("prices", TRADE + "true", "UPDATE cash_market_trades SET seller_id = buyer_id WHERE id = $1"),
    Forgery("holders", ORDER + "market_maker_id IS NOT NULL", "UPDATE orders SET side = 'BUY' WHERE id = $1"),
    Forgery("holders", ORDER + "status = 'OPEN'",
            "UPDATE users SET is_active = false WHERE id = (SELECT user_id FROM orders WHERE id = $1)"),
    Forgery("books", "SELECT 'CEA' AS key, 'CEA' AS name",
            "UPDATE books SET sequence = sequence + 1 WHERE certificate_type = $1"),
    Forgery("books", "SELECT 'EUA' AS key, 'EUA' AS name",
            "UPDATE books SET last_price = 1 WHERE certificate_type = $1"),
    Forgery("journal", ORDER + "cancel_reason = 'REQUESTED'",
            "DELETE FROM book_events WHERE order_id = $1 AND kind = 'CANCELLED'"),
    Forgery("journal", ORDER + "status = 'OPEN'", "UPDATE orders SET priority = priority + 1000000 WHERE id = $1"),
    Forgery("matches", TRADE + "position = 0", "UPDATE cash_market_trades SET position = 7 WHERE id = $1"),
    Forgery("matches", TRADE + "position = 0",
            "UPDATE cash_market_trades SET sequence = sequence + 100000 WHERE id = $1"),
    Forgery("replay", EVENT + "kind = 'PLACED' AND rested > 1",
            "UPDATE book_events SET rested = rested - 1 WHERE ticket_id = $1"),
    Forgery("replay", EVENT + "kind = 'CANCELLED'",
            "UPDATE book_events SET quantity = quantity + 1 WHERE ticket_id = $1"),
    Forgery("replay", EVENT + "kind = 'PLACED'", "UPDATE book_events SET level_changes = '[]' WHERE ticket_id = $1"),
    Forgery("replay", EVENT + "kind = 'PLACED'",
            "UPDATE book_events SET level_changes = '[[\"BUY\", 3]]' WHERE ticket_id = $1"),
    Forgery("replay", EVENT + TWO_TRADES, "UPDATE cash_market_trades t SET position = 1 - position FROM book_events e"
            " WHERE e.ticket_id = $1 AND (t.certificate_type, t.sequence) = (e.certificate_type, e.sequence)"),
    Forgery("replay", ORDER + "cancel_reason = 'SELF_TRADE'",
            "UPDATE orders SET cancel_reason = 'IOC_REMAINDER' WHERE id = $1"),
    Forgery("replay", ORDER + "cancel_reason = 'MARKET_REMAINDER'",
            "UPDATE orders SET cancel_reason = 'PRICE_BAND' WHERE id = $1"),
    Forgery("effects", TICKET + "action_type = 'ORDER_PLACED' AND status = 'SUCCESS'",
            "UPDATE ticket_logs SET status = 'FAILED', error_code = 'BUSY' WHERE ticket_id = $1"),
    Forgery("effects", TICKET + "action_type = 'USER_CREATED'",
            "UPDATE asset_transactions SET ticket_id = $1 WHERE id ="
            " (SELECT id FROM asset_transactions WHERE reason = 'DEPOSIT' LIMIT 1)"),
    Forgery("effects", TICKET + "action_type = 'TRADE_EXECUTED'", "DELETE FROM ticket_logs WHERE ticket_id = $1"),
    Forgery("effects", TICKET + "action_type = 'ORDER_CANCELLED' AND status = 'SUCCESS'",
            "DELETE FROM asset_transactions WHERE ticket_id = $1"),
    Forgery("entities", TICKET + "action_type = 'TRADE_EXECUTED'",
            "UPDATE ticket_logs SET entity_id = 'x' WHERE ticket_id = $1"),
    Forgery("entities", TICKET + "action_type = 'TRADE_EXECUTED'",
            "UPDATE ticket_logs SET related_ticket_ids = related_ticket_ids[1:1] WHERE ticket_id = $1"),
    Forgery("filled", ORDER + "status = 'FILLED'",
            "DELETE FROM ticket_logs WHERE action_type = 'ORDER_FILLED' AND entity_id = $1::uuid::text"),
    Forgery("written-once", TICKET + "status = 'FAILED'",
            "UPDATE ticket_logs SET summary = summary WHERE ticket_id = $1"),
    Forgery("same-transaction", LEDGER + "true", "UPDATE asset_transactions SET notes = notes WHERE id = $1"),
    Forgery("same-transaction", TRADE + "true", "UPDATE cash_market_trades SET price = price WHERE id = $1"),
    Forgery("same-transaction", EVENT + "true", "UPDATE book_events SET price = price WHERE ticket_id = $1"),
    Forgery("same-transaction", TICKET + "true", "UPDATE ticket_payloads p SET salt = salt FROM ticket_logs t"
            " WHERE t.ticket_id = $1 AND (t.year, t.number) = (p.year, p.number)"),
    Forgery("relations", TICKET + "status = 'FAILED'",
            "UPDATE ticket_logs SET related_ticket_ids = '{TKT-2020-000001}' WHERE ticket_id = $1"),
    Forgery("relations", TICKET + "status = 'FAILED'",
            "UPDATE ticket_logs t SET related_ticket_ids = ARRAY[(SELECT ticket_id FROM ticket_logs o"
            " WHERE o.txid > t.txid AND o.timestamp > t.timestamp LIMIT 1)] WHERE ticket_id = $1"),
    Forgery("attempts", TICKET + "action_type = 'USER_CREATED'",
            "UPDATE ticket_logs SET attempt_id = (SELECT attempt_id"
            " FROM ticket_logs WHERE action_type = 'MM_CREATED' LIMIT 1) WHERE action_type = 'USER_CREATED' AND"
            " $1 <> ''"),
    Forgery("keys", "SELECT key AS key, ticket_id AS name FROM idempotency",
            "UPDATE idempotency SET outcome = '{}' WHERE key = $1"),
    Forgery("years", TICKET + "true",
            "UPDATE ticket_logs SET timestamp = timestamp + interval '1 year' WHERE ticket_id = $1"),
    Forgery("leases", "SELECT id AS key, 'lease ' || id AS name FROM ticket_leases WHERE id > 1",
            "UPDATE ticket_leases SET lo = lo - 1 WHERE id = $1"),
    Forgery("leased",
            "SELECT l.id AS key, t.ticket_id AS name FROM ticket_leases l JOIN ticket_logs t ON t.year = l.year"
            " AND t.number = l.lo + 1", "UPDATE ticket_leases SET hi = lo WHERE id = $1"),
    Forgery("voids", TICKET + "true", "INSERT INTO ticket_voids (year, lo, hi, lease_id, reason)"
            " SELECT year, number, number, 1, 'x' FROM ticket_logs WHERE ticket_id = $1"),
    Forgery("voids", "SELECT lo AS key, 'lo ' || lo AS name FROM ticket_voids",
            "UPDATE ticket_voids SET hi = hi + 100000 WHERE lo = $1"),
    Forgery("voids", "SELECT lo AS key, 'lo ' || lo AS name FROM ticket_voids",
            "UPDATE ticket_leases SET closed_at = NULL WHERE id = (SELECT lease_id FROM ticket_voids WHERE lo = $1)"),
    Forgery("numbers", "SELECT lo AS key, 'TKT-' || year || '-' || lpad(lo::text, 6, '0') AS name FROM ticket_voids",
            "UPDATE ticket_voids SET lo = lo + 1 WHERE lo = $1"),
    Forgery("numbers", TICKET + f"EXISTS (SELECT FROM {CLOSED} number BETWEEN lo AND hi)",
            "DELETE FROM ticket_logs WHERE ticket_id = $1"),
    *(
        Forgery("counts", f"SELECT tickets AS key, '{detail} by {grain}' AS name FROM ticket_counts"
                f" WHERE detail = '{detail}' AND grain = '{grain}'", change)
        for detail, grain, change in (
            ("STATUS", "PERIOD", "UPDATE ticket_counts SET tickets = tickets + 1"
                                 " WHERE detail = 'STATUS' AND grain = 'PERIOD' AND tickets = $1"),
            ("ACTION", "DAY", "UPDATE ticket_counts SET error_code = 'BUSY'"
                              " WHERE detail = 'ACTION' AND grain = 'DAY' AND error_code = 'INSUFFICIENT_BALANCE'"),
            ("USER", "QUARTER", "DELETE FROM ticket_counts WHERE detail = 'USER' AND grain = 'QUARTER'"),
            ("FULL", "MINUTE", "UPDATE ticket_counts SET last_at = last_at + interval '1 microsecond'"
                               " WHERE detail = 'FULL' AND grain = 'MINUTE'"),
            ("ACTION", "MINUTE", "INSERT INTO ticket_counts (detail, grain, starts_at, status, tickets, last_at)"
                                 " SELECT detail, grain, starts_at, 'SUCCESS', 1, last_at FROM ticket_counts"
                                 " WHERE detail = 'ACTION' AND grain = 'MINUTE'"),
        )
    ),
    Forgery("digests", TICKET + "status = 'FAILED'", "UPDATE ticket_logs SET error_message = 'x' WHERE ticket_id = $1"),
    Forgery("digests", TICKET + "true", "UPDATE ticket_logs SET duration_ms = 1 WHERE ticket_id = $1"),
    Forgery("digests", TICKET + "true", "UPDATE ticket_logs SET action_type = 'NO_SUCH' WHERE ticket_id = $1"),
    Forgery("digests", TICKET + "true", "UPDATE ticket_payloads p SET after_state = '{}' FROM ticket_logs t"
            " WHERE t.ticket_id = $1 AND (t.year, t.number) = (p.year, p.number)"),
    Forgery("digests", TICKET + "true",
            "UPDATE ticket_logs SET payload_hmac = set_byte(payload_hmac, 0, 1) WHERE ticket_id = $1"),
    Forgery("erased", TICKET + "true", "DELETE FROM ticket_payloads p USING ticket_logs t"
            " WHERE t.ticket_id = $1 AND (t.year, t.number) = (p.year, p.number)"),
    Forgery("digests", LEDGER + "true", "UPDATE asset_transactions SET notes = 'x' WHERE id = $1"),
    Forgery("digests", TRADE + "true", "UPDATE cash_market_trades SET executed_at = now() WHERE id = $1"),
    Forgery("digests", ORDER + "true", "UPDATE orders SET created_at = now() WHERE id = $1"),
    Forgery("digests", EVENT + "true", "UPDATE book_events SET created_at = now() WHERE ticket_id = $1"),
]  # fmt: skip


TREE = {law.name for law in (*verify_tree.LAWS, verify_tree.SEALED)}  # tests/db/test_tampering.py forges against these


def test_every_law_has_a_forgery() -> None:
    assert {forgery.law for forgery in FORGERIES} == {law.name for law in LAWS} - TREE


# What an owner can do: no trigger, no constraint and no domain stands in the way any more.
UNGUARDED = """
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT conrelid::regclass AS of, conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
               AND contype IN ('f', 'c', 'u') AND conrelid <> 0 ORDER BY contype <> 'f' LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', one.of, one.conname);
    END LOOP;
    FOR one IN SELECT contypid::regtype AS of, conname FROM pg_constraint WHERE contypid <> 0 AND contype = 'c'
               AND connamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER DOMAIN %s DROP CONSTRAINT %I', one.of, one.conname);
    END LOOP;
    FOR one IN SELECT tgrelid::regclass AS of, tgname FROM pg_trigger WHERE NOT tgisinternal LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', one.of, one.tgname);
    END LOOP;
END $$"""


async def forge(connection: Owner, forgery: Forgery) -> str:
    """Change what was picked, as an owner can; return what must be named."""
    await connection.execute(UNGUARDED)
    picked = await connection.fetchrow(f"{forgery.pick} LIMIT 1")
    assert picked is not None, "nothing to forge"
    for statement in forgery.change.split("; "):
        arguments = [picked["key"]] if "$1" in statement else []
        assert await connection.execute(statement, *arguments) not in ("UPDATE 0", "DELETE 0")
    return str(picked["name"])


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
async def test_a_forgery_is_found_by_its_law_and_named(market: Owner, forgery: Forgery) -> None:
    transaction = market.transaction()
    await transaction.start()
    try:
        name = await forge(market, forgery)
        report = await silent(market)
    finally:
        await transaction.rollback()
    found = {one.law.name: one.found for one in report.breaks}
    assert forgery.law in found
    assert forgery.law in {"effects", "attempts"} or name in found[forgery.law]
    assert name in " ".join(found.values())


async def test_a_restore_is_told_from_a_rewrite(market: Owner) -> None:
    transaction = market.transaction()
    await transaction.start()
    try:
        await market.execute(UNGUARDED)
        await market.execute("UPDATE ticket_logs SET year = year; UPDATE asset_transactions SET seq = seq")
        rewritten = await silent(market)
        await market.execute(
            "UPDATE ticket_logs SET action_type = 'DATA_RESTORED', txid = pg_current_xact_id()"
            " WHERE (year, number) = (SELECT year, number FROM ticket_logs WHERE status = 'SUCCESS'"
            " AND action_type = 'USER_CREATED' ORDER BY year DESC, number DESC LIMIT 1)"
        )
        restored = await silent(market)
    finally:
        await transaction.rollback()
    assert {one.law.name for one in rewritten.breaks} == {"written-once", "same-transaction"}
    assert rewritten.restored == 0
    assert restored.restored > 0


# ---------------------------------------------------------------------------------------------------------- the command


def carbondesk_verify(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    cleared = {"DATABASE_URL": "", "DATABASE_APP_URL": "", "REDIS_URL": ""}
    return subprocess.run(
        [sys.executable, "-m", "api", "verify"],
        cwd=ROOT,
        env=os.environ | cleared | {"CARBONDESK_HOME": str(home)} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_says_what_it_checks_and_ends_with_0(market: Owner, database: str, tmp_path: Path) -> None:
    done = await asyncio.to_thread(carbondesk_verify, tmp_path, DATABASE_URL=database)
    assert (done.returncode, done.stderr) == (0, "")
    for law in LAWS:
        assert f"ok      {law.name}: {law.sentence} (" in done.stdout
    assert "numbers of open leases are in flight" in done.stdout
    assert done.stdout.rstrip().endswith(f"clean: all {len(LAWS)} laws hold")


async def test_the_command_names_the_first_break_and_ends_with_1(market: Owner, database: str, tmp_path: Path) -> None:
    copy = f"{database.rpartition('/')[2]}_copy"
    base = await asyncpg.connect(urls_of("postgres", database))
    await market.close()  # a database that somebody uses is not copied; this is the last test that needs it
    try:
        await base.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{database.rpartition("/")[2]}"')
        forger = await asyncpg.connect(urls_of(copy, database))
        name = await forge(forger, next(forgery for forgery in FORGERIES if forgery.law == "fills"))
        await forger.close()
        done = await asyncio.to_thread(carbondesk_verify, tmp_path, DATABASE_URL=urls_of(copy, database))
    finally:
        await drop_database(base, copy)
        await base.close()
    assert (done.returncode, done.stderr) == (1, "")
    assert f"BROKEN  fills: {laws.FILLS.sentence}" in done.stdout
    last = done.stdout.rstrip().splitlines()[-1]
    assert "laws; the first is " in last
    assert f"ticket {name}" in done.stdout
    assert "status FILLED" in done.stdout


async def test_the_command_ends_with_2_when_it_cannot_run(servers: Servers, tmp_path: Path) -> None:
    stopped, closed, empty = await asyncio.gather(
        asyncio.to_thread(carbondesk_verify, tmp_path),
        asyncio.to_thread(carbondesk_verify, tmp_path, DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/d"),
        asyncio.to_thread(carbondesk_verify, tmp_path, DATABASE_URL=servers.urls.database_url),
    )
    assert [one.returncode for one in (stopped, closed, empty)] == [2, 2, 2]
    assert "start it with `make run`" in stopped.stderr
    assert "this could not be done" in closed.stderr
    assert "hidden" not in closed.stderr
    assert "carbondesk migrate" in empty.stderr
    assert "Traceback" not in stopped.stderr + closed.stderr + empty.stderr
