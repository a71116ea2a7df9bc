"""Paths of trees with all their nodes are verified by the algorithms of RFC 9162, and lead to no other root."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.audit.leaf_tree import LeafTree
from verifywise_mlflow.audit.merkle import leaf_hash, node_hash, root_of
from verifywise_mlflow_tests.audit.proofs.rfc_9162 import is_consistent, root_from_inclusion

LEAVES = [leaf_hash(str(number).encode()) for number in range(300)]
sizes = st.integers(1, len(LEAVES))


@st.composite
def positions(draw: st.DrawFn) -> tuple[int, int]:
    """Draw a position and the size of a tree that has it."""
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


def climb(node: bytes, path: Iterable[str]) -> bytes:
    """Return the root that a path leads to, as a verifier does."""
    for step in path:
        side, neighbor = step.split(" ")
        pair = (bytes.fromhex(neighbor), node)
        node = node_hash(*{"left": pair, "right": pair[::-1]}[side])
    return node


def hashes(path: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(step.split(" ")[1]) for step in path]


@given(positions())
def test_a_path_leads_to_the_root_and_has_the_hashes_of_rfc_9162(drawn: tuple[int, int]) -> None:
    position, size = drawn
    tree = LeafTree(LEAVES[:size])

    path = tree.path(position)

    assert climb(LEAVES[position], path) == tree.root == root_of(LEAVES[:size])
    assert root_from_inclusion(LEAVES[position], position, size, hashes(path)) == tree.root


@given(positions())
def test_growth_leads_to_both_roots_and_has_the_hashes_of_rfc_9162(drawn: tuple[int, int]) -> None:
    last, size = drawn
    former_size = last + 1
    tree = LeafTree(LEAVES[:size])

    growth = tree.growth_since(former_size)

    node, former_path = bytes.fromhex(growth.node), [step for step in growth.path if step.startswith("left")]
    assert climb(node, former_path) == root_of(LEAVES[:former_size])
    assert climb(node, growth.path) == tree.root
    # RFC 9162 leaves the first hash out where it is the former root.
    is_full = former_size & (former_size - 1) == 0 or former_size == size
    path = [*([] if is_full else [node]), *hashes(growth.path)]
    assert is_consistent(former_size, root_of(LEAVES[:former_size]), size, tree.root, path)
    assert not is_consistent(former_size, root_of(LEAVES[1 : former_size + 1]), size, tree.root, path)


@given(positions(), st.integers(0, 8))
def test_no_other_leaf_and_no_other_side_leads_to_the_root(drawn: tuple[int, int], step: int) -> None:
    position, size = drawn
    tree = LeafTree(LEAVES[:size])
    path = tree.path(position)

    assert climb(hashlib.sha256(LEAVES[position]).digest(), path) != tree.root
    if step < len(path):
        side, neighbor = path[step].split(" ")
        flipped = f"{'right' if side == 'left' else 'left'} {neighbor}"
        assert climb(LEAVES[position], (*path[:step], flipped, *path[step + 1 :])) != tree.root


def test_what_is_not_in_the_tree_has_no_path() -> None:
    tree = LeafTree(LEAVES[:5])

    for wrong in (-1, 5):
        with pytest.raises(IndexError, match="a tree of 5 leaves"):
            tree.path(wrong)
    for wrong in (0, 6):
        with pytest.raises(IndexError, match="a tree of 5 leaves"):
            tree.growth_since(wrong)


def test_a_tree_without_leaves_has_the_root_of_rfc_9162() -> None:
    assert LeafTree([]).root == hashlib.sha256().digest()
