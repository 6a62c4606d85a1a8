"""Proofs read from the tree: hundreds of hashes, however large it is, since nodes of every eighth level are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.read import Reader
from domain import merkle
from domain.merkle import TILE_LEVELS, Range, Subtree
from domain.tickets import parse_ticket_id, ticket_id


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where a ticket stands in the tree of the newest checkpoint, and the path from its leaf to that root."""

    ticket_id: str
    leaf_index: int
    leaf_hash: bytes
    tree_size: int
    path: Sequence[bytes]
    checkpoint: str


async def inclusion(reader: Reader, wanted: str) -> Inclusion | None:
    """Return the proof of a ticket; None until it is sealed."""
    number = parse_ticket_id(wanted)
    if number is None:
        return None
    rows = await reader.sql(
        "SELECT l.leaf_index, l.leaf_hash, c.size, c.note FROM audit_leaves l"
        " CROSS JOIN (SELECT size, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1) AS c"
        " WHERE l.kind = 'ticket' AND l.year = :year AND l.number = :number AND l.leaf_index < c.size",
        year=number[0],
        number=number[1],
    )
    if not rows:
        return None
    row = rows[0]
    path = await roots_of(reader, merkle.inclusion_path(row["leaf_index"], row["size"]))
    return Inclusion(wanted, row["leaf_index"], row["leaf_hash"], row["size"], path, row["note"])


async def consistency(reader: Reader, smaller: int, larger: int) -> list[bytes]:
    """Return the proof that the tree of one size grew out of that of a smaller one."""
    return await roots_of(reader, merkle.consistency_path(smaller, larger))


async def sealed_at(reader: Reader, ticket_ids: Iterable[str]) -> dict[str, datetime]:
    """Return when the first checkpoint covered each ticket; one that is not sealed is missing."""
    numbers = [number for one in ticket_ids if (number := parse_ticket_id(one))]
    rows = await reader.sql(
        "SELECT l.year, l.number, c.created_at"
        " FROM unnest(CAST(:years AS integer[]), CAST(:numbers AS bigint[])) AS w(year, number)"
        " JOIN audit_leaves l ON l.kind = 'ticket' AND l.year = w.year AND l.number = w.number"
        " CROSS JOIN LATERAL (SELECT created_at FROM audit_checkpoints WHERE size > l.leaf_index"
        "                     ORDER BY size LIMIT 1) AS c",
        years=[year for year, _ in numbers],
        numbers=[number for _, number in numbers],
    )
    return {ticket_id(row["year"], row["number"]): row["created_at"] for row in rows}


async def roots_of(reader: Reader, ranges: Sequence[Range]) -> list[bytes]:
    """Return the root of each range of a proof."""
    subtrees = [merkle.subtrees_of(one) for one in ranges]
    kept = await _kept(reader, [one for parts in subtrees for one in parts])
    return [merkle.root_of([_root(kept, one) for one in parts]) for parts in subtrees]


async def _kept(reader: Reader, subtrees: Sequence[Subtree]) -> Mapping[int, Mapping[int, bytes]]:
    """Read the nodes that these subtrees are computed from, by kept level and index: two statements."""
    wanted: defaultdict[int, list[Range]] = defaultdict(list)
    for subtree in subtrees:
        level, *between = _span(subtree)
        wanted[level].append((between[0], between[1]))
    found: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
    if leaves := wanted.pop(0, None):
        for row in await reader.sql(
            "SELECT l.leaf_index, l.leaf_hash"
            " FROM unnest(CAST(:first AS bigint[]), CAST(:end AS bigint[])) AS r(lo, hi)"
            " JOIN audit_leaves l ON l.leaf_index >= r.lo AND l.leaf_index < r.hi",
            first=[first for first, _ in leaves],
            end=[end for _, end in leaves],
        ):
            found[0][row["leaf_index"]] = row["leaf_hash"]
    nodes = [(level, *one) for level, ranges in wanted.items() for one in ranges]
    if nodes:
        for row in await reader.sql(
            "SELECT n.level, n.node_index, n.hash FROM unnest(CAST(:levels AS integer[]), CAST(:first AS bigint[]),"
            " CAST(:end AS bigint[])) AS r(level, lo, hi)"
            " JOIN audit_nodes n ON n.level = r.level AND n.node_index >= r.lo AND n.node_index < r.hi",
            levels=[level for level, *_ in nodes],
            first=[first for _, first, _ in nodes],
            end=[end for *_, end in nodes],
        ):
            found[row["level"]][row["node_index"]] = row["hash"]
    return found


def _span(subtree: Subtree) -> tuple[int, int, int]:
    """Return the kept level below a subtree, and its nodes there: first, end."""
    level, index = subtree
    above = level % TILE_LEVELS
    return level - above, index << above, (index + 1) << above


def _root(kept: Mapping[int, Mapping[int, bytes]], subtree: Subtree) -> bytes:
    level, first, end = _span(subtree)
    return merkle.complete_root([kept[level][index] for index in range(first, end)])
