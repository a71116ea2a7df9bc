"""Searches for the fields that were changed in a row. The log has only the hash of the row.

The search replaces present values by values that the row may have had, until the row has the logged hash. That proves
the field and the value. The possible values come from other witnesses: the objects that the row was made from, its
former and later states, the verdicts that read it, and the trail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, TypeVar

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.services.record_verification.report import FieldChange

Cells = Mapping[str, str | None]

MAX_TRIALS: Final = 5_000
"""The maximum number of combinations that are tried per row or evaluation."""
MAX_CHANGES: Final = 3
"""The maximum number of independent changes of one row that are tried together."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SearchLimit:
    """Limits the number of rows that one process searches, since an attacker may have changed all rows."""

    rows: int = 200
    _taken: list[None] = field(default_factory=list)

    def take(self) -> bool:
        """Return whether one more row may be searched."""
        if len(self._taken) >= self.rows:
            return False
        self._taken.append(None)
        return True


def changed_fields(stored: Cells, written: str, others: Iterable[Cells]) -> list[FieldChange]:
    """Return the fields whose values differ from the written values.

    If no tried combination has the written hash, return the fields that differ from the most credible content, without
    proof.

    Args:
        stored: The row's content.
        written: The hash of the written content.
        others: Contents that the row may have had, the most credible first: whole contents, or only some fields.
    """
    candidates = [{name: cell for name, cell in other.items() if name in stored} for other in others]
    for other in candidates:
        if content_hash({**stored, **other}) == written:
            return [
                FieldChange(name, stored[name], cell, is_proved=True)
                for name, cell in other.items()
                if cell != stored[name]
            ]
    options = dict.fromkeys(
        (name, cell) for other in candidates for name, cell in other.items() if cell != stored[name]
    )
    likely = candidates[0] if candidates else {}
    for name, cell in stored.items():
        for empty in (None, "{}", "[]") if cell is not None and cell[:1] in ("{", "[") else (None,):
            if cell != empty:
                options.setdefault((name, empty))
    found = combination_with(
        [*options], lambda chosen: content_hash({**stored, **dict(chosen)}) == written, _are_of_different_fields
    )
    if found:
        return [FieldChange(name, stored[name], cell, is_proved=True) for name, cell in found]
    return [FieldChange(name, stored[name], cell) for name, cell in likely.items() if cell != stored[name]]


def combination_with(
    options: Sequence[T], is_right: Callable[[Sequence[T]], bool], is_allowed: Callable[[Sequence[T]], bool]
) -> Sequence[T] | None:
    """Return the smallest combination that is right; None if it is not among the first ``MAX_TRIALS`` allowed ones.

    A combination has up to ``MAX_CHANGES`` options.
    """
    trials = 0
    for size in range(1, MAX_CHANGES + 1):
        for chosen in combinations(options, size):
            if not is_allowed(chosen):
                continue
            trials += 1
            if trials > MAX_TRIALS:
                return None
            if is_right(chosen):
                return chosen
    return None


def _are_of_different_fields(chosen: Sequence[tuple[str, str | None]]) -> bool:
    return len({name for name, _ in chosen}) == len(chosen)


def columns_of_others(rows: Iterable[Cells]) -> Iterator[Cells]:
    """Yield each field of other rows by itself: the changed row may have had the same value."""
    seen = set()
    for row in rows:
        for cell in row.items():
            if cell not in seen:
                seen.add(cell)
                yield dict([cell])
