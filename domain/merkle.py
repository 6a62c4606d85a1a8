"""The Merkle tree of RFC 6962. Law: a leaf, once appended, is bound by every later root, and its place never changes.

A subtree is named by (level, index): it holds 2^level leaves from index · 2^level on. Only complete subtrees keep their
hash while the tree grows; the root of any size, and every hash of a proof, is made of those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
TILE_LEVELS = 8  # inner nodes of every eighth level are kept, so that a proof reads hundreds of hashes and not all
PATH_LENGTH_MAX = 63  # sizes fit 64 bits
EMPTY_ROOT = hashlib.sha256(b"").digest()

Range = tuple[int, int]
"""Leaves from the first one on, up to the second one exclusive."""

Subtree = tuple[int, int]
"""A complete subtree: level, index."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbouring subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree that keeps its frontier only: the roots of its complete subtrees, largest first."""

    def __init__(self, size: int = 0, frontier: bytes = b"") -> None:
        """Take a tree up again where its size and frontier left it.

        Raises: ValueError when they do not belong together.
        """
        if len(frontier) != HASH_BYTES * size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} subtrees in its frontier")
        self.size = size
        self._roots = [frontier[at : at + HASH_BYTES] for at in range(0, len(frontier), HASH_BYTES)]
        self._completed: list[tuple[int, int, bytes]] = []

    @property
    def frontier(self) -> bytes:
        """The roots of its complete subtrees, largest first."""
        return b"".join(self._roots)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one leaf."""
        node, before, level = leaf, self.size, 0
        while before & 1:
            node = hashlib.sha256(b"\x01" + self._roots.pop() + node).digest()
            before >>= 1
            level += 1
            if level % TILE_LEVELS == 0:
                self._completed.append((level, before, node))
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        return root_of(self._roots)

    def take_completed(self) -> list[tuple[int, int, bytes]]:
        """Return the nodes (level, index, hash) of kept levels that became complete since the last call."""
        completed, self._completed = self._completed, []
        return completed


def root_of(subtrees: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees, largest first."""
    if not subtrees:
        return EMPTY_ROOT
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a complete subtree from all the nodes of one of its levels."""
    assert hashes and len(hashes).bit_count() == 1, "a complete subtree has a power of two of nodes on each level"
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


# -------------------------------------------------------------------------------------------------------------- proofs


def subtrees_of(leaves: Range) -> list[Subtree]:
    """Return the complete subtrees that a range of a proof consists of, largest first."""
    first, end = leaves
    found = []
    while first < end:
        level = (end - first).bit_length() - 1
        found.append((level, first >> level))
        first += 1 << level
    return found


def inclusion_path(index: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove that a leaf stands in the tree of a size, in the order of the proof."""
    assert 0 <= index < size, "the leaf stands in the tree"
    path = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((first, middle))
            first = middle
    return path[::-1]


def consistency_path(smaller: int, larger: int) -> list[Range]:
    """Return the ranges whose roots prove that one tree grew out of another, in the order of the proof."""
    assert 0 < smaller <= larger, "the smaller tree is not empty"
    if smaller == larger:
        return []
    path = []
    first, end, is_whole = 0, larger, True
    while smaller != end:
        middle = first + _split(end - first)
        if smaller <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((first, middle))
            first, is_whole = middle, False
    return ([] if is_whole else [(first, end)]) + path[::-1]


def _split(size: int) -> int:
    """Return the largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a path leads from a leaf to the root of the tree of a size (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(path) > PATH_LENGTH_MAX:
        return False
    node, last, found = index, size - 1, leaf
    for other in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(other, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, other)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def proves_consistency(smaller: int, larger: int, path: Iterable[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Tell whether a path leads from the root of a smaller tree to that of a larger one (RFC 9162, 2.1.4.2)."""
    hashes = list(path)
    if not 0 < smaller <= larger or len(hashes) > PATH_LENGTH_MAX:
        return False
    if smaller == larger:
        return not hashes and old_root == new_root
    if smaller.bit_count() == 1:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    node, last = smaller - 1, larger - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, other)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root
