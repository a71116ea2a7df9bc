"""Summarizes a tenant's compliance: each rule's verdicts, its open gaps by age, and metrics to plot over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.compliance.badge import VERSION_RULE, Badge
from verifywise_mlflow.compliance.gap_urgency import Gap, UrgentGap, most_urgent
from verifywise_mlflow.compliance.rules.rule import Rule, Severity
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.score import SCORE_RULE, score
from verifywise_mlflow.persistence.queries.gap_ages import (
    AGE_LIMITS_DAYS,
    WORST_GAPS_PER_RULE,
    OpenGaps,
    group_by_age,
)
from verifywise_mlflow.persistence.queries.verdict_count_cache import cached_counts
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.store import Store

GAP_AGE_BUCKETS: Final = tuple(
    [
        f"{first}_to_{last}_days"
        for first, last in zip((0, *(days + 1 for days in AGE_LIMITS_DAYS)), AGE_LIMITS_DAYS, strict=False)
    ]
    + [f"over_{AGE_LIMITS_DAYS[-1]}_days"]
)
"""The names of the age buckets of gaps, youngest first."""
FORMULAS: Final[Mapping[str, str]] = {"compliance_score_formula": SCORE_RULE, "badge_formula": VERSION_RULE}
"""How each figure is derived, as texts to show next to the figures."""


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """A rule's verdicts on the versions that a tenant has in MLflow."""

    rule: Rule
    verdicts: Mapping[str, int]
    archived: Mapping[str, int]
    """The number of verdicts on archived versions, by verdict. They are included in ``verdicts``."""
    open_gaps: int
    """The number of gaps that no waiver covers."""
    open_gaps_by_age: tuple[int, ...]
    """The number of open gaps by age, in the order of ``GAP_AGE_BUCKETS``."""
    oldest_gap_days: int | None
    """The number of whole days for which the oldest open gap has been open."""
    worst_gaps: Sequence[Gap]
    """The most urgent open gaps."""

    @property
    def waived_gaps(self) -> int:
        """The number of gaps that a waiver covers. They remain gaps."""
        return sum(self.verdicts.get(verdict, 0) for verdict in OPEN_VERDICTS) - self.open_gaps

    @property
    def scored_verdicts(self) -> Mapping[str, int]:
        """The verdicts that the score counts: verdicts on versions that are not archived."""
        return Counter(self.verdicts) - Counter(self.archived)

    @property
    def evaluated_versions(self) -> int:
        """The number of versions that have a verdict of the rule."""
        return sum(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class ComplianceSummary:
    """A tenant's compliance at one time."""

    rules: Sequence[RuleSummary]
    """The summaries of the rules, in the order of the policies."""
    badges: Mapping[str | None, int]
    """The number of versions by badge. The key None is for versions that were not evaluated."""

    def urgent_gaps(self, limit: int = WORST_GAPS_PER_RULE) -> list[UrgentGap]:
        """Return the most urgent gaps over all rules, at most ``WORST_GAPS_PER_RULE``."""
        gaps = (gap for summary in self.rules for gap in summary.worst_gaps)
        severities = {summary.rule.id: summary.rule.severity for summary in self.rules}
        return most_urgent(gaps, severities, min(limit, WORST_GAPS_PER_RULE))

    def metrics(self) -> dict[str, int | float]:
        """Return metrics to plot over time. A metric without a value is left out: 0 would look like a result."""
        percent = score((summary.rule.severity, summary.scored_verdicts) for summary in self.rules)
        oldest = [summary.oldest_gap_days for summary in self.rules if summary.oldest_gap_days is not None]
        by_severity = {
            f"open_gaps_{severity}": sum(
                summary.open_gaps for summary in self.rules if summary.rule.severity == severity
            )
            for severity in reversed(Severity)
        }
        by_age = zip(
            GAP_AGE_BUCKETS, zip(*(summary.open_gaps_by_age for summary in self.rules), strict=True), strict=False
        )
        return {
            **({"compliance_score": percent} if percent is not None else {}),
            **{f"versions_{badge.replace(' ', '_')}": self.badges.get(badge, 0) for badge in Badge},
            "versions_not_judged": self.badges.get(None, 0),
            "open_gaps": sum(summary.open_gaps for summary in self.rules),
            **by_severity,
            **{f"open_gaps_{bucket}": sum(gap_counts) for bucket, gap_counts in by_age},
            **({"oldest_gap_days": max(oldest)} if oldest else {}),
            "waived_gaps": sum(summary.waived_gaps for summary in self.rules),
        }


def summarize_compliance(store: Store, tenant_id: str, rules: RuleSet, at: datetime) -> ComplianceSummary:
    """Return a tenant's compliance. ``at`` is the current time: the age of gaps and the waivers depend on it."""
    with store.begin(tenant_id) as session:
        counted = cached_counts(session, at)
    return ComplianceSummary(
        [
            _summarize_rule(
                rule,
                counted.verdicts.get(rule.id, {}),
                counted.archived.get(rule.id, {}),
                group_by_age(counted.opened.get(rule.id, ()), at),
                counted.worst.get(rule.id, ()),
                at,
            )
            for rule in rules.rules
        ],
        dict(counted.badges),
    )


def _summarize_rule(
    rule: Rule,
    verdicts: Mapping[str, int],
    archived: Mapping[str, int],
    open_gaps: OpenGaps | None,
    worst: Sequence[Gap],
    at: datetime,
) -> RuleSummary:
    by_age = open_gaps.by_age if open_gaps else (0,) * len(GAP_AGE_BUCKETS)
    return RuleSummary(
        rule=rule,
        verdicts=verdicts,
        archived=archived,
        open_gaps=sum(by_age),
        open_gaps_by_age=by_age,
        oldest_gap_days=days_open(open_gaps.oldest, at) if open_gaps else None,
        worst_gaps=worst,
    )


def days_open(since: datetime, at: datetime) -> int:
    """Return the whole days for which a gap has been open."""
    return max((at - since).days, 0)
