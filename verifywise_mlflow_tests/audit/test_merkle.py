"""Roots follow the definition of RFC 9162, and an append needs no old leaf."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of

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
