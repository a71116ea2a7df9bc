"""Replays a version's evaluations: each logged evaluation must have exactly the verdicts and badge of the tables.

The log has one hash per evaluation. It covers the columns of the verdicts that began, the verdicts that stayed, and the
badge. So the verdicts in the tables are assigned to the logged evaluations with which they began and ended, and each
evaluation is composed again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredBadge, StoredVerdict
from verifywise_mlflow.persistence.state_contents import (
    CELL_SEPARATOR,
    VERDICT_COLUMNS,
    column_hash,
    evaluation_content,
)

OPEN_VERDICTS: Final = frozenset(("fail", "error", "not evidenced"))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation in the log, with its verdicts and its badge in the tables."""

    logged: LoggedState
    begun: Mapping[str, StoredVerdict]
    """The verdicts that began with the evaluation, by rule."""
    kept: Mapping[str, StoredVerdict]
    """The earlier verdicts that stayed in force, by rule."""
    badge: StoredBadge | None
    """The badge after the evaluation, new or unchanged; None if the tables have no badge."""

    def parts(self) -> Parts:
        """Return the content of the tables in the form that is hashed."""
        return Parts(
            {rule_id: verdict.cells for rule_id, verdict in self.begun.items()},
            {rule_id: verdict.fingerprint for rule_id, verdict in self.kept.items()},
            self.badge.badge if self.badge else "",
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """The hashed content of an evaluation."""

    verdicts: Mapping[str, tuple[str, ...]]
    """The cells of the verdicts that began, by rule."""
    kept: Mapping[str, str]
    badge: str

    def content(self) -> str:
        """Return the hash of the content."""
        columns = zip(*(self.verdicts[rule_id] for rule_id in sorted(self.verdicts)), strict=True)
        hashes = dict(zip(VERDICT_COLUMNS, map(_column_hash, columns), strict=True)) if self.verdicts else {}
        return content_hash(evaluation_content(hashes, self.kept, self.badge))


@lru_cache(maxsize=500)
def _column_hash(cells: tuple[str, ...]) -> str:
    """Return the hash of a column. It is cached: a search tries many contents that differ in one or two columns."""
    return column_hash(CELL_SEPARATOR.join(cells))


@dataclass(slots=True)
class Replay:
    """The mismatches between the evaluations in the log and the evaluations in the tables."""

    differing: list[Evaluation] = field(default_factory=list)
    """The evaluations that were logged with another content."""
    unlogged: list[StoredVerdict] = field(default_factory=list)
    """The verdicts that no logged evaluation began."""
    unlogged_badges: list[StoredBadge] = field(default_factory=list)
    doubled: list[StoredVerdict] = field(default_factory=list)
    """Verdicts of rules that already have a verdict in the same evaluation."""
    wrong_ends: list[StoredVerdict | StoredBadge] = field(default_factory=list)
    """Verdicts and badges whose end is not the time and sync of a logged evaluation."""
    wrong_open_since: list[tuple[StoredVerdict, datetime | None]] = field(default_factory=list)
    """Verdicts whose gap opened at a time other than the stored time, each with the time at which it opened."""


class Places:
    """Finds the evaluation in the log that began or ended a state.

    Usually the evaluation has the same time and sync as the state. If the clock went back, the trigger that saves
    former states gave the new state the time of the former state. The new state then has the time of the earlier
    evaluation and the sync of the later evaluation.
    """

    def __init__(self, logged: Sequence[LoggedState]) -> None:
        """Index the evaluations, which are in the order of the log."""
        self._exact = {(entry.written_at, entry.sync_id): place for place, entry in enumerate(logged)}
        self._moved: dict[tuple[datetime, str], int] = {}
        for place, entry in enumerate(logged):
            for earlier in logged[:place] if place and entry.written_at < logged[place - 1].written_at else ():
                if earlier.written_at > entry.written_at:
                    self._moved.setdefault((earlier.written_at, entry.sync_id), place)

    def of(self, at: datetime, sync_id: str) -> int | None:
        """Return the place of the evaluation; None if no evaluation in the log matches."""
        place = self._exact.get((at, sync_id))
        return self._moved.get((at, sync_id)) if place is None else place


def replay(
    logged: Sequence[LoggedState], verdicts: Sequence[StoredVerdict], badges: Sequence[StoredBadge]
) -> Replay | None:
    """Compose a version's evaluations again and return the mismatches; None without mismatches.

    Args:
        logged: The evaluations in the log, in their order.
        verdicts: The verdicts in the tables, in any order.
        badges: The badges in the tables, in any order.
    """
    result = Replay()
    place_of = Places(logged).of
    times = [entry.written_at for entry in logged]

    def end_of(state: StoredVerdict | StoredBadge) -> int:
        if state.ended_at is None:
            return len(logged)
        place = place_of(state.ended_at, state.ended_by or "")
        if place is None:
            result.wrong_ends.append(state)
            place = bisect_left(times, state.ended_at)
        return place

    begun: list[dict[str, StoredVerdict]] = [{} for _ in logged]
    ends: dict[tuple[int, str], int] = {}
    for verdict in verdicts:
        place = place_of(verdict.written_at, verdict.sync_id)
        if place is None:
            result.unlogged.append(verdict)
        elif verdict.rule_id in begun[place]:
            result.doubled.append(verdict)
        else:
            begun[place][verdict.rule_id] = verdict
            ends[place, verdict.rule_id] = end_of(verdict)
    badge_at: dict[int, tuple[StoredBadge, int]] = {}
    for state in badges:
        place = place_of(state.written_at, state.sync_id)
        if place is None or place in badge_at:
            result.unlogged_badges.append(state)
        else:
            badge_at[place] = state, end_of(state)

    active: dict[str, tuple[StoredVerdict, int]] = {}
    badge: tuple[StoredBadge, int] | None = None
    for place, entry in enumerate(logged):
        former, new = active, begun[place]
        active = {rule_id: state for rule_id, state in former.items() if state[1] > place}
        kept = {rule_id: verdict for rule_id, (verdict, _) in active.items() if rule_id not in new}
        badge = badge_at.get(place, badge if badge and badge[1] > place else None)
        evaluation = Evaluation(entry, new, kept, badge[0] if badge else None)
        if evaluation.parts().content() != entry.content:
            result.differing.append(evaluation)
        else:
            for rule_id, verdict in new.items():
                ended = former.get(rule_id)
                expected = _open_since(verdict, ended[0] if ended and ended[1] == place else None)
                if verdict.open_since != expected:
                    result.wrong_open_since.append((verdict, expected))
        active.update({rule_id: (verdict, ends[place, rule_id]) for rule_id, verdict in new.items()})
    is_consistent = not any(
        (
            result.differing,
            result.unlogged,
            result.unlogged_badges,
            result.doubled,
            result.wrong_ends,
            result.wrong_open_since,
        )
    )
    return None if is_consistent else result


def _open_since(verdict: StoredVerdict, former: StoredVerdict | None) -> datetime | None:
    """Return since when a gap must be open, by the rules of the trigger ``save_former_verdicts``."""
    before = former.open_since if former else None
    if verdict.verdict in OPEN_VERDICTS:
        return before or verdict.written_at
    return before if verdict.verdict == "not read" else None
