"""What differs between two states of a record, member by member, so that a person sees what changed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.queries.history import RecordState

_NAMED_BY = ("root", "path", "name", "context", "kind", "field", "seen_at")
"""What tells one element of a list from the others: a file by root and path, a package by name, a data set by name
and context, a finding by kind and field. Of these, an element is named by those that it has."""

_NEVER_A_NAME = {"files": ("kind",), "evidence_files": ("kind",)}
"""In these lists, what may change of an element that stays the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it was."""

    path: tuple[str, ...]
    """The record's field, then, in a nested one, the members that lead to the value: ``("metrics", "auc")``."""
    before: object
    """Null where there was none."""
    after: object

    @property
    def field(self) -> str:
        """The path in one word. Names in it may hold dots themselves."""
        return ".".join(self.path)


def differences(before: RecordState | None, after: RecordState | None) -> list[Difference]:
    """Return what differs between two states of a version's record, in the order of the record's fields.

    Where one of them is missing, the one difference is the path ``("record",)``: seen first, or not yet. A value that
    stayed the same but was taken from elsewhere is a difference of ``origins``.
    """
    if before is None or after is None:
        was, became = ("kept" if state else None for state in (before, after))
        return [] if was == became else [Difference(("record",), was, became)]
    found: list[Difference] = []
    for field in FIELDS:
        found += _differences((field,), getattr(before.record, field), getattr(after.record, field))
    changed = {name for difference in found for name in (difference.path[0], difference.field)}
    for name in dict.fromkeys([*before.origins, *after.origins]):
        was_from, is_from = _known(before.origins.get(name)), _known(after.origins.get(name))
        if name in changed:  # what stood there says the same as the values do
            was_from.pop("raw", None)
            is_from.pop("raw", None)
            if not was_from or not is_from:
                continue  # the value itself came or went
        if was_from != is_from:
            found.append(Difference(("origins", name), before.origins.get(name), after.origins.get(name)))
    for name in ("incomplete", "findings"):
        found += _differences((name,), getattr(before, name), getattr(after, name))
    found += _differences(("deleted_at",), before.deleted_at, after.deleted_at)
    return found


def _differences(path: tuple[str, ...], before: object, after: object) -> Iterator[Difference]:
    if _is_same(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_members(path, before, after)
    elif _is_list(before) and _is_list(after):
        was, became = _named(path[-1], before), _named(path[-1], after)
        if was.keys() == became.keys() and all(_is_same(was[name], became[name]) for name in was):
            yield Difference(path, before, after)  # the order alone
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


def _named(of: str, elements: object) -> dict[str, object]:
    """Return a list's elements by what names them; those of the same name are numbered."""
    assert isinstance(elements, Sequence)  # the caller asked
    named: dict[str, object] = {}
    for element in elements:
        name = first = _name(of, element)
        number = 1
        while name in named:
            number += 1
            name = f"{first} #{number}"
        named[name] = element
    return named


def _name(of: str, element: object) -> str:
    if not isinstance(element, Mapping):
        return str(element)
    parts = [element[key] for key in _NAMED_BY if key in element and key not in _NEVER_A_NAME.get(of, ())]
    return " ".join(str(part) for part in parts if part) or json.dumps(element, sort_keys=True, default=str)


def _is_same(before: object, after: object) -> bool:
    """Whether two values are the same; NaN is the same as NaN."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(_is_same(before[key], after[key]) for key in before)
    return before == after or (before != before and after != after)  # only NaN differs from itself


def _known(origin: Mapping[str, object] | None) -> dict[str, object]:
    return {key: value for key, value in (origin or {}).items() if value is not None}
