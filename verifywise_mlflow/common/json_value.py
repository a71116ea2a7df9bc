"""The type of a JSON value that nobody changes: a dictionary or a list of it is read-only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

# Not one string: the modules that evaluate their annotations import this name, but not those of its parts.
Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
