"""Judges records by a policy. Pure: a record goes in, one result per rule comes out, and it never raises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cel_expr_python import cel

from verifywise_mlflow.compliance.evidence import Evidence, evidence_of
from verifywise_mlflow.compliance.expressions import EvaluationError, Expression, compiled
from verifywise_mlflow.compliance.policy import Policy
from verifywise_mlflow.compliance.reasons import missing, seen
from verifywise_mlflow.compliance.rules import Rule
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.record import CanonicalRecord, Json


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    applies: Expression
    evidenced: Expression
    requires: Expression
    fields: tuple[str, ...]


class Evaluator:
    """A policy, ready to judge any number of records."""

    def __init__(self, policy: Policy) -> None:
        self._rules = tuple(_compiled_rule(rule) for rule in policy.rules)
        self._fields = frozenset(field for rule in self._rules for field in rule.fields)

    def evaluate(self, record: CanonicalRecord, incomplete: Sequence[str] = ()) -> tuple[RuleResult, ...]:
        """Return the verdict of each rule, in the policy's order.

        Args:
            record: what is judged.
            incomplete: what could not be read of it, as sentences; the first is told where a rule lacks evidence.
        """
        evidence = evidence_of(record, self._fields)
        activation = evidence.activation()
        unread = f" Part of the record could not be read: {incomplete[0].rstrip('.')}." if incomplete else ""
        results = []
        for rule in self._rules:
            verdict, reason = _judged(rule, evidence, activation)
            if verdict is Verdict.NOT_EVIDENCED:
                reason += unread
            values = {field: _json(getattr(record, field)) for field in rule.fields}
            results.append(RuleResult(rule.rule.id, rule.rule.version, verdict, reason, values))
        return tuple(results)


def _judged(rule: _CompiledRule, evidence: Evidence, activation: cel.Activation) -> tuple[Verdict, str]:
    try:
        applies = rule.applies.holds(activation)
        if applies is None:
            return Verdict.NOT_EVIDENCED, f"Not known whether it applies: {missing(rule.applies, evidence)}."
        if not applies:
            return Verdict.NOT_APPLICABLE, f"Does not apply: {seen(rule.applies, evidence)}."
        settled = rule.evidenced.holds(activation)
        if settled is None:
            return Verdict.NOT_EVIDENCED, f"Not evidenced: {missing(rule.evidenced, evidence)}."
        if not settled:
            return Verdict.NOT_EVIDENCED, f"Not evidenced: {seen(rule.evidenced, evidence)}, which does not settle it."
        met = rule.requires.holds(activation)
    except EvaluationError as error:
        return Verdict.ERROR, f"Could not be evaluated: {error}."
    if met is None:
        return Verdict.NOT_EVIDENCED, f"Not evidenced: {missing(rule.requires, evidence)}."
    if met:
        return Verdict.PASS, f"Met: {seen(rule.requires, evidence)}."
    return Verdict.FAIL, f"Not met: {seen(rule.requires, evidence)}."


def _json(value: Json | datetime) -> Json:
    return value.isoformat() if isinstance(value, datetime) else value


def _compiled_rule(rule: Rule) -> _CompiledRule:
    expressions = [compiled(text) for text in (rule.applies, rule.evidenced, rule.requires)]
    fields = tuple(dict.fromkeys(field for expression in expressions for field in expression.fields))
    applies, evidenced, requires = expressions
    return _CompiledRule(rule, applies, evidenced, requires, fields)
