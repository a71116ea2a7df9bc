"""Attempts to fool the default policy, through the normalizer and the evaluator."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.badge import Badge, version_badge
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow_tests.compliance.attempts import EVIDENCE, Attempt, attempts, results


@pytest.mark.parametrize("attempt", attempts(), ids=lambda attempt: f"{attempt.rule}-{attempt.title}")
def test_an_attempt_gets_the_verdict_that_it_deserves(attempt: Attempt) -> None:
    result = attempt.result()

    assert result.verdict is attempt.verdict, result.reason


def test_without_an_attempt_each_rule_passes() -> None:
    # Otherwise an attempt could get its verdict for another reason than the listed reason.
    bases = {attempt.rule: attempt.base for attempt in attempts()}

    verdicts = {rule: results({**EVIDENCE, **base})[rule].verdict for rule, base in bases.items()}

    assert {rule for rule, verdict in verdicts.items() if verdict is not Verdict.PASS} == set()


def test_with_all_evidence_the_badge_is_green() -> None:
    assert version_badge(results(EVIDENCE).values(), complete=True) is Badge.EVIDENCE_COMPLETE


def test_words_that_say_nothing_leave_every_rule_open_that_they_are_for() -> None:
    words: dict[str, str | float | None] = {
        "version tag owner": "TBD",
        "version tag business_purpose": "n/a",
        "version tag approved_by": "rejected by Ada",
        "version tag security_assessment": "failed",
        "version tag dpia": "completed? 2099-01-01",
        "run tag mlflow.source.git.commit": "0000000",
        "file evaluation/report.json": 0,
        "metric recall_subgroup_women": None,
        "metric recall_subgroup_men": None,
        "metric subgroup_dummy": 0,
    }

    verdicts = {rule: result.verdict for rule, result in results({**EVIDENCE, **words}).items()}

    assert {rule for rule, verdict in verdicts.items() if verdict is Verdict.FAIL} >= {
        "production-approver",
        "production-security-assessment",
    }
    assert {rule for rule, verdict in verdicts.items() if verdict is Verdict.NOT_EVIDENCED} >= {
        *("owner", "business-purpose", "production-privacy-assessment", "code-commit"),
        *("evaluation-evidence", "subgroup-metrics"),
    }


def test_the_table_has_at_least_120_attempts() -> None:
    assert len({(attempt.rule, attempt.title) for attempt in attempts()}) == len(attempts()) >= 120


def test_the_reason_of_each_placeholder_names_its_text() -> None:
    # The user of the training run fills the field `owner` instead, so that reason is about the user.
    unexplained = [
        attempt.title
        for attempt in attempts()
        if attempt.why.startswith("a placeholder") and attempt.verdict is Verdict.NOT_EVIDENCED
        if attempt.rule != "owner"
        if not any(f"is '{text}', a placeholder" in attempt.result().reason for text in attempt.changes.values())
    ]

    assert unexplained == []
