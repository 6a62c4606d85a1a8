"""Verification: recompute every law of the market from the rows, in one snapshot, trusting nothing but arithmetic.

Memory is bounded: tickets and journal are read in batches by key, and only the open orders of a book are held.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

import asyncpg

from db import evidence, laws, verify_tree
from db.evidence import Connection
from db.laws import EVENTS, LEDGER, TRADES, Law
from db.tables import Row
from db.unit import CONNECT_TIMEOUT_S, snapshot
from db.verify_archive import ARCHIVES, check_archives
from db.verify_tree import Outside
from domain import money
from domain.book import LevelChange, OrderSide
from domain.market import EventKind, OrderType, TimeInForce
from domain.replay import Entry, Replay, Taken

Say: TypeAlias = Callable[[str], None]

BATCH_ROWS = 2_000  # some megabytes with payloads of a few kilobytes
SAY_ROWS = 100_000  # a line of progress after so many: every ten seconds or so
DIGESTS = Law(
    "digests",
    "A ticket's digest is that of its columns, its payload and every row that it made.",
    ("ticket_logs", "ticket_payloads"),
    "",
)
REPLAY = Law(
    "replay",
    "The journal, read from its start by first in, first out, gives the same trades, levels and open orders.",
    (EVENTS, TRADES),
    "",
)
LAWS = (*laws.LAWS, REPLAY, DIGESTS, *verify_tree.LAWS, verify_tree.SEALED)
NAMES = {
    "ticket_logs": "tickets", "ticket_payloads": "payloads", "ticket_leases": "leases", "ticket_voids": "voids",
    LEDGER: "ledger rows", TRADES: "trades", EVENTS: "journal events", "idempotency": "keys",
    "audit_leaves": "leaves", "audit_checkpoints": "checkpoints", "audit_nodes": "nodes",
    "payload_archives": "archives",
}  # fmt: skip
NOTHING = Outside()
COUNTED = tuple(dict.fromkeys(name for law in (*LAWS, ARCHIVES) for name in law.tables))


@dataclass(frozen=True, slots=True)
class Break:
    """A law that does not hold, and the first row that breaks it, in words."""

    law: Law
    found: str

    def __str__(self) -> str:
        return f"{self.law.name}: {self.found}"


@dataclass(slots=True)
class Report:
    """What was there and what broke. rows: by table; in_flight: numbers of open leases; restored: not comparable.

    key: who signed the tree.
    """

    rows: Mapping[str, int]
    in_flight: int = 0
    restored: int = 0
    key: str | None = None
    laws: int = 0
    breaks: list[Break] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.breaks

    def looked_at(self, law: Law) -> str:
        return ", ".join(f"{self.rows[name]:,} {NAMES.get(name, name)}" for name in law.tables)

    def summary(self, seconds: float) -> list[str]:
        """Say in a few lines what came out."""
        count = self.rows["ticket_logs"]
        lines = [f"{count:,} tickets in {seconds:.1f} s; {self.in_flight:,} numbers of open leases are in flight"]
        if self.restored:
            lines.append(f"{self.restored:,} tickets were written anew by a restore: their transactions do not compare")
        leaves = self.rows["audit_leaves"]
        if leaves:
            waiting = max(count + self.rows["ticket_voids"] - leaves, 0)
            lines.append(f"{leaves:,} leaves sealed by {self.key}; {waiting:,} wait for their seal")
        else:
            lines.append("nothing is sealed: `carbondesk seal` does it, and `carbondesk run` starts it")
        if self.is_clean:
            return [*lines, f"clean: all {self.laws} laws hold"]
        return [*lines, f"BROKEN: {len(self.breaks)} of {self.laws} laws; the first is {self.breaks[0]}"]


async def run(database_url: str, say: Say, outside: Outside = NOTHING) -> Report:
    """Connect as the login of a URL and verify.

    Raises: OSError, PostgresError, InterfaceError.
    """
    settings = {"application_name": "carbondesk-verify", "default_transaction_read_only": "on"}
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)
    try:
        return await verify(connection, say, outside)
    finally:
        await connection.close()


async def verify(connection: Connection, say: Say, outside: Outside = NOTHING) -> Report:
    """Check every law in one read-only snapshot, so that a market that goes on trading stands still meanwhile."""
    async with snapshot(connection):
        return await examine(connection, say, outside)


async def examine(connection: Connection, say: Say, outside: Outside = NOTHING) -> Report:
    """Check every law as the transaction that is open sees the rows; say each law and what it came to."""
    await connection.execute(
        "SET LOCAL statement_timeout = 0; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL timezone = 'UTC'"
    )
    say("one snapshot; counting")
    rows = {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in COUNTED}  # noqa: S608 - our own tables
    report = Report(rows)
    for law in laws.LAWS:
        _conclude(report, law, await _broken_row(connection, law), say)
    _conclude(report, REPLAY, await replay(connection, say), say)
    _conclude(report, DIGESTS, await check_digests(connection, say), say)
    tree = await verify_tree.check_tree(connection, outside, say)
    report.key = None if tree.key is None else str(tree.key)
    for law in verify_tree.LAWS:
        _conclude(report, law, tree.breaks.get(law.name), say)
    _conclude(report, verify_tree.SEALED, await _broken_row(connection, verify_tree.SEALED), say)
    if outside.archive:
        _conclude(report, ARCHIVES, await check_archives(connection, outside.archive, tree.key, say), say)
    report.in_flight = await connection.fetchval(_IN_FLIGHT)
    report.restored = await connection.fetchval(_RESTORED)
    return report


async def _broken_row(connection: Connection, law: Law) -> str | None:
    found = await connection.fetchrow(
        f"SELECT count(*) OVER () AS in_all, * FROM ({law.sql}) AS broken ORDER BY 2 LIMIT 1"  # noqa: S608 - our own
    )
    return None if found is None else _in_words(found)


def _conclude(report: Report, law: Law, found: str | None, say: Say) -> None:
    report.laws += 1
    if found is not None:
        report.breaks.append(Break(law, found))
    say(f"{'BROKEN' if found else 'ok    '}  {law.name}: {law.sentence} ({report.looked_at(law)})")
    if found is not None:
        say(f"        {found}")


def _in_words(row: asyncpg.Record) -> str:
    in_all, *pairs = [(name, value) for name, value in row.items() if value is not None]
    return ", ".join(f"{name} {value}" for name, value in pairs) + f" ({in_all[1]:,} in all)"


_IN_FLIGHT = """
SELECT coalesce(sum(l.hi - l.lo + 1 - t.n), 0)::bigint FROM ticket_leases l CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM ticket_logs t WHERE t.year = l.year AND t.number BETWEEN l.lo AND l.hi) AS t
WHERE l.closed_at IS NULL"""

_RESTORED = """
SELECT count(*) FROM ticket_logs t WHERE xmin::text::bigint <> txid::text::bigint % 4294967296
   AND EXISTS (SELECT FROM ticket_logs r WHERE r.action_type = 'DATA_RESTORED' AND r.status = 'SUCCESS'
               AND (r.year, r.number) >= (t.year, t.number))"""


# ----------------------------------------------------------------------------------------------------------- the replay


async def replay(connection: Connection, say: Say) -> str | None:
    """Read each book's journal from the start; return the first thing that does not follow."""
    for row in await connection.fetch("SELECT certificate_type, last_price FROM books ORDER BY 1"):
        certificate_type = row["certificate_type"]
        book = Replay()
        async for event, taken in _journal(connection, certificate_type):
            try:
                differs = book.step(_entry(event, taken))
            except (ValueError, TypeError, ArithmeticError) as error:
                differs = f"it holds what no event can hold ({error})"
            if differs:
                return (
                    f"ticket {event['ticket_id']}, {certificate_type} {event['sequence']} {event['kind']},"
                    f" order {event['order_id']}: {differs}"
                )
            if event["sequence"] % SAY_ROWS == 0:
                say(f"        replay: {certificate_type} at sequence {event['sequence']:,}")
        if differs := await _differs_at_the_end(connection, certificate_type, book, row["last_price"]):
            return differs
    return None


async def _journal(connection: Connection, certificate_type: str) -> AsyncIterator[tuple[Row, Sequence[Taken]]]:
    after = 0
    while events := await connection.fetch(
        "SELECT e.sequence, e.kind, e.order_id, o.user_id, o.side, o.order_type, o.time_in_force, e.price, e.quantity,"
        " e.rested, e.priority, o.cancel_reason, e.level_changes, e.ticket_id"
        " FROM book_events e JOIN orders o ON o.id = e.order_id"
        " WHERE e.certificate_type = $1 AND e.sequence > $2 ORDER BY e.sequence LIMIT $3",
        certificate_type,
        after,
        BATCH_ROWS,
    ):
        taken: defaultdict[int, list[Taken]] = defaultdict(list)
        for trade in await connection.fetch(
            "SELECT sequence, CASE taker_side WHEN 'BUY' THEN sell_order_id ELSE buy_order_id END AS resting, price,"
            " quantity FROM cash_market_trades WHERE certificate_type = $1 AND sequence > $2 AND sequence <= $3"
            " ORDER BY sequence, position",
            certificate_type,
            after,
            events[-1]["sequence"],
        ):
            taken[trade["sequence"]].append(Taken(trade["resting"], _cents(trade["price"]), int(trade["quantity"])))
        for event in events:
            yield event, taken[event["sequence"]]
        after = events[-1]["sequence"]


def _entry(event: Row, taken: Sequence[Taken]) -> Entry:
    return Entry(
        sequence=event["sequence"],
        kind=EventKind(event["kind"]),
        order_id=event["order_id"],
        holder_id=event["user_id"],
        side=OrderSide(event["side"]),
        order_type=OrderType(event["order_type"]),
        time_in_force=TimeInForce(event["time_in_force"]),
        price=None if event["price"] is None else _cents(event["price"]),
        quantity=int(event["quantity"]),
        rested=int(event["rested"]),
        priority=event["priority"],
        cancel_reason=event["cancel_reason"],
        taken=tuple(taken),
        levels=tuple(
            LevelChange(OrderSide(side), _cents(Decimal(price)), int(quantity), orders)
            for side, price, quantity, orders in json.loads(event["level_changes"])
        ),
    )


def _cents(price: Decimal) -> int:
    cents = money.units(price, money.PRICE_DECIMALS)
    assert cents is not None, "the table's scale check"
    return cents


async def _differs_at_the_end(
    connection: Connection, certificate_type: str, book: Replay, last_price: Decimal | None
) -> str | None:
    stored = None if last_price is None else _cents(last_price)
    if stored != book.last_price:
        return f"{certificate_type}: the last price is {stored} cents; the journal ends at {book.last_price}"
    left: dict[UUID, int] = book.left
    for row in await connection.fetch(
        "SELECT id, ticket_id, quantity - filled_quantity AS left FROM orders"
        " WHERE certificate_type = $1 AND status IN ('OPEN', 'PARTIALLY_FILLED') ORDER BY priority",
        certificate_type,
    ):
        replayed = left.pop(row["id"], 0)
        if replayed != row["left"]:
            return (
                f"ticket {row['ticket_id']}, {certificate_type} order {row['id']}: {row['left']} are open;"
                f" the journal leaves {replayed}"
            )
    for order_id, quantity in left.items():
        return f"{certificate_type} order {order_id} is not open; the journal leaves {quantity} of it in the book"
    return None


# ---------------------------------------------------------------------------------------------------------- the digests


async def check_digests(connection: Connection, say: Say) -> str | None:
    """Recompute the digest of every ticket; return the first that differs, and how many do.

    A batch is computed beside the reading of the next one.
    """
    done, wrong, first = 0, 0, None
    total = await connection.fetchval("SELECT count(*) FROM ticket_logs")
    batch = await _batch(connection, (0, 0))
    while batch.rows:
        after = (batch.rows[-1]["year"], batch.rows[-1]["number"])
        faults, following = await asyncio.gather(asyncio.to_thread(batch.faults), _batch(connection, after))
        wrong += len(faults)
        first = first or (faults[0] if faults else None)
        if done // SAY_ROWS != (done := done + len(batch.rows)) // SAY_ROWS:
            say(f"        digests: {done:,} of {total:,} tickets")
        batch = following
    return f"{first} ({wrong:,} of {total:,} tickets differ)" if first else None


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: Sequence[asyncpg.Record]
    effects: Mapping[str, list[str]]

    def faults(self) -> list[str]:
        pairs = ((row, evidence.fault_of(row, self.effects.get(row["ticket_id"], []))) for row in self.rows)
        return [f"ticket {row['ticket_id']}: {fault}" for row, fault in pairs if fault]


async def _batch(connection: Connection, after: tuple[int, int]) -> _Batch:
    rows = await connection.fetch(
        f"{evidence.TICKETS} WHERE (t.year, t.number) > ($1, $2) ORDER BY t.year, t.number LIMIT $3", *after, BATCH_ROWS
    )
    return _Batch(rows, await evidence.effects_of(connection, [row["ticket_id"] for row in rows]))
