"""The order of urgency, in which all lists show gaps.

Gaps are sorted by the severity of the rule, then by the lifecycle stage of the version, then by age, oldest first.
Callers leave waived gaps out, since a person has looked at them. The database sorts the gaps of one rule in the same
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict

STAGE_RANKS: Final[Mapping[str, int]] = {"production": 0, "staging": 1, "archived": 3}
"""The rank of a lifecycle stage; rank 0 is the most urgent. An archived version is no longer used for decisions."""
OTHER_STAGE_RANK: Final = 2
"""The rank of a version in development or without a stage."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A verdict that is an open gap, which no waiver covers."""

    rule_id: str
    model_name: str
    version_number: int
    lifecycle_stage: str | None
    verdict: str
    reason: str
    open_since: datetime
    """The time since which the gap has been open without interruption, UTC."""


@dataclass(frozen=True, slots=True)
class UrgentGap:
    """A gap and the severity of its rule."""

    severity: Severity
    gap: Gap


def most_urgent(gaps: Iterable[Gap], severities: Mapping[str, Severity], limit: int | None = None) -> list[UrgentGap]:
    """Return gaps, the most urgent first.

    Args:
        gaps: the gaps, in any order.
        severities: rule ID to severity. A rule that no policy has any more ranks like a rule of low severity.
        limit: the maximum number of gaps to return; None for all.
    """
    urgent = [UrgentGap(severities.get(gap.rule_id, Severity.LOW), gap) for gap in gaps]
    return sorted(urgent, key=_rank)[:limit]


def _rank(urgent: UrgentGap) -> tuple[object, ...]:
    gap = urgent.gap
    return (
        -list(Severity).index(urgent.severity),
        STAGE_RANKS.get(gap.lifecycle_stage or "", OTHER_STAGE_RANK),
        gap.open_since,
        gap.verdict != Verdict.FAIL,  # among gaps that opened with the same sync, failed ones come first
        gap.model_name,
        -gap.version_number,
        gap.rule_id,
    )
