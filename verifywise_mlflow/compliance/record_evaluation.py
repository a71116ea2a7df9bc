"""Evaluates the rules of a policy on one record. Pure, and never raises.

Rules often read the same values on many versions: no findings, the same packages, the same person. So a rule keeps its
last decisions and reuses them for equal inputs. The inputs are all data that determine the verdict. They are stored
with the verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias

from verifywise_mlflow.compliance.input_hash import hash_body, hash_input_body, value_json
from verifywise_mlflow.compliance.reason_text import ReasonWriter, error_text
from verifywise_mlflow.compliance.rule_budget import RecordBudget, RuleCost
from verifywise_mlflow.compliance.rules.cel_closures import NO_SCOPE
from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError, CelExpression
from verifywise_mlflow.compliance.rules.cel_operations import LIBRARY, MISSING
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.evidence import Evidence
from verifywise_mlflow.compliance.rules.field_paths import UNREAD
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.stored_values import Members, Picker, StoredValues
from verifywise_mlflow.compliance.unread_evidence import UnreadEvidence
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.unread_object import UnreadObject

MAX_KEPT_DECISIONS: Final = 100
"""The maximum number of decisions that a rule keeps. At 2 kB per decision, a policy of 50 rules keeps 10 MB."""

_Inputs: TypeAlias = tuple[Members, Members, Members]
_ALWAYS: Final = "true"

_UNDECIDED_IF_UNREAD: Final = (Verdict.NOT_EVIDENCED, Verdict.NOT_APPLICABLE)
"""The verdicts that may depend on the absence of an object that could not be read."""

_CASES: Final[Mapping[Verdict, ReasonCase]] = {
    verdict: ReasonCase(verdict) for verdict in Verdict if verdict is not Verdict.ERROR
}


@dataclass(slots=True)
class _Decision:
    """A verdict with all data that depend only on the rule's inputs."""

    verdict: Verdict
    decisive: CelExpression
    error: CelEvaluationError | None
    unread: tuple[UnreadObject, ...]
    """The unread objects that the verdict depends on."""
    values_json: str
    origins_json: str
    body: str
    """The hash input without the day."""
    fingerprint: str = ""
    """The fingerprint of the verdict. Like the result, it is computed on demand."""
    result: RuleResult | None = None


class Decisions:
    """The last decisions of one rule, by the rule's inputs. If the inputs rarely repeat, no decisions are kept."""

    __slots__ = ("_by_inputs", "_repetitions", "are_useful")

    def __init__(self) -> None:
        """Create it empty."""
        self.are_useful = True
        """Whether inputs repeat often enough for a lookup to save time."""
        self._by_inputs: dict[_Inputs, _Decision] = {}
        self._repetitions = 0

    def find(self, inputs: _Inputs) -> _Decision | None:
        """Return the decision on equal inputs."""
        decision = self._by_inputs.get(inputs)
        if decision is not None:
            self._repetitions += 1
        return decision

    def add(self, inputs: _Inputs, decision: _Decision) -> None:
        """Keep a decision."""
        if len(self._by_inputs) >= MAX_KEPT_DECISIONS:
            self.are_useful = self._repetitions >= MAX_KEPT_DECISIONS
            self._by_inputs.clear()
            self._repetitions = 0
        if self.are_useful:
            self._by_inputs[inputs] = decision


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, and the data that depend only on the rule."""

    rule: Rule
    reason: ReasonWriter
    digest: str
    wording: str
    """Digest of the parts of the rule that determine the text of the reason."""
    applies: CelExpression
    evidenced: CelExpression
    requires: CelExpression
    conditions: tuple[tuple[CelExpression, bool], ...]
    """Each condition, with whether a false one fails the rule."""
    pick_values: Picker
    """Selects, from the record's values, the values to store with the verdict, in the order of canonical JSON."""
    pick_origins: Picker
    """Selects, from the record's origins, the origins to store with the verdict."""
    pick_known: Picker
    """Selects the known variables among the variables whose members the rule reads: ``has()`` distinguishes a missing
    member from a missing variable."""
    fields: frozenset[str]
    """The fields that the rule names."""
    thresholds_json: str
    uses_today: bool
    reads_unread: bool
    """Whether an expression names ``unread``. Then ``unread`` is among the values."""
    unread_position: int
    """The place of ``unread`` among the values, for a verdict that depends on an unread object without naming it."""
    cost: RuleCost | None = None
    """The rule's possible cost, if it may only be evaluated within a budget."""
    decisions: Decisions = field(default_factory=Decisions)


class RecordEvaluation:
    """The evaluation of one record. An expression or value that several rules share is evaluated once."""

    __slots__ = (
        *("_budget", "_known", "_not_in_values", "_origins", "_results", "_unread", "_values", "_variables"),
        *("activation", "day", "evidence", "quotes"),
    )

    def __init__(self, subject: Subject, evidence: Evidence, day: date | None, stored: StoredValues) -> None:
        self.evidence, self.day = evidence, day
        self.activation = evidence.activation()
        self._variables = self.activation.variables
        self._budget = RecordBudget(self._variables)
        self.quotes: dict[str, str] = {}
        self._unread = UnreadEvidence(subject.incomplete, self.activation) if subject.incomplete else None
        self._results: dict[str, bool | CelEvaluationError | None] = {_ALWAYS: True}
        self._values = stored.values(evidence.raw)
        self._origins = stored.origins(subject.origins or {})
        self._known = stored.known(evidence.known)
        self._not_in_values = {*evidence.unrecognized, *evidence.without_value}
        """The fields whose texts a reason may quote although the verdict does not store them."""

    def evaluate(self, rule: CompiledRule) -> RuleEvaluation | None:
        """Return the verdict of a rule, or None if the rule has a budget and may exceed it on this record."""
        decisions = rule.decisions
        if self._unread or not decisions.are_useful or not self._not_in_values.isdisjoint(rule.fields):
            return RuleEvaluation(self, rule, self._decide(rule, None)) if self._is_affordable(rule) else None
        inputs = (rule.pick_values(self._values), rule.pick_origins(self._origins), rule.pick_known(self._known))
        decision = decisions.find(inputs)
        if decision is None:
            if not self._is_affordable(rule):
                return None
            decision = self._decide(rule, None)
            decisions.add(inputs, decision)
        return RuleEvaluation(self, rule, decision)

    def failed(self, rule: CompiledRule, error: CelEvaluationError) -> RuleEvaluation:
        """Return the verdict ``error`` for a rule that cannot be evaluated."""
        return RuleEvaluation(self, rule, self._decide(rule, error))

    def _is_affordable(self, rule: CompiledRule) -> bool:
        """Return whether this process may evaluate a rule and its sentences, within the budget and without the library.

        The rule's costly conditions are evaluated here, so that no later step needs the library.
        """
        cost = rule.cost
        if cost is None:
            return True
        if self._unread or not self._budget.take(cost.bounds):  # an unread object makes evaluations repeat
            return False
        for condition in cost.conditions:
            if condition.text not in self._results:
                outcome = condition.closure(self._variables, NO_SCOPE)
                if outcome is not MISSING and outcome is not True and outcome is not False:
                    return False
                self._results[condition.text] = None if outcome is MISSING else outcome
        return all(value.translated_value(self._variables) is not LIBRARY for value in cost.values)

    def _decide(self, rule: CompiledRule, error: CelEvaluationError | None) -> _Decision:
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
            values = (*values[: rule.unread_position], f'"{UNREAD}":{kinds}', *values[rule.unread_position :])
        values_json = f"{{{','.join(filter(None, values))}}}"
        origins_json = f"{{{','.join(filter(None, rule.pick_origins(self._origins)))}}}"
        body = hash_input_body(rule.digest, rule.thresholds_json, values_json)
        return _Decision(verdict, decisive, error, unread, values_json, origins_json, body)

    def _verdict(self, rule: CompiledRule) -> tuple[Verdict, CelExpression, CelEvaluationError | None]:
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
            # A false condition explains more than an unknown condition.
            return Verdict.NOT_EVIDENCED, min(unmet, key=lambda entry: self.holds(entry[0]) is None)[0], None
        return Verdict.NOT_EVIDENCED if is_met is None else Verdict.PASS if is_met else Verdict.FAIL, decisive, None

    def holds(self, expression: CelExpression) -> bool | None:
        """Return whether a condition holds.

        Raises:
            CelEvaluationError: the condition cannot be evaluated on this record.
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
        """Return whether a condition is false. A condition that cannot be evaluated is not false."""
        try:
            return self.holds(condition) is False
        except CelEvaluationError:
            return False


class RuleEvaluation:
    """A verdict. The parts that only a changed verdict needs are computed on demand."""

    __slots__ = ("_decision", "_record", "_rule")

    def __init__(self, record: RecordEvaluation, rule: CompiledRule, decision: _Decision) -> None:
        """Store the decision, and the record and the rule from which its reason is written."""
        self._record, self._rule, self._decision = record, rule, decision

    @property
    def rule_id(self) -> str:
        """The rule's id."""
        return self._rule.rule.id

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self._decision.verdict

    def fingerprint(self) -> str:
        """Return a hash of all parts except the day. A verdict with an unchanged fingerprint is not written."""
        decision = self._decision
        if not decision.fingerprint:
            verdict, unread, wording = decision.verdict, self._unread_text(), self._rule.wording
            content = f"{verdict}\0{unread}\0{decision.origins_json}\0{wording}\0{decision.body}"
            digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
            decision.fingerprint = digest[:32]
        return decision.fingerprint

    def result(self) -> RuleResult:
        """Return the verdict with its reason and its evidence."""
        if self._decision.result is None:
            self._decision.result = self._complete_result()
        return self._decision.result

    def _complete_result(self) -> RuleResult:
        decision, rule = self._decision, self._rule
        day = self._record.day if rule.uses_today else None
        return RuleResult(
            rule_id=rule.rule.id,
            rule_version=rule.rule.version,
            verdict=decision.verdict,
            reason=self._reason(),
            values_json=decision.values_json,
            origins_json=decision.origins_json,
            thresholds_json=rule.thresholds_json,
            day=day,
            input_hash=hash_body(decision.body, day),
        )

    def _reason(self) -> str:
        decision = self._decision
        if decision.verdict is Verdict.ERROR:
            return error_text(decision.error)
        text = self._rule.reason.text(self._case(), decision.decisive, self._record)
        return text + self._unread_text() if decision.unread else text

    def _unread_text(self) -> str:
        if not self._decision.unread:
            return ""
        sentences = "; ".join(unread.sentences[0].rstrip(".") for unread in self._decision.unread)
        return f" Part of the record could not be read: {sentences}. The rule is decided once it can be read."

    def _case(self) -> ReasonCase:
        decision = self._decision
        if decision.verdict is not Verdict.NOT_EVIDENCED:
            return _CASES[decision.verdict]
        if self._record.holds(decision.decisive) is False:
            return ReasonCase.INCONCLUSIVE
        return ReasonCase.SCOPE_UNKNOWN if decision.decisive is self._rule.applies else ReasonCase.NOT_EVIDENCED
