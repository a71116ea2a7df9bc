"""Evaluates records against a policy. Pure: it takes a record, returns one result for each rule, and never raises."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Final

from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.input_hash import rule_digest, wording_digest
from verifywise_mlflow.compliance.metric_interpretation import MeasureReader
from verifywise_mlflow.compliance.reason_text import ReasonWriter
from verifywise_mlflow.compliance.record_evaluation import CompiledRule, RecordEvaluation, RuleEvaluation
from verifywise_mlflow.compliance.rule_budget import RuleCost
from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.evidence import EvidenceReader
from verifywise_mlflow.compliance.rules.field_paths import (
    MEASURES,
    STATED,
    THRESHOLDS,
    TODAY,
    UNREAD,
    dotted,
    field_of,
    selection_of,
)
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.compliance.stored_values import StoredValues
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import UnreadObject

EVALUATION_REVISION: Final = 7
"""Increase it when the evaluation of rules, the badge or the data stored with a verdict changes: all living records are
then evaluated again. If only the text of reasons changes, increase ``REASON_REVISION`` in ``reason_text.py``."""


class Evaluator:
    """A compiled policy that evaluates any number of records on one day."""

    def __init__(
        self, policy: Policy | RuleSet, *, today: date | None = None, within_budget: Collection[str] = ()
    ) -> None:
        """Prepare the evaluation; rules are compiled when the first record is evaluated.

        Args:
            policy: the rules.
            today: the day of the evaluation. Without a day, conditions that read ``today`` are not evidenced.
            within_budget: the IDs of rules that are skipped on a record if they may exceed the budget (rule_budget.py).
        """
        rules = policy if isinstance(policy, RuleSet) else merge_policies([policy])
        self._policy, self._thresholds, self._today = rules, rules.thresholds, today
        self._measures = MeasureReader(rules.levels)
        self._within_budget = frozenset(within_budget)
        expressions = (expression for rule in rules.rules for expression in rule.expressions.values())
        self.selection = selection_of(path for expression in expressions for path in expression.paths)
        """All values that the rules read, as one selection."""
        self._evidence = EvidenceReader(
            self.selection, thresholds=self._thresholds, measures=self._measures, today=self._today
        )

    @cached_property
    def _compilation(self) -> tuple[Sequence[CompiledRule], StoredValues]:
        """The compiled rules and their stored values. Computed at the first evaluation: most syncs evaluate nothing."""
        stored = StoredValues()
        return [self._compiled(rule, stored) for rule in self._policy.rules], stored

    def _compiled(self, rule: Rule, values: StoredValues) -> CompiledRule:
        applies, evidenced, requires, *conditions = expressions = tuple(rule.expressions.values())
        paths = dict.fromkeys(path for expression in expressions for path in expression.paths)
        fields = {field_of(path) for path in paths if path[0] != STATED} & set(FIELDS)
        names = sorted({*fields, *(".".join(path[:2]) for path in paths if path[0] in fields and path[1:])})
        stored = sorted((path for path in paths if path[0] not in (THRESHOLDS, TODAY)), key=dotted)
        thresholds = {name: self._thresholds[name] for expression in expressions for name in expression.thresholds}
        if any(path[0] == MEASURES for path in paths):
            thresholds |= self._measures.levels
        return CompiledRule(
            rule=rule,
            reason=ReasonWriter(rule),
            digest=rule_digest(rule),
            wording=wording_digest(rule),
            applies=applies,
            evidenced=evidenced,
            requires=requires,
            conditions=tuple(
                (expression, condition.otherwise == "fail")
                for expression, condition in zip(conditions, rule.conditions, strict=True)
            ),
            pick_values=values.value_picker(stored),
            pick_origins=values.origin_picker(names),
            pick_known=values.known_picker(sorted({path[0] for path in stored if path[1:]})),
            fields=frozenset(map(field_of, paths)),
            thresholds_json=canonical_json(thresholds),
            uses_today=any(expression.uses_today for expression in expressions),
            reads_unread=any(path[0] == UNREAD for path in stored),
            unread_position=bisect([dotted(path) for path in stored], UNREAD),
            cost=RuleCost.of(rule) if rule.id in self._within_budget else None,
        )

    def evaluate(
        self,
        record: CanonicalRecord,
        incomplete: Sequence[UnreadObject] = (),
        findings: Sequence[Mapping[str, Json]] = (),
        origins: Mapping[str, Mapping[str, object]] | None = None,
    ) -> tuple[RuleResult, ...]:
        """Return the result of each rule, in the policy's order.

        Args:
            record: the record to evaluate.
            incomplete: the objects that could not be read.
            findings: the facts that look wrong.
            origins: the provenance of the values.
        """
        subject = Subject(record, incomplete, findings, origins)
        return tuple(evaluation.result() for evaluation in self.evaluate_subject(subject))

    def evaluate_subject(self, subject: Subject) -> list[RuleEvaluation]:
        """Return the same results as ``evaluate``, but compute on demand the parts that only a changed verdict needs.

        The reason is such a part. A rule that may exceed its budget on this record is left out.
        """
        rules, stored = self._compilation
        record = RecordEvaluation(subject, self._evidence.read(subject), self._today, stored)
        return [evaluation for rule in rules if (evaluation := record.evaluate(rule))]

    def failed(self, subject: Subject, errors: Mapping[str, str]) -> list[RuleEvaluation]:
        """Return the verdict ``error`` for these rules, without evaluating them.

        Args:
            subject: the record.
            errors: rule ID to the reason, as a clause.
        """
        rules, stored = self._compilation
        record = RecordEvaluation(subject, self._evidence.read(subject), self._today, stored)
        return [
            record.failed(rule, CelEvaluationError(errors[rule.rule.id])) for rule in rules if rule.rule.id in errors
        ]
