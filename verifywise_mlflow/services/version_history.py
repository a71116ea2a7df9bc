"""The history of a version as one list: lifecycle events, and changes of its record, verdicts, badge and waivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import ClassVar, Literal, TypeAlias

from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, VerdictState
from verifywise_mlflow.persistence.queries.record_diff import Difference, differences
from verifywise_mlflow.persistence.repositories import lifecycle_events, waivers
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """A lifecycle event."""

    KIND: ClassVar[Literal["event"]] = "event"

    at: datetime
    """When a sync saw the event. In the other classes, except ``ChangedWaiver``, it is when a sync saw the change."""
    sync_id: str
    """The sync that saw the event."""
    event: LifecycleEvent


@dataclass(frozen=True, slots=True)
class ChangedRecord:
    """A new state of the record."""

    KIND: ClassVar[Literal["record"]] = "record"

    at: datetime
    sync_id: str
    """Empty if no sync made the change."""
    differences: Sequence[Difference]
    """The differences from the previous state; for the first state, one difference with the path ``("record",)``."""


@dataclass(frozen=True, slots=True)
class ChangedVerdict:
    """A new state of a verdict."""

    KIND: ClassVar[Literal["verdict"]] = "verdict"

    at: datetime
    sync_id: str
    rule_id: str
    before: str | None
    """The former verdict; None if the rule was not evaluated."""
    after: str | None
    """The new verdict; None if no policy has the rule any more."""
    reason: str | None
    """The reason for the new verdict."""
    policy_version: str | None
    """The version of the policy that first gave this verdict."""


@dataclass(frozen=True, slots=True)
class ChangedBadge:
    """A new state of the badge."""

    KIND: ClassVar[Literal["badge"]] = "badge"

    at: datetime
    sync_id: str
    before: str | None
    """The former badge; None for the first badge."""
    after: str


@dataclass(frozen=True, slots=True)
class ChangedWaiver:
    """A waiver that was granted or ended."""

    KIND: ClassVar[Literal["waiver"]] = "waiver"

    at: datetime
    """When the waiver was granted or ended."""
    sync_id: str
    """Empty for the end of a waiver."""
    stored: StoredWaiver
    outcome: str
    """``granted``, ``expired`` or another reason for the end of the waiver."""


HistoryChange: TypeAlias = SeenEvent | ChangedRecord | ChangedVerdict | ChangedBadge | ChangedWaiver


def version_history(session: TenantSession, key: Key, now: datetime) -> list[HistoryChange]:
    """Return the history of a version, oldest first; empty if the version was never recorded.

    Args:
        session: The tenant's transaction.
        key: The version's model name and number.
        now: The current time, which decides whether a waiver's last day is over.
    """
    verdicts = history.verdict_states_of(session, key)
    events = lifecycle_events.lifecycle_events_of(session, *key)
    changes: list[HistoryChange] = [
        *(SeenEvent(recorded.seen_at, recorded.sync_id, recorded.event) for recorded in events),
        *_record_changes(history.record_states_of(session, key)),
        *_verdict_changes(verdicts),
        *_badge_changes(history.badge_states_of(session, key)),
        *_waiver_changes(waivers.all_waivers(session), key, {state.rule_id for state in verdicts}, now),
    ]
    return sorted(changes, key=lambda change: change.at)  # stable: changes of the same time keep the order above


def _record_changes(states: Sequence[RecordState]) -> Iterator[ChangedRecord]:
    for before, after in pairwise([None, *states]):
        assert after is not None  # only the first state is None
        yield ChangedRecord(after.span.valid_from, after.span.sync_id, differences(before, after))


def _verdict_changes(states: Sequence[VerdictState]) -> Iterator[ChangedVerdict]:
    for rule_id in sorted({state.rule_id for state in states}):
        before: VerdictState | None = None
        for state in (state for state in states if state.rule_id == rule_id):
            if before and before.span.valid_to and before.span.valid_to < state.span.valid_from:
                yield _retired_rule(before, before.span.valid_to)
                before = None
            span, was = state.span, before.verdict if before else None
            yield ChangedVerdict(
                span.valid_from, span.sync_id, rule_id, was, state.verdict, state.reason, state.policy_version
            )
            before = state
        if before and before.span.valid_to:
            yield _retired_rule(before, before.span.valid_to)


def _retired_rule(last: VerdictState, at: datetime) -> ChangedVerdict:
    return ChangedVerdict(at, last.span.ended_by_sync_id or "", last.rule_id, last.verdict, None, None, None)


def _badge_changes(states: Sequence[BadgeState]) -> Iterator[ChangedBadge]:
    for before, after in pairwise([None, *states]):
        assert after is not None  # only the first state is None
        yield ChangedBadge(after.span.valid_from, after.span.sync_id, before.badge if before else None, after.badge)


def _waiver_changes(
    granted: Iterable[StoredWaiver], key: Key, evaluated_rules: set[str], now: datetime
) -> Iterator[ChangedWaiver]:
    """Yield the start and end of each waiver. A waiver expires with its last day, even before a sync records that."""
    for stored in granted:
        waiver = stored.waiver
        if waiver.rule not in evaluated_rules or not waiver.covers(waiver.rule, *key):
            continue
        yield ChangedWaiver(stored.granted_at, stored.sync_id, stored, "granted")
        if stored.end_reason not in (None, "expired") and stored.ended_at:
            yield ChangedWaiver(stored.ended_at, "", stored, stored.end_reason)
        elif waiver.ends_at <= now:
            yield ChangedWaiver(waiver.ends_at, "", stored, "expired")
