"""Determines the fields of a record that depend on an object that could not be read.

If all objects that could have a value for a field were read, a field without a value means that MLflow shows no value.
Otherwise, the value is unknown, and the verdict of a rule that needs the value is ``not read``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol

from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.generative_evaluation import may_be_read
from verifywise_mlflow.normalizer.mapping.key_folding import is_system_key
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.mapping.value_sources import ValueSource, ValueSourceKind
from verifywise_mlflow.normalizer.origin import SourceKind, ValueState
from verifywise_mlflow.normalizer.record import FIELD_SPECS, FIELDS_ABOUT_USE, CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import ObjectKind, UnreadObject

_OBJECTS_OF_SOURCE: Final[Mapping[ValueSourceKind, tuple[ObjectKind, ...]]] = {
    "version": ("version",),
    "version tag": ("version",),
    "model": ("model",),
    "model tag": ("model",),
    "alias": ("model",),
    "run": ("run",),
    "run tag": ("run",),
    "experiment": ("experiment", "run", "logged model"),  # named by the run, else by the logged model
    "logged model": ("logged model",),
    "logged model tag": ("logged model",),
    "artifact": ("files",),
    "lifecycle stage": ("version", "model"),
    "config": (),
}
"""Value source to the objects that must be read to determine its value."""

COPIED_FROM: Final[Mapping[str, tuple[ObjectKind, ...]]] = {
    "model_name": ("version",),
    "version_number": ("version",),
    "aliases": ("model",),
    "created_at": ("version",),
    "last_updated_at": ("version",),
    "training_started_at": ("run",),
    "training_ended_at": ("run",),
    "metrics": ("run",),
    "hyperparameters": ("run",),
    "evaluation_tags": ("version", "run"),
    "generative_evaluation": ("logged model", "assessments", "files"),
    "dataset_reference": ("run", "logged model"),
    "linked_prompts": ("run", "logged model", "files"),
    "runtime_environment": ("files",),
    "artifact_manifest": ("files",),
    "evidence_files": ("files",),
}
"""Field to its objects, for the fields that ``normalize`` fills from objects, either instead of value sources or before
them."""


_OBJECTS_ABOUT_USE: Final = ("version", "model")
"""The objects that decide whether a version is in use. The run is left out, although its tag may state a stage. Such a
tag is rare. If the run were listed, no rule on use could exclude a version whose run was purged."""
_COLLECTIONS = (FieldType.JSON_OBJECT, FieldType.JSON_LIST)


class TextOrigin(Protocol):
    """The origin of a field's text."""

    @property
    def source(self) -> SourceKind:
        """The object that has the text."""

    @property
    def key(self) -> str:
        """The object's tag or attribute."""

    @property
    def state(self) -> ValueState | None:
        """Why the text is not a value."""


def unread_objects(
    reasons: Iterable[tuple[ObjectKind, str]],
    record: CanonicalRecord,
    origins: Mapping[str, TextOrigin],
    index: MappingIndex,
) -> tuple[UnreadObject, ...]:
    """Return the objects that could not be read, without duplicates, with the fields that depend on them.

    Args:
        reasons: pairs of the kind of an object and a sentence on what could not be read.
        record: the record, built without these objects.
        origins: the origins of the values of the record.
        index: the mapping, which determines the objects that a field may come from.
    """
    sentences: dict[ObjectKind, list[str]] = {}
    for kind, sentence in reasons:
        sentences.setdefault(kind, []).append(sentence)
    return tuple(
        UnreadObject(
            kind,
            tuple(of_kind),
            tuple(
                field
                for field in fields_resting_on(kind, index)
                if _may_change(field, kind, getattr(record, field), origins.get(field), index)
            ),
        )
        for kind, of_kind in sentences.items()
    )


@lru_cache(maxsize=256)
def fields_resting_on(kind: ObjectKind, index: MappingIndex) -> tuple[str, ...]:
    """Return the fields that an object of this kind may fill, under a mapping."""
    return tuple(
        field
        for field in FIELD_SPECS
        if kind in COPIED_FROM.get(field, ()) or kind in _objects_of(index.value_sources(field))
    )


def _may_change(field: str, kind: ObjectKind, value: object, origin: TextOrigin | None, index: MappingIndex) -> bool:
    """Return whether a field may get another value once an object of this kind is read."""
    spec = FIELD_SPECS[field]
    if value is None and (origin is None or not spec.is_attestation):
        # The first value of any source counts.
        return field not in FIELDS_ABOUT_USE or kind in _OBJECTS_ABOUT_USE
    if field == "generative_evaluation" and kind == "files":
        return may_be_read(value)  # files may show that a model is generative; then its assessments are read
    if spec.type in _COLLECTIONS:
        return True  # a list may lack an entry
    return origin is not None and kind in _objects_of(_sources_before(origin, index.value_sources(field)))


def _sources_before(origin: TextOrigin, sources: Sequence[ValueSource]) -> Iterator[ValueSource]:
    """Yield the sources that take precedence over the source of a text."""
    for source in sources:
        members = source.members or (source,)
        if any(_is_source_of(origin, member) for member in members):
            yield from (member for member in members if not _is_source_of(origin, member))
            return
        yield from members


def _is_source_of(origin: TextOrigin, source: ValueSource) -> bool:
    kind = "logged model" if source.source == "logged model tag" else source.source
    # A source of synonyms never uses a system key, since a source must name such a key.
    has_key = not is_system_key(origin.key) if source.key is None else source.key == origin.key
    return kind == origin.source and has_key


def _objects_of(sources: Iterable[ValueSource]) -> Iterator[ObjectKind]:
    for source in sources:
        if source.source == "highest of":
            yield from _objects_of(source.members)
        else:
            yield from _OBJECTS_OF_SOURCE[source.source]
