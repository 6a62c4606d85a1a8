"""What is derived from tickets behind the write path: a fold takes the tickets of ended transactions, each once.

How far a fold has come is recorded in the transaction that folds. Everything below the lowest running transaction has
ended, so no ticket can appear behind that place, however low its number is; who reads adds the tickets beyond it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

import asyncpg
import structlog

from db import search, stats
from db.unit import LOST, OVERDUE, Pool
from domain.errors import Busy

PRUNE_EVERY_S = 600.0
PRUNED_MAX = 5_000  # counts of one transaction: some 20 ms
FOLD_EVERY_S = 2.0  # so much of the busiest market a reader has to add by himself
FOLDS: Mapping[str, str] = {"counts": stats.FOLD, "words": search.FOLD}
# Tickets of one transaction, which holds back the live stream while it runs: some 50 ms.
TICKETS_MAX: Mapping[str, int] = {"counts": 500, "words": 250}
log = structlog.get_logger(__name__)

# From where to where the next step goes: up to the lowest running transaction, at most about $2 tickets.
_STEP = """
SELECT f.txid::text AS after, least(pg_snapshot_xmin(pg_current_snapshot()), greatest(
           coalesce((SELECT t.txid FROM ticket_logs t WHERE t.txid >= f.txid ORDER BY t.txid OFFSET $2 LIMIT 1),
                    pg_snapshot_xmin(pg_current_snapshot())),
           (SELECT (t.txid::text::bigint + 1)::text::xid8 FROM ticket_logs t WHERE t.txid >= f.txid
            ORDER BY t.txid LIMIT 1)))::text AS upto,
       f.txid > pg_snapshot_xmin(pg_current_snapshot()) AS is_of_another_server,
       EXISTS (SELECT FROM ticket_logs t WHERE t.txid >= f.txid
               AND t.txid < pg_snapshot_xmin(pg_current_snapshot())) AS is_behind
FROM ticket_folds f WHERE f.name = $1
"""


async def watch(pool: Pool) -> None:
    """Keep every fold up to date, and forget what nobody reads any more, for ever."""
    pruned_at = -PRUNE_EVERY_S
    while True:
        for name in FOLDS:
            try:
                is_behind = True
                while is_behind:  # a backlog is folded at once, but others come in between
                    is_behind = await step(pool, name)
            except (*LOST, *OVERDUE, Busy, TimeoutError, asyncpg.PostgresError) as error:
                log.warning("fold_waits", fold=name, error=repr(error))
        if monotonic() - pruned_at >= PRUNE_EVERY_S:
            pruned_at = monotonic()
            try:
                await prune(pool)
            except (*LOST, *OVERDUE, Busy, TimeoutError, asyncpg.PostgresError) as error:
                log.warning("pruning_waits", error=repr(error))
        await asyncio.sleep(FOLD_EVERY_S)


async def prune(pool: Pool, pruned_max: int = PRUNED_MAX) -> int:
    """Delete the counts by minute that are older than anybody reads; return how many. The coarser ones stay."""
    pruned = 0
    for detail in stats.Detail:
        while True:
            async with pool.transaction() as connection:
                done = int(
                    (await connection.execute(stats.PRUNE, detail, stats.PRUNED_AFTER, pruned_max)).removeprefix(
                        "DELETE "
                    )
                )
            pruned += done
            if done < pruned_max:
                break
    return pruned


async def step(pool: Pool, name: str, tickets_max: int | None = None) -> bool:
    """Fold the next tickets; return whether there were any.

    Locks: the fold's row; whoever does not get it leaves the work to the one who has it.
    """
    tickets_max = TICKETS_MAX[name] if tickets_max is None else tickets_max
    planned = await pool.fetchrow(_STEP, name, tickets_max)
    assert planned is not None, f"no fold {name}"
    if not planned["is_behind"] and not planned["is_of_another_server"]:
        return False
    async with pool.transaction() as connection:
        locked = await connection.fetchrow(
            "SELECT txid FROM ticket_folds WHERE name = $1 FOR NO KEY UPDATE SKIP LOCKED", name
        )
        if locked is None:
            return False
        planned = await connection.fetchrow(_STEP, name, tickets_max)  # the one before may be over
        assert planned is not None
        after, upto = planned["after"], planned["upto"]
        if planned["is_of_another_server"]:  # a restored database counts its transactions anew
            log.warning("fold_starts_over", fold=name, after=after)
            if name == "counts":
                await connection.execute("DELETE FROM ticket_counts")
            await connection.execute("UPDATE ticket_folds SET txid = '0' WHERE name = $1", name)
            return True
        if not planned["is_behind"]:
            return False
        await connection.execute(FOLDS[name], after, upto)
        await connection.execute("UPDATE ticket_folds SET txid = $2::text::xid8 WHERE name = $1", name, upto)
    return True
