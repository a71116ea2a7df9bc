"""What a rule can see of a record: one typed CEL variable per field, and nothing for what is not known.

A field without a value is left out of the activation, so that CEL's three-valued logic answers *unknown* to an
expression that needs it, and only then: ``a && b`` is false where ``a`` is, whatever ``b`` may be. Left out are

* a null, and an empty text, list or map: MLflow shows nothing there;
* a value outside its field's normal forms: the normalizer keeps it as the customer wrote it, and no rule can tell
  what it stands for.

``stated`` is a map from each known field to true, so that ``has(stated.owner)`` asks whether a value is known at all.

Beside the record's fields a rule sees

* ``findings``: what was read but looks wrong, a list of ``{kind, field, sentence}``. Always known: an empty list is
  an answer. What could not be read gives no findings either, so a rule that passes where there are none has to say
  ``evidenced: size(incomplete) == 0``;
* ``incomplete``: what could not be read, a list of sentences. Always known;
* ``thresholds``: the policy's figures, or the tenant's in their place;
* ``today``: midnight, UTC, of the day of the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Final, TypeAlias

from cel_expr_python import cel

from verifywise_mlflow.compliance.rules.field_paths import FINDINGS, INCOMPLETE, STATED, THRESHOLDS, TODAY, Selection
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json

Shown: TypeAlias = "str | int | float | bool | datetime | list[Shown] | dict[str, Shown] | None"
"""A value in the types that the CEL library takes; it knows no tuple and no other mapping."""
Threshold: TypeAlias = float
"""A figure that a rule compares with. Whole numbers are given as such, and CEL compares the two kinds."""

STAGE_NOT_SHOWN: Final = "none"
"""``lifecycle_stage`` where MLflow shows no stage, alias or tag. The one null with a meaning: such a version is not
shown to be in production, so what production asks for does not apply to it. Were it unknown, each experiment in a
registry would be a gap."""

_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_FLAGS = cel.Type.Map(cel.Type.STRING, cel.Type.BOOL)
_LIST = cel.Type.List(cel.Type.DYN)

_TYPES: Final = {
    "version_number": cel.Type.INT,
    **dict.fromkeys(("created_at", "last_updated_at", "training_started_at", "training_ended_at"), cel.Type.TIMESTAMP),
    **dict.fromkeys(("metrics", "hyperparameters", "evaluation_tags"), _MAP),
    **dict.fromkeys(("runtime_environment", "artifact_manifest"), _MAP),
    **dict.fromkeys(("dataset_reference", "evidence_files"), _LIST),
}
"""The fields that are no text."""
_OTHERS: Final = {
    STATED: _FLAGS,
    FINDINGS: _LIST,
    INCOMPLETE: cel.Type.List(cel.Type.STRING),
    THRESHOLDS: _MAP,
    TODAY: cel.Type.TIMESTAMP,
}

_LEAST_INT, _GREATEST_INT = -(2**63), 2**63 - 1
_WORDS_FOR_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})


@cache
def environment() -> cel.Env:
    """Return the CEL environment in which every expression is compiled: the record's fields, and what is beside."""
    return cel.NewEnv(variables={**{field: _TYPES.get(field, cel.Type.STRING) for field in FIELDS}, **_OTHERS})


@dataclass(frozen=True, slots=True)
class Subject:
    """A record that is judged, with what else is known of it."""

    record: CanonicalRecord
    incomplete: Sequence[str] = ()
    """What could not be read, as sentences."""
    findings: Sequence[Mapping[str, Json]] = ()
    """What looks wrong, as ``{kind, field, sentence}``."""
    origins: Mapping[str, Mapping[str, object]] | None = None
    """Field to where its value came from."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What of one record the rules look at."""

    known: Mapping[str, Shown]
    """Field to value, for each field that has one."""
    not_understood: Mapping[str, str]
    """Field to what stands there, for values that are none of the field's normal forms."""
    shown: Mapping[str, Shown]
    """Everything as it stands, known or not: what is kept beside the verdicts."""

    def activation(self) -> cel.Activation:
        """Return the variables as CEL takes them. Values are converted when an expression asks for them."""
        return environment().Activation(self.variables())

    def variables(self) -> dict[str, Shown]:
        """Return what stands for each name; a name without evidence is left out."""
        variables: dict[str, Shown] = dict(self.known)
        if "lifecycle_stage" not in variables and "lifecycle_stage" not in self.not_understood:
            variables["lifecycle_stage"] = STAGE_NOT_SHOWN
        stated = self.shown.get(STATED)
        # One that is not known is left out of the map, so that has() says so.
        variables[STATED] = {n: True for n, is_known in stated.items() if is_known} if isinstance(stated, dict) else {}
        return variables


_WHOLE: Final[Selection] = {**dict.fromkeys(FIELDS), STATED: dict.fromkeys(FIELDS), FINDINGS: None, INCOMPLETE: None}


def evidence_of(
    subject: Subject,
    selection: Selection = _WHOLE,
    *,
    thresholds: Mapping[str, Threshold] | None = None,
    today: date | None = None,
) -> Evidence:
    """Return what is known of the values that are selected. A policy selects what it names: a manifest can be large."""
    known: dict[str, Shown] = {}
    not_understood: dict[str, str] = {}
    shown: dict[str, Shown] = {}
    record = subject.record
    for name, wanted in selection.items():
        if name in _OTHERS:
            if name == FINDINGS:
                shown[name] = known[name] = _shown(subject.findings)
            elif name == INCOMPLETE:
                shown[name] = known[name] = _shown(subject.incomplete)
            elif name == THRESHOLDS and thresholds:
                known[name] = {key: thresholds[key] for key in wanted or thresholds if key in thresholds}
            elif name == TODAY and today:
                known[name] = datetime.combine(today, time(), UTC)
            elif name == STATED and wanted is not None:
                shown[name] = {field: _is_known(field, getattr(record, field)) for field in wanted}
            continue
        raw: Json | datetime = getattr(record, name)
        value = shown[name] = raw if raw is None else _select(raw, wanted)
        if raw is None or _is_empty(raw):
            continue
        if name in NORMAL_FORMS and isinstance(value, str) and value not in NORMAL_FORMS[name]:
            not_understood[name] = value
        else:
            known[name] = _numbers(value) if name == "metrics" else value
    return Evidence(known, not_understood, shown)


def _is_known(field: str, raw: Json | datetime) -> bool:
    if raw is None or _is_empty(raw):
        return False
    return not (isinstance(raw, str) and field in NORMAL_FORMS and raw not in NORMAL_FORMS[field])


def _is_empty(value: Json | datetime) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return not value and isinstance(value, Sequence | Mapping)


def _select(value: Json | datetime, wanted: Selection | None) -> Shown:
    """Return the wanted members of a value; all of one that has no members, which only a wrong type can be."""
    if wanted is None or not isinstance(value, Mapping):
        return _shown(value)
    return {name: _select(value[name], below) for name, below in wanted.items() if name in value}


def _shown(value: Json | datetime) -> Shown:
    if isinstance(value, str):
        return _shown_text(value)
    if value is None or isinstance(value, (bool, float, datetime)):  # a union takes twice the time
        return value
    if isinstance(value, int):
        # CEL's int has 64 bits; a bound compares as the greater number would.
        return max(_LEAST_INT, min(value, _GREATEST_INT))
    # What comes out of JSON is a dict; to ask whether something is a Mapping takes ten times as long.
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
        return {_shown_text(str(name)): _shown(member) for name, member in value.items()}
    return [_shown(member) for member in value]


def _shown_text(written: str) -> str:
    # A lone surrogate, which a tag may hold, makes the CEL library raise.
    return written if written.isascii() else written.encode("utf-8", "replace").decode("utf-8")


def _numbers(metrics: Shown) -> Shown:
    """JSON has no NaN, so the store reads such a metric back as its word."""
    if not isinstance(metrics, dict):
        return metrics
    return {
        name: float(value) if isinstance(value, str) and value in _WORDS_FOR_NUMBERS else value
        for name, value in metrics.items()
    }
