"""Judges records by a policy. Pure: a record goes in, one result per rule comes out, and it never raises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from cel_expr_python import cel

from verifywise_mlflow.compliance.evidence import Evidence, Subject, evidence_of
from verifywise_mlflow.compliance.expressions import EvaluationError, Expression, compiled
from verifywise_mlflow.compliance.paths import STATED, THRESHOLDS, TODAY, Path, at, dotted, selection_of
from verifywise_mlflow.compliance.policy import Policy
from verifywise_mlflow.compliance.reasons import missing, seen
from verifywise_mlflow.compliance.rules import Rule
from verifywise_mlflow.compliance.ruleset import RuleSet, merged
from verifywise_mlflow.compliance.seen_values import input_body, input_hash, kept_json, rule_digest
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json

REVISION: Final = 2
"""Raised with each change of how rules are evaluated, or of what is kept beside a verdict: all are then judged anew."""

_LONGEST_KEY: Final = 300
"""Characters of an origin's key. MLflow's own limit is 250; another server may have none."""
_ALWAYS: Final = "true"


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    digest: str
    applies: Expression
    evidenced: Expression
    requires: Expression
    kept: tuple[tuple[str, Path], ...]
    """What is kept beside its verdict, by its key, in the order of the keys."""
    origins: tuple[str, ...]
    """Whose origins are kept, in the order of the names."""
    thresholds: Mapping[str, float]
    thresholds_json: str
    uses_today: bool


class Evaluator:
    """A policy, ready to judge any number of records on one day."""

    def __init__(self, policy: Policy | RuleSet, *, today: date | None = None) -> None:
        """Compile it. Without a day, what looks at ``today`` is not evidenced."""
        rules = policy if isinstance(policy, RuleSet) else merged([policy])
        self._thresholds, self._today = rules.thresholds, today
        self._rules = tuple(_compiled_rule(rule, rules.thresholds) for rule in rules.rules)
        self.selection = selection_of(path for rule in self._rules for one in _expressions(rule) for path in one.paths)
        """What the rules look at, together."""

    def evaluate(
        self,
        record: CanonicalRecord,
        incomplete: Sequence[str] = (),
        findings: Sequence[Mapping[str, Json]] = (),
        origins: Mapping[str, Mapping[str, object]] | None = None,
    ) -> tuple[RuleResult, ...]:
        """Return the verdict of each rule, in the policy's order.

        Args:
            record: what is judged.
            incomplete: what could not be read of it, as sentences; the first is told where a rule lacks evidence.
            findings: what was read but looks wrong.
            origins: where the values came from.
        """
        return tuple(one.result() for one in self.judge(Subject(record, incomplete, findings, origins)))

    def judge(self, subject: Subject) -> list[Judgement]:
        """Return the same, with all that is only needed of a verdict that is new still to be made."""
        of_record = _OfRecord(
            subject, evidence_of(subject, self.selection, thresholds=self._thresholds, today=self._today), self._today
        )
        return [of_record.judgement(rule) for rule in self._rules]


class _OfRecord:
    """One record while it is judged. Rules share expressions and values: each is looked at once."""

    __slots__ = ("_activation", "_holding", "_kept", "_origins", "day", "evidence", "subject", "unread")

    def __init__(self, subject: Subject, evidence: Evidence, day: date | None) -> None:
        self.subject, self.evidence, self.day = subject, evidence, day
        incomplete = subject.incomplete
        self.unread = f" Part of the record could not be read: {incomplete[0].rstrip('.')}." if incomplete else ""
        self._activation: cel.Activation = evidence.activation()
        self._holding: dict[str, bool | EvaluationError | None] = {}
        self._kept: dict[Path, str | None] = {}
        self._origins: dict[str, str] = {}

    def judgement(self, rule: _CompiledRule) -> Judgement:
        verdict, decisive, error = self._judged(rule)
        values = ",".join(
            [f"{key}:{written}" for key, path in rule.kept if (written := self._kept_json(path)) is not None]
        )
        origins = ",".join(filter(None, [self._origin_json(name) for name in rule.origins]))
        body = input_body(rule.digest, rule.thresholds_json, f"{{{values}}}")
        return Judgement(self, rule, verdict, decisive, error, f"{{{values}}}", f"{{{origins}}}", body)

    def _judged(self, rule: _CompiledRule) -> tuple[Verdict, Expression, EvaluationError | None]:
        """Return the verdict, and the expression that decided it."""
        decisive = rule.applies
        try:
            applies = self._holds(decisive)
            if not applies:
                return Verdict.NOT_EVIDENCED if applies is None else Verdict.NOT_APPLICABLE, decisive, None
            decisive = rule.evidenced
            if not self._holds(decisive):
                return Verdict.NOT_EVIDENCED, decisive, None
            decisive = rule.requires
            met = self._holds(decisive)
        except EvaluationError as error:
            return Verdict.ERROR, decisive, error
        return Verdict.NOT_EVIDENCED if met is None else Verdict.PASS if met else Verdict.FAIL, decisive, None

    def holds(self, expression: Expression) -> bool | None:
        """Return whether an expression holds; it was looked at before."""
        return self._holds(expression)

    def _holds(self, expression: Expression) -> bool | None:
        text = expression.text
        if text == _ALWAYS:
            return True
        try:
            held = self._holding[text]
        except KeyError:
            try:
                held = expression.holds(self._activation)
            except EvaluationError as error:
                held = error
            self._holding[text] = held
        if isinstance(held, EvaluationError):
            raise held
        return held

    def _kept_json(self, path: Path) -> str | None:
        try:
            return self._kept[path]
        except KeyError:
            pass
        if path[0] == STATED:  # not a member that may be missing: it is known, or it is not
            written: str | None = kept_json(at(path, self.evidence.shown)[1])  # type: ignore[arg-type]  # a truth value
        else:
            found, value = at(path, self.evidence.shown)
            written = kept_json(value) if found else None  # type: ignore[arg-type]  # what is shown is Shown
        self._kept[path] = written
        return written

    def _origin_json(self, name: str) -> str:
        written = self._origins.get(name)
        if written is None:
            origin = (self.subject.origins or {}).get(name)
            written = ""
            if origin is not None:
                key, source = str(origin.get("key"))[:_LONGEST_KEY], str(origin.get("source"))
                written = f'{quoted(name)}:{{"key":{quoted(key)},"source":{quoted(source)}}}'
            self._origins[name] = written
        return written


@dataclass(slots=True)
class Judgement:
    """A verdict, and what its result can be made of."""

    _record: _OfRecord
    _rule: _CompiledRule
    verdict: Verdict
    _decisive: Expression
    _error: EvaluationError | None
    values_json: str
    origins_json: str
    _body: str

    @property
    def rule_id(self) -> str:
        """Which rule's it is."""
        return self._rule.rule.id

    def fingerprint(self) -> str:
        """Return a hash of all that is said, but for the day: a verdict that is the same again needs no writing."""
        unread = self._record.unread if self.verdict is Verdict.NOT_EVIDENCED else ""
        said = f"{self.verdict.value}\0{unread}\0{self.origins_json}\0{self._body}"
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def result(self) -> RuleResult:
        """Return the verdict with its reason and all that it rests on."""
        rule, day = self._rule, self._record.day if self._rule.uses_today else None
        return RuleResult(
            rule_id=rule.rule.id,
            rule_version=rule.rule.version,
            verdict=self.verdict,
            reason=self._reason(),
            values_json=self.values_json,
            origins_json=self.origins_json,
            thresholds=rule.thresholds,
            day=day,
            input_hash=input_hash(self._body, day),
        )

    def _reason(self) -> str:
        rule, decisive, evidence = self._rule, self._decisive, self._record.evidence
        match self.verdict:
            case Verdict.ERROR:
                return f"Could not be evaluated: {self._error}."
            case Verdict.NOT_APPLICABLE:
                return f"Does not apply: {seen(decisive, evidence)}."
            case Verdict.PASS:
                return f"Met: {seen(decisive, evidence)}."
            case Verdict.FAIL:
                return f"Not met: {seen(decisive, evidence)}."
            case Verdict.NOT_EVIDENCED:
                if self._record.holds(decisive) is False:
                    told = f"Not evidenced: {seen(decisive, evidence)}, which does not settle it."
                elif decisive is rule.applies:
                    told = f"Not known whether it applies: {missing(decisive, evidence)}."
                else:
                    told = f"Not evidenced: {missing(decisive, evidence)}."
                return told + self._record.unread


def _expressions(rule: _CompiledRule) -> tuple[Expression, ...]:
    return (rule.applies, rule.evidenced, rule.requires)


def _compiled_rule(rule: Rule, thresholds: Mapping[str, float]) -> _CompiledRule:
    applies, evidenced, requires = (compiled(text) for text in (rule.applies, rule.evidenced, rule.requires))
    paths = dict.fromkeys(path for one in (applies, evidenced, requires) for path in one.paths)
    names = {path[0] for path in paths}
    kept = sorted((dotted(path), path) for path in paths if path[0] not in (THRESHOLDS, TODAY))
    used = {name: thresholds[name] for one in (applies, evidenced, requires) for name in one.thresholds}
    return _CompiledRule(
        rule=rule,
        digest=rule_digest(rule),
        applies=applies,
        evidenced=evidenced,
        requires=requires,
        kept=tuple((json.dumps(key), path) for key, path in kept),
        origins=tuple(sorted({*(names & set(FIELDS)), *(".".join(path[:2]) for path in paths if path[1:])})),
        thresholds=used,
        thresholds_json=json.dumps(used, sort_keys=True, separators=(",", ":")),
        uses_today=TODAY in names,
    )
