"""The history of a version as one list: lifecycle events, and changes of its record, verdicts, badge and waivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Literal, TypeAlias

from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, VerdictState
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.repositories import lifecycle_events, waivers
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession

ChangeKind: TypeAlias = Literal["event", "record", "verdict", "badge", "waiver"]


@dataclass(frozen=True, slots=True)
class HistoryChange:
    """One change in the history of a version."""

    at: datetime
    """When a sync saw it; of a waiver, when it was granted or ended."""
    kind: ChangeKind
    subject: str
    """The field of the record, the rule, the kind of the event, or ``badge``."""
    before: object
    """None if there was no value."""
    after: object
    reason: str | None
    """Of a verdict and a waiver, why; of an event, a sentence."""
    sync_id: str
    """Empty if no sync made the change."""


def version_history(session: TenantSession, key: Key, now: datetime) -> list[HistoryChange]:
    """Return the history of a version, oldest first; empty if the version was never recorded.

    Args:
        session: The tenant's transaction.
        key: The version's model name and number.
        now: The current time: a waiver has ended once its last day is over.
    """
    verdicts = history.verdict_states_of(session, key)
    changes = [
        *_event_changes(lifecycle_events.lifecycle_events_of(session, *key)),
        *_record_changes(history.record_states_of(session, key)),
        *_verdict_changes(verdicts),
        *_badge_changes(history.badge_states_of(session, key)),
        *_waiver_changes(waivers.all_waivers(session), key, {state.rule_id for state in verdicts}, now),
    ]
    return sorted(changes, key=lambda change: change.at)  # stable: changes of the same time keep the order above


def _event_changes(events: Iterable[RecordedEvent]) -> Iterator[HistoryChange]:
    for recorded in events:
        event = recorded.event
        yield HistoryChange(
            recorded.seen_at, "event", str(event.kind), event.previous, event.value, event.sentence, recorded.sync_id
        )


def _record_changes(states: Sequence[RecordState]) -> Iterator[HistoryChange]:
    for before, after in pairwise([None, *states]):
        assert after is not None  # only the first state is None
        for change in differences(before, after):
            span = after.span
            yield HistoryChange(
                span.valid_from, "record", change.field, change.before, change.after, None, span.sync_id
            )


def _verdict_changes(states: Iterable[VerdictState]) -> Iterator[HistoryChange]:
    by_rule = groupby(sorted(states, key=lambda state: state.rule_id), key=lambda state: state.rule_id)
    for rule_id, of_rule in by_rule:
        for state, following in pairwise([None, *of_rule, None]):
            is_successor = state and following and state.span.valid_to == following.span.valid_from
            if state and state.span.valid_to and not is_successor:  # no policy had the rule any more
                at, sync_id = state.span.valid_to, state.span.ended_by_sync_id or ""
                yield HistoryChange(at, "verdict", rule_id, state.verdict, None, None, sync_id)
            if following:
                before = state.verdict if state and is_successor else None
                span, after, reason = following.span, following.verdict, following.reason
                yield HistoryChange(span.valid_from, "verdict", rule_id, before, after, reason, span.sync_id)


def _badge_changes(states: Sequence[BadgeState]) -> Iterator[HistoryChange]:
    for before, after in pairwise([None, *states]):
        assert after is not None  # only the first state is None
        was = before.badge if before else None
        yield HistoryChange(after.span.valid_from, "badge", "badge", was, after.badge, None, after.span.sync_id)


def _waiver_changes(
    granted: Iterable[StoredWaiver], key: Key, evaluated_rules: set[str], now: datetime
) -> Iterator[HistoryChange]:
    """Yield the start and end of each waiver. It expires with its last day, even before a sync records that."""
    for stored in granted:
        waiver = stored.waiver
        if waiver.rule not in evaluated_rules or not waiver.covers(waiver.rule, *key):
            continue
        rule, reason = waiver.rule, waiver.sentence
        yield HistoryChange(stored.granted_at, "waiver", rule, None, "granted", reason, stored.sync_id)
        if stored.end_reason not in (None, "expired") and stored.ended_at:
            yield HistoryChange(stored.ended_at, "waiver", rule, "granted", stored.end_reason, reason, "")
        elif waiver.ends_at <= now:
            yield HistoryChange(waiver.ends_at, "waiver", rule, "granted", "expired", reason, "")
