"""The differences of a tenant's versions between two times, and the history of one version, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.persistence.queries.compliance_diff import net_compliance_changes
from verifywise_mlflow.persistence.queries.history import Period, net_record_transitions
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.version_history import (
    ChangedBadge,
    ChangedRecord,
    ChangedVerdict,
    ChangedWaiver,
    HistoryChange,
    SeenEvent,
)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A value that differs between two times."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    model_name: str
    """The registered model."""
    version_number: int
    """The version's number in MLflow."""
    kind: Literal["record", "verdict", "badge"]
    """What the value is part of."""
    subject: str
    """The field of the record, the rule, or ``badge``."""
    before: object
    """The value before; null if there was none."""
    after: object
    """The value after; null if there is none any more."""


def net_changes(session: TenantSession, period: Period) -> Iterator[ChangeRow]:
    """Yield the differences of records, then the differences of badges and verdicts, each sorted by version."""
    for before, after in net_record_transitions(session, period):
        for difference in differences(before, after):
            yield ChangeRow(*after.key, "record", difference.field, difference.before, difference.after)
    for change in net_compliance_changes(session, period):
        if change.badge_before != change.badge_after:
            yield ChangeRow(*change.key, "badge", "badge", change.badge_before, change.badge_after)
        for verdict in change.verdicts:
            yield ChangeRow(*change.key, "verdict", verdict.rule_id, verdict.before, verdict.after)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One change in the history of a version."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    at: datetime
    """When a sync saw the change; for a waiver, when it was granted or ended."""
    kind: Literal["event", "record", "verdict", "badge", "waiver"]
    """What changed."""
    subject: str
    """The field of the record, the rule, the kind of the event, or ``badge``."""
    before: object
    """The value before; null if there was none."""
    after: object
    """The value after; null if there is none any more."""
    reason: str | None
    """For a verdict or a waiver, the reason; for an event, a sentence about it."""
    sync_id: str
    """Empty if no sync made the change."""


def history_rows(changes: Iterable[HistoryChange]) -> Iterator[HistoryRow]:
    """Yield the changes of a version: a changed record has a row for each value that changed."""
    for change in changes:
        for subject, before, after, reason in _values(change):
            yield HistoryRow(change.at, change.KIND, subject, before, after, reason, change.sync_id)


def _values(change: HistoryChange) -> Iterator[tuple[str, object, object, str | None]]:
    match change:
        case SeenEvent():
            event = change.event
            yield str(event.kind), event.previous, event.value, event.sentence
        case ChangedRecord():
            for difference in change.differences:
                yield difference.field, difference.before, difference.after, None
        case ChangedVerdict():
            yield change.rule_id, change.before, change.after, change.reason
        case ChangedBadge():
            yield "badge", change.before, change.after, None
        case ChangedWaiver():
            before = None if change.outcome == "granted" else "granted"
            yield change.stored.waiver.rule, before, change.outcome, change.stored.waiver.sentence
