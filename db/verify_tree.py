"""Verification of the tree: leaves against tickets, roots against signatures, checkpoints against the file outside.

One pass over the leaves in their order. At the size of each checkpoint, in the database or outside it, the root grown
so far must be the one that was signed: so all of them are consistent with each other, whoever wrote them.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import asyncpg

from db.evidence import Connection
from db.keys import verifies
from db.laws import Law
from db.witness import Line, Witness
from domain import notes, seals
from domain.merkle import Tree
from domain.notes import NotANote, PublicKey
from domain.tickets import instant, ticket_id

Say: TypeAlias = Callable[[str], None]

BATCH_ROWS = 5_000
SAY_ROWS = 100_000
OVERDUE_S = 60  # sixty times what the sealer takes
LEAF_TABLES = ("audit_leaves", "ticket_logs", "ticket_voids")

LEAVES = Law("leaves", "Each leaf of the tree is a ticket or a void as it stands, and is there once.", LEAF_TABLES, "")
CHECKPOINTS = Law(
    "checkpoints",
    "Each checkpoint follows the one before, is signed by the sealer's key and has the root of its leaves.",
    ("audit_checkpoints", "audit_nodes"),
    "",
)
OUTSIDE = Law(
    "outside",
    "Each checkpoint in the file outside the database is one of this tree.",
    ("audit_checkpoints",),
    "",
)
SEALED = Law(
    "sealed",
    "Each ticket and void that the sealer has passed, or that is older than a minute, is in the tree.",
    LEAF_TABLES,
    """
SELECT coalesce(x.ticket_id, 'TKT-' || x.year || '-' || lpad(x.number::text, greatest(6, length(x.number::text)), '0'))
           AS ticket, x.kind, x.since, x.is_passed AS was_passed_by_the_sealer
FROM (SELECT 'ticket' AS kind, year, number, ticket_id::text, "timestamp" AS since, txid < h.sealed_below AS is_passed
      FROM ticket_logs, audit_head h
      UNION ALL SELECT 'void', year, lo, NULL, created_at, txid < h.sealed_below FROM ticket_voids, audit_head h) AS x
LEFT JOIN audit_leaves l USING (kind, year, number)
WHERE l.leaf_index IS NULL AND EXISTS (SELECT FROM audit_checkpoints)
  AND (x.is_passed OR x.since < now() - make_interval(secs => {OVERDUE_S}))""".replace("{OVERDUE_S}", str(OVERDUE_S)),
)
LAWS = (LEAVES, CHECKPOINTS, OUTSIDE)

_LEAVES = """
SELECT l.leaf_index, l.kind, l.year, l.number, l.leaf_hash, t.ticket_id, t.digest, v.hi, v.lease_id, v.reason,
       v.created_at
FROM audit_leaves l
LEFT JOIN ticket_logs t ON l.kind = 'ticket' AND t.year = l.year AND t.number = l.number
LEFT JOIN ticket_voids v ON l.kind = 'void' AND v.year = l.year AND v.lo = l.number
WHERE l.leaf_index > $1 ORDER BY l.leaf_index LIMIT $2"""

_TWICE = """
SELECT kind, year, number, count(*) AS n, min(leaf_index) AS first, max(leaf_index) AS last FROM audit_leaves
GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 5 LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a verifier has beside the database: the sealer's public key, the checkpoints that it wrote, the archives."""

    key: PublicKey | None = None
    witness: Witness | None = None
    archive: Path | None = None

    @classmethod
    def at(cls, witness: Witness | None, key: PublicKey | None = None, archive: Path | None = None) -> Outside:
        """Take the checkpoints as they are before the database is looked at, and the key beside them if none is given.

        Raises: NotANote.
        """
        return cls(key or (witness.key() if witness else None), witness.as_of_now() if witness else None, archive)


@dataclass(slots=True)
class Findings:
    """What the pass found: the first break of each law, and how large the tree is."""

    breaks: dict[str, str] = field(default_factory=dict)
    size: int = 0
    key: PublicKey | None = None

    def add(self, law: Law, found: str) -> None:
        self.breaks.setdefault(law.name, found)


async def check_tree(connection: Connection, outside: Outside, say: Say) -> Findings:
    """Grow the tree from its leaves and hold everything against it."""
    findings = Findings()
    head = await connection.fetchrow("SELECT size, frontier, key FROM audit_head")
    if head is None:
        findings.add(CHECKPOINTS, "the row of audit_head is gone")
        return findings
    findings.key = _key(head["key"], outside, findings)
    tree = Tree()
    span = _Span()
    checkpoints = _Checkpoints(connection, findings)
    await checkpoints.step()
    lines = _Lines(outside.witness, findings)
    total = await connection.fetchval("SELECT count(*) FROM audit_leaves")
    async for row in _leaves(connection):
        if row["leaf_index"] != tree.size:
            findings.add(LEAVES, f"leaf {tree.size} is missing; the one before it is of {span.last or 'nothing'}")
            break
        span.take(row)
        if wrong := _differs(row):
            findings.add(LEAVES, wrong)
        tree.append(row["leaf_hash"])
        while tree.size == lines.size:
            lines.compare(tree, span, checkpoints.current)
        if tree.size == checkpoints.size:
            checkpoints.compare(tree, span)
            await checkpoints.step()
        if tree.size % SAY_ROWS == 0:
            say(f"        tree: {tree.size:,} of {total:,} leaves")
    findings.size = tree.size
    checkpoints.finish(tree, span)
    lines.finish(tree, span)
    if (head["size"], head["frontier"]) != (tree.size, tree.frontier):
        findings.add(CHECKPOINTS, f"the sealer stands at {head['size']:,} leaves; the tree has {tree.size:,}")
    await _check_nodes(connection, tree, findings)
    if twice := await connection.fetchrow(_TWICE):
        name = f"{twice['kind']} {ticket_id(twice['year'], twice['number'])}"
        findings.add(LEAVES, f"{name} is in the tree {twice['n']} times, at leaf {twice['first']} and {twice['last']}")
    return findings


def _key(named: str | None, outside: Outside, findings: Findings) -> PublicKey | None:
    """Return the key that signatures are held against: the one from outside, else the one that the database names."""
    try:
        stored = PublicKey.parse(named) if named else None
    except NotANote as error:
        findings.add(CHECKPOINTS, f"the key that the row of audit_head names is none: {error}")
        stored = None
    if outside.key and stored and stored != outside.key:
        findings.add(CHECKPOINTS, f"the database says that {stored} seals; the key outside is {outside.key}")
    return outside.key or stored


async def _leaves(connection: Connection) -> AsyncIterator[asyncpg.Record]:
    after = -1
    while rows := await connection.fetch(_LEAVES, after, BATCH_ROWS):
        for row in rows:
            yield row
        after = rows[-1]["leaf_index"]


def _differs(row: asyncpg.Record) -> str | None:
    """Return how a leaf differs from what it stands for."""
    name = f"{row['kind']} {ticket_id(row['year'], row['number'])}"
    if row["kind"] == "ticket" and row["ticket_id"] is not None:
        expected = seals.ticket_leaf(row["ticket_id"], row["digest"])
    elif row["kind"] == "void" and row["hi"] is not None:
        expected = seals.void_leaf(
            row["year"], row["number"], row["hi"], row["lease_id"], row["reason"], row["created_at"]
        )
    else:
        return f"{name} was sealed as leaf {row['leaf_index']} and is gone"
    if expected != row["leaf_hash"]:
        return f"{name}: its leaf {row['leaf_index']} is {row['leaf_hash'].hex()}; its rows give {expected.hex()}"
    return None


class _Span:
    """The tickets since the last root that was right: where a wrong one is to be looked for."""

    def __init__(self) -> None:
        self.first: str | None = None
        self.last: str | None = None

    def take(self, row: asyncpg.Record) -> None:
        if self.first is None:
            self.first = f"{row['kind']} {ticket_id(row['year'], row['number'])}"
        self.last = f"{row['kind']} {ticket_id(row['year'], row['number'])}"

    def __str__(self) -> str:
        return f"between {self.first} and {self.last}"


class _Checkpoints:
    """The checkpoints of the database, read along with the leaves."""

    def __init__(self, connection: Connection, findings: Findings) -> None:
        self._rows = _checkpoint_rows(connection)
        self._findings = findings
        self._previous: str | None = None
        self.current: asyncpg.Record | None = None

    @property
    def size(self) -> int:
        return self.current["size"] if self.current else -1

    async def step(self) -> None:
        if self.current:
            self._previous = self.current["note"]
        self.current = await anext(self._rows, None)

    def compare(self, tree: Tree, span: _Span) -> None:
        """Hold the checkpoint of this size against the tree."""
        row = self.current
        assert row is not None
        if wrong := _wrong_note(row["note"], row["size"], row["root"], self._findings.key):
            self._findings.add(CHECKPOINTS, f"checkpoint of {row['size']:,} leaves, {span}: {wrong}")
        chained = hashlib.sha256(self._previous.encode()).digest() if self._previous else None
        if row["previous_note_sha256"] != chained:
            self._findings.add(CHECKPOINTS, f"checkpoint of {row['size']:,} leaves, {span}: it follows another one")
        if row["root"] != tree.root():
            self._findings.add(
                CHECKPOINTS,
                f"checkpoint of {row['size']:,} leaves, {span}: the root that was signed is {row['root'].hex()};"
                f" the leaves give {tree.root().hex()}",
            )
        span.first = None

    def finish(self, tree: Tree, span: _Span) -> None:
        """Look what the leaves did not reach, and what no checkpoint covers."""
        if self.current:
            self._findings.add(
                CHECKPOINTS, f"there is one of {self.size:,} leaves; the tree ends with {tree.size:,}, {span.last}"
            )
        elif span.first is not None:
            self._findings.add(CHECKPOINTS, f"no checkpoint covers the leaves {span}")


async def _checkpoint_rows(connection: Connection) -> AsyncIterator[asyncpg.Record]:
    size = -1
    while rows := await connection.fetch(
        "SELECT * FROM audit_checkpoints WHERE size > $1 ORDER BY size LIMIT $2", size, BATCH_ROWS
    ):
        for row in rows:
            yield row
        size = rows[-1]["size"]


def _wrong_note(text: str, size: int, root: bytes, key: PublicKey | None) -> str | None:
    """Return what is wrong with a signed note, in words."""
    try:
        note = notes.parse(text)
        checkpoint = note.checkpoint
    except NotANote as error:
        return str(error)
    if (checkpoint.size, checkpoint.root) != (size, root):
        return f"its note says {checkpoint.size:,} leaves of root {checkpoint.root.hex()}"
    if key is None or checkpoint.origin != key.name or not note.is_signed_by(key, verifies):
        return f"its note is not signed by {key or 'any key known here'}"
    return None


class _Lines:
    """The checkpoints outside, read along with the leaves."""

    def __init__(self, witness: Witness | None, findings: Findings) -> None:
        self._lines: Iterator[Line] = witness.lines() if witness else iter(())
        self._findings = findings
        self._line: Line | None = None
        self.size = 0
        self._step()

    def _step(self) -> None:
        """Go to the next line whose checkpoint comes later."""
        for line in self._lines:
            if line.checkpoint is None:
                self._findings.add(OUTSIDE, f"{line.place} holds no checkpoint")
            elif line.checkpoint.size <= self.size:
                self._findings.add(
                    OUTSIDE, f"{line.place} is of {line.checkpoint.size:,} leaves, after one of {self.size:,}"
                )
            else:
                self._line, self.size = line, line.checkpoint.size
                return
        self._line, self.size = None, -1

    def compare(self, tree: Tree, span: _Span, stored: asyncpg.Record | None) -> None:
        """Hold the line of this size against the tree; its signature was seen where the database has the same note."""
        line = self._line
        assert line is not None and line.checkpoint is not None and line.note is not None
        where = f"{line.place}, {line.checkpoint.size:,} leaves"
        if line.checkpoint.root != tree.root():
            self._findings.add(
                OUTSIDE,
                f"{where}, {span}: its root is {line.checkpoint.root.hex()}; the leaves give {tree.root().hex()}",
            )
        if stored is None or stored["size"] != line.checkpoint.size or stored["note"] != line.note:
            self._findings.add(OUTSIDE, f"{where}, {span}: the database has no such checkpoint")
            if wrong := _wrong_note(line.note, line.checkpoint.size, line.checkpoint.root, self._findings.key):
                self._findings.add(OUTSIDE, f"{where}, {span}: {wrong}")
        elif instant(stored["created_at"]) != line.at:
            self._findings.add(
                OUTSIDE, f"{where}, {span}: it was made at {line.at}; the database says {instant(stored['created_at'])}"
            )
        self._step()

    def finish(self, tree: Tree, span: _Span) -> None:
        """Look what the leaves did not reach."""
        if self._line:
            self._findings.add(
                OUTSIDE,
                f"{self._line.place} knows a tree of {self.size:,} leaves; here it ends with {tree.size:,}"
                f" ({span.last or 'none'}): later tickets were cut off, or an old backup was restored",
            )
            for line in self._lines:  # the rest is read all the same: it may hold what is no checkpoint
                if line.checkpoint is None:
                    self._findings.add(OUTSIDE, f"{line.place} holds no checkpoint")


async def _check_nodes(connection: Connection, tree: Tree, findings: Findings) -> None:
    """Hold the inner nodes that proofs are read from against the ones that the leaves gave."""
    expected = {(level, index): node for level, index, node in tree.take_completed()}
    for row in await connection.fetch("SELECT level, node_index, hash FROM audit_nodes ORDER BY 1, 2"):
        if expected.pop((row["level"], row["node_index"]), None) != row["hash"]:
            findings.add(CHECKPOINTS, f"node {row['node_index']} of level {row['level']} is not that of its leaves")
    for level, index in expected:
        findings.add(CHECKPOINTS, f"node {index} of level {level} is missing")
