"""Evaluates records against a policy. Pure: takes a record, returns one result per rule, and never raises."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from typing import Final, TypeAlias, cast

from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.compliance.input_hash import hash_body, hash_input_body, rule_digest, value_json, wording_digest
from verifywise_mlflow.compliance.reason_text import error_text, reason_text
from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError, CelExpression, compile_expression
from verifywise_mlflow.compliance.rules.cel_variables import CelValue, Evidence, Subject, evidence_of
from verifywise_mlflow.compliance.rules.field_paths import (
    ORIGINS,
    THRESHOLDS,
    TODAY,
    Path,
    dotted,
    selection_of,
    value_at,
)
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import EXPRESSION_FIELDS, Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json

EVALUATION_REVISION: Final = 6
"""Increase it when the evaluation of rules, the badge or the data stored with a verdict changes: all living records are
then evaluated again."""

_MAX_ORIGIN_KEY_LENGTH: Final = 300
"""Characters of a key, and of a text that is no value. MLflow's own limit is 250; another server may have none."""
_ALWAYS: Final = "true"

_Picker: TypeAlias = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    digest: str
    wording: str
    """Digest of the parts of the rule that determine the text of the reason."""
    applies: CelExpression
    evidenced: CelExpression
    requires: CelExpression
    pick_values: _Picker
    """Selects the values to store with the verdict from those of the evaluator, in the order of canonical JSON."""
    pick_origins: _Picker
    """Selects the origins to store with the verdict from those of the evaluator."""
    thresholds_json: str
    uses_today: bool


class Evaluator:
    """A compiled policy that evaluates any number of records on one day."""

    def __init__(self, policy: Policy | RuleSet, *, today: date | None = None) -> None:
        """Compile the policy. Without a day, conditions that read ``today`` are not evidenced."""
        rules = policy if isinstance(policy, RuleSet) else merge_policies([policy])
        self._thresholds, self._today = rules.thresholds, today
        self._paths: dict[Path, int] = {}
        """Every value that is stored with some verdict, with its index: each is serialized once per record."""
        self._names: dict[str, int] = {}
        """Every origin that is stored with some verdict, with its index."""
        self._rules = tuple(self._compiled(rule) for rule in rules.rules)
        self._keys = tuple((path, f"{quoted(dotted(path))}:") for path in self._paths)
        expressions = (
            expression for rule in self._rules for expression in (rule.applies, rule.evidenced, rule.requires)
        )
        self.selection = selection_of(path for expression in expressions for path in expression.paths)
        """The values that the rules read, together."""

    def _compiled(self, rule: Rule) -> _CompiledRule:
        expressions = [compile_expression(getattr(rule, field)) for field in EXPRESSION_FIELDS]
        applies, evidenced, requires = expressions
        paths = dict.fromkeys(path for expression in expressions for path in expression.paths)
        fields = {path[1] if path[0] == ORIGINS and path[1:] else path[0] for path in paths} & set(FIELDS)
        names = sorted({*fields, *(".".join(path[:2]) for path in paths if path[0] in fields and path[1:])})
        stored = sorted((path for path in paths if path[0] not in (THRESHOLDS, TODAY)), key=dotted)
        thresholds = {name: self._thresholds[name] for expression in expressions for name in expression.thresholds}
        return _CompiledRule(
            rule=rule,
            digest=rule_digest(rule),
            wording=wording_digest(rule),
            applies=applies,
            evidenced=evidenced,
            requires=requires,
            pick_values=_picker([self._paths.setdefault(path, len(self._paths)) for path in stored]),
            pick_origins=_picker([self._names.setdefault(name, len(self._names)) for name in names]),
            thresholds_json=canonical_json(thresholds),
            uses_today=any(expression.uses_today for expression in expressions),
        )

    def evaluate(
        self,
        record: CanonicalRecord,
        incomplete: Sequence[str] = (),
        findings: Sequence[Mapping[str, Json]] = (),
        origins: Mapping[str, Mapping[str, object]] | None = None,
    ) -> tuple[RuleResult, ...]:
        """Return the result of each rule, in the policy's order.

        Args:
            record: the record to evaluate.
            incomplete: what could not be read, as sentences; the first is quoted where a rule lacks evidence.
            findings: what was read but looks wrong.
            origins: the provenance of the values.
        """
        subject = Subject(record, incomplete, findings, origins)
        return tuple(evaluation.result() for evaluation in self.evaluate_subject(subject))

    def evaluate_subject(self, subject: Subject) -> list[RuleEvaluation]:
        """Return the same results; they compute on demand what only a changed verdict needs, such as its reason."""
        evidence = evidence_of(subject, self.selection, thresholds=self._thresholds, today=self._today)
        record = _RecordEvaluation(subject, evidence, self._today, self._keys, self._names)
        return [record.evaluate(rule) for rule in self._rules]

    def failed(self, subject: Subject, errors: Mapping[str, str]) -> list[RuleEvaluation]:
        """Return the verdict ``error`` for these rules, without evaluating them.

        Args:
            subject: the record.
            errors: rule ID to the reason, as a clause.
        """
        evidence = evidence_of(subject, self.selection, thresholds=self._thresholds, today=self._today)
        record = _RecordEvaluation(subject, evidence, self._today, self._keys, self._names)
        return [
            record.evaluate(rule, CelEvaluationError(errors[rule.rule.id]))
            for rule in self._rules
            if rule.rule.id in errors
        ]


class _RecordEvaluation:
    """The evaluation of one record. Rules share expressions and values: each is evaluated once."""

    __slots__ = ("_origins", "_results", "_values", "activation", "day", "evidence", "unread")

    def __init__(
        self,
        subject: Subject,
        evidence: Evidence,
        day: date | None,
        paths: Iterable[tuple[Path, str]],
        names: Iterable[str],
    ) -> None:
        self.evidence, self.day = evidence, day
        incomplete = subject.incomplete
        self.unread = f" Part of the record could not be read: {incomplete[0].rstrip('.')}." if incomplete else ""
        self.activation = evidence.activation()
        self._results: dict[str, bool | CelEvaluationError | None] = {_ALWAYS: True}
        self._values = [_member_json(path, key, evidence.raw) for path, key in paths]
        origins = subject.origins or {}
        self._origins = [_origin_json(name, origins.get(name)) for name in names]

    def evaluate(self, rule: _CompiledRule, error: CelEvaluationError | None = None) -> RuleEvaluation:
        """Return the verdict of a rule; with an error, that the rule cannot be evaluated."""
        decisive, verdict = rule.requires, Verdict.ERROR
        if error is None:
            verdict, decisive, error = self._verdict(rule)
        values_json = f"{{{','.join(filter(None, rule.pick_values(self._values)))}}}"
        origins_json = f"{{{','.join(filter(None, rule.pick_origins(self._origins)))}}}"
        body = hash_input_body(rule.digest, rule.thresholds_json, values_json)
        return RuleEvaluation(self, rule, verdict, decisive, error, values_json, origins_json, body)

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
            decisive = rule.requires
            is_met = self.holds(decisive)
        except CelEvaluationError as error:
            return Verdict.ERROR, decisive, error
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
            try:
                result = expression.holds(self.activation)
            except CelEvaluationError as error:
                result = error
            self._results[text] = result
        if isinstance(result, CelEvaluationError):
            raise result
        return result


def _picker(indexes: Sequence[int]) -> _Picker:
    """Return a function that takes the members at these indexes from a list."""
    if len(indexes) > 1:
        return cast("_Picker", itemgetter(*indexes))
    return itemgetter(slice(indexes[0], indexes[0] + 1) if indexes else slice(0))


def _member_json(path: Path, key: str, raw: Mapping[str, CelValue]) -> str:
    """Return the JSON member that is stored for a path; empty where there is no value, which differs from null."""
    if len(path) == 1:
        return key + value_json(raw[path[0]])
    exists, value = value_at(path, raw)
    return key + value_json(cast("CelValue", value)) if exists else ""


def _origin_json(name: str, origin: Mapping[str, object] | None) -> str:
    if origin is None:
        return ""
    key, source = str(origin.get("key"))[:_MAX_ORIGIN_KEY_LENGTH], str(origin.get("source"))
    if state := origin.get("state"):
        raw = str(origin.get("raw"))[:_MAX_ORIGIN_KEY_LENGTH]
        why = f'"raw":{quoted(raw)},"source":{quoted(source)},"state":{quoted(str(state))}'
        return f'{quoted(name)}:{{"key":{quoted(key)},{why}}}'
    return f'{quoted(name)}:{{"key":{quoted(key)},"source":{quoted(source)}}}'


@dataclass(slots=True)
class RuleEvaluation:
    """A verdict, and the inputs of its full result."""

    _record: _RecordEvaluation
    _rule: _CompiledRule
    verdict: Verdict
    _decisive: CelExpression
    _error: CelEvaluationError | None
    values_json: str
    origins_json: str
    _body: str

    @property
    def rule_id(self) -> str:
        """The rule's id."""
        return self._rule.rule.id

    def fingerprint(self) -> str:
        """Return a hash of everything but the day: a verdict with the stored fingerprint is not written again."""
        unread = self._record.unread if self.verdict is Verdict.NOT_EVIDENCED else ""
        content = f"{self.verdict}\0{unread}\0{self.origins_json}\0{self._rule.wording}\0{self._body}"
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
        record = self._record
        text = reason_text(self._rule.rule, self._case(), self._decisive, record.evidence, record.activation)
        return text + record.unread if self.verdict is Verdict.NOT_EVIDENCED else text

    def _case(self) -> ReasonCase:
        if self.verdict is not Verdict.NOT_EVIDENCED:
            return ReasonCase(self.verdict.value)
        if self._record.holds(self._decisive) is False:
            return ReasonCase.INCONCLUSIVE
        return ReasonCase.SCOPE_UNKNOWN if self._decisive is self._rule.applies else ReasonCase.NOT_EVIDENCED
