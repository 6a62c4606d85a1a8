"""The sealer: every committed ticket and void becomes a leaf of one Merkle tree, whose root is signed and kept outside.

Law: a leaf is appended once, in the order of transactions, and only when the ticket's rows give its digest. A round is
one transaction under the lock of the row `audit_head`: of any number of sealers one seals, the others wait for it and
write its checkpoints into files of their own. A round takes what stands below `pg_snapshot_xmin`, under which every
transaction has ended, so that a late commit is never skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from db import evidence, numbers, tables
from db.keys import Signer
from db.transaction import Connection
from db.unit import LOST, OVERDUE, RETRYABLE, Pool
from db.witness import Witness
from domain import seals
from domain.errors import Busy
from domain.merkle import Tree
from domain.seals import LeafKind

EVERY_S = 1.0  # a ticket waits at most this long
EARLY_ROWS = 256  # or until so many wait
LOOK_S = 0.1
ROUND_ROWS_MAX = 2_000  # some megabytes, and a transaction of a tenth of a second
CATCH_UP_ROWS = 1_000  # checkpoints that one write to the file takes
RETRY_S = 1.0
LAST_ROUNDS_S = 5.0  # what committed before the end is sealed before the end
CONNECTIONS_MAX = 2
log = structlog.get_logger(__name__)


class SealBroken(Exception):
    """Say what does not fit, so that sealing stops here: signing on would cover it up."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. is_full: more may wait; alarm: what stopped it."""

    tickets: int = 0
    voids: int = 0
    size: int = 0
    is_full: bool = False
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class _Head:
    tree: Tree
    sealed_below: int
    key: str | None


class Sealer:
    """One sealing process."""

    def __init__(self, pool: Pool, signer: Signer, witness: Witness) -> None:
        """Take connections of the role that may append to the tree, the key, and the file outside."""
        self._pool = pool
        self._signer = signer
        self._witness = witness

    async def run(self) -> None:
        """Seal for as long as the process lives, and once more when it is told to end.

        Raises: SealBroken.
        """
        self._witness.introduce(self._signer.public)
        sealed_at_s = 0.0
        try:
            while True:
                try:
                    waiting = await self._waiting()
                    if waiting >= EARLY_ROWS or (waiting and time.monotonic() - sealed_at_s >= EVERY_S):
                        sealed_at_s = time.monotonic()
                        await self.seal_all()
                    await asyncio.sleep(LOOK_S)
                except (*LOST, *OVERDUE, *RETRYABLE, Busy, TimeoutError) as error:
                    log.warning("sealer_waits", error=repr(error))
                    await asyncio.sleep(RETRY_S)
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(LAST_ROUNDS_S):
                    await self.seal_all()
            except (*LOST, *OVERDUE, *RETRYABLE, Busy, TimeoutError) as error:
                log.warning("sealer_ends_with_tickets_unsealed", error=repr(error))
            raise

    async def seal_all(self, say: Callable[[Round], None] = lambda _: None) -> Round:
        """Seal everything that waits; return the last round.

        Raises: SealBroken.
        """
        self._witness.introduce(self._signer.public)
        while True:
            try:
                done = await self._round()
            except SealBroken as broken:
                await self._pool.fetch("UPDATE audit_head SET alarm = $1 WHERE alarm IS DISTINCT FROM $1", str(broken))
                log.error("sealing_stopped", reason=str(broken))
                raise
            await self._hand_out()
            say(done)
            if done.alarm:
                log.error("sealing_stopped", reason=done.alarm, size=done.size)
                raise SealBroken(done.alarm)
            if not done.is_full:
                return done

    async def _waiting(self) -> int:
        """Return how many tickets and voids could be sealed now, at most EARLY_ROWS of each."""
        row = await self._pool.fetchrow(_WAITING, EARLY_ROWS)
        return int(row["waiting"]) if row else 0

    async def _round(self) -> Round:
        async with self._pool.transaction() as connection:
            head = await self._take_up(connection)
            horizon = int(await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"))
            # A restored cluster counts its transactions anew: what is not sealed is looked for from the start.
            sealed_below = head.sealed_below if head.sealed_below <= horizon else 0
            rows = await connection.fetch(_TICKETS, str(sealed_below), str(horizon), ROUND_ROWS_MAX)
            leaves, alarm = await self._leaves_of(connection, rows)
            is_full = len(rows) == ROUND_ROWS_MAX
            voids: list[tuple[Any, ...]] = []
            if not is_full and not alarm:
                voids = [_void_row(row) for row in await connection.fetch(_VOIDS, str(sealed_below), str(horizon))]
            upto = int(rows[-1]["txid"]) if is_full else horizon
            if alarm:
                upto = int(rows[len(leaves)]["txid"])
            await self._append(connection, head, [*leaves, *voids], upto, alarm)
        return Round(len(leaves), len(voids), head.tree.size, is_full, alarm)

    async def _take_up(self, connection: Connection) -> _Head:
        """Lock the head and look whether it, the last checkpoint and the file outside belong together.

        Locks: the row of audit_head.
        Raises: SealBroken.
        """
        row = await connection.fetchrow("SELECT size, frontier, sealed_below::text, key FROM audit_head FOR UPDATE")
        if row is None:
            raise SealBroken("the row of audit_head is gone")
        key = str(self._signer.public)
        if row["key"] is not None and row["key"] != key:
            raise SealBroken(f"this tree is sealed by {row['key']}; the key here is {key}")
        try:
            tree = Tree(row["size"], row["frontier"])
        except ValueError as error:
            raise SealBroken(f"the row of audit_head is damaged: {error}") from None
        last = await connection.fetchrow("SELECT size, root FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
        found = (last["size"], last["root"]) if last else (0, tree.root() if not tree.size else b"")
        if found != (tree.size, tree.root()):
            raise SealBroken(f"the last checkpoint is of {found[0]} leaves, the row of audit_head of {tree.size}")
        if (line := await asyncio.to_thread(self._witness.last)) and line.checkpoint:
            note = await connection.fetchval("SELECT note FROM audit_checkpoints WHERE size = $1", line.checkpoint.size)
            if note != line.note:
                raise SealBroken(
                    f"{line.place} of the checkpoints outside knows a tree of {line.checkpoint.size} leaves, which this"
                    f" database, of {tree.size}, does not hold: it was rewritten, or restored from an old backup"
                )
        return _Head(tree, int(row["sealed_below"]), row["key"])

    async def _leaves_of(
        self, connection: Connection, rows: Sequence[asyncpg.Record]
    ) -> tuple[list[tuple[Any, ...]], str | None]:
        """Return the leaves of tickets up to the first whose rows do not give its digest, and what is wrong there."""
        effects = await evidence.effects_of(connection, [row["ticket_id"] for row in rows])
        leaves: list[tuple[Any, ...]] = []
        for row in rows:
            if fault := evidence.fault_of(row, effects.get(row["ticket_id"], [])):
                return leaves, f"ticket {row['ticket_id']} is not sealed: {fault}"
            leaf = seals.ticket_leaf(row["ticket_id"], row["digest"])
            leaves.append((LeafKind.TICKET, row["year"], row["number"], leaf))
        return leaves, None

    async def _append(
        self, connection: Connection, head: _Head, leaves: Sequence[tuple[Any, ...]], upto: int, alarm: str | None
    ) -> None:
        """Write leaves, nodes, a signed checkpoint and the new head."""
        tree = head.tree
        before = tree.size
        for *_, leaf in leaves:
            tree.append(leaf)
        if leaves:
            await _insert(connection, tables.audit_leaves, [(before + at, *leaf) for at, leaf in enumerate(leaves)])
            await _insert(connection, tables.audit_nodes, tree.take_completed())
            previous = await connection.fetchval("SELECT note FROM audit_checkpoints WHERE size = $1", before)
            root = tree.root()
            chained = hashlib.sha256(previous.encode()).digest() if previous else None
            note = self._signer.sign(tree.size, root)
            await _insert(connection, tables.audit_checkpoints, [(tree.size, root, note, chained)])
        await connection.execute(
            "UPDATE audit_head SET size = $1, frontier = $2, sealed_below = $3::text::xid8, key = coalesce(key, $4),"
            " alarm = $5",
            tree.size,
            tree.frontier,
            str(upto),
            str(self._signer.public) if tree.size else None,
            alarm,
        )

    async def _hand_out(self) -> None:
        """Write into the file outside what it does not have yet, also what another sealer signed."""
        size = await asyncio.to_thread(self._witness.last_size)
        leased = await numbers.leased(self._pool)
        while rows := await self._pool.fetch(
            "SELECT size, note, created_at FROM audit_checkpoints WHERE size > $1 ORDER BY size LIMIT $2",
            size,
            CATCH_UP_ROWS,
        ):
            notes = [(row["size"], row["created_at"], row["note"]) for row in rows]
            await asyncio.to_thread(self._witness.append, notes, leased)
            size = rows[-1]["size"]


async def _insert(connection: Connection, table: Any, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        columns = tables.columns_of(table, rows)
        await connection.execute(tables.insert_sql(table), *tables.arrays_of(table, columns))


def _void_row(row: asyncpg.Record) -> tuple[Any, ...]:
    leaf = seals.void_leaf(row["year"], row["lo"], row["hi"], row["lease_id"], row["reason"], row["created_at"])
    return LeafKind.VOID, row["year"], row["lo"], leaf


_WAITING = """
WITH head AS (SELECT CASE WHEN sealed_below <= pg_snapshot_xmin(pg_current_snapshot()) THEN sealed_below ELSE '0' END
              AS below FROM audit_head)
SELECT (SELECT count(*) FROM (
          SELECT FROM ticket_logs WHERE txid >= (SELECT below FROM head)
             AND txid < pg_snapshot_xmin(pg_current_snapshot()) LIMIT $1) AS t)
     + (SELECT count(*) FROM (
          SELECT FROM ticket_voids WHERE txid >= (SELECT below FROM head)
             AND txid < pg_snapshot_xmin(pg_current_snapshot()) LIMIT $1) AS v) AS waiting
"""
_TICKETS = (
    evidence.TICKETS
    + """
WHERE t.txid >= $1::text::xid8 AND t.txid < $2::text::xid8
  AND NOT EXISTS (SELECT FROM audit_leaves l WHERE l.kind = 'ticket' AND l.year = t.year AND l.number = t.number)
ORDER BY t.txid, t.year, t.number LIMIT $3
"""
)
_VOIDS = """
SELECT * FROM ticket_voids v WHERE txid >= $1::text::xid8 AND txid < $2::text::xid8
   AND NOT EXISTS (SELECT FROM audit_leaves l WHERE l.kind = 'void' AND l.year = v.year AND l.number = v.lo)
ORDER BY txid, year, lo
"""


async def state(pool: Pool) -> Mapping[str, Any]:
    """Return how far the sealer is behind: lag_s of the oldest ticket that waits, and what stopped it, if anything did.

    lag_s is None before the first seal.
    """
    row = await pool.fetchrow(_STATE)
    assert row is not None, "the row of audit_head is there"
    return {"size": row["size"], "lag_s": row["lag_s"] if row["size"] else None, "alarm": row["alarm"]}


_STATE = """
SELECT h.size, h.alarm, coalesce((
    SELECT extract(epoch FROM clock_timestamp() - t."timestamp")::bigint FROM ticket_logs t
    WHERE t.txid >= h.sealed_below ORDER BY t.txid, t.year, t.number LIMIT 1), 0) AS lag_s
FROM audit_head h
"""
