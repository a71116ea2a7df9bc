"""What a rule can read of a record: one typed CEL variable per field, and no variable for an unknown value.

A field without a value is left out of the activation, so that CEL's three-valued logic returns *unknown* for an
expression that needs it, and only then: ``a && b`` is false if ``a`` is, even if ``b`` is unknown. Left out are

* nulls and empty strings, lists and maps: MLflow shows nothing there;
* values outside the field's normal forms: the normalizer keeps them as the customer wrote them, and no rule can
  interpret them.

``stated`` is a map from each known field to true, so that ``has(stated.owner)`` tests whether a value is known at all.

In addition to the record's fields, a rule reads

* ``findings``: what was read but looks wrong, a list of ``{kind, field, sentence, count}``, where ``count`` is how many
  findings the entry stands for. Always known: the list may be empty. Objects that could not be read have no findings
  either, so a rule that passes if there are none needs ``evidenced: '!("model" in unread)'`` for what it rests on;
* ``origins``: for each field, where its text comes from: ``source`` and ``key``, the text as ``raw``, and ``state``,
  why the text is no value (``ValueState``); all are empty where there is none. ``same_person_as`` is the list of the
  other fields that name the same person, ``may_be_same_person_as`` of those that may do so; both are known
  for each field, and empty for most. ``earliest`` and ``latest`` are the
  first and the last day that the date in the text may stand for, as texts for ``timestamp()``; left out without a date;
* ``unread``: the kinds of the objects that could not be read (``OBJECT_KINDS``), a list. Always known;
* ``incomplete``: what could not be read, a list of sentences. Always known;
* ``measures``: what the metrics measured, by their names: see measures.py. Only the levels are known if there are none;
* ``vulnerabilities`` and ``end_of_life``: what is known of the version's packages, Python and MLflow from outside of
  MLflow: see the modules of these names in environment_facts;
* ``model_versions``: the versions of the model that are in use, known if this is one: see versions_in_use.py;
* ``thresholds``: the policy's thresholds, overridden by the tenant's;
* ``today``: midnight, UTC, of the day of the evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Final, TypeAlias

from cel_expr_python import cel

from verifywise_mlflow.compliance.measures import MeasureReader
from verifywise_mlflow.compliance.rules.field_paths import (
    END_OF_LIFE,
    ENVIRONMENT_FACTS,
    FINDINGS,
    INCOMPLETE,
    MEASURES,
    MODEL_VERSIONS,
    ORIGINS,
    STATED,
    THRESHOLDS,
    TODAY,
    UNREAD,
    VULNERABILITIES,
    Selection,
)
from verifywise_mlflow.compliance.rules.versions_in_use import VersionsInUse, is_in_use
from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.mapping.dates import days_of
from verifywise_mlflow.normalizer.record import (
    FIELD_SPECS,
    FIELDS,
    FIELDS_ABOUT_USE,
    NORMAL_FORMS,
    CanonicalRecord,
    Json,
    ValueState,
)
from verifywise_mlflow.normalizer.unread_object import UnreadObject

CelValue: TypeAlias = "str | int | float | bool | datetime | list[CelValue] | dict[str, CelValue] | None"
"""A value in the types that the CEL library accepts; it accepts no tuple and no other mapping."""
Threshold: TypeAlias = float
"""A number that a rule compares with. Integers stay integers, and CEL compares them with doubles."""

USE_NOT_SHOWN: Final = "none"
"""A field about use if MLflow shows no stage, alias or tag. It is the only null with a meaning: such a version is not
shown to be in use, so requirements for use do not apply to it. If it were unknown, every experiment in a registry would
be a gap."""

_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_FLAGS = cel.Type.Map(cel.Type.STRING, cel.Type.BOOL)
_LIST = cel.Type.List(cel.Type.DYN)

_FIELD_TYPES: Final = {
    FieldType.TEXT: cel.Type.STRING,
    FieldType.INTEGER: cel.Type.INT,
    FieldType.TIMESTAMP: cel.Type.TIMESTAMP,
    FieldType.JSON_OBJECT: _MAP,
    FieldType.JSON_LIST: _LIST,
}
_CONTEXT_TYPES: Final = {
    STATED: _FLAGS,
    FINDINGS: _LIST,
    INCOMPLETE: cel.Type.List(cel.Type.STRING),
    UNREAD: cel.Type.List(cel.Type.STRING),
    MEASURES: _MAP,
    MODEL_VERSIONS: _MAP,
    VULNERABILITIES: _MAP,
    END_OF_LIFE: _MAP,
    ORIGINS: cel.Type.Map(cel.Type.STRING, _MAP),
    THRESHOLDS: _MAP,
    TODAY: cel.Type.TIMESTAMP,
}

_PYTHON_TYPE_OF_FIELD: Final[Mapping[FieldType, type]] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: int,
    FieldType.TIMESTAMP: datetime,
    FieldType.JSON_OBJECT: dict,
    FieldType.JSON_LIST: list,
}
_MAP_VARIABLES: Final = (*(STATED, MEASURES, MODEL_VERSIONS, VULNERABILITIES, END_OF_LIFE, ORIGINS, THRESHOLDS),)

_ORIGIN_TEXTS: Final = ("source", "key", "raw", "state")
_ORIGIN_LISTS: Final = ("same_person_as", "may_be_same_person_as")
ORIGIN_MEMBERS: Final = (*_ORIGIN_TEXTS, *_ORIGIN_LISTS, "earliest", "latest")
"""What a rule may read of a field's origin."""
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


@cache
def environment() -> cel.Env:
    """Return the CEL environment of every expression: the record's fields and the context variables."""
    return cel.NewEnv(
        variables={**{name: _FIELD_TYPES[spec.type] for name, spec in FIELD_SPECS.items()}, **_CONTEXT_TYPES}
    )


PYTHON_TYPES: Final[Mapping[str, type]] = {
    **{name: _PYTHON_TYPE_OF_FIELD[spec.type] for name, spec in FIELD_SPECS.items()},
    **{name: dict if name in _MAP_VARIABLES else list for name in _CONTEXT_TYPES},
    TODAY: datetime,
}
"""Variable to the type of its values in Python: the library refuses any other."""


class Activation:
    """The variables of one record, as plain values and as the CEL library takes them."""

    __slots__ = ("_cel", "variables")

    def __init__(self, variables: Mapping[str, CelValue]) -> None:
        """Take the known values, as ``evidence_of`` returns them: UTF-8 has their texts, 64 bits their integers."""
        self.variables = variables
        self._cel: cel.Activation | None = None

    @property
    def cel(self) -> cel.Activation:
        """The variables for the library, which converts one when an expression reads it."""
        if self._cel is None:
            self._cel = environment().Activation(self.variables)
        return self._cel


@dataclass(frozen=True, slots=True)
class Subject:
    """A record to evaluate, with its context."""

    record: CanonicalRecord
    incomplete: Sequence[UnreadObject] = ()
    """The objects of the record that could not be read."""
    findings: Sequence[Mapping[str, Json]] = ()
    """Findings, as ``{kind, field, sentence}``."""
    origins: Mapping[str, Mapping[str, object]] | None = None
    """Field to the provenance of its value."""
    versions: VersionsInUse | None = None
    """The versions of the model that are in use; None if they are unknown, or if there is none."""
    environment_facts: Mapping[str, Mapping[str, Json]] | None = None
    """The variables about the environment whose values do not come from MLflow, by name."""


@dataclass(frozen=True, slots=True)
class TextWithoutValue:
    """A text that is no value, and where it stands."""

    state: ValueState
    raw: str
    source: str
    key: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The values of one record that the rules read."""

    known: Mapping[str, CelValue]
    """Field to value, for each field that has one."""
    unrecognized: Mapping[str, str]
    """Field to its value, for values outside the field's normal forms."""
    raw: Mapping[str, CelValue]
    """All selected values as the record has them, known or not: these are stored with the verdicts."""
    without_value: Mapping[str, TextWithoutValue]
    """Field to its text, for the fields whose text is no value."""
    unread: frozenset[str] = frozenset()
    """The fields that rest on an object that could not be read."""

    def activation(self) -> Activation:
        """Return the variables for evaluations."""
        return Activation(self.variables())

    def variables(self) -> dict[str, CelValue]:
        """Return the value of each variable; variables without evidence are left out."""
        variables: dict[str, CelValue] = dict(self.known)
        for name in FIELDS_ABOUT_USE:
            if not any(name in fields for fields in (variables, self.unrecognized, self.unread)):
                variables[name] = USE_NOT_SHOWN
        stated = self.raw.get(STATED)
        # An unknown field is left out of the map, so that has() returns false.
        variables[STATED] = (
            {name: True for name, is_known in stated.items() if is_known} if isinstance(stated, dict) else {}
        )
        return variables


_EVERYTHING: Final[Selection] = {
    **dict.fromkeys(FIELDS),
    STATED: dict.fromkeys(FIELDS),
    FINDINGS: None,
    INCOMPLETE: None,
    UNREAD: None,
    ORIGINS: None,
    MEASURES: None,
    MODEL_VERSIONS: None,
    VULNERABILITIES: None,
    END_OF_LIFE: None,
}


def evidence_of(
    subject: Subject,
    selection: Selection = _EVERYTHING,
    *,
    thresholds: Mapping[str, Threshold] | None = None,
    measures: MeasureReader | None = None,
    today: date | None = None,
) -> Evidence:
    """Return the evidence for the selected values. A policy selects only what it reads: a manifest can be large."""
    known: dict[str, CelValue] = {}
    not_understood: dict[str, str] = {}
    raw_values: dict[str, CelValue] = {}
    record = subject.record
    for name, members in selection.items():
        if name in _CONTEXT_TYPES:
            if name == FINDINGS:
                raw_values[name] = known[name] = _cel_value(subject.findings)
            elif name == INCOMPLETE:
                raw_values[name] = known[name] = [_cel_text(text) for text in incomplete_sentences(subject)]
            elif name == UNREAD:
                raw_values[name] = known[name] = [unread.kind for unread in subject.incomplete]
            elif name == MEASURES and measures:
                raw_values[name] = known[name] = _select(measures.measures(record.metrics), members)
            elif name == MODEL_VERSIONS and subject.versions and is_in_use(record):
                raw_values[name] = known[name] = _select(subject.versions.variable(), members)
            elif name in ENVIRONMENT_FACTS and name in (subject.environment_facts or {}):
                raw_values[name] = known[name] = _select((subject.environment_facts or {})[name], members)
            elif name in (MEASURES, MODEL_VERSIONS, *ENVIRONMENT_FACTS):
                raw_values[name] = {}
            elif name == ORIGINS:
                raw_values[name] = known[name] = _origin_values(subject.origins or {}, members)
            elif name == THRESHOLDS and thresholds:
                known[name] = {key: thresholds[key] for key in members or thresholds if key in thresholds}
            elif name == TODAY and today:
                known[name] = datetime.combine(today, time(), UTC)
            elif name == STATED and members is not None:
                raw_values[name] = {field: _is_known(field, getattr(record, field)) for field in members}
            continue
        raw: Json | datetime = getattr(record, name)
        value = raw_values[name] = raw if raw is None else _select(raw, members)
        if raw is None or _is_empty(raw):
            continue
        if name in NORMAL_FORMS and isinstance(value, str) and value not in NORMAL_FORMS[name]:
            not_understood[name] = value
        else:
            known[name] = _numbers(value) if name == "metrics" else value
    fields = {*selection, *(selection.get(ORIGINS) or ())}
    unread = frozenset(field for unread in subject.incomplete for field in unread.fields)
    return Evidence(known, not_understood, raw_values, _texts_without_value(subject.origins or {}, fields), unread)


def incomplete_sentences(subject: Subject) -> list[str]:
    """Return what could not be read of a record, as sentences."""
    return [sentence for unread in subject.incomplete for sentence in unread.sentences]


def _origin_values(origins: Mapping[str, Mapping[str, object]], selection: Selection | None) -> CelValue:
    """Return the selected members of the origins: a field without an origin has empty texts."""
    values: dict[str, CelValue] = {}
    for field, members in (selection or dict.fromkeys(FIELDS)).items():
        origin = origins.get(field, {})
        texts = {name: origin.get(name) for name in _ORIGIN_TEXTS}
        of_field: dict[str, CelValue] = {
            name: _cel_text(str(text)) if isinstance(text, str) else "" for name, text in texts.items()
        }
        for name in _ORIGIN_LISTS:
            fields = origin.get(name)
            of_field[name] = list(fields) if isinstance(fields, list | tuple) else []
        days = days_of(dated) if isinstance(dated := origin.get("dated"), str) else None
        if days:
            # As text, since the CEL library accepts no time within a map.
            of_field |= {"earliest": f"{days[0]}T00:00:00Z", "latest": f"{days[1]}T00:00:00Z"}
        values[field] = {name: value for name, value in of_field.items() if members is None or name in members}
    return values


def _texts_without_value(
    origins: Mapping[str, Mapping[str, object]], fields: Collection[str]
) -> dict[str, TextWithoutValue]:
    return {
        field: TextWithoutValue(
            ValueState(str(origin["state"])), str(origin["raw"]), str(origin["source"]), str(origin["key"])
        )
        for field, origin in origins.items()
        if field in fields and origin.get("state")
    }


def _is_known(field: str, raw: Json | datetime) -> bool:
    if raw is None or _is_empty(raw):
        return False
    return not (isinstance(raw, str) and field in NORMAL_FORMS and raw not in NORMAL_FORMS[field])


def _is_empty(value: Json | datetime) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return not value and isinstance(value, Sequence | Mapping)


def _select(value: Json | datetime, members: Selection | None) -> CelValue:
    """Return the selected members of a value; all of a value without members, which has a wrong type."""
    if members is None or not isinstance(value, Mapping):
        return _cel_value(value)
    return {name: _select(value[name], below) for name, below in members.items() if name in value}


def _cel_value(value: Json | datetime) -> CelValue:
    if isinstance(value, str):
        return _cel_text(value)
    if value is None or isinstance(value, (bool, float, datetime)):  # a union takes twice the time
        return value
    if isinstance(value, int):
        # CEL's int has 64 bits; its limit compares like the larger number.
        return max(_MIN_INT, min(value, _MAX_INT))
    # JSON values are dicts; testing for a Mapping takes ten times as long.
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
        return {_cel_text(str(name)): _cel_value(member) for name, member in value.items()}
    return [_cel_value(member) for member in value]


def _cel_text(text: str) -> str:
    # A lone surrogate, which a tag may hold, makes the CEL library raise.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _numbers(metrics: CelValue) -> CelValue:
    """Convert the names of non-finite numbers back: JSON has no NaN, so the store returns such a metric as a string."""
    if not isinstance(metrics, dict):
        return metrics
    return {
        name: float(value) if isinstance(value, str) and value in _NON_FINITE else value
        for name, value in metrics.items()
    }
