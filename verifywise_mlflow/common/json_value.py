"""The type of an immutable JSON value: its dictionaries and lists are read-only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

# Not one string: modules that evaluate their annotations import this name, but not ``Sequence`` and ``Mapping``.
Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
