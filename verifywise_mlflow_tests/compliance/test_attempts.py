"""Attempts to fool the default policy, through the normalizer and the evaluator."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow_tests.compliance.attempts import EVIDENCE, Attempt, attempts, results


@pytest.mark.parametrize("attempt", attempts(), ids=lambda attempt: f"{attempt.rule}-{attempt.title}")
def test_an_attempt_gets_the_verdict_that_it_deserves(attempt: Attempt) -> None:
    result = attempt.result()

    assert result.verdict is attempt.verdict, result.reason


def test_without_an_attempt_each_rule_passes() -> None:
    # Otherwise an attempt could get its verdict for another reason than the one it is listed for.
    bases = {attempt.rule: attempt.base for attempt in attempts()}

    verdicts = {rule: results({**EVIDENCE, **base})[rule].verdict for rule, base in bases.items()}

    assert {rule for rule, verdict in verdicts.items() if verdict is not Verdict.PASS} == set()


def test_the_table_has_at_least_a_hundred_attempts() -> None:
    assert len({(attempt.rule, attempt.title) for attempt in attempts()}) == len(attempts()) > 100


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
