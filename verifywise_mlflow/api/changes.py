"""The differences of a tenant's versions between two times, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from verifywise_mlflow.persistence.queries.compliance_diff import net_compliance_changes
from verifywise_mlflow.persistence.queries.history import Period, net_record_transitions
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A value that differs between two times."""

    model_name: str
    version_number: int
    kind: Literal["record", "verdict", "badge"]
    subject: str
    """The field of the record, the rule, or ``badge``."""
    before: object
    """None if there was no value."""
    after: object


def net_changes(session: TenantSession, period: Period) -> Iterator[ChangeRow]:
    """Yield the differences of records, then those of badges and verdicts, each sorted by version."""
    for before, after in net_record_transitions(session, period):
        for difference in differences(before, after):
            yield ChangeRow(*after.key, "record", difference.field, difference.before, difference.after)
    for change in net_compliance_changes(session, period):
        if change.badge_before != change.badge_after:
            yield ChangeRow(*change.key, "badge", "badge", change.badge_before, change.badge_after)
        for verdict in change.verdicts:
            yield ChangeRow(*change.key, "verdict", verdict.rule_id, verdict.before, verdict.after)
