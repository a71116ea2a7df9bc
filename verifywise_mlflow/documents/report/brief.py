"""The portfolio in a few sentences, for readers who read nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from verifywise_mlflow.compliance.badge import BADGE_MEANINGS, WORST_FIRST
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.documents.report.gap_figures import SEVERITIES
from verifywise_mlflow.documents.report.tenant_state import ModelSummary, TenantState

MAX_PRODUCTION: Final = 20
"""The maximum number of models in production that the portfolio lists."""
SOON: Final = timedelta(days=30)


def production_models(state: TenantState) -> Sequence[ModelSummary]:
    """Return the models with a version in production or deployed: the worst badge first, then the most severe gaps."""

    def rank(model: ModelSummary) -> tuple[object, ...]:
        badge = WORST_FIRST.index(model.badge.badge) if model.badge else len(WORST_FIRST)
        return (badge, *(-model.open_gaps.get(severity, 0) for severity in SEVERITIES), model.name)

    return sorted((model for model in state.models if model.is_in_production), key=rank)


def sentences(state: TenantState) -> Iterator[str]:
    """Yield the most important facts as sentences."""
    production = production_models(state)
    badges = Counter(model.badge.badge for model in production if model.badge)
    if production:
        counts = [f"{badges[badge]:,} {BADGE_MEANINGS[badge].of_models}" for badge in reversed(WORST_FIRST)]
        yield f"{_count(len(production), 'model')} in production: {', '.join(counts)}."
    else:
        yield "No model is in production."
    gaps = state.gaps
    if gaps.open:
        severe = gaps.by_severity[Severity.CRITICAL] + gaps.by_severity[Severity.HIGH]
        opened = [rule.oldest for rule in gaps.rules.values() if rule.oldest]
        yield (
            f"{_count(gaps.open, 'gap')} {'is' if gaps.open == 1 else 'are'} open, {severe:,} of critical or high "
            f"severity. The oldest has been open for {_count((state.at - min(opened)).days, 'day')}."
        )
    else:
        yield "No gap is open."
    without_owner = sum(not model.counting.owner for model in state.models)
    if without_owner:
        yield f"{_count(without_owner, 'model')} {'has' if without_owner == 1 else 'have'} no owner in MLflow."
    if ending := sum(stored.waiver.expires <= (state.at + SOON).date() for stored in state.waivers):
        yield f"{_count(ending, 'waiver')} end{'s' if ending == 1 else ''} within {SOON.days} days."
    overdue = sum(system.is_review_overdue(state.at.date()) for system in state.systems.systems)
    if overdue:
        yield f"The review of {_count(overdue, 'AI system')} is overdue."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
