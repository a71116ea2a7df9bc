"""Glob patterns: ``*`` matches any characters, ``?`` matches one character.

Settings accept globs and not regular expressions, since a regular expression can be made slow on purpose. The
expression that ``fnmatch.translate`` returns never backtracks into the match of a ``*``, so no glob takes long on any
text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache

_WILDCARD = re.compile(r"[*?]")
_SEPARATOR = re.compile(r"[^\w*?]+|_+")


def compile_globs(globs: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches a text if a glob matches the whole text. Without globs, it matches nothing."""
    return re.compile("|".join(map(translate, globs)) or r"(?!)")


def compile_name_patterns(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return such a pattern for globs of names, in which ``[`` is an ordinary character and not a wildcard."""
    return compile_globs(pattern.replace("[", "[[]") for pattern in patterns)


def matches_any(globs: Sequence[str], text: str) -> bool:
    """Return whether one of the globs matches the whole text, ignoring case."""
    return bool(globs) and _caseless(tuple(globs)).match(text.casefold()) is not None


@lru_cache(maxsize=256)
def _caseless(globs: tuple[str, ...]) -> re.Pattern[str]:
    return compile_globs(glob.casefold() for glob in globs)


@lru_cache(maxsize=4096)
def _compiled(globs: tuple[str, ...]) -> re.Pattern[str]:
    return compile_globs(globs)


class GlobTable:
    """Looks up a value by globs. If several globs match, the glob with the most literal characters wins."""

    def __init__(self, globs_by_value: Mapping[str, Sequence[str]]) -> None:
        pairs = [(glob, value) for value, globs in sorted(globs_by_value.items()) for glob in globs]
        pairs.sort(key=lambda pair: -len(_WILDCARD.sub("", pair[0])))
        self._globs = [(_fold(glob), value) for glob, value in pairs]
        self._any = _compiled(tuple(glob for glob, _ in self._globs))

    def match(self, words: Sequence[str]) -> str | None:
        """Return the value whose glob matches a text, given as folded words. The words are joined with ``_``."""
        if not self._globs:
            return None
        text = "_".join(words)
        if self._any.match(text) is None:  # true for most texts: one pattern takes a fraction of the time of many
            return None
        return next((value for glob, value in self._globs if _compiled((glob,)).match(text)), None)


def _fold(glob: str) -> str:
    """Return a glob in the form in which keys are compared: ``Équipe-*`` becomes ``equipe_*``."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", glob) if not unicodedata.combining(char))
    return _SEPARATOR.sub("_", plain).casefold()
