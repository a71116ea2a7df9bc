"""The values of a record that rules read: known values, the values as recorded, and texts without a value.

cel_variables.py describes each variable. An ``EvidenceReader`` is created once for a policy, and reads any number of
records. It selects only the fields and members that the rules read, since a manifest can be large.
"""

from __future__ import annotations

import marshal
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.metric_interpretation import MeasureReader
from verifywise_mlflow.compliance.rules.cel_variables import (
    CONTEXT_TYPES,
    ORIGIN_LISTS,
    ORIGIN_TEXTS,
    USE_NOT_SHOWN,
    Activation,
    CelValue,
    Subject,
    Threshold,
)
from verifywise_mlflow.compliance.rules.field_paths import (
    END_OF_LIFE,
    ENVIRONMENT_FACTS,
    FINDINGS,
    FINDINGS_ABOUT,
    FINDINGS_OF_KIND,
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
from verifywise_mlflow.compliance.rules.versions_in_use import is_in_use
from verifywise_mlflow.normalizer.findings import FINDING_KINDS
from verifywise_mlflow.normalizer.mapping.dates import days_of
from verifywise_mlflow.normalizer.origin import ValueState
from verifywise_mlflow.normalizer.record import FIELDS, FIELDS_ABOUT_USE, NORMAL_FORMS

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_NON_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_SAME_IN_CEL: Final = frozenset({bool, float, type(None), datetime})
"""Types whose values need no conversion."""
_FINDING_LISTS: Final[Mapping[str, tuple[str, Collection[str]]]] = {
    FINDINGS_OF_KIND: ("kind", FINDING_KINDS),
    FINDINGS_ABOUT: ("field", FIELDS),
}
"""Variable to a pair: the key by which findings are grouped, and all groups."""
_ORIGIN_DAYS: Final = ("earliest", "latest")
_RUNTIME_ENVIRONMENT: Final = "runtime_environment"
_WITHOUT_REFERENCES: Final = 2
"""The version of marshal in which equal values have equal bytes."""


@dataclass(frozen=True, slots=True)
class TextWithoutValue:
    """A text that is no value, and the place of the text."""

    state: ValueState
    raw: str
    source: str
    key: str


@dataclass(slots=True)
class Evidence:
    """The values of one record that the rules read."""

    known: Mapping[str, CelValue]
    """Variable to value, for each variable that has a value."""
    unrecognized: Mapping[str, str]
    """Field to its value, for values outside the field's normal forms."""
    raw: Mapping[str, CelValue]
    """All selected values, known or not, in the form of the record. These values are stored with the verdicts."""
    without_value: Mapping[str, TextWithoutValue]
    """Field to its text, for the fields whose text is no value."""
    unread: frozenset[str] = frozenset()
    """The fields that depend on an object that could not be read."""

    def activation(self) -> Activation:
        """Return the variables for evaluations."""
        return Activation(self.variables())

    def variables(self) -> dict[str, CelValue]:
        """Return the value of each variable; variables without evidence are left out."""
        variables: dict[str, CelValue] = dict(self.known)
        for name in FIELDS_ABOUT_USE:
            if not (name in variables or name in self.unrecognized or name in self.unread):
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
    FINDINGS_OF_KIND: None,
    FINDINGS_ABOUT: None,
    INCOMPLETE: None,
    UNREAD: None,
    ORIGINS: None,
    MEASURES: None,
    MODEL_VERSIONS: None,
    VULNERABILITIES: None,
    END_OF_LIFE: None,
}


class EvidenceReader:
    """Reads the selected values of any number of records."""

    def __init__(
        self,
        selection: Selection = _EVERYTHING,
        *,
        thresholds: Mapping[str, Threshold] | None = None,
        measures: MeasureReader | None = None,
        today: date | None = None,
    ) -> None:
        """Store the selection of the rules, and the values that are the same for all records."""
        self._measures = measures
        self._fields = tuple((name, below) for name, below in selection.items() if name not in CONTEXT_TYPES)
        self._context = tuple((name, below) for name, below in selection.items() if name in CONTEXT_TYPES)
        self._selected_fields = frozenset((*selection, *(selection.get(ORIGINS) or ())))
        self._environment: tuple[bytes, CelValue] = (b"", None)
        """The environment of the last record. Most versions of a model have the same environment, with a hundred
        packages."""
        self._constants: dict[str, CelValue] = {}
        """The variables that have the same value for all records."""
        if THRESHOLDS in selection and thresholds:
            members = selection[THRESHOLDS] or thresholds
            self._constants[THRESHOLDS] = {key: _cel_value(thresholds[key]) for key in members if key in thresholds}
        if TODAY in selection and today:
            self._constants[TODAY] = datetime.combine(today, time(), UTC)
        without_origin = (selection.get(ORIGINS) or dict.fromkeys(FIELDS)).items() if ORIGINS in selection else ()
        self._no_origins = {field: _origin_members({}, members) for field, members in without_origin}
        """The members of fields without an origin: empty texts and lists."""

    def read(self, subject: Subject) -> Evidence:
        """Return the evidence of one record. Its values share parts, so they must not be changed."""
        known: dict[str, CelValue] = {**self._constants}
        raw_values: dict[str, CelValue] = {}
        for name, value, is_known in self._context_values(subject):
            raw_values[name] = value
            if is_known:
                known[name] = value
        record, unrecognized = subject.record, dict[str, str]()
        for name, members in self._fields:
            raw: Json | datetime = getattr(record, name)
            if type(raw) is str:
                text = raw_values[name] = raw if raw.isascii() else _cel_text(raw)
                if not raw or raw.isspace():
                    continue
                if name in NORMAL_FORMS and text not in NORMAL_FORMS[name]:
                    unrecognized[name] = text
                else:
                    known[name] = text
                continue
            value = raw_values[name] = raw if raw is None else self._selected(name, raw, members)
            if raw is not None and not _is_empty(raw):
                known[name] = _numbers(value) if name == "metrics" else value
        incomplete = subject.incomplete
        unread = frozenset(field for unread in incomplete for field in unread.fields) if incomplete else frozenset()
        without_value = _texts_without_value(subject.origins or {}, self._selected_fields)
        return Evidence(known, unrecognized, raw_values, without_value, unread)

    def _selected(self, name: str, raw: Json | datetime, members: Selection | None) -> CelValue:
        """Return the selected members of a field's value. Consecutive equal environments have the same object."""
        if name != _RUNTIME_ENVIRONMENT:
            return _select(raw, members)
        try:
            # The bytes of 1, 1.0 and true differ, although Python considers these values equal.
            content = marshal.dumps(raw, _WITHOUT_REFERENCES)  # type: ignore[arg-type]  # raises for other types
        except ValueError:  # a type that JSON does not have
            return _select(raw, members)
        if content != self._environment[0]:
            self._environment = (content, _select(raw, members))
        return self._environment[1]

    def _context_values(self, subject: Subject) -> Iterator[tuple[str, CelValue, bool]]:
        """Yield the variables that are not fields of the record, each with its value and whether it is known."""
        record = subject.record
        for name, members in self._context:
            if name == FINDINGS:
                yield name, _cel_value(subject.findings), True
            elif name in _FINDING_LISTS:
                key, every_list = _FINDING_LISTS[name]
                yield name, _findings_by(key, members or every_list, subject.findings), True
            elif name == INCOMPLETE:
                yield name, [_cel_text(text) for text in incomplete_sentences(subject)], True
            elif name == UNREAD:
                yield name, [unread.kind for unread in subject.incomplete], True
            elif name == MEASURES and self._measures:
                yield name, _select(self._measures.measures(record.metrics), members), True
            elif name == MODEL_VERSIONS and subject.versions and is_in_use(record):
                yield name, _select(subject.versions.variable(), members), True
            elif name in ENVIRONMENT_FACTS and name in (subject.environment_facts or {}):
                yield name, _select((subject.environment_facts or {})[name], members), True
            elif name in (MEASURES, MODEL_VERSIONS, *ENVIRONMENT_FACTS):
                yield name, {}, False
            elif name == ORIGINS:
                yield name, {**self._no_origins, **_origin_values(subject.origins or {}, members)}, True
            elif name == STATED and members is not None:
                yield name, {field: _is_known(field, getattr(record, field)) for field in members}, False


def _findings_by(key: str, names: Iterable[str], findings: Sequence[Mapping[str, Json]]) -> dict[str, CelValue]:
    """Return a list of findings for each of these kinds or fields. The list is empty if there is no finding."""
    lists: dict[str, list[CelValue]] = {name: [] for name in names}
    for finding in findings:
        if (name := finding.get(key)) in lists:
            lists[name].append(_cel_value(finding))
    return lists  # type: ignore[return-value]  # a list is invariant


def evidence_of(
    subject: Subject,
    selection: Selection = _EVERYTHING,
    *,
    thresholds: Mapping[str, Threshold] | None = None,
    measures: MeasureReader | None = None,
    today: date | None = None,
) -> Evidence:
    """Return the evidence of one record for the selected values."""
    return EvidenceReader(selection, thresholds=thresholds, measures=measures, today=today).read(subject)


def incomplete_sentences(subject: Subject) -> list[str]:
    """Return what could not be read of a record, as sentences."""
    return [sentence for unread in subject.incomplete for sentence in unread.sentences]


def _origin_values(origins: Mapping[str, Mapping[str, object]], selection: Selection | None) -> dict[str, CelValue]:
    """Return the selected members of the origins."""
    values: dict[str, CelValue] = {}
    for field, members in (selection or dict.fromkeys(FIELDS)).items():
        if origin := origins.get(field):
            values[field] = _origin_members(origin, members)
    return values


def _origin_members(origin: Mapping[str, object], members: Selection | None) -> dict[str, CelValue]:
    of_field: dict[str, CelValue] = {}
    for name in ORIGIN_TEXTS:
        if members is None or name in members:
            text = origin.get(name)
            of_field[name] = _cel_text(str(text)) if isinstance(text, str) else ""
    for name in ORIGIN_LISTS:
        if members is None or name in members:
            fields = origin.get(name)
            of_field[name] = list(fields) if isinstance(fields, list | tuple) else []
    days = days_of(dated) if isinstance(dated := origin.get("dated"), str) else None
    if days:
        # As text, since the CEL library accepts no time within a map.
        for name, day in zip(_ORIGIN_DAYS, days, strict=True):
            if members is None or name in members:
                of_field[name] = f"{day}T00:00:00Z"
    return of_field


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
    """Return the selected members of a value. A value without members has a wrong type: return the whole value."""
    # JSON values are dicts; testing for a Mapping takes ten times as long.
    if members is None or not (isinstance(value, dict) or isinstance(value, Mapping)):  # noqa: SIM101
        return _cel_value(value)
    return {name: _select(value[name], below) for name, below in members.items() if name in value}


def _cel_value(value: Json | datetime) -> CelValue:
    kind = type(value)
    if kind is str:
        return _cel_text(value)  # type: ignore[arg-type]  # mypy knows no types that are compared
    if kind in _SAME_IN_CEL:
        return value  # type: ignore[return-value]  # as above
    # JSON values are dicts; testing for a Mapping takes ten times as long.
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
        return {
            name if type(name) is str and name.isascii() else _cel_text(str(name)): member  # type: ignore[misc]  # as above
            if (type(member) is str and member.isascii()) or type(member) in _SAME_IN_CEL
            else _cel_value(member)
            for name, member in value.items()
        }
    if isinstance(value, int):
        # CEL's int has 64 bits. A larger number becomes the limit, so that comparisons have the same result.
        return max(_MIN_INT, min(value, _MAX_INT))
    if isinstance(value, str | float | datetime):  # a subclass
        return _cel_text(value) if isinstance(value, str) else value
    return [_cel_value(member) for member in value or ()]


def _cel_text(text: str) -> str:
    # The CEL library raises for a lone surrogate, which a tag may contain.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _numbers(metrics: CelValue) -> CelValue:
    """Convert the names of non-finite numbers back: JSON has no NaN, so the store returns such a metric as a string."""
    if not isinstance(metrics, dict):
        return metrics
    return {
        name: float(value) if isinstance(value, str) and value in _NON_FINITE else value
        for name, value in metrics.items()
    }
