"""Patterns for keys and values: `*` for any characters, `?` for one. No regular expressions, which can be made slow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate

_WILD = re.compile(r"[*?]")
_BETWEEN_WORDS = re.compile(r"[^\w*?]+|_+")


class Globs:
    """Patterns by what they stand for; of several that fit, the one with the most letters counts."""

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        written = [(glob, meaning) for meaning, globs in sorted(patterns.items()) for glob in globs]
        written.sort(key=lambda pair: -len(_WILD.sub("", pair[0])))
        self._patterns = [(re.compile(translate(_comparable(glob))), meaning) for glob, meaning in written]

    def match(self, words: Sequence[str]) -> str | None:
        """Return what a text stands for, given as its folded words; they are joined with ``_``."""
        if not self._patterns:
            return None
        text = "_".join(words)
        return next((meaning for pattern, meaning in self._patterns if pattern.match(text)), None)


def _comparable(glob: str) -> str:
    """Return a pattern as keys are compared: ``Team-*`` is ``team_*``."""
    return _BETWEEN_WORDS.sub("_", glob).casefold()
