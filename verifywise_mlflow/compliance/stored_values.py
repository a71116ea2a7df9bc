"""The values and origins that are stored with the verdicts on a record, as members of a JSON object.

Many rules read the same value. Each value is serialized once per record, and each verdict gets the members that its
rule reads, in the order of canonical JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from typing import Final, TypeAlias, cast

from verifywise_mlflow.compliance.input_hash import value_json
from verifywise_mlflow.compliance.rules.cel_variables import CelValue
from verifywise_mlflow.compliance.rules.field_paths import ORIGINS, Path, dotted

_MAX_ORIGIN_KEY_LENGTH: Final = 300
"""The maximum length, in characters, of a key and of a text that is not a value. MLflow's own limit is 250; other
servers may have no limit."""

Members: TypeAlias = tuple[str, ...]
Picker: TypeAlias = Callable[[Members], Members]
"""Selects a verdict's members from the members of a record. An empty member means that there is no value."""


class StoredValues:
    """The paths and fields that at least one rule reads, each with its place among the members."""

    def __init__(self) -> None:
        """Create it empty; ``value_picker`` and ``origin_picker`` add what a rule reads."""
        self._paths: dict[Path, int] = {}
        self._names: dict[str, int] = {}
        self._variables: dict[str, int] = {}
        self._whole: list[tuple[int, str, str]] = []
        """Place, key and name of each value that is stored as a whole."""
        self._parts: dict[str, list[tuple[int, str, Path]]] = {}
        """Variable to its stored parts: the place, the key, and the path below the variable."""
        self._last_parts: dict[str, tuple[CelValue, list[tuple[int, str]]]] = {}
        """Variable to its last value and the members of the value's parts. The next record may have the same object."""
        self._of_origins: dict[str, list[tuple[int, str, str]]] = {}
        """Field to the place, key and name of each member of its origin."""
        self._origin_keys: list[tuple[int, str, str]] = []

    def value_picker(self, paths: Sequence[Path]) -> Picker:
        """Return a function that selects the values at these paths, in this order."""
        for path in paths:
            if path not in self._paths:
                place, key = len(self._paths), f"{quoted(dotted(path))}:"
                self._paths[path] = place
                if len(path) == 1:
                    self._whole.append((place, key, path[0]))
                elif path[0] == ORIGINS and len(path) == 3:
                    self._of_origins.setdefault(path[1], []).append((place, key, path[2]))
                else:
                    self._parts.setdefault(path[0], []).append((place, key, path[1:]))
        return _picker([self._paths[path] for path in paths])

    def origin_picker(self, names: Sequence[str]) -> Picker:
        """Return a function that selects the origins of these fields, in this order."""
        for name in names:
            if name not in self._names:
                self._names[name] = len(self._names)
                self._origin_keys.append((self._names[name], f"{quoted(name)}:", name))
        return _picker([self._names[name] for name in names])

    def known_picker(self, names: Sequence[str]) -> Picker:
        """Return a function that selects whether these variables are known."""
        return _picker([self._variables.setdefault(name, len(self._variables)) for name in names])

    def known(self, known: Mapping[str, CelValue]) -> Members:
        """Return the name of each known variable, and an empty text for each unknown variable."""
        return tuple([name if name in known else "" for name in self._variables])

    def values(self, raw: Mapping[str, CelValue]) -> Members:
        """Return a member for each path. For a missing value, which differs from null, the member is empty."""
        members = [""] * len(self._paths)
        for place, key, name in self._whole:
            value: object = raw[name]
            members[place] = f"{key}null" if value is None else key + value_json(value)  # type: ignore[arg-type]  # a CelValue
        for root in self._parts:
            for place, member in self._members_below(root, raw[root]):
                members[place] = member
        if self._of_origins:
            origins = cast("dict[str, dict[str, CelValue]]", raw[ORIGINS])
            for field, parts in self._of_origins.items():
                of_field = origins[field]
                for place, key, name in parts:
                    if name in of_field:
                        members[place] = key + value_json(of_field[name])
        return tuple(members)

    def _members_below(self, root: str, value: CelValue) -> list[tuple[int, str]]:
        """Return the members of the existing parts of a variable, each with its place."""
        last = self._last_parts.get(root)
        if last is not None and last[0] is value:
            return last[1]
        members = []
        for place, key, names in self._parts[root]:
            part = value
            for name in names:
                if type(part) is not dict or name not in part:
                    break
                part = part[name]
            else:
                members.append((place, key + value_json(part)))
        self._last_parts[root] = (value, members)
        return members

    def origins(self, origins: Mapping[str, Mapping[str, object]]) -> Members:
        """Return a member for each field. The member is empty if the field has no origin."""
        members = [""] * len(self._origin_keys)
        for place, key, name in self._origin_keys:
            if (origin := origins.get(name)) is not None:
                members[place] = key + _origin_json(origin)
        return tuple(members)


def _picker(places: Sequence[int]) -> Picker:
    """Return a function that takes the members at these places from a list."""
    if len(places) > 1:
        return cast("Picker", itemgetter(*places))
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


def _origin_json(origin: Mapping[str, object]) -> str:
    key, source = str(origin.get("key"))[:_MAX_ORIGIN_KEY_LENGTH], str(origin.get("source"))
    if state := origin.get("state"):
        raw = str(origin.get("raw"))[:_MAX_ORIGIN_KEY_LENGTH]
        why = f'"raw":{quoted(raw)},"source":{quoted(source)},"state":{quoted(str(state))}'
        return f'{{"key":{quoted(key)},{why}}}'
    return f'{{"key":{quoted(key)},"source":{quoted(source)}}}'
