"""The differences between two states of a record, member by member, for people. No function reads the database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.queries.history import RecordState

_IDENTIFYING = ("root", "path", "name", "context", "kind", "field", "seen_at")
"""The members that identify an element of a list: root and path of a file, the name of a package, name and context of a
data set, kind and field of a finding. Members that an element lacks are left out."""

_NOT_IDENTIFYING = {"files": ("kind",), "evidence_files": ("kind",)}
"""Members that may change while the element stays the same, by list."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that changed."""

    path: tuple[str, ...]
    """The record's field, and then the members that lead to a nested value: ``("metrics", "auc")``."""
    before: object
    """None if there was no value."""
    after: object

    @property
    def field(self) -> str:
        """The path as one dotted text. The names in it may contain dots."""
        return ".".join(self.path)


def differences(before: RecordState | None, after: RecordState | None) -> list[Difference]:
    """Return the differences between two states of a version's record, in the order of the record's fields.

    If one state is missing, the only difference has the path ``("record",)``. If an equal value has another source, the
    difference is in ``origins``.
    """
    if before is None or after is None:
        was, became = ("kept" if state else None for state in (before, after))
        return [] if was == became else [Difference(("record",), was, became)]
    changes: list[Difference] = []
    for field in FIELDS:
        changes += _differences((field,), getattr(before.record, field), getattr(after.record, field))
    changed = {name for difference in changes for name in (difference.path[0], difference.field)}
    for name in dict.fromkeys([*before.origins, *after.origins]):
        was_from, is_from = _drop_nulls(before.origins.get(name)), _drop_nulls(after.origins.get(name))
        if name in changed:  # the raw text repeats what the values show
            was_from.pop("raw", None)
            is_from.pop("raw", None)
            if not was_from or not is_from:
                continue  # the value itself was added or removed
        if was_from != is_from:
            changes.append(Difference(("origins", name), before.origins.get(name), after.origins.get(name)))
    for name in ("incomplete", "findings"):
        changes += _differences((name,), getattr(before, name), getattr(after, name))
    changes += _differences(("deleted_at",), before.deleted_at, after.deleted_at)
    return changes


def _differences(path: tuple[str, ...], before: object, after: object) -> Iterator[Difference]:
    if _is_same(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_members(path, before, after)
    elif _is_list(before) and _is_list(after):
        was, became = _named(path[-1], before), _named(path[-1], after)
        if was.keys() == became.keys() and all(_is_same(was[name], became[name]) for name in was):
            yield Difference(path, before, after)  # only the order differs
        else:
            yield from _of_members(path, was, became)
    else:
        yield Difference(path, before, after)


def _of_members(
    path: tuple[str, ...], before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        yield from _differences((*path, name), before.get(name), after.get(name))


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _named(field: str, elements: object) -> dict[str, object]:
    """Return a list's elements by their identity. Elements with equal identities are numbered."""
    assert isinstance(elements, Sequence)  # the caller checked
    named: dict[str, object] = {}
    for element in elements:
        name = first = _name(field, element)
        number = 1
        while name in named:
            number += 1
            name = f"{first} #{number}"
        named[name] = element
    return named


def _name(field: str, element: object) -> str:
    if not isinstance(element, Mapping):
        return str(element)
    parts = [element[key] for key in _IDENTIFYING if key in element and key not in _NOT_IDENTIFYING.get(field, ())]
    return " ".join(str(part) for part in parts if part) or json.dumps(element, sort_keys=True, default=str)


def _is_same(before: object, after: object) -> bool:
    """Return whether two values are equal; NaN equals NaN."""
    if before == after or (before != before and after != after):  # only NaN differs from itself
        return True
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(_is_same(before[key], after[key]) for key in before)
    return False


def _drop_nulls(origin: Mapping[str, object] | None) -> dict[str, object]:
    return {key: value for key, value in (origin or {}).items() if value is not None}
