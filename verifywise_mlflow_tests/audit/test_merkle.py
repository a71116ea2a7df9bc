"""Merkle trees agree with RFC 9162's definition, and a proof holds for nothing but what it was made for."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    is_consistent,
    leaf_hash,
    root_from_inclusion,
    root_of,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(40)]
OTHER = leaf_hash(b"other")


def defined_root(leaves: list[bytes]) -> bytes:
    """The recursive definition of section 2.1.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def test_a_leaf_and_a_node_have_prefixes_of_their_own() -> None:
    # The first test vector of certificate transparency's reference implementation, and the second tree of it.
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    two = root_of([leaf_hash(b""), leaf_hash(b"\x00")])
    assert two.hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


@pytest.mark.parametrize("size", range(len(LEAVES)))
def test_a_root_is_that_of_the_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == defined_root(LEAVES[:size])


def test_a_tree_without_leaves_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == defined_root([])


@given(st.integers(0, 40), st.integers(0, 40))
def test_appending_to_a_frontier_needs_no_old_leaf(first: int, size: int) -> None:
    frontier = Frontier().extend(LEAVES[:first])

    continued = Frontier(frontier.size, [*frontier.peaks]).extend(LEAVES[first:size])

    assert continued.root() == defined_root(LEAVES[: max(first, size)])


def test_a_frontier_with_too_few_peaks_is_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2 full subtrees, not 1"):
        Frontier(3, [OTHER])


@given(st.integers(1, 40), st.data())
def test_a_path_leads_to_the_root_from_its_own_leaf_alone(size: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, size - 1))
    leaves, root = LEAVES[:size], defined_root(LEAVES[:size])
    path = inclusion_path(leaves, position)

    assert root_from_inclusion(leaves[position], position, size, path) == root
    assert root_from_inclusion(OTHER, position, size, path) != root
    assert root_from_inclusion(leaves[position], position, size, [*path, OTHER]) is None
    assert root_from_inclusion(leaves[position], size, size, path) is None
    for place in range(len(path)):
        changed = [*path[:place], OTHER, *path[place + 1 :]]
        assert root_from_inclusion(leaves[position], position, size, changed) != root
        assert root_from_inclusion(leaves[position], position, size, path[:place]) != root


@given(st.integers(1, 40), st.data())
def test_a_consistency_path_proves_an_extension_alone(size: int, data: st.DataObject) -> None:
    former = data.draw(st.integers(1, size))
    root, former_root = defined_root(LEAVES[:size]), defined_root(LEAVES[:former])
    path = consistency_path(LEAVES[:size], former)

    assert is_consistent(former, former_root, size, root, path)
    assert not is_consistent(former, OTHER, size, root, path)
    assert not is_consistent(former, former_root, size, OTHER, path)
    assert not is_consistent(former, former_root, size, root, [*path, OTHER])
    assert not is_consistent(size + 1, former_root, size, root, path)
    if path:
        assert not is_consistent(former, former_root, size, root, path[:-1])
        rewritten = defined_root([OTHER, *LEAVES[1:size]])
        assert not is_consistent(former, former_root, size, rewritten, path)


def test_no_tree_extends_one_with_more_leaves() -> None:
    with pytest.raises(ValueError, match="a tree of 2 leaves extends none of 3"):
        consistency_path(LEAVES[:2], 3)
