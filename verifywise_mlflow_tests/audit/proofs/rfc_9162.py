"""The algorithms of RFC 9162 for the verification of inclusion and consistency, with which tests verify our paths."""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.audit.merkle import node_hash


def root_from_inclusion(leaf: bytes, position: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to (RFC 9162, 2.1.3.2); None if no tree of this size has such a path."""
    if not 0 <= position < size:
        return None
    node, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            return None
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return node if last == 0 else None


def is_consistent(former_size: int, former_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether a path proves that the later tree begins with the former tree's leaves (RFC 9162, 2.1.4.2)."""
    if not 0 < former_size <= size:
        return False
    if former_size == size:
        return not path and former_root == root
    hashes = iter(path)
    if former_size & (former_size - 1) == 0:
        first: bytes | None = former_root
    else:
        first = next(hashes, None)
    if first is None:
        return False
    position, last = former_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    former, later = first, first
    for sibling in hashes:
        if last == 0:
            return False
        if position & 1 or position == last:
            former, later = node_hash(sibling, former), node_hash(sibling, later)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            later = node_hash(later, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and former == former_root and later == root
