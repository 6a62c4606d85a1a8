"""A long audit trail, made fast: synthetic tickets with valid digests, copied in as the owner by two processes.

The tickets stand in numbered leases over DAYS days until now, a transaction for each COPY_TICKETS of them. Their
digests, payloads, leases, words and counts are as the write path would have made them; the orders and trades that they
tell of do not exist. Indexes and foreign keys are taken off first and made again from their own definitions.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from db import search, tables
from domain import tickets
from domain.tickets import ActionType, EntityType, Payload, Ticket, TicketStatus

DAYS = 90
LEASE_TICKETS = 1_024
COPY_TICKETS = 8 * LEASE_TICKETS
TRADERS, MAKERS, PAYLOADS, WORDS = 200, 20, 4_000, 3_000
WORKERS = 2
COMMON_WORD, RARE_WORD = "sell", "quagga"  # of summaries: a quarter of all; one in RARE_EVERY
COMMON_NOTE, RARE_NOTE = "auction", "okapi"  # of payloads
RARE_EVERY = 50_000
RARE_IP = "203.0.113.77"
TABLES = ("ticket_logs", "ticket_payloads", "ticket_payload_search", "ticket_counts")
KINDS = (  # weight, action, entity, tags, error codes
    (40, ActionType.ORDER_PLACED, EntityType.ORDER, ("order",), ("INSUFFICIENT_BALANCE", "INVALID_PRICE")),
    (10, ActionType.MM_ORDER_PLACED, EntityType.ORDER, ("order", "market-maker"), ("MARKET_MAKER_INACTIVE",)),
    (12, ActionType.TRADE_EXECUTED, EntityType.TRADE, ("trade",), ()),
    (12, ActionType.MM_TRADE_EXECUTED, EntityType.TRADE, ("trade", "market-maker"), ()),
    (14, ActionType.ORDER_FILLED, EntityType.ORDER, ("order",), ()),
    (8, ActionType.ORDER_CANCELLED, EntityType.ORDER, ("order",), ("ORDER_NOT_OPEN",)),
    (2, ActionType.USER_LOGIN, EntityType.SESSION, ("session",), ()),
    (1, ActionType.ASSET_DEPOSIT, EntityType.ASSET_TRANSACTION, ("ledger",), ("INVALID_AMOUNT",)),
    (1, ActionType.DEPOSIT_REQUESTED, EntityType.DEPOSIT, ("deposit",), ()),
)


@dataclass(frozen=True, slots=True)
class People:
    """Who acts in the trail."""

    users: list[UUID]
    makers: list[UUID]
    sessions: list[UUID]

    @classmethod
    def of(cls, seed: int) -> People:
        rng = random.Random(seed)

        def ids(count: int) -> list[UUID]:
            return [UUID(int=rng.getrandbits(128), version=4) for _ in range(count)]

        return cls(ids(TRADERS + MAKERS), ids(MAKERS), ids(TRADERS))


async def load(database_url: str, count: int) -> None:
    """Fill a migrated database without tickets."""
    owner = await asyncpg.connect(database_url)
    people = People.of(1)
    begun = time.monotonic()
    await _people(owner, people)
    ends_at = datetime.now(UTC) - timedelta(seconds=5)
    starts_at = max(ends_at - timedelta(days=DAYS), datetime(ends_at.year, 1, 1, tzinfo=UTC))
    gap = (ends_at - starts_at) / count
    leases = [
        (ends_at.year, lo, min(lo + LEASE_TICKETS - 1, count), True, starts_at + gap * (lo - 1),
         starts_at + gap * (lo + LEASE_TICKETS) if lo + LEASE_TICKETS <= count else None)
        for lo in range(1, count + 1, LEASE_TICKETS)
    ]  # fmt: skip
    names = ("year", "lo", "hi", "is_shared", "leased_at", "closed_at")
    await owner.copy_records_to_table("ticket_leases", records=leases, columns=names)
    again = await _taken_off(owner)
    plans = [
        {"url": database_url, "part": part, "count": count, "starts_at": starts_at.timestamp(),
         "gap_s": gap.total_seconds()}
        for part in range(WORKERS)
    ]  # fmt: skip
    await asyncio.gather(*(_worker(plan) for plan in plans))
    _say(begun, f"{count:,} tickets copied")
    await asyncio.gather(*(_words(database_url, part, count) for part in range(WORKERS)))
    _say(begun, "words of payloads written")
    await _counts(owner)
    _say(begun, "counted")
    for statement in again:
        await owner.execute("SET maintenance_work_mem = '1GB'")
        await owner.execute(statement)
        _say(begun, statement[:90])
    await owner.execute("UPDATE ticket_folds SET txid = pg_snapshot_xmin(pg_current_snapshot())")
    for table in TABLES:
        await owner.execute(f"VACUUM (ANALYZE) {table}")
    await owner.execute("ANALYZE")
    _say(begun, "vacuumed and analysed")
    await owner.close()


def _say(begun: float, what: str) -> None:
    print(f"  {time.monotonic() - begun:6.1f} s  {what}", file=sys.stderr, flush=True)


async def _people(owner: asyncpg.Connection[asyncpg.Record], people: People) -> None:
    await owner.executemany(
        "INSERT INTO users (id, email, name, role, password_hash, kyc_status, created_at, updated_at)"
        " VALUES ($1::uuid, $1::uuid || '@bench.test', 'Somebody', $2::text,"
        " CASE WHEN $2::text = 'TRADER' THEN 'x' END, 'APPROVED', now(), now())",
        [(one, "TRADER" if index < TRADERS else "MARKET_MAKER") for index, one in enumerate(people.users)],
    )
    await owner.executemany(
        "INSERT INTO market_maker_clients (id, user_id, name, created_at, updated_at)"
        " VALUES ($1, $2, $3, now(), now())",
        [(one, people.users[TRADERS + index], f"MM-{index:02}") for index, one in enumerate(people.makers)],
    )
    await owner.executemany(
        "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at)"
        " VALUES ($1::uuid, $2::uuid, sha256(($1::uuid)::text::bytea), now(), now(), now())",
        list(zip(people.sessions, people.users, strict=False)),
    )


async def _taken_off(owner: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """Drop what slows a load down; return the statements that make it again."""
    again: list[str] = []
    for row in await owner.fetch(
        "SELECT conname, conrelid::regclass::text AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid::regclass::text = ANY($1::text[])",
        list(TABLES),
    ):
        await owner.execute(f'ALTER TABLE {row["name"]} DROP CONSTRAINT "{row["conname"]}"')
        again.append(f'ALTER TABLE {row["name"]} ADD CONSTRAINT "{row["conname"]}" {row["definition"]}')
    for row in await owner.fetch(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i JOIN pg_class c"
        " ON c.oid = i.indexrelid WHERE i.indrelid::regclass::text = ANY($1::text[]) AND NOT i.indisunique",
        list(TABLES),
    ):
        await owner.execute(f'DROP INDEX "{row["relname"]}"')
        again.insert(0, row["definition"])
    return again


async def _worker(plan: dict[str, Any]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.parts.trail", stdin=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    await process.communicate(orjson.dumps(plan))
    assert process.returncode == 0, "a worker failed"


async def _words(database_url: str, part: int, count: int) -> None:
    """Do what the fold of words does, for one part of the numbers."""
    owner = await asyncpg.connect(database_url)
    share = -(-count // WORKERS)
    select = search.FOLD.split("WHERE", maxsplit=1)[0]
    await owner.execute(f"{select} WHERE t.number BETWEEN {part * share + 1} AND {(part + 1) * share}", timeout=7_200)
    await owner.close()


async def _counts(owner: asyncpg.Connection[asyncpg.Record]) -> None:
    from db import stats

    await owner.execute("SET work_mem = '1GB'")
    select = stats.FOLD.split("ON CONFLICT", maxsplit=1)[0]
    await owner.execute(
        select.replace("$1::text::xid8", "'0'::xid8").replace("$2::text::xid8", "pg_current_xact_id()"), timeout=7_200
    )


# ------------------------------------------------------------------------------------------------------------ a worker


def _payloads(rng: random.Random) -> list[Payload]:
    words = [f"{rng.choice('bdfgklmnprst')}{rng.choice('aeiou')}{index:04x}" for index in range(WORDS)]
    made = []
    for _ in range(PAYLOADS):
        order = {"id": str(UUID(int=rng.getrandbits(128), version=4)), "side": "SELL", "certificateType": "CEA",
                 "price": f"{rng.randrange(1_000, 9_999) / 100:.2f}", "quantity": str(rng.randrange(1, 500)),
                 "status": "OPEN"}  # fmt: skip
        notes = rng.choices(words, weights=range(WORDS, 0, -1), k=6)
        if rng.random() < 0.2:
            notes.append(COMMON_NOTE)
        request = {"input": {**{name: order[name] for name in ("side", "price", "quantity")}, "notes": " ".join(notes)}}
        response = {"order": order, "trades": []}
        before = {"balances": {"EUR": {"available": str(rng.randrange(10**6)), "locked": "0"}}}
        after = {"balances": {"EUR": {"available": str(rng.randrange(10**6)), "locked": "10"}}, "order": order}
        payload = Payload(rng.randbytes(32), request, response, before, after)
        made.append(payload)
    return made


def _tickets(plan: dict[str, Any], numbers: range, rng: random.Random) -> Iterator[tuple[Ticket, Payload]]:
    people, payloads = People.of(1), plan["payloads"]
    weights = [kind[0] for kind in KINDS]
    starts_at = datetime.fromtimestamp(plan["starts_at"], UTC)
    for number, kind in zip(numbers, rng.choices(KINDS, weights, k=len(numbers)), strict=True):
        _, action, entity, tags, codes = kind
        is_maker = "market-maker" in tags
        code = rng.choice(codes) if codes and rng.random() < 0.08 else None
        is_rare = number % RARE_EVERY == 0
        side, certificate = rng.choice(("BUY", "SELL")), rng.choice(("CEA", "EUA"))
        maker = rng.randrange(MAKERS)
        trader = min(int(rng.expovariate(1 / 30)), TRADERS - 1)
        summary = f"{side} {rng.randrange(1, 500)} {certificate} @ {rng.randrange(1_000, 9_999) / 100:.2f}"
        summary += f" for MM-{maker:02}" if is_maker else ""
        related = (number - 1, number - 2) if entity is EntityType.TRADE and number > 2 else ()
        ticket = Ticket(
            year=starts_at.year, number=number,
            timestamp=starts_at + timedelta(seconds=plan["gap_s"] * number),
            action_type=action, status=TicketStatus.FAILED if code else TicketStatus.SUCCESS,
            summary=f"{summary} {RARE_WORD}" if is_rare else summary,
            error_code=code, error_message="Less is available than needed." if code else None,
            user_id=people.users[trader], market_maker_id=people.makers[maker] if is_maker else None,
            entity_type=EntityType.CERTIFICATE if is_rare else entity,
            entity_id=str(UUID(int=rng.getrandbits(128), version=4)),
            ip_address=RARE_IP if is_rare else f"10.0.{rng.randrange(4)}.{rng.randrange(100)}",
            user_agent="bench", session_id=people.sessions[trader],
            duration_ms=Decimal(rng.randrange(800, 40_000)).scaleb(-3),
            related_ticket_ids=tuple(tickets.ticket_id(starts_at.year, one) for one in related),
            tags=(*tags, "cli") if is_rare else tags,
            attempt_id=UUID(int=rng.getrandbits(128), version=4),
        )  # fmt: skip
        payload: Payload = rng.choice(payloads)
        if is_rare:
            payload = Payload(payload.salt, {"input": {"notes": RARE_NOTE}}, payload.response)
        yield ticket, payload


async def _work(plan: dict[str, Any]) -> None:
    rng = random.Random(100 + plan["part"])
    plan["payloads"] = _payloads(rng)
    owner = await asyncpg.connect(plan["url"])
    await owner.execute("SET synchronous_commit = off")
    names = [column.name for column in tables.written(tables.ticket_logs)]
    parts = [column.name for column in tables.written(tables.ticket_payloads)]
    chunks = range(1, plan["count"] + 1, COPY_TICKETS)
    for index, first in enumerate(chunks):
        if index % WORKERS != plan["part"]:
            continue
        logs, payloads = [], []
        for ticket, payload in _tickets(plan, range(first, min(first + COPY_TICKETS, plan["count"] + 1)), rng):
            bound = tickets.hmac_of(payload)
            row = (
                ticket.year, ticket.number, ticket.ticket_id, ticket.timestamp, ticket.action_type, ticket.status,
                ticket.summary, ticket.error_code, ticket.error_message, ticket.user_id, ticket.market_maker_id,
                ticket.entity_type, ticket.entity_id, ticket.ip_address, ticket.user_agent, ticket.session_id,
                ticket.duration_ms, list(ticket.related_ticket_ids), list(ticket.tags), ticket.attempt_id,
                tickets.digest(ticket, bound, []), bound,
            )  # fmt: skip
            logs.append(row)
            payloads.append((ticket.year, ticket.number, payload.salt, *payload.texts))
        async with owner.transaction():
            await owner.copy_records_to_table("ticket_logs", records=logs, columns=names)
            await owner.copy_records_to_table("ticket_payloads", records=payloads, columns=parts)
    await owner.close()


if __name__ == "__main__":
    asyncio.run(_work(orjson.loads(sys.stdin.buffer.read())))
