"""What a rule can see of a record: one typed CEL variable per field, and nothing for what is not known.

A field without a value is left out of the activation, so that CEL's three-valued logic answers *unknown* to an
expression that needs it, and only then: ``a && b`` is false where ``a`` is, whatever ``b`` may be. Left out are

* a null, and an empty text, list or map: MLflow shows nothing there;
* a value outside its field's normal forms: the normalizer keeps it as the customer wrote it, and no rule can tell
  what it stands for.

``stated`` is a map from each known field to true, so that ``has(stated.owner)`` asks whether a value is known at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final, TypeAlias

from cel_expr_python import cel

from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json
from verifywise_mlflow.normalizer.values import NORMAL_FORMS

Shown: TypeAlias = "str | int | float | bool | datetime | list[Shown] | dict[str, Shown] | None"
"""A value in the types that the CEL library takes; it knows no tuple and no other mapping."""

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

_LEAST_INT, _GREATEST_INT = -(2**63), 2**63 - 1
_WORDS_FOR_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})


@cache
def environment() -> cel.Env:
    """Return the CEL environment in which every expression is compiled: the record's fields, and ``stated``."""
    return cel.NewEnv(variables={**{field: _TYPES.get(field, cel.Type.STRING) for field in FIELDS}, "stated": _FLAGS})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one record."""

    known: Mapping[str, Shown]
    """Field to value, for each field that has one."""
    not_understood: Mapping[str, str]
    """Field to what stands there, for values that are none of the field's normal forms."""

    def activation(self) -> cel.Activation:
        """Return the variables as CEL takes them. Values are converted when an expression asks for them."""
        variables: dict[str, Shown] = {**self.known, "stated": dict.fromkeys(self.known, True)}
        if "lifecycle_stage" not in self.known and "lifecycle_stage" not in self.not_understood:
            variables["lifecycle_stage"] = STAGE_NOT_SHOWN
        return environment().Activation(variables)


def evidence_of(record: CanonicalRecord, fields: Collection[str] = FIELDS) -> Evidence:
    """Return what is known of the given fields. A policy passes those it mentions; a manifest can be large."""
    known: dict[str, Shown] = {}
    not_understood: dict[str, str] = {}
    for field in fields:
        value: Json | datetime = getattr(record, field)
        if value is None:
            continue
        shown = _shown(value)
        if isinstance(shown, str) and field in NORMAL_FORMS and shown.strip() and shown not in NORMAL_FORMS[field]:
            not_understood[field] = shown
        elif not _is_empty(shown):
            known[field] = _numbers(shown) if field == "metrics" else shown
    return Evidence(known, not_understood)


def _is_empty(value: Shown) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, list | dict) and not value


def _shown(value: Json | datetime) -> Shown:
    if value is None or isinstance(value, bool | float | datetime):
        return value
    if isinstance(value, str):
        # A lone surrogate, which a tag may hold, makes the CEL library raise.
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int):
        # CEL's int has 64 bits; a bound compares as the greater number would.
        return max(_LEAST_INT, min(value, _GREATEST_INT))
    if isinstance(value, Mapping):
        return {str(_shown(name)): _shown(member) for name, member in value.items()}
    return [_shown(member) for member in value]


def _numbers(metrics: Shown) -> Shown:
    """JSON has no NaN, so the store reads such a metric back as its word."""
    if not isinstance(metrics, dict):
        return metrics
    return {
        name: float(value) if isinstance(value, str) and value in _WORDS_FOR_NUMBERS else value
        for name, value in metrics.items()
    }
