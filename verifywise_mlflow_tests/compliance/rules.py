"""Rules and their results for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import Policy, Reference, Rule, Severity
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import Condition
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import UnreadObject


def rule_with(
    requires: str,
    *,
    rule_id: str = "rule",
    applies: str = "true",
    evidenced: str = "true",
    conditions: Sequence[Condition] = (),
    reason_values: Mapping[str, str] | None = None,
    reasons: Mapping[ReasonCase, str] | None = None,
) -> Rule:
    """Return a rule with these expressions and sentences."""
    return Rule(
        id=rule_id,
        version=3,
        title="A title",
        severity=Severity.LOW,
        rationale="A rationale.",
        remedy="A remedy.",
        applies=applies,
        evidenced=evidenced,
        requires=requires,
        conditions=tuple(conditions),
        reason_values=reason_values or {},
        reasons=reasons or {},
        references=(Reference(framework="NIST AI RMF", clause="GOVERN 2.1", confidence="high"),),
    )


def evaluate(rule: Rule, record: CanonicalRecord, incomplete: Sequence[UnreadObject] = ()) -> RuleResult:
    """Return the result of one rule on a record."""
    policy = Policy(id="ours", version=1, title="A policy", rules=(rule,))
    return Evaluator(policy).evaluate(record, incomplete)[0]
