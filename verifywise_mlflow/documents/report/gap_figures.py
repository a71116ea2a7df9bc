"""Counts a tenant's gaps while they are read, and keeps the gaps that pages list, without their long texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from verifywise_mlflow.compliance.rules.rule import UNKNOWN_SEVERITY, Severity
from verifywise_mlflow.persistence.queries.gap_ages import AGE_LIMITS_DAYS
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.services.compliance_summary import GAP_AGE_BUCKETS
from verifywise_mlflow.services.gaps import Gap

SEVERITIES: Final = (*(severity.value for severity in reversed(Severity)), UNKNOWN_SEVERITY)
"""The severities, the most severe first."""
AGE_GROUPS: Final = tuple(bucket.replace("_", " ") for bucket in GAP_AGE_BUCKETS)
"""The age groups, the youngest first."""
NO_OWNER: Final = "no owner recorded"
MAX_URGENT: Final = 500
"""The maximum number of gaps on the page of gaps: the most urgent gaps of all rules."""
MAX_PER_RULE: Final = 500
"""The maximum number of gaps on the page of a rule: the rule's most urgent gaps."""


@dataclass(frozen=True, slots=True)
class ListedGap:
    """A gap without its reason, which is on the page of the version."""

    model_name: str
    version_number: int
    lifecycle_stage: str | None
    owner: str | None
    opened_at: datetime
    may_be_older: bool
    age_days: int
    verdict: str
    is_waived: bool


@dataclass(slots=True)
class RuleGaps:
    """The gaps of one rule."""

    rule_id: str
    title: str
    severity: str
    clauses: Sequence[str]
    open: int = 0
    waived: int = 0
    oldest: datetime | None = None
    """The time at which the oldest open gap was opened."""
    versions: list[ListedGap] = field(default_factory=list)
    """The first ``MAX_PER_RULE`` gaps, the most urgent first."""

    @property
    def unlisted(self) -> int:
        """The number of gaps that ``versions`` leaves out."""
        return self.open + self.waived - len(self.versions)


@dataclass(slots=True)
class GapFigures:
    """The gaps of a tenant, counted."""

    open: int = 0
    waived: int = 0
    by_severity: Counter[str] = field(default_factory=Counter)
    """The number of open gaps by severity. All other members also count only open gaps."""
    by_age: Mapping[str, Counter[str]] = field(default_factory=lambda: {group: Counter() for group in AGE_GROUPS})
    """Age group to severity to count."""
    by_owner: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_version: defaultdict[Key, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rules: dict[str, RuleGaps] = field(default_factory=dict)
    urgent: list[tuple[RuleGaps, ListedGap]] = field(default_factory=list)
    """Open gaps, the most urgent first."""

    def worst_owners(self, limit: int) -> list[tuple[str, Mapping[str, int]]]:
        """Return the owners with the most open gaps of the highest severities, and the sum of all other owners."""
        ranked = sorted(
            self.by_owner.items(), key=lambda item: ([-item[1][severity] for severity in SEVERITIES], item[0])
        )
        shown: list[tuple[str, Mapping[str, int]]] = list(ranked[:limit])
        if rest := ranked[limit:]:
            total: Counter[str] = Counter()
            for _, counts in rest:
                total.update(counts)
            shown.append((f"{len(rest):,} other owners", total))
        return shown

    def ranked_rules(self) -> list[RuleGaps]:
        """Return the rules with gaps: the most severe first; within a severity, the rule with the most gaps first."""
        return sorted(self.rules.values(), key=lambda rule: (_rank(rule.severity), -rule.open, rule.rule_id))


def count_gaps(gaps: Iterable[Gap]) -> GapFigures:
    """Count gaps. They are iterated once, the most urgent first."""
    figures = GapFigures()
    texts: dict[str | None, str | None] = {}  # keeps one object for each name of a model or an owner
    for gap in gaps:
        rule = figures.rules.get(gap.rule_id)
        if rule is None:
            rule = RuleGaps(gap.rule_id, gap.rule_title or gap.rule_id, gap.severity, gap.clauses)
            figures.rules[gap.rule_id] = rule
        listed = ListedGap(
            texts.setdefault(gap.model_name, gap.model_name) or "",
            gap.version_number,
            gap.lifecycle_stage,
            texts.setdefault(gap.owner, gap.owner),
            gap.opened_at,
            gap.may_be_older,
            gap.age_days,
            gap.verdict,
            gap.waiver is not None,
        )
        if len(rule.versions) < MAX_PER_RULE:
            rule.versions.append(listed)
        if gap.waiver is not None:
            figures.waived += 1
            rule.waived += 1
            continue
        figures.open += 1
        rule.open += 1
        rule.oldest = min(rule.oldest or gap.opened_at, gap.opened_at)
        figures.by_severity[gap.severity] += 1
        figures.by_age[_age_group(gap.age_days)][gap.severity] += 1
        figures.by_owner[gap.owner or NO_OWNER][gap.severity] += 1
        figures.by_version[listed.model_name, gap.version_number][gap.severity] += 1
        if len(figures.urgent) < MAX_URGENT:
            figures.urgent.append((rule, listed))
    return figures


def _age_group(days: int) -> str:
    return next(
        (group for group, limit in zip(AGE_GROUPS, AGE_LIMITS_DAYS, strict=False) if days <= limit), AGE_GROUPS[-1]
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
