"""The charts of a tenant's portfolio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from verifywise_mlflow.compliance.badge import WORST_FIRST
from verifywise_mlflow.compliance.coverage import ClauseState
from verifywise_mlflow.compliance.rules.rule import UNKNOWN_SEVERITY
from verifywise_mlflow.documents.report.chart_svg import (
    Bar,
    Chart,
    Series,
    area_over_time,
    percentage_over_time,
    stacked_bars,
)
from verifywise_mlflow.documents.report.gap_figures import AGE_GROUPS, SEVERITIES
from verifywise_mlflow.documents.report.tenant_state import TenantState

MAX_OWNERS: Final = 10
BADGES: Final = tuple(Series(badge, f"--fill-{badge.replace(' ', '-')}") for badge in map(str, reversed(WORST_FIRST)))
_SCORE: Final = Series("score", "--link")
_SEVERITIES: Final = tuple(
    Series(severity, "--unjudged" if severity == UNKNOWN_SEVERITY else f"--{severity}") for severity in SEVERITIES
)
_CLAUSES: Final = tuple(
    Series(state.value, color)
    for state, color in zip(
        ClauseState,
        ("--evidenced", "--partly", "--declared", "--supports", "--nothing", "--blank"),
        strict=True,
    )
)


def portfolio_charts(state: TenantState) -> Sequence[Chart]:
    """Return the charts for which there are data."""
    charts = []
    if len(state.score_history) > 1:
        charts.append(percentage_over_time("score", "Compliance score over time", _SCORE, state.score_history))
    if len(state.badge_history) > 1:
        points = [(point.day, point.versions) for point in state.badge_history]
        charts.append(area_over_time("badges", "Badges of versions over time", "versions", BADGES, points))
    if state.gaps.open:
        severities = [
            part for part in _SEVERITIES if part.name != UNKNOWN_SEVERITY or state.gaps.by_severity[part.name]
        ]
        ages = [Bar(group, state.gaps.by_age[group]) for group in AGE_GROUPS]
        charts.append(stacked_bars("ages", "Open gaps by age and severity", "Age", "open gaps", severities, ages))
        owners = [Bar(owner, counts) for owner, counts in state.gaps.worst_owners(MAX_OWNERS)]
        charts.append(
            stacked_bars("owners", "Open gaps by owner and severity", "Owner", "open gaps", severities, owners)
        )
    if state.coverage:
        charts.append(coverage_chart(state))
    return charts


def coverage_chart(state: TenantState) -> Chart:
    """Return the clauses of each framework by how much evidence the records hold."""
    bars = [Bar(coverage.framework.name, _by_state(coverage.state_counts)) for coverage in state.coverage]
    return stacked_bars("coverage", "Clauses of each framework by evidence", "Framework", "clauses", _CLAUSES, bars)


def _by_state(counts: Mapping[ClauseState, int]) -> Mapping[str, int]:
    return {state.value: count for state, count in counts.items()}
