"""How a tenant stands at a time: each rule's verdicts, its gaps with their age, and figures to follow over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.rule import Rule, Severity
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.score import score
from verifywise_mlflow.persistence.queries.open_gaps import AGES, Gap, OpenGaps, of_ages
from verifywise_mlflow.persistence.queries.verdict_count_cache import counts
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN
from verifywise_mlflow.persistence.store import Store

GAP_AGE_BUCKETS: Final = tuple(
    [f"{first}_to_{last}_days" for first, last in zip((0, *(days + 1 for days in AGES)), AGES, strict=False)]
    + [f"over_{AGES[-1]}_days"]
)
"""What the ages of gaps are called, the youngest first."""


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """A rule's verdicts on the living versions of a tenant."""

    rule: Rule
    verdicts: Mapping[str, int]
    open_gaps: int
    """Gaps that no waiver covers."""
    open_gaps_by_age: tuple[int, ...]
    """Those, by ``AGE_NAMES``."""
    oldest_days: int | None
    """Whole days that the oldest of them is open."""
    worst_gaps: Sequence[Gap]
    """The waived come last."""

    @property
    def waived_gaps(self) -> int:
        """Gaps that a waiver covers: they stay gaps."""
        return sum(self.verdicts.get(verdict, 0) for verdict in OPEN) - self.open_gaps

    @property
    def evaluated_versions(self) -> int:
        """Versions that have a verdict of the rule."""
        return sum(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class ComplianceSummary:
    """How a tenant stands at a time."""

    rules: Sequence[RuleSummary]
    """Those that are asked, in the order of the policies."""
    badges: Mapping[str | None, int]
    """How many living versions have each badge; under None, those that were not judged."""

    def metrics(self) -> dict[str, int | float]:
        """Return figures to follow over time. One that there is nothing for is left out: 0 would say something."""
        verdicts: Counter[str] = Counter()
        for one in self.rules:
            verdicts.update(one.verdicts)
        percent = score(verdicts)
        oldest = [one.oldest_days for one in self.rules if one.oldest_days is not None]
        by_severity = {
            f"open_gaps_{severity}": sum(one.open_gaps for one in self.rules if one.rule.severity == severity)
            for severity in reversed(Severity)
        }
        by_age = zip(GAP_AGE_BUCKETS, zip(*(one.open_gaps_by_age for one in self.rules), strict=True), strict=False)
        return {
            **({"compliance_score": percent} if percent is not None else {}),
            **{f"versions_{badge.replace('-', '_')}": self.badges.get(badge, 0) for badge in Badge},
            "versions_not_judged": self.badges.get(None, 0),
            "open_gaps": sum(one.open_gaps for one in self.rules),
            **by_severity,
            **{f"open_gaps_{name}": sum(counts) for name, counts in by_age},
            **({"oldest_gap_days": max(oldest)} if oldest else {}),
            "waived_gaps": sum(one.waived_gaps for one in self.rules),
        }


def summarize_compliance(store: Store, tenant_id: str, rules: RuleSet, at: datetime) -> ComplianceSummary:
    """Return how a tenant stands; ``at`` is now: what a waiver covers and how old a gap is hang on it."""
    with store.begin(tenant_id) as session:
        found = counts(session, at)
    return ComplianceSummary(
        [
            _summarize_rule(
                rule,
                found.verdicts.get(rule.id, {}),
                of_ages(found.opened.get(rule.id, ()), at),
                found.worst.get(rule.id, ()),
                at,
            )
            for rule in rules.rules
        ],
        dict(found.badges),
    )


def _summarize_rule(
    rule: Rule, verdicts: Mapping[str, int], found: OpenGaps | None, worst: Sequence[Gap], at: datetime
) -> RuleSummary:
    by_age = found.by_age if found else (0,) * len(GAP_AGE_BUCKETS)
    return RuleSummary(
        rule=rule,
        verdicts=verdicts,
        open_gaps=sum(by_age),
        open_gaps_by_age=by_age,
        oldest_days=days_open(found.oldest, at) if found else None,
        worst_gaps=worst,
    )


def days_open(since: datetime, at: datetime) -> int:
    """Return for how many whole days a gap is open."""
    return max((at - since).days, 0)
