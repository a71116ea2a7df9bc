"""Regular expressions from tenants, which RE2 searches in untrusted texts in linear time.

In Python's own engine, a search with one pattern like ``(a+)+$`` and a value made for this pattern can take hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import re2

_SURROGATE = re.compile("[\ud800-\udfff]")


class PatternError(ValueError):
    """RE2 does not accept the pattern. RE2 has no look-around and no back-references. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Re2Pattern:
    """A compiled pattern."""

    _compiled: re2._Regexp

    @property
    def program_size(self) -> int:
        """The number of instructions of the compiled pattern, which is the maximum number of steps per character."""
        return int(self._compiled.programsize)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the start and end of each match, in characters. Empty matches are left out."""
        for match in self._compiled.finditer(_encodable(text)):
            if match.end() > match.start():
                yield match.start(), match.end()

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches anywhere in a text."""
        return self._compiled.search(_encodable(text)) is not None


@lru_cache(maxsize=1_000)
def compile_pattern(pattern: str, max_bytes: int = 8 * 1024**2) -> Re2Pattern:
    """Return a compiled pattern.

    Args:
        pattern: what to search for.
        max_bytes: the maximum memory of the pattern and its searches. Less memory makes searches slower, with the same
            results.

    Raises:
        PatternError: RE2 does not accept the pattern, or the pattern needs more memory.
    """
    options = re2.Options()
    options.max_mem = max_bytes
    options.log_errors = False
    try:
        return Re2Pattern(re2.compile(_encodable(pattern), options=options))
    except re2.error as error:
        (reason,) = error.args
        raise PatternError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def _encodable(text: str) -> str:
    """Return a text of the same length that can be encoded: RE2 works on UTF-8, which has no lone surrogates."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
