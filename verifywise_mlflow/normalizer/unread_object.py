"""An object of a version that could not be read. Rules use the kind of the object; people read its sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, cast, get_args

from verifywise_mlflow.common.value_object import value_object

ObjectKind = Literal["version", "model", "run", "experiment", "logged model", "assessments", "files"]
"""The kinds of objects that a record is built from. ``version`` and ``model`` are objects of the registry."""

OBJECT_KINDS: Final[tuple[ObjectKind, ...]] = get_args(ObjectKind)


@value_object
class UnreadObject:
    """An object that could not be read, or not completely."""

    kind: ObjectKind
    sentences: tuple[str, ...]
    """What could not be read, and why."""
    fields: tuple[str, ...] = ()
    """The fields of the record whose values are unknown and may become known once the object is read."""


def unread_objects_from_json(stored: Iterable[Mapping[str, object]]) -> tuple[UnreadObject, ...]:
    """Return the objects in the column ``incomplete`` of a record."""
    return tuple(
        UnreadObject(
            cast("ObjectKind", entry["kind"]),
            tuple(cast("Iterable[str]", entry["sentences"])),
            tuple(cast("Iterable[str]", entry["fields"])),
        )
        for entry in stored
    )
