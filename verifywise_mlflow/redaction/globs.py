"""Lists of keys, with ``*`` for any letters, compared without regard to case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

LONGEST_GLOB = 250
"""Characters. MLflow keeps no longer key."""


def _usable(glob: str) -> str:
    if not glob.strip():
        raise ValueError("write a key, or a part of it with *")
    if len(glob) > LONGEST_GLOB:
        raise ValueError(f"a key has at most {LONGEST_GLOB} characters")
    return glob


Glob = Annotated[str, AfterValidator(_usable)]


def matches(globs: Sequence[str], key: str) -> bool:
    """Whether one of the patterns stands for the whole key."""
    return bool(globs) and _pattern(tuple(globs)).match(key.casefold()) is not None


@lru_cache(maxsize=256)
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob.casefold()) for glob in globs))
