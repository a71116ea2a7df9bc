"""Judges records by a policy. Pure: a record goes in, one result per rule comes out, and it never raises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from typing import Final, TypeAlias, cast

from cel_expr_python import cel

from verifywise_mlflow.compliance.input_hash import input_body, input_hash, kept_json, rule_digest
from verifywise_mlflow.compliance.reason_text import missing, seen
from verifywise_mlflow.compliance.rules.cel_expression import EvaluationError, Expression, compiled
from verifywise_mlflow.compliance.rules.cel_variables import Evidence, Shown, Subject, evidence_of
from verifywise_mlflow.compliance.rules.field_paths import THRESHOLDS, TODAY, Path, at, dotted, selection_of
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merged
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json

REVISION: Final = 2
"""Raised with each change of how rules are evaluated, or of what is kept beside a verdict: all are then judged anew."""

_LONGEST_KEY: Final = 300
"""Characters of an origin's key. MLflow's own limit is 250; another server may have none."""
_ALWAYS: Final = "true"


_Members: TypeAlias = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    digest: str
    applies: Expression
    evidenced: Expression
    requires: Expression
    kept: _Members
    """What is kept beside its verdict, out of the evaluator's paths, in the order of canonical JSON."""
    origins: _Members
    """Whose origins are kept, out of the evaluator's names."""
    thresholds_json: str
    uses_today: bool


class Evaluator:
    """A policy, ready to judge any number of records on one day."""

    def __init__(self, policy: Policy | RuleSet, *, today: date | None = None) -> None:
        """Compile it. Without a day, what looks at ``today`` is not evidenced."""
        rules = policy if isinstance(policy, RuleSet) else merged([policy])
        self._thresholds, self._today = rules.thresholds, today
        self._paths: dict[Path, int] = {}
        """Every value that is kept beside some verdict, with its place: each is written once a record."""
        self._names: dict[str, int] = {}
        """The same of every origin."""
        self._rules = tuple(self._compiled(rule) for rule in rules.rules)
        self._keys = tuple((path, f"{quoted(dotted(path))}:") for path in self._paths)
        expressions = (one for rule in self._rules for one in (rule.applies, rule.evidenced, rule.requires))
        self.selection = selection_of(path for one in expressions for path in one.paths)
        """What the rules look at, together."""

    def _compiled(self, rule: Rule) -> _CompiledRule:
        expressions = [compiled(text) for text in (rule.applies, rule.evidenced, rule.requires)]
        applies, evidenced, requires = expressions
        paths = dict.fromkeys(path for one in expressions for path in one.paths)
        fields = {path[0] for path in paths} & set(FIELDS)
        names = sorted({*fields, *(".".join(path[:2]) for path in paths if path[0] in fields and path[1:])})
        kept = sorted((path for path in paths if path[0] not in (THRESHOLDS, TODAY)), key=dotted)
        used = {name: self._thresholds[name] for one in expressions for name in one.thresholds}
        return _CompiledRule(
            rule=rule,
            digest=rule_digest(rule),
            applies=applies,
            evidenced=evidenced,
            requires=requires,
            kept=_members([self._paths.setdefault(path, len(self._paths)) for path in kept]),
            origins=_members([self._names.setdefault(name, len(self._names)) for name in names]),
            thresholds_json=json.dumps(used, sort_keys=True, separators=(",", ":")),
            uses_today=any(one.uses_today for one in expressions),
        )

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
        evidence = evidence_of(subject, self.selection, thresholds=self._thresholds, today=self._today)
        of_record = _OfRecord(subject, evidence, self._today, self._keys, self._names)
        return [of_record.judgement(rule) for rule in self._rules]


class _OfRecord:
    """One record while it is judged. Rules share expressions and values: each is looked at once."""

    __slots__ = ("_activation", "_holding", "_kept", "_origins", "day", "evidence", "unread")

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
        self._activation: cel.Activation = evidence.activation()
        self._holding: dict[str, bool | EvaluationError | None] = {_ALWAYS: True}
        self._kept = [_kept_json(path, key, evidence.shown) for path, key in paths]
        origins = subject.origins or {}
        self._origins = [_origin_json(name, origins.get(name)) for name in names]

    def judgement(self, rule: _CompiledRule) -> Judgement:
        verdict, decisive, error = self._judged(rule)
        values_json = f"{{{','.join(filter(None, rule.kept(self._kept)))}}}"
        origins_json = f"{{{','.join(filter(None, rule.origins(self._origins)))}}}"
        body = input_body(rule.digest, rule.thresholds_json, values_json)
        return Judgement(self, rule, verdict, decisive, error, values_json, origins_json, body)

    def _judged(self, rule: _CompiledRule) -> tuple[Verdict, Expression, EvaluationError | None]:
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
            met = self.holds(decisive)
        except EvaluationError as error:
            return Verdict.ERROR, decisive, error
        return Verdict.NOT_EVIDENCED if met is None else Verdict.PASS if met else Verdict.FAIL, decisive, None

    def holds(self, expression: Expression) -> bool | None:
        """Return whether an expression holds.

        Raises:
            EvaluationError: it cannot be evaluated on this record.
        """
        text = expression.text
        if text in self._holding:
            held = self._holding[text]
        else:
            try:
                held = expression.holds(self._activation)
            except EvaluationError as error:
                held = error
            self._holding[text] = held
        if isinstance(held, EvaluationError):
            raise held
        return held


def _members(places: Sequence[int]) -> _Members:
    """Return what takes the members at these places out of a list."""
    if len(places) > 1:
        return cast("_Members", itemgetter(*places))
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


def _kept_json(path: Path, key: str, shown: Mapping[str, Shown]) -> str:
    """Return what is kept of the value at a path; nothing where there is none, which is not the same as a null."""
    if len(path) == 1:
        return key + kept_json(shown[path[0]])
    found, value = at(path, shown)
    return key + kept_json(cast("Shown", value)) if found else ""


def _origin_json(name: str, origin: Mapping[str, object] | None) -> str:
    if origin is None:
        return ""
    key, source = str(origin.get("key"))[:_LONGEST_KEY], str(origin.get("source"))
    return f'{quoted(name)}:{{"key":{quoted(key)},"source":{quoted(source)}}}'


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
        said = f"{self.verdict}\0{unread}\0{self.origins_json}\0{self._body}"
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
            thresholds_json=rule.thresholds_json,
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
