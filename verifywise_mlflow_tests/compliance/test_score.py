"""The compliance score: what counts, and how much."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.score import SCORE_RULE, SEVERITY_WEIGHTS, score
from verifywise_mlflow.compliance.verdict import Verdict

LOW, MEDIUM, HIGH, CRITICAL = Severity


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        pytest.param([(LOW, {"pass": 1}), (CRITICAL, {"fail": 1})], 11.11, id="critical gap, 1 of 9"),
        pytest.param([(LOW, {"fail": 1}), (CRITICAL, {"pass": 1})], 88.88, id="low gap, 8 of 9"),
        pytest.param([(MEDIUM, {"pass": 3}), (HIGH, {"not evidenced": 1})], 60.0, id="6 of 10"),
        pytest.param([(HIGH, {"pass": 1, "not applicable": 8})], 100.0, id="not applicable is left out"),
        pytest.param([(LOW, {"pass": 999_999, "fail": 1})], 99.99, id="a gap never rounds up to 100"),
        pytest.param([(HIGH, {"not applicable": 3}), (LOW, {})], None, id="nothing applies"),
        pytest.param([], None, id="no rule"),
        *(
            pytest.param([(HIGH, {"pass": 1, verdict: 1})], 50.0, id=f"{verdict} is not passed")
            for verdict in Verdict
            if verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
        ),
    ],
)
def test_the_score_weighs_verdicts_by_severity(
    verdicts: list[tuple[Severity, Mapping[str, int]]], expected: float | None
) -> None:
    assert score(verdicts) == expected


def test_the_formula_states_the_weight_of_each_severity() -> None:
    assert list(SEVERITY_WEIGHTS) == list(Severity)
    assert "low 1, medium 2, high 4, critical 8." in SCORE_RULE
