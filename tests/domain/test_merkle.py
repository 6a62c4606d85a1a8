"""The tree of RFC 6962: published roots, and all roots and proofs against the definitions, taken literally."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import merkle
from domain.merkle import Range, Tree, leaf_hash, node_hash

# The inputs and roots that implementations of Certificate Transparency share as test vectors.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    middle = largest_power_below(len(leaves))
    return node_hash(naive_root(leaves[:middle]), naive_root(leaves[middle:]))


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = largest_power_below(len(leaves))
    if index < middle:
        return [*naive_path(index, leaves[:middle]), naive_root(leaves[middle:])]
    return [*naive_path(index - middle, leaves[middle:]), naive_root(leaves[:middle])]


def naive_proof(smaller: int, leaves: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    if smaller == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    middle = largest_power_below(len(leaves))
    if smaller <= middle:
        return [*naive_proof(smaller, leaves[:middle], is_whole=is_whole), naive_root(leaves[middle:])]
    return [*naive_proof(smaller - middle, leaves[middle:], is_whole=False), naive_root(leaves[:middle])]


def largest_power_below(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree


def hashes_of(ranges: list[Range], leaves: list[bytes]) -> list[bytes]:
    """Compute a proof as the database does: from complete subtrees only."""
    found = []
    for one in ranges:
        subtrees = [
            merkle.complete_root(leaves[index << level : (index + 1) << level])
            for level, index in merkle.subtrees_of(one)
        ]
        found.append(merkle.root_of(subtrees))
    return found


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(index).encode()) for index in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    leaves = [leaf_hash(bytes.fromhex(one)) for one in INPUTS[:size]]
    assert grown(leaves).root().hex() == ROOTS[size]
    assert naive_root(leaves).hex() == ROOTS[size]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1_500), st.randoms(use_true_random=False))
def test_every_root_and_frontier_is_that_of_the_definition(size: int, rng: random.Random) -> None:
    leaves = some_leaves(size)
    cut = rng.randint(0, size)
    before = grown(leaves[:cut])
    again = Tree(before.size, before.frontier)
    assert again.root() == before.root() == naive_root(leaves[:cut])
    for leaf in leaves[cut:]:
        again.append(leaf)
    assert again.root() == naive_root(leaves)
    assert again.size == size


def test_the_nodes_that_are_kept_are_those_of_every_eighth_level() -> None:
    leaves = some_leaves(70_000)
    completed = grown(leaves).take_completed()
    assert [(level, index) for level, index, _ in completed if level == 8] == [(8, index) for index in range(273)]
    assert [(level, index) for level, index, _ in completed if level > 8] == [(16, 0)]
    kept = {(level, index): node for level, index, node in completed}
    assert kept[8, 7] == naive_root(leaves[7 * 256 : 8 * 256])
    assert kept[16, 0] == naive_root(leaves[:65_536])


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.randoms(use_true_random=False))
def test_inclusion_is_proved_for_the_right_leaf_only(size: int, rng: random.Random) -> None:
    leaves = some_leaves(size)
    root, index = naive_root(leaves), rng.randrange(size)
    path = hashes_of(merkle.inclusion_path(index, size), leaves)
    assert path == naive_path(index, leaves)
    assert merkle.proves_inclusion(leaves[index], index, size, path, root)
    assert not merkle.proves_inclusion(leaf_hash(b"x"), index, size, path, root)
    assert not merkle.proves_inclusion(leaves[index], index, size, path, leaf_hash(b"x"))
    assert not merkle.proves_inclusion(leaves[index], index, size, [*path, root], root)
    assert not merkle.proves_inclusion(leaves[index], size, size, path, root)
    for at in range(len(path)):
        assert not merkle.proves_inclusion(leaves[index], index, size, [*path[:at], *path[at + 1 :]], root)
        assert not merkle.proves_inclusion(leaves[index], index, size, [*path[:at], root, *path[at + 1 :]], root)
    if size > 1:
        other = (index + 1) % size
        assert not merkle.proves_inclusion(leaves[index], other, size, path, root)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.randoms(use_true_random=False))
def test_consistency_is_proved_for_a_tree_that_only_grew(size: int, rng: random.Random) -> None:
    leaves = some_leaves(size)
    smaller = rng.randint(1, size)
    old, new = naive_root(leaves[:smaller]), naive_root(leaves)
    path = hashes_of(merkle.consistency_path(smaller, size), leaves)
    assert path == naive_proof(smaller, leaves)
    assert merkle.proves_consistency(smaller, size, path, old, new)
    rewritten = naive_root([leaf_hash(b"x"), *leaves[1:]])
    assert not merkle.proves_consistency(smaller, size, path, rewritten if size > 1 else leaf_hash(b"x"), new)
    assert not merkle.proves_consistency(smaller, size, path, old, leaf_hash(b"y"))
    assert not merkle.proves_consistency(smaller, size, [*path, new], old, new)
    if path:
        assert not merkle.proves_consistency(smaller, size, path[:-1], old, new)


def test_nothing_is_consistent_with_an_empty_or_a_larger_tree() -> None:
    root = naive_root(some_leaves(3))
    assert not merkle.proves_consistency(0, 3, [], merkle.EMPTY_ROOT, root)
    assert not merkle.proves_consistency(4, 3, [], root, root)


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves"):
        Tree(3, grown(some_leaves(4)).frontier)
