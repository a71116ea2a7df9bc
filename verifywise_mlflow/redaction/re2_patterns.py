"""Regular expressions that tenants write, searched in texts that strangers write: RE2, whose time is linear.

Python's own could be kept busy for hours by one pattern like ``(a+)+$`` and one value made for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import re2

_SURROGATE = re.compile("[\ud800-\udfff]")


class PatternError(ValueError):
    """It is no pattern, with the reason: RE2 knows no look-around and no back references."""


@dataclass(frozen=True, slots=True)
class LinearPattern:
    """One pattern."""

    _compiled: re2._Regexp

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where it is found, as positions of characters; what is found empty is left out."""
        for found in self._compiled.finditer(_utf8(text)):
            if found.end() > found.start():
                yield found.start(), found.end()

    def is_found_in(self, text: str) -> bool:
        """Whether it is found at all."""
        return self._compiled.search(_utf8(text)) is not None


@lru_cache(maxsize=1_000)
def compiled(pattern: str) -> LinearPattern:
    """Return a pattern that can be searched for.

    Raises:
        PatternError: it is none.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return LinearPattern(re2.compile(_utf8(pattern), options=options))
    except re2.error as error:
        (reason,) = error.args
        raise PatternError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def _utf8(text: str) -> str:
    """Return a text of the same length that can be encoded: RE2 works on UTF-8, which has no lone surrogates."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
