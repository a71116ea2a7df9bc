"""The CEL variables that a rule reads: one typed variable for each field of the record whose value is known.

A field without a value is left out of the activation. CEL's three-valued logic then returns *unknown* for an expression
that needs the value, and only then: if ``a`` is false, ``a && b`` is false even if ``b`` is unknown. These values are
left out:

* nulls and empty strings, lists and maps: MLflow shows no value;
* values outside the field's normal forms: the normalizer keeps them as the customer wrote them, and no rule can
  interpret them.

``stated`` is a map from each known field to true, so that ``has(stated.owner)`` tests whether a value is known at all.

In addition to the record's fields, a rule reads these variables:

* ``findings``: facts that look wrong, a list of ``{kind, field, sentence, count}``. ``count`` is the number of findings
  that the entry summarizes. The list is always known and may be empty. An object that could not be read has no
  findings, so a rule that passes without findings needs ``evidenced: '!("model" in unread)'`` for its objects;
* ``findings_of_kind`` and ``findings_about``: the same entries, as a list for each kind and for each field that a
  finding is about. If a rule reads one of these lists, its verdict is stored with the findings of this list only. The
  rule is decided and its verdict written again only when this list changes;
* ``origins``: for each field, the origin of its text: ``source``, ``key``, the text as ``raw``, and in ``state`` the
  reason why the text is no value (``ValueState``). Without an origin, all four are empty texts. ``same_person_as``
  lists the other fields that name the same person, and ``may_be_same_person_as`` lists the fields that may name the
  same person. Both lists are known for each field, and empty for most fields. ``earliest`` and ``latest`` are the first
  and the last day that the date in the text may mean, as texts for ``timestamp()``; without a date, both are left out;
* ``unread``: a list of the kinds of the objects that could not be read (``OBJECT_KINDS``). It is always known;
* ``incomplete``: a list of sentences about what could not be read. It is always known;
* ``measures``: the metrics by their meaning: see metric_interpretation.py. Without metrics, only the levels are known;
* ``vulnerabilities`` and ``end_of_life``: facts from outside of MLflow about the version's packages, Python and MLflow:
  see the modules of these names in environment_facts;
* ``model_versions``: the versions of the model that are in use. The variable is known only if this version is in use:
  see versions_in_use.py;
* ``thresholds``: the policy's thresholds, overridden by the tenant's thresholds;
* ``today``: midnight, UTC, of the day of the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final, TypeAlias

from cel_expr_python import cel

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.rules.field_paths import (
    END_OF_LIFE,
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
)
from verifywise_mlflow.compliance.rules.versions_in_use import VersionsInUse
from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.record import FIELD_SPECS, CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import UnreadObject

CelValue: TypeAlias = "str | int | float | bool | datetime | list[CelValue] | dict[str, CelValue] | None"
"""A value of a type that the CEL library accepts: no tuple, and no mapping except a dict."""
Threshold: TypeAlias = float
"""A number that a rule compares with. Integers stay integers, and CEL compares them with doubles."""

USE_NOT_SHOWN: Final = "none"
"""The value of a field about use if MLflow shows no stage, alias or tag. No other null has a meaning. This null means
that the version is not shown to be in use, so requirements for use do not apply. Otherwise, every experiment in a
registry would be a gap."""

_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_FLAGS = cel.Type.Map(cel.Type.STRING, cel.Type.BOOL)
_LIST = cel.Type.List(cel.Type.DYN)
_LISTS = cel.Type.Map(cel.Type.STRING, _LIST)

_FIELD_TYPES: Final = {
    FieldType.TEXT: cel.Type.STRING,
    FieldType.INTEGER: cel.Type.INT,
    FieldType.TIMESTAMP: cel.Type.TIMESTAMP,
    FieldType.JSON_OBJECT: _MAP,
    FieldType.JSON_LIST: _LIST,
}
CONTEXT_TYPES: Final = {
    STATED: _FLAGS,
    FINDINGS: _LIST,
    FINDINGS_OF_KIND: _LISTS,
    FINDINGS_ABOUT: _LISTS,
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
_MAP_VARIABLES: Final = frozenset(
    (
        *(STATED, FINDINGS_OF_KIND, FINDINGS_ABOUT, MEASURES, MODEL_VERSIONS, VULNERABILITIES, END_OF_LIFE, ORIGINS),
        THRESHOLDS,
    )
)

ORIGIN_TEXTS: Final = ("source", "key", "raw", "state")
ORIGIN_LISTS: Final = ("same_person_as", "may_be_same_person_as")
ORIGIN_MEMBERS: Final = (*ORIGIN_TEXTS, *ORIGIN_LISTS, "earliest", "latest")
"""The members of a field's origin that a rule may read."""


@cache
def environment() -> cel.Env:
    """Return the CEL environment of every expression: the record's fields and the context variables."""
    return cel.NewEnv(
        variables={**{name: _FIELD_TYPES[spec.type] for name, spec in FIELD_SPECS.items()}, **CONTEXT_TYPES}
    )


PYTHON_TYPES: Final[Mapping[str, type]] = {
    **{name: _PYTHON_TYPE_OF_FIELD[spec.type] for name, spec in FIELD_SPECS.items()},
    **{name: dict if name in _MAP_VARIABLES else list for name in CONTEXT_TYPES},
    TODAY: datetime,
}
"""Variable to the Python type of its values: the library refuses any other type."""


class Activation:
    """The variables of one record, as plain values and in the form that the CEL library takes."""

    __slots__ = ("_cel", "variables")

    def __init__(self, variables: Mapping[str, CelValue]) -> None:
        """Take the known values from ``evidence_of``: texts that UTF-8 can encode, integers of at most 64 bits."""
        self.variables = variables
        self._cel: cel.Activation | None = None

    @property
    def cel(self) -> cel.Activation:
        """The variables for the library, which converts a variable when an expression reads it."""
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
    """The versions of the model that are in use; None if they are unknown, or if no version is in use."""
    environment_facts: Mapping[str, Mapping[str, Json]] | None = None
    """The variables about the environment whose values do not come from MLflow, by name."""
