"""A Merkle tree with all nodes in memory, for inclusion proofs of its leaves and consistency proofs with a former tree.

``merkle.Frontier`` computes only a root, from one hash for each level of the tree. This tree takes about 64 bytes and a
microsecond for each leaf. After that, each path costs little.

A step of a path is a sibling's side and its hash in hex: ``left 5feceb66…``. RFC 9162 leaves the side out, since it
follows from the leaf's position and the tree's size. A verifier of these paths needs neither number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from verifywise_mlflow.audit.merkle import EMPTY_ROOT

_BYTES: Final = 32
"""The number of bytes of a hash."""

Path = tuple[str, ...]
"""Steps upwards to the root, from a leaf or another node."""


class Growth(NamedTuple):
    """A consistency proof: it shows that a tree begins with the leaves of a former tree (RFC 9162, section 2.1.4).

    The steps with the side ``left`` lead from the node to the former root. All steps lead to the later root: the
    siblings on the right were added.
    """

    node: str
    """The hash, in hex, of the largest subtree at the former tree's right edge that both trees have."""
    path: Path


class LeafTree:
    """The nodes of a tree."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        """Compute all nodes from the hashes of the leaves."""
        self._levels = [b"".join(leaves)]
        while len(self._levels[-1]) > _BYTES:
            self._levels.append(_parents(self._levels[-1]))

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0]) // _BYTES

    @property
    def root(self) -> bytes:
        """The root."""
        return self._levels[-1] or EMPTY_ROOT

    def path(self, position: int) -> Path:
        """Return the path from a leaf.

        Raises:
            IndexError: the tree has no leaf at this position.
        """
        if not 0 <= position < self.size:
            raise IndexError(f"a tree of {self.size} leaves has none at {position}")
        return tuple(self._path(0, position))

    def growth_since(self, former_size: int) -> Growth:
        """Return the proof that the tree extends the tree of its first ``former_size`` leaves.

        Args:
            former_size: the number of leaves of the former tree.

        Raises:
            IndexError: the former size is not between 1 and the tree's size.
        """
        if not 0 < former_size <= self.size:
            raise IndexError(f"a tree of {self.size} leaves has not grown from {former_size}")
        if former_size == self.size:
            return Growth(self.root.hex(), ())
        level = (former_size & -former_size).bit_length() - 1  # the height of the last full subtree of the former tree
        position = (former_size >> level) - 1
        return Growth(self._node(level, position).hex(), tuple(self._path(level, position)))

    def _path(self, level: int, position: int) -> Iterator[str]:
        for nodes in self._levels[level:-1]:
            sibling = position ^ 1
            if _BYTES * sibling < len(nodes):  # otherwise the node has no sibling and moves up unchanged
                node = nodes[_BYTES * sibling : _BYTES * (sibling + 1)].hex()
                yield f"left {node}" if position & 1 else f"right {node}"
            position >>= 1

    def _node(self, level: int, position: int) -> bytes:
        return self._levels[level][_BYTES * position : _BYTES * (position + 1)]


def _parents(nodes: bytes) -> bytes:
    """Return the next level. The hashes of two siblings are adjacent, so one slice has the bytes to hash."""
    paired = len(nodes) - len(nodes) % (2 * _BYTES)
    parents = [sha256(b"\x01" + nodes[place : place + 2 * _BYTES]).digest() for place in range(0, paired, 2 * _BYTES)]
    return b"".join([*parents, nodes[paired:]])
