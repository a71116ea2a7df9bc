"""Evaluates records against a policy. Pure: takes a record, returns one result per rule, and never raises."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.compliance.input_hash import hash_body, hash_input_body, rule_digest, value_json, wording_digest
from verifywise_mlflow.compliance.measures import MeasureReader
from verifywise_mlflow.compliance.reason_text import ReasonWriter, error_text
from verifywise_mlflow.compliance.rules.cel_closures import NO_SCOPE
from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError, CelExpression
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.evidence import Evidence, EvidenceReader
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
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.compliance.stored_values import Picker, StoredValues
from verifywise_mlflow.compliance.unread_evidence import UnreadEvidence
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json
from verifywise_mlflow.normalizer.unread_object import UnreadObject

EVALUATION_REVISION: Final = 6
"""Increase it when the evaluation of rules, the badge or the data stored with a verdict changes: all living records are
then evaluated again."""

_ALWAYS: Final = "true"

_UNDECIDED_IF_UNREAD: Final = (Verdict.NOT_EVIDENCED, Verdict.NOT_APPLICABLE)
"""The verdicts that may rest on the absence of something that could not be read."""


_CASES: Final[Mapping[Verdict, ReasonCase]] = {
    verdict: ReasonCase(verdict) for verdict in Verdict if verdict is not Verdict.ERROR
}


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    reason: ReasonWriter
    digest: str
    wording: str
    """Digest of the parts of the rule that determine the text of the reason."""
    applies: CelExpression
    evidenced: CelExpression
    requires: CelExpression
    conditions: tuple[tuple[CelExpression, bool], ...]
    """Each with whether the rule fails where it is false."""
    pick_values: Picker
    """Selects the values to store with the verdict from those of the evaluator, in the order of canonical JSON."""
    pick_origins: Picker
    """Selects the origins to store with the verdict from those of the evaluator."""
    thresholds_json: str
    uses_today: bool
    reads_unread: bool
    """Whether an expression names ``unread``, which is then among the values."""
    unread_position: int
    """The place of ``unread`` among the values, for a verdict that rests on an unread object without naming it."""


class Evaluator:
    """A compiled policy that evaluates any number of records on one day."""

    def __init__(self, policy: Policy | RuleSet, *, today: date | None = None) -> None:
        """Compile the policy. Without a day, conditions that read ``today`` are not evidenced."""
        rules = policy if isinstance(policy, RuleSet) else merge_policies([policy])
        self._thresholds, self._today = rules.thresholds, today
        self._measures = MeasureReader(rules.levels)
        self._stored = StoredValues()
        self._rules = tuple(self._compiled(rule) for rule in rules.rules)
        expressions = (expression for rule in self._rules for expression in rule.rule.expressions.values())
        self.selection = selection_of(path for expression in expressions for path in expression.paths)
        """The values that the rules read, together."""
        self._evidence = EvidenceReader(
            self.selection, thresholds=self._thresholds, measures=self._measures, today=self._today
        )

    def _compiled(self, rule: Rule) -> _CompiledRule:
        applies, evidenced, requires, *conditions = expressions = tuple(rule.expressions.values())
        paths = dict.fromkeys(path for expression in expressions for path in expression.paths)
        fields = {field_of(path) for path in paths if path[0] != STATED} & set(FIELDS)
        names = sorted({*fields, *(".".join(path[:2]) for path in paths if path[0] in fields and path[1:])})
        stored = sorted((path for path in paths if path[0] not in (THRESHOLDS, TODAY)), key=dotted)
        thresholds = {name: self._thresholds[name] for expression in expressions for name in expression.thresholds}
        if any(path[0] == MEASURES for path in paths):
            thresholds |= self._measures.levels
        return _CompiledRule(
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
            pick_values=self._stored.value_picker(stored),
            pick_origins=self._stored.origin_picker(names),
            thresholds_json=canonical_json(thresholds),
            uses_today=any(expression.uses_today for expression in expressions),
            reads_unread=any(path[0] == UNREAD for path in stored),
            unread_position=bisect([dotted(path) for path in stored], UNREAD),
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
            findings: what was read but looks wrong.
            origins: the provenance of the values.
        """
        subject = Subject(record, incomplete, findings, origins)
        return tuple(evaluation.result() for evaluation in self.evaluate_subject(subject))

    def evaluate_subject(self, subject: Subject) -> list[RuleEvaluation]:
        """Return the same results; they compute on demand what only a changed verdict needs, such as its reason."""
        record = _RecordEvaluation(subject, self._evidence.read(subject), self._today, self._stored)
        return [record.evaluate(rule) for rule in self._rules]

    def failed(self, subject: Subject, errors: Mapping[str, str]) -> list[RuleEvaluation]:
        """Return the verdict ``error`` for these rules, without evaluating them.

        Args:
            subject: the record.
            errors: rule ID to the reason, as a clause.
        """
        record = _RecordEvaluation(subject, self._evidence.read(subject), self._today, self._stored)
        return [
            record.evaluate(rule, CelEvaluationError(errors[rule.rule.id]))
            for rule in self._rules
            if rule.rule.id in errors
        ]


class _RecordEvaluation:
    """The evaluation of one record. Rules share expressions and values: each is evaluated once."""

    __slots__ = ("_origins", "_results", "_unread", "_values", "_variables", "activation", "day", "evidence", "quotes")

    def __init__(self, subject: Subject, evidence: Evidence, day: date | None, stored: StoredValues) -> None:
        self.evidence, self.day = evidence, day
        self.activation = evidence.activation()
        self._variables = self.activation.variables
        self.quotes: dict[str, str] = {}
        self._unread = UnreadEvidence(subject.incomplete, self.activation) if subject.incomplete else None
        self._results: dict[str, bool | CelEvaluationError | None] = {_ALWAYS: True}
        self._values = stored.values(evidence.raw)
        self._origins = stored.origins(subject.origins or {})

    def evaluate(self, rule: _CompiledRule, error: CelEvaluationError | None = None) -> RuleEvaluation:
        """Return the verdict of a rule; with an error, that the rule cannot be evaluated."""
        decisive, verdict = rule.requires, Verdict.ERROR
        unread: tuple[UnreadObject, ...] = ()
        if error is None:
            verdict, decisive, error = self._verdict(rule)
            if self._unread and verdict in _UNDECIDED_IF_UNREAD:
                is_scope = verdict is Verdict.NOT_APPLICABLE
                unread = (self._unread.behind_scope if is_scope else self._unread.behind_missing_evidence)(decisive)
                verdict = Verdict.NOT_READ if unread else verdict
        values = rule.pick_values(self._values)
        if unread and not rule.reads_unread:
            kinds = value_json([of_kind.kind for of_kind in unread])
            values = [*values[: rule.unread_position], f'"{UNREAD}":{kinds}', *values[rule.unread_position :]]
        values_json = f"{{{','.join(filter(None, values))}}}"
        origins_json = f"{{{','.join(filter(None, rule.pick_origins(self._origins)))}}}"
        body = hash_input_body(rule.digest, rule.thresholds_json, values_json)
        return RuleEvaluation(self, rule, verdict, decisive, error, unread, values_json, origins_json, body)

    def _verdict(self, rule: _CompiledRule) -> tuple[Verdict, CelExpression, CelEvaluationError | None]:
        """Return the verdict, and the expression that decided it."""
        decisive = rule.applies
        try:
            applies = self.holds(decisive)
            if not applies:
                return Verdict.NOT_EVIDENCED if applies is None else Verdict.NOT_APPLICABLE, decisive, None
            decisive = rule.evidenced
            if not self.holds(decisive):
                return Verdict.NOT_EVIDENCED, decisive, None
            unmet = []
            for decisive, is_failure in rule.conditions:
                if not (holds := self.holds(decisive)):
                    unmet.append((decisive, is_failure and holds is False))
            if failed := [expression for expression, is_failure in unmet if is_failure]:
                return Verdict.FAIL, failed[0], None
            decisive = rule.requires
            is_met = self.holds(decisive)
        except CelEvaluationError as error:
            return Verdict.ERROR, decisive, error
        if is_met is not None and unmet:
            # A false one says more than an unknown one.
            return Verdict.NOT_EVIDENCED, min(unmet, key=lambda entry: self.holds(entry[0]) is None)[0], None
        return Verdict.NOT_EVIDENCED if is_met is None else Verdict.PASS if is_met else Verdict.FAIL, decisive, None

    def holds(self, expression: CelExpression) -> bool | None:
        """Return whether a condition holds.

        Raises:
            CelEvaluationError: it cannot be evaluated on this record.
        """
        text = expression.text
        if text in self._results:
            result = self._results[text]
        else:
            outcome = expression.closure(self._variables, NO_SCOPE)
            if outcome is True or outcome is False:  # the common case, without a call in between
                self._results[text] = outcome
                return outcome
            try:
                result = expression.holds(self.activation)
            except CelEvaluationError as error:
                result = error
            self._results[text] = result
        if isinstance(result, CelEvaluationError):
            raise result
        return result

    def is_false(self, condition: CelExpression) -> bool:
        """Return whether a condition is false; not so if it cannot be evaluated."""
        try:
            return self.holds(condition) is False
        except CelEvaluationError:
            return False


@dataclass(slots=True)
class RuleEvaluation:
    """A verdict, and the inputs of its full result."""

    _record: _RecordEvaluation
    _rule: _CompiledRule
    verdict: Verdict
    _decisive: CelExpression
    _error: CelEvaluationError | None
    _unread: tuple[UnreadObject, ...]
    """The objects that could not be read and that the verdict rests on."""
    values_json: str
    origins_json: str
    _body: str

    @property
    def rule_id(self) -> str:
        """The rule's id."""
        return self._rule.rule.id

    def fingerprint(self) -> str:
        """Return a hash of everything but the day: a verdict with the stored fingerprint is not written again."""
        content = f"{self.verdict}\0{self._unread_text()}\0{self.origins_json}\0{self._rule.wording}\0{self._body}"
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def result(self) -> RuleResult:
        """Return the verdict with its reason and its evidence."""
        rule, day = self._rule, self._record.day if self._rule.uses_today else None
        return RuleResult(
            rule_id=rule.rule.id,
            rule_version=rule.rule.version,
            verdict=self.verdict,
            reason=self._reason(),
            values_json=self.values_json,
            origins_json=self.origins_json,
            thresholds_json=rule.thresholds_json,
            day=day,
            input_hash=hash_body(self._body, day),
        )

    def _reason(self) -> str:
        if self.verdict is Verdict.ERROR:
            return error_text(self._error)
        text = self._rule.reason.text(self._case(), self._decisive, self._record)
        return text + self._unread_text() if self._unread else text

    def _unread_text(self) -> str:
        if not self._unread:
            return ""
        sentences = "; ".join(unread.sentences[0].rstrip(".") for unread in self._unread)
        return f" Part of the record could not be read: {sentences}. The rule is decided once it can be read."

    def _case(self) -> ReasonCase:
        if self.verdict is not Verdict.NOT_EVIDENCED:
            return _CASES[self.verdict]
        if self._record.holds(self._decisive) is False:
            return ReasonCase.INCONCLUSIVE
        return ReasonCase.SCOPE_UNKNOWN if self._decisive is self._rule.applies else ReasonCase.NOT_EVIDENCED
