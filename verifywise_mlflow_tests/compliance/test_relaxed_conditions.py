"""A tenant relaxes each condition on approvals, validations and assessments by setting its threshold to 0."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.rules.ruleset import merge_policies
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow_tests.compliance.attempts import EVIDENCE, TODAY, results

APPROVER, VALIDATION, PRIVACY = "production-approver", "independent-validation", "production-privacy-assessment"


@pytest.mark.parametrize(
    ("rule", "changes", "switches"),
    [
        pytest.param(
            APPROVER,
            {"version tag approved_by": None, "model tag approved_by": "Ada Lovelace, 2026-02-02"},
            ["approval_must_be_on_version"],
            id="named by the model",
        ),
        pytest.param(
            APPROVER, {"version tag approved_by": "Ada Lovelace"}, ["approval_must_be_dated"], id="without a date"
        ),
        pytest.param(
            APPROVER,
            {"version tag approved_by": "Ada Lovelace, 2026-01-05"},
            ["approval_must_follow_version"],
            id="before the version was made",
        ),
        pytest.param(
            APPROVER,
            {"version tag approved_by": "risk-team, 2026-02-02"},
            ["approver_must_differ_from_owner"],
            id="by the owner",
        ),
        pytest.param(
            APPROVER,
            {"version tag approved_by": "a.lindqvist, 2026-02-02"},
            ["approver_must_differ_from_training_user"],
            id="by the training user",
        ),
        pytest.param(
            APPROVER, {"run tag mlflow.user": None}, ["training_user_must_be_known"], id="training user unknown"
        ),
        pytest.param(
            APPROVER,
            {
                "version tag approved_by": None,
                "run tag approved_by": "a.lindqvist, 2026-01-05",
                "version tag owner": "a.lindqvist",
            },
            [
                "approval_must_be_on_version",
                "approval_must_follow_version",
                "approver_must_differ_from_owner",
                "approver_must_differ_from_training_user",
            ],
            id="by one person, who wrote it into the run",
        ),
        pytest.param(
            VALIDATION,
            {"version tag validator": None, "model tag validator": "Vera Osei"},
            ["validation_must_be_on_version"],
            id="validator named by the model",
        ),
        pytest.param(
            VALIDATION,
            {"version tag validation_date": "2026-01-05"},
            ["validation_must_follow_version"],
            id="validated before the version was made",
        ),
        pytest.param(
            VALIDATION,
            {"version tag validator": "risk-team"},
            ["validator_must_be_independent"],
            id="validated by the owner",
        ),
        pytest.param(PRIVACY, {"version tag dpia": "completed"}, ["assessments_must_be_dated"], id="assessed some day"),
        pytest.param(
            PRIVACY,
            {"version tag dpia": None, "run tag dpia": "completed 2026-02-01"},
            ["assessments_must_cover_version"],
            id="assessed by the training run",
        ),
    ],
)
def test_a_condition_holds_unless_its_threshold_is_0(
    rule: str, changes: dict[str, str | None], switches: list[str]
) -> None:
    evidence = {**EVIDENCE, **changes}
    relaxed = Evaluator(merge_policies([default_policy()], dict.fromkeys(switches, 0)), today=TODAY)
    nearly_relaxed = [
        Evaluator(merge_policies([default_policy()], dict.fromkeys(switches, 0) | {switch: 1}), today=TODAY)
        for switch in switches
    ]

    assert results(evidence, relaxed)[rule].verdict is Verdict.PASS
    for evaluator in nearly_relaxed:
        assert results(evidence, evaluator)[rule].verdict in (Verdict.FAIL, Verdict.NOT_EVIDENCED)


def test_the_reason_names_each_condition_that_does_not_hold() -> None:
    changes = {"version tag approved_by": None, "run tag approved_by": "a.lindqvist"}

    reason = results({**EVIDENCE, **changes})[APPROVER].reason

    assert "is the user who started the training" in reason
    assert "is not named by a tag of the version. Source of the name: 'run tag'" in reason
    assert "The approval has no date." in reason
    assert "owner" not in reason.replace("neither owns", "")


@pytest.mark.parametrize("threshold", ["longest_days_since_approval", "longest_days_since_validation"])
def test_a_tenant_shortens_the_time_for_which_a_decision_stands(threshold: str) -> None:
    rule = {"longest_days_since_approval": APPROVER, "longest_days_since_validation": VALIDATION}[threshold]
    monthly = Evaluator(merge_policies([default_policy()], {threshold: 30}), today=TODAY)

    assert results(EVIDENCE, monthly)[rule].verdict is Verdict.FAIL
