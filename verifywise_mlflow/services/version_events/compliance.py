"""The events that report how an evaluation changed a version's compliance: its badge and its open gaps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.persistence.queries.compliance_states import ComplianceState
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.services.version_events.event import VersionEvent
from verifywise_mlflow.tenants.delivery.event_type import EventType

if TYPE_CHECKING:
    from verifywise_mlflow.compliance.rules.rule import Rule

_NOT_EVALUATED = ComplianceState(badge=None, rules={})
_SHOWN_RULES = 5


def compliance_events(
    key: Key, before: ComplianceState | None, after: ComplianceState, rules: Mapping[str, Rule]
) -> Iterator[VersionEvent]:
    """Yield the events about a version's badge and gaps that an evaluation changed: at most three.

    Args:
        key: The version.
        before: The version's state before the evaluation; None before the first evaluation.
        after: The version's state after the evaluation.
        rules: The rules in force, by id.
    """
    previous = before or _NOT_EVALUATED
    if previous.badge != after.badge:
        details: dict[str, Json] = {"previous": previous.badge, "badge": after.badge}
        yield VersionEvent(
            EventType.BADGE_CHANGED, *key, details, f"badge: {previous.badge or 'none'} → {after.badge or 'none'}"
        )
    for event_type, verb, rule_ids in (
        (EventType.GAPS_OPENED, "opened", after.open_gaps - previous.open_gaps),
        (EventType.GAPS_CLOSED, "closed", previous.open_gaps - after.open_gaps),
    ):
        if rule_ids:
            gaps: list[Json] = [_gap(rule_id, after, rules.get(rule_id)) for rule_id in sorted(rule_ids)]
            yield VersionEvent(event_type, *key, {"gaps": gaps}, _summary(verb, rule_ids))


def _gap(rule_id: str, state: ComplianceState, rule: Rule | None) -> Json:
    """Return a gap. If no policy has the rule any more, the gap is closed and its verdict is null."""
    verdict = state.rules.get(rule_id)
    return {
        "rule_id": rule_id,
        "title": rule.title if rule else None,
        "severity": rule.severity.value if rule else None,
        "verdict": verdict.verdict if verdict else None,
        "reason": verdict.reason if verdict else None,
    }


def _summary(verb: str, rule_ids: Collection[str]) -> str:
    shown = ", ".join(sorted(rule_ids)[:_SHOWN_RULES])
    more = f" and {len(rule_ids) - _SHOWN_RULES} more" if len(rule_ids) > _SHOWN_RULES else ""
    return f"{len(rule_ids)} {'gap' if len(rule_ids) == 1 else 'gaps'} {verb}: {shown}{more}"
