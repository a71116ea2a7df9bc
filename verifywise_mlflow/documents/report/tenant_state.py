"""Reads the data of the pages about a whole tenant. The number of queries does not depend on the tenant's size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Final

from verifywise_mlflow.compliance.badge import Badge, EvaluatedVersion, ModelBadge, model_badge
from verifywise_mlflow.compliance.coverage import FrameworkCoverage, VerdictGroup, framework_coverage
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.score import score
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.documents.report.gap_figures import GapFigures, count_gaps
from verifywise_mlflow.persistence.queries.coverage import (
    StoredPolicies,
    StoredRule,
    current_policies,
    verdict_groups,
)
from verifywise_mlflow.persistence.queries.day_counts import DayCounts, RuleVerdict, badges_by_day, verdicts_by_day
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver, waivers_in_force
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.ai_systems import AiSystems, ai_systems, system_names
from verifywise_mlflow.services.gaps import GapFilter, open_gaps
from verifywise_mlflow.services.inventory import InventoryFilter, InventoryRow, inventory
from verifywise_mlflow.services.list_filters import models_of_systems
from verifywise_mlflow.services.reading_completeness import Completeness, completeness

MAX_DAYS: Final = 60
"""The maximum number of points in the charts of badges and of the score over time."""


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model, with the inventory row of the newest version that counts for its badge."""

    name: str
    version_numbers: Sequence[int]
    """The living versions, newest first."""
    badge: ModelBadge | None
    """The badge of the model; None for a model without versions."""
    counting: InventoryRow
    """The newest version that counts for the badge. If the model has no version, this is the model's own row."""
    open_gaps: Mapping[str, int]
    """The number of open gaps of all living versions, by severity."""

    @property
    def is_in_production(self) -> bool:
        """Whether a version is in production or deployed at least in part."""
        return self.badge is not None and self.badge.serves_users


@dataclass(frozen=True, slots=True)
class TenantState:
    """A tenant at one time."""

    tenant_id: str
    at: datetime
    only_systems: Sequence[str]
    """The AI systems to which all members but ``completeness`` are limited; empty for all models."""
    models: Sequence[ModelSummary]
    """The models, by name."""
    badges: Mapping[str | None, int]
    """Badge to the number of living versions. The key None is for versions that were not evaluated."""
    score: float | None
    score_history: Sequence[tuple[date, float]]
    """The score on past days, by the severities of today's rules; rules that no longer exist are left out. This history
    and ``badge_history`` cover all models of the tenant, so both are empty in a report on some systems."""
    badge_history: Sequence[DayCounts[str]]
    gaps: GapFigures
    coverage: Sequence[FrameworkCoverage]
    """The frameworks that rules refer to."""
    policies: StoredPolicies
    systems: AiSystems
    waivers: Sequence[StoredWaiver]
    """The waivers in force, oldest first."""
    completeness: Completeness

    @property
    def version_count(self) -> int:
        """The number of living versions."""
        return sum(self.badges.values())

    @property
    def in_production(self) -> int:
        """The number of models with a version in production, or deployed at least in part."""
        return sum(model.is_in_production for model in self.models)


def tenant_state(session: TenantSession, at: datetime, systems: Collection[str] = ()) -> TenantState:
    """Return the state of a tenant at the current time: all models, or only the models of some AI systems.

    Raises:
        UnresolvedNameError: the tenant has no such AI system.
        DatabaseError: another release stored the policies in a form that this release cannot read.
    """
    policies = current_policies(session)
    models: Collection[str] | None = None
    system_list, waivers = ai_systems(session, at), waivers_in_force(session, at)
    if systems:
        of_models = system_names(session)
        models = models_of_systems(session, of_models, systems)
        names = {of_models[model] for model in models}
        system_list = AiSystems(tuple(system for system in system_list.systems if system.name in names), ())
        waivers = [stored for stored in waivers if _covers_any(stored.waiver, models)]
    gaps = count_gaps(open_gaps(session, at, GapFilter(ai_systems=tuple(systems))))
    named = {name for clauses in policies.references.values() for name, _ in clauses}
    frameworks = [framework for name, framework in policies.catalog.items() if name in named]
    groups = list(verdict_groups(session, models=models))
    summaries, badges = _models(session, gaps, systems)
    return TenantState(
        tenant_id=session.tenant_id,
        at=at,
        only_systems=[system.name for system in system_list.systems] if systems else (),
        models=summaries,
        badges=badges,
        score=_score(groups, policies),
        score_history=[] if systems else _score_history(verdicts_by_day(session, at, MAX_DAYS), policies),
        badge_history=[] if systems else badges_by_day(session, at, MAX_DAYS),
        gaps=gaps,
        coverage=framework_coverage(frameworks, policies.references, groups),
        policies=policies,
        systems=system_list,
        waivers=waivers,
        completeness=completeness(session, models),
    )


def _covers_any(waiver: Waiver, models: Collection[str]) -> bool:
    return any(waiver.covers(waiver.rule, model, waiver.version or 0) for model in models)


def _models(
    session: TenantSession, gaps: GapFigures, systems: Collection[str]
) -> tuple[list[ModelSummary], Counter[str | None]]:
    """Return the models, and the number of living versions by badge."""
    models, badges = [], Counter[str | None]()
    listed = inventory(session, InventoryFilter(ai_systems=tuple(systems)))
    for name, rows in groupby(listed, key=lambda row: row.model_name):
        versions = list(rows)  # the newest version first
        badge = model_badge(
            [
                EvaluatedVersion(
                    row.version_number,
                    row.lifecycle_stage,
                    row.deployment_status,
                    Badge(row.badge) if row.badge else None,
                )
                for row in versions
                if row.version_number is not None
            ]
        )
        counting = next((row for row in versions if badge and row.version_number in badge.version_numbers), versions[0])
        numbers = [row.version_number for row in versions if row.version_number is not None]
        badges.update(row.badge for row in versions if row.version_number is not None)
        total: Counter[str] = Counter()
        for number in numbers:
            total.update(gaps.by_version.get((name, number), {}))
        models.append(ModelSummary(name, numbers, badge, counting, total))
    return models, badges


def _score(groups: Sequence[VerdictGroup], policies: StoredPolicies) -> float | None:
    """Return the compliance score according to the rules with which the tenant was last evaluated."""
    return score(
        (Severity(policies.rules[rule_id].severity), {verdict: group.version_count})
        for group in groups
        if not group.are_archived
        for rule_id, verdict in group.verdicts.items()
        if rule_id in policies.rules and _is_weighed(policies.rules[rule_id])
    )


def _is_weighed(rule: StoredRule) -> bool:
    return rule.severity in set(Severity)


def _score_history(days: Sequence[DayCounts[RuleVerdict]], policies: StoredPolicies) -> list[tuple[date, float]]:
    severities = {rule_id: Severity(rule.severity) for rule_id, rule in policies.rules.items() if _is_weighed(rule)}
    scores = (
        (
            point.day,
            score(
                (severities[rule_id], {verdict: count})
                for (rule_id, verdict), count in point.versions.items()
                if rule_id in severities
            ),
        )
        for point in days
    )
    return [(day, of_day) for day, of_day in scores if of_day is not None]
