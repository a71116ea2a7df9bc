"""The order of gaps, for any gaps in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from random import Random

from verifywise_mlflow.compliance.gap_urgency import Gap, most_urgent
from verifywise_mlflow.compliance.rules.rule import Severity

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
SEVERITIES = {severity.value: severity for severity in Severity}


def test_severity_outweighs_stage_and_stage_outweighs_age() -> None:
    gaps = [
        Gap(rule_id, "fraud", 1, stage, "fail", "", SINCE + timedelta(days=days))
        for rule_id, stage, days in product(
            ("critical", "high", "medium", "low"), ("production", "staging", None, "archived"), (0, 1)
        )
    ]
    shuffled = Random(17).sample(gaps, len(gaps))

    assert [urgent.gap for urgent in most_urgent(shuffled, SEVERITIES)] == gaps
    assert [urgent.gap for urgent in most_urgent(shuffled, SEVERITIES, 3)] == gaps[:3]


def test_development_ranks_as_no_stage_and_an_unknown_rule_as_low() -> None:
    older = Gap("low", "fraud", 1, None, "fail", "", SINCE)
    newer = Gap("forgotten", "fraud", 1, "development", "fail", "", SINCE + timedelta(days=1))

    assert [urgent.gap for urgent in most_urgent([newer, older], SEVERITIES)] == [older, newer]


def test_of_gaps_that_opened_together_a_failure_comes_first_then_the_newest_version() -> None:
    gaps = [
        Gap("low", "b", 1, None, "fail", "", SINCE),
        Gap("low", "a", 2, None, "not evidenced", "", SINCE),
        Gap("low", "a", 1, None, "not evidenced", "", SINCE),
    ]

    ordered = [urgent.gap for urgent in most_urgent(gaps[::-1], SEVERITIES)]

    assert all(gaps.index(first) < gaps.index(second) for first, second in pairwise(ordered))
