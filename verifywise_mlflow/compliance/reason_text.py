"""The reason of a verdict, for a governance officer: what was found, what was expected and what to do.

A rule states its own sentences in ``reasons``. For every outcome without one, and for values that the normalizer does
not recognize, the sentence is generated from the values that the deciding expression reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, cast

from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.rules.cel_expression import CelExpression, ValueExpression
from verifywise_mlflow.compliance.rules.cel_variables import USE_NOT_SHOWN, Activation, CelValue
from verifywise_mlflow.compliance.rules.evidence import Evidence
from verifywise_mlflow.compliance.rules.field_paths import (
    CONTEXT_VARIABLES,
    FINDINGS,
    FINDINGS_ABOUT,
    FINDINGS_OF_KIND,
    INCOMPLETE,
    ORIGINS,
    STATED,
    UNREAD,
    Path,
    dotted,
    value_at,
)
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase, SentenceTemplate
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.normalizer.origin import ValueState
from verifywise_mlflow.normalizer.record import FIELDS_ABOUT_USE, NORMAL_FORMS

REASON_REVISION: Final = 1
"""Increase it when this module words a reason or quotes a value differently. All living records are then evaluated
again, and their verdicts are stored with the new text. Otherwise, an unchanged verdict keeps its stored reason."""
_MAX_VALUE_LENGTH = 80
"""The maximum number of characters of a value that a sentence quotes; the record has the whole value."""
_MAX_QUOTED_ENTRIES = 3
_ENTRY_NAMES = ("sentence", "path", "name")
"""A sentence names an entry of a list by one of these members: a finding's sentence, a file's path, a package's
name."""
_FINDINGS = (FINDINGS, FINDINGS_OF_KIND, FINDINGS_ABOUT)
_ABOUT_USE: tuple[Path, ...] = tuple((field,) for field in FIELDS_ABOUT_USE)
_DENIALS = (ValueState.NEGATIVE, ValueState.FAILED)
_CASES_WITHOUT_VALUE = (
    ReasonCase.NOT_EVIDENCED,
    ReasonCase.INCONCLUSIVE,
    ReasonCase.SCOPE_UNKNOWN,
    ReasonCase.NOT_READ,
)


class RecordState(Protocol):
    """The evaluation of one record. Reasons are written from it."""

    @property
    def evidence(self) -> Evidence:
        """The evidence about the record."""

    @property
    def activation(self) -> Activation:
        """The evidence in the form of CEL variables."""

    @property
    def quotes(self) -> dict[str, str]:
        """Value expression to the text that sentences quote. Cached, since many rules quote the same values."""

    def is_false(self, condition: CelExpression) -> bool:
        """Return whether a condition is false on the record."""


class ReasonWriter:
    """Writes the reasons of one rule. The parts that depend only on the rule and the outcome are computed once."""

    def __init__(self, rule: Rule) -> None:
        """Store the rule."""
        self._rule = rule
        self._outcomes: dict[tuple[ReasonCase, str], _Outcome] = {}

    def text(self, case: ReasonCase, decisive: CelExpression, record: RecordState) -> str:
        """Return the sentences for an outcome.

        Args:
            case: the outcome.
            decisive: the expression that decided it.
            record: the evaluation of the record.
        """
        outcome = self._outcomes.get((case, decisive.text))
        if outcome is None:
            outcome = self._outcomes[case, decisive.text] = _outcome(self._rule, case, decisive)
        evidence = record.evidence
        if outcome.recognizable and evidence.unrecognized:
            unrecognized = [name for name in outcome.recognizable if name in evidence.unrecognized]
            if unrecognized:
                return " ".join(_unrecognized_text(name, evidence) for name in unrecognized)
        text = _render(outcome.templates, record) or _GENERATED[case](self._rule, decisive, evidence)
        if not evidence.without_value:
            return text
        return " ".join([*_texts_without_value(case, outcome.fields, evidence), text])


@dataclass(frozen=True, slots=True)
class _Outcome:
    templates: Sequence[SentenceTemplate]
    """The rule's own sentences."""
    recognizable: tuple[str, ...]
    """The fields whose value is the reason if it is not a normal form."""
    fields: tuple[str, ...]
    """The fields whose text may be no value."""


def _outcome(rule: Rule, case: ReasonCase, decisive: CelExpression) -> _Outcome:
    is_missing = case in (ReasonCase.NOT_EVIDENCED, ReasonCase.SCOPE_UNKNOWN)
    recognizable = [path[0] for path in map(_without_stated, decisive.paths)] if is_missing else []
    # The rule's own sentence for missing evidence is about ``requires``, not about an unknown condition.
    is_unknown_condition = case is ReasonCase.NOT_EVIDENCED and any(
        row.holds == decisive.text for row in rule.conditions
    )
    fields = [path[1] if path[0] in (STATED, ORIGINS) and path[1:] else path[0] for path in decisive.paths]
    return _Outcome(
        () if is_unknown_condition else rule.reason_templates.get(case, ()),
        tuple(dict.fromkeys(recognizable)),
        tuple(dict.fromkeys(fields)),
    )


def error_text(error: Exception | None) -> str:
    """Return the sentence for a rule that could not be evaluated."""
    return (
        f"The rule could not be evaluated: {str(error).rstrip('.')}. "
        "Correct the expression of the rule, or the value that it reads."
    )


def _render(templates: Sequence[SentenceTemplate], record: RecordState) -> str:
    """Join the sentences. A sentence with a condition is included only if the condition is false."""
    sentences = []
    for template in templates:
        if template.unless is None or record.is_false(template.unless):
            parts = [part if type(part) is str else _quoted_value(part, record) for part in template.parts]  # type: ignore[arg-type]  # mypy knows no types that are compared
            sentences.append("".join(parts))
    return " ".join(sentences)


def _quoted_value(expression: ValueExpression, record: RecordState) -> str:
    quotes = record.quotes
    if (text := quotes.get(expression.text)) is None:
        text = quotes[expression.text] = _shown_value(expression, record.activation)
    return text


def _shown_value(expression: ValueExpression, activation: Activation) -> str:
    value = expression.value(activation)
    if value == USE_NOT_SHOWN and len(expression.paths) == 1 and expression.paths[0] in _ABOUT_USE:
        value = None
    if isinstance(value, list):
        are_sentences = all(path[0] in (*_FINDINGS, INCOMPLETE) for path in expression.paths)
        entries = [_printable(str(entry)) if are_sentences else _inline(entry) for entry in value[:_MAX_QUOTED_ENTRIES]]
        more = [f"{len(value) - len(entries)} more"] if len(value) > len(entries) else []
        return ("; " if are_sentences else ", ").join([*entries, *more]) or "none"
    return _inline(value)


def _inline(value: CelValue) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, dict):
        return _entries(value) or "none"
    return _quoted(value) if isinstance(value, str) else str(value)


def _unrecognized_text(name: str, evidence: Evidence) -> str:
    return (
        f"The value {_quoted(evidence.unrecognized[name])} of `{name}` is not recognized, so the rule is undecided. "
        f"Use {_any_of(NORMAL_FORMS[name])}, or add the value to the tenant's `mapping`."
    )


def _texts_without_value(case: ReasonCase, fields: Iterable[str], evidence: Evidence) -> Iterator[str]:
    """Yield a sentence for each deciding field whose text is not a value."""
    for text in (evidence.without_value[field] for field in fields if field in evidence.without_value):
        if case in _CASES_WITHOUT_VALUE or (case is ReasonCase.FAIL and text.state in _DENIALS):
            yield (
                f"The {escape_invisible(text.source)} {_quoted(text.key)} is {_quoted(text.raw)}, {text.state.clause}, "
                "which counts as no value."
            )


def _pass_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    return f"Found: {_known_values(decisive, evidence)}. This meets the requirement: {_title(rule)}."


def _fail_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    return f"Found: {_known_values(decisive, evidence)}. {_expected(rule)}"


def _not_evidenced_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    return f"{_missing_values(decisive, evidence)}. {_expected(rule)}"


def _inconclusive_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    return f"Found: {_known_values(decisive, evidence)}. This does not settle the matter. {_expected(rule)}"


def _scope_unknown_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    del rule
    return (
        f"It is unknown whether the rule applies. {_missing_values(decisive, evidence)}. "
        "Record the value in MLflow so that the rule can be decided."
    )


def _not_read_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    del rule
    fields = [path[0] for path in map(_without_stated, decisive.paths) if path[0] in evidence.unread]
    if not fields:
        return "What the rule checks could not be read completely, so it is undecided."
    return f"It is unknown whether MLflow shows {_any_of(dict.fromkeys(fields))}, so the rule is undecided."


def _not_applicable_text(rule: Rule, decisive: CelExpression, evidence: Evidence) -> str:
    del rule
    return f"The rule does not apply to this version: {_known_values(decisive, evidence)}."


_GENERATED: dict[ReasonCase, Callable[[Rule, CelExpression, Evidence], str]] = {
    ReasonCase.PASS: _pass_text,
    ReasonCase.FAIL: _fail_text,
    ReasonCase.NOT_EVIDENCED: _not_evidenced_text,
    ReasonCase.INCONCLUSIVE: _inconclusive_text,
    ReasonCase.SCOPE_UNKNOWN: _scope_unknown_text,
    ReasonCase.NOT_READ: _not_read_text,
    ReasonCase.NOT_APPLICABLE: _not_applicable_text,
}


def _title(rule: Rule) -> str:
    return rule.title.rstrip(".")


def _expected(rule: Rule) -> str:
    return f"Expected: {_title(rule)}. What to do: {rule.remedy.rstrip('.')}."


def _known_values(expression: CelExpression, evidence: Evidence) -> str:
    """Return what the record shows of the values that the expression reads."""
    facts = []
    fields = {path[0] for path in expression.paths}
    for path in expression.paths:
        if path[0] == STATED and path[1] in fields:
            continue  # the value itself is more informative than its presence
        value = _known_value(path, evidence)
        if path[0] in (*_FINDINGS, INCOMPLETE, UNREAD):
            facts.append(_context_description(path, value))
        elif value is not None:
            facts.append(
                f"{dotted(_without_stated(path))} {'is recorded' if path[0] == STATED else _description(value)}"
            )
        elif path in _ABOUT_USE and path[0] not in evidence.unrecognized:
            facts.append(f"MLflow shows no {path[0]}")
    return ", ".join(dict.fromkeys(facts)) or "the rule reads no value of the record"


def _missing_values(expression: CelExpression, evidence: Evidence) -> str:
    """Return the values that the expression reads and that the record does not show."""
    paths = dict.fromkeys(map(_without_stated, expression.paths))
    missing = dict.fromkeys(filter(None, (_missing(path, evidence) for path in paths)))
    if missing:
        return f"MLflow shows no {_any_of(missing)}"
    return f"{_any_of(dict.fromkeys(name for (name, *_) in paths))} does not show enough to decide"


def _without_stated(path: Path) -> Path:
    """Return the field for ``stated.FIELD``: people know the field."""
    return path[1:] if path[0] == STATED else path


def _known_value(path: Path, evidence: Evidence) -> CelValue:
    if path[0] == STATED:  # the expression reads only whether the value is known
        return True if _is_stated(path[1], evidence) else None
    exists, value = value_at(path, evidence.known)
    return cast("CelValue", value) if exists else None


def _is_stated(field: str, evidence: Evidence) -> bool:
    stated = evidence.raw.get(STATED)
    return isinstance(stated, dict) and bool(stated.get(field))


def _missing(path: Path, evidence: Evidence) -> str | None:
    """Return the path if the record has no value there. If the whole field has no value, return only the field."""
    field = path[0]
    # A missing use is a value, not a gap: see USE_NOT_SHOWN.
    if field in {*FIELDS_ABOUT_USE, *CONTEXT_VARIABLES} or field in evidence.unrecognized:
        return None
    if field not in evidence.known:
        return None if _is_stated(field, evidence) else field
    return dotted(path) if _known_value(path, evidence) is None else None


def _description(value: CelValue) -> str:
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, str):
        return f"is {_quoted(value)}"
    if isinstance(value, datetime):
        return f"is {_time(value)}"
    if isinstance(value, list | dict):
        if not value:
            return "is empty"
        count = f"has {len(value)} {'entry' if len(value) == 1 else 'entries'}"
        entries = _entries(value)
        return f"{count} ({entries})" if entries else count
    return f"is {value}"


def _context_description(path: Path, value: CelValue) -> str:
    """Describe the findings of a record, or the parts of the record that could not be read."""
    if path[0] in _FINDINGS:
        which = {FINDINGS_OF_KIND: " of the kind ", FINDINGS_ABOUT: " about "}.get(path[0], "")
        name = f"findings{which}{''.join(path[1:])}"
        return f"{name}: {_entries(value)}" if isinstance(value, list) and value else f"no {name}"
    what = "object" if path[0] == UNREAD else "part"
    return (
        f"{what}s that could not be read: {_entries(value)}"
        if isinstance(value, list) and value
        else f"no unread {what}"
    )


def _entries(value: list[CelValue] | dict[str, CelValue]) -> str:
    """Return the first entries: a metric that is NaN explains a verdict better than the number of metrics."""
    if isinstance(value, dict):
        first = list(value.items())[:_MAX_QUOTED_ENTRIES]
        quoted = [
            f"{_quoted(key)}: {_quoted(entry) if isinstance(entry, str) else entry}"
            for key, entry in first
            if isinstance(entry, str | int | float | None)
        ]
    else:
        quoted = [name for name in map(_entry_name, value[:_MAX_QUOTED_ENTRIES]) if name]
    return ", ".join([*quoted, *(["…"] if len(quoted) < len(value) else [])]) if quoted else ""


def _entry_name(entry: CelValue) -> str | None:
    names = (entry.get(name) for name in _ENTRY_NAMES) if isinstance(entry, dict) else (entry,)
    return next((_quoted(name) for name in names if isinstance(name, str)), None)


def _time(value: datetime) -> str:
    try:
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if value.tzinfo else f"{value:%Y-%m-%d %H:%M} UTC"
    except OverflowError:  # the first and last hours of Python's calendar have no UTC equivalent
        return value.isoformat()


def _quoted(text: str) -> str:
    """Quote a customer's text on one line, with control characters escaped."""
    return quote(text, _MAX_VALUE_LENGTH - 1)


def _printable(sentence: str) -> str:
    """Return one of our sentences on one line, without the full stop. The sentence may quote what customers wrote."""
    return escape_invisible(sentence).rstrip(".")


def _any_of(names: Iterable[str]) -> str:
    *other_names, last = names
    return f"{', '.join(other_names)} or {last}" if other_names else last
