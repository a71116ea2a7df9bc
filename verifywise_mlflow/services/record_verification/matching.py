"""Matches the states in the log with the states in a table: each state must have exactly one counterpart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredState
from verifywise_mlflow.services.record_verification.report import FieldChange


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A logged state and a stored state that differ, or one of them without a counterpart, which is then None."""

    logged: LoggedState | None
    stored: StoredState | None

    @property
    def has_other_content(self) -> bool:
        """Whether both states exist, and the row's content differs from the logged content."""
        return bool(self.logged and self.stored and self.logged.content != self.stored.content)


_Signature = tuple[object, ...]
_PAIRINGS: Final[
    Sequence[tuple[Callable[[LoggedState], _Signature], Callable[[StoredState, str | None], _Signature]]]
] = (
    # Pairs are formed by all three parts first, then by fewer parts: a row is compared with the state that it resembles
    # most.
    (
        lambda logged: (logged.written_at, logged.sync_id, logged.content),
        lambda stored, sync_id: (stored.written_at, sync_id, stored.content),
    ),
    (lambda logged: (logged.written_at, logged.sync_id), lambda stored, sync_id: (stored.written_at, sync_id)),
    (lambda logged: (logged.written_at, logged.content), lambda stored, _: (stored.written_at, stored.content)),
    (lambda logged: (logged.sync_id, logged.content), lambda stored, sync_id: (sync_id, stored.content)),
    (lambda logged: (logged.written_at,), lambda stored, _: (stored.written_at,)),
    (lambda logged: (logged.content,), lambda stored, _: (stored.content,)),
)


def mismatches(logged: Sequence[LoggedState], stored: Sequence[StoredState]) -> Iterator[Mismatch]:
    """Yield the states that have no equal counterpart. A changed row is yielded together with its logged state.

    If a table does not state which sync wrote a row, its states must come from ``with_logged_syncs``.
    """
    if len(logged) == len(stored) == 1:  # most objects have one state
        ((entry,), (state,)) = logged, stored
        if (entry.written_at, entry.sync_id, entry.content) == (state.written_at, state.sync_id, state.content):
            return
    remaining_logged, remaining_stored = [*logged], [*stored]
    for step, (of_logged, of_stored) in enumerate(_PAIRINGS):
        if not remaining_logged or not remaining_stored:
            break
        by_signature: dict[_Signature, list[StoredState]] = defaultdict(list)
        for state in reversed(remaining_stored):
            by_signature[of_stored(state, state.sync_id)].append(state)
        unpaired = []
        for entry in remaining_logged:
            if candidates := by_signature.get(of_logged(entry)):
                counterpart = candidates.pop()
                if step:
                    yield Mismatch(entry, counterpart)
            else:
                unpaired.append(entry)
        remaining_logged = unpaired
        remaining_stored = [state for states in by_signature.values() for state in states]
    yield from (Mismatch(entry, None) for entry in remaining_logged)
    yield from (Mismatch(None, state) for state in remaining_stored)


def mismatches_with_history(logged: Sequence[LoggedState], stored: Sequence[StoredState], table: str) -> list[Mismatch]:
    """Return the mismatches of an object that has former states. The last state of the log must be the present row.

    If a clock went back, states have equal times. Then the present row and a former row could be exchanged, and each
    would still have its counterpart.

    Args:
        logged: The object's states in the log, in their order, with the times that the table has for them.
        stored: The object's present and former rows.
        table: The table of present rows.
    """
    present = next((state for state in stored if state.table == table), None)
    if present is not None and _key(present) in map(_key, logged[:-1]) and _key(present) != _key(logged[-1]):
        former = [state for state in stored if state is not present]
        return [Mismatch(logged[-1], present), *mismatches(logged[:-1], former)]
    return [*mismatches(logged, stored)]


def in_log_order(logged: Sequence[LoggedState], stored: Sequence[StoredState]) -> list[StoredState]:
    """Return the states of an object, without mismatches, in the order of the log.

    Of equal states, the one with the earlier end is first, and the present one is last.
    """
    by_key: dict[_Signature, list[StoredState]] = defaultdict(list)
    for state in sorted(stored, key=_end, reverse=True):
        by_key[_key(state)].append(state)
    return [by_key[_key(entry)].pop() for entry in logged]


def _key(state: LoggedState | StoredState) -> _Signature:
    return state.written_at, state.sync_id, state.content


def _end(state: StoredState) -> tuple[bool, datetime]:
    return state.ended_at is None, state.ended_at or state.written_at


def with_logged_syncs(logged: Sequence[LoggedState], stored: Sequence[StoredState]) -> list[StoredState]:
    """Return the states of a table without syncs, each with the sync that the log has for the state's time."""
    syncs = {entry.written_at: entry.sync_id for entry in logged}
    return [state._replace(sync_id=syncs.get(state.written_at)) for state in stored]


def with_moved_times(logged: Sequence[LoggedState]) -> list[LoggedState]:
    """Return the logged states of one object with the times that a table has for them.

    If the clock went back, the trigger that saves a former state begins the new state no earlier than the former state.
    """
    moved: list[LoggedState] = []
    for entry in logged:
        before = moved[-1].written_at if moved else entry.written_at
        moved.append(entry if entry.written_at >= before else entry._replace(written_at=before))
    return moved


def changed_times(mismatch: Mismatch, time_column: str, sync_column: str = "sync_id") -> list[FieldChange]:
    """Return how the time and the sync of a changed row differ from the log, which proves them; empty without a row."""
    logged, stored = mismatch.logged, mismatch.stored
    if logged is None or stored is None:
        return []
    changes = []
    if stored.written_at != logged.written_at:
        changes.append(_change(time_column, stored.written_at, logged.written_at))
    if stored.sync_id is not None and stored.sync_id != logged.sync_id:
        changes.append(_change(sync_column, stored.sync_id, logged.sync_id))
    return changes


def span_changes(states: Sequence[StoredState]) -> Iterator[tuple[StoredState, list[FieldChange]]]:
    """Yield, in order, the states of one object whose end differs in time or sync from the next beginning.

    The last state must have no end, since it is the present state.
    """
    for place, state in enumerate(states):
        following = states[place + 1] if place + 1 < len(states) else None
        expected = (following.written_at, following.sync_id) if following else (None, None)
        changes = []
        if state.ended_at != expected[0]:
            changes.append(_change("valid_to", state.ended_at, expected[0]))
        if state.ended_by != expected[1]:
            changes.append(_change("ended_by_sync_id", state.ended_by, expected[1]))
        if changes:
            yield state, changes


def _change(name: str, stored: datetime | str | None, written: datetime | str | None) -> FieldChange:
    return FieldChange(name, _text(stored), _text(written), is_proved=True)


def _text(value: datetime | str | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
