"""The policy that comes with the package. Each rule's examples, which stand beside it, are its test."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.policy import Example, Rule, default_policy
from verifywise_mlflow.compliance.verdict import Verdict

RULES = default_policy().rules


@pytest.mark.parametrize(
    ("rule", "example"),
    [
        pytest.param(rule, example, id=f"{rule.id}-{number}-{example.verdict}")
        for rule in RULES
        for number, example in enumerate(rule.examples, start=1)
    ],
)
def test_a_rule_gives_the_verdicts_of_its_examples(rule: Rule, example: Example) -> None:
    results = {result.rule_id: result for result in Evaluator(default_policy()).evaluate(example.canonical_record())}

    assert results[rule.id].verdict == example.verdict, results[rule.id].reason


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_has_examples_of_meeting_it_and_of_missing_evidence(rule: Rule) -> None:
    assert {Verdict.PASS, Verdict.NOT_EVIDENCED} <= {example.verdict for example in rule.examples}


def test_it_holds_these_rules() -> None:
    assert [rule.id for rule in RULES] == [
        "production-privacy-assessment",
        "high-risk-category",
        "owner",
        "reproducible-environment",
        "production-baseline-metrics",
        "artifact-integrity",
        "model-signature",
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_rule_claims_the_article_on_operating_logs(rule: Rule) -> None:
    # Article 12 asks for the event logs of the running system; MLflow has none of them.
    assert not any(reference.clause.startswith("Art. 12") for reference in rule.references)
