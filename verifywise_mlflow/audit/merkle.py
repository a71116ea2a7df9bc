"""Merkle trees as in RFC 9162, section 2.1: roots, and proofs of inclusion and of consistency.

A leaf's hash is SHA-256 of a zero byte and its text, a node's is SHA-256 of a one byte and its two children, so that no
leaf can pass for a node. The tree of n leaves splits at the largest power of two below n. So it is made of full
subtrees, one for each bit of n, and their roots, the *frontier*, suffice to append leaves: no old leaf is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""


def leaf_hash(text: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + text).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The roots of a tree's full subtrees, from the left, with the number of its leaves: what an append needs."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse peaks that no tree of this size has."""
        if len(self.peaks) != (expected := max(self.size, 0).bit_count()):
            raise ValueError(f"a tree of {self.size} leaves has {expected} full subtrees, not {len(self.peaks)}")

    def append(self, leaf: bytes) -> None:
        """Append a leaf, given by its hash."""
        size = self.size
        while size & 1:  # each full subtree at the right edge merges with one of equal size
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """Append leaves, given by their hashes; return itself."""
        for leaf in leaves:
            self.append(leaf)
        return self

    def root(self) -> bytes:
        """Return the tree's root."""
        if not self.peaks:
            return EMPTY_ROOT
        *others, root = self.peaks
        for peak in reversed(others):
            root = node_hash(peak, root)
        return root

    def copy(self) -> Frontier:
        """Return another one with the same content."""
        return Frontier(self.size, [*self.peaks])


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of a tree, whose leaves are given by their hashes."""
    return Frontier().extend(leaves).root()


def inclusion_path(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root, from the bottom up (RFC 9162, 2.1.3.1)."""
    path: list[bytes] = []
    level = [*leaves]
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = [*_parents(level)]
        position >>= 1
    return path


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


def consistency_path(leaves: Sequence[bytes], former_size: int) -> list[bytes]:
    """Return the hashes that prove that a tree extends that of its first leaves (RFC 9162, 2.1.4.1).

    Args:
        leaves: The hashes of the later tree's leaves.
        former_size: The number of leaves of the former tree, from 1 to that of the later one.
    """
    if not 0 < former_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} leaves extends none of {former_size}")
    return _subproof(leaves, former_size, is_whole=True)


def is_consistent(former_size: int, former_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether a path proves that the later tree begins with the former one's leaves (RFC 9162, 2.1.4.2)."""
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


def _parents(level: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the hashes of the next level: a node without a sibling moves up as it is."""
    for place in range(0, len(level) - 1, 2):
        yield node_hash(level[place], level[place + 1])
    if len(level) & 1:
        yield level[-1]


def _subproof(leaves: Sequence[bytes], former_size: int, *, is_whole: bool) -> list[bytes]:
    size = len(leaves)
    if former_size == size:
        return [] if is_whole else [root_of(leaves)]
    split = 1 << ((size - 1).bit_length() - 1)
    if former_size <= split:
        return [*_subproof(leaves[:split], former_size, is_whole=is_whole), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], former_size - split, is_whole=False), root_of(leaves[:split])]
