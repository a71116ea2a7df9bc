"""The sentences of the default policy state what was found, what is expected and what to do."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.policy_check import evaluate_example
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.policy import Example, Rule, default_policy
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.unread_object import UnreadObject
from verifywise_mlflow_tests.compliance.records import record_with

POLICY = default_policy(with_examples=True)
PRODUCTION: dict[str, Json | datetime] = {"lifecycle_stage": "production"}
PERSONAL: dict[str, Json | datetime] = {**PRODUCTION, "data_sensitivity": "personal"}


def reason_of(
    rule_id: str,
    record: dict[str, Json | datetime],
    findings: tuple[dict[str, Json], ...] = (),
    incomplete: tuple[UnreadObject, ...] = (),
) -> str:
    origins = {field: {"source": "version tag", "key": field} for field in record}
    subject = Subject(record_with(**record), incomplete, findings, origins)
    evaluations = Evaluator(POLICY, today=date(2026, 3, 9)).evaluate_subject(subject)
    (reason,) = [evaluation.result().reason for evaluation in evaluations if evaluation.rule_id == rule_id]
    return reason


@pytest.mark.parametrize(
    ("rule_id", "record", "reason"),
    [
        ("owner", {"owner": "risk-team"}, "The recorded owner is 'risk-team'."),
        (
            "owner",
            {},
            "No owner is recorded. Add the tag `owner` to the version or its model, with the person or team that "
            "answers for it.",
        ),
        (
            "production-privacy-assessment",
            PERSONAL,
            "No privacy assessment is recorded for a model in use or in staging that uses personal data. "
            "Add the tag `privacy_assessment_status` to the version.",
        ),
        (
            "production-privacy-assessment",
            {**PERSONAL, "privacy_assessment_status": "completed"},
            "The privacy assessment has no date. The privacy assessment of a model that uses personal data is recorded "
            "as 'completed'. Set the tag `privacy_assessment_status` of the version to the status and its date as "
            "year-month-day.",
        ),
        (
            "production-privacy-assessment",
            {**PERSONAL, "privacy_assessment_status": "expired"},
            "The recorded privacy assessment is 'expired', but a model in use or in staging that uses personal data "
            "needs a completed one of the last 1095 days. Complete the assessment and set the tag "
            "`privacy_assessment_status` to completed and its date, or take the version out of use.",
        ),
        (
            "production-privacy-assessment",
            {**PERSONAL, "privacy_assessment_status": "ask Maria"},
            "The value 'ask Maria' of `privacy_assessment_status` is not recognized, so the rule is undecided. Use "
            "completed, in_progress, not_done, not_required or expired, or add the value to the tenant's `mapping`.",
        ),
        (
            "production-privacy-assessment",
            PRODUCTION,
            "No data sensitivity is recorded for a model in use or in staging, so it is unknown whether it uses "
            "personal data. Add the tag `data_sensitivity` to the version or its model.",
        ),
        (
            "production-privacy-assessment",
            {},
            "The rule applies to models in use or in staging that use personal data. Lifecycle stage of this version: "
            "not recorded. Deployment status: not recorded. Recorded data sensitivity: not recorded.",
        ),
        (
            "recent-training",
            {**PRODUCTION, "training_ended_at": datetime(2024, 3, 8, 9, 30, tzinfo=UTC)},
            "Training ended on 2024-03-08 09:30 UTC, which exceeds the limit of 365 days. Train the model again on "
            "newer data, or show that it still performs as required and waive the rule with that evidence.",
        ),
        (
            "pinned-packages",
            {
                "lifecycle_stage": "development",
                "runtime_environment": {
                    "packages": [{"name": "numpy", "pinned": True}, {"name": "scipy", "pinned": False}],
                    "problems": [],
                },
            },
            "Packages without an exact version: 'scipy'. "
            "Log the model with `pip_requirements` that pin each package with ==.",
        ),
        (
            "evaluation-evidence",
            {
                **PRODUCTION,
                "evidence_files": [
                    {"kind": "evaluation report", "path": "report.html", "size": 900, "sha256": "ab"},
                    {"kind": "evaluation report", "path": "unhashed.html", "size": 900, "sha256": None},
                ],
            },
            "An evaluation report is recorded and hashed. Files: 'report.html'.",
        ),
        (
            "safe-serialization",
            {
                **PRODUCTION,
                "runtime_environment": {"serialization_format": "cloudpickle"},
                "artifact_manifest": {"files": [{"root": "model", "path": "model.pkl", "kind": "model binary"}]},
            },
            "The model is stored as a pickle, which can run code when it is loaded. Recorded serialization format: "
            "'cloudpickle'. Pickle files: 'model.pkl'. Log the model in skops, safetensors, ONNX or the format of its "
            "library, or have it signed and waive the rule with that as the reason.",
        ),
        (
            "artifact-integrity",
            {"artifact_manifest": {"file_count": 5, "digest": None, "changed_in_place_count": 2}},
            "Files of this version changed in place after they were first read. Number of changes: 2. Find out who "
            "changed them and why, register the intended files as a new version, and have that version assessed.",
        ),
    ],
)
def test_a_sentence_says_what_was_found_and_what_to_do(
    rule_id: str, record: dict[str, Json | datetime], reason: str
) -> None:
    assert reason_of(rule_id, record) == reason


def test_a_sentence_quotes_the_findings_that_matter_to_the_rule() -> None:
    secret: dict[str, Json] = {"kind": "secret redacted", "field": None, "sentence": "the param 'token' held a secret"}
    other: dict[str, Json] = {"kind": "conflict", "field": "owner", "sentence": "two tags\nname an owner"}

    assert reason_of("no-secrets", {}, (other, secret)) == (
        "A secret was found: the param 'token' held a secret. "
        "Revoke and replace the secret, then remove it from MLflow."
    )


def test_a_sentence_on_an_incomplete_record_names_what_could_not_be_read() -> None:
    no_run = UnreadObject("run", ("the training run could not be read: HTTP 403",), ("metrics",))

    assert reason_of("no-secrets", {}, incomplete=(no_run,)) == (
        "No secret was recognized in what could be read. Part of the record could not be read: the training run could "
        "not be read: HTTP 403. The rule is decided once it can be read."
    )
    assert reason_of("complete-record", {}, incomplete=(no_run,)) == (
        "The record of this version is incomplete: the training run could not be read: HTTP 403. Grant the tenant's "
        "account READ permission if a request was refused; otherwise sync again."
    )


CASES = {
    Verdict.PASS: {ReasonCase.PASS},
    Verdict.FAIL: {ReasonCase.FAIL},
    Verdict.NOT_APPLICABLE: {ReasonCase.NOT_APPLICABLE},
    Verdict.NOT_EVIDENCED: {ReasonCase.NOT_EVIDENCED, ReasonCase.INCONCLUSIVE, ReasonCase.SCOPE_UNKNOWN},
    Verdict.NOT_READ: {ReasonCase.NOT_READ},
}


@pytest.mark.parametrize("rule", POLICY.rules, ids=lambda rule: rule.id)
def test_a_rule_states_its_own_sentence_for_each_verdict_that_it_can_give(rule: Rule) -> None:
    for example in rule.examples:
        assert CASES[example.verdict] & rule.reasons.keys(), example.verdict
        reason = evaluate_example(POLICY, rule, example).reason
        assert not any(phrase in reason for phrase in ("Found: ", "Expected: ", "MLflow shows no", "entries"))
        assert reason.endswith(".")


@pytest.mark.parametrize("rule", POLICY.rules, ids=lambda rule: rule.id)
def test_a_sentence_on_a_gap_names_an_action(rule: Rule) -> None:
    for case in {ReasonCase.FAIL, *CASES[Verdict.NOT_EVIDENCED]} & rule.reasons.keys():
        of_conditions = bool(rule.conditions) and case in (ReasonCase.FAIL, ReasonCase.INCONCLUSIVE)

        assert len(rule.reasons[case].split(". ")) + of_conditions >= 2, case


def test_a_reason_is_written_again_when_only_its_wording_changes() -> None:
    rule = POLICY.rules[0]
    reworded = rule.model_copy(update={"reasons": {**rule.reasons, ReasonCase.NOT_EVIDENCED: "Name an owner."}})
    subject = Example(verdict=Verdict.NOT_EVIDENCED).subject()

    before, after = (
        Evaluator(POLICY.model_copy(update={"rules": (version,)})).evaluate_subject(subject)[0]
        for version in (rule, reworded)
    )

    assert before.fingerprint() != after.fingerprint()
    assert before.result().input_hash == after.result().input_hash
