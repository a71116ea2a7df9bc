"""Merkle trees as in RFC 9162, section 2.1: hashes of leaves and nodes, and roots. ``leaf_tree`` has the paths.

A leaf's hash is SHA-256 of a zero byte and the leaf's text. A node's hash is SHA-256 of a one byte and the hashes of
its two children. So no leaf can pass for a node. The tree of n leaves splits at the largest power of two below n, so it
consists of full subtrees, one for each bit of n that is set. The roots of these subtrees are the *frontier*. The
frontier suffices to append leaves: no old leaf is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""
_LEAVES_PER_BATCH: Final = 4096
"""The number of leaves' hashes that are in memory at once."""


def leaf_hash(text: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + text).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The roots of a tree's full subtrees, from the left, and the number of its leaves: all that an append needs."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse a number of peaks that no tree of this size has.

        Raises:
            ValueError: there are more or fewer peaks than full subtrees.
        """
        if len(self.peaks) != (expected := max(self.size, 0).bit_count()):
            raise ValueError(f"a tree of {self.size} leaves has {expected} full subtrees, not {len(self.peaks)}")

    def append(self, leaf: bytes) -> None:
        """Append a leaf, given by its hash."""
        self._append_batch([leaf])

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """Append leaves, given by their hashes; return the frontier itself."""
        remaining = iter(leaves)
        while batch := list(islice(remaining, _LEAVES_PER_BATCH)):
            self._append_batch(batch)
        return self

    def _append_batch(self, nodes: list[bytes]) -> None:
        """Append leaves, level by level: a node without a sibling on its level is the root of a full subtree."""
        size, self.size = self.size, self.size + len(nodes)
        left_over = []
        while nodes:
            if size & 1:
                nodes.insert(0, self.peaks.pop())
            if len(nodes) & 1:
                left_over.append(nodes.pop())
            nodes = list(map(node_hash, nodes[::2], nodes[1::2]))
            size >>= 1
        self.peaks += reversed(left_over)

    def root(self) -> bytes:
        """Return the tree's root."""
        if not self.peaks:
            return EMPTY_ROOT
        *others, root = self.peaks
        for peak in reversed(others):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of a tree from the hashes of its leaves."""
    return Frontier().extend(leaves).root()
