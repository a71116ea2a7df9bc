"""Compares two versions of a model, value by value, for a person who decides whether one replaces the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from pydantic import ConfigDict

from verifywise_mlflow.artifacts.manifest import ArtifactFile
from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.persistence.repositories import tracked_objects
from verifywise_mlflow.persistence.repositories.registry import versions_by_key
from verifywise_mlflow.persistence.repositories.tracked_objects import RUNS
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.record_parts import DataSet
from verifywise_mlflow.services.version_dossier import VersionDossier

Section: TypeAlias = Literal[
    "metrics",
    "parameters",
    "data sets",
    "record",
    "verdicts",
    "packages",
    "files",
    "version tags",
    "run tags",
    "origin",
]
SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
"""The sections, in the order in which they are shown."""

_OTHER_SECTIONS: Final = frozenset(
    {
        *("model_name", "version_number", "metrics", "hyperparameters", "dataset_reference", "evaluation_tags"),
        *("runtime_environment", "artifact_manifest", "evidence_files"),
    }
)
"""Fields of the record that the section ``record`` leaves out: the key, and fields with a section of their own."""
_ORIGIN: Final = (
    *("source_run_id", "logged_model_id", "source_artifact_uri", "artifact_uri", "experiment_id"),
    *("created_at", "last_updated_at", "training_started_at", "training_ended_at"),
)
"""Fields of the record that identify one version, so that they differ between any two versions."""
_SYSTEM_TAGS: Final = "mlflow."
"""The prefix of tags that MLflow sets itself. The record has the relevant tags as fields."""


@value_object
class ComparedValue:
    """One value of two versions, side by side."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    section: Section
    """What kind of value it is."""
    name: str
    """The metric, parameter, data set, field, rule, package, file or tag."""
    first: str | None
    """The value of the first version as text; null if this version has no such value."""
    second: str | None
    """The value of the second version as text; null if this version has no such value."""
    differs: bool | None
    """Whether the values differ; null if that is unknown, as for files that were not hashed."""
    first_number: float | None = None
    """The first value if it is a finite number."""
    second_number: float | None = None
    """The second value if it is a finite number."""
    difference: float | None = None
    """The second number minus the first number."""
    relative_difference: float | None = None
    """The difference divided by the absolute value of the first number; null if the first number is zero."""
    note: str | None = None
    """An additional text, such as the title of a rule."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a model and all values that at least one of them has."""

    first: VersionDossier
    second: VersionDossier
    values: tuple[ComparedValue, ...]
    """Sorted by section, then by name."""

    @property
    def differing(self) -> tuple[ComparedValue, ...]:
        """The values that differ."""
        return tuple(value for value in self.values if value.differs)


def compare(session: TenantSession, first: VersionDossier, second: VersionDossier) -> Comparison:
    """Return all values of two versions of a model side by side.

    The tags are as of the last sync, since former tags are not stored.
    """
    return compare_with(stored_tags(session, (first, second)), first, second)


@dataclass(frozen=True, slots=True)
class StoredTags:
    """The tags of versions and of runs, as of the last sync."""

    versions: Mapping[Key, Mapping[str, str]]
    runs: Mapping[str, Mapping[str, str]]
    """The tags of each run, by run ID. Tags that MLflow sets itself are left out."""


def stored_tags(session: TenantSession, dossiers: Sequence[VersionDossier]) -> StoredTags:
    """Return the tags of versions and of their runs, with two queries for all of them."""
    run_ids = [run_id for dossier in dossiers if (run_id := dossier.record.source_run_id)]
    versions = versions_by_key(session, [dossier.key for dossier in dossiers])
    runs = tracked_objects.rows_by_id(session, RUNS, run_ids) if run_ids else {}
    return StoredTags(
        {key: version.tags for key, version in versions.items()},
        {run_id: _own_tags(row.get("tags")) for run_id, row in runs.items()},
    )


def compare_with(tags: StoredTags, first: VersionDossier, second: VersionDossier) -> Comparison:
    """Return the same result as ``compare``, with tags that were read before."""
    sides = [_values(tags, dossier) for dossier in (first, second)]
    notes = {judged.verdict.rule_id: judged.rule.title for known in (first, second) for judged in known.rules}
    values = []
    for section in SECTIONS:
        left, right = (side[section] for side in sides)
        for name in sorted({*left, *right}):
            note = notes.get(name) or None if section == "verdicts" else None
            values.append(_compared(section, name, left.get(name), right.get(name), note))
    return Comparison(first, second, tuple(values))


_Values: TypeAlias = Mapping[str, "str | float | ArtifactFile"]


def _values(tags: StoredTags, dossier: VersionDossier) -> Mapping[Section, _Values]:
    record, manifest = dossier.record, dossier.manifest
    return {
        "metrics": record.metrics or {},
        "parameters": record.hyperparameters or {},
        "data sets": _numbered((_data_set_name(item), data_set_text(item)) for item in dossier.data_sets),
        "record": _fields(record, [field for field in FIELDS if field not in (*_OTHER_SECTIONS, *_ORIGIN)]),
        "verdicts": {judged.verdict.rule_id: judged.verdict.verdict for judged in dossier.rules},
        "packages": dict(_packages(dossier)),
        "files": {f"{file.root}/{file.path}": file for file in (manifest.files if manifest else ())},
        "version tags": tags.versions.get(dossier.key, {}),
        "run tags": tags.runs.get(record.source_run_id or "", {}),
        "origin": _fields(record, _ORIGIN),
    }


def _fields(record: CanonicalRecord, fields: Sequence[str]) -> Mapping[str, str]:
    return {
        field.replace("_", " "): _as_text(value) for field in fields if (value := getattr(record, field)) is not None
    }


def _packages(dossier: VersionDossier) -> Iterator[tuple[str, str]]:
    environment = dossier.environment
    if environment is None:
        return
    if environment.python_version:
        yield "python", environment.python_version
    yield from _numbered((package.name, package.specifier or "any version") for package in environment.packages).items()


def _numbered(entries: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Return values by name; a repeated name gets a number."""
    values: dict[str, str] = {}
    for name, value in entries:
        unique, number = name, 1
        while unique in values:
            number += 1
            unique = f"{name} #{number}"
        values[unique] = value
    return values


def _data_set_name(item: DataSet) -> str:
    return f"{item.name or 'unnamed'} ({item.context})" if item.context else item.name or "unnamed"


def data_set_text(item: DataSet) -> str:
    """Return the text by which data sets are compared: the digest, and the source as MLflow states it."""
    parts = (item.digest and f"digest {item.digest}", item.source)
    return ", ".join(part for part in parts if part) or "no digest and no source"


def _own_tags(tags: object) -> Mapping[str, str]:
    if not isinstance(tags, Mapping):
        return {}
    return {str(key): str(value) for key, value in tags.items() if not str(key).startswith(_SYSTEM_TAGS)}


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def _compared(
    section: Section,
    name: str,
    first: str | float | ArtifactFile | None,
    second: str | float | ArtifactFile | None,
    note: str | None,
) -> ComparedValue:
    first_number, second_number = _number(section, first), _number(section, second)
    difference = relative = None
    if first_number is not None and second_number is not None:
        difference = _finite(second_number - first_number)
        relative = _finite(difference / abs(first_number)) if difference is not None and first_number else None
    return ComparedValue(
        section=section,
        name=name,
        first=_side(first),
        second=_side(second),
        differs=_differs(first, second),
        first_number=first_number,
        second_number=second_number,
        difference=difference,
        relative_difference=relative,
        note=note,
    )


def _number(section: Section, value: object) -> float | None:
    """Return the value of a metric, or the value of a parameter if its text is a number."""
    if section not in ("metrics", "parameters") or not isinstance(value, str | int | float):
        return None
    try:
        return _finite(float(value))
    except ValueError:
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _side(value: str | float | ArtifactFile | None) -> str | None:
    if isinstance(value, ArtifactFile):
        return f"sha256 {value.sha256}" if value.sha256 else f"not hashed, {_size(value.size)}"
    return value if value is None or isinstance(value, str) else repr(value)


def _size(size: int | None) -> str:
    return "of unknown size" if size is None else f"{size:,} bytes"


def _differs(first: str | float | ArtifactFile | None, second: str | float | ArtifactFile | None) -> bool | None:
    if isinstance(first, ArtifactFile) and isinstance(second, ArtifactFile) and not (first.sha256 and second.sha256):
        has_other_size = first.size is not None and second.size is not None and first.size != second.size
        return True if has_other_size else None
    return _side(first) != _side(second)
