"""The gaps of one tenant or several: which version does not meet which rule, since when, and who accepts the gap."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.compliance.rules.rule import UNKNOWN_SEVERITY, Severity
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.persistence.queries.coverage import StoredPolicies, current_policies
from verifywise_mlflow.persistence.queries.gap_ages import AGE_LIMITS_DAYS
from verifywise_mlflow.persistence.queries.gaps import (
    RANKS,
    UNKNOWN_RANK,
    CountedBy,
    CountedGaps,
    GapSelection,
    ListedGap,
    counted_gaps,
    listed_gaps,
)
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.repositories.waivers import waivers_in_force
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.ai_systems import system_names
from verifywise_mlflow.services.compliance_summary import GAP_AGE_BUCKETS, days_open
from verifywise_mlflow.services.list_filters import models_of_systems, rules_of_frameworks


@value_object
class GapWaiver:
    """The acceptance of a gap by a person. The gap stays a gap."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    approver: str
    """Who accepted the gap."""
    reason: str
    """Why the person accepted the gap."""
    expires_on: date
    """The last day on which the waiver is in force, UTC."""


@value_object
class Gap:
    """A rule that a version does not meet, or for which MLflow shows no evidence."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    severity: str
    """critical, high, medium or low; unknown for a rule that no policy of the tenant has any more."""
    rule_id: str
    """The rule's ID in its policy."""
    rule_title: str | None
    """What the rule requires; null for a rule that no policy of the tenant has any more."""
    verdict: str
    """fail, not evidenced or error."""
    reason: str
    """Why the rule gave this verdict."""
    ai_system: str | None
    """The AI system that the model is a part of, according to its tags or to what the tenant declares."""
    model_name: str
    """The registered model, as MLflow names it."""
    version_number: int
    """The version's number in MLflow."""
    lifecycle_stage: str | None
    """production, staging, development or archived; null if nothing states it."""
    owner: str | None
    """The person or team accountable for the model."""
    opened_at: datetime
    """The time of the first evaluation in the uninterrupted series of evaluations that found a gap, UTC. An evaluation
    that could not read an object that the rule needs does not interrupt the series."""
    may_be_older: bool
    """Whether the gap may have existed before opened_at: no evaluation right before that time found that the rule was
    met or did not apply. Usually, recording began at that time."""
    age_days: int
    """The number of whole days for which the gap has been open."""
    waiver: GapWaiver | None
    """Who accepts the gap now; null if nobody does."""
    clauses: tuple[str, ...]
    """The clauses that the rule gives evidence for, such as EU AI Act Art. 10(2)(b)."""


class Grouping(StrEnum):
    """The properties by which gaps can be counted."""

    OWNER = "owner"
    SEVERITY = "severity"
    AGE = "age"
    RULE = "rule"
    MODEL = "model"
    SYSTEM = "system"


@value_object
class GapGroup:
    """The number of a tenant's gaps that have the same owner, severity, age, rule, model or AI system."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    group: str | None
    """The owner, severity, age, rule, model or AI system that the gaps have in common; null for gaps that lack this
    property."""
    open: int
    """The number of gaps that nobody accepts."""
    waived: int
    """The number of gaps that a waiver covers."""
    critical: int
    """The number of gaps of critical severity, including waived gaps. The next three fields include waived gaps,
    too."""
    high: int
    """The number of gaps of high severity."""
    medium: int
    """The number of gaps of medium severity."""
    low: int
    """The number of gaps of low severity."""
    versions: int
    """The number of versions with such a gap."""
    oldest_opened_at: datetime
    """When the oldest of the gaps was opened, UTC."""


@dataclass(frozen=True, slots=True)
class GapFilter:
    """Which gaps to list. The values of one field are alternatives; several fields must all match."""

    versions: VersionFilter = field(default_factory=VersionFilter)
    severities: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """IDs of rules; ``*`` matches any characters."""
    ai_systems: tuple[str, ...] = ()
    """Names of AI systems."""
    frameworks: tuple[str, ...] = ()
    """Governance frameworks that the rule refers to."""
    min_age_days: int = 0
    """Gaps that have been open for at least this number of whole days."""
    is_waived: bool | None = None
    """True for waived gaps only, False for gaps that no waiver covers, None for both kinds."""


def open_gaps(
    session: TenantSession, at: datetime, wanted: GapFilter | None = None, limit: int | None = None
) -> Iterator[Gap]:
    """Yield a tenant's gaps, the most urgent first. Memory does not grow with the number of gaps.

    Args:
        session: The tenant's transaction.
        at: The current time: ages and waivers depend on it.
        wanted: Which gaps to list.
        limit: The maximum number of gaps to yield.

    Raises:
        UnresolvedNameError: the tenant has no such AI system, or its policies refer to no such framework.
    """
    context = _Context.read(session, at)
    for gap in listed_gaps(session, context.selection(session, wanted or GapFilter()), limit):
        yield context.gap(session.tenant_id, gap)


def group_gaps(session: TenantSession, at: datetime, by: Grouping, wanted: GapFilter | None = None) -> list[GapGroup]:
    """Return a tenant's gaps, counted by a property. The most severe group comes first; by age, the oldest group.

    Raises:
        UnresolvedNameError: the tenant has no such AI system, or its policies refer to no such framework.
    """
    context = _Context.read(session, at)
    wanted = wanted or GapFilter()
    age_starts = [at - timedelta(days=days + 1) for days in AGE_LIMITS_DAYS]

    def counted(wanted: GapFilter) -> list[CountedGaps]:
        return counted_gaps(session, context.selection(session, wanted), _COUNTED_BY[by], age_starts)

    tallies: defaultdict[str | None, _Tally] = defaultdict(_Tally)
    for gaps in counted(wanted):
        tallies[context.group_name(by, gaps.key)].add(gaps, are_waived=wanted.is_waived is True)
    if wanted.is_waived is None and context.waivers:
        for gaps in counted(replace(wanted, is_waived=True)):
            tallies[context.group_name(by, gaps.key)].waived += sum(gaps.by_rank)
    groups = [tally.group(session.tenant_id, name) for name, tally in tallies.items()]
    return sorted(groups, key=_age_rank if by is Grouping.AGE else _group_rank)


_COUNTED_BY: Final[Mapping[Grouping, CountedBy]] = {
    Grouping.OWNER: "owner",
    Grouping.SEVERITY: "severity_rank",
    Grouping.AGE: "age",
    Grouping.RULE: "rule_id",
    Grouping.MODEL: "model_name",
    Grouping.SYSTEM: "model_name",
}


@dataclass(frozen=True, slots=True)
class _Context:
    """The data with which the gaps of a tenant are described."""

    at: datetime
    policies: StoredPolicies
    clauses: Mapping[str, tuple[str, ...]]
    """The clauses that each rule gives evidence for, by rule ID."""
    systems: Mapping[str, str]
    """The AI system of each model, by the model's name."""
    waivers: Mapping[str, Sequence[Waiver]]
    """The waivers in force, by rule ID. The waiver that ends last comes first."""

    @classmethod
    def read(cls, session: TenantSession, at: datetime) -> _Context:
        policies = current_policies(session)
        waivers: defaultdict[str, list[Waiver]] = defaultdict(list)
        for stored in sorted(waivers_in_force(session, at), key=lambda stored: stored.waiver.expires, reverse=True):
            waivers[stored.waiver.rule].append(stored.waiver)
        clauses = {
            rule_id: tuple(f"{framework} {clause}" for framework, clause in sorted(cited))
            for rule_id, cited in policies.references.items()
        }
        return cls(at, policies, clauses, system_names(session), waivers)

    def selection(self, session: TenantSession, wanted: GapFilter) -> GapSelection:
        ranks = {
            rule_id: _SEVERITIES.index(rule.severity)
            for rule_id, rule in self.policies.rules.items()
            if rule.severity in _SEVERITIES
        }
        rules: set[str] | None = None
        if wanted.severities:
            rules = {rule_id for rule_id, rank in ranks.items() if _SEVERITIES[rank] in wanted.severities}
        if wanted.frameworks:
            referring = set(rules_of_frameworks(session, self.policies, wanted.frameworks))
            rules = referring if rules is None else rules & referring
        return GapSelection(
            at=self.at,
            severity_ranks=ranks,
            versions=wanted.versions,
            models=models_of_systems(session, self.systems, wanted.ai_systems) if wanted.ai_systems else None,
            rules=rules,
            rule_globs=wanted.rules,
            opened_until=self.at - timedelta(days=wanted.min_age_days) if wanted.min_age_days else None,
            is_waived=wanted.is_waived,
        )

    def gap(self, tenant_id: str, listed: ListedGap) -> Gap:
        rule = self.policies.rules.get(listed.rule_id)
        return Gap(
            tenant=tenant_id,
            severity=(rule.severity if rule else "") or UNKNOWN_SEVERITY,
            rule_id=listed.rule_id,
            rule_title=rule.title or None if rule else None,
            verdict=listed.verdict,
            reason=listed.reason,
            ai_system=self.systems.get(listed.model_name),
            model_name=listed.model_name,
            version_number=listed.version_number,
            lifecycle_stage=listed.lifecycle_stage,
            owner=listed.owner,
            opened_at=listed.opened_at,
            may_be_older=listed.may_be_older,
            age_days=days_open(listed.opened_at, self.at),
            waiver=self._waiver_of(listed) if listed.rule_id in self.waivers else None,
            clauses=self.clauses.get(listed.rule_id, ()),
        )

    def _waiver_of(self, listed: ListedGap) -> GapWaiver | None:
        for waiver in self.waivers[listed.rule_id]:
            if waiver.covers(listed.rule_id, listed.model_name, listed.version_number):
                return GapWaiver(waiver.approver, waiver.reason, waiver.expires)
        return None

    def group_name(self, by: Grouping, key: str | None) -> str | None:
        if key is None:
            return None
        match by:
            case Grouping.SEVERITY:
                rank = int(key)
                return UNKNOWN_SEVERITY if rank == UNKNOWN_RANK else _SEVERITIES[rank]
            case Grouping.AGE:
                return GAP_AGE_BUCKETS[int(key)]
            case Grouping.SYSTEM:
                return self.systems.get(key)
            case _:
                return key


_NO_TIME: Final = datetime.max.replace(tzinfo=UTC)
_SEVERITIES: Final = [severity.value for severity in Severity]


@dataclass(slots=True)
class _Tally:
    """The counts of one group, which grow while its gaps are read."""

    by_rank: Counter[int] = field(default_factory=Counter)
    waived: int = 0
    versions: int = 0
    oldest: datetime = _NO_TIME

    def add(self, counted: CountedGaps, *, are_waived: bool) -> None:
        self.by_rank.update(dict(zip(RANKS, counted.by_rank, strict=True)))
        self.waived += sum(counted.by_rank) if are_waived else 0
        self.versions += counted.versions
        self.oldest = min(self.oldest, counted.oldest)

    def group(self, tenant_id: str, name: str | None) -> GapGroup:
        low, medium, high, critical = (self.by_rank[rank] for rank in range(len(_SEVERITIES)))
        return GapGroup(
            tenant=tenant_id,
            group=name,
            open=self.by_rank.total() - self.waived,
            waived=self.waived,
            critical=critical,
            high=high,
            medium=medium,
            low=low,
            versions=self.versions,
            oldest_opened_at=self.oldest,
        )


def _group_rank(group: GapGroup) -> tuple[object, ...]:
    counts = (group.critical, group.high, group.medium, group.low, group.open)
    return (*(-count for count in counts), group.oldest_opened_at, group.group or "")


def _age_rank(group: GapGroup) -> int:
    return -GAP_AGE_BUCKETS.index(group.group or "")
