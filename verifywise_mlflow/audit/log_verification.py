"""Verifies a log of states against the trail's commitments, and reports the damage.

The leaves are read one by one. At most ``PROGRESS_INTERVAL`` hashes of leaves are in memory.

Each leaf's stored hash is compared with its text, and the roots are computed from the stored hashes. If a root differs
from the committed root, the commitment's stored frontier shows which part of the tree differs, provided that the
frontier has the committed root. The verification then continues from that frontier, so that each commitment is verified
by itself. Without such a frontier, roots are compared again only after the next commitment with such a frontier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from verifywise_mlflow.audit.accepted_states import AcceptedRange, accepting_entry
from verifywise_mlflow.audit.merkle import Frontier, leaf_hash
from verifywise_mlflow.audit.state_leaf import State, leaf_text

LogDamageKind = Literal["changed leaf", "missing leaves", "root", "size", "frontier", "sync", "acceptance"]

PROGRESS_INTERVAL: Final = 10_000
"""Leaves between two calls of ``on_progress``."""


class Leaf(NamedTuple):
    """A row of the log."""

    position: int
    state: State
    stored_hash: bytes


@dataclass(frozen=True, slots=True)
class Commitment:
    """The statement of an entry of the trail about the log, and what the database stores about this entry."""

    sequence: int
    """The entry's number."""
    sync_id: str
    size: int
    root: str | None
    """The committed root, in hex; None if the entry lacks it."""
    models: int | None
    current: str | None
    syncs: Sequence[str] = ()
    """The other syncs whose states the entry commits."""
    frontier: Sequence[bytes] | None = None
    """The frontier to which the database appends the next leaves; None if it has no row for this entry."""
    accepted: Sequence[AcceptedRange] = ()
    """The states that a person accepted, up to and including this commitment."""
    is_acceptance: bool = False
    """Whether a person accepts states by the entry."""

    def verified_frontier(self) -> Frontier | None:
        """Return the frontier if it has the committed root, otherwise None."""
        if self.frontier is None:
            return None
        try:
            frontier = Frontier(self.size, [*self.frontier])
        except ValueError:
            return None
        return frontier if frontier.root().hex() == self.root else None


@dataclass(frozen=True, slots=True)
class LogDamage:
    """A part of the log that is not as it was committed."""

    kind: LogDamageKind
    first: int
    """The first position that may be damaged."""
    last: int
    sentence: str
    sequence: int | None = None
    """The entry that commits this part."""


@dataclass(slots=True)
class LogReport:
    """The result of a verification."""

    damages: list[LogDamage] = field(default_factory=list)
    leaves: int = 0
    committed: int = 0
    """The number of states that a commitment covers."""
    last: Commitment | None = None
    commitments: int = 0


def _ignore_progress(done: int) -> None:
    """Discard progress reports."""


def verify_log(
    tenant_id: str,
    leaves: Iterable[Leaf],
    commitments: Iterable[Commitment],
    on_progress: Callable[[int], None] = _ignore_progress,
) -> LogReport:
    """Recompute the leaves and roots of a log, and report what differs from the commitments.

    Args:
        tenant_id: The tenant, as in the leaves.
        leaves: The rows, in the order of their positions.
        commitments: The trail's commitments since the last erasure, in the order of the entries.
        on_progress: Receives the number of leaves read.
    """
    walk = _Walk(tenant_id, iter(leaves), on_progress)
    for commitment in commitments:
        walk.to(commitment)
    walk.to_end()
    return walk.report


@dataclass(slots=True)
class _Walk:
    tenant_id: str
    leaves: Iterator[Leaf]
    on_progress: Callable[[int], None]
    report: LogReport = field(default_factory=LogReport)
    _frontier: Frontier | None = field(default_factory=Frontier)
    """The frontier of the leaves so far; None after damage, up to the next commitment with a verified frontier."""
    _unappended: list[bytes] = field(default_factory=list)
    """Leaves that the frontier does not have yet: appending many at once takes half of the time."""
    _position: int = 0
    """The position of the next leaf."""
    _compared: int = 0
    """The size of the log in the last commitment that has a root."""
    _ahead: Leaf | None = None

    def to(self, commitment: Commitment) -> None:
        """Read the leaves up to the end of a commitment, and compare its root."""
        report, last = self.report, self.report.last
        start = last.size if last else 0
        report.commitments += 1
        if commitment.size <= start:
            sentence = (
                f"entry {commitment.sequence:,} commits {commitment.size:,} states, and an entry before it {start:,}"
            )
            report.damages.append(LogDamage("size", commitment.size, start, sentence, commitment.sequence))
            return
        self._compare_accepted(commitment, last.accepted if last else ())
        before = len(report.damages)
        syncs = self._read_until(commitment.size, commitment.accepted)
        report.last, report.committed = commitment, commitment.size
        if unknown := syncs - {"", commitment.sync_id, *commitment.syncs}:  # the empty sync ID stands for commands
            sentence = (
                f"entry {commitment.sequence:,} does not commit states of the sync {min(unknown)!r}, which the log has"
            )
            report.damages.append(LogDamage("sync", start, commitment.size - 1, sentence, commitment.sequence))
        if commitment.root is None:  # nothing to compare: the next root covers these leaves, too
            return
        compared, self._compared = self._compared, commitment.size
        continued = commitment.verified_frontier()
        if continued is None:
            sentence = f"what the database continues from is not what entry {commitment.sequence:,} commits"
            report.damages.append(LogDamage("frontier", start, commitment.size - 1, sentence, commitment.sequence))
        frontier, self._frontier = self._frontier, continued
        if frontier is None:
            return  # missing leaves were reported
        if frontier.root().hex() == commitment.root:
            self._frontier = frontier
        elif len(report.damages) == before or continued is None:
            self._report_root(commitment, compared, frontier, continued)

    def _compare_accepted(self, commitment: Commitment, former: Sequence[AcceptedRange]) -> None:
        """Report a commitment that omits earlier accepted states, or a sync's commitment that accepts states."""
        named, added = commitment.accepted[: len(former)], commitment.accepted[len(former) :]
        is_own = all(commitment.is_acceptance and part.entry == commitment.sequence for part in added)
        if [*named] == [*former] and is_own:
            return
        sentence = (
            f"entry {commitment.sequence:,} names other states as accepted by a person than the entries before it"
        )
        parts = (*former, *commitment.accepted)
        first, last = min(part.first for part in parts), max(part.last for part in parts)
        self.report.damages.append(LogDamage("acceptance", first, last, sentence, commitment.sequence))

    def _report_root(self, commitment: Commitment, start: int, frontier: Frontier, continued: Frontier | None) -> None:
        first, last = start, commitment.size - 1
        if continued is not None and frontier.size == continued.size:
            first, last = _differing_range(frontier, continued, start)
        sentence = (
            f"states {first:,} to {last:,} of the log are not those that entry {commitment.sequence:,} commits: at "
            "least one of them was changed together with its hash"
        )
        self.report.damages.append(LogDamage("root", first, last, sentence, commitment.sequence))

    def to_end(self) -> None:
        """Read the leaves that no commitment covers."""
        self._read_until(None)

    def _read_until(self, size: int | None, accepted: Sequence[AcceptedRange] = ()) -> set[str]:
        """Read the leaves before a position; return the syncs that wrote them, except for accepted states."""
        syncs: set[str] = set()
        sync_id: str | None = None
        while (leaf := self._ahead or next(self.leaves, None)) is not None:
            if size is not None and leaf.position >= size:
                self._ahead = leaf
                break
            self._ahead = None
            if leaf.position != self._position:
                self._report_gap(leaf.position)
            self._position = leaf.position + 1
            if leaf.state.sync_id != sync_id and accepting_entry(accepted, leaf.position) is None:
                sync_id = leaf.state.sync_id
                syncs.add(sync_id)
            self._append(leaf)
        if size is not None and self._position < size:
            self._report_gap(size)
            self._position = size
        self._append_to_frontier()
        return syncs

    def _append(self, leaf: Leaf) -> None:
        computed = leaf_hash(leaf_text(self.tenant_id, leaf.position, leaf.state).encode())
        if computed != leaf.stored_hash:
            sentence = f"state {leaf.position:,} of the log does not have the hash that is stored with it"
            self.report.damages.append(LogDamage("changed leaf", leaf.position, leaf.position, sentence))
        self._unappended.append(leaf.stored_hash)
        self.report.leaves += 1
        if self.report.leaves % PROGRESS_INTERVAL == 0:
            self._append_to_frontier()
            self.on_progress(self.report.leaves)

    def _append_to_frontier(self) -> None:
        if self._frontier is not None:
            self._frontier.extend(self._unappended)
        self._unappended.clear()

    def _report_gap(self, position: int) -> None:
        first, last = self._position, position - 1
        sentence = f"states {first:,} to {last:,} of the log are missing"
        self.report.damages.append(LogDamage("missing leaves", first, last, sentence))
        self._frontier = None


def _differing_range(frontier: Frontier, committed: Frontier, start: int) -> tuple[int, int]:
    """Return the first and last position of the first differing full subtree from ``start`` on, or of all leaves."""
    first = 0
    for place, peak in enumerate(committed.peaks):
        size = 1 << [bit for bit in range(committed.size.bit_length() - 1, -1, -1) if committed.size >> bit & 1][place]
        if frontier.peaks[place] != peak:
            return max(first, start), first + size - 1
        first += size
    return start, committed.size - 1
